"""The report as data: one document, written as JSON, from which the page is made.

Every figure is rounded here, once; the page shows what stands here. The form is published as
``schema.json`` beside this module; a change of meaning raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from audio_engine.report.series import Series

SCHEMA_VERSION = 1
_SCHEMA = Path(__file__).parent / "schema.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """One file: its name without folders, its format, and how it sounds as a whole.

    A level is None where nothing was loud enough to be measured. `speech_share` is the part of the
    time in which somebody speaks, 0 to 1.
    """

    name: str
    container: str
    sample_format: str
    integrated_lufs: float | None
    max_short_term_lufs: float | None
    loudness_range_lu: float | None
    true_peak_dbtp: float | None
    voice_dbfs: float | None
    pause_dbfs: float | None
    echo_dbfs: float | None
    speech_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What to do: which sentence, its figures, and the sentence in the document's language."""

    id: str
    figures: dict[str, float]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """One row of the score card.

    Attributes
    ----------
    id, title : str
        What is judged.
    before, after : float or None
        The figure of the recording and of the result; None: there is none.
    unit : str
        Its unit.
    digits : int
        Digits after the point that count.
    judged : str
        ``before`` or ``after``: which of the two is rated.
    better : str
        ``lower``, ``higher``, or ``near``: the distance to `target` counts.
    good, fair : float
        Thresholds: as good as this or better is good or fair; all else is poor.
    target : float or None
        See `better`.
    rating : str
        ``good``, ``fair``, ``poor``, or ``unknown``.
    advice : Advice or None
        What to do.
    """

    id: str
    title: str
    before: float | None
    after: float | None
    unit: str
    digits: int
    judged: str
    better: str
    good: float
    fair: float
    target: float | None
    rating: str
    advice: Advice | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEvent:
    """Something that happened: `side` is ``before``, ``after``, ``both``, or ``stage``."""

    kind: str
    side: str
    start_s: float
    end_s: float
    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A stretch of one kind of sound: ``speech``, ``music``, ``noise``, ``silence``."""

    kind: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A stretch of the files that the players hold, and where it begins in them."""

    start_s: float
    end_s: float
    player_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Players:
    """What the players hold: the whole files, or excerpts one after the other.

    `louder_db` is by how much the result is louder than the recording: what the switch for equal
    loudness takes off it (off the recording, below 0); None where one of them is silent.
    """

    whole: bool
    seconds: float
    channels: int
    excerpts: tuple[Excerpt, ...]
    louder_db: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectrogramScale:
    """Axes of the two spectrograms: mel scale from low to high, colours over a range of levels."""

    low_hz: float
    high_hz: float
    top_db: float
    range_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What the stages of the chain did, over all; None: the stage did not run, or knows nothing."""

    latency_ms: float
    times_real_time: float
    erle_db: float | None
    echo_delay_ms: float | None
    echo_drift_ppm: float | None
    noise_reduction_db: float | None
    gain_db: float | None
    loudness_target_lufs: float | None
    loudness_gain_db: float | None
    limiter_max_reduction_db: float | None
    reverb_time_s: float | None
    transient_count: int
    invalid_count: int
    clipped_output_count: int
    webrtcvad_speech_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The report of one file."""

    schema_version: int
    generator: dict[str, str]
    created: str
    language: str
    duration_s: float
    sample_rate_hz: int
    channels: int
    before: FileFacts
    after: FileFacts
    far_end: str | None
    preset: str
    settings: dict[str, Any]
    target_lufs: float
    verdict: str
    headline: str
    score: tuple[ScoreRow, ...]
    events: tuple[ReportEvent, ...]
    event_counts: dict[str, int]
    sounds: tuple[Sound, ...]
    series: tuple[Series, ...]
    spectrogram: SpectrogramScale
    players: Players
    stages: Stages
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dictionaries and lists."""
        values: dict[str, Any] = json.loads(self.to_json())
        return values

    def to_json(self) -> str:
        """Return the document as JSON; there are no infinities in it."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


@cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the document."""
    values: dict[str, Any] = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    return values


def rounded(value: float | None, digits: int = 1) -> float | None:
    """Return a figure as the document holds it: rounded, None where it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return round(value, digits) + 0.0  # no minus zero

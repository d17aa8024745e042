"""Speech and noise recordings of one's own: what there is, what is held out, how it is read."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from training.spectrum import Array

# Weights that anybody may use for anything must not come from these: by licence, and by folder
# where a list does not say it.
_LICENCES_LEFT_OUT = ("-nc", "-sa")
_FOLDERS_LEFT_OUT = ("ravdess", "bysa")
WIDE_RATE_HZ, NARROW_RATE_HZ = 48000, 16000
_GATE_DB, _GATE_SPAN_DB = -47.0, 10.0  # a recording's own noise between the words goes
_LEAST_CONTRAST_DB = 27.0  # recordings whose pauses are not that far down are not clean

# Every this many speakers one is kept for validation; noise by kind, so that none is known.
_HELD_OUT_SPEAKERS = 12
HELD_OUT_NOISE = (
    "ceiling-fan", "windshield-wipers", "crowded-bar", "applause", "wind-in-trees", "office_1",
    "moving_train", "busy-street", "vinyl-effect", "ch03_sm002", "public_library_1",
    "rain-on-window",
)  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """A file, who or what is heard, whether it reaches beyond 8 kHz, for training or validation."""

    path: Path
    source: str
    speaker: str
    wide: bool
    held_out: bool
    licence: str = ""
    language: str = ""


def _left_out(name: str, licence: str) -> bool:
    """Return whether the licence forbids commercial use or asks for the same licence."""
    by_licence = any(word in licence.lower() for word in _LICENCES_LEFT_OUT)
    return by_licence or any(word in name.lower() for word in _FOLDERS_LEFT_OUT)


def listed(folder: Path, noise: bool) -> list[Recording]:
    """Return the recordings that folder/manifest.csv names and that exist."""
    found = []
    with (folder / "manifest.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.reader(lines)]
    head, *rows = rows
    speakers = sorted({row[head.index("speaker")] for row in rows})
    for row in rows:
        path = folder / row[0]
        source, speaker = row[1], row[3]
        if not path.exists() or _left_out(row[0], row[2]):
            continue
        if noise:
            held = any(kind in path.name for kind in HELD_OUT_NOISE)
            speaker = path.stem
        else:
            held = speakers.index(speaker) % _HELD_OUT_SPEAKERS == 5
        wide = soundfile.info(path).samplerate == WIDE_RATE_HZ
        language = row[head.index("language")] if "language" in head else ""
        found.append(Recording(path, source, speaker, wide, held, row[2], language))
    return found


class Reader:
    """Reads recordings at 48 kHz where they are wide and at 16 kHz else; keeps what it has read."""

    def __init__(self) -> None:
        self._read: dict[tuple[Path, int], Array] = {}
        self._clean: dict[tuple[Path, int], Array | None] = {}

    def read(self, recording: Recording, rate_hz: int) -> Array:
        """Return one channel without its mean."""
        key = (recording.path, rate_hz)
        if key not in self._read:
            self._read[key] = _loaded(recording.path, rate_hz).astype(np.float16)
        return self._read[key].astype(np.float32)

    def clean(self, recording: Recording, rate_hz: int) -> Array | None:
        """Return one channel of speech with silence between the words; None where it is noisy."""
        key = (recording.path, rate_hz)
        if key not in self._clean:
            gated = gate(_loaded(recording.path, rate_hz), rate_hz)
            self._clean[key] = None if gated is None else gated.astype(np.float16)
        kept = self._clean[key]
        return None if kept is None else kept.astype(np.float32)


def _loaded(path: Path, rate_hz: int) -> Array:
    audio, found_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = audio[:, 0]
    if found_hz != rate_hz:
        mono = soxr.resample(mono, found_hz, rate_hz)
    return np.asarray(mono - np.mean(mono), np.float32)


def frame_db(x: Array, rate_hz: int) -> Array:
    """Return the level of each 10 ms in dB."""
    hop = rate_hz // 100
    return np.asarray(
        10 * np.log10(np.mean(x[: len(x) // hop * hop].reshape(-1, hop) ** 2, 1) + 1e-12)
    )


def active_db(level_db: Array) -> float:
    """Return the mean level of the hops within 35 dB of the loudest."""
    active = level_db[level_db > level_db.max() - 35]
    return float(10 * np.log10(np.mean(10 ** (active / 10))))


def gate(x: Array, rate_hz: int) -> Array | None:
    """Fade out what lies far under the speech; None where the pauses are too loud for that."""
    level_db = frame_db(x, rate_hz)
    over = level_db - active_db(level_db)
    if np.percentile(over, 8) > -_LEAST_CONTRAST_DB:
        return None
    floor_db = max(_GATE_DB, float(np.percentile(over, 8)) + 4.0)
    near = np.array([over[max(0, t - 4) : t + 9].max() for t in range(len(over))])  # 40, 80 ms
    opened = np.clip((near - floor_db) / _GATE_SPAN_DB, 0, 1)
    opened = np.convolve(opened, np.ones(3) / 3, "same")
    hop = rate_hz // 100
    gain = np.interp(np.arange(len(x)), (np.arange(len(opened)) + 0.5) * hop, opened)
    return np.asarray(x * gain, np.float32)

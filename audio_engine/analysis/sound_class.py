"""Speech, music, noise or silence: what a recording holds, stretch by stretch.

Method: figures of the sound around every 0.25 s (`sound_features`), a softmax regression on them
and their squares (weights in ``sound_weights.toml``, fitted by ``tools/sound_class``), its
probabilities averaged over 2.25 s. A step is silence where its level says so. Speech wins: a talker
over music or noise is speech. Memory: some seconds of figures. Cost: the suppressor and two spectra
every 10 ms, all at 16 kHz.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audio_engine.analysis.sound_listener import SILENCE_POWER, STEP_S, Heard, SoundListener

KINDS = ("speech", "music", "noise", "silence")
_MEAN_STEPS = 4  # to each side
_SHORTEST_STEPS = 2  # a shorter stretch belongs to what was before
_FARTHEST = 4.0  # standard deviations: what lies beyond tells no more
_WEIGHTS = Path(__file__).parent / "sound_weights.toml"


@dataclass(frozen=True, slots=True)
class SoundSegment:
    """A stretch of one kind: ``speech``, ``music``, ``noise`` or ``silence``; times in seconds."""

    start_s: float
    end_s: float
    kind: str

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return asdict(self)


class SoundClassifier:
    """Tell speech, music, noise and silence apart in a stream.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 192000.
    channels : int
        1 to 8; their mean is judged.

    Raises
    ------
    ConfigError
        If the rate or the channels are out of range.

    Notes
    -----
    Blocking never changes the result. Kinds come in steps of 0.25 s; speech or music of less than a
    second in other sound may be missed.

    Examples
    --------
    >>> hiss = 0.01 * np.random.default_rng(1).standard_normal(5 * 16000).astype(np.float32)
    >>> with SoundClassifier(16000, 1) as classifier:
    ...     classifier.add(hiss)
    ...     classifier.finish()
    [SoundSegment(start_s=0.0, end_s=5.0, kind='noise')]
    """

    def __init__(self, sample_rate_hz: int, channels: int = 1) -> None:
        self._listener = SoundListener(sample_rate_hz, channels)
        self._kinds: list[int] = []  # of every step so far
        self._silent: list[bool] = []
        self._recent: list[NDArray[np.float64]] = []  # probabilities that are still averaged
        self._first = 0  # number of the first of these

    def add(self, block: ArrayLike) -> None:
        """Take the next block.

        Parameters
        ----------
        block : array_like, shape (frames,) or (frames, channels)
            Any length; full scale is +-1.0.

        Raises
        ------
        FormatError
            If shape or dtype do not fit.
        StreamError
            If the stream is finished.
        """
        self._judge(self._listener.add(block), _MEAN_STEPS)

    def finish(self) -> list[SoundSegment]:
        """Judge the rest and return all stretches, in order and without gaps."""
        self._judge(self._listener.finish(), 0)
        return _segments(self._kinds, self._listener.duration_s)

    def _judge(self, steps: Iterable[Heard], ahead: int) -> None:
        """Decide every step behind which `ahead` steps are known."""
        for heard in steps:
            self._recent.append(probabilities(heard.figures))
            self._silent.append(heard.power < SILENCE_POWER)
        while len(self._kinds) + ahead < len(self._silent):
            step = len(self._kinds)
            forgotten = max(0, step - _MEAN_STEPS - self._first)
            del self._recent[:forgotten]
            self._first += forgotten
            if self._silent[step]:
                self._kinds.append(KINDS.index("silence"))
                continue
            around = range(self._first, min(step + _MEAN_STEPS + 1, len(self._silent)))
            heard_ones = [self._recent[n - self._first] for n in around if not self._silent[n]]
            self._kinds.append(int(np.argmax(np.mean(heard_ones, axis=0))))

    def close(self) -> None:
        """Free the kernels; doing so twice is fine."""
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def shares(segments: Iterable[SoundSegment]) -> dict[str, float]:
    """Return each kind's share of the time, 0 to 1."""
    seconds = dict.fromkeys(KINDS, 0.0)
    for each in segments:
        seconds[each.kind] += each.end_s - each.start_s
    whole = sum(seconds.values())
    return {kind: value / whole if whole else 0.0 for kind, value in seconds.items()}


def expanded(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the regression works on: scaled figures, their squares, and one."""
    rows = np.clip(scaled, -_FARTHEST, _FARTHEST)
    return np.concatenate([rows, rows**2, np.ones((*rows.shape[:-1], 1))], axis=-1)


def probabilities(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how likely speech, music and noise are, by the figures of a step."""
    mean, scale, weights = _weights()
    odds = expanded((figures - mean) / scale) @ weights
    likely = np.exp(odds - odds.max())
    return np.asarray(likely / likely.sum())


@cache
def _weights() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    table = tomllib.loads(_WEIGHTS.read_text(encoding="utf-8"))
    rows = np.array([table["weights"][kind] for kind in KINDS[:3]])
    return np.array(table["mean"]), np.array(table["scale"]), rows.T


def _segments(kinds: list[int], duration_s: float) -> list[SoundSegment]:
    """Join steps of one kind; what is too short belongs to what was before."""
    found: list[SoundSegment] = []
    for kind, start, end in _runs(kinds):
        first, last = start * STEP_S, min(end * STEP_S, duration_s)
        if found and (end - start < _SHORTEST_STEPS or found[-1].kind == KINDS[kind]):
            found[-1] = SoundSegment(found[-1].start_s, last, found[-1].kind)
        elif last > first:
            found.append(SoundSegment(first, last, KINDS[kind]))
    return found


def _runs(kinds: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield kind, first step and end of every run."""
    start = 0
    for step in range(1, len(kinds) + 1):
        if step == len(kinds) or kinds[step] != kinds[start]:
            yield kinds[start], start, step
            start = step

"""Mains hum: steady lines at the multiples of 50 or 60 Hz.

Method: in windows of 0.2 s (Hann) every multiple of 50 and of 60 Hz falls on a bin of its own, with
the other mains' lines in the zeros of the window. Over 2 s the bins of a line are turned back by
every base within 0.3 Hz (grids keep 0.2 Hz: ENTSO-E; sound cards add some ppm) and summed: a
steady sine adds up, speech and noise do not. What is louder than the median is cut down to it
first, so that speech in the same bin does not count (as csrc/ae_hum_search.h does, which steers the
removal; here the level is wanted too). The level is that of the median frame in the line's phase.
Memory: 2 s of 24 lines. Cost: one FFT of 0.2 s every 50 ms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from audio_engine.analysis.event import Event
from audio_engine.analysis.windows import Windows
from audio_engine.processors.audio import AudioArray

MAINS_HZ = (50.0, 60.0)
_LINES = 12
_FRAME_S, _HOP_S = 0.2, 0.05
_SPAN, _SPAN_HOP = 40, 20  # frames of one decision (2 s) and from one to the next
_OFFSETS_HZ = np.linspace(-0.3, 0.3, 31)
_COHERENT = 0.55  # of a line; noise in overlapping frames reaches 0.4 once in a thousand
_COUNTED = 0.2  # of a line whose level counts, once the base is known
_SUM_COHERENT = 1.4  # of the lines of one base that count
_LOW_LINES = 4  # one of the first four has to be there
_STEADIEST = 0.9  # one line alone must be as coherent as that
_SHARE = 0.03  # of the strongest line; what lies 30 dB below it is its leakage or nothing
_QUIETEST = 3e-5  # amplitude; the rounding to 16 bits of a steady tone is steady too
_SAME_HZ = 0.1
_LOWEST_DBFS = -75.0  # of the whole hum; nobody hears 50 Hz below that

Spectrum = NDArray[np.complex128]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hum:
    """Hum in a stretch of 2 s.

    Attributes
    ----------
    base_hz : float
        Found frequency of the mains.
    level_dbfs : float
        Level (rms) of all lines together; a sine of full scale has -3.
    lines_dbfs : tuple of float
        Level of each multiple from the first on; ``-inf`` where it is not steady.
    """

    base_hz: float
    level_dbfs: float
    lines_dbfs: tuple[float, ...]


class HumDetector:
    """Find mains hum, block by block.

    Parameters
    ----------
    sample_rate_hz : int
        Rate of the signal, 8000 Hz or more.
    channels : int
        Channels of the blocks; the one with the most hum counts.

    Attributes
    ----------
    found : list of (float, Hum or None)
        Start in seconds of each stretch of 2 s judged so far, one a second, and what is in it.

    Examples
    --------
    >>> time = np.arange(5 * 16000) / 16000
    >>> hum = 0.01 * (np.sin(2 * np.pi * 50 * time) + np.sin(2 * np.pi * 100 * time))
    >>> detector = HumDetector(16000, 1)
    >>> detector.add(hum[:, np.newaxis].astype(np.float32))
    >>> [f"{event.value:.1f} {event.unit}" for event in detector.finish()]
    ['-40.0 dBFS']
    """

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        size = round(_FRAME_S * sample_rate_hz)
        hop = round(_HOP_S * sample_rate_hz)
        self._hop_s = hop / sample_rate_hz
        self._windows = Windows(size, hop, channels)
        self._shape = np.hanning(size + 1)[:-1, np.newaxis].astype(np.float32)
        self._gain = 2.0 / float(
            self._shape.sum(dtype=np.float64)
        )  # a sine of amplitude 1 has a bin of 1
        lines_hz = np.outer(MAINS_HZ, np.arange(1, _LINES + 1)).ravel()
        self._bins = np.rint(lines_hz * size / sample_rate_hz).astype(int)
        self._turn = -2j * np.pi * lines_hz / sample_rate_hz
        self._frames: list[Spectrum] = []
        self._first_s = 0.0
        self.found: list[tuple[float, Hum | None]] = []

    def add(self, block: AudioArray) -> None:
        """Take the next block: float32, shape (frames, channels), full scale +-1."""
        for start, window in self._windows.add(block):
            spectrum = np.fft.rfft(window * self._shape, axis=0)[self._bins] * self._gain
            self._frames.append(spectrum * np.exp(self._turn * start)[:, np.newaxis])
            if len(self._frames) == _SPAN:
                self.found.append((self._first_s, self._judge(np.array(self._frames))))
                del self._frames[:_SPAN_HOP]
                self._first_s += _SPAN_HOP * self._hop_s

    def finish(self) -> list[Event]:
        """Return the events; value: level of the hum in dBFS where it was loudest."""
        events: list[Event] = []
        span_s = _SPAN * self._hop_s
        for start_s, hum in self.found:
            if hum is None:
                continue
            value, first_s = hum.level_dbfs, start_s
            if events and start_s <= events[-1].end_s + 0.01:
                before = events.pop()
                value, first_s = max(value, before.value), before.start_s
            events.append(
                Event(kind="hum", start_s=first_s, end_s=start_s + span_s, value=value, unit="dBFS")
            )
        return events

    def lasting(self) -> Hum | None:
        """Return the hum of two stretches in a row that have it at one frequency; else None.

        Speech hides hum in some stretches of a recording; what is found twice at the same base was
        there all the time. The level is that of the median one.
        """
        hums = [
            after
            for (_, before), (_, after) in pairwise(self.found)
            if before and after and abs(before.base_hz - after.base_hz) <= _SAME_HZ
        ]
        return sorted(hums, key=lambda h: h.level_dbfs)[len(hums) // 2] if hums else None

    def _judge(self, frames: Spectrum) -> Hum | None:
        """Judge 2 s of spectra, shape (frames, lines, channels)."""
        hums = [
            hum
            for channel in range(frames.shape[2])
            for index, mains_hz in enumerate(MAINS_HZ)
            if (
                hum := _hum_in(
                    frames[:, index * _LINES : (index + 1) * _LINES, channel], mains_hz, self._hop_s
                )
            )
        ]
        return max(hums, key=lambda hum: hum.level_dbfs, default=None)


@cache
def _turns(hop_s: float) -> Spectrum:
    """Return what turns the lines of every frame back, by each offset: [offset, frame, line]."""
    time_s, multiples = hop_s * np.arange(_SPAN), np.arange(1, _LINES + 1)
    hz = _OFFSETS_HZ[:, None, None] * multiples
    return np.asarray(np.exp(-2j * np.pi * hz * time_s[:, None]))


def _hum_in(lines: Spectrum, mains_hz: float, hop_s: float) -> Hum | None:
    """Look for one mains in the spectra of its lines, shape (frames, lines)."""
    size = np.abs(lines)
    median = np.median(size, axis=0)
    cut = lines * np.minimum(1.0, median / np.maximum(size, 1e-12))
    turns = _turns(hop_s)
    sums = np.einsum("fl,ofl->ol", cut, turns)
    energy = len(lines) * np.sum(np.abs(cut) ** 2, axis=0)
    heard = median >= max(_SHARE * float(median.max()), _QUIETEST)
    coherence = heard * np.abs(sums) ** 2 / np.maximum(energy, 1e-20)
    score = np.where(coherence >= _COHERENT, coherence, 0.0).sum(axis=1)
    best = int(np.argmax(score))
    steady = coherence[best] >= _COHERENT
    low = steady[:_LOW_LINES].any()
    alone = steady[0] and coherence[best, 0] >= _STEADIEST
    if not low or not (score[best] >= _SUM_COHERENT or alone):
        return None
    phase = sums[best] / np.maximum(np.abs(sums[best]), 1e-20)
    aligned = np.real(lines * turns[best] * np.conj(phase))
    steady = coherence[best] >= _COUNTED
    amplitude = np.where(steady, np.maximum(np.median(aligned, axis=0), 1e-9), 0.0)
    level_dbfs = 10.0 * math.log10(float(np.sum(amplitude**2)) / 2.0)
    if level_dbfs < _LOWEST_DBFS:
        return None
    with np.errstate(divide="ignore"):
        lines_dbfs = 20.0 * np.log10(amplitude) - 10.0 * math.log10(2.0)
    return Hum(
        base_hz=mains_hz + float(_OFFSETS_HZ[best]),
        level_dbfs=level_dbfs,
        lines_dbfs=tuple(float(each) for each in lines_dbfs),
    )

"""Clipping: runs of samples at full scale, and flat tops below it.

Flat tops below full scale come from a signal that was clipped first and turned down after that: by
a microphone's preamplifier, a phone, a digital volume. A top is flat if three samples or more are
equal to one step of 16 bits, with a corner on both sides. A parabola that is flat to one step over
three samples leaves by three steps at most, so a round top of a low voice or a sine is none; and
a second top of the same height within a second must say the same. A recording that was quiet and
turned up afterwards has coarser steps; the corner is measured in its own.
Memory: 0.15 s. Cost: a few passes of numpy over the samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_engine.analysis.event import Event
from audio_engine.analysis.windows import Windows
from audio_engine.processors.audio import AudioArray

_HOP_S, _MARGIN_S = 0.1, 0.02
_RUN = 3  # samples in a row at full scale: two may be a peak that was brought there on purpose
_STEP = 1.05 * 2.0**-15  # one step of 16 bits: what dither moves
_LOWEST = 0.05  # -26 dBFS: lower tops are quiet speech with few steps in it
_CORNER_STEPS, _CORNER_SHARE = 4.0, 0.005  # how far the neighbours of a flat top lie below it
_AROUND_S = 0.005  # a flat top is the highest of its surroundings
_SAME_SHARE = 0.002  # tops of one height
_CONFIRM_S = 1.0
_MERGE_S = 0.2

Mask = NDArray[np.bool_]


class ClippingDetector:
    """Find where a signal was clipped, block by block.

    Parameters
    ----------
    sample_rate_hz : int
        Rate of the signal.
    channels : int
        Channels of the blocks.
    full_scale : float
        The largest positive sample that the format can hold: 1 - 2**-15 for 16 bits, 1.0 for float.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    >>> detector = ClippingDetector(48000, 1, 1.0)
    >>> detector.add(0.5 * np.clip(1.5 * tone, -1, 1)[:, np.newaxis].astype(np.float32))
    >>> [event.kind for event in detector.finish()]
    ['clipping']
    """

    def __init__(self, sample_rate_hz: int, channels: int, full_scale: float = 1.0) -> None:
        self._rate_hz, self._full_scale = sample_rate_hz, full_scale
        self._margin = round(_MARGIN_S * sample_rate_hz)
        self._hop = round(_HOP_S * sample_rate_hz)
        self._windows = Windows(self._hop + 2 * self._margin, self._hop, channels)
        silence = np.zeros((self._margin, channels), np.float32)
        self._padding = silence
        self._tops: list[list[tuple[int, float, int]]] = [[] for _ in range(channels)]
        self._found: list[tuple[int, int, int]] = []  # first frame, last frame, samples
        self._done: list[tuple[int, int, int]] = []  # those that nothing can join any more
        self._take(silence)

    def add(self, block: AudioArray) -> None:
        """Take the next block: float32, shape (frames, channels), full scale +-1."""
        self._take(block)

    def finish(self) -> list[Event]:
        """Judge the rest and return the events; value: samples clipped, in all channels."""
        self._take(np.tile(self._padding, (1 + self._hop // self._margin + 2, 1)))
        events: list[Event] = []
        for first, last, count in self._done + self._found:
            start_s, end_s = first / self._rate_hz, (last + 1) / self._rate_hz
            events.append(
                Event(kind="clipping", start_s=start_s, end_s=end_s, value=float(count), unit="")
            )
        return events

    def _take(self, block: AudioArray) -> None:
        for start, window in self._windows.add(block):
            first_frame = start - self._margin  # the stream was padded by a margin
            for channel in range(window.shape[1]):
                self._judge(first_frame, window[:, channel], self._tops[channel])
            # kept sorted by the order of windows; channels may interleave within one
            self._found = _merged(self._found, round(_MERGE_S * self._rate_hz))
            horizon = first_frame - round((_CONFIRM_S + _MERGE_S) * self._rate_hz)
            while self._found and self._found[0][1] < horizon:
                self._done.append(self._found.pop(0))

    def _judge(self, start: int, x: AudioArray, tops: list[tuple[int, float, int]]) -> None:
        """Note what is clipped in the middle of a window of one channel."""
        mine = slice(self._margin, self._margin + self._hop)
        magnitude = np.abs(x)
        if float(magnitude.max()) < _LOWEST:
            return
        clipped = _in_runs(magnitude >= self._full_scale)
        for first, last in self._flat_tops(x, clipped):
            if not mine.start <= first < mine.stop:
                continue
            level, at = float(magnitude[first]), start + first
            horizon = at - round(_CONFIRM_S * self._rate_hz)
            tops[:] = [top for top in tops if top[0] >= horizon]
            same = [top for top in tops if abs(top[1] - level) <= _SAME_SHARE * level + 2 * _STEP]
            tops.append((at, level, last - first + 1))
            if not same:
                continue
            if len(same) == 1:  # the first of them is confirmed now
                self._found.append((same[0][0], same[0][0] + same[0][2] - 1, same[0][2]))
            self._found.append((at, at + last - first, last - first + 1))
        frames = np.flatnonzero(clipped[mine]) + start + mine.start
        if len(frames):
            breaks = np.flatnonzero(np.diff(frames) > 1) + 1
            for run in np.split(frames, breaks):
                self._found.append((int(run[0]), int(run[-1]), len(run)))

    def _flat_tops(self, x: AudioArray, clipped: Mask) -> list[tuple[int, int]]:
        """Return first and last index of each flat top that lies below full scale."""
        sign = np.sign(x)
        moved = np.abs(np.diff(x))
        flat = (moved <= _STEP) & (np.abs(x[1:]) >= _LOWEST)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
        around = round(_AROUND_S * self._rate_hz)
        own_step = float(np.min(moved[moved > _STEP], initial=2.0))
        found = []
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            # samples first .. last are equal
            if last - first + 1 < _RUN or first < 1 or last + 1 >= len(x) or clipped[first]:
                continue
            upward = x * sign[first]
            level = float(upward[first])
            corner = max(_CORNER_STEPS * own_step, _CORNER_SHARE * level)
            below = level - max(float(upward[first - 1]), float(upward[last + 1]))
            highest = float(upward[max(0, first - around) : last + 1 + around].max())
            if below >= corner and highest <= level + 2 * _STEP:
                found.append((first, last))
        return found


def _in_runs(over: Mask) -> Mask:
    """Return where at least `_RUN` (three) neighbours in a row are true."""
    core = over[:-2] & over[1:-1] & over[2:]
    wide = np.zeros_like(over)
    for shift in range(_RUN):
        wide[shift : shift + len(core)] |= core
    return wide


def _merged(found: list[tuple[int, int, int]], gap: int) -> list[tuple[int, int, int]]:
    """Join pieces that lie closer than `gap` frames."""
    joined: list[tuple[int, int, int]] = []
    for first, last, count in sorted(found):
        if joined and first - joined[-1][1] < gap:
            before = joined[-1]
            joined[-1] = (before[0], max(before[1], last), before[2] + count)
        else:
            joined.append((first, last, count))
    return joined

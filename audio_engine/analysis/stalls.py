"""Drop-outs: sound that is missing inside sound, or that a stuck buffer plays again.

Two marks that no room makes: a run of exactly equal samples that cuts sound off at once, and a
stretch that equals, sample for sample, the one just before it. A gate or a synthetic voice reaches
digital silence too, but fades into it: the sound has to end at once, and one of the two edges has
to be loud. A tone whose period is a whole number of samples repeats as well: periods under 5 ms are
left out.
Cost: about 1 s of computing per 10 minutes at 48 kHz. Memory: 1/4 s of sound.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_engine.analysis.event import Event
from audio_engine.processors.audio import AudioArray

_SHORTEST_HOLE_S = 0.010  # a lost packet is 10 ms and more; shorter holes are heard as clicks
_LONGEST_HOLE_S = 2.0  # longer: a mute button or a pause between programmes
_EDGE_S = 0.003
_AROUND_S = 0.05
_EDGE_DBFS = -50.0  # what was cut off at less is not missed
_NOISE_DBFS = -70.0  # a pause with some noise in it cannot become digital silence by itself
_EDGE_UNDER_DB = 20.0  # under the sound around it the edge is a fade
_PIECE_S = 0.1
_SHORTEST_LAG_S, _LONGEST_LAG_S = 0.005, 0.1
_ANCHOR_S = 0.010  # distance of the places at which a repetition is looked for
_ANCHOR_SAMPLES = 48  # that have to agree exactly
_LONGEST_REPEAT_S = 1.0  # longer: a made tone
_MERGE_S = 0.2


class StallDetector:
    """Find drop-outs in a stream.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.
    channels : int
        1 to 8; sound is missing where it is missing in all of them.

    Notes
    -----
    Events of kind ``stall`` less than 0.2 s apart are one; `value` is the sound missing or repeated
    in it, in ms. Blocking never changes the result.
    """

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        self._rate_hz = sample_rate_hz
        self._piece = round(_PIECE_S * sample_rate_hz)
        self._edge = round(_EDGE_S * sample_rate_hz)
        self._history = round((_AROUND_S + _LONGEST_LAG_S) * sample_rate_hz)
        self._kept: AudioArray = np.zeros((0, channels), np.float32)  # history, then what is new
        self._known = 0  # frames of `kept` that have been looked at
        self._start = 0  # frame number of kept[0]
        self._hole: int | None = None  # where the run of equal samples that is open began
        self._edge_dbfs = -np.inf  # of the sound before it; minus infinity if it fades
        self._repeat: tuple[int, int, int] | None = None  # first frame, end, lag
        self._found: list[tuple[int, int]] = []

    def add(self, block: AudioArray) -> None:
        """Take the next block, float32 of shape (frames, channels), +-1.0."""
        self._kept = np.concatenate([self._kept, block])
        while len(self._kept) - self._known >= self._piece + self._edge:
            self._look(self._known + self._piece)

    def finish(self) -> list[Event]:
        """End the stream and return what was found, in order."""
        if len(self._kept) > self._known:
            self._look(len(self._kept))
        self._end_repeat()
        merged: list[list[float]] = []
        for first, end in sorted(self._found):
            start_s, end_s = first / self._rate_hz, end / self._rate_hz
            if merged and start_s - merged[-1][1] < _MERGE_S:
                merged[-1][2] += end_s - max(start_s, min(end_s, merged[-1][1]))
                merged[-1][1] = max(merged[-1][1], end_s)
            else:
                merged.append([start_s, end_s, end_s - start_s])
        return [
            Event(kind="stall", start_s=a, end_s=b, value=1000.0 * missing, unit="ms")
            for a, b, missing in merged
        ]

    def _look(self, end: int) -> None:
        """Judge the frames from `known` to `end`, then drop what is no longer needed."""
        self._look_for_holes(end)
        self._look_for_repeats(end)
        dropped = max(0, end - self._history)
        self._kept = self._kept[dropped:]
        self._start += dropped
        self._known = end - dropped

    def _look_for_holes(self, end: int) -> None:
        first = max(self._known, 1)
        still = np.all(self._kept[first:end] == self._kept[first - 1 : end - 1], axis=1)
        edges = np.diff(np.concatenate([[self._hole is not None], still]).astype(np.int8))
        # A sample that equals the one before it is part of a run that began one sample earlier.
        starts = np.flatnonzero(edges == 1) + first - 1
        ends = np.flatnonzero(edges == -1) + first
        if self._hole is not None and len(ends):
            self._end_hole(int(ends[0]))
            ends = ends[1:]
        shortest = _SHORTEST_HOLE_S * self._rate_hz
        for k in np.flatnonzero(ends - starts[: len(ends)] >= shortest).tolist():
            self._begin_hole(int(starts[k]))
            self._end_hole(int(ends[k]))
        if len(starts) > len(ends):
            self._begin_hole(int(starts[-1]))

    def _begin_hole(self, at: int) -> None:
        self._hole = self._start + at
        edge_dbfs = _level_dbfs(self._kept[max(0, at - self._edge) : at])
        around = self._kept[max(0, at - round(_AROUND_S * self._rate_hz)) : at]
        fades = edge_dbfs < _level_dbfs(around) - _EDGE_UNDER_DB
        self._edge_dbfs = -np.inf if fades else edge_dbfs

    def _end_hole(self, at: int) -> None:
        assert self._hole is not None
        frame = self._start + at
        seconds = (frame - self._hole) / self._rate_hz
        after_dbfs = _level_dbfs(self._kept[at : at + self._edge])
        is_cut = self._edge_dbfs > _EDGE_DBFS or (
            self._edge_dbfs > _NOISE_DBFS and after_dbfs > _EDGE_DBFS
        )
        if is_cut and _SHORTEST_HOLE_S <= seconds <= _LONGEST_HOLE_S:
            self._found.append((self._hole, frame))
        self._hole = None

    def _look_for_repeats(self, end: int) -> None:
        """Search before every anchor for the place that the samples there are a copy of."""
        mono = np.ascontiguousarray(self._kept[:end, 0])
        step = round(_ANCHOR_S * self._rate_hz)
        longest = round(_LONGEST_LAG_S * self._rate_hz)
        first = self._known + (-(self._start + self._known)) % step
        for at in range(first, end, step):
            here = at - _ANCHOR_SAMPLES
            if here < 1:
                continue
            piece = mono[here : here + _ANCHOR_SAMPLES]
            if piece.max() - piece.min() < 10.0 ** (_EDGE_DBFS / 20.0):
                continue  # silence repeats itself
            lag = self._lag_of(mono, here, longest)
            if lag < _SHORTEST_LAG_S * self._rate_hz:
                self._end_repeat()
                continue
            place = self._start + here
            if self._repeat is None or self._repeat[2] != lag:
                self._end_repeat()
                back = _equal_backwards(mono, here, lag)
                self._repeat = (place - back, place + _ANCHOR_SAMPLES, lag)
            self._repeat = (self._repeat[0], place + _ANCHOR_SAMPLES, lag)

    def _lag_of(self, mono: NDArray[np.float32], here: int, longest: int) -> int:
        """Return the shortest lag at which the samples from `here` on are a copy; 0: none."""
        wanted = mono[here : here + _ANCHOR_SAMPLES]
        before = mono[max(0, here - longest) : here + _ANCHOR_SAMPLES - 1].tobytes()
        place, end = -1, len(before)
        while (place := before.rfind(wanted.tobytes(), 0, end)) >= 0:
            if place % mono.itemsize == 0:
                return here - max(0, here - longest) - place // mono.itemsize
            end = place + wanted.nbytes - 1
        return 0

    def _end_repeat(self) -> None:
        if self._repeat is not None:
            first, end, lag = self._repeat
            if 0.5 * lag <= end - first <= _LONGEST_REPEAT_S * self._rate_hz:
                self._found.append((first, end))
        self._repeat = None


def _equal_backwards(mono: NDArray[np.float32], here: int, lag: int) -> int:
    """Return how many samples before `here` are a copy too."""
    reach = min(here - lag, lag)
    before = mono[here - reach : here][::-1] == mono[here - lag - reach : here - lag][::-1]
    return reach if before.all() else int(np.argmin(before))


def _level_dbfs(block: AudioArray) -> float:
    if not len(block):
        return -np.inf
    return 10.0 * float(np.log10(np.mean(np.square(block, dtype=np.float64)) + 1e-20))

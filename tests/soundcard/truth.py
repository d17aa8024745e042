"""What was played against what should have been: where it begins, and where it breaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A stretch of `heard` that is not the wanted signal's next samples."""

    at_frame: int
    frames: int


def find(wanted: Samples, heard: Samples, *, probe_frames: int = 24000) -> int:
    """Frame of `heard` where `wanted` begins (may be negative), by its best-matching piece."""
    middle = max(0, min(len(wanted), len(heard)) // 2 - probe_frames // 2)
    probe = wanted[middle : middle + probe_frames]
    match = correlate(heard.astype(np.float64), probe.astype(np.float64), "valid", "fft")
    return int(np.argmax(np.abs(match))) - middle


def breaks(
    wanted: Samples, heard: Samples, *, tolerance: float = 1e-4, join_frames: int = 240
) -> list[Break]:
    """List where `heard` departs from a running copy of `wanted`; silence around it is none.

    Differences closer than `join_frames` are one break. A jump (lost or repeated frames) is one
    break as long as the rest of the signal, so the sum of frames says how bad it is.
    """
    begin = find(wanted, heard)
    first, last = max(begin, 0), min(begin + len(wanted), len(heard))
    sound = np.flatnonzero(np.abs(heard) > tolerance)
    if len(sound) == 0:
        return [Break(at_frame=0, frames=len(heard))]
    first, last = max(first, int(sound[0])), min(last, int(sound[-1]) + 1)
    wrong = np.abs(heard[first:last] - wanted[first - begin : last - begin]) > tolerance
    at = np.flatnonzero(wrong)
    if len(at) == 0:
        return []
    groups = np.split(at, np.flatnonzero(np.diff(at) > join_frames) + 1)
    return [
        Break(at_frame=first + int(group[0]), frames=int(group[-1] - group[0]) + 1)
        for group in groups
    ]

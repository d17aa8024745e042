"""What was played against what should have been: where it begins, and where it breaks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

Samples = NDArray[np.float32]


class FarEnd(NamedTuple):
    """A file for the loudspeaker, and its samples."""

    path: Path
    samples: Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A stretch of `heard` that is not the wanted signal's next samples."""

    at_frame: int
    frames: int


def sounding(heard: Samples, threshold: float = 1e-4) -> tuple[int, int]:
    """First frame that is not silent, and the frame after the last one."""
    at = np.flatnonzero(np.abs(heard) > threshold)
    return (int(at[0]), int(at[-1]) + 1) if len(at) else (0, 0)


def find(wanted: Samples, heard: Samples, *, probe_frames: int = 24000) -> int:
    """Frame of `heard` where `wanted` begins (may be negative), by the middle of what is heard."""
    first, last = sounding(heard)
    at = max(first, (first + last - probe_frames) // 2)
    probe = heard[at : min(at + probe_frames, last)].astype(np.float64)
    match = correlate(wanted.astype(np.float64), probe, "valid", "fft")
    return at - int(np.argmax(np.abs(match)))


def breaks(
    wanted: Samples,
    heard: Samples,
    *,
    tolerance: float = 1e-4,
    edge_frames: int = 0,
    join_frames: int = 240,
) -> list[Break]:
    """List where `heard` departs from a running copy of `wanted`; silence around it is none.

    A fade at either end is none where it is shorter than `edge_frames`. Differences closer than
    `join_frames` are one break. A jump (lost or repeated frames) is one break as long as the rest
    of the signal, so the sum of frames says how bad it is.
    """
    first, last = sounding(heard, tolerance)
    if first == last:
        return [Break(at_frame=0, frames=len(heard))]
    begin = find(wanted, heard)
    first = max(begin, first) + edge_frames
    last = min(begin + len(wanted), last) - edge_frames
    wrong = np.abs(heard[first:last] - wanted[first - begin : last - begin]) > tolerance
    at = np.flatnonzero(wrong)
    if len(at) == 0:
        return []
    groups = np.split(at, np.flatnonzero(np.diff(at) > join_frames) + 1)
    return [
        Break(at_frame=first + int(group[0]), frames=int(group[-1] - group[0]) + 1)
        for group in groups
    ]

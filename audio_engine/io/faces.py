"""Mouths over time: what a tracker sees in each picture becomes one line of signals per face.

A `MouthTracker` looks at single pictures and knows no yesterday; `FaceTracks` joins its faces over
time. Within a shot a face is who is near where it was. Across a cut (`CutDetector`) it is who is at
the same place in the same size - shots come back - or, where one face was alone before the cut and
one is alone after it, that one: edited talk jumps and zooms. A face that ends up with another
person's pictures costs only evidence: wherever the lips do not follow the sound they say nothing.

The mouth signals are the geometry and the motion of the mouth over the distance between the eyes,
after the landmark numbering of MediaPipe's face mesh; the lip-sync weights are trained on these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audio_engine.io.video import Rgb

FloatArray = NDArray[np.float32]
#: Left, top, width and height as shares of the picture.
Box = tuple[float, float, float, float]

# Landmarks of the face mesh: corners of the eyes, inner lips all around, single points.
_LEFT_EYE, _RIGHT_EYE = (33, 133), (362, 263)
_INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80,
               191)  # fmt: skip
_LIP_GAPS = ((13, 14), (82, 87), (312, 317))
_CORNERS, _OUTER_LIPS, _NOSE_TO_CHIN = (61, 291), (0, 17), (1, 152)
_MOUTH = (61, 291, 13, 14)
_PATCH = 32  # pixels of the mouth patch, each way
_PATCH_EYE_DISTANCES = 1.1  # what the patch shows
_PATCH_COARSEST = 3.8  # picture pixels per patch pixel up to which single points are sampled
_SMALLEST_EYE_DISTANCE = 4.0  # pixels; below this the mouth is a pixel or two
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Face:
    """A face in one picture.

    Attributes
    ----------
    box : tuple of float
        Left, top, width and height as shares of the picture.
    mouth : ndarray of float32
        The tracker's signals but `motion`: openness, width, area, outer, chin - or openness alone.
    patch : ndarray of float32, shape (32, 32), or None
        Luma of the mouth, 0 to 255, upright and in the size of the face: `motion` comes from it.
        Given by trackers of all signals, None of those of openness alone.
    """

    box: Box
    mouth: FloatArray
    patch: FloatArray | None = None


class MouthTracker(Protocol):
    """Finds the faces of single pictures and measures their mouths.

    Attributes
    ----------
    signals : sequence of str
        The mouth signals it gives: all of ``MOUTH_SIGNALS``, or ``("openness",)``.
    delay_s : float
        By how much the mouth it reports is behind the picture.
    short_side : int or None
        Larger pictures are made smaller before they are handed in.
    """

    signals: Sequence[str]
    delay_s: float
    short_side: int | None

    def faces(self, time_s: float, rgb: Rgb) -> list[Face]:
        """Return the faces of a picture; `time_s` increases from call to call."""

    def cut(self) -> None:
        """Take note that the next picture is of another shot."""

    def close(self) -> None:
        """Give back what the tracker holds; doing so twice is fine."""


def mouth_of(points: NDArray[np.float64], rgb: Rgb) -> Face | None:
    """Measure a mouth by the landmarks of a face.

    Parameters
    ----------
    points : ndarray of float64, shape (468 or more, 2)
        Landmarks of MediaPipe's face mesh in pixels.
    rgb : ndarray of uint8, shape (height, width, 3)
        The picture.

    Returns
    -------
    Face or None
        None when the face is too small to have a mouth.
    """
    eyes = points[list(_RIGHT_EYE)].mean(axis=0) - points[list(_LEFT_EYE)].mean(axis=0)
    scale = float(np.hypot(*eyes))
    if not _SMALLEST_EYE_DISTANCE <= scale < np.inf:
        return None

    def _distance(pair: tuple[int, int]) -> float:
        return float(np.hypot(*(points[pair[0]] - points[pair[1]]))) / scale

    x, y = points[list(_INNER_LIPS)].T
    area = abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2.0 / scale**2
    gap = sum(_distance(pair) for pair in _LIP_GAPS) / len(_LIP_GAPS)
    mouth = (gap, _distance(_CORNERS), area, _distance(_OUTER_LIPS), _distance(_NOSE_TO_CHIN))
    height, width = rgb.shape[:2]
    low, high = points.min(axis=0) / (width, height), points.max(axis=0) / (width, height)
    box = (float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))
    centre = points[list(_MOUTH)].mean(axis=0)
    return Face(box, np.array(mouth, np.float32), _patch_at(rgb, centre, eyes))


def _patch_at(rgb: Rgb, centre: NDArray[np.float64], eyes: NDArray[np.float64]) -> FloatArray:
    """Sample the luma around the mouth, turned so that the eyes are level; black outside."""
    step = float(np.hypot(*eyes)) * _PATCH_EYE_DISTANCES / _PATCH
    fine = int(np.ceil(step / _PATCH_COARSEST))  # points per patch pixel each way, against aliasing
    grid = (np.arange(_PATCH * fine) + 0.5) / fine - 0.5 - _PATCH / 2
    across, down = np.meshgrid(grid * step, grid * step)
    cosine, sine = eyes / np.hypot(*eyes)
    x = centre[0] + across * cosine - down * sine
    y = centre[1] + across * sine + down * cosine
    sampled = _bilinear_luma(rgb, x, y)
    return np.asarray(sampled.reshape(_PATCH, fine, _PATCH, fine).mean(axis=(1, 3)), np.float32)


def _bilinear_luma(rgb: Rgb, x: NDArray[np.float64], y: NDArray[np.float64]) -> FloatArray:
    height, width = rgb.shape[:2]
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right_share, down_share = (x - left).astype(np.float32), (y - top).astype(np.float32)

    def _luma(column: NDArray[np.int64], row: NDArray[np.int64]) -> FloatArray:
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixels = rgb[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        return np.where(inside, pixels @ _LUMA, np.float32(0.0))

    upper = _luma(left, top) * (1 - right_share) + _luma(left + 1, top) * right_share
    lower = _luma(left, top + 1) * (1 - right_share) + _luma(left + 1, top + 1) * right_share
    return np.asarray(upper * (1 - down_share) + lower * down_share, np.float32)


class CutDetector:
    """Tells where one shot ends: the whole picture changes, and more than it just did.

    Cuts within one view (a talker's pauses cut out) do not show here, nor need they: what jumps
    then is one face, and `FaceTracks` sees that.
    """

    _CELLS = (12, 16)
    _LEVELS = 24.0  # mean change of the cells' luma, of 255: motion and flicker stay below
    _TIMES = 4.0  # over the usual change: shaking cameras are no cuts
    _USUAL = 0.2  # share of the newest picture in the usual change

    def __init__(self) -> None:
        self._cells: FloatArray | None = None
        self._usual = 0.0

    def push(self, rgb: Rgb) -> bool:
        """Take the next picture; return whether it is the first of another shot."""
        rows, columns = self._CELLS
        height, width = rgb.shape[:2]
        # A few points per cell, of the green channel, are mean enough.
        row = np.linspace(0, height - 1, rows * 4).astype(int)
        column = np.linspace(0, width - 1, columns * 4).astype(int)
        points = rgb[row[:, np.newaxis], column, 1].astype(np.float32)
        cells = points.reshape(rows, 4, columns, 4).mean(axis=(1, 3))
        before, self._cells = self._cells, cells
        if before is None:
            return False
        change = float(np.abs(cells - before).mean())
        cut = change > max(self._LEVELS, self._TIMES * self._usual)
        if not cut:
            self._usual += self._USUAL * (change - self._usual)
        return cut


@dataclass(slots=True)
class FaceTrack:
    """One face over time.

    Attributes
    ----------
    index : int
        Its number in the order of appearance, from 0.
    pictures : int
        How many pictures show it.
    last_s : float
        When it was seen last.
    """

    index: int
    box: Box
    pictures: int = 0
    last_s: float = -np.inf
    _box_sum: FloatArray | None = None
    _patch: FloatArray | None = None
    _picture: int = -2
    _shot: int = -1

    @property
    def mean_box(self) -> Box:
        """Mean place: left, top, width, height as shares of the picture."""
        if self._box_sum is None:
            return self.box
        left, top, width, height = (float(v) / self.pictures for v in self._box_sum)
        return left, top, width, height


@dataclass(frozen=True, slots=True)
class Seen:
    """A track in one picture: its mouth signals, and whether nothing leads to them from before."""

    track: FaceTrack
    mouth: FloatArray
    cut: bool


class FaceTracks:
    """The faces of a video, joined over time."""

    _NEAR = 0.7  # of the face's size: within a shot the same face is this near, and
    _FASTER_PER_S = 1.5  # further away the longer it was not seen, up to
    _FAR = 2.0
    _SIZE_RATIO = 1.7
    _OVERLAP = 0.3  # intersection over union of the same face in a shot that comes back
    _JUMP = 0.3  # of its size from one picture to the next: a cut within one view
    _ALIVE_S = 0.5
    _MOST = 32  # tracks that can still go on; of hours with many faces the oldest are let go

    def __init__(self) -> None:
        self._tracks: list[FaceTrack] = []
        self._count = 0
        self._picture = 0
        self._shot = 0
        self._lone: FaceTrack | None = None  # that alone was there when the shot before ended

    def cut(self, time_s: float) -> None:
        """Begin another shot; the next picture is its first."""
        shown = [track for track in self._tracks if track._shot == self._shot]
        alive = [track for track in shown if time_s - track.last_s < self._ALIVE_S]
        self._lone = alive[0] if len(alive) == 1 else None
        self._shot += 1

    def push(self, time_s: float, faces: Sequence[Face]) -> list[Seen]:
        """Take the faces of the next picture; return the tracks that are in it."""
        self._picture += 1
        pairs = sorted(
            (cost, i, j)
            for i, face in enumerate(faces)
            for j, track in enumerate(self._tracks)
            if (cost := self._cost(track, face, time_s, len(faces))) is not None
        )
        found: dict[int, FaceTrack] = {}
        for _, i, j in pairs:
            track = self._tracks[j]
            if i not in found and track not in found.values():
                found[i] = track
        return [self._see(found.get(i) or self._new(face), face, time_s)
                for i, face in enumerate(faces)]  # fmt: skip

    def _cost(self, track: FaceTrack, face: Face, time_s: float, faces: int) -> float | None:
        """Return how unlike a track a face is, None if it cannot be the same."""
        distance, ratio = _apart(track.box, face.box)
        if track._shot == self._shot:
            reach = min(self._FAR, self._NEAR + self._FASTER_PER_S * (time_s - track.last_s))
            return distance if distance < reach and ratio < self._SIZE_RATIO else None
        overlap = _overlap(track.box, face.box)
        if overlap > self._OVERLAP:  # after who is in this shot already; the newest shots first
            return 10.0 + (self._shot - track._shot) * 1e-3 + (1.0 - overlap)
        if track is self._lone and faces == 1 and not self._shot_has_faces():
            return 20.0
        return None

    def _shot_has_faces(self) -> bool:
        return any(track._shot == self._shot for track in self._tracks)

    def _new(self, face: Face) -> FaceTrack:
        if len(self._tracks) >= self._MOST:
            self._tracks.remove(min(self._tracks, key=lambda track: track.last_s))
        self._tracks.append(FaceTrack(self._count, face.box))
        self._count += 1
        return self._tracks[-1]

    def _see(self, track: FaceTrack, face: Face, time_s: float) -> Seen:
        follows = track._picture == self._picture - 1
        jumped = follows and _apart(track.box, face.box)[0] > self._JUMP
        cut = track.pictures > 0 and (jumped or track._shot != self._shot)
        mouth = face.mouth
        if face.patch is not None:
            motion = np.nan
            if follows and not cut and track._patch is not None:
                motion = float(np.abs(face.patch - track._patch).mean())
            mouth = np.append(mouth, np.float32(motion))
        box = np.array(face.box, np.float32)
        track._box_sum = box if track._box_sum is None else track._box_sum + box
        track.box, track.last_s, track._patch = face.box, time_s, face.patch
        track._picture, track._shot = self._picture, self._shot
        track.pictures += 1
        return Seen(track, mouth, cut)


def _apart(a: Box, b: Box) -> tuple[float, float]:
    """Return the distance of two boxes' centres over their size, and the ratio of their sizes."""
    across = abs(a[0] + a[2] / 2 - b[0] - b[2] / 2) / max(1e-6, (a[2] + b[2]) / 2)
    down = abs(a[1] + a[3] / 2 - b[1] - b[3] / 2) / max(1e-6, (a[3] + b[3]) / 2)
    ratio = max(a[3], 1e-6) / max(b[3], 1e-6)
    return float(np.hypot(across, down)), max(ratio, 1.0 / ratio)


def _overlap(a: Box, b: Box) -> float:
    """Return the intersection of two boxes over their union."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    return both / max(1e-12, a[2] * a[3] + b[2] * b[3] - both)

"""Flash and beep: measure the offset of sound and picture without a face, to the millisecond.

Something in the picture lights up and beeps at the same moment, several times with gaps that are
not all alike: an application on a phone, the file that `write_clapper` makes, a sync pen.

Flash: each pixel of a small picture counts as much as it rises with the others, so that a lit phone
in a corner is enough; what stays bright (a cut, an exposure that adapts) is no flash, because a
running median takes it along. A flash begins with the first frame above half its height.
Beep: the tone is the frequency that sets in most sharply, and most tonally, over all onsets. Each
onset is the moment at which the tone's amplitude over the 12 ms after it exceeds that of the 12 ms
before by the most: a matched edge, good to well under 1 ms in noise that is as loud as the tone.
Pairs: of all differences within +-1.2 s the ones that agree; if gaps are alike, two answers agree
equally well, and there is none.

A camera shows a flash from the first frame on that saw more than half of it: one pair is good to
half a frame, the mean of n pairs to half a frame / sqrt(n).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine.io.video import SOUND_RATE_HZ, VideoReader, open_video
from audio_engine.processors.audio import AudioArray

FURTHEST_S = 1.2  # between a flash and its beep
LONGEST_S = 300.0  # of a file; what comes after it is not looked at
FEWEST_PAIRS = 3
_SHORT_SIDE = 18  # pixels: a phone at arm's length still covers some
_LONGEST_FLASH_S = 0.7
_SURROUNDINGS_S = 1.5  # of the running median: twice the longest flash
_FAINTEST = 1.0  # step of 255, on the pixels that count
_CLEAR = 6.0  # standard deviations of what is no flash
_SAME_HEIGHT = 0.4  # share of the usual height that a flash has at least
_TONES_HZ = (300.0, 6000.0)
_WINDOW, _HOP = 960, 240  # samples: 20 ms and 5 ms
_BACK = (5, 7, 10)  # hops: what an onset is compared with, all of it before the window
_CHUNK = 4096  # hops at a time
_FAINTEST_DB = 8.0  # onset against what was before, and tone against its neighbours
_SURE_DB = 40.0  # more does not make a beep more of a beep
_APART_S = 0.3
_MOST_TONES, _TONE_WIDTH = 4, 3  # candidates, and how far apart they are in bins of 50 Hz
_EDGE_S = 0.012  # shorter than any beep
_SEARCH_S = 0.03

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClapperMeasurement:
    """What `measure_clapper` found.

    Attributes
    ----------
    offset_ms : float or None
        > 0: the audio is late. A guess when the confidence is below 0.5.
    confidence : float
        0 to 1; from 0.5 on it is an answer.
    reason : str
        Empty for an answer, else ``no flash``, ``no beep``, ``too few pairs``, ``ambiguous`` (the
        gaps are alike) or ``scattered``.
    flashes, beeps, pairs : int
        How many were found, and how many belong together.
    spread_ms : float or None
        Half the range that holds the middle half of the pairs.
    precision_ms : float or None
        What the frame rate leaves open: half a frame / sqrt(pairs).
    """

    offset_ms: float | None
    confidence: float
    reason: str
    flashes: int
    beeps: int
    pairs: int
    spread_ms: float | None = None
    precision_ms: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as what JSON knows."""
        return asdict(self)


def measure_clapper(
    video: str | os.PathLike[str], *, progress: Callable[[float], None] | None = None
) -> ClapperMeasurement:
    """Measure the offset of a video that shows flashes and has the beeps that belong to them.

    Parameters
    ----------
    video : path-like
        With at least three flashes and beeps; eight or more make it precise. The gaps must differ.
        Of a longer file the first five minutes are measured.
    progress : callable or None
        Called with the share that is done, 0 to 1.

    Returns
    -------
    ClapperMeasurement
        > 0: the audio is late (ITU-R BT.1359 and EBU R37 print the opposite sign).

    Raises
    ------
    InputFileError
        If the video cannot be read, or has no picture or no sound.
    """
    with open_video(Path(video)) as reader:
        times_s, luma = _pictures(reader, progress or (lambda share: None))
        start_s, audio = _sound(reader)
    flashes_s = find_flashes(times_s, luma)
    tones_s = find_beeps(audio, max(FEWEST_PAIRS, len(flashes_s)))
    frame_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.04
    return pair_up(flashes_s, [start_s + beeps_s for beeps_s in tones_s], frame_s)


def _pictures(reader: VideoReader, progress: Callable[[float], None]) -> tuple[Floats, Any]:
    """Return the times of the pictures and their luma, (frames, height, width)."""
    times_s, rows = [], []
    for picture in reader.pictures(short_side=_SHORT_SIDE):
        times_s.append(picture.time_s)
        rows.append((picture.rgb @ np.array([0.299, 0.587, 0.114])).astype(np.uint8))
        if reader.duration_s:
            progress(min(1.0, picture.time_s / min(reader.duration_s, LONGEST_S)))
        if picture.time_s > LONGEST_S:
            break
    return np.array(times_s), np.stack(rows)


def _sound(reader: VideoReader) -> tuple[float, Floats]:
    """Return when the sound starts, and its samples."""
    blocks: list[AudioArray] = []
    start_s = 0.0
    for block in reader.sound():
        start_s = start_s if blocks else block.time_s
        blocks.append(block.audio)
        if block.time_s > LONGEST_S + FURTHEST_S:
            break
    return start_s, np.concatenate(blocks).astype(np.float64)


def find_flashes(times_s: Floats, luma: NDArray[np.uint8]) -> Floats:
    """Return the times of the first frame of each flash; `luma` is (frames, height, width)."""
    if len(times_s) < 8:
        return np.zeros(0)
    pixels = _with_blocks(luma.astype(np.float32))
    frame_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    later = np.minimum(
        np.arange(1, len(pixels)) + round(_LONGEST_FLASH_S / frame_s), len(pixels) - 1
    )
    rises = np.minimum(pixels[1:] - pixels[:-1], pixels[1:] - pixels[later])  # what goes back too
    noise = 1.4826 * np.median(np.abs(np.diff(pixels, axis=0)), axis=0) + 0.5
    usual = min(len(rises) - 1, max(3, round(len(rises) * frame_s / 3.0)))  # as many, or more
    chance = math.sqrt(2.0 * math.log(len(rises) / usual))  # what noise alone would give
    largest = np.partition(rises, len(rises) - usual, axis=0)[-usual:]
    found = _pulses(frame_s, pixels, largest.mean(axis=0), chance * noise, noise)
    if len(found):  # once more, with the pixels that rise at these very moments
        chance = 3.0 / math.sqrt(len(found))
        found = _pulses(frame_s, pixels, rises[found - 1].mean(axis=0), chance * noise, noise)
    return times_s[found]


def _with_blocks(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of pixels, and of means of 3 x 3 pixels, which are less noisy."""
    frames, height, width = luma.shape
    blocks = luma[:, : height // 3 * 3, : width // 3 * 3]
    blocks = blocks.reshape(frames, height // 3, 3, width // 3, 3).mean(axis=(2, 4))
    return np.concatenate([luma.reshape(frames, -1), blocks.reshape(frames, -1)], axis=1)


def _pulses(
    frame_s: float, pixels: NDArray[np.float32], height: Any, chance: Any, noise: Any
) -> NDArray[np.intp]:
    """Return the frames with which the picture becomes bright for a short while.

    Each pixel counts by its height above chance, over the variance of its noise.
    """
    from scipy.ndimage import median_filter

    weights = np.maximum(height - chance, 0.0) / noise**2
    if not weights.any():
        return np.zeros(0, np.intp)
    level = (pixels @ (weights / weights.sum())).astype(np.float64)
    around = 2 * round(0.5 * _SURROUNDINGS_S / frame_s) + 1
    bright = level - median_filter(level, around, mode="nearest")
    noise = 1.4826 * float(np.median(np.abs(bright - np.median(bright)))) + 0.05
    least = max(_FAINTEST, _CLEAR * noise)
    runs = [run for run in _runs(bright > least) if len(run) * frame_s < _LONGEST_FLASH_S]
    if not runs:
        return np.zeros(0, np.intp)
    heights = [float(bright[run].max()) for run in runs]
    usual = float(np.median(sorted(heights)[-5:]))
    kept = [run[bright[run] > 0.5 * bright[run].max()] for run in runs]
    firsts = [run[0] for run in kept if bright[run].max() > _SAME_HEIGHT * usual]
    return np.array([first for first in firsts if first > 0], np.intp)


def _runs(mask: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the indices of each stretch in which the mask is true."""
    inside = np.flatnonzero(mask)
    return np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1) if len(inside) else []


def find_beeps(audio: Floats, expected: int) -> list[Floats]:
    """Return the onsets, in s, of the tones that set in most clearly `expected` times, best first.

    A voice has onsets too; which of the tones is the beep is told by the flashes.
    """
    if len(audio) < 4 * _WINDOW:
        return []
    from scipy.signal import find_peaks

    apart = round(_APART_S * SOUND_RATE_HZ / _HOP)
    found = []
    for column in _onset_scores(audio).T:
        peaks, _ = find_peaks(column, height=_FAINTEST_DB, distance=apart)
        heights = np.sort(column[peaks])[::-1][:expected]
        kept = [peak for peak in peaks if column[peak] > 0.5 * np.median(heights)]
        found.append((float(heights.sum()) / expected, kept))
    tones: list[int] = []
    for i in np.argsort([-mean for mean, _ in found], kind="stable"):
        if found[i][0] < _FAINTEST_DB or len(tones) == _MOST_TONES:
            break
        if all(abs(i - other) > _TONE_WIDTH for other in tones):
            tones.append(int(i))
    return [_edges_s(audio, [peak * _HOP + _WINDOW // 2 for peak in found[i][1]]) for i in tones]


def _edges_s(audio: Floats, centres: list[int]) -> Floats:
    tone_hz = _tone_hz(audio, centres)
    return np.array([_edge(audio, centre, tone_hz) / SOUND_RATE_HZ for centre in centres])


def _onset_scores(audio: Floats) -> NDArray[np.float32]:
    """Return how much a tone sets in, in dB, shape (hops, frequencies)."""
    frames = np.lib.stride_tricks.sliding_window_view(audio, _WINDOW)[::_HOP]
    floor = (1e-5 * np.abs(audio).max() * _WINDOW) ** 2 + 1e-12  # digital silence has no onsets
    low, high = (round(hz * _WINDOW / SOUND_RATE_HZ) for hz in _TONES_HZ)
    scores = []
    for start in range(0, len(frames), _CHUNK):
        earlier = min(start, _BACK[-1])
        power = np.abs(np.fft.rfft(frames[start - earlier : start + _CHUNK] * np.hanning(_WINDOW)))
        power = power[:, : high + 10] ** 2 + floor
        tone_db = 10.0 * np.log10(power[:, :-2] + power[:, 1:-1] + power[:, 2:])
        beside_db = np.maximum(
            np.minimum(np.roll(tone_db, 5, axis=1), np.roll(tone_db, -5, axis=1)),
            np.maximum(np.roll(tone_db, 8, axis=1), np.roll(tone_db, -8, axis=1)),
        )
        before_db = np.full_like(tone_db, np.inf)
        rows = np.arange(_BACK[-1], len(tone_db))
        before_db[rows] = np.max([tone_db[rows - back] for back in _BACK], axis=0)
        rise_db = np.minimum(tone_db - before_db, tone_db - beside_db)[earlier:, low - 1 : high]
        scores.append(np.clip(rise_db, 0.0, _SURE_DB).astype(np.float32))
    return np.concatenate(scores)


def _tone_hz(audio: Floats, centres: list[int]) -> float:
    """Return the frequency of the tone, from the spectra of all beeps together."""
    size = 16 * _WINDOW
    spectra = np.zeros(size // 2 + 1)
    for centre in centres:
        piece = audio[centre : centre + _WINDOW]
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), size)) ** 2
        spectra += spectrum / (spectrum.max() + 1e-30)
    low, high = (round(hz * size / SOUND_RATE_HZ) for hz in _TONES_HZ)
    return float((low + np.argmax(spectra[low:high])) * SOUND_RATE_HZ / size)


def _edge(audio: Floats, centre: int, tone_hz: float) -> float:
    """Return the sample at which the tone sets in."""
    edge, search = (round(s * SOUND_RATE_HZ) for s in (_EDGE_S, _SEARCH_S))
    start = centre - search - edge
    at = np.arange(start, centre + search + edge)
    inside = np.clip(at, 0, len(audio) - 1)
    tone = audio[inside] * (inside == at) * np.exp(-2j * np.pi * tone_hz / SOUND_RATE_HZ * at)
    sums = np.concatenate([[0.0], np.cumsum(tone)])
    after = np.abs(sums[2 * edge :] - sums[edge:-edge])
    before = np.abs(sums[edge:-edge] - sums[: -2 * edge])
    return float(start + edge + np.argmax(after - before))


def pair_up(flashes_s: Floats, tones_s: list[Floats], frame_s: float) -> ClapperMeasurement:
    """Return the offset at which the most flashes have their beep; of several tones, the best."""
    if not len(flashes_s) or not tones_s:
        return ClapperMeasurement(
            offset_ms=None,
            confidence=0.0,
            reason="no beep" if len(flashes_s) else "no flash",
            flashes=len(flashes_s),
            beeps=max((len(beeps_s) for beeps_s in tones_s), default=0),
            pairs=0,
        )
    found = [_pair_up(flashes_s, beeps_s, frame_s) for beeps_s in tones_s]
    return max(found, key=lambda each: each.confidence)


def _pair_up(flashes_s: Floats, beeps_s: Floats, frame_s: float) -> ClapperMeasurement:
    differences_s = beeps_s[None, :] - flashes_s[:, None]
    tolerance_s = 0.75 * frame_s + 0.01  # a camera quantises to a frame
    tried_s = differences_s[np.abs(differences_s) <= FURTHEST_S]
    tried = [_pairs(differences_s, offset_s, tolerance_s) for offset_s in np.sort(tried_s)]
    best = max(tried, key=lambda pairs: (len(pairs), -float(np.ptp(pairs))), default=np.zeros(0))
    offset_s = float(best.mean()) if len(best) > 1 else None
    rival = 0
    if offset_s is not None:
        others = [pairs for pairs in tried if abs(pairs.mean() - offset_s) > 2.0 * tolerance_s]
        rival = max((len(pairs) for pairs in others), default=0)
    alike = rival / max(1, len(best))
    if len(best) < FEWEST_PAIRS:
        reason, confidence = "too few pairs", 0.1 * len(best)
    elif alike > 0.5:
        reason, confidence = "ambiguous", 0.3 * (1.0 - alike)
    else:
        share = len(best) / min(len(flashes_s), len(beeps_s))
        confidence = share * (1.0 - 0.5 ** (len(best) - 1)) * (1.0 - 0.5 * alike)
        reason = "" if confidence >= 0.5 else "scattered"
    low, high = np.percentile(best, (25, 75)) if len(best) else (0.0, 0.0)
    return ClapperMeasurement(
        offset_ms=None if offset_s is None else 1000.0 * offset_s,
        confidence=round(confidence, 3),
        reason=reason,
        flashes=len(flashes_s),
        beeps=len(beeps_s),
        pairs=len(best),
        spread_ms=None if offset_s is None else 500.0 * float(high - low),
        precision_ms=None if offset_s is None else 500.0 * frame_s / len(best) ** 0.5,
    )


def _pairs(differences_s: Floats, offset_s: float, tolerance_s: float) -> Floats:
    """Return the differences near an offset, of each flash and of each beep one at most."""
    off_s = np.abs(differences_s - offset_s)
    nearest = np.argmin(off_s, axis=1)
    is_own = np.argmin(off_s, axis=0)[nearest] == np.arange(len(nearest))
    own_s = differences_s[np.arange(len(nearest)), nearest][is_own]
    return np.asarray(own_s[np.abs(own_s - offset_s) <= tolerance_s])

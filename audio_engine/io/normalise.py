"""Bring a whole programme to a loudness: one gain for all of it, then the true-peak limiter.

Loudness is the integrated one (ITU-R BS.1770-5). The first pass kept the programme. Where the
limiter takes loudness away, or the gain lifts quiet parts over the absolute gate, the gain that
meets the target is searched: each try is a pass gain - limiter - meter. One try is enough where the
limiter has nothing to do, three to five are usual elsewhere, some 400 times faster than real time
each (48 kHz, stereo). The limiter works on the unlimited signal each time: peaks are limited once.

A gain that would make the limiter take more than `MAX_LIMITED_LU` of the loudness is not used: that
is no limiting any more but distortion. A lone peak does not count: it is limited as far as needed.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from audio_engine.config import LimiterConfig, check_format
from audio_engine.errors import ConfigError
from audio_engine.io.scratch import ScratchFile
from audio_engine.processors.audio import AudioArray, as_audio, channel_count
from audio_engine.processors.limiter import TruePeakLimiter
from audio_engine.processors.loudness import LoudnessMeter

LOWEST_LUFS, HIGHEST_LUFS = -36.0, -9.0
MAX_LIMITED_LU = 6.0
FEWEST_PASSES = 3  # keep it, try a gain, hand it on
_ERROR_LU = 0.01  # the search is content with that: a tenth of what a meter may be off
_MISSED_LU = 0.02  # an error that is told
_GATING_BLOCK_S = 0.4
_MAX_TRIES = 12
_BLOCK_S = 0.5
_SLOPE = 0.8  # LU of loudness per dB of gain while the limiter works, before it is known
_SLOPES = (0.15, 1.0)

#: Called after each block with the frames done and the frames expected, of all passes together.
Progress = Callable[[int, int], None]


def check_loudness_target(target_lufs: float) -> None:
    """Raise `ConfigError` unless a programme can be brought to this loudness."""
    if not LOWEST_LUFS <= target_lufs <= HIGHEST_LUFS:
        raise ConfigError(
            f"loudness={target_lufs:g} is outside {LOWEST_LUFS:g} .. {HIGHEST_LUFS:g} LUFS"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalised:
    """What was done to a programme; `shortfall` says in words why the target was not met."""

    target_lufs: float
    gain_db: float
    max_reduction_db: float  # of the limiter
    shortfall: str | None


@dataclass(frozen=True, slots=True)
class _Try:
    """What a gain makes of the programme."""

    gain_db: float
    loudness_lufs: float
    limited_lu: float  # what the limiter took of it
    excess_lu: float  # too loud for the target, or for the limiter: both grow with the gain


class Normaliser:
    """A programme on its way to a loudness: written block by block, then handed on in one go.

    Parameters
    ----------
    sample_rate_hz, channels : int
        8000 to 96000 and 1 to 8.
    target_lufs : float
        Integrated loudness wanted, -36 to -9 LUFS.
    limiter : LimiterConfig
        Ceiling and release of the limiter behind the gain, which always runs.
    beside : Path
        Where the programme will be written: until then it is kept on that disk, as float32.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        channels: int,
        *,
        target_lufs: float,
        limiter: LimiterConfig,
        beside: Path,
    ) -> None:
        check_loudness_target(target_lufs)
        self._rate_hz, self._channels = sample_rate_hz, channels
        self._target_lufs = target_lufs
        self._limiter = limiter
        self._meter = LoudnessMeter(sample_rate_hz, channels, true_peak=False)
        self._scratch = ScratchFile(beside, channels)

    def write(self, block: AudioArray) -> None:
        """Take the next block of the programme, float32, shape (frames, channels)."""
        self._meter.process(block)
        self._scratch.write(block)

    def finish(
        self, sink: Callable[[AudioArray], None], progress: Progress | None = None
    ) -> Normalised:
        """Search the gain and give the result to `sink`, block by block, without latency.

        `progress` counts what was written as the first of `FEWEST_PASSES` or more passes.
        """
        block_frames = max(1, round(_BLOCK_S * self._rate_hz))
        programme = _Programme(
            lambda: self._scratch.blocks(block_frames),
            self._scratch.frames,
            sample_rate_hz=self._rate_hz,
            channels=self._channels,
            limiter=self._limiter,
            progress=progress,
        )
        return programme.normalise(self._meter.stats().integrated_lufs, self._target_lufs, sink)

    def close(self) -> None:
        """Forget the programme; doing so twice is fine."""
        self._scratch.close()
        self._meter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def normalise_loudness(
    audio: ArrayLike, sample_rate_hz: int, target_lufs: float, ceiling_dbtp: float = -1.0
) -> AudioArray:
    """Bring a whole recording to a loudness, with one gain and a true-peak limiter behind it.

    Parameters
    ----------
    audio : array_like, shape (frames,) or (frames, channels)
        float32 or float64 with full scale +-1.0, int16 or int32; 1 to 8 channels. Not modified.
    sample_rate_hz : int
        8000 to 96000.
    target_lufs : float
        Integrated loudness of the result, -36 to -9 LUFS, met within 0.02 LU.
    ceiling_dbtp : float
        True peak that is never exceeded, -20 to 0 dBTP.

    Returns
    -------
    ndarray of float32, the shape of `audio`
        Sample n belongs to sample n of `audio`.

    Raises
    ------
    ConfigError
        If a value is out of range.
    FormatError
        If shape or dtype do not fit.

    Warns
    -----
    UserWarning
        If the target is not met: nothing lies above -70 LUFS, the recording is shorter than the
        400 ms that loudness is measured over (both keep their level), or the limiter would have to
        take more than 6 LU (the result is as loud as that allows).

    Notes
    -----
    ITU-R BS.1770-5, Annex 1 (loudness) and 2 (true peak).

    Examples
    --------
    >>> import numpy as np
    >>> from audio_engine import measure_loudness
    >>> tone = 0.01 * np.sin(2 * np.pi * 997 * np.arange(96000) / 48000)
    >>> round(measure_loudness(normalise_loudness(tone, 48000, -16.0), 48000).integrated_lufs, 2)
    -16.0
    """
    check_loudness_target(target_lufs)
    channels = channel_count(audio)
    check_format(sample_rate_hz, channels)
    samples = as_audio(audio, channels)
    limiter = LimiterConfig(ceiling_dbtp=ceiling_dbtp)
    block_frames = max(1, round(_BLOCK_S * sample_rate_hz))
    pieces: list[AudioArray] = [np.zeros((0, channels), np.float32)]
    with LoudnessMeter(sample_rate_hz, channels, true_peak=False) as meter:
        meter.process(samples)
        own_lufs = meter.stats().integrated_lufs
    done = _Programme(
        lambda: (samples[n : n + block_frames] for n in range(0, len(samples), block_frames)),
        len(samples),
        sample_rate_hz=sample_rate_hz,
        channels=channels,
        limiter=limiter,
    ).normalise(own_lufs, target_lufs, pieces.append)
    if done.shortfall:
        warnings.warn(done.shortfall, stacklevel=2)
    return np.concatenate(pieces).reshape(np.shape(audio))


class _Programme:
    """A programme that can be gone through again and again."""

    def __init__(
        self,
        blocks: Callable[[], Iterator[AudioArray]],
        frames: int,
        *,
        sample_rate_hz: int,
        channels: int,
        limiter: LimiterConfig,
        progress: Progress | None = None,
    ) -> None:
        self._blocks, self._frames = blocks, frames
        self._rate_hz, self._channels = sample_rate_hz, channels
        self._limiter = limiter
        self._progress = progress
        self._passes_done, self._passes = 1, FEWEST_PASSES

    def normalise(
        self, own_lufs: float, target_lufs: float, sink: Callable[[AudioArray], None]
    ) -> Normalised:
        """Give `sink` the programme at the target, or as near to it as can be."""
        gain_db, shortfall = self._search(own_lufs, target_lufs)
        with self._new_limiter() as limiter:
            for _, block in self._limited(gain_db, limiter):
                if len(block):
                    sink(block)
            return Normalised(
                target_lufs=target_lufs,
                gain_db=gain_db,
                max_reduction_db=limiter.stats().max_reduction_db,
                shortfall=shortfall,
            )

    def _search(self, own_lufs: float, target_lufs: float) -> tuple[float, str | None]:
        """Return the gain to take, and what is to be said about it."""
        if not math.isfinite(own_lufs):
            self._passes -= 1
            return 0.0, self._why_no_loudness()
        tries = [self._try(target_lufs - own_lufs, target_lufs)]
        while abs(tries[-1].excess_lu) > _ERROR_LU and len(tries) < _MAX_TRIES:
            self._passes += 1
            tries.append(self._try(_next_gain_db(tries), target_lufs))
        best = min(tries, key=lambda each: abs(each.excess_lu))
        return best.gain_db, _shortfall(best, target_lufs)

    def _try(self, gain_db: float, target_lufs: float) -> _Try:
        with (
            self._new_limiter() as limiter,
            LoudnessMeter(self._rate_hz, self._channels, true_peak=False) as before,
            LoudnessMeter(self._rate_hz, self._channels, true_peak=False) as after,
        ):
            for louder, held in self._limited(gain_db, limiter):
                before.process(louder)
                after.process(held)
            unlimited_lufs = before.stats().integrated_lufs
            loudness_lufs = after.stats().integrated_lufs
        limited_lu = unlimited_lufs - loudness_lufs
        excess_lu = max(loudness_lufs - target_lufs, limited_lu - MAX_LIMITED_LU)
        return _Try(gain_db, loudness_lufs, limited_lu, excess_lu)

    def _limited(
        self, gain_db: float, limiter: TruePeakLimiter
    ) -> Iterator[tuple[AudioArray, AudioArray]]:
        """Yield blocks with the gain on them, and such limited; the latter without latency."""
        gain = np.float32(10.0 ** (gain_db / 20.0))
        late = limiter.latency_frames
        done = 0
        for block in self._blocks():
            louder = block * gain
            held = limiter.process(louder)
            dropped = min(late, len(held))
            late -= dropped
            yield louder, held[dropped:]
            done += len(block)
            if self._progress is not None:
                frames = self._frames
                self._progress(self._passes_done * frames + done, self._passes * frames)
        self._passes_done += 1
        tail = limiter.flush().reshape(-1, self._channels)
        yield tail[:0], tail[late:]

    def _new_limiter(self) -> TruePeakLimiter:
        return TruePeakLimiter(
            self._rate_hz,
            self._channels,
            ceiling_dbtp=self._limiter.ceiling_dbtp,
            release_ms=self._limiter.release_ms,
        )

    def _why_no_loudness(self) -> str:
        length_s = self._frames / self._rate_hz
        if length_s < _GATING_BLOCK_S:
            return (
                f"{length_s:.2f} s are too short to have a loudness, {_GATING_BLOCK_S:g} s are "
                "needed; it keeps its own level: leave the loudness target out"
            )
        return (
            "nothing in it is above -70 LUFS, so it has no loudness and keeps its own level; "
            "is it the right recording?"
        )


def _next_gain_db(tries: list[_Try]) -> float:
    """Return where the line through the last two tries crosses 0, within what is known already."""
    last = tries[-1]
    slope = _SLOPE
    if len(tries) > 1:
        earlier = tries[-2]
        slope = (last.excess_lu - earlier.excess_lu) / (last.gain_db - earlier.gain_db)
        slope = min(max(slope, _SLOPES[0]), _SLOPES[1])
    guess_db = last.gain_db - last.excess_lu / slope
    low_db = max((each.gain_db for each in tries if each.excess_lu < 0.0), default=-math.inf)
    high_db = min((each.gain_db for each in tries if each.excess_lu > 0.0), default=math.inf)
    return guess_db if low_db < guess_db < high_db else (low_db + high_db) / 2.0


def _shortfall(found: _Try, target_lufs: float) -> str | None:
    if abs(found.loudness_lufs - target_lufs) <= _MISSED_LU:
        return None
    if found.limited_lu > MAX_LIMITED_LU - _MISSED_LU:
        return (
            f"for {target_lufs:g} LUFS the limiter would have to take more than the "
            f"{MAX_LIMITED_LU:g} LU that are allowed, so the result has "
            f"{found.loudness_lufs:.1f} LUFS; ask for {math.floor(found.loudness_lufs):g} or less"
        )
    return (
        f"{target_lufs:g} LUFS cannot be met: the result has {found.loudness_lufs:.1f} LUFS, and "
        "with a little more gain its pauses count as programme"
    )

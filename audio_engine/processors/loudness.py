"""Loudness and true peak of a programme, as a stream or in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audio_engine._native import Kernel, ffi, lib, planar_rows
from audio_engine.config import MAX_CHANNELS, METER_MAX_RATE_HZ, check_format
from audio_engine.errors import ConfigError, StreamError
from audio_engine.processors.audio import as_audio, channel_count
from audio_engine.processors.closing import Closable
from audio_engine.processors.loudness_blocks import LoudnessBlocks
from audio_engine.processors.stats import LoudnessStats

_MAX_WEIGHT = 4.0
_SECONDS_AT_ONCE = 10  # less than the kernel keeps blocks for (25.6 s)


class LoudnessMeter(Closable):
    """Measure a programme while it runs: momentary, short-term, integrated, range, true peak.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 192000.
    channels : int
        1 to 8, taken as mono, L R, L R C, L R Ls Rs, L R C Ls Rs, L R C LFE Ls Rs, and 6.1 and 7.1
        in the order of WAV files.
    true_peak : bool
        Measure the peak between the samples too; otherwise it stays ``-inf``.
    channel_weights : sequence of float, optional
        Weight of each channel's energy, 0 to 4, instead of the layout's. A mono recording that
        will play on two loudspeakers is ``[2.0]``.
    exact : bool
        Keep the energy of every 100 ms (288 kB an hour) and gate them one by one, as files are
        measured. Otherwise gates and range come from a histogram: 330 kB for any duration.

    Raises
    ------
    ConfigError
        If a value is out of range.

    Notes
    -----
    ITU-R BS.1770-5, Annex 1 (loudness) and 2 (true peak); EBU Tech 3341 and 3342. Momentary and
    short-term loudness move in steps of 10 ms. Blocking never changes the result. Non-finite
    samples are taken as silence.

    The histogram's sums are exact; what it does not know is which of the blocks within the one
    0.01 LU around the relative gate lie above it. If they are a share f of those that count,
    integrated loudness is off by less than ``-10 log10(1 - f)``: 0.01 LU at 0.2 %. The range is
    within 0.02 LU where the percentiles are not in a gap between two levels.

    Examples
    --------
    >>> import numpy as np
    >>> tone = 10 ** (-23 / 20) * np.sin(2 * np.pi * 1000 * np.arange(240000) / 48000)
    >>> with LoudnessMeter(sample_rate_hz=48000, channels=2) as meter:
    ...     meter.process(np.stack([tone, tone], axis=1))
    ...     round(meter.stats().integrated_lufs, 1)
    -23.0
    """

    def __init__(
        self,
        sample_rate_hz: int = 48000,
        channels: int = 1,
        *,
        true_peak: bool = True,
        channel_weights: Sequence[float] | None = None,
        exact: bool = False,
    ) -> None:
        check_format(sample_rate_hz, channels, max_rate_hz=METER_MAX_RATE_HZ)
        self.sample_rate_hz = sample_rate_hz
        self.channels = channels
        self._kernel = Kernel(
            "loudness",
            sample_rate_hz=sample_rate_hz,
            channels=channels,
            true_peak=int(true_peak),
            **_weight_fields(channel_weights, channels),
        )
        self._blocks = LoudnessBlocks() if exact else None
        self._taken = np.empty(lib.AE_LOUDNESS_KEPT_BLOCKS)
        self._flushed = False

    @property
    def exact(self) -> bool:
        """Whether every 100 ms is kept."""
        return self._blocks is not None

    @property
    def latency_frames(self) -> int:
        """0: a reading holds all frames given so far."""
        return 0

    def process(self, audio: ArrayLike) -> None:
        """Take in a block of any length.

        Parameters
        ----------
        audio : array_like, shape (frames,) or (frames, channels)
            Not modified.

        Raises
        ------
        FormatError
            If shape or dtype do not fit.
        StreamError
            If the meter is closed, or flushed and not reset.
        """
        self._check_open()
        if self._flushed:
            raise StreamError("the programme was ended by flush(); call reset() before the next")
        frames = as_audio(audio, self.channels)
        step = _SECONDS_AT_ONCE * self.sample_rate_hz
        for start in range(0, len(frames), step):
            part = frames[start : start + step]
            rows = planar_rows(part)
            self._kernel.call("process", rows.pointers, len(part))
            if self._blocks is not None:
                count = self._kernel.call(
                    "take_blocks", ffi.from_buffer("double[]", self._taken.data)
                )
                self._blocks.add(self._taken[:count])

    def flush(self) -> None:
        """End the programme: the peaks between its last samples are counted."""
        self._check_open()
        if not self._flushed:
            self._kernel.call("flush")
        self._flushed = True

    def merge(self, other: LoudnessMeter) -> None:
        """Add what another meter measured, as if both were one programme.

        Parameters
        ----------
        other : LoudnessMeter
            Of any sample rate and channel count; left as it is. Momentary and short-term loudness
            stay those of this meter.

        Raises
        ------
        ConfigError
            If this meter is exact and the other is not: it has no blocks to give. (The other way
            round works: the result is a histogram's.)
        """
        self._check_open()
        other._check_open()
        if self._blocks is not None:
            if other._blocks is None:
                raise ConfigError("an exact meter joins exact meters only; the other is not exact")
            self._blocks.join(other._blocks)
        self._kernel.call("merge", other._kernel.handle)

    def stats(self) -> LoudnessStats:
        """Return the readings of now."""
        live = self.live_stats()
        if self._blocks is None:
            return live
        return replace(
            live,
            integrated_lufs=self._blocks.integrated_lufs(),
            loudness_range_lu=self._blocks.range_lu(),
        )

    def live_stats(self) -> LoudnessStats:
        """Return the readings of now at the same cost after any time, of an exact meter too.

        Integrated loudness and range are then those of the histogram.
        """
        self._check_open()
        return LoudnessStats.from_report(self._kernel.read())

    def reset(self) -> None:
        """Return to the state of a new meter."""
        self._check_open()
        self._kernel.call("reset")
        if self._blocks is not None:
            self._blocks.clear()
        self._flushed = False

    def _release(self) -> None:
        self._kernel.close()

    def __repr__(self) -> str:
        mode = ", exact=True" if self.exact else ""
        return (
            f"LoudnessMeter(sample_rate_hz={self.sample_rate_hz}, channels={self.channels}{mode})"
        )


def _weight_fields(weights: Sequence[float] | None, channels: int) -> dict[str, Any]:
    """Return the kernel's configuration field for explicit channel weights."""
    if weights is None:
        return {}
    values = [float(weight) for weight in weights]
    if len(values) != channels:
        raise ConfigError(f"channel_weights has {len(values)} values for {channels} channels")
    if not all(0.0 <= value <= _MAX_WEIGHT for value in values) or not any(values):
        raise ConfigError(f"channel_weights={values} is not within 0 .. 4 with one above 0")
    return {"channel_weights": values + [0.0] * (MAX_CHANNELS - channels)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoudnessSeries:
    """Live readings over time, and what the whole programme measures.

    Each reading covers the 400 ms (momentary) or 3 s (short-term) before its time in s; ``-inf`` in
    digital silence. What lies before the start counts as silence.
    """

    times_s: NDArray[np.float64]
    momentary_lufs: NDArray[np.float64]
    short_term_lufs: NDArray[np.float64]
    programme: LoudnessStats


def measure_loudness(
    audio: ArrayLike, sample_rate_hz: int, *, true_peak: bool = True
) -> LoudnessStats:
    """Measure the loudness of a whole programme.

    Parameters
    ----------
    audio : array_like, shape (frames,) or (frames, channels)
        Up to 8 channels.
    sample_rate_hz : int
        8000 to 192000.
    true_peak : bool
        Measure the true peak too.

    Returns
    -------
    LoudnessStats
        Loudness in LUFS, ``-inf`` when every block is below the -70 LUFS gate; range in LU; true
        peak in dBTP.

    Notes
    -----
    ITU-R BS.1770-5, EBU Tech 3341 and 3342; gates and percentiles are exact. Incomplete blocks at
    the end do not count, as the standard says: less than 400 ms of audio has no integrated loudness
    (``-inf``).

    Examples
    --------
    >>> import numpy as np
    >>> tone = 0.1 * np.sin(2 * np.pi * 997 * np.arange(96000) / 48000)
    >>> round(measure_loudness(tone, 48000).integrated_lufs, 1)
    -23.0
    """
    channels = channel_count(audio)
    with LoudnessMeter(sample_rate_hz, channels, true_peak=true_peak, exact=True) as meter:
        meter.process(audio)
        meter.flush()
        return meter.stats()


def loudness_series(
    audio: ArrayLike, sample_rate_hz: int, *, hop_ms: float = 100.0
) -> LoudnessSeries:
    """Measure a whole programme with a live reading every `hop_ms`.

    Parameters
    ----------
    audio : array_like, shape (frames,) or (frames, channels)
        Up to 8 channels.
    sample_rate_hz : int
        8000 to 192000.
    hop_ms : float
        Distance of the readings, 10 to 10000 ms.

    Returns
    -------
    LoudnessSeries
        A reading at the end of each full hop.

    Examples
    --------
    >>> import numpy as np
    >>> tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(96000) / 48000)
    >>> series = loudness_series(tone, 48000, hop_ms=500.0)
    >>> series.times_s.tolist(), np.round(series.momentary_lufs, 1).tolist()
    ([0.5, 1.0, 1.5, 2.0], [-23.0, -23.0, -23.0, -23.0])
    """
    check_format(sample_rate_hz, max_rate_hz=METER_MAX_RATE_HZ)
    if not 10.0 <= hop_ms <= 10000.0:
        raise ConfigError(f"hop_ms={hop_ms:g} is outside 10 .. 10000 ms")
    values = as_audio(audio, channel_count(audio))
    hop_frames = hop_ms * sample_rate_hz / 1000.0
    hops = int(len(values) / hop_frames)
    ends = np.floor(np.arange(hops + 1) * hop_frames + 0.5).astype(int)  # as the meter's steps
    readings = np.empty((hops, 2))
    with LoudnessMeter(sample_rate_hz, values.shape[1], exact=True) as meter:
        for i in range(hops):
            meter.process(values[ends[i] : ends[i + 1]])
            now = meter.live_stats()
            readings[i] = now.momentary_lufs, now.short_term_lufs
        meter.process(values[ends[-1] :])
        meter.flush()
        return LoudnessSeries(
            times_s=ends[1:] / sample_rate_hz,
            momentary_lufs=readings[:, 0],
            short_term_lufs=readings[:, 1],
            programme=meter.stats(),
        )

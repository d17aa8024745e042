"""Loudness and true peak of a programme, as a stream or in one call."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from audio_engine._native import Kernel, planar_rows
from audio_engine.config import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ
from audio_engine.errors import ConfigError
from audio_engine.processors.audio import as_audio, channel_count
from audio_engine.processors.closing import Closable
from audio_engine.processors.stats import LoudnessStats


class LoudnessMeter(Closable):
    """Measure a programme while it runs: momentary, short-term, integrated, range, true peak.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.
    channels : int
        1 to 8. Six channels are taken as L R C LFE Ls Rs.
    true_peak : bool
        Measure the true peak too, which costs about as much as all the rest.

    Notes
    -----
    ITU-R BS.1770-5, Annex 1 (loudness) and 2 (true peak); EBU Tech 3341 and 3342. Non-finite
    samples are taken as silence.

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
        self, sample_rate_hz: int = 48000, channels: int = 1, *, true_peak: bool = True
    ) -> None:
        if not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ:
            raise ConfigError(
                f"sample_rate_hz={sample_rate_hz} is outside {MIN_RATE_HZ} .. {MAX_RATE_HZ} Hz"
            )
        if not 1 <= channels <= MAX_CHANNELS:
            raise ConfigError(f"channels={channels} is outside 1 .. {MAX_CHANNELS}")
        self.sample_rate_hz = sample_rate_hz
        self.channels = channels
        self._kernel = Kernel(
            "loudness",
            sample_rate_hz=sample_rate_hz,
            channels=channels,
            true_peak=int(true_peak),
        )

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
        """
        self._check_open()
        frames = np.nan_to_num(as_audio(audio, self.channels), posinf=0.0, neginf=0.0)
        rows = planar_rows(frames)
        self._kernel.call("process", rows.pointers, len(frames))

    def flush(self) -> None:
        """End the programme: the peaks between its last samples are counted."""
        self._check_open()
        self._kernel.call("flush")

    def merge(self, other: LoudnessMeter) -> None:
        """Add what another meter measured, as if both were one programme."""
        self._check_open()
        other._check_open()
        self._kernel.call("merge", other._kernel.handle)

    def stats(self) -> LoudnessStats:
        """Return the readings of now."""
        self._check_open()
        return LoudnessStats.from_report(self._kernel.read())

    def reset(self) -> None:
        """Return to the state of a new meter."""
        self._check_open()
        self._kernel.call("reset")

    def _release(self) -> None:
        self._kernel.close()

    def __repr__(self) -> str:
        return f"LoudnessMeter(sample_rate_hz={self.sample_rate_hz}, channels={self.channels})"


def measure_loudness(
    audio: ArrayLike, sample_rate_hz: int, *, true_peak: bool = True
) -> LoudnessStats:
    """Measure the loudness of a whole programme.

    Parameters
    ----------
    audio : array_like, shape (frames,) or (frames, channels)
        Up to 8 channels.
    sample_rate_hz : int
        8000 to 96000.
    true_peak : bool
        Measure the true peak too.

    Returns
    -------
    LoudnessStats
        Loudness in LUFS, ``-inf`` when every block is below the -70 LUFS gate; range in LU; true
        peak in dBTP.

    Notes
    -----
    ITU-R BS.1770-5, EBU Tech 3341 and 3342.

    Examples
    --------
    >>> import numpy as np
    >>> tone = 0.1 * np.sin(2 * np.pi * 997 * np.arange(96000) / 48000)
    >>> round(measure_loudness(tone, 48000).integrated_lufs, 1)
    -23.0
    """
    with LoudnessMeter(sample_rate_hz, channel_count(audio), true_peak=true_peak) as meter:
        meter.process(audio)
        meter.flush()
        return meter.stats()

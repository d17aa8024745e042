"""The true-peak limiter as a processor of its own."""

from __future__ import annotations

from audio_engine._native import Plan
from audio_engine.config import LimiterConfig, check_format
from audio_engine.processors.base import Processor
from audio_engine.processors.stats import LimiterStats
from audio_engine.processors.steps import limiter_step


class TruePeakLimiter(Processor):
    """Hold a true-peak ceiling, between the samples too, without distortion.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.
    channels : int
        1 to 8; one gain for all.
    ceiling_dbtp : float
        True peak that is never exceeded, -20 to 0 dBTP.
    release_ms : float
        Time constant with which the gain returns, 10 to 1000 ms.

    Notes
    -----
    Four times oversampled peaks (ITU-R BS.1770-5, Annex 2), running maximum over the look-ahead,
    smoothed gain (Hamalainen, DAFx 2002). A signal under the ceiling passes bit for bit.

    Examples
    --------
    >>> import numpy as np
    >>> loud = 2.0 * np.sin(np.arange(48000, dtype=np.float32) * 0.05)
    >>> with TruePeakLimiter(sample_rate_hz=48000, ceiling_dbtp=-1.0) as limiter:
    ...     out = limiter.process(loud)
    >>> bool(np.max(np.abs(out)) <= 10 ** (-1 / 20))
    True
    """

    def __init__(
        self,
        sample_rate_hz: int = 48000,
        channels: int = 1,
        *,
        ceiling_dbtp: float = -1.0,
        release_ms: float = 80.0,
    ) -> None:
        check_format(sample_rate_hz, channels)
        config = LimiterConfig(ceiling_dbtp=ceiling_dbtp, release_ms=release_ms)
        steps = [limiter_step(config, sample_rate_hz, channels, bus=0, output_bus=0)]
        super().__init__(
            Plan(sample_rate_hz, [channels], [0], [0], steps), sample_rate_hz, channels
        )

    def stats(self) -> LimiterStats:
        """Return the gain reduction now and at most."""
        return LimiterStats.from_report(self._plan.report().steps[0].limiter)

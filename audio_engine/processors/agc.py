"""Loudness levelling (automatic gain control) as a processor of its own."""

from __future__ import annotations

from audio_engine._native import Plan
from audio_engine.config import AgcConfig, check_format
from audio_engine.processors.base import Processor
from audio_engine.processors.stats import LevelStats
from audio_engine.processors.steps import leveller_step


class LoudnessLeveler(Processor):
    """Bring speech to one loudness, without pumping and without lifting noise in pauses.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.
    channels : int
        1 to 8; one gain for all.
    target_lufs : float
        Loudness that speech is brought to, -36 to -9 LUFS.
    max_gain_db, min_gain_db : float
        Bounds of the gain: 0 to 40 dB and -40 to 0 dB.
    start_gain_db : float
        Gain before the first word, -26 to 36 dB and within the bounds. With the
        `LevelStats.voice_gain_db` of the same talker's last session the first word is on target.

    Notes
    -----
    Loudness is K-weighted (ITU-R BS.1770-5), taken over speech only, with the noise taken off. The
    output may exceed full scale: put a `TruePeakLimiter` behind it.

    Examples
    --------
    >>> import numpy as np
    >>> with LoudnessLeveler(sample_rate_hz=16000, target_lufs=-18.0) as agc:
    ...     out = agc.process(np.zeros(16000, np.float32))
    ...     agc.stats().gain_db
    0.0
    """

    def __init__(
        self,
        sample_rate_hz: int = 48000,
        channels: int = 1,
        *,
        target_lufs: float = -18.0,
        max_gain_db: float = 36.0,
        min_gain_db: float = -26.0,
        start_gain_db: float = 0.0,
    ) -> None:
        check_format(sample_rate_hz, channels)
        config = AgcConfig(
            target_lufs=target_lufs,
            max_gain_db=max_gain_db,
            min_gain_db=min_gain_db,
            start_gain_db=start_gain_db,
        )
        steps = [leveller_step(config, sample_rate_hz, channels, bus=0, output_bus=0)]
        super().__init__(
            Plan(sample_rate_hz, [channels], [0], [0], steps), sample_rate_hz, channels
        )

    def stats(self) -> LevelStats:
        """Return the gain in force and the loudness of voice and noise before it."""
        return LevelStats.from_report(self._plan.report().steps[0].leveller)

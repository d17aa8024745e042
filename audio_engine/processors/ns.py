"""Noise and late-reverberation suppression as a processor of its own."""

from __future__ import annotations

from audio_engine._native import Plan
from audio_engine.config import NOISE_MODELS, NoiseConfig, check_format
from audio_engine.processors.base import Processor
from audio_engine.processors.stats import NoiseStats
from audio_engine.processors.steps import suppressor_step


class NoiseSuppressor(Processor):
    """Turn noise and late reverberation down, and leave the voice alone.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.
    channels : int
        1 to 8.
    model : {"classical", "small", "large"}
        What works: formulas, which know steady noise, hum and clicks; or a small or large neural
        net behind them, which knows voices. Latency is the same.
    attenuation_limit_db : float, optional
        How far noise may be turned down, 0 to 40 dB; None: 20 dB, with a net 30 dB. With a net 30
        to 40 stand for 30 to 60 dB.
    dereverb : float
        Strength of late-reverberation removal, 0 to 1; it engages in boomy rooms only.
    transients : bool
        Take key strokes, clicks and taps away.
    music_guard : bool
        Where music plays, turn it down by 6 dB at most: for rooms whose music is wanted.
    link_channels : bool
        All channels share one gain per frequency, so the stereo picture stays. False: each channel
        is cleaned by itself, for microphones of different people on one interface; the cost grows
        with the channels.

    Raises
    ------
    ModelError
        If the model's file is missing or damaged. (An `Engine` goes on with less.)

    Notes
    -----
    Noise power by speech presence probability (Gerkmann & Hendriks 2012), log-spectral amplitude
    gain (Ephraim & Malah 1985; Cohen 2002), asymmetric windows (Mauler & Martin 2007). The nets
    are of the dual-path kind: recurrent along time in each sub-band, joined across all
    (Le, Chen & Lu 2021), with gains, and filters over three hops (Schroeter et al. 2022).

    Examples
    --------
    >>> import numpy as np
    >>> hiss = np.random.default_rng(1).standard_normal(48000).astype(np.float32) * 0.01
    >>> with NoiseSuppressor(sample_rate_hz=16000) as ns:
    ...     out = ns.process(hiss)
    >>> bool(np.std(out[16000:]) < 0.2 * np.std(hiss))
    True
    """

    def __init__(
        self,
        sample_rate_hz: int = 48000,
        channels: int = 1,
        *,
        model: str = NOISE_MODELS[0],
        attenuation_limit_db: float | None = None,
        dereverb: float = 1.0,
        transients: bool = True,
        music_guard: bool = False,
        link_channels: bool = True,
    ) -> None:
        check_format(sample_rate_hz, channels)
        config = NoiseConfig(
            model=model,
            attenuation_limit_db=attenuation_limit_db,
            dereverb=dereverb,
            transients=transients,
            music_guard=music_guard,
            link_channels=link_channels,
        )
        steps = [suppressor_step(config, sample_rate_hz, channels, bus=0, output_bus=0)]
        super().__init__(
            Plan(sample_rate_hz, [channels], [0], [0], steps), sample_rate_hz, channels
        )

    def stats(self) -> NoiseStats:
        """Return noise, reverberation, hum, transients and speech as they are judged now."""
        return NoiseStats.from_report(self._plan.report().steps[0].suppressor)

"""The ready-made chain: one configuration, one object, any block length in, as many frames out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from audio_engine.config import EngineConfig
from audio_engine.errors import ConfigError, FormatError, StreamError
from audio_engine.graph.compile import compile_graph
from audio_engine.graph.live import change_live
from audio_engine.graph.model import Graph
from audio_engine.processors.audio import AudioArray, channel_count
from audio_engine.processors.base import process_whole
from audio_engine.processors.echo_state import EchoProcessor
from audio_engine.processors.stats import (
    EchoStats,
    EngineStats,
    LevelStats,
    LimiterStats,
    LipSyncStats,
    LoudnessStats,
    NoiseStats,
)
from audio_engine.processors.steps import with_usable_models


def engine_graph(config: EngineConfig, *, switchable: bool = False) -> Graph:
    """Return the chain of a configuration as a graph.

    The order is high-pass, echo filter, suppressor, leveller, limiter, meter, lip-sync delay.
    Residual echo is removed by the suppressor, so that stage runs whenever echo or noise is to be
    removed. The meter does not wait for the delay, and the echo canceller does not see it.

    Parameters
    ----------
    config : EngineConfig
        Rate, channels and stages.
    switchable : bool, optional
        False: only what is enabled is in the graph. True: the stages that can be switched while
        audio runs (`LIVE_SWITCHES`) are all in it; those not enabled listen, switched off, at their
        full cost.
    """
    graph = Graph(config.sample_rate_hz)
    graph.add_input("mic", config.channels)
    signal = "mic"
    has_echo = config.echo.enabled or switchable
    if has_echo:
        graph.add_input("far", config.far_channels)
    if config.highpass.enabled or switchable:
        graph.add("highpass", config.highpass, source=signal, active=config.highpass.enabled)
        signal = "highpass"
    if has_echo:
        graph.add("echo", config.echo, source=signal, far_end="far", active=config.echo.enabled)
        signal = "echo"
    if has_echo or config.ns.enabled:
        graph.add("ns", config.ns, source=signal)
        signal = "ns"
    if config.agc.enabled or switchable:
        graph.add("agc", config.agc, source=signal, active=config.agc.enabled)
        signal = "agc"
    if config.limiter.enabled:
        graph.add("limiter", config.limiter, source=signal)
        signal = "limiter"
    if config.meter.enabled:
        graph.add("meter", config.meter, source=signal)
    if config.lip_sync.enabled:
        graph.add("lip_sync", config.lip_sync, source=signal)
        signal = "lip_sync"
    graph.add_output(signal)
    return graph


def engine_stats(report: Any, step_of: Mapping[str, int], config: EngineConfig) -> EngineStats:
    """Return a plan's C report (``ae_graph_report``) as what its stages measure.

    Parameters
    ----------
    report : ae_graph_report
        From `Plan.report` or `Plan.live_report`.
    step_of : mapping of str to int
        Which step each stage of `engine_graph` became.
    config : EngineConfig
        What is switched off in it has no section; the suppressor's stays while echo needs it.
    """
    stage: dict[str, Any] = {name: report.steps[i] for name, i in step_of.items()}
    works = {"echo": config.echo.enabled, "agc": config.agc.enabled}
    stage = {name: step for name, step in stage.items() if works.get(name, True)}
    with np.errstate(divide="ignore"):
        peaks = 20.0 * np.log10([report.input_peak, report.output_peak])
    return EngineStats(
        frames=report.frames,
        non_finite_count=report.non_finite_count,
        fault_count=report.fault_count,
        input_peak_dbfs=float(peaks[0]),
        output_peak_dbfs=float(peaks[1]),
        echo=_echo_stats(stage) if "echo" in stage else None,
        noise=NoiseStats.from_report(stage["ns"].suppressor) if "ns" in stage else None,
        agc=LevelStats.from_report(stage["agc"].leveller) if "agc" in stage else None,
        limiter=LimiterStats.from_report(stage["limiter"].limiter) if "limiter" in stage else None,
        loudness=LoudnessStats.from_report(stage["meter"].loudness) if "meter" in stage else None,
        lip_sync=_lip_sync_stats(stage["lip_sync"], config) if "lip_sync" in stage else None,
    )


def _lip_sync_stats(report: Any, config: EngineConfig) -> LipSyncStats:
    rest = SimpleNamespace(video_delay_ms=max(0.0, -config.lip_sync.delay_ms))
    return LipSyncStats.from_report(report.sync_delay, rest)


def _echo_stats(stage: Mapping[str, Any]) -> EchoStats:
    """Return the echo stage's measurements; a graph of one's own may have no suppressor."""
    near_end = stage["ns"].suppressor if "ns" in stage else SimpleNamespace(near_end_presence=1.0)
    return EchoStats.from_report(stage["echo"].echo, near_end)


class Engine(EchoProcessor):
    """The whole chain as a stream: echo, noise, reverberation, loudness, true peak.

    Parameters
    ----------
    config : EngineConfig, optional
        Rate, channels and the settings of every stage; 48 kHz mono with all stages by default.

    Notes
    -----
    Channels of one microphone signal belong together: each has its own echo filter, but all
    share one suppression gain, one level gain and one limiter gain, so the stereo picture stays.
    Channels of the far end are loudspeakers: with ``far_channels=2`` each has an echo path of its
    own, for 2.1 times the echo filter's CPU time; more than two are mixed down to two
    (channels 0, 2, .. and 1, 3, ..), each the mean of its channels.

    Where the file of ``ns.model`` cannot be used, the chain goes on with the next smaller model,
    and warns once (`ModelWarning`).

    Examples
    --------
    >>> import numpy as np
    >>> with Engine(EngineConfig(sample_rate_hz=16000)) as engine:
    ...     out = engine.process(np.zeros(1000, np.float32), np.zeros(1000, np.float32))
    ...     tail = engine.flush()
    >>> out.shape, len(tail) == engine.latency_frames
    ((1000,), True)
    """

    def __init__(self, config: EngineConfig | None = None) -> None:
        config = EngineConfig() if config is None else config
        self._config = with_usable_models(config)
        graph = engine_graph(self._config)
        if "lip_sync" in graph.nodes:
            graph.add_output(graph.nodes["lip_sync"].source)
        self._undelayed: AudioArray | None = None
        compiled = compile_graph(graph)
        self._step_of = compiled.step_of
        super().__init__(
            compiled.plan,
            self._config.sample_rate_hz,
            self._config.channels,
            self._config.far_channels if self._config.echo.enabled else 0,
        )

    @property
    def config(self) -> EngineConfig:
        """The configuration in force: the model that can be used, the changes made by `set`."""
        return self._config

    def process(self, audio: ArrayLike, far_end: ArrayLike | None = None) -> AudioArray:
        """Process a block of any length.

        Parameters
        ----------
        audio : array_like, shape (frames,) or (frames, channels)
            The microphone signal: float32 or float64 with full scale +-1.0, int16 or int32.
        far_end : array_like, shape (frames,) or (frames, far_channels), optional
            What the loudspeaker plays in the same period; None is silence.

        Returns
        -------
        ndarray of float32, the shape of `audio`
            The repaired signal, `latency_frames` late.

        Raises
        ------
        FormatError
            If shapes, lengths or dtypes do not fit, or a far end comes with echo disabled.
        StreamError
            If the engine is closed, or flushed and not reset.
        """
        return self._run(audio, far_end)

    def set(self, name: str, value: float) -> None:
        """Change a setting while audio runs; it is ramped in from the next 10 ms block on.

        Parameters
        ----------
        name : str
            ``ns.attenuation_limit_db``, ``ns.dereverb``, ``agc.target_lufs``,
            ``limiter.ceiling_dbtp``, ``highpass.cutoff_hz``, ``lip_sync.delay_ms``;
            ``ns.transients`` or ``ns.music_guard``; or ``echo.enabled``, ``ns.enabled``,
            ``agc.enabled``, ``highpass.enabled`` for a stage that is in the chain: switched off
            it goes on listening, and is adapted when it is switched on again.
        value : float
            In the unit of the name, within the range of the configuration; 0 or 1 for a switch.

        Raises
        ------
        ConfigError
            If the setting cannot change live, its stage is not in the chain, or the value is out
            of range.
        """
        config, commands = change_live(self._config, name, value, self._step_of)
        for command in commands:
            self._plan.post(self._step_of[command.stage], command.parameter, command.value)
        self._config = config

    @property
    def undelayed(self) -> AudioArray:
        """The last block as it was before the lip-sync delay, for a `LipSyncEstimator`.

        Shape (frames,), of several channels (frames, channels). Repaired like what `process`
        returned, and `latency_frames` less the delay stage's own 32 frames late, whatever the
        delay.

        Raises
        ------
        StreamError
            If ``lip_sync`` is not enabled, or nothing has been processed yet.
        """
        if self._undelayed is None:
            reason = "nothing was processed" if self._config.lip_sync.enabled else "it is disabled"
            raise StreamError(f"there is no block before the lip-sync delay: {reason}")
        return self._undelayed[:, 0] if self._channels == 1 else self._undelayed

    def _further_outputs(self, out: AudioArray) -> list[AudioArray]:
        if not self._config.lip_sync.enabled:
            return []
        self._undelayed = np.empty_like(out)
        return [self._undelayed]

    def stats(self) -> EngineStats:
        """Return what every running stage measures now."""
        return engine_stats(self._plan.report(), self._step_of, self._config)


def enhance(
    mic: ArrayLike,
    *,
    sample_rate_hz: int,
    far_end: ArrayLike | None = None,
    preset: str | None = None,
    config: EngineConfig | None = None,
) -> AudioArray:
    """Repair a whole recording in one call.

    Parameters
    ----------
    mic : array_like, shape (frames,) or (frames, channels)
        The microphone signal, up to 8 channels: float32 or float64 with full scale +-1.0, int16
        or int32. Not modified.
    sample_rate_hz : int
        8000 to 96000.
    far_end : array_like, shape (frames,) or (frames, far_channels), optional
        What the loudspeakers played, at the same rate, 1 to 8 channels; cut or padded to the length
        of `mic`. Each of two channels gets an echo path of its own, more are mixed down to two.
        Without it no echo is cancelled.
    preset : str, optional
        Name of a preset, ``"cohost"`` by default.
    config : EngineConfig, optional
        Instead of a preset; its rate, channels and echo switch are set from the other arguments.

    Returns
    -------
    ndarray of float32, the shape of `mic`
        Latency is compensated: sample n belongs to sample n of `mic`.

    Raises
    ------
    ConfigError
        If both `preset` and `config` are given, or a value is out of range.
    FormatError
        If shapes or dtypes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> mic = np.random.default_rng(1).standard_normal((8000, 2)) * 0.01
    >>> enhance(mic, sample_rate_hz=16000, preset="solo-host").shape
    (8000, 2)
    """
    if preset is not None and config is not None:
        raise ConfigError("give a preset or a config, not both")
    base = EngineConfig.preset(preset or "cohost") if config is None else config
    ready = replace(
        base,
        sample_rate_hz=sample_rate_hz,
        channels=channel_count(mic, "mic"),
        far_channels=1 if far_end is None else channel_count(far_end, "far_end"),
        echo=replace(base.echo, enabled=far_end is not None and base.echo.enabled),
    )
    if far_end is not None and not ready.echo.enabled:
        raise FormatError("a far end was given, but the configuration disables echo cancellation")
    with Engine(ready) as engine:
        return process_whole(engine, mic, far_end)

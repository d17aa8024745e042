"""What every live stream can do, whoever calls it: settings, levels, recordings, events, stats."""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audio_engine._native import (
    Kernel,
    echo_state_has_learned,
    load_echo_state,
    save_echo_state,
)
from audio_engine.config import EchoConfig, EngineConfig
from audio_engine.errors import AudioEngineError, ConfigError, StreamError
from audio_engine.graph.engine import engine_graph, engine_stats
from audio_engine.graph.live import change_live, live_changes
from audio_engine.graph.model import Graph
from audio_engine.io.echo_file import EchoStateFile
from audio_engine.io.live.events import describe
from audio_engine.io.live.matching import LevelMatch
from audio_engine.io.live.parts import LiveParts
from audio_engine.io.live.recorder import Recorder, RecordingReport
from audio_engine.io.live.sources import FarFeeder, FarSource
from audio_engine.io.live.stats import (
    ClockStats,
    EventLevel,
    LiveEvent,
    LiveState,
    LiveStats,
    LoadStats,
    MeterStats,
    XrunStats,
)
from audio_engine.io.live.tap import Tap
from audio_engine.processors.audio import AudioArray
from audio_engine.processors.closing import Closable
from audio_engine.processors.steps import with_usable_models

FarEnd = str | os.PathLike[str] | Callable[[int], ArrayLike | None] | None

_MOST_EVENTS = 1000


class LiveSession(Closable):
    """A live engine without a device; `LiveStream` and `SimulatedStream` bring one.

    Parameters
    ----------
    graph_or_config : Graph or EngineConfig, optional
        What runs: the chain of a configuration (all stages are in it, so that each can be
        switched), or a graph of one microphone, perhaps a reference, and one output.
    source : callable
        Makes the far end's source from sample rate and channels.
    monitor : bool
        Whether the processed microphone is played too.
    has_loopback : bool
        Whether the far end is captured from a device, where somebody else plays it.
    echo_state : path-like, optional
        File that the echo canceller starts from, and that its state is written to by `stop`.
    """

    def __init__(
        self,
        graph_or_config: Graph | EngineConfig | None,
        *,
        source: Callable[[int, int], FarSource],
        monitor: bool = False,
        has_loopback: bool = False,
        echo_state: str | os.PathLike[str] | None = None,
    ) -> None:
        is_graph = isinstance(graph_or_config, Graph)
        self._config = with_usable_models(
            graph_or_config if isinstance(graph_or_config, EngineConfig) else EngineConfig()
        )
        graph = (
            graph_or_config
            if isinstance(graph_or_config, Graph)
            else engine_graph(self._config, switchable=True)
        )
        if echo_state is not None and not _cancels_echo(graph):
            raise ConfigError("echo_state is of no use: there is no echo stage in the graph")
        self._has_config = not is_graph
        self._rate_hz = graph.sample_rate_hz
        channels = list(graph.inputs.values())
        self._capture_channels = channels[0]
        self._render_channels = channels[1] if len(channels) > 1 else 1
        far = source(self._rate_hz, self._render_channels)
        self._lock = threading.RLock()  # of the control side: C queues have one writer each
        self._start_s = time.monotonic()
        self._state: LiveState = "stopped"
        self._state_since_s = self._start_s
        self._events: deque[LiveEvent] = deque(maxlen=_MOST_EVENTS)
        self._monitor = self._bypass = self._muted = False
        self._match = LevelMatch()
        self._recoveries = 0
        self._last_recovery_ms: float | None = None
        self._parts = LiveParts(graph, has_loopback=has_loopback)
        self._core = self._parts.core
        self._memory_locked = False
        self._tap = Tap(
            self._core.read_tap,
            self._rate_hz,
            self._capture_channels,
            self._render_channels,
            self._capture_channels,
        )
        self._feeder = FarFeeder(
            far,
            self._core.write_far,
            self._core.far_space,
            self._rate_hz,
            self._render_channels,
            capacity_frames=self._core.far_space(),
            notify=self._notify,
        )
        self._far_is_expected = False
        self._far_path: str | None = None
        self._record_from_start: str | os.PathLike[str] | None = None
        self._echo_file = None if echo_state is None else EchoStateFile(echo_state)
        self._first_devices: tuple[str, str] | None = None  # those it started on
        self.monitor = monitor

    # --- settings ---------------------------------------------------------------------------------

    @property
    def config(self) -> EngineConfig:
        """The configuration in force, with the changes made by `set` and `swap`."""
        return self._config

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the engine and of the loudspeaker in Hz."""
        return self._rate_hz

    def set(self, name: str, value: float) -> None:
        """Change a setting while audio runs; it is ramped in from the next 10 ms on.

        Parameters
        ----------
        name : str
            A value (``ns.attenuation_limit_db``, ``ns.dereverb``, ``agc.target_lufs``,
            ``limiter.ceiling_dbtp``, ``highpass.cutoff_hz``, ``lip_sync.delay_ms``) or a switch
            (``ns.transients``, ``ns.music_guard``, ``echo.enabled``, ``ns.enabled``,
            ``agc.enabled``, ``highpass.enabled``).
        value : float
            In the unit of the name, within the configuration's range; 0 or 1 for a switch.

        Raises
        ------
        ConfigError
            If the setting cannot change live, its stage is not in the graph, or the value is out
            of range.
        """
        self._check_open()
        with self._lock:
            compiled = self._parts.compiled
            config, commands = change_live(self._config, name, value, compiled.step_of)
            for command in commands:
                compiled.plan.post(
                    compiled.step_of[command.stage], command.parameter, command.value
                )
            self._config = config

    def swap(self, graph_or_config: Graph | EngineConfig) -> None:
        """Let another configuration or graph take over within 80 ms, without a gap or a click.

        What can change by `set` is set; else a new graph is made, which keeps the kernels (and
        what they have learned) up to the first stage that differs, and cross-faded in.

        Raises
        ------
        ConfigError
            If rate or channels are not those of the stream.
        StreamError
            If the swap before has not come through yet.
        """
        self._check_open()
        with self._lock:
            if isinstance(graph_or_config, Graph):
                self._check_layout(graph_or_config)
                self._parts.swap(graph_or_config)
                self._has_config = False
                return
            config = with_usable_models(graph_or_config)
            self._check_layout(graph := engine_graph(config, switchable=True))
            changes = live_changes(self._config, config) if self._has_config else None
            stages = self._parts.compiled.step_of
            if changes is None or any(name.partition(".")[0] not in stages for name in changes):
                self._parts.swap(graph)
                self._config, self._has_config = config, True
            else:
                for name, value in changes.items():
                    self.set(name, value)

    def _check_layout(self, graph: Graph) -> None:
        channels = list(graph.inputs.values())
        wanted = (self._rate_hz, self._capture_channels, self._render_channels)
        found = (graph.sample_rate_hz, channels[0], channels[1] if len(channels) > 1 else wanted[2])
        if found != wanted:
            raise ConfigError(
                "rate, microphone and far-end channels are {}, {} and {}; the stream runs with "
                "{}, {} and {}: stop it and start another".format(*found, *wanted)
            )

    @property
    def monitor(self) -> bool:
        """Whether the processed microphone is played (hear yourself); may be set at any time."""
        return self._monitor

    @monitor.setter
    def monitor(self, on: bool) -> None:
        """Play the processed microphone, or do not."""
        self._post("MONITOR", value=1.0 if on else 0.0)
        self._monitor = bool(on)

    @property
    def muted(self) -> bool:
        """Whether the processed signal is silenced; may be set at any time."""
        return self._muted

    @muted.setter
    def muted(self, on: bool) -> None:
        """Silence the processed signal, or let it through."""
        self._post("MUTE", on=on)
        self._muted = bool(on)

    @property
    def bypass(self) -> bool:
        """Whether the untouched microphone is heard, as loud and as late as the processed one."""
        return self._bypass

    @bypass.setter
    def bypass(self, on: bool) -> None:
        """Switch between the untouched and the processed microphone."""
        self._post("BYPASS", on=on, value=self._match.gain())
        self._bypass = bool(on)

    def _post(self, kind: str, *, on: bool = False, value: float = 0.0) -> None:
        self._check_open()
        with self._lock:
            self._core.post(kind, on=on, value=value)

    # --- signals ----------------------------------------------------------------------------------

    def record(self, path: str | os.PathLike[str]) -> None:
        """Record the processed signal to `path`, microphone and reference beside it.

        The dry file has ``-dry`` before the extension and holds the microphone's channels, then
        the reference's (what the loudspeaker played), in step with what the graph was given.

        Before `start`, the recording will begin with the first frame.

        Raises
        ------
        ConfigError, OutputFileError
            If the file cannot be written there (raised by `start`, if that is still to come).
        StreamError
            If a recording runs.
        """
        self._check_open()
        if self._tap.recorder is not None:
            raise StreamError(f"{self._tap.recorder.path} is being recorded; stop that first")
        if self._state == "stopped":
            self._record_from_start = path
            return
        self._begin_recording(path)

    def _begin_recording(self, path: str | os.PathLike[str]) -> None:
        never = (self._far_path,) if self._far_path else ()
        recorder = Recorder(
            path,
            self._rate_hz,
            self._capture_channels,
            self._render_channels,
            self._capture_channels,
            never=never,
            notify=self._notify,
        )
        self._tap.set_recorder(recorder)
        self._notify("info", "record", f"recording {path}")

    def _begin_tap(self) -> None:
        """Take the tap queue's frames, which it has kept since the first one."""
        self._first_devices = self._device_names()
        if self._record_from_start is not None:
            self._begin_recording(self._record_from_start)
            self._record_from_start = None
        self._tap.start()

    def stop_recording(self) -> RecordingReport | None:
        """Finish the recording; None if there was none."""
        recorder = self._tap.set_recorder(None)
        if recorder is None:
            return None
        report = recorder.close()
        self._notify(
            "info", "record", f"recorded {report.frames / self._rate_hz:.1f} s: {recorder.path}"
        )
        return report

    def listen(self, on: bool = True) -> None:
        """Keep the processed signal (at most 10 s of it) for `read`."""
        self._check_open()
        self._tap.listen(on)

    def read(self, frames: int, timeout_s: float = 1.0) -> AudioArray:
        """Return the next processed frames, for example to send them.

        Parameters
        ----------
        frames : int
            At most so many.
        timeout_s : float
            Longest wait.

        Returns
        -------
        ndarray of float32, shape (frames, channels)
            Fewer frames where the wait was over; nothing before `listen`.
        """
        self._check_open()
        return self._tap.read(frames, timeout_s)

    def spectrum(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the newest spectra of microphone and processed signal in dBFS (see `Tap`)."""
        return self._tap.spectrum()

    # --- what the echo canceller has learned ------------------------------------------------------

    def save_state(self) -> bytes:
        """Return what the echo canceller has learned, for `load_state` of a later stream.

        After `stop`, before `close`. See `Engine.save_state`.

        Raises
        ------
        StreamError
            If the stream runs, or is closed.
        ConfigError
            If there is no echo stage.
        """
        return save_echo_state(self._echo_kernels())

    def load_state(self, state: bytes) -> None:
        """Start from what an echo canceller learned in an earlier session; before `start`.

        Raises
        ------
        StateError
            If `state` is damaged, no echo state, or does not fit. Nothing has changed then.
        StreamError
            If the stream runs, or is closed.
        ConfigError
            If there is no echo stage.
        """
        load_echo_state(self._echo_kernels(), state)

    @property
    def has_learned_echo(self) -> bool:
        """Whether `save_state` is worth calling (see `Engine.has_learned_echo`); after `stop`."""
        return echo_state_has_learned(self._echo_kernels())

    def _echo_kernels(self) -> tuple[Kernel, ...]:
        self._check_open()
        if self._state != "stopped" or not self._may_free():
            raise StreamError("the echo state can be read and set before start and after stop only")
        kernels = self._parts.compiled.plan.echo_kernels
        if not kernels:
            raise ConfigError("there is no echo state: no echo stage is in the graph")
        return kernels

    def _take_up_echo_state(self) -> None:
        """Read the state file, before the first frame."""
        if self._echo_file is not None:
            level, text = self._echo_file.load(self.load_state)
            self._notify(level, "echo-state", text)

    def _keep_echo_state(self) -> None:
        """Write the state file, once nothing runs any more."""
        file, self._echo_file = self._echo_file, None
        if file is None or self._first_devices is None:
            return
        if self._device_names() != self._first_devices:
            text = f"{file.path}: not written, the devices are not those of the start"
            self._notify("info", "echo-state", text)
            return
        try:
            level, text = file.save(self.save_state, has_learned=self.has_learned_echo)
        except AudioEngineError as error:
            level, text = "warning", f"{file.path}: not written: {error}"
        self._notify(level, "echo-state", text)

    # --- what happens -----------------------------------------------------------------------------

    def events(self) -> list[LiveEvent]:
        """Return what has happened since the last call, oldest first."""
        found = []
        while self._events:
            found.append(self._events.popleft())
        return found

    def _notify(self, level: EventLevel, kind: str, text: str) -> None:
        now_s = time.monotonic() - self._start_s
        self._events.append(LiveEvent(time_s=now_s, level=level, kind=kind, text=text))

    def _enter(self, state: LiveState) -> None:
        if state != self._state:
            self._state, self._state_since_s = state, time.monotonic()

    def _look_after(self, now_s: float) -> None:
        """Do what the control side does ten times a second."""
        with self._lock:
            self._parts.collect()
            report = self._core.read()
            self._match.follow(now_s, report.input.momentary_lufs, report.output.momentary_lufs)
            for code, _, value in self._core.read_log():
                event = describe(code, value)
                if event is not None:
                    self._notify(*event)
            expected = not self._feeder.ended
            if expected != self._far_is_expected:
                self._core.post("FAR", on=expected)
                self._far_is_expected = expected

    # --- stats ------------------------------------------------------------------------------------

    def stats(self) -> LiveStats:
        """Return what is going on now; cheap, and never waits for the audio thread."""
        self._check_open()
        now_s = time.monotonic()
        with self._lock:
            report = self._core.read()
            compiled = self._parts.compiled
            engine = engine_stats(compiled.plan.live_report(), compiled.step_of, self._config)
            clock, far_clock = self._clocks()
            recorder = self._tap.recorder
            return LiveStats(
                state=self._state,
                state_s=now_s - self._state_since_s,
                recoveries=self._recoveries,
                last_recovery_ms=self._last_recovery_ms,
                uptime_s=now_s - self._start_s,
                sample_rate_hz=self._rate_hz,
                device_block_frames=self._device_block_frames(),
                input_device=self._device_names()[0],
                output_device=self._device_names()[1],
                far_source=self._far_name(),
                latency_ms=self._latency_ms(report, clock),
                engine_latency_ms=self._engine_latency_ms(report, clock),
                frames=report.frames,
                xruns=self._xruns(report, clock),
                load=LoadStats.from_report(report.load),
                input=_meter(report.input),
                output=_meter(report.output),
                far=_meter(report.far),
                clock=clock,
                far_clock=far_clock,
                far_ring_ms=1e3 * self._core.far_fill() / self._rate_hz,
                engine=engine,
                realtime_priority=(
                    f"SCHED_FIFO {report.callback.priority}"
                    if report.callback.priority
                    else "normal"
                ),
                memory_locked=self._memory_locked,
                monitor=self._monitor,
                bypass=self._bypass,
                muted=self._muted,
                recording=None if recorder is None else str(recorder.path),
            )

    def _engine_latency_ms(self, report: Any, clock: ClockStats | None) -> float:
        frames = report.adapter_frames + self._parts.compiled.plan.graph_latency_frames
        bridge_ms = 0.0 if clock is None else clock.latency_ms
        return float(1e3 * frames / self._rate_hz + bridge_ms)

    def _xruns(self, report: Any, clock: ClockStats | None) -> XrunStats:
        callback = report.callback
        return XrunStats(
            input_underflow=callback.input_underflows,
            input_overflow=callback.input_overflows,
            output_underflow=callback.output_underflows,
            output_overflow=callback.output_overflows,
            late_callbacks=callback.late_callbacks,
            capture_underruns=0 if clock is None else clock.underruns,
            far_underruns=report.far_underruns,
            record_overruns=report.record_overruns,
            starved_frames=report.starved_frames,
        )

    def _clocks(self) -> tuple[ClockStats | None, ClockStats | None]:
        return None, None

    def _latency_ms(self, report: Any, clock: ClockStats | None) -> float | None:
        return None

    def _device_block_frames(self) -> int:
        return 0

    def _device_names(self) -> tuple[str, str]:
        return "-", "-"

    def _far_name(self) -> str:
        return self._feeder.name

    def __repr__(self) -> str:
        source, sink = self._device_names()
        return f"{type(self).__name__}({self._state}, {source!r} to {sink!r}, {self._rate_hz} Hz)"

    # --- end --------------------------------------------------------------------------------------

    def _release(self) -> None:
        self._feeder.stop()
        self._tap.stop()
        self.stop_recording()
        if self._may_free():
            with self._lock:
                self._parts.close()

    def _may_free(self) -> bool:
        """Whether nobody can call into the shared memory any more."""
        return True


def _cancels_echo(graph: Graph) -> bool:
    return any(isinstance(node.config, EchoConfig) for node in graph.nodes.values())


def _meter(level: Any) -> MeterStats:
    def _db(peak: float) -> float:
        return 20.0 * math.log10(peak) if peak > 0.0 else -math.inf

    loudness = level.momentary_lufs
    return MeterStats(
        peak_dbfs=_db(level.peak),
        peak_hold_dbfs=_db(level.held_peak),
        momentary_lufs=loudness if loudness > -200.0 else -math.inf,
    )

"""The live engine on sound devices: hosts run the streams, a watchdog keeps them alive."""

from __future__ import annotations

import math
import os
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Self

from audio_engine._native import block_frames as frames_of_a_block
from audio_engine.config import EngineConfig
from audio_engine.errors import ConfigError, DeviceError, StreamError
from audio_engine.graph.model import Graph
from audio_engine.io.live.host import NO_DEVICE, DeviceChoice, HostJob, HostOpened
from audio_engine.io.live.keeper import HostKeeper, HostProcess, HostThread
from audio_engine.io.live.parts import QUEUE_SECONDS
from audio_engine.io.live.session import FarEnd, LiveSession
from audio_engine.io.live.sources import open_source
from audio_engine.io.live.stats import ClockStats, LiveState, XrunStats

_SHORTEST_LEAD_S = 0.02
_LOOK_S, _QUICK_LOOK_S = 0.05, 0.01
_EVENTS_EVERY_S = 0.1
_START_LIMIT_S = 10.0
_STOP_LIMIT_S = 0.8
_FADE_LIMIT_S = 0.15
# A capture device with a clock of its own is read in small pieces: what one piece lasts is latency.
# 2 ms is a whole number of USB packets at every rate of the 48 kHz family.
_CAPTURE_BLOCKS_PER_S = 500


@dataclass(frozen=True, slots=True)
class LoopbackDevice:
    """A far end that another program plays, captured from a loopback ("monitor") device.

    Attributes
    ----------
    device : int, str or None
        Number or part of the name of the capture device.
    """

    device: DeviceChoice = None


class LiveStream(LiveSession):
    """Run the engine on a microphone and a loudspeaker, for hours, whatever happens to the devices.

    The devices' streams live in child processes (audio hosts), because PortAudio hangs for good
    when a device disappears; a watchdog kills a host that is lost and starts another, on the same
    device or else on the default one, and the adapted graph goes on where it was. One card makes
    one duplex stream; two cards make two streams, and the microphone's clock is brought to the
    loudspeaker's.

    Parameters
    ----------
    graph_or_config : Graph or EngineConfig, optional
        What runs; default is `EngineConfig()`. Its rate is the loudspeaker's.
    input_device, output_device : int, str or None
        Number, name or part of a name; None is the system's default. ``output_device="none"``
        opens the microphone alone.
    far_end : path-like, callable, LoopbackDevice or None
        What the loudspeaker plays and the echo canceller takes for its reference: a file, a
        function of the frames wanted (called in a thread of its own, returns audio or None), a
        loopback capture (not played again), or silence.
    far_lead_s : float
        How far ahead of the loudspeaker a function is asked, 0.02 to 10 s. What it gives is heard
        as much later; a conversation wants little, a busy program much.
    monitor : bool
        Play the processed microphone too (hear yourself).
    block_frames : int, optional
        Frames of a device callback; default 10 ms, which adds no latency.
    latency_s : float
        Buffering to ask of the devices; more survives a busier machine.
    in_process : bool
        Run the streams in this process. Saves a process; but a device that disappears then leaves
        a hanging stream, and often a spinning thread, until the process ends, and is not restarted.
    echo_state : path-like, optional
        File with what the echo canceller knows of these devices in this room. It starts from it, if
        the file is there and fits (a bad one is a warning event), and `stop` writes it anew, unless
        no echo path was learned or the devices have changed meanwhile.

    Examples
    --------
    >>> import audio_engine as ae
    >>> with ae.LiveStream(far_end="song.wav") as stream:  # doctest: +SKIP
    ...     stream.record("evening.wav")
    ...     stream.wait(60)
    """

    def __init__(
        self,
        graph_or_config: Graph | EngineConfig | None = None,
        *,
        input_device: DeviceChoice = None,
        output_device: DeviceChoice = None,
        far_end: FarEnd | LoopbackDevice = None,
        far_lead_s: float = 0.5,
        monitor: bool = False,
        block_frames: int | None = None,
        latency_s: float = 0.03,
        in_process: bool = False,
        echo_state: str | os.PathLike[str] | None = None,
    ) -> None:
        if not _SHORTEST_LEAD_S <= far_lead_s <= QUEUE_SECONDS:
            raise ConfigError(
                f"far_lead_s={far_lead_s} is outside {_SHORTEST_LEAD_S} .. {QUEUE_SECONDS:g} s"
            )
        self._loopback = far_end if isinstance(far_end, LoopbackDevice) else None
        file_or_function = None if isinstance(far_end, LoopbackDevice) else far_end
        super().__init__(
            graph_or_config,
            source=lambda rate_hz, channels: open_source(
                file_or_function, rate_hz, channels, lead_s=far_lead_s
            ),
            monitor=monitor,
            has_loopback=self._loopback is not None,
            echo_state=echo_state,
        )
        if isinstance(file_or_function, str | os.PathLike):
            self._far_path = os.fspath(file_or_function)
        self._block_frames = self._rate_hz // 100 if block_frames is None else block_frames
        self._in_process = in_process
        self._job = HostJob(
            role="main",
            address=self._core.address,
            memory=(
                self._parts.block.descriptor,
                self._parts.block.size_bytes,
                self._parts.block.address,
            ),
            input_device=input_device,
            output_device=output_device,
            sample_rate_hz=self._rate_hz,
            input_channels=self._capture_channels,
            output_channels=self._render_channels,
            block_frames=self._block_frames,
            latency_s=latency_s,
        )
        self._main: HostKeeper | None = None
        self._capture: HostKeeper | None = None
        self._far_capture: HostKeeper | None = None
        self._opened: HostOpened | None = None
        self._capture_opened: HostOpened | None = None
        self._lost_s: float | None = None
        self._idle_s = 0.0
        self._news = threading.Condition()
        self._stopping = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name="live-watchdog", daemon=True)

    # --- start and stop ---------------------------------------------------------------------------

    def start(self) -> None:
        """Open the devices and let them run.

        Raises
        ------
        DeviceError
            If PortAudio or a device is missing, or cannot be opened.
        StreamError
            If the stream has been started before.
        """
        self._check_open()
        if self._state != "stopped" or self._stopping.is_set():
            raise StreamError("a live stream is started once; make a new one")
        self._take_up_echo_state()
        self._feeder.prefill()
        # The hosts lock their own memory; ours is the user's, and may be large.
        self._memory_locked = self._in_process and self._parts.block.lock_in_memory()
        self._start_s = time.monotonic()
        self._enter("starting")
        self._watchdog.start()
        with self._news:
            self._news.wait_for(lambda: self._is_running() or self._start_error(), _START_LIMIT_S)
        if not self._is_running():
            error = self._start_error() or "the sound system does not answer"
            self.close()
            raise DeviceError(error)
        try:
            self._begin_tap()
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """Fade out and end the streams, within a second; calling it again is fine."""
        if self._stopping.is_set():
            return
        deadline_s = time.monotonic() + _STOP_LIMIT_S
        if self._state == "running":
            with self._lock:  # not by _post: `close` too comes this way
                self._core.post("STOP", on=False, value=0.0)
            while not self._has_faded() and time.monotonic() < deadline_s - (
                _STOP_LIMIT_S - _FADE_LIMIT_S
            ):
                time.sleep(0.005)
        self._stopping.set()
        if self._watchdog.is_alive():
            self._watchdog.join(_STOP_LIMIT_S + 1.0)
        self._enter("stopped")
        self._keep_echo_state()

    def _has_faded(self) -> bool:
        with self._lock:
            return bool(self._core.read().stopped)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait so long, or until the stream is stopped; True if it is."""
        return self._stopping.wait(seconds)

    def _release(self) -> None:
        self.stop()
        super()._release()

    def __enter__(self) -> Self:
        if self._state == "stopped":
            self.start()
        return self

    def _is_running(self) -> bool:
        return self._state == "running"

    def _may_free(self) -> bool:
        return not (
            self._watchdog.is_alive() or any(keeper.left_behind for keeper in self._keepers())
        )

    def _start_error(self) -> str:
        for keeper in self._keepers():
            if keeper.state == "failed":
                return keeper.error or "the audio host ended without a word"
        return ""

    # --- the watchdog -----------------------------------------------------------------------------

    def _watch(self) -> None:
        """Look after the hosts; children die with the thread that starts them, so all in one."""
        self._main = self._keeper(self._job, self._main_beats, self._core.recover)
        if self._loopback is not None:
            assert self._parts.far_port is not None
            self._far_capture = self._capture_keeper(
                self._loopback.device, self._parts.far_port.address, self._far_beats
            )
        events_s = self._idle_s = time.monotonic()
        while not self._stopping.wait(_LOOK_S if self._state == "running" else _QUICK_LOOK_S):
            for keeper in self._keepers():
                keeper.tick()
            self._judge()
            now_s = time.monotonic()
            self._let_time_pass(now_s)
            if now_s - events_s >= _EVENTS_EVERY_S:
                events_s = now_s
                self._look_after(now_s)
        deadline_s = time.monotonic() + _STOP_LIMIT_S
        for keeper in self._keepers():
            keeper.ask_to_end()
        for keeper in self._keepers():
            keeper.end(deadline_s)
        self._look_after(time.monotonic())

    def _keepers(self) -> list[HostKeeper]:
        return [k for k in (self._main, self._capture, self._far_capture) if k is not None]

    def _keeper(self, job: HostJob, heartbeat: Any, recover: Any = None) -> HostKeeper:
        return HostKeeper(
            job,
            start_host=HostThread if self._in_process else HostProcess,
            heartbeat=heartbeat,
            block_s=max(job.block_frames, 1) / job.sample_rate_hz,
            recover=recover or (lambda: None),
            opened=self._hear_main if job.role == "main" else self._hear_capture,
            restarts=not self._in_process,
        )

    def _capture_keeper(self, device: DeviceChoice, address: int, heartbeat: Any) -> HostKeeper:
        job = replace(
            self._job,
            role="capture",
            address=address,
            input_device=device,
            output_device=NO_DEVICE,
            block_frames=self._rate_hz // _CAPTURE_BLOCKS_PER_S,
            is_restart=self._state != "starting",  # beside a host that came back on another card
        )
        return self._keeper(job, heartbeat)

    def _hear_main(self, opened: HostOpened) -> None:
        self._opened = opened
        if not self._in_process:
            self._memory_locked = opened.memory_locked
        if opened.needs_capture and self._capture is None:
            self._capture = self._capture_keeper(
                self._job.input_device, self._parts.capture_port.address, self._capture_beats
            )
        elif not opened.needs_capture and self._capture is not None:
            self._capture.end(time.monotonic() + _FADE_LIMIT_S)
            self._capture = self._capture_opened = None

    def _hear_capture(self, opened: HostOpened) -> None:
        self._capture_opened = opened

    # Reports are read by one thread at a time: `stats` does so too.

    def _main_beats(self) -> int:
        with self._lock:
            return int(self._core.read().callback.callbacks)

    def _capture_beats(self) -> int:
        with self._lock:
            return int(self._parts.capture_port.callback_report().callbacks)

    def _far_beats(self) -> int:
        assert self._parts.far_port is not None
        with self._lock:
            return int(self._parts.far_port.callback_report().callbacks)

    def _judge(self) -> None:
        """Sum up the hosts' states, and say what has changed."""
        states = {keeper.state for keeper in self._keepers()}
        before = self._state
        state: LiveState = "running"
        for worse in ("starting", "recovering", "lost", "failed"):
            if worse in states:
                state = "starting" if worse in ("starting", "failed") else worse  # type: ignore[assignment]
        if before in ("lost", "recovering") and state == "starting":
            state = "recovering"  # a capture host that is new beside one that came back
        if before == "running" and state != "running":
            self._lost_s = time.monotonic()
            self._enter("lost")
            self._notify("error", "lost", f"{self._lost_names()} does not answer any more")
            return
        if state == "running" and self._lost_s is not None:
            lost_ms = 1e3 * (time.monotonic() - self._lost_s)
            self._recoveries, self._last_recovery_ms = self._recoveries + 1, lost_ms
            self._lost_s = None
            names = " and ".join(self._device_names())
            self._notify("info", "recovered", f"recovered in {lost_ms:.0f} ms: {names}")
        self._enter(state)
        if state != before or "failed" in states:
            with self._news:
                self._news.notify_all()

    def _lost_names(self) -> str:
        source, sink = self._device_names()
        lost = []
        if self._main is not None and self._main.state not in ("running", "starting"):
            lost.append(sink if sink != "-" else source)
        if self._capture is not None and self._capture.state not in ("running", "starting"):
            lost.append(source)
        return " and ".join(lost) or "a device"

    def _let_time_pass(self, now_s: float) -> None:
        """While nobody plays, the far end goes on unheard, and recordings get silence."""
        assert self._main is not None
        frames = int((now_s - self._idle_s) * self._rate_hz)
        if self._main.state == "running" or self._state == "starting":
            self._idle_s = now_s - self._main.silent_s  # the time before a loss is noticed counts
        elif frames > 0:
            self._idle_s += frames / self._rate_hz
            self._core.idle(frames)

    # --- stats ------------------------------------------------------------------------------------

    def _clocks(self) -> tuple[ClockStats | None, ClockStats | None]:
        if self._main is None or self._main.state != "running":
            return None, None
        capture_port = self._parts.capture_port if self._capture else None
        clock, far_clock = (
            None if port is None else ClockStats.from_report(port.bridge_report())
            for port in (capture_port, self._parts.far_port)
        )
        return clock, far_clock

    def _latency_ms(self, report: Any, clock: ClockStats | None) -> float | None:
        """Add up the way of a sound: microphone, engine, loudspeaker."""
        if self._opened is None or self._opened.output_device is None:
            return None
        callback = report.callback
        capture_s = callback.input_delay_s or self._opened.input_latency_s
        if clock is not None:
            port = self._parts.capture_port.callback_report()
            # The bridge counts from a block's last frame, the device's delay is of its first one.
            block_s = 1.0 / _CAPTURE_BLOCKS_PER_S
            capture_s = max(port.input_delay_s - block_s, 0.0)
        render_s = callback.output_delay_s or self._opened.output_latency_s
        return 1e3 * (capture_s + render_s) + self._engine_latency_ms(report, clock)

    def _xruns(self, report: Any, clock: ClockStats | None) -> XrunStats:
        """Count those of a microphone on another card too, past ones included."""
        found, port = super()._xruns(report, clock), self._parts.capture_port
        capture = port.callback_report()
        return replace(
            found,
            input_underflow=found.input_underflow + capture.input_underflows,
            input_overflow=found.input_overflow + capture.input_overflows,
            late_callbacks=found.late_callbacks + capture.late_callbacks,
            capture_underruns=port.bridge_report().underruns,
        )

    def _engine_latency_ms(self, report: Any, clock: ClockStats | None) -> float:
        """Add what waits between graph and loudspeaker where the microphone has its own clock."""
        latency_ms = super()._engine_latency_ms(report, clock)
        if clock is None or not self._block_frames:
            return latency_ms
        frame = frames_of_a_block(self._rate_hz)
        return latency_ms + 1e3 * (frame - math.gcd(frame, self._block_frames)) / self._rate_hz

    def _device_block_frames(self) -> int:
        return self._block_frames

    def _device_names(self) -> tuple[str, str]:
        opened, capture = self._opened, self._capture_opened
        source = capture.input_device if capture else opened.input_device if opened else None
        sink = opened.output_device if opened else None
        return source or "-", sink or "-"

    def _far_name(self) -> str:
        if self._loopback is not None:
            return f"loopback {self._loopback.device or ''}".strip()
        return super()._far_name()

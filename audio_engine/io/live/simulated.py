"""The live engine without a sound card: files as microphone and far end, paced by the clock."""

from __future__ import annotations

import os
import threading
import time
from typing import Self

import numpy as np

from audio_engine._native import block_frames
from audio_engine._native.live import call_main, open_main
from audio_engine.config import EngineConfig
from audio_engine.graph.model import Graph
from audio_engine.io.live.session import LiveSession
from audio_engine.io.live.sources import EndOfSource, FileSource, open_source
from audio_engine.processors.audio import AudioArray

_LOOK_S = 0.1
_LONGEST_LAG_S = 0.2  # after a longer stall time is not made up for


class SimulatedStream(LiveSession):
    """Run the live graph on recordings: the same C callback as with a device, called by the clock.

    Microphone and far end start together; what the loudspeaker plays does not come back into the
    microphone. The stream goes on in silence after the microphone file's end.

    Parameters
    ----------
    graph_or_config : Graph, EngineConfig or None
        As `LiveStream`.
    mic_path : path-like
        The microphone.
    far_path : path-like, optional
        What the loudspeaker plays.
    monitor : bool
        As `LiveStream`; it only changes the reference.
    real_time : bool
        False runs as fast as possible.
    loop : bool
        Begin the microphone file again when it ends.
    echo_state : path-like, optional
        As `LiveStream`.
    """

    def __init__(
        self,
        graph_or_config: Graph | EngineConfig | None,
        mic_path: str | os.PathLike[str],
        far_path: str | os.PathLike[str] | None = None,
        *,
        monitor: bool = False,
        real_time: bool = True,
        loop: bool = False,
        echo_state: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(
            graph_or_config,
            source=lambda rate_hz, channels: open_source(far_path, rate_hz, channels),
            monitor=monitor,
            echo_state=echo_state,
        )
        self._far_path = None if far_path is None else os.fspath(far_path)
        self._mic_path, self._loop = os.fspath(mic_path), loop
        self._mic: FileSource | None = FileSource(mic_path, self._rate_hz, self._capture_channels)
        self._real_time = real_time
        self._stopping = threading.Event()
        self._block = block_frames(self._rate_hz)
        self._thread = threading.Thread(target=self._run, name="simulated-device", daemon=True)

    def start(self) -> None:
        """Begin; returns when the first block has gone through."""
        self._check_open()
        self._take_up_echo_state()
        self._feeder.prefill()
        open_main(
            self._core.address,
            input_channels=self._capture_channels,
            output_channels=self._render_channels,
            device_block_frames=self._block,
            buffer_s=3600.0,  # a clock that is late loses nothing
            wants_priority=False,
        )
        self._start_s = time.monotonic()
        self._look_after(self._start_s)
        self._enter("running")
        self._begin_tap()
        self._thread.start()

    def stop(self) -> None:
        """End; recordings stay open until `close` or `stop_recording`."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(1.0)
        self._enter("stopped")
        self._keep_echo_state()

    def _may_free(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait so long, or until the stream ends; True if it ended."""
        return self._stopping.wait(seconds)

    @property
    def mic_ended(self) -> bool:
        """True once only silence comes from the microphone."""
        return self._mic is None

    def _run(self) -> None:
        played = np.zeros((self._block, self._render_channels), np.float32)
        block_s = self._block / self._rate_hz
        next_s = looked_s = time.monotonic()
        while not self._stopping.is_set():
            now_s = time.monotonic()
            if self._real_time and now_s < next_s:
                self._stopping.wait(next_s - now_s)
                continue
            next_s = max(next_s, now_s - _LONGEST_LAG_S) + block_s
            call_main(self._core, self._next_block(), played)
            if now_s - looked_s >= _LOOK_S:
                looked_s = now_s
                self._look_after(now_s)

    def _next_block(self) -> AudioArray:
        block = np.zeros((self._block, self._capture_channels), np.float32)
        if self._mic is None:
            return block
        try:
            found = self._mic.read(self._block)
            block[: len(found)] = found
        except EndOfSource:
            self._mic.close()
            self._mic = None
            if self._loop:
                self._mic = FileSource(self._mic_path, self._rate_hz, self._capture_channels)
        return block

    def _device_names(self) -> tuple[str, str]:
        return f"file {os.path.basename(self._mic_path)}", "nowhere"

    def _device_block_frames(self) -> int:
        return self._block

    def _release(self) -> None:
        self.stop()
        super()._release()
        if self._mic is not None:
            self._mic.close()

    def __enter__(self) -> Self:
        if self._state == "stopped":
            self.start()
        return self

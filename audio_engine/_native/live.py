"""The live engine's C side: shared memory, the object that a device's callback runs, its queues.

The memory is mapped at one address in the process that controls (here called the parent) and in
the audio hosts that it starts, so plain pointers mean the same to all of them.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from audio_engine._native.core import AudioArray, check, ffi, lib, pointer
from audio_engine._native.net_models import NetModel, models_in
from audio_engine._native.plan import Plan
from audio_engine.errors import StreamError

# Far from where Linux puts programs, libraries, stacks and sanitizers' shadows.
_LOWEST_ADDRESS, _HIGHEST_ADDRESS, _ADDRESS_STEP = 1 << 44, 1 << 45, 1 << 30
_PAGE_BYTES = 1 << 16


class SharedBlock:
    """Memory for a live engine that audio hosts can map too.

    Parameters
    ----------
    size_bytes : int
        Room for everything that is made within `allocating`.

    Raises
    ------
    StreamError
        On other systems than Linux.
    """

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = -(-size_bytes // _PAGE_BYTES) * _PAGE_BYTES
        if not hasattr(os, "memfd_create"):
            raise StreamError("live audio needs Linux: the shared memory is made in its way")
        self.descriptor = os.memfd_create("audio_engine")
        os.ftruncate(self.descriptor, self.size_bytes)
        self._memory = self._map()
        self._heap = lib.ae_heap_create(self._memory, self.size_bytes)
        self._lock = threading.RLock()
        self._models: dict[str, NetModel] = {}

    def _map(self) -> Any:
        for _ in range(64):
            address = random.randrange(_LOWEST_ADDRESS, _HIGHEST_ADDRESS, _ADDRESS_STEP)
            memory = lib.ae_host_map(self.descriptor, self.size_bytes, address)
            if memory != ffi.NULL:
                return memory
        os.close(self.descriptor)
        raise MemoryError(f"{self.size_bytes} bytes of shared memory for the live engine")

    @property
    def address(self) -> int:
        """Where the block lies, in every process."""
        return int(ffi.cast("uintptr_t", self._memory))

    @contextmanager
    def allocating(self) -> Iterator[None]:
        """Make the C objects of this thread in the block; also to be held while closing some."""
        with self._lock, models_in(self._models):
            lib.ae_allocate_from(self._heap)
            try:
                yield
            finally:
                lib.ae_allocate_from(ffi.NULL)

    def used_bytes(self) -> int:
        """Return how much of the block is in use."""
        return int(lib.ae_heap_used_bytes(self._heap))

    def lock_in_memory(self) -> bool:
        """Keep the block out of the swap file; return whether that was granted."""
        return bool(lib.ae_host_lock_memory(self._memory, self.size_bytes))

    def close(self) -> None:
        """Give the memory back; every object in it must be closed by now."""
        if self._memory != ffi.NULL:
            for model in self._models.values():
                model.close()
            lib.ae_host_unmap(self._memory, self.size_bytes)
            os.close(self.descriptor)
            self._memory = ffi.NULL


def allocated_bytes() -> int:
    """Return how many bytes of C objects this thread has asked for so far."""
    return int(lib.ae_allocated_bytes())


class CapturePort:
    """A capture device with a clock of its own, and the bridge to the engine's clock."""

    def __init__(self, *, input_rate_hz: int, output_rate_hz: int, channels: int, read_frames: int):
        self.input_rate_hz = input_rate_hz
        config = ffi.new(
            "ae_clock_bridge_config *",
            {
                "input_rate_hz": input_rate_hz,
                "output_rate_hz": output_rate_hz,
                "channels": channels,
                "write_frames": 0,
                "read_frames": read_frames,
            },
        )
        out = ffi.new("ae_capture_port **")
        check(lib.ae_capture_port_create(out, config), "capture port")
        self.handle = out[0]
        self._callback_report = ffi.new("ae_callback_report *")
        self._bridge_report = ffi.new("ae_clock_bridge_report *")

    @property
    def address(self) -> int:
        """What an audio host needs to find it."""
        return int(ffi.cast("uintptr_t", self.handle))

    def callback_report(self) -> Any:
        """Return the newest ``ae_callback_report`` of the device."""
        lib.ae_capture_port_read(self.handle, self._callback_report)
        return self._callback_report

    def bridge_report(self) -> Any:
        """Return the newest ``ae_clock_bridge_report``."""
        bridge = lib.ae_capture_port_bridge(self.handle)
        lib.ae_clock_bridge_read_report(bridge, self._bridge_report)
        return self._bridge_report

    def close(self) -> None:
        """Free the C objects."""
        lib.ae_capture_port_destroy(self.handle)
        self.handle = ffi.NULL


class LiveCore:
    """The object whose callback a device runs, with its command, log, trash and tap queues.

    Not thread-safe but for what is said: the control verbs belong to one thread at a time.

    Parameters
    ----------
    plan : Plan
        The graph to begin with; kept alive by the caller.
    sample_rate_hz, capture_channels, render_channels : int
        Of the graph: microphone and processed signal; far end and loudspeaker.
    far_queue_frames, tap_frames : int
        Room of the queues.
    capture_port, far_port : CapturePort, optional
        Microphone on another card; loopback far end.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        sample_rate_hz: int,
        capture_channels: int,
        render_channels: int,
        far_queue_frames: int,
        tap_frames: int,
        capture_port: CapturePort | None = None,
        far_port: CapturePort | None = None,
    ) -> None:
        config = ffi.new(
            "ae_rt_config *",
            {
                "sample_rate_hz": sample_rate_hz,
                "capture_channels": capture_channels,
                "render_channels": render_channels,
                "far_queue_frames": far_queue_frames,
                "tap_frames": tap_frames,
                "far_is_loopback": int(far_port is not None),
                "graph": plan.graph,
                "capture_port": ffi.NULL if capture_port is None else capture_port.handle,
                "far_port": ffi.NULL if far_port is None else far_port.handle,
            },
        )
        out = ffi.new("ae_rt **")
        check(lib.ae_rt_create(out, config), "live engine")
        self.handle = out[0]
        self._far_queue = lib.ae_rt_far_queue(self.handle)
        self._report = ffi.new("ae_rt_report *")
        self._log = ffi.new("ae_rt_log_entry[]", 64)

    @property
    def address(self) -> int:
        """What an audio host needs to find it."""
        return int(ffi.cast("uintptr_t", self.handle))

    def post(self, kind: str, *, on: bool = False, value: float = 0.0) -> None:
        """Queue a command for the next frame (``AE_RT_<kind>``)."""
        self._post({"kind": getattr(lib, f"AE_RT_{kind}"), "on": int(on), "value": value})

    def post_swap(self, plan: Plan, serial: int) -> None:
        """Queue the change to another graph; `collect` tells when the old one is free."""
        self._post({"kind": lib.AE_RT_SWAP, "graph": plan.graph, "serial": serial})

    def _post(self, fields: dict[str, Any]) -> None:
        check(lib.ae_rt_post(self.handle, ffi.new("ae_rt_command *", fields)), "command")

    def collect(self) -> int | None:
        """Return the `Plan.graph_address` of a graph that is not used any more, or None."""
        graph = lib.ae_rt_collect(self.handle)
        return None if graph == ffi.NULL else int(ffi.cast("uintptr_t", graph))

    def read(self) -> Any:
        """Return the newest ``ae_rt_report``."""
        lib.ae_rt_read(self.handle, self._report)
        return self._report

    def read_log(self) -> list[tuple[int, int, float]]:
        """Return (code, frame, value) of what happened since the last call."""
        count = lib.ae_rt_read_log(self.handle, self._log, len(self._log))
        return [(entry.code, entry.frame, entry.value) for entry in self._log[0:count]]

    def read_tap(self, out: AudioArray) -> int:
        """Fill `out`, shape (frames, mic + reference + processed channels); return the frames."""
        return int(lib.ae_rt_read_tap(self.handle, pointer(out), len(out)))

    def write_far(self, audio: AudioArray) -> int:
        """Append audio of shape (frames, render channels), C-contiguous; return what fitted."""
        return int(lib.ae_far_queue_write(self._far_queue, pointer(audio), len(audio)))

    def far_space(self) -> int:
        """Return the frames that fit into the far-end queue."""
        return int(lib.ae_far_queue_space(self._far_queue))

    def far_fill(self) -> int:
        """Return the frames that wait in the far-end queue."""
        return int(lib.ae_far_queue_fill(self._far_queue))

    def recover(self) -> None:
        """Mend what a killed audio host left half done; no callback may run."""
        lib.ae_rt_recover(self.handle)

    def idle(self, frames: int) -> None:
        """Let time pass while no callback runs."""
        lib.ae_rt_idle(self.handle, frames)

    def close(self) -> None:
        """Free the C objects; the graph and the ports stay."""
        lib.ae_rt_destroy(self.handle)
        self.handle = ffi.NULL


# --- what an audio host calls ---------------------------------------------------------------------


def attach(descriptor: int, size_bytes: int, address: int) -> bool:
    """Map a parent's block at its address; False if something else lies there."""
    return bool(lib.ae_host_map(descriptor, size_bytes, address) != ffi.NULL)


def tie_to_parent() -> None:
    """Die with the thread that started this process, and when the audio thread spins."""
    lib.ae_host_tie_to_parent()


def lock_memory(address: int, size_bytes: int) -> bool:
    """Keep this process, or at least the block, in RAM; return whether that was granted."""
    return bool(lib.ae_host_lock_memory(ffi.cast("void *", address), size_bytes))


def open_main(
    address: int,
    *,
    input_channels: int,
    output_channels: int,
    device_block_frames: int,
    buffer_s: float,
    wants_priority: bool = True,
) -> tuple[Any, Any]:
    """Prepare a `LiveCore` for a device; return PortAudio's callback and its user data."""
    device = ffi.new(
        "ae_rt_device *",
        {
            "input_channels": input_channels,
            "output_channels": output_channels,
            "device_block_frames": device_block_frames,
            "wants_priority": int(wants_priority),
            "buffer_s": buffer_s,
        },
    )
    core = ffi.cast("ae_rt *", address)
    lib.ae_rt_open(core, device)
    return ffi.addressof(lib, "ae_rt_callback"), ffi.cast("void *", core)


def open_port(address: int, *, input_channels: int, buffer_s: float) -> tuple[Any, Any]:
    """Prepare a `CapturePort` for a device; return PortAudio's callback and its user data."""
    port = ffi.cast("ae_capture_port *", address)
    lib.ae_capture_port_open(port, input_channels, buffer_s)
    return ffi.addressof(lib, "ae_capture_port_callback"), ffi.cast("void *", port)


def call_main(core: LiveCore, captured: AudioArray, played: AudioArray) -> bool:
    """Run the callback by hand, as a device would; False after the stream was told to stop."""
    result = lib.ae_rt_callback(
        pointer(captured), pointer(played), len(captured), ffi.NULL, 0, core.handle
    )
    return bool(result == 0)

"""The frozen C graph as a Python object, and the steps it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audio_engine._native.core import AudioArray, check, ffi, lib, pointer
from audio_engine._native.kernel import Kernel
from audio_engine.errors import StreamError


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a plan: its kernels and the buses they read and write (see ``ae_graph.h``)."""

    kind: str
    kernels: tuple[Kernel, ...]
    input_bus: int
    output_bus: int = -1
    side_bus: int = -1
    source_step: int = -1


class Plan:
    """A frozen C graph with its re-blocking front; keeps alive the kernels that it borrows.

    Two plans may share kernels, so that an adapted filter survives a change of plan; `close` frees
    those that no other plan uses.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.
    bus_channels : sequence of int
        Channels of every bus.
    inputs, outputs : sequence of int
        Buses that are fed and read by `process`.
    steps : sequence of Step
        In the order in which they run.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        bus_channels: Sequence[int],
        inputs: Sequence[int],
        outputs: Sequence[int],
        steps: Sequence[Step],
    ) -> None:
        self.steps = tuple(steps)
        self._graph = self._create_graph(sample_rate_hz, bus_channels, inputs, outputs)
        out = ffi.new("ae_reblock **")
        check(lib.ae_reblock_create(out, self._graph), "reblock")
        self._reblock = ffi.gc(out[0], lib.ae_reblock_destroy)
        self._inputs = ffi.new("float *[]", len(inputs))
        self._outputs = ffi.new("float *[]", len(outputs))
        self._report = ffi.new("ae_graph_report *")
        self.latency_frames = int(
            lib.ae_reblock_latency_frames(self._reblock) + lib.ae_graph_latency_frames(self._graph)
        )
        for kernel in self._kernels():
            kernel.retain()
        self.closed = False

    def _kernels(self) -> list[Kernel]:
        return [kernel for step in self.steps for kernel in step.kernels]

    def _create_graph(
        self,
        sample_rate_hz: int,
        bus_channels: Sequence[int],
        inputs: Sequence[int],
        outputs: Sequence[int],
    ) -> Any:
        arrays = [ffi.new("int[]", list(values)) for values in (bus_channels, inputs, outputs)]
        steps = ffi.new("ae_step[]", [self._c_step(step) for step in self.steps])
        config = ffi.new(
            "ae_graph_config *",
            {
                "sample_rate_hz": sample_rate_hz,
                "bus_count": len(bus_channels),
                "bus_channels": arrays[0],
                "input_count": len(inputs),
                "input_buses": arrays[1],
                "output_count": len(outputs),
                "output_buses": arrays[2],
                "step_count": len(self.steps),
                "steps": steps,
            },
        )
        out = ffi.new("ae_graph **")
        check(lib.ae_graph_create(out, config), "graph")
        return ffi.gc(out[0], lib.ae_graph_destroy)

    @staticmethod
    def _c_step(step: Step) -> dict[str, Any]:
        return {
            "kind": getattr(lib, f"AE_STEP_{step.kind}"),
            "input_bus": step.input_bus,
            "side_bus": step.side_bus,
            "output_bus": step.output_bus,
            "source_step": step.source_step,
            "nodes": [ffi.cast("void *", kernel.handle) for kernel in step.kernels],
        }

    def process(self, inputs: Sequence[AudioArray | None], outputs: Sequence[AudioArray]) -> None:
        """Run any number of frames through the graph.

        Parameters
        ----------
        inputs : sequence of ndarray of float32, shape (frames, channels), or None for silence
            C-contiguous, one per graph input.
        outputs : sequence of ndarray of float32, shape (frames, channels)
            C-contiguous, filled in place, one per graph output.
        """
        self.check_open()
        null = ffi.NULL
        keep = [None if audio is None else pointer(audio) for audio in (*inputs, *outputs)]
        for i in range(len(inputs)):
            self._inputs[i] = null if keep[i] is None else keep[i]
        for i in range(len(outputs)):
            self._outputs[i] = keep[len(inputs) + i]
        lib.ae_reblock_process(self._reblock, self._inputs, self._outputs, len(outputs[0]))

    @property
    def echo_kernels(self) -> tuple[Kernel, ...]:
        """The echo filters of the first echo step, one per channel; none where there is no step."""
        return next((step.kernels for step in self.steps if step.kind == "ECHO"), ())

    @property
    def graph(self) -> Any:
        """The C graph itself, for a live engine."""
        return self._graph

    @property
    def graph_address(self) -> int:
        """Which graph it is, as a number."""
        return int(ffi.cast("uintptr_t", self._graph))

    @property
    def graph_latency_frames(self) -> int:
        """Latency without the re-blocking front: what a live engine adds."""
        return int(lib.ae_graph_latency_frames(self._graph))

    def report(self) -> Any:
        """Return the C report (``ae_graph_report``), brought up to date.

        Only while no other thread runs the plan, or another plan with the same kernels.
        """
        self.check_open()
        lib.ae_graph_publish(self._graph)
        lib.ae_graph_read(self._graph, self._report)
        return self._report

    def live_report(self) -> Any:
        """Return the newest C report that processing has left: safe while another thread runs it.

        All zeros before the first block.
        """
        self.check_open()
        lib.ae_graph_read(self._graph, self._report)
        return self._report

    def post(self, step: int, parameter: str, value: float) -> None:
        """Queue a parameter change; it is ramped in from the next block on."""
        self.check_open()
        command = ffi.new("ae_command *", [step, getattr(lib, f"AE_PARAMETER_{parameter}"), value])
        check(lib.ae_graph_post(self._graph, command), f"setting {parameter.lower()}")

    def reset(self) -> None:
        """Clear all signal state; parameters stay."""
        self.check_open()
        lib.ae_graph_reset(self._graph)
        lib.ae_reblock_reset(self._reblock)

    def check_open(self) -> None:
        """Raise `StreamError` if the plan has been closed."""
        if self.closed:
            raise StreamError("this processor is closed; make a new one")

    def close(self) -> None:
        """Free the graph and the kernels that no other plan uses; calling it again is fine."""
        if self.closed:
            return
        self.closed = True
        ffi.release(self._reblock)
        ffi.release(self._graph)
        for kernel in self._kernels():
            kernel.release()

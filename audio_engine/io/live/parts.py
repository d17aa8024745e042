"""What a live engine is made of: shared memory, the graph, the object that the device calls."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Collection
from dataclasses import dataclass, replace

from audio_engine._native import NetModel, block_frames, models_in, net_model
from audio_engine._native.live import CapturePort, LiveCore, SharedBlock, allocated_bytes
from audio_engine.config import NOISE_MODELS, NoiseConfig
from audio_engine.errors import ModelError, StreamError
from audio_engine.graph.compile import CompiledGraph, compile_graph
from audio_engine.graph.model import Graph

#: Far-end audio and recordings may wait so long for Python, which can be busy for seconds.
QUEUE_SECONDS = 10.0

_SPARE_GRAPHS = 3  # a swap needs two at once; the third is for holes between objects
_SPARE_BYTES = 1 << 20


@dataclass(slots=True)
class _Made:
    compiled: CompiledGraph
    capture_port: CapturePort
    far_port: CapturePort | None
    core: LiveCore
    graph_bytes: int


def _make(graph: Graph, has_loopback: bool) -> _Made:
    rate_hz = graph.sample_rate_hz
    inputs = list(graph.inputs.values())
    capture_channels = inputs[0]
    render_channels = inputs[1] if len(inputs) > 1 else 1
    start = allocated_bytes()
    compiled = compile_graph(graph)
    graph_bytes = allocated_bytes() - start

    def _port(channels: int) -> CapturePort:
        return CapturePort(
            input_rate_hz=rate_hz,
            output_rate_hz=rate_hz,
            channels=channels,
            read_frames=block_frames(rate_hz),
        )

    capture_port = _port(capture_channels)
    far_port = _port(render_channels) if has_loopback else None
    core = LiveCore(
        compiled.plan,
        sample_rate_hz=rate_hz,
        capture_channels=capture_channels,
        render_channels=render_channels,
        far_queue_frames=round(QUEUE_SECONDS * rate_hz),
        tap_frames=round(QUEUE_SECONDS * rate_hz),
        capture_port=capture_port,
        far_port=far_port,
    )
    return _Made(compiled, capture_port, far_port, core, graph_bytes)


def _free(made: _Made) -> None:
    made.core.close()
    made.compiled.plan.close()
    made.capture_port.close()
    if made.far_port is not None:
        made.far_port.close()


def _needed_bytes(graph: Graph, has_loopback: bool) -> int:
    """Return how much memory a live engine takes, whatever model it changes to.

    Found by making one in ordinary memory, with models of its own, as it will have them.
    """
    models: dict[str, NetModel] = {}
    start = allocated_bytes()
    with models_in(models):
        for name in NOISE_MODELS[1:]:
            with contextlib.suppress(ModelError):
                net_model(name)
        trial = _make(_with_most_nets(graph, models), has_loopback)
    made_bytes = allocated_bytes() - start
    _free(trial)
    for model in models.values():
        model.close()
    return made_bytes + _SPARE_GRAPHS * trial.graph_bytes + _SPARE_BYTES


def _with_most_nets(graph: Graph, models: Collection[str]) -> Graph:
    """Return the graph with all the nets that there are."""
    most = [name for name in NOISE_MODELS if name in models][-1:] or NOISE_MODELS[:1]
    bigger = copy.copy(graph)
    bigger.nodes = {
        name: replace(node, config=replace(node.config, model=most[0]))
        if isinstance(node.config, NoiseConfig)
        else node
        for name, node in graph.nodes.items()
    }
    return bigger


class LiveParts:
    """The C objects of one live engine, in memory that audio hosts can map.

    One control thread at a time, but for what `LiveCore` allows.

    Parameters
    ----------
    graph : Graph
        One microphone input, perhaps a reference, one output with the microphone's channels.
    has_loopback : bool
        The far end is captured from a device.
    """

    def __init__(self, graph: Graph, *, has_loopback: bool = False) -> None:
        size = _needed_bytes(graph, has_loopback)
        self.block = SharedBlock(size)
        with self.block.allocating():
            self._made = _make(graph, has_loopback)
        self.serial = 0
        self._leaving: dict[int, CompiledGraph] = {}

    @property
    def core(self) -> LiveCore:
        """The object that the device calls."""
        return self._made.core

    @property
    def compiled(self) -> CompiledGraph:
        """The graph that runs, or is going to with the next frame."""
        return self._made.compiled

    @property
    def capture_port(self) -> CapturePort:
        """For a microphone on another card."""
        return self._made.capture_port

    @property
    def far_port(self) -> CapturePort | None:
        """For a loopback far end."""
        return self._made.far_port

    def swap(self, graph: Graph) -> CompiledGraph:
        """Let another graph take over, with a cross-fade; it keeps what it can of this one.

        Raises
        ------
        StreamError
            If the change before has not come through: nothing runs.
        """
        self.collect()
        if self._leaving:
            raise StreamError("the last change has not been taken up yet; is the stream running?")
        with self.block.allocating():
            compiled = compile_graph(graph, reuse=self.compiled)
        self.serial += 1
        self._leaving[self.compiled.plan.graph_address] = self.compiled
        self._made.compiled = compiled
        self.core.post_swap(compiled.plan, self.serial)
        return compiled

    def collect(self) -> None:
        """Free the graphs that came back."""
        while (address := self.core.collect()) is not None:
            compiled = self._leaving.pop(address)
            with self.block.allocating():
                compiled.plan.close()

    def close(self) -> None:
        """Free everything; no audio host may run any more."""
        with self.block.allocating():
            for compiled in self._leaving.values():
                compiled.plan.close()
            _free(self._made)
        self.block.close()

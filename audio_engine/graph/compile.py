"""From a `Graph` to the C plan: stages in running order become steps over numbered buses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from audio_engine._native import LIVE_FIELDS, Kernel, KernelValue, NetModel, Plan, Step
from audio_engine.config import (
    AgcConfig,
    EchoConfig,
    HighPassConfig,
    LimiterConfig,
    LipSyncConfig,
    NoiseConfig,
)
from audio_engine.graph.model import Graph, Node
from audio_engine.processors.steps import (
    echo_step,
    highpass_step,
    leveller_step,
    limiter_step,
    loudness_step,
    suppressor_step,
    sync_delay_step,
    with_usable_model,
)


@dataclass(frozen=True, slots=True)
class CompiledGraph:
    """The plan, which of its steps each stage became, and the stages that it shares.

    `shared` names the stages whose kernels are those of the plan given as `reuse`.
    """

    plan: Plan
    step_of: dict[str, int]
    sample_rate_hz: int
    inputs: dict[str, int]
    nodes: dict[str, Node]
    shared: frozenset[str] = field(default=frozenset())


def compile_graph(graph: Graph, reuse: CompiledGraph | None = None) -> CompiledGraph:
    """Make the C objects and the frozen plan of a graph.

    Parameters
    ----------
    graph : Graph
        What shall run.
    reuse : CompiledGraph, optional
        A plan that this one will take the place of, perhaps running in another thread. A stage
        whose name, sources and kernels are the same here and there, and whose sources are shared
        too, gets that plan's kernels with all that they have learned; values that may change live
        are set with the first block. A leveller that must be made anew starts at the gain of the
        earlier one; a lip-sync delay goes on where the earlier one is, or from 0. Both plans may
        then be closed in any order.

    Raises
    ------
    ConfigError
        If the graph or a stage's configuration is not valid.

    Warns
    -----
    ModelWarning
        If the file of a stage's net cannot be used: the next smaller net, or none, takes its place.
    """
    nodes = graph.ordered_nodes()
    compiler = _Compiler(graph, {node.name: i for i, node in enumerate(nodes)}, reuse)
    steps = [compiler.step(node) for node in nodes]
    buses = compiler.buses
    plan = Plan(
        graph.sample_rate_hz,
        [graph.channels_of(name) for name in buses],
        [buses[name] for name in graph.inputs],
        [buses[name] for name in graph.outputs],
        steps,
    )
    for name, parameters in compiler.shared.items():
        for parameter, value in parameters.items():
            plan.post(compiler.step_of[name], parameter, value)
    for node in nodes:
        if not node.active:
            plan.post(compiler.step_of[node.name], "ACTIVE", 0.0)
    return CompiledGraph(
        plan,
        compiler.step_of,
        graph.sample_rate_hz,
        dict(graph.inputs),
        dict(graph.nodes),
        frozenset(compiler.shared),
    )


class _KernelSource:
    """Gives a stage's kernels: those it had, in order, as long as they fit; else new ones."""

    def __init__(self, earlier: tuple[Kernel, ...]) -> None:
        self._waiting = list(earlier)
        self.fields: dict[str, KernelValue] = {}
        self.name = ""

    def __call__(self, name: str, **fields: KernelValue) -> Kernel:
        self.name, self.fields = name, fields
        if self._waiting and self._waiting[0].fits(name, fields):
            return self._waiting.pop(0)
        return Kernel(name, **fields)

    def live_values(self) -> dict[str, float]:
        """Return the parameters that may change live, with their values."""
        live = LIVE_FIELDS.get(self.name, {})
        values = ((parameter, self.fields[field]) for field, parameter in live.items())
        return {name: float(each) for name, each in values if not isinstance(each, NetModel)}


class _Compiler:
    """Turns the nodes of one graph into steps, in running order."""

    def __init__(
        self, graph: Graph, step_of: dict[str, int], earlier: CompiledGraph | None
    ) -> None:
        self.graph = graph
        self.step_of = step_of
        self.buses = {name: i for i, name in enumerate([*graph.inputs, *graph.nodes])}
        self.shared: dict[str, Mapping[str, float]] = {}  # with the live values to set
        self._earlier = earlier

    def step(self, node: Node) -> Step:
        """Return the step that a node becomes."""
        kernels = self._kernels_of_the_same_stage(node)
        source = _KernelSource(kernels)
        step = self._make(node, source)
        if kernels and step.kernels == kernels:
            self.shared[node.name] = source.live_values()
        return step

    def _kernels_of_the_same_stage(self, node: Node) -> tuple[Kernel, ...]:
        earlier = self._earlier
        if earlier is None or earlier.sample_rate_hz != self.graph.sample_rate_hz:
            return ()
        then = earlier.nodes.get(node.name)
        if then is None or (then.source, then.far_end) != (node.source, node.far_end):
            return ()
        sources = [node.source] if node.far_end is None else [node.source, node.far_end]
        if all(self._is_shared(name, earlier) for name in sources):
            return earlier.plan.steps[earlier.step_of[node.name]].kernels
        return ()

    def _is_shared(self, signal: str, earlier: CompiledGraph) -> bool:
        channels = self.graph.inputs.get(signal)
        return signal in self.shared or (
            channels is not None and channels == earlier.inputs.get(signal)
        )

    def _gain_so_far_db(self, node: Node) -> float | None:
        """Return the slow gain of the earlier plan's leveller of this name, if there is one."""
        earlier = self._earlier
        then = None if earlier is None else earlier.nodes.get(node.name)
        if earlier is None or then is None or not isinstance(then.config, AgcConfig):
            return None
        report = earlier.plan.live_report().steps[earlier.step_of[node.name]].leveller
        return float(report.voice_gain_db)

    def _make(self, node: Node, make: _KernelSource) -> Step:
        graph, step_of = self.graph, self.step_of
        rate_hz, channels = graph.sample_rate_hz, graph.channels_of(node.source)
        bus, output_bus = self.buses[node.source], self.buses[node.name]
        match node.config:
            case HighPassConfig():
                return highpass_step(
                    node.config, rate_hz, channels, bus=bus, output_bus=output_bus, make=make
                )
            case EchoConfig():
                return echo_step(
                    node.config,
                    rate_hz,
                    channels,
                    bus=bus,
                    far_bus=self.buses[str(node.far_end)],
                    far_channels=graph.channels_of(str(node.far_end)),
                    output_bus=output_bus,
                    make=make,
                )
            case NoiseConfig():
                echo = graph.nodes[node.source].config if node.source in graph.nodes else None
                if not isinstance(echo, EchoConfig):
                    echo = None
                return suppressor_step(
                    with_usable_model(node.config),
                    rate_hz,
                    channels,
                    bus=bus,
                    output_bus=output_bus,
                    echo_step_index=-1 if echo is None else step_of[node.source],
                    residual=EchoConfig().residual if echo is None else echo.residual,
                    lighter=True,
                    make=make,
                )
            case AgcConfig() | LipSyncConfig():
                return self._make_behind_suppressor(node, node.config, make)
            case LimiterConfig():
                return limiter_step(
                    node.config, rate_hz, channels, bus=bus, output_bus=output_bus, make=make
                )
            case _:
                return loudness_step(node.config, rate_hz, channels, bus=bus, make=make)

    def _make_behind_suppressor(
        self, node: Node, config: AgcConfig | LipSyncConfig, make: _KernelSource
    ) -> Step:
        """Make a step that is told what the suppressor before it hears, if there is one."""
        graph = self.graph
        rate_hz, channels = graph.sample_rate_hz, graph.channels_of(node.source)
        bus, output_bus = self.buses[node.source], self.buses[node.name]
        suppressor = graph.nearest(node.source, NoiseConfig)
        suppressor_step = -1 if suppressor is None else self.step_of[suppressor]
        if isinstance(config, LipSyncConfig):
            return sync_delay_step(
                config,
                rate_hz,
                channels,
                bus=bus,
                output_bus=output_bus,
                suppressor_step_index=suppressor_step,
                starts_at_once=self._earlier is None,
                make=make,
            )
        return leveller_step(
            config,
            rate_hz,
            channels,
            bus=bus,
            output_bus=output_bus,
            suppressor_step_index=suppressor_step,
            ceiling_dbtp=_ceiling_behind(graph, node.name),
            initial_gain_db=self._gain_so_far_db(node),
            make=make,
        )


def _ceiling_behind(graph: Graph, name: str) -> float:
    """Return the ceiling in dBTP of the limiter that the signal `name` goes through, or 0."""
    ceilings = [
        node.config.ceiling_dbtp
        for node in graph.nodes.values()
        if isinstance(node.config, LimiterConfig) and graph.nearest(node.source, AgcConfig) == name
    ]
    return min(ceilings, default=0.0)

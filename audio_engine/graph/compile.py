"""From a `Graph` to the C plan: stages in running order become steps over numbered buses."""

from __future__ import annotations

from dataclasses import dataclass

from audio_engine._native import Plan, Step
from audio_engine.config import (
    AgcConfig,
    EchoConfig,
    HighPassConfig,
    LimiterConfig,
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
)


@dataclass(frozen=True, slots=True)
class CompiledGraph:
    """The plan, and which of its steps each stage became."""

    plan: Plan
    step_of: dict[str, int]


def compile_graph(graph: Graph) -> CompiledGraph:
    """Make the C objects and the frozen plan of a graph.

    Raises
    ------
    ConfigError
        If the graph or a stage's configuration is not valid.
    """
    nodes = graph.ordered_nodes()
    buses = {name: index for index, name in enumerate([*graph.inputs, *graph.nodes])}
    step_of = {node.name: index for index, node in enumerate(nodes)}
    steps = [_step(graph, node, buses, step_of) for node in nodes]
    plan = Plan(
        graph.sample_rate_hz,
        [graph.channels_of(name) for name in buses],
        [buses[name] for name in graph.inputs],
        [buses[name] for name in graph.outputs],
        steps,
    )
    return CompiledGraph(plan, step_of)


def _step(graph: Graph, node: Node, buses: dict[str, int], step_of: dict[str, int]) -> Step:
    rate_hz, channels = graph.sample_rate_hz, graph.channels_of(node.source)
    bus, output_bus = buses[node.source], buses[node.name]
    match node.config:
        case HighPassConfig():
            return highpass_step(node.config, rate_hz, channels, bus=bus, output_bus=output_bus)
        case EchoConfig():
            far_bus = buses[str(node.far_end)]
            return echo_step(
                node.config, rate_hz, channels, bus=bus, far_bus=far_bus, output_bus=output_bus
            )
        case NoiseConfig():
            echo = node.source if graph.nearest(node.source, EchoConfig) == node.source else None
            return suppressor_step(
                node.config,
                rate_hz,
                channels,
                bus=bus,
                output_bus=output_bus,
                echo_step_index=-1 if echo is None else step_of[echo],
            )
        case AgcConfig():
            suppressor = graph.nearest(node.source, NoiseConfig)
            return leveller_step(
                node.config,
                rate_hz,
                channels,
                bus=bus,
                output_bus=output_bus,
                suppressor_step_index=-1 if suppressor is None else step_of[suppressor],
                ceiling_dbtp=_ceiling_behind(graph, node.name),
            )
        case LimiterConfig():
            return limiter_step(node.config, rate_hz, channels, bus=bus, output_bus=output_bus)
        case _:
            return loudness_step(node.config, rate_hz, channels, bus=bus)


def _ceiling_behind(graph: Graph, name: str) -> float:
    """Return the ceiling in dBTP of the limiter that the signal `name` goes through, or 0."""
    ceilings = [
        node.config.ceiling_dbtp
        for node in graph.nodes.values()
        if isinstance(node.config, LimiterConfig) and graph.nearest(node.source, AgcConfig) == name
    ]
    return min(ceilings, default=0.0)

"""The graph model: what it accepts, what it refuses, and that compiled graphs do what they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from audio_engine.config import (
    AgcConfig,
    EchoConfig,
    EngineConfig,
    HighPassConfig,
    LimiterConfig,
    MeterConfig,
    NoiseConfig,
)
from audio_engine.errors import ConfigError
from audio_engine.graph.compile import compile_graph
from audio_engine.graph.engine import engine_graph
from audio_engine.graph.model import Graph

RATE_HZ = 48000


def chain() -> Graph:
    graph = Graph(RATE_HZ)
    graph.add_input("mic")
    graph.add("limiter", LimiterConfig(), source="highpass")
    graph.add("highpass", HighPassConfig(), source="mic")
    graph.add("meter", MeterConfig(), source="limiter")
    graph.add_output("limiter")
    return graph


def test_stages_run_in_order_of_their_edges() -> None:
    names = [node.name for node in chain().ordered_nodes()]
    assert names.index("highpass") < names.index("limiter") < names.index("meter")


def test_two_inputs_two_outputs_do_not_touch_each_other() -> None:
    graph = Graph(RATE_HZ)
    for name, channels in (("left", 1), ("right", 2)):
        graph.add_input(name, channels)
        graph.add(f"{name} limiter", LimiterConfig(ceiling_dbtp=-6.0), source=name)
        graph.add_output(f"{name} limiter")
    plan = compile_graph(graph).plan
    loud = 4.0 * np.ones((RATE_HZ, 1), np.float32)
    quiet = 0.1 * np.ones((RATE_HZ, 2), np.float32)
    outs = [np.empty_like(loud), np.empty_like(quiet)]
    plan.process([loud, quiet], outs)
    assert np.abs(outs[0]).max() <= 10 ** (-6 / 20)
    assert np.array_equal(outs[1][plan.latency_frames :], quiet[: -plan.latency_frames])


def test_one_signal_may_feed_many_stages() -> None:
    graph = Graph(RATE_HZ)
    graph.add_input("mic")
    graph.add("soft", LimiterConfig(ceiling_dbtp=-12.0), source="mic")
    graph.add("hard", LimiterConfig(ceiling_dbtp=0.0), source="mic")
    graph.add_output("soft")
    graph.add_output("hard")
    plan = compile_graph(graph).plan
    tone = 0.5 * np.sin(np.arange(RATE_HZ) * 0.1).astype(np.float32)[:, None]
    outs = [np.empty_like(tone), np.empty_like(tone)]
    plan.process([tone], outs)
    assert np.abs(outs[0]).max() <= 10 ** (-12 / 20)
    assert np.array_equal(outs[1][plan.latency_frames :], tone[: -plan.latency_frames])


def test_only_enabled_stages_are_in_the_chain() -> None:
    config = EngineConfig.preset("music-asmr").with_settings({"echo.enabled": "false"})
    names = [node.name for node in engine_graph(config).ordered_nodes()]
    assert names == ["highpass", "limiter", "meter"]
    full = [node.name for node in engine_graph(EngineConfig()).ordered_nodes()]
    assert full == ["highpass", "echo", "ns", "agc", "limiter", "meter"]


def add_loop(graph: Graph) -> None:
    graph.add("a", AgcConfig(), source="b")
    graph.add("b", AgcConfig(), source="a")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda g: g.add_input("mic"), "is taken"),
        (lambda g: g.add_input("many", 9), "channels=9 is outside"),
        (lambda g: g.add("x", NoiseConfig(), source="nowhere"), "does not exist"),
        (lambda g: g.add("x", NoiseConfig(), source="meter"), "gives no signal"),
        (lambda g: g.add("x", EchoConfig(), source="mic"), "far_end"),
        (lambda g: g.add("x", NoiseConfig(), source="mic", far_end="mic"), "far_end"),
        (lambda g: g.add_output("nowhere"), "does not exist"),
        (add_loop, "loop"),
    ],
)
def test_wrong_graphs_are_refused(spoil: Callable[[Graph], None], words: str) -> None:
    def build() -> None:
        graph = chain()
        spoil(graph)
        graph.ordered_nodes()

    with pytest.raises(ConfigError, match=words):
        build()


def test_graph_without_input_or_output_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        Graph(RATE_HZ).ordered_nodes()
    with pytest.raises(ConfigError, match="sample_rate_hz"):
        Graph(4000)

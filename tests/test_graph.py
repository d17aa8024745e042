"""The graph model: what it accepts, what it refuses, and that compiled graphs do what they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from audio_engine._native import Kernel, Plan
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
from audio_engine.graph.compile import CompiledGraph, compile_graph
from audio_engine.graph.engine import engine_graph
from audio_engine.graph.model import Graph
from signals import Signal, echo_of, noise, voice

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
    config = EngineConfig.preset("music-asmr").with_settings(
        {"echo.enabled": "false", "ns.enabled": "false", "highpass.enabled": "true"}
    )
    names = [node.name for node in engine_graph(config).ordered_nodes()]
    assert names == ["highpass", "limiter", "meter"]
    full = [node.name for node in engine_graph(EngineConfig()).ordered_nodes()]
    assert full == ["highpass", "echo", "ns", "agc", "limiter", "meter"]


def compiled(preset: str, *settings: str, reuse: CompiledGraph | None = None) -> CompiledGraph:
    config = EngineConfig.preset(preset, sample_rate_hz=RATE_HZ)
    config = config.with_settings(dict(text.split("=") for text in settings))
    return compile_graph(engine_graph(config), reuse)


def run_plan(plan: Plan, mic: Signal, far: Signal) -> Signal:
    out = np.empty((len(mic), 1), np.float32)
    plan.process([mic[:, None], far[:, None]], [out])
    return out[:, 0]


EVERYTHING = {"highpass", "echo", "ns", "agc", "limiter", "meter"}


@pytest.mark.parametrize(
    ("settings", "shared"),
    [
        ([], EVERYTHING),
        (["highpass.cutoff_hz=120", "ns.dereverb=0", "agc.target_lufs=-20"], EVERYTHING),
        (["ns.enabled=false"], EVERYTHING),  # its kernel removes residual echo all the same
        (["ns.transients=false", "ns.music_guard=true"], EVERYTHING),
        (["ns.link_channels=false"], EVERYTHING),  # one channel: nothing to link
        (["limiter.release_ms=200"], {"highpass", "echo", "ns", "agc"}),
        (["limiter.ceiling_dbtp=-2"], {"highpass", "echo", "ns"}),  # the leveller knows the ceiling
        (["agc.enabled=false"], {"highpass", "echo", "ns"}),
        (["echo.tail_ms=100"], {"highpass"}),
        (["echo.enabled=false"], {"highpass"}),
        (["highpass.enabled=false"], set()),
        (["channels=2"], set()),
        (["far_channels=2"], {"highpass"}),
        (["sample_rate_hz=16000"], set()),
    ],
)
def test_plans_share_the_kernels_of_their_common_prefix(
    settings: list[str], shared: set[str]
) -> None:
    old = compiled("cohost")
    new = compiled("cohost", *settings, reuse=old)
    assert new.shared == shared
    for name in new.step_of:
        kernels = new.plan.steps[new.step_of[name]].kernels
        then = old.plan.steps[old.step_of[name]].kernels
        assert (kernels == then) == (name in shared)


def test_channels_that_part_get_suppressors_of_their_own() -> None:
    linked = compiled("cohost", "channels=2")
    parted = compiled("cohost", "channels=2", "ns.link_channels=false", reuse=linked)
    assert parted.shared == {"highpass", "echo"}
    ns = parted.plan.steps[parted.step_of["ns"]]
    assert [kernel.fields["channels"] for kernel in ns.kernels] == [1, 1]
    again = compiled(
        "cohost", "channels=2", "ns.link_channels=false", "ns.transients=false", reuse=parted
    )
    assert again.shared == EVERYTHING


def test_the_last_plan_frees_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[Kernel] = []
    close = Kernel.close

    def close_and_note(kernel: Kernel) -> None:
        freed.append(kernel)
        close(kernel)

    monkeypatch.setattr(Kernel, "close", close_and_note)
    mic, far = noise(0.5, RATE_HZ, 0.01), noise(0.5, RATE_HZ, seed=4)
    first = compiled("cohost")
    second = compiled("pk", reuse=first)
    third = compiled("cohost", reuse=second)
    for plan in (first.plan, second.plan):
        assert np.isfinite(run_plan(plan, mic, far)).all()
        plan.close()
        plan.close()
        assert not {kernel for step in third.plan.steps for kernel in step.kernels} & set(freed)
    assert np.isfinite(run_plan(third.plan, mic, far)).all()
    third.plan.close()
    kernels = {k for x in (first, second, third) for s in x.plan.steps for k in s.kernels}
    assert len(freed) == len(kernels)
    assert set(freed) == kernels


def test_a_change_of_plan_keeps_what_was_learned() -> None:
    """A plan and its successor are one plan that runs on, but for the block in hand."""
    far = voice(6.0, RATE_HZ, pitch_hz=190.0, seed=5)
    mic = noise(6.0, RATE_HZ, 1e-3) + echo_of(far, RATE_HZ) + 0.1 * voice(6.0, RATE_HZ, seed=9)
    first, second = slice(0, 4 * RATE_HZ), slice(4 * RATE_HZ, None)
    whole = run_plan(compiled("cohost").plan, mic, far)
    old = compiled("cohost")
    assert np.array_equal(run_plan(old.plan, mic[first], far[first]), whole[first])
    new = compiled("cohost", reuse=old)
    out = run_plan(new.plan, mic[second], far[second])
    block = RATE_HZ // 100
    assert np.array_equal(out[block:], whole[second][block:])


def test_a_new_leveller_starts_at_the_gain_of_the_earlier_one() -> None:
    mic, far = 0.1 * voice(4.0, RATE_HZ, seed=9), np.zeros(4 * RATE_HZ, np.float32)
    old = compiled("cohost")
    run_plan(old.plan, mic, far)
    gain_db = old.plan.live_report().steps[old.step_of["agc"]].leveller.gain_db
    assert gain_db > 6.0
    pk = compiled("pk", reuse=old)
    assert "agc" not in pk.shared
    report = pk.plan.report().steps[pk.step_of["agc"]].leveller
    assert report.gain_db == pytest.approx(min(gain_db, 24.0), abs=6.0)
    low = compiled("cohost", "agc.max_gain_db=2", reuse=old)
    assert low.plan.report().steps[low.step_of["agc"]].leveller.gain_db == pytest.approx(2.0)


def test_values_of_shared_kernels_are_set_with_the_first_block() -> None:
    """A plan on used kernels gives what a new plan with the same values gives after a reset."""
    mic, far = noise(1.0, RATE_HZ, 0.01), noise(1.0, RATE_HZ, seed=4)
    old = compiled("cohost", "ns.attenuation_limit_db=0", "limiter.ceiling_dbtp=-9")
    new = compiled("cohost", "ns.attenuation_limit_db=30", "limiter.ceiling_dbtp=-9", reuse=old)
    run_plan(new.plan, mic, far)
    new.plan.reset()
    straight = compiled("cohost", "ns.attenuation_limit_db=30", "limiter.ceiling_dbtp=-9")
    assert np.array_equal(run_plan(new.plan, mic, far), run_plan(straight.plan, mic, far))


def test_a_switchable_chain_listens_while_it_is_off() -> None:
    config = EngineConfig.preset("music-asmr", sample_rate_hz=RATE_HZ).with_settings(
        dict.fromkeys(
            ("echo.enabled", "ns.enabled", "highpass.enabled", "limiter.enabled"), "false"
        )
    )
    graph = engine_graph(config, switchable=True)
    assert [node.name for node in graph.ordered_nodes()] == [
        *("highpass", "echo", "ns", "agc", "meter")
    ]
    plan = compile_graph(graph).plan
    far = voice(3.0, RATE_HZ)
    mic = noise(3.0, RATE_HZ, 0.001) + echo_of(far, RATE_HZ)
    out = run_plan(plan, mic, far)
    late = plan.latency_frames
    assert np.allclose(out[late + RATE_HZ :], mic[RATE_HZ:-late], atol=2e-6)
    assert plan.live_report().steps[1].echo.erle_db > 3.0  # it learns


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
        (lambda g: g.add("x", MeterConfig(), source="mic", active=False), "switched off"),
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

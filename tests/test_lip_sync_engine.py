"""The lip-sync delay in the chain: where it sits, what it leaves alone, and how it is driven."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import audio_engine as ae
from audio_engine.graph.compile import CompiledGraph, compile_graph
from audio_engine.graph.engine import engine_graph
from audio_engine.processors.lipsync import LipSyncEstimate
from signals import Signal, echo_of, noise, voice
from waiting import wait_until

RATE_HZ = 16000
BLOCK = RATE_HZ // 100
STAGE_FRAMES = 32  # its own latency


def config(delay_ms: float | None, *settings: str, rate_hz: int = RATE_HZ) -> ae.EngineConfig:
    """The whole chain, with a lip-sync delay unless that is None."""
    base = ae.EngineConfig(sample_rate_hz=rate_hz).with_settings(
        dict(text.split("=") for text in settings)
    )
    if delay_ms is None:
        return base
    return replace(base, lip_sync=ae.LipSyncConfig(enabled=True, delay_ms=delay_ms))


def scene(seconds: float) -> tuple[Signal, Signal]:
    far = voice(seconds, RATE_HZ, pitch_hz=190.0, seed=5)
    near = 0.5 * voice(seconds, RATE_HZ, seed=6) + noise(seconds, RATE_HZ, 0.001)
    return near + echo_of(far, RATE_HZ), far


def frames_of(delay_ms: float) -> int:
    return round(delay_ms * RATE_HZ / 1000)


def test_it_is_not_there_unless_enabled() -> None:
    assert "lip_sync" not in engine_graph(ae.EngineConfig(), switchable=True).nodes
    with ae.Engine(config(None)) as engine:
        assert engine.stats().lip_sync is None
        engine.process(np.zeros(BLOCK, np.float32))
        with pytest.raises(ae.ConfigError, match="lip_sync is not enabled in this engine"):
            engine.set("lip_sync.delay_ms", 100.0)
        with pytest.raises(ae.StreamError, match="before the lip-sync delay: it is disabled"):
            _ = engine.undelayed
    for name in ae.preset_names():
        assert not ae.EngineConfig.preset(name).lip_sync.enabled


def test_wrong_delays_are_refused() -> None:
    with pytest.raises(ae.ConfigError, match=r"delay_ms=2001 is outside -2000 \.\. 2000 ms"):
        ae.LipSyncConfig(delay_ms=2001.0)
    with pytest.raises(ae.ConfigError, match="delay_ms=600 is more than max_delay_ms=500"):
        ae.LipSyncConfig(delay_ms=600.0, max_delay_ms=500)
    with ae.Engine(config(0.0, "lip_sync.max_delay_ms=500")) as engine:
        with pytest.raises(ae.ConfigError, match="outside -2000"):
            engine.set("lip_sync.delay_ms", 3000.0)
        with pytest.raises(ae.ConfigError, match="cannot change while"):
            engine.set("lip_sync.enabled", 0)
        assert engine.config.lip_sync.delay_ms == 0.0


@pytest.mark.parametrize("delay_ms", [0.0, 80.0, 2000.0])
def test_all_before_it_is_as_without_it(delay_ms: float) -> None:
    """The far reference, the echo's alignment and every stage: the same samples, only later."""
    mic, far = scene(4.0)
    with ae.Engine(config(None)) as without, ae.Engine(config(delay_ms)) as engine:
        expected, out = without.process(mic, far), engine.process(mic, far)
        assert engine.latency_frames == without.latency_frames + STAGE_FRAMES
        assert np.array_equal(engine.undelayed, expected)
        late = STAGE_FRAMES + frames_of(delay_ms)
        assert np.array_equal(out[late:], expected[:-late])
        assert not out[:late].any()
        theirs, ours = without.stats(), engine.stats()
    assert ours.echo == theirs.echo
    assert ours.echo is not None
    assert ours.echo.erle_db > 3.0
    assert (ours.noise, ours.agc, ours.loudness) == (theirs.noise, theirs.agc, theirs.loudness)
    assert "-0.0" not in repr(ours.lip_sync)
    assert ours.lip_sync == ae.LipSyncStats(
        delay_ms=delay_ms, target_ms=delay_ms, video_delay_ms=0.0, moving=False, jump_count=0
    )


def test_a_moving_delay_leaves_the_echo_canceller_alone() -> None:
    mic, far = scene(4.0)
    with ae.Engine(config(None)) as without, ae.Engine(config(0.0)) as engine:
        for half_second in range(8):
            cut = slice(half_second * RATE_HZ // 2, (half_second + 1) * RATE_HZ // 2)
            engine.set("lip_sync.delay_ms", 500.0 * (half_second % 3))
            expected = without.process(mic[cut], far[cut])
            engine.process(mic[cut], far[cut])
            assert np.array_equal(engine.undelayed, expected)
        assert engine.stats().echo == without.stats().echo


def test_blocking_never_changes_a_moving_delay() -> None:
    mic, far = scene(3.0)

    def run(block: int) -> Signal:
        out = []
        with ae.Engine(config(100.0)) as engine:
            for start, end, delay_ms in ((0, 12345, 150.0), (12345, len(mic), 90.0)):
                for n in range(start, end, block):
                    cut = slice(n, min(n + block, end))
                    out.append(engine.process(mic[cut], far[cut]))
                engine.set("lip_sync.delay_ms", delay_ms)
            assert engine.stats().lip_sync is not None
        return np.concatenate(out)

    whole = run(1 << 30)
    for block in (1000, 77, BLOCK):
        assert np.array_equal(run(block), whole)


def test_files_are_shifted_by_the_wanted_delay_only() -> None:
    mic, far = scene(2.0)
    plain = ae.enhance(mic, sample_rate_hz=RATE_HZ, far_end=far, config=config(None))
    ready = ae.enhance(mic, sample_rate_hz=RATE_HZ, far_end=far, config=config(0.0))
    assert np.array_equal(ready, plain)
    late = ae.enhance(mic, sample_rate_hz=RATE_HZ, far_end=far, config=config(50.0))
    assert np.array_equal(late[frames_of(50.0) :], plain[: -frames_of(50.0)])
    assert late.shape == plain.shape


def test_what_the_audio_cannot_do_is_left_to_the_picture() -> None:
    with ae.Engine(config(60.0)) as engine:
        engine.process(np.zeros(RATE_HZ, np.float32))
        engine.set("lip_sync.delay_ms", -40.0)
        engine.process(np.zeros(RATE_HZ, np.float32))  # silence: it jumps
        stats = engine.stats().lip_sync
        assert stats is not None
        assert (stats.delay_ms, stats.target_ms, stats.video_delay_ms) == (0.0, 0.0, 40.0)
        assert (stats.moving, stats.jump_count) == (False, 1)
        engine.set("lip_sync.delay_ms", 30.0)
        engine.process(np.zeros(BLOCK, np.float32))
        engine.reset()
        stats = engine.stats().lip_sync
        assert stats is not None
        assert (stats.delay_ms, stats.jump_count) == (30.0, 0)


def test_estimates_drive_the_engine() -> None:
    """Audio 150 ms early, read before the delay: after three estimates it is on its way."""
    speech = voice(12.0, RATE_HZ, seed=6)
    corrector = ae.LipSyncCorrector()
    with ae.Engine(config(0.0, "echo.enabled=false")) as engine:
        for second in range(12):
            engine.process(speech[second * RATE_HZ : (second + 1) * RATE_HZ])
            estimate = LipSyncEstimate(
                offset_ms=-150.0, confidence=0.9, reason="", drift_ms_per_s=None
            )
            corrector.update(estimate)
            engine.set("lip_sync.delay_ms", corrector.delay_ms)
        stats = engine.stats().lip_sync
    assert stats is not None
    assert (stats.delay_ms, stats.moving) == (150.0, False)
    assert stats.jump_count >= 1  # 9 s of sliding are 45 ms


# --- change of plan -------------------------------------------------------------------------------


def compiled(now: ae.EngineConfig, reuse: CompiledGraph | None = None) -> CompiledGraph:
    return compile_graph(engine_graph(now), reuse)


def delay_now_ms(made: CompiledGraph) -> float:
    return float(made.plan.report().steps[made.step_of["lip_sync"]].sync_delay.delay_ms)


def test_plans_share_the_delay_line_or_begin_at_nothing() -> None:
    old = compiled(config(120.0))
    assert delay_now_ms(old) == 120.0
    same = compiled(config(300.0), old)
    assert "lip_sync" in same.shared
    assert delay_now_ms(same) == 120.0
    shorter = compiled(config(120.0, "limiter.release_ms=200"), old)
    assert "lip_sync" not in shorter.shared
    assert delay_now_ms(shorter) == 0.0  # until ae_graph_take_over
    added = compiled(config(120.0), compiled(config(None)))
    assert added.shared == {"highpass", "echo", "ns", "agc", "limiter", "meter"}
    assert delay_now_ms(added) == 0.0


def test_it_cannot_be_added_switched_off() -> None:
    graph = ae.Graph(RATE_HZ)
    graph.add_input("mic")
    with pytest.raises(ae.ConfigError, match="cannot be switched off"):
        graph.add("late", ae.LipSyncConfig(), source="mic", active=False)


def late_noise(tmp_path: Path) -> tuple[Signal, ae.SimulatedStream]:
    """Five seconds of noise, and a stream that delays it by 400 ms and does nothing else."""
    off = [f"{name}.enabled=false" for name in ("echo", "ns", "agc", "highpass")]
    mic = 0.05 * np.random.default_rng(3).uniform(-1, 1, 5 * 48000).astype(np.float32)
    soundfile.write(tmp_path / "mic.wav", mic, 48000, subtype="FLOAT")
    stream = ae.SimulatedStream(config(400.0, *off, rate_hz=48000), tmp_path / "mic.wav")
    stream.record(tmp_path / "out.wav")
    return mic, stream


def check_late_noise(tmp_path: Path, mic: Signal, engine_latency_ms: float, to_s: float) -> None:
    """What came out is what went in, 400 ms and the latency later, without a gap."""
    out, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
    late = round((engine_latency_ms + 400.0) * 48)
    heard = out[late : round(to_s * 48000)]
    assert np.allclose(heard, mic[: len(heard)], atol=1e-5)


def test_a_live_change_of_plan_is_not_heard_behind_the_delay(tmp_path: Path) -> None:
    mic, stream = late_noise(tmp_path)
    with stream:
        wait_until(lambda: stream.stats().frames > 0.7 * 48000, 10.0)
        limiter = replace(stream.config.limiter, release_ms=200.0)
        stream.swap(replace(stream.config, limiter=limiter))
        wait_until(lambda: stream.stats().frames > 1.8 * 48000, 10.0)
        stats = stream.stats()
    assert stats.engine.lip_sync is not None
    assert stats.engine.lip_sync.delay_ms == 400.0
    check_late_noise(tmp_path, mic, stats.engine_latency_ms, 1.8)


def test_the_untouched_microphone_is_as_late(tmp_path: Path) -> None:
    mic, stream = late_noise(tmp_path)
    with stream:
        stream.bypass = True
        wait_until(lambda: stream.stats().frames > 1.0 * 48000, 10.0)
        engine_latency_ms = stream.stats().engine_latency_ms
    check_late_noise(tmp_path, mic, engine_latency_ms, 1.0)


def test_a_live_stream_takes_delays_and_gets_the_stage(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "mic.wav", np.zeros(4800, np.float32), 48000)
    with ae.SimulatedStream(config(None, rate_hz=48000), tmp_path / "mic.wav") as stream:
        with pytest.raises(ae.ConfigError, match="lip_sync is not enabled"):
            stream.set("lip_sync.delay_ms", 100.0)
        stream.swap(replace(stream.config, lip_sync=ae.LipSyncConfig(delay_ms=9.0)))  # not enabled
        wait_until(lambda: stream.stats().engine.frames > 0, 10.0)
        wanted = replace(stream.config, lip_sync=ae.LipSyncConfig(enabled=True, delay_ms=250.0))
        wait_until(lambda: _swaps(stream, wanted), 10.0)
        wait_until(lambda: _delay_ms(stream) == 250.0, 10.0)  # silence: a jump
        stream.set("lip_sync.delay_ms", 40.0)
        wait_until(lambda: _delay_ms(stream) == 40.0, 10.0)
        stream.swap(replace(wanted, lip_sync=ae.LipSyncConfig(enabled=True, delay_ms=-70.0)))
        wait_until(lambda: _delay_ms(stream) == 0.0, 10.0)
        stats = stream.stats().engine.lip_sync
        assert stats is not None
        assert stats.video_delay_ms == 70.0


def _swaps(stream: ae.SimulatedStream, wanted: ae.EngineConfig) -> bool:
    """The swap before has to be through."""
    try:
        stream.swap(wanted)
    except ae.StreamError:
        return False
    return True


def _delay_ms(stream: ae.SimulatedStream) -> float | None:
    stats = stream.stats().engine.lip_sync
    return None if stats is None else stats.delay_ms

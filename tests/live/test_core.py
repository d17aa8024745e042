"""`_native.live`: the callback's object driven by hand, in memory for two processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from audio_engine import _native
from audio_engine._native.live import (
    CapturePort,
    LiveCore,
    SharedBlock,
    call_main,
    open_main,
    open_port,
)
from audio_engine.config import AgcConfig, EngineConfig, NoiseConfig
from audio_engine.errors import AudioEngineError, ConfigError
from audio_engine.graph.compile import CompiledGraph, compile_graph
from audio_engine.graph.engine import engine_graph
from audio_engine.processors.audio import AudioArray
from signals import noise, voice

RATE_HZ = 16000
FRAME = 160
CONFIG = EngineConfig(sample_rate_hz=RATE_HZ)
STARTED, XRUN, FAR_GAP, SWAPPED = 0, 1, 3, 5


def compiled(config: EngineConfig = CONFIG, reuse: CompiledGraph | None = None) -> CompiledGraph:
    return compile_graph(engine_graph(config, switchable=True), reuse=reuse)


class Rig:
    """A core in shared memory, and what a device would do with it."""

    def __init__(self, block: SharedBlock, config: EngineConfig = CONFIG) -> None:
        self.block, self.config = block, config
        with block.allocating():
            self.graph = compiled(config)
            self.core = LiveCore(
                self.graph.plan,
                sample_rate_hz=RATE_HZ,
                capture_channels=config.channels,
                render_channels=config.far_channels,
                far_queue_frames=4 * RATE_HZ,
                tap_frames=4 * RATE_HZ,
            )
        self.open(FRAME)

    def open(self, device_block_frames: int) -> None:
        open_main(
            self.core.address,
            input_channels=1,
            output_channels=1,
            device_block_frames=device_block_frames,
            buffer_s=100.0,
            wants_priority=False,
        )

    def play(self, captured: AudioArray, block: int = FRAME) -> AudioArray:
        """Run the device; whole blocks only."""
        blocks = []
        for start in range(0, len(captured) - block + 1, block):
            played = np.full((block, 1), np.nan, np.float32)
            assert call_main(self.core, captured[start : start + block], played)
            blocks.append(played)
        return np.concatenate(blocks)

    def tap(self) -> AudioArray:
        out = np.zeros((4 * RATE_HZ, 3), np.float32)
        return out[: self.core.read_tap(out)]

    def close(self) -> None:
        with self.block.allocating():
            self.core.close()
            self.graph.plan.close()


@contextmanager
def shared_block(size_bytes: int = 1 << 24) -> Iterator[SharedBlock]:
    block = SharedBlock(size_bytes)
    empty = block.used_bytes()
    yield block
    assert block.used_bytes() == empty, "an object was left in the block"
    block.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    with shared_block() as block:
        rig = Rig(block)
        yield rig
        rig.close()


def room(seconds: float) -> tuple[AudioArray, AudioArray]:
    """A microphone with a voice, noise and the echo of the far end, and that far end."""
    far = 0.3 * noise(seconds, RATE_HZ, 0.3, seed=5)
    echo = 0.4 * np.concatenate([np.zeros(700, np.float32), far[:-700]])
    mic = voice(seconds, RATE_HZ) + noise(seconds, RATE_HZ, 0.002) + echo
    return mic.astype(np.float32)[:, np.newaxis], far.astype(np.float32)[:, np.newaxis]


@pytest.mark.parametrize("block", [FRAME, 441, 512, 64])
def test_live_is_what_offline_is(rig: Rig, block: int) -> None:
    mic, far = room(1.5)
    rig.open(block)
    rig.core.post("MONITOR", value=0.2)
    assert rig.core.write_far(far) == len(far)
    rig.play(mic, block)
    tap = rig.tap()
    frames = len(tap)
    assert frames == len(mic) // block * block // FRAME * FRAME
    plan = compiled().plan
    offline = np.zeros((frames, 1), np.float32)
    plan.process([tap[:, :1].copy(), tap[:, 1:2].copy()], [offline])
    late = plan.latency_frames - plan.graph_latency_frames  # of the front that cuts into frames
    plan.close()
    np.testing.assert_array_equal(tap[:, 0], mic[:frames, 0])
    np.testing.assert_array_equal(tap[: frames - late, 2], offline[late:, 0])
    assert np.abs(tap[frames // 2 :, 2]).max() > 0.01


def test_the_far_end_is_played_and_heard_as_reference(rig: Rig) -> None:
    mic, far = room(1.0)
    rig.core.write_far(far)
    played = rig.play(mic)
    tap = rig.tap()
    # The queue keeps half a frame in reserve, so the last one is faded out.
    np.testing.assert_array_equal(played[: -2 * FRAME], far[: -2 * FRAME])
    np.testing.assert_array_equal(tap[FRAME:, 1], played[:-FRAME, 0])
    assert not tap[:FRAME, 1].any()


def test_a_swap_keeps_what_is_shared_and_frees_the_rest(rig: Rig) -> None:
    mic, far = room(3.0)
    mic -= voice(3.0, RATE_HZ)[:, np.newaxis]  # echo and noise only
    rig.core.write_far(far)
    rig.play(mic[: 2 * RATE_HZ])
    learnt_db = rig.graph.plan.live_report().steps[rig.graph.step_of["echo"]].echo.erle_db
    other = EngineConfig(sample_rate_hz=RATE_HZ, agc=AgcConfig(max_gain_db=6.0))
    used = rig.block.used_bytes()
    with rig.block.allocating():
        new = compiled(other, reuse=rig.graph)
    assert "echo" in new.shared
    rig.core.post_swap(new.plan, 1)
    assert rig.core.collect() is None
    rig.play(mic[2 * RATE_HZ : 2 * RATE_HZ + 10 * FRAME])
    assert rig.core.collect() == rig.graph.plan.graph_address
    assert rig.core.collect() is None
    assert rig.core.read().serial == 1
    with rig.block.allocating():
        rig.graph.plan.close()
    rig.graph = new
    assert rig.block.used_bytes() == pytest.approx(used, rel=0.02)
    now_db = rig.graph.plan.live_report().steps[new.step_of["echo"]].echo.erle_db
    assert learnt_db > 6.0
    assert now_db == pytest.approx(learnt_db, abs=3.0)
    assert (SWAPPED, 1.0) in [(code, value) for code, _, value in rig.core.read_log()]


def test_switches_are_heard(rig: Rig) -> None:
    mic, _ = room(0.5)
    rig.core.post("MONITOR", value=1.0)
    rig.core.post("MUTE", on=True)
    assert not rig.play(mic)[FRAME:].any()
    rig.core.post("MUTE", on=False)
    rig.core.post("BYPASS", on=True, value=0.5)
    played = rig.play(mic)
    late = rig.graph.plan.graph_latency_frames
    np.testing.assert_allclose(played[2 * FRAME + late :], 0.5 * mic[2 * FRAME : -late], atol=1e-6)


def test_stop_says_so_and_another_device_goes_on(rig: Rig) -> None:
    mic, _ = room(0.5)
    rig.core.post("STOP")
    played = np.zeros((FRAME, 1), np.float32)
    answers = [call_main(rig.core, mic[:FRAME], played) for _ in range(4)]
    assert answers == [True, False, False, False]
    assert rig.core.read().stopped == 1
    rig.open(FRAME)
    rig.play(mic)
    assert rig.core.read().stopped == 0


def test_what_cannot_be_obeyed_is_refused(rig: Rig) -> None:
    with rig.block.allocating():
        stereo = compiled(EngineConfig(sample_rate_hz=RATE_HZ, channels=2)).plan
    with pytest.raises(ConfigError):
        rig.core.post_swap(stereo, 1)
    with pytest.raises(ConfigError):
        rig.core.post("MONITOR", value=float("nan"))
    with rig.block.allocating():
        stereo.close()
    for _ in range(64):
        rig.core.post("MUTE")
    with pytest.raises(AudioEngineError, match="full"):
        rig.core.post("MUTE")


def test_nothing_is_allocated_while_it_runs(rig: Rig) -> None:
    mic, far = room(0.5)
    rig.core.write_far(far)
    before = _native.allocation_count(), rig.block.used_bytes()
    rig.play(mic, 100)
    assert (_native.allocation_count(), rig.block.used_bytes()) == before


def test_levels_and_gaps_are_reported(rig: Rig) -> None:
    mic, far = room(1.0)
    rig.core.post("FAR", on=True)
    rig.core.write_far(far[: RATE_HZ // 2])
    rig.play(mic)
    report = rig.core.read()
    assert report.frames == len(mic)
    assert report.far_underruns == 1
    assert report.input.held_peak == pytest.approx(np.abs(mic[-RATE_HZ:]).max(), rel=0.5)
    assert -60.0 < report.input.momentary_lufs < 0.0
    assert report.load.p50_us > 0.0
    assert report.load.block_us == 10000.0
    codes = [code for code, _, _ in rig.core.read_log()]
    assert codes.count(STARTED) == 1
    assert codes.count(FAR_GAP) == 1
    assert codes.count(XRUN) == 0


def test_a_microphone_on_another_card() -> None:
    config = EngineConfig(sample_rate_hz=RATE_HZ)
    with shared_block() as block:
        with block.allocating():
            port = CapturePort(
                input_rate_hz=RATE_HZ, output_rate_hz=RATE_HZ, channels=1, read_frames=FRAME
            )
            graph = compiled(config)
            core = LiveCore(
                graph.plan,
                sample_rate_hz=RATE_HZ,
                capture_channels=1,
                render_channels=1,
                far_queue_frames=RATE_HZ,
                tap_frames=4 * RATE_HZ,
                capture_port=port,
            )
        callback, user = open_port(port.address, input_channels=1, buffer_s=100.0)
        open_main(
            core.address,
            input_channels=0,
            output_channels=1,
            device_block_frames=FRAME,
            buffer_s=100.0,
            wants_priority=False,
        )
        constant, played = np.full((FRAME, 1), 0.25, np.float32), np.zeros((FRAME, 1), np.float32)
        tap, heard = np.zeros((RATE_HZ, 3), np.float32), False
        start, frames = time.monotonic(), 0
        while not heard and frames < 10 * RATE_HZ:  # a second, where the machine does not stall
            callback(_native.pointer(constant), _native.ffi.NULL, FRAME, _native.ffi.NULL, 0, user)
            call_main(core, constant, played)
            frames += FRAME
            time.sleep(max(0.0, start + frames / RATE_HZ - time.monotonic()))
            count = core.read_tap(tap)
            heard = bool((np.abs(tap[:count, 0] - 0.25) < 1e-3).any())
        assert heard
        assert port.bridge_report().writing == 1
        assert port.callback_report().frames % FRAME == 0
        with block.allocating():
            core.close()
            graph.plan.close()
            port.close()


HOST = """
import sys
from audio_engine._native.live import attach, open_main
import audio_engine._native as native

descriptor, size_bytes, address, core = map(int, sys.argv[1:])
assert attach(descriptor, size_bytes, address)
callback, user = open_main(core, input_channels=1, output_channels=1, device_block_frames=160,
                           buffer_s=100.0, wants_priority=False)
silence, played = native.ffi.new("float[160]"), native.ffi.new("float[160]")
print("ready", flush=True)
while True:
    callback(silence, played, 160, native.ffi.NULL, 0, user)
"""


def test_another_process_runs_it_and_is_killed(rig: Rig) -> None:
    mic, far = room(1.0)
    rig.core.write_far(far)
    for serial in range(1, 4):
        with rig.block.allocating():
            new = compiled(reuse=rig.graph)
        place = [rig.block.descriptor, rig.block.size_bytes, rig.block.address, rig.core.address]
        host = subprocess.Popen(
            [sys.executable, "-c", HOST, *map(str, place)],
            pass_fds=[rig.block.descriptor],
            stdout=subprocess.PIPE,
        )
        assert host.stdout is not None
        assert host.stdout.readline() == b"ready\n"
        rig.core.post_swap(new.plan, serial)
        before = rig.core.read().callback.callbacks
        until = time.monotonic() + 10.0
        while rig.core.read().callback.callbacks < before + 5:
            assert time.monotonic() < until
            time.sleep(0.001)
        host.send_signal(signal.SIGKILL)
        host.communicate()
        rig.core.recover()
        rig.core.idle(FRAME)
        rig.open(FRAME)
        rig.play(mic[: 20 * FRAME])
        assert rig.core.collect() == rig.graph.plan.graph_address
        assert rig.core.collect() is None
        assert rig.core.read().serial == serial
        with rig.block.allocating():
            rig.graph.plan.close()
        rig.graph = new


def test_another_process_hears_with_the_nets() -> None:
    """Weights and states lie in the block; an address of this process alone would end the host."""
    block = SharedBlock(1 << 24)
    rig = Rig(block, CONFIG.with_settings({"ns.model": "large"}))
    step = rig.graph.step_of["ns"]
    assert rig.graph.plan.live_report().steps[step].suppressor.net_share == 0.0, "nothing ran yet"
    place = [block.descriptor, block.size_bytes, block.address, rig.core.address]
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, *map(str, place)],
        pass_fds=[block.descriptor],
        stdout=subprocess.PIPE,
    )
    try:
        assert host.stdout is not None
        assert host.stdout.readline() == b"ready\n"
        until = time.monotonic() + 30.0
        heard = 0.0  # a busy machine may soon be too slow for the large net, and then for any
        while rig.core.read().callback.callbacks < 50 or heard == 0.0:
            heard = max(heard, rig.graph.plan.live_report().steps[step].suppressor.net_share)
            assert host.poll() is None
            assert time.monotonic() < until
            time.sleep(0.001)
    finally:
        host.kill()
        host.communicate()
    rig.core.recover()
    rig.core.idle(FRAME)
    rig.close()
    block.close()


def test_making_and_closing_leaves_nothing() -> None:
    config = EngineConfig(sample_rate_hz=8000, ns=NoiseConfig(enabled=False))
    with shared_block() as block:
        for _ in range(30):
            with block.allocating():
                graph = compiled(config)
                core = LiveCore(
                    graph.plan,
                    sample_rate_hz=8000,
                    capture_channels=1,
                    render_channels=1,
                    far_queue_frames=8000,
                    tap_frames=8000,
                )
                core.close()
                graph.plan.close()

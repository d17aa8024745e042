"""The whole chain through its public face: blocking, builds, allocations, weather, one shot."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import audio_engine as ae
from audio_engine import _native
from signals import Signal, echo_of, noise, speech, voice

RATE_HZ = 16000
BLOCKS: list[int | str] = [1, 7, 160, 480, 4800, "random"]


def scene(seconds: float = 3.0, rate_hz: int = RATE_HZ) -> tuple[Signal, Signal]:
    """A microphone with a near voice, noise and the far end's echo; and the far end."""
    far = voice(seconds, rate_hz, pitch_hz=190.0, seed=5)
    near = 0.5 * voice(seconds, rate_hz, seed=6) + noise(seconds, rate_hz)
    return near + echo_of(far, rate_hz), far


def cuts(frames: int, block: int | str) -> list[slice]:
    """Slices that cover `frames` frames in blocks of a size, or of random sizes."""
    rng = np.random.default_rng(8)
    slices, start = [], 0
    while start < frames:
        length = int(rng.integers(1, 2000)) if block == "random" else int(block)
        slices.append(slice(start, min(start + length, frames)))
        start += length
    return slices


def make_engine(rate_hz: int = RATE_HZ, channels: int = 1) -> ae.Engine:
    return ae.Engine(ae.EngineConfig(sample_rate_hz=rate_hz, channels=channels))


PROCESSORS: dict[str, Callable[[], ae.Processor]] = {
    "Engine": make_engine,
    "EchoCanceller": lambda: ae.EchoCanceller(RATE_HZ),
    "NoiseSuppressor": lambda: ae.NoiseSuppressor(RATE_HZ),
    "LoudnessLeveler": lambda: ae.LoudnessLeveler(RATE_HZ),
    "TruePeakLimiter": lambda: ae.TruePeakLimiter(RATE_HZ),
}


def run_in_blocks(
    processor: ae.Processor, mic: NDArray[Any], far: Signal | None, block: int | str
) -> NDArray[np.float32]:
    takes_far = isinstance(processor, ae.Engine | ae.EchoCanceller)
    outputs = [
        processor.process(mic[cut], far[cut])  # type: ignore[call-arg]
        if takes_far and far is not None
        else processor.process(mic[cut])
        for cut in cuts(len(mic), block)
    ]
    return np.concatenate([*outputs, processor.flush()])


@pytest.mark.parametrize("name", PROCESSORS)
def test_blocking_never_changes_the_samples(name: str) -> None:
    mic, far = scene(2.0)
    with PROCESSORS[name]() as processor:
        whole = run_in_blocks(processor, mic, far, len(mic))
        assert np.any(whole)
        for block in BLOCKS:
            processor.reset()
            assert np.array_equal(run_in_blocks(processor, mic, far, block), whole), block


@pytest.mark.parametrize("name", PROCESSORS)
def test_input_is_not_modified_and_dtypes_agree(name: str) -> None:
    mic, far = scene(1.0)
    mic16 = np.round(mic * 32768).astype(np.int16)
    exact = (mic16 / 32768).astype(np.float32)
    before = mic16.copy()
    outputs = []
    for variant in (
        exact,
        mic16,
        exact.astype(np.float64),
        (mic16.astype(np.int32) << 16),
        np.repeat(exact, 2)[::2],
    ):
        with PROCESSORS[name]() as processor:
            outputs.append(run_in_blocks(processor, variant, far, 480))
    assert np.array_equal(mic16, before)
    for output in outputs[1:]:
        assert np.array_equal(output, outputs[0])


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_rate_and_channel_count_runs(rate_hz: int, channels: int) -> None:
    mic, far = scene(1.0, rate_hz)
    stacked = np.stack([mic * (1.0 - 0.3 * c) for c in range(channels)], axis=1)
    out = ae.enhance(stacked, sample_rate_hz=rate_hz, far_end=far)
    assert out.shape == stacked.shape
    assert np.isfinite(out).all()
    assert 0 < np.abs(out).max() <= 1.0


def test_eight_channels_run() -> None:
    mic, far = scene(2.0)
    eight = np.repeat(mic[:, None], 8, axis=1)
    out = ae.enhance(eight, sample_rate_hz=RATE_HZ)
    assert np.allclose(out, out[:, :1], atol=1e-6), "equal channels stay equal"
    cancelled = ae.enhance(eight, sample_rate_hz=RATE_HZ, far_end=far)
    levels = [level_db(cancelled[:, c]) for c in range(8)]
    assert np.ptp(levels) < 0.5, "only comfort noise differs between equal channels"


def test_stereo_picture_stays() -> None:
    left = voice(4.0, RATE_HZ) + noise(4.0, RATE_HZ, 0.002)
    stereo = np.stack([left, 0.25 * left], axis=1)
    out = ae.enhance(stereo, sample_rate_hz=RATE_HZ)
    loud = np.abs(out[:, 0]) > 0.05
    assert loud.any()
    ratio_db = 20 * np.log10(np.abs(out[loud, 1] / out[loud, 0]))
    assert np.all(np.abs(ratio_db + 12.04) < 0.1)


def test_enhance_keeps_shape_and_compensates_latency() -> None:
    clean = voice(6.0, RATE_HZ)
    config = ae.EngineConfig().with_settings({"agc.enabled": "false", "highpass.enabled": "false"})
    out = ae.enhance(clean, sample_rate_hz=RATE_HZ, config=config)
    assert out.shape == clean.shape
    lags = range(-40, 41)
    body = slice(1000, len(clean) - 1000)
    scores = [np.dot(clean[body], np.roll(out, -lag)[body]) for lag in lags]
    assert lags[int(np.argmax(scores))] == 0


def test_latency_is_exact() -> None:
    with ae.TruePeakLimiter(RATE_HZ) as limiter:
        click = np.zeros(2000, np.float32)
        click[100] = 0.5
        out = limiter.process(click)
        assert int(np.argmax(np.abs(out))) == 100 + limiter.latency_frames
    with make_engine(48000) as engine:
        assert engine.latency_frames <= 48000 * 0.026


def test_baseline_and_v3_kernels_agree(tmp_path: Path) -> None:
    if not _native.lib.ae_cpu_has_v3():
        pytest.skip("this processor has no AVX2: only the baseline kernels run")
    mic, far = scene(4.0)
    np.savez(tmp_path / "in.npz", mic=mic, far=far)
    code = (
        "import sys, numpy as np, audio_engine as ae; d = np.load(sys.argv[1]);"
        "np.save(sys.argv[2], ae.enhance(d['mic'], sample_rate_hz=16000, far_end=d['far']))"
    )
    outputs = []
    for build in ("baseline", "v3"):
        target = tmp_path / f"{build}.npy"
        environment = {**os.environ, "AUDIO_ENGINE_KERNELS": build}
        command = [sys.executable, "-c", code, str(tmp_path / "in.npz"), str(target)]
        subprocess.run(command, check=True, env=environment)
        outputs.append(np.load(target).astype(np.float64))
    difference = np.sum((outputs[0] - outputs[1]) ** 2) / np.sum(outputs[0] ** 2)
    assert 10 * np.log10(difference + 1e-30) < -80


def test_processing_allocates_nothing_in_c_and_keeps_the_fp_mode() -> None:
    mic, far = scene(2.0)
    with make_engine() as engine:
        before = _native.allocation_count()
        engine.process(mic, far)
        engine.reset()
        engine.process(mic, far)
        assert _native.allocation_count() == before
    tiny = np.full(8, 1e-40, np.float32) * np.float32(0.5)
    assert np.all(tiny > 0), "denormals are kept outside the engine"


def poison(mic: Signal, kind: str, start: int, length: int) -> Signal:
    """Replace a stretch of the signal by bad weather."""
    bad = mic.copy()
    time = np.arange(length)
    bad[start : start + length] = {
        "nan": np.full(length, np.nan),
        "inf": np.full(length, np.inf),
        "huge": np.full(length, 3e38),
        "denormal": np.full(length, 1e-41),
        "dc": np.full(length, 1.0),
        "square": np.where(time % 100 < 50, 1.0, -1.0),
    }[kind].astype(np.float32)
    return bad


def level_db(signal: Signal) -> float:
    return float(10 * np.log10(np.mean(signal.astype(np.float64) ** 2) + 1e-12))


@pytest.mark.parametrize("kind", ["nan", "inf", "huge", "denormal", "dc", "square"])
def test_bad_weather_passes_within_100_ms(kind: str) -> None:
    mic, far = scene(8.0)
    start, length = 4 * RATE_HZ, RATE_HZ // 50
    bad = poison(mic, kind, start, length)
    with make_engine() as engine:
        clean_run = engine.process(mic, far)
        engine.reset()
        bad_run = engine.process(bad, far)
        counted = engine.stats().non_finite_count
        late = engine.latency_frames
    assert np.isfinite(bad_run).all()
    assert np.abs(bad_run).max() <= 1.0
    assert counted == (length if kind in {"nan", "inf", "huge"} else 0)
    after = slice(start + length + late + RATE_HZ // 10, None)
    assert abs(level_db(bad_run[after]) - level_db(clean_run[after])) < 3.0
    second = slice(after.start, after.start + RATE_HZ)
    assert abs(level_db(bad_run[second]) - level_db(clean_run[second])) < 3.0


def test_a_minute_of_silence_then_speech() -> None:
    speech = voice(6.0, RATE_HZ)
    with make_engine() as engine:
        fresh = engine.process(speech, None)
        engine.reset()
        silence = engine.process(np.zeros(60 * RATE_HZ, np.float32), None)
        after = engine.process(speech, None)
    assert np.abs(silence).max() < 1e-4
    late = slice(RATE_HZ * 3, None)
    assert abs(level_db(after[late]) - level_db(fresh[late])) < 3.0


@pytest.mark.parametrize("kind", ["missing", "zero", "equal"])
def test_far_end_that_is_of_no_use(kind: str) -> None:
    mic = voice(6.0, RATE_HZ) + noise(6.0, RATE_HZ, 0.001)
    with make_engine() as engine:
        alone = engine.process(mic, None)
        engine.reset()
        far = {"missing": None, "zero": np.zeros_like(mic), "equal": mic}[kind]
        out = engine.process(mic, far)
        engine.process(np.zeros(RATE_HZ, np.float32), None)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1.0
    if kind != "equal":  # equal to the microphone: all of it is echo
        assert abs(level_db(out) - level_db(alone)) < 0.5


def test_near_end_returns_after_a_far_end_equal_to_the_mic() -> None:
    mic = voice(10.0, RATE_HZ)
    far = mic.copy()
    far[4 * RATE_HZ :] = 0.0
    with make_engine() as engine:
        alone = engine.process(mic, None)
        engine.reset()
        out = engine.process(mic, far)
    after = slice(6 * RATE_HZ, None)
    assert abs(level_db(out[after]) - level_db(alone[after])) < 3.0


def test_echo_goes_and_near_end_stays() -> None:
    talk_s, both_s = 8, 4
    far, near = speech("guest", talk_s + both_s), 0.5 * speech("host", talk_s + both_s)
    near[: talk_s * RATE_HZ] = 0.0
    echo = echo_of(far, RATE_HZ)
    mic = near + echo + noise(talk_s + both_s, RATE_HZ, 2e-4)
    switch = talk_s * RATE_HZ
    with ae.EchoCanceller(RATE_HZ) as aec:
        head = aec.process(mic[:switch], far[:switch])
        stats = aec.stats()
        rest = [aec.process(mic[switch:], far[switch:]), aec.flush()]
        out = np.concatenate([head, *rest])[aec.latency_frames :]
    single = slice(5 * RATE_HZ, switch)
    assert level_db(out[single]) < level_db(echo[single]) - 30.0
    both = slice(switch, None)
    assert level_db(near[both]) - level_db(out[both] - near[both]) > 8.0
    assert stats.delay_ms == pytest.approx(35.0, abs=10.0), "40 ms, less headroom for early sound"
    assert stats.erle_db > 10.0


def two_loudspeakers(seconds: float) -> tuple[Signal, Signal]:
    """What two loudspeakers that play different things leave in a microphone; and the far end."""
    left, right = (noise(seconds, RATE_HZ, 0.1, seed=seed) for seed in (5, 9))
    echo = echo_of(left, RATE_HZ) + echo_of(right, RATE_HZ, delay_ms=42.0, seed=4)
    return echo + noise(seconds, RATE_HZ, 1e-4), np.stack([left, right], axis=1)


def test_two_loudspeakers_need_two_references() -> None:
    mic, far = two_loudspeakers(5.0)
    erle_db = {}
    for channels, reference in ((1, far.mean(axis=1)), (2, far)):
        with ae.EchoCanceller(RATE_HZ, far_channels=channels) as aec:
            out = aec.process(mic, reference)
            erle_db[channels] = aec.stats().erle_db
    assert erle_db[1] < 6.0
    assert erle_db[2] > 30.0
    assert level_db(out[3 * RATE_HZ :]) < level_db(mic[3 * RATE_HZ :]) - 35.0


def test_a_stereo_far_end_goes_through_engine_and_enhance() -> None:
    mic, far = two_loudspeakers(4.0)
    config = ae.EngineConfig.preset("cohost", sample_rate_hz=RATE_HZ, far_channels=2)
    whole = ae.enhance(mic, sample_rate_hz=RATE_HZ, far_end=far)
    with ae.Engine(config) as engine:
        for block in ("random", 480):
            engine.reset()
            parts = [engine.process(mic[cut], far[cut]) for cut in cuts(len(mic), block)]
            stats = engine.stats().echo
            out = np.concatenate([*parts, engine.flush()])[engine.latency_frames :]
            assert np.array_equal(out, whole)
    assert stats is not None
    assert stats.erle_db > 20.0


def test_more_far_channels_are_mixed_down_to_two() -> None:
    mic, far = two_loudspeakers(2.0)
    other = np.random.default_rng(3).uniform(-0.1, 0.1, far.shape).astype(np.float32)
    four = np.concatenate([2.0 * far - other, other], axis=1)  # means of 0, 2 and of 1, 3: far
    outputs = []
    for channels, signal in ((2, far), (4, four)):
        with ae.EchoCanceller(RATE_HZ, far_channels=channels) as aec:
            outputs.append(aec.process(mic, signal))
    assert level_db(outputs[0] - outputs[1]) < level_db(mic) - 60.0


def test_stats_are_typed_and_complete() -> None:
    mic, far = scene(3.0)
    with make_engine() as engine:
        engine.process(mic, far)
        stats = engine.stats()
    assert stats.frames == len(mic)
    assert stats.echo is not None
    assert stats.noise is not None
    assert stats.agc is not None
    assert stats.limiter is not None
    assert stats.loudness is not None
    assert stats.input_peak_dbfs == pytest.approx(20 * np.log10(np.abs(mic).max()), abs=0.01)
    assert stats.to_dict()["agc"]["gain_db"] == stats.agc.gain_db


def test_settings_change_live() -> None:
    tone = 0.5 * np.sin(np.arange(2 * RATE_HZ) * 0.3).astype(np.float32)
    config = ae.EngineConfig(sample_rate_hz=RATE_HZ).with_settings(
        {"agc.enabled": "false", "ns.enabled": "false", "echo.enabled": "false"}
    )
    with ae.Engine(config) as engine:
        engine.process(tone)
        engine.set("limiter.ceiling_dbtp", -20.0)
        out = engine.process(tone)
        assert np.abs(out[-RATE_HZ:]).max() <= 0.1 * 1.01
        assert engine.config.limiter.ceiling_dbtp == -20.0
        with pytest.raises(ae.ConfigError, match=r"outside -20 \.\. 0"):
            engine.set("limiter.ceiling_dbtp", 3.0)
        with pytest.raises(ae.ConfigError, match="cannot change while"):
            engine.set("echo.tail_ms", 100)
        with pytest.raises(ae.ConfigError, match="agc is not enabled"):
            engine.set("agc.target_lufs", -20)


def switchable_engine() -> ae.Engine:
    """Echo and noise on, level and high-pass off: only what the test listens to is at work."""
    engine = make_engine()
    for stage in ("agc", "highpass"):
        engine.set(f"{stage}.enabled", 0)
    return engine


def test_noise_off_leaves_noise_and_still_takes_echo() -> None:
    far, room = voice(12.0, RATE_HZ, pitch_hz=190.0, seed=5), noise(12.0, RATE_HZ)
    mic = room + echo_of(far, RATE_HZ)
    levels = {}
    for switch in ("none", "ns", "echo"):
        with switchable_engine() as engine:
            if switch != "none":
                engine.set(f"{switch}.enabled", 0)
            levels[switch] = level_db(engine.process(mic, far)[8 * RATE_HZ :])
    late = mic[8 * RATE_HZ :]
    assert levels["none"] < level_db(room) - 10.0
    assert levels["ns"] == pytest.approx(level_db(room), abs=4.0)  # noise there, echo gone
    assert levels["echo"] > level_db(late) - 6.0  # echo heard


def test_echo_comes_back_adapted() -> None:
    far = voice(12.0, RATE_HZ, pitch_hz=190.0, seed=5)
    mic = noise(12.0, RATE_HZ, 1e-4) + echo_of(far, RATE_HZ)
    with switchable_engine() as engine:
        engine.process(mic[: 6 * RATE_HZ], far[: 6 * RATE_HZ])
        engine.set("echo.enabled", 0)
        assert engine.stats().echo is None
        assert not engine.config.echo.enabled
        cut = slice(6 * RATE_HZ, 9 * RATE_HZ)
        assert level_db(engine.process(mic[cut], far[cut])) > level_db(mic[cut]) - 6.0
        engine.set("echo.enabled", True)
        cut = slice(9 * RATE_HZ, 12 * RATE_HZ)
        out = engine.process(mic[cut], far[cut])[RATE_HZ // 10 :]
        assert level_db(out) < level_db(mic[cut]) - 30.0
        assert engine.stats().echo is not None


@pytest.mark.parametrize("stage", ["echo", "ns", "agc", "highpass"])
def test_switches_do_not_click(stage: str) -> None:
    """A low tone has no energy where a click has: above 2 kHz. No other stage follows its level."""
    time = np.arange(8 * RATE_HZ) / RATE_HZ
    tone = (0.05 * np.sin(2 * np.pi * 150.0 * time)).astype(np.float32)
    far = noise(8.0, RATE_HZ, 0.05)
    far = np.convolve(far, np.hanning(64) / 32.0, "same").astype(np.float32)
    mic = tone + (0.5 * far if stage == "echo" else 0.0 * far)
    config = ae.EngineConfig(sample_rate_hz=RATE_HZ)
    config = replace(config, agc=replace(config.agc, enabled=stage == "agc"))

    def run(*switched: int) -> NDArray[np.float32]:
        with ae.Engine(config) as engine:
            out = []
            for half_second in range(16):
                if half_second in switched:
                    engine.set(f"{stage}.enabled", switched.index(half_second) % 2)
                cut = slice(half_second * RATE_HZ // 2, (half_second + 1) * RATE_HZ // 2)
                out.append(engine.process(mic[cut], far[cut]))
        return np.concatenate(out)

    def largest_above_2_khz(signal: NDArray[np.float32]) -> float:
        step = np.diff(signal.astype(np.float64), 4)[4 * RATE_HZ :]
        return float(np.abs(step).max())

    off, on = run(1), run()
    toggled = run(10, 12, 14)
    assert not np.array_equal(toggled, on)
    allowed = 2.0 * max(largest_above_2_khz(on), largest_above_2_khz(off)) + 1e-3
    assert largest_above_2_khz(toggled) < allowed


def test_blocking_never_changes_a_switched_stream() -> None:
    mic, far = scene(1.5)

    def run(block: int | str) -> NDArray[np.float32]:
        out = []
        with make_engine() as engine:
            for third, name in enumerate(["echo", "ns", "agc"]):
                engine.set(f"{name}.enabled", 0)
                part = slice(third * RATE_HZ // 2 - 7 * third, (third + 1) * RATE_HZ // 2)
                blocks = cuts(len(mic[part]), block)
                out += [engine.process(mic[part][cut], far[part][cut]) for cut in blocks]
                engine.set(f"{name}.enabled", 1)
        return np.concatenate(out)

    whole = run(4800000)
    for block in (160, 333, "random"):
        assert np.array_equal(run(block), whole)


def test_switches_of_stages_alone_pass_the_signal_on() -> None:
    config = ae.EngineConfig(sample_rate_hz=RATE_HZ).with_settings(
        {name: "false" for name in ("echo.enabled", "limiter.enabled", "meter.enabled")}
    )
    mic, _ = scene(2.0)
    with ae.Engine(config) as engine:
        for name in ("highpass", "ns", "agc"):
            engine.set(f"{name}.enabled", 0)
        out = np.concatenate([engine.process(mic), engine.flush()])
        late = engine.latency_frames
        assert np.array_equal(out[late:], mic)
        engine.reset()
        again = np.concatenate([engine.process(mic), engine.flush()])
        assert np.array_equal(again, out)
        engine.reset()
        engine.set("ns.attenuation_limit_db", 12.0)  # heard when it is on again
        assert engine.config.ns.attenuation_limit_db == 12.0
        with pytest.raises(ae.ConfigError, match="echo is not enabled"):
            engine.set("echo.enabled", 1)
        with pytest.raises(ae.ConfigError, match="use 0 or 1"):
            engine.set("ns.enabled", 0.5)
        with pytest.raises(ae.ConfigError, match="cannot change while"):
            engine.set("limiter.enabled", 0)


def test_misuse_gets_one_clear_line() -> None:
    with make_engine() as engine:
        with pytest.raises(ae.FormatError, match=r"shape \(100, 2\); \(frames,\)"):
            engine.process(np.zeros((100, 2), np.float32))
        with pytest.raises(ae.FormatError, match="far_end has 50 frames"):
            engine.process(np.zeros(100, np.float32), np.zeros(50, np.float32))
        with pytest.raises(ae.FormatError, match="dtype uint8"):
            engine.process(np.zeros(100, np.uint8))
        engine.flush()
        with pytest.raises(ae.StreamError, match=r"call reset\(\)"):
            engine.process(np.zeros(100, np.float32))
        engine.reset()
        assert engine.process(np.zeros(0, np.float32)).shape == (0,)
    engine.close()
    with pytest.raises(ae.StreamError, match="closed"):
        engine.process(np.zeros(1, np.float32))
    with pytest.raises(ae.StreamError, match="closed"):
        engine.stats()
    for make in (
        ae.EchoCanceller,
        ae.NoiseSuppressor,
        ae.LoudnessLeveler,
        ae.TruePeakLimiter,
        ae.LoudnessMeter,
        ae.VoiceActivityDetector,
    ):
        top_hz = 192000 if make is ae.LoudnessMeter else 96000
        refused = rf"sample_rate_hz=7000 is outside 8000 \.\. {top_hz} Hz"
        with pytest.raises(ae.ConfigError, match=refused):
            make(7000)
        with pytest.raises(ae.ConfigError, match=r"channels=9 is outside 1 \.\. 8"):
            make(16000, 9)
    with pytest.raises(ae.ConfigError, match="preset or a config"):
        ae.enhance(np.zeros(9), sample_rate_hz=RATE_HZ, preset="pk", config=ae.EngineConfig())

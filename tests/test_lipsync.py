"""LipSyncEstimator: known offsets, any pieces, reasons, weights and errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import audio_engine as ae
from audio_engine.errors import ConfigError, FormatError, StreamError
from audio_engine.processors.lipsync import AUDIO_FEATURES, CUES, LipSyncWeights
from benchmarks import adapters

RATE = 16000
GAP = ae.MOUTH_SIGNALS[:1]
SURE = np.array([9.0, 0.0, 0.0, 0.0, 0.0, 0.0], np.float32)  # whatever the cues are

Scene = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float32]]


def movement(time_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Syllables: sines of 0.7 to 5.2 Hz that never repeat."""
    tones = [np.sin(2 * np.pi * 0.7 * 1.2**i * time_s + 2.4 * i * i) for i in range(12)]
    return np.asarray(np.sum(tones, axis=0) / 3.5)


def scene(seconds: float, offset_ms: float = 0.0, fps: float = 25.0, rate: int = RATE) -> Scene:
    """Return sound, time stamps and all mouth signals of one movement, the sound late."""
    rng = np.random.default_rng(3)
    size = 0.03 * np.exp(1.5 * movement(np.arange(int(seconds * rate)) / rate - offset_ms / 1e3))
    sound = (size * rng.uniform(-1, 1, len(size))).astype(np.float32)
    time_s = np.arange(0.0, seconds, 1.0 / fps) + rng.uniform(0, 0.2 / fps)
    gap = 0.2 + 0.05 * movement(time_s)
    moves = 8 * np.abs(np.gradient(gap))
    mouth = np.stack([gap, 0.7 - 0.2 * gap, gap * 0.7, gap + 0.3, 1.2 + 0.5 * gap, moves], axis=1)
    return sound, time_s, mouth.astype(np.float32)


def estimate(parts: Scene, signals: tuple[str, ...] = GAP, **options: object) -> ae.LipSyncEstimate:
    sound, time_s, mouth = parts
    rate = options.pop("sample_rate_hz", RATE)
    with ae.LipSyncEstimator(sample_rate_hz=rate, signals=signals, **options) as estimator:  # type: ignore[arg-type]
        estimator.push_audio(sound, time_s=0.0)
        estimator.push_mouth(time_s, mouth[:, : len(signals)])
        return estimator.estimate()


@pytest.mark.parametrize("signals", [GAP, ae.MOUTH_SIGNALS])
def test_offsets_are_told_apart(signals: tuple[str, ...]) -> None:
    zero = estimate(scene(10.0), signals).offset_ms
    assert zero is not None
    for offset_ms in (-850.0, -40.0, 333.0):
        found = estimate(scene(10.0, offset_ms), signals).offset_ms
        assert found is not None
        assert found - zero == pytest.approx(offset_ms, abs=6.0)


@pytest.mark.parametrize("signals", [GAP, ae.MOUTH_SIGNALS])
def test_weights_set_by_hand_find_the_offset_itself(signals: tuple[str, ...]) -> None:
    weights = LipSyncWeights.untrained(signals)
    for offset_ms in (-500.0, 0.0, 120.0):
        found = estimate(scene(12.0, offset_ms), signals, weights=weights).offset_ms
        assert found == pytest.approx(offset_ms, abs=8.0)  # > 0: the audio is late


@pytest.mark.parametrize("fps", [12.5, 24.0, 29.97, 60.0])
def test_any_frame_rate(fps: float) -> None:
    weights = LipSyncWeights.untrained()
    found = estimate(scene(12.0, 200.0, fps), weights=weights).offset_ms
    assert found == pytest.approx(200.0, abs=8.0)


def test_any_sample_rate() -> None:
    weights = LipSyncWeights.untrained()
    for rate in (8000, 44100, 96000):
        parts = scene(8.0, -130.0, rate=rate)
        found = estimate(parts, weights=weights, sample_rate_hz=rate).offset_ms
        assert found == pytest.approx(-130.0, abs=8.0)


def test_pieces_do_not_matter() -> None:
    sound, time_s, mouth = scene(31.0, 70.0)
    whole = estimate((sound, time_s, mouth), ae.MOUTH_SIGNALS)
    rng = np.random.default_rng(5)
    with ae.LipSyncEstimator(sample_rate_hz=RATE, signals=ae.MOUTH_SIGNALS) as estimator:
        heard = seen = 0
        while heard < len(sound) or seen < len(time_s):
            step = int(rng.integers(1, 30000))
            estimator.push_audio(sound[heard : heard + step])
            heard += step
            step = int(rng.integers(0, 50))
            estimator.push_mouth(time_s[seen : seen + step], mouth[seen : seen + step])
            seen += step
            estimator.estimate()  # looking changes nothing
        assert estimator.estimate() == whole
        estimator.reset()
        assert estimator.estimate().reason == "too short"
        estimator.push_audio(sound)
        for now, row in zip(time_s, mouth, strict=True):
            estimator.push_mouth(now, row)
        assert estimator.estimate() == whole


def test_columns_go_by_name() -> None:
    sound, time_s, mouth = scene(10.0, 55.0)
    straight = estimate((sound, time_s, mouth), ae.MOUTH_SIGNALS)
    turned = estimate((sound, time_s, mouth[:, ::-1]), ae.MOUTH_SIGNALS[::-1])
    assert straight == turned


def test_int16_and_float64_are_taken() -> None:
    sound, time_s, mouth = scene(8.0)
    small = np.round(sound * 32767).astype(np.int16)
    as_float = estimate((sound.astype(np.float64), time_s, mouth)).offset_ms
    as_int = estimate((small, time_s, mouth)).offset_ms  # type: ignore[arg-type]
    assert as_float == pytest.approx(as_int, abs=1.0)


def test_reasons() -> None:
    sound, time_s, mouth = scene(12.0)
    cases: dict[str, Scene] = {
        "no face": (sound, time_s, np.full_like(mouth, np.nan)),
        "no speech": (sound * 1e-4, time_s, mouth),
        "frozen": (sound, time_s, np.ones_like(mouth)),
        "too short": (sound, time_s[:30], mouth[:30]),
    }
    for reason, parts in cases.items():
        found = estimate(parts)
        assert (found.offset_ms, found.confidence, found.reason) == (None, 0.0, reason)
        assert found.drift_ms_per_s is None
    other = 0.2 + 0.05 * movement(1.37 * time_s + 40.0)
    found = estimate((sound, time_s, other[:, np.newaxis].astype(np.float32)))
    assert found.reason in {"dubbed", "ambiguous"}
    assert found.confidence < 0.5


def test_a_cut_keeps_the_shots_apart() -> None:
    """Another camera sees a mouth three times as large and elsewhere; the offset stays."""
    sound, time_s, mouth = scene(16.0, 90.0)
    middle = len(time_s) // 2
    larger = np.vstack([mouth[:middle], 5.0 + 3 * mouth[middle:]])
    weights = LipSyncWeights.untrained()
    with ae.LipSyncEstimator(sample_rate_hz=RATE, weights=weights) as estimator:
        estimator.push_audio(sound)
        estimator.push_mouth(time_s[:middle], larger[:middle, 0])
        estimator.push_mouth(time_s[middle:], larger[middle:, 0], cut=True)
        assert estimator.estimate().offset_ms == pytest.approx(90.0, abs=8.0)


def test_a_hole_and_bad_samples_cost_only_themselves() -> None:
    sound, time_s, mouth = scene(15.0, 140.0)
    broken = sound.copy()
    broken[5 * RATE : 6 * RATE] = np.nan
    weights = LipSyncWeights.untrained()
    with ae.LipSyncEstimator(sample_rate_hz=RATE, weights=weights) as estimator:
        estimator.push_audio(broken[: 9 * RATE], time_s=0.0)
        estimator.push_audio(broken[10 * RATE :], time_s=10.0)
        estimator.push_mouth(time_s, mouth[:, 0])
        assert estimator.estimate().offset_ms == pytest.approx(140.0, abs=8.0)
        assert estimator.cues()["non_finite"] == RATE


def test_cues_make_the_confidence() -> None:
    sound, time_s, mouth = scene(10.0)
    weights = LipSyncWeights.trained()
    with ae.LipSyncEstimator(sample_rate_hz=RATE, weights=weights) as estimator:
        assert np.isnan([estimator.cues()[name] for name in CUES]).all()
        estimator.push_audio(sound)
        estimator.push_mouth(time_s, mouth[:, 0])
        found, cues = estimator.estimate(), estimator.cues()
        lags_ms, scores = estimator.curve()
    assert tuple(cues)[: len(CUES)] == CUES
    logit = weights.confidence[0] + np.dot(weights.confidence[1:], [cues[name] for name in CUES])
    expected = 1 / (1 + np.exp(-logit))
    assert found.confidence == pytest.approx(
        expected if found.reason == "" else min(expected, 0.49)
    )
    assert cues["level"] == pytest.approx(scores.max())
    assert cues["log_face_s"] == pytest.approx(np.log(cues["face_s"]))
    assert found.offset_ms == pytest.approx(lags_ms[scores.argmax()], abs=10.0)
    assert lags_ms[[0, -1]] + weights.bias_ms == pytest.approx([-1300.0, 1300.0])


def test_search_range_and_window() -> None:
    weights = LipSyncWeights.untrained()
    parts = scene(14.0, 1900.0)
    near = estimate(parts, weights=weights).offset_ms
    far = estimate(parts, weights=weights, max_lag_ms=2500.0, window_s=30.0).offset_ms
    assert near is None or abs(near) <= 1310.0
    assert far == pytest.approx(1900.0, abs=8.0)


def test_weights_round_trip(tmp_path: Path) -> None:
    for signals in (GAP, ae.MOUTH_SIGNALS):
        weights = replace(LipSyncWeights.trained(signals), bias_ms=12.5)
        weights.save(tmp_path / "weights.npz")
        again = LipSyncWeights.load(tmp_path / "weights.npz")
        assert again.signals == weights.signals
        assert again.audio.shape[2] == AUDIO_FEATURES
        for name in ("audio", "mouth", "weight", "confidence"):
            assert np.array_equal(getattr(again, name), getattr(weights, name))
        assert (again.audio_step, again.mouth_step, again.bias_ms) == (4, 6, 12.5)
    assert estimate(scene(8.0), weights=LipSyncWeights.trained()) == estimate(scene(8.0))


def test_a_file_that_holds_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    LipSyncWeights.trained().save(path)
    whole = path.read_bytes()
    assert LipSyncWeights.load(path).signals == GAP
    for content in (b"", b"words" * 99, whole[:300]):
        path.write_bytes(content)
        with pytest.raises(FormatError, match="weights holds no lip-sync weights"):
            LipSyncWeights.load(path)
    np.savez(tmp_path / "other.npz", audio=np.zeros(3))
    with pytest.raises(FormatError, match=r"other\.npz holds no lip-sync weights"):
        LipSyncWeights.load(tmp_path / "other.npz")


def test_bias_comes_off_the_offset() -> None:
    plain = LipSyncWeights.untrained()
    shifted = estimate(scene(8.0), weights=replace(plain, bias_ms=40.0)).offset_ms
    before = estimate(scene(8.0), weights=plain).offset_ms
    assert shifted is not None
    assert before is not None
    assert before - shifted == pytest.approx(40.0)


def test_errors_say_what_is_wrong() -> None:
    good = LipSyncWeights.trained()
    for make, words in (
        (lambda: ae.LipSyncEstimator(window_s=2.0), "window_s=2 is outside 5 .. 60 s"),
        (lambda: ae.LipSyncEstimator(max_lag_ms=9.0), "max_lag_ms=9 is outside 300 .. 2500 ms"),
        (lambda: ae.LipSyncEstimator(sample_rate_hz=4000), "sample_rate_hz"),
        (lambda: ae.LipSyncEstimator(signals=("width",)), "have no built-in weights"),
        (lambda: ae.LipSyncEstimator(signals=("width",), weights=good), "not those of the weights"),
        (lambda: replace(good, audio=good.audio[:, :, :3]), "audio has shape"),
        (lambda: replace(good, weight=np.zeros_like(good.weight)), "out of range"),
        (lambda: replace(good, mouth=good.mouth * np.nan), "out of range"),
    ):
        with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
            make()


def test_wrong_input_is_refused() -> None:
    estimator = ae.LipSyncEstimator(sample_rate_hz=RATE, signals=ae.MOUTH_SIGNALS)
    with pytest.raises(FormatError, match="shape"):
        estimator.push_audio(np.zeros((10, 2)))
    with pytest.raises(FormatError, match="not finite"):
        estimator.push_audio(np.zeros(10), time_s=np.nan)
    with pytest.raises(FormatError, match=r"mouth has shape \(3,\) for 2 time stamps"):
        estimator.push_mouth([0.0, 1.0], [1.0, 2.0, 3.0])
    with pytest.raises(FormatError, match="not finite"):
        estimator.push_mouth([0.0, np.inf], np.zeros((2, 6)))
    estimator.push_audio(np.zeros(0))
    estimator.push_mouth(np.zeros(0), np.zeros((0, 6)))
    assert "window_s=20" in repr(estimator)
    estimator.close()
    estimator.close()
    with pytest.raises(StreamError, match="closed"):
        estimator.estimate()


def test_the_adapter_gives_what_the_class_gives() -> None:
    sound, time_s, mouth = scene(10.0, -60.0)
    found = adapters.lipsync(sound, RATE, time_s, mouth, list(ae.MOUTH_SIGNALS), 0.0)
    direct = estimate((sound, time_s, mouth), ae.MOUTH_SIGNALS)
    assert found == {"offset_ms": direct.offset_ms, "confidence": direct.confidence}
    one = adapters.lipsync(sound, RATE, time_s, mouth[:, :1], ["openness"], 0.0)
    assert one["offset_ms"] == estimate((sound, time_s, mouth)).offset_ms


def test_a_step_of_the_offset_is_followed() -> None:
    first, time_s, mouth = scene(50.0, 0.0)
    second = scene(50.0, 240.0)[0]
    sound = np.concatenate([first[: 25 * RATE], second[25 * RATE :]])
    weights = LipSyncWeights.untrained()
    sure = replace(weights, confidence=SURE)
    found = []
    with ae.LipSyncEstimator(sample_rate_hz=RATE, weights=sure) as estimator:
        for second_no in range(50):
            now = (time_s >= second_no) & (time_s < second_no + 1)
            estimator.push_audio(sound[second_no * RATE : (second_no + 1) * RATE], second_no)
            estimator.push_mouth(time_s[now], mouth[now, 0])
            found.append(estimator.estimate())
        assert estimator.cues()["steps"] == 1
    assert found[24].offset_ms == pytest.approx(0.0, abs=10.0)
    assert found[24].drift_ms_per_s == pytest.approx(0.0, abs=0.5)
    for after in found[38:]:
        assert after.offset_ms == pytest.approx(240.0, abs=15.0)


def test_a_drift_is_measured() -> None:
    """The sound gets later by 4 ms every second."""
    _, time_s, mouth = scene(40.0)
    times = np.arange(40 * RATE) / RATE
    size = 0.03 * np.exp(1.5 * movement(times - 0.004 * times))
    sound = (size * np.random.default_rng(1).uniform(-1, 1, len(size))).astype(np.float32)
    weights = LipSyncWeights.untrained()
    sure = replace(weights, confidence=SURE)
    found = estimate((sound, time_s, mouth), weights=sure)
    assert found.drift_ms_per_s == pytest.approx(4.0, abs=0.4)

"""The tool that trains the lip-sync estimator."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from audio_engine.processors.lipsync import (
    AUDIO_FEATURES,
    CUES,
    MOUTH_SIGNALS,
    LipSyncEstimator,
    LipSyncWeights,
)
from tools.lip_sync import features, fit, header, leave_one_out, train
from tools.lip_sync.clips import SAMPLE_RATE_HZ, Clip, degraded, draw_window

HEADER = Path(__file__).resolve().parent.parent / "csrc" / "ae_lipsync_weights.h"


def talker(person: str, seed: int, offset_ms: float, seconds: float = 14.0) -> Clip:
    """A buzzing talker whose mouth opens with the sound; the picture has 25 frames per second."""
    rng = np.random.default_rng(seed)
    frames = int(seconds * SAMPLE_RATE_HZ)
    moments = np.arange(0.0, seconds, 0.15) + rng.uniform(-0.04, 0.04, int(np.ceil(seconds / 0.15)))
    opening = np.interp(
        np.arange(frames) / SAMPLE_RATE_HZ, moments, rng.uniform(0.0, 1.0, len(moments))
    )
    buzz = sum(
        np.sin(2 * np.pi * 130 * h * np.arange(frames) / SAMPLE_RATE_HZ) for h in range(1, 30)
    )
    late = round(offset_ms * SAMPLE_RATE_HZ / 1e3)
    audio = 0.01 * np.roll(opening**3, late) * buzz + 1e-4 * rng.standard_normal(frames)
    time_s = np.arange(0.0, seconds, 0.04)
    seen = np.interp(time_s, np.arange(frames) / SAMPLE_RATE_HZ, opening)
    mouth = np.stack([seen + 0.05 * rng.standard_normal(len(seen)) for _ in MOUTH_SIGNALS], axis=1)
    mouth[0, -1] = np.nan
    return Clip(
        name=f"{person}{seed}",
        person=person,
        offset_ms=offset_ms,
        time_s=time_s,
        mouths=[mouth.astype(np.float32)],
        sounds=degraded(audio.astype(np.float32), rng),
    )


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [talker("a", 1, 0.0), talker("b", 2, 120.0), talker("c", 3, -80.0)]


@pytest.fixture(scope="module")
def trained(clips: list[Clip]) -> dict[str, LipSyncWeights]:
    return train.train(clips, fit.GAP, 60, 1)


def test_a_person_left_out_is_found_by_the_others(
    clips: list[Clip], trained: dict[str, LipSyncWeights]
) -> None:
    for clip in clips:
        with LipSyncEstimator(weights=trained[clip.person]) as estimator:
            estimator.push_audio(clip.sounds["clean"], time_s=0.0)
            estimator.push_mouth(clip.time_s, clip.mouths[0][:, 0])
            found = estimator.estimate()
        assert found.offset_ms == pytest.approx(clip.offset_ms, abs=10.0)
        assert found.confidence > 0.5


def test_weights_without_a_person_do_not_hold_them(clips: list[Clip]) -> None:
    parts = [fit.clip_moments(clip, fit.GAP) for clip in clips]
    without = fit.weights_of(parts[1:], fit.GAP)
    everybody = fit.weights_of(parts, fit.GAP)
    again = train.train(clips[1:], fit.GAP, 30, 1)[""]
    assert np.array_equal(without.audio, again.audio)
    assert not np.array_equal(without.audio, everybody.audio)


def test_a_seed_makes_the_weights(clips: list[Clip], trained: dict[str, LipSyncWeights]) -> None:
    again = train.train(clips, fit.GAP, 60, 1)
    for person, weights in trained.items():
        assert np.array_equal(weights.audio, again[person].audio)
        assert np.array_equal(weights.confidence, again[person].confidence)


def test_projections_are_those_of_canonical_correlation() -> None:
    """Hotelling: of x and y = a signal of x in noise, the first correlation is the known one."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((40000, 4))
    y = np.stack([x[:, 2] + rng.standard_normal(40000), rng.standard_normal(40000)], axis=1)
    recipe = fit.Recipe(signals=("openness",), components=1, ridge=1e-9, dubbed_weight=1.0)
    sound, mouth, correlation = fit.projections([fit.Moments.of(x, y)], recipe)
    assert correlation[0] == pytest.approx(np.sqrt(0.5), abs=0.01)
    assert np.abs(sound[:, 0] / np.abs(sound).max()) == pytest.approx([0, 0, 1, 0], abs=0.03)
    assert np.abs(mouth[:, 0] / np.abs(mouth).max()) == pytest.approx([1, 0], abs=0.03)


def test_moments_add_up() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((50, 3)), rng.standard_normal((50, 2))
    parts = fit.total([fit.Moments.of(x[:20], y[:20]), fit.Moments.of(x[20:], y[20:])])
    whole = fit.Moments.of(x, y)
    assert parts.count == whole.count
    assert np.allclose(parts.xy, whole.xy)
    assert np.allclose(parts.yy, whole.yy)


def test_the_logistic_fit_finds_known_odds() -> None:
    rng = np.random.default_rng(7)
    cues = rng.standard_normal((20000, 2)) * [1.0, 5.0] + [2.0, -1.0]
    odds = 0.5 + cues @ [1.5, -0.2]
    right = rng.random(20000) < 1 / (1 + np.exp(-odds))
    assert fit.logistic(cues, right, np.ones(20000)) == pytest.approx([0.5, 1.5, -0.2], abs=0.12)


def test_a_window_has_the_offset_it_says(clips: list[Clip]) -> None:
    rng = np.random.default_rng(8)
    drawn = [draw_window(rng, clips, 0.4) for _ in range(60)]
    dubbed = [window for window in drawn if window.offset_ms is None]
    assert 10 < len(dubbed) < 40
    for window in drawn:
        assert 2.9 < len(window.audio) / SAMPLE_RATE_HZ < 13.1
        assert window.time_s[0] >= 0.0
        assert len(window.time_s) == len(window.mouth)
    sound = next(w for w in drawn if w.offset_ms is not None and w.person == "b")
    bands_db = features.mel_db(sound.audio, SAMPLE_RATE_HZ)
    x, y = features.pairs(bands_db, sound.time_s, sound.mouth, float(sound.offset_ms or 0.0))
    middle = features.AUDIO_TAPS // 2 * AUDIO_FEATURES
    level = x[:, middle : middle + AUDIO_FEATURES].mean(1)
    gap = y[:, features.MOUTH_TAPS // 2 * len(MOUTH_SIGNALS)]
    assert np.corrcoef(level, gap)[0, 1] > 0.6


def test_the_header_holds_the_numbers(tmp_path: Path, trained: dict[str, LipSyncWeights]) -> None:
    header.write(tmp_path / "weights.h", {"gap": trained[""]})
    text = (tmp_path / "weights.h").read_text()
    for name in ("audio", "mouth", "weight", "confidence"):
        values = getattr(trained[""], name).ravel()
        table = re.search(rf"k_gap_{name}\[{len(values)}\] = {{([^}}]*)}}", text)
        assert table
        found = [float(number.strip().rstrip("f")) for number in table[1].split(",")[:-1]]
        assert np.allclose(found, values, rtol=1e-4, atol=1e-12)


def test_the_shipped_header_is_what_is_built_in() -> None:
    text = HEADER.read_text(encoding="utf-8")
    for name, signals in (("full", MOUTH_SIGNALS), ("gap", MOUTH_SIGNALS[:1])):
        table = re.search(rf"k_{name}_weight\[\d+\] = {{([^}}]*)}}", text)
        assert table
        found = [float(number.strip().rstrip("f")) for number in table[1].split(",")[:-1]]
        assert np.allclose(found, LipSyncWeights.trained(signals).weight, rtol=1e-5)
        assert len(LipSyncWeights.trained(signals).confidence) == len(CUES) + 1


def test_leave_one_out_takes_the_weights_of_the_clip_asked_for(
    tmp_path: Path, clips: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = train.train(clips[:2], fit.GAP, 30, 1)
    for person in "ab":
        trained[person].save(tmp_path / f"gap-{person}.npz")

    class Data:
        def mouth(self, name: str) -> str:
            return f"mouth of {name}"

    monkeypatch.setenv("LIP_SYNC_MODELS", str(tmp_path))
    leave_one_out.watch(Data, {"one": "a", "two": "b"})
    assert Data().mouth("one") == "mouth of one"
    clip = clips[0]
    arguments = (clip.sounds["clean"], SAMPLE_RATE_HZ, clip.time_s, clip.mouths[0][:, :1])
    first = leave_one_out.lipsync(*arguments, ["openness"], 0.0)
    with LipSyncEstimator(weights=trained["a"]) as estimator:
        estimator.push_audio(clip.sounds["clean"], time_s=0.0)
        estimator.push_mouth(clip.time_s, clip.mouths[0][:, 0])
        assert first["offset_ms"] == estimator.estimate().offset_ms
    Data().mouth("two")
    assert leave_one_out.lipsync(*arguments, ["openness"], 0.0)["offset_ms"] != first["offset_ms"]

"""The tool that fits the detector of key strokes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tools.echo_net.simulate import Recordings
from tools.key_strokes import features, logistic, scenes, train

HEADER = Path(__file__).resolve().parent.parent / "csrc" / "ae_transients_weights.h"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """A voice made of buzz and pauses, hiss, and a fire."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(1)
    time_s = np.arange(3 * 16000) / 16000
    buzz = sum(np.sin(2 * np.pi * 120 * h * time_s) / h for h in range(1, 20))
    noises = {"hiss": rng.standard_normal(32000), "fire": rng.standard_t(1.5, 32000).clip(-9, 9)}
    (folder / "speech").mkdir()
    (folder / "noise").mkdir()
    soundfile.write(
        folder / "speech" / "low.wav", 0.1 * buzz * (np.sin(2 * np.pi * 3 * time_s) > 0), 16000
    )
    for name, noise in noises.items():
        soundfile.write(folder / "noise" / f"{name}.wav", 0.1 * noise, 16000)
    return Recordings(folder / "speech", folder / "noise")


@pytest.fixture(scope="module")
def made(recordings: Recordings) -> list[scenes.Scene]:
    return [scenes.make_scene(np.random.default_rng(s), recordings, 3.0) for s in range(20)]


def test_a_seed_makes_a_scene(recordings: Recordings, made: list[scenes.Scene]) -> None:
    again = scenes.make_scene(np.random.default_rng(1), recordings, 3.0)
    assert np.array_equal(again.capture, made[1].capture)
    assert np.array_equal(again.stroke, made[1].stroke)
    assert not np.array_equal(made[0].capture, made[1].capture)


def test_scenes_are_signals_with_and_without_strokes(made: list[scenes.Scene]) -> None:
    for scene in made:
        assert scene.capture.dtype == np.float32
        assert len(scene.capture) == 3 * 16000
        assert len(scene.stroke) == len(scene.speech) == len(scene.onset) == 300
        assert 0.0 < np.max(np.abs(scene.capture)) <= 1.0
    counts = [int(np.sum(scene.stroke == 1)) for scene in made]
    assert min(counts) == 0
    assert max(counts) > 5


def test_a_stroke_is_where_it_stands_out() -> None:
    rng = np.random.default_rng(1)
    rest = 0.01 * rng.standard_normal(16000)
    stroke = np.zeros(16000)
    for hop, gain in ((20, 1.0), (50, 1e-4)):  # the second drowns
        stroke[160 * hop + 40 : 160 * hop + 100] = gain * rng.standard_normal(60)
    found = scenes.find_strokes(stroke, rest)
    assert np.array_equal(np.flatnonzero(found == 1), [20])
    assert np.all(found[:20] == 0)
    assert np.all(found[23:] == 0)


def test_a_word_begins_after_a_pause() -> None:
    speech = np.zeros(100, bool)
    speech[20:40] = speech[45:60] = True
    onset = np.flatnonzero(scenes.find_onsets(speech))
    assert np.array_equal(onset, np.arange(18, 28))


def test_what_is_heard_has_the_size_of_the_shipped_weights(made: list[scenes.Scene]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFLAGS", "-O1 -Werror=implicit-function-declaration")
        heard = features.hear(made[:3], HEADER)
    assert heard.features.shape == (3, 300, len(logistic.read(HEADER).take.weights))
    assert np.isfinite(heard.features).all()
    assert np.any(heard.features[:, -1] != 0.0)


def test_a_fit_finds_what_tells_the_two_apart() -> None:
    rng = np.random.default_rng(1)
    stroke = (rng.random((10, 1000)) < 0.1).astype(np.int8)
    heard = rng.standard_normal((10, 1000, 21)).astype(np.float32)
    heard[..., 1] = 5.0 + 0.1 * heard[..., 1]  # says nothing, at another scale
    heard[..., 2] += np.where(stroke == 1, 1.0, 0.0)
    heard[..., 20] += np.where(stroke == 1, 1.0, 0.0)
    heard[..., logistic.KNOWN] = 1.0
    none = np.zeros(stroke.shape, bool)
    rows = logistic.fit(features.Heard(heard, stroke, none, none))
    # Two normal distributions 1 apart: log-odds x - 0.5 + log(0.1 / 0.9).
    assert rows.find.weights[2] == pytest.approx(1.0, rel=0.1)
    mean = np.zeros(21)
    mean[1], mean[logistic.KNOWN] = 5.0, 1.0
    assert rows.find.log_odds(mean) == pytest.approx(-0.5 - np.log(9), rel=0.1)
    assert not rows.find.weights[logistic.FIND_FEATURES :].any()
    assert rows.take.weights[20] == pytest.approx(1.0, rel=0.15)


def test_weights_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = logistic.Rows(*(logistic.Row(rng.standard_normal(21), -3.0) for _ in range(2)))
    logistic.write(tmp_path / "w.h", rows)
    text = (tmp_path / "w.h").read_text()
    back = logistic.read(tmp_path / "w.h")
    assert np.allclose(back.take.weights, rows.take.weights, rtol=1e-3)
    assert back.find.bias == rows.find.bias
    logistic.write(tmp_path / "again.h", back)
    assert (tmp_path / "again.h").read_text() == text
    assert max(map(len, text.splitlines())) <= 100


def test_the_help_says_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        train.arguments().parse_args(["--help"])
    assert left.value.code == 0
    assert "Needs a C compiler" in capsys.readouterr().out

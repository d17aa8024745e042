"""The tool that fits the speech probability."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tools.echo_net.simulate import Recordings
from tools.speech_presence import features, net, scenes, train

HEADER = Path(__file__).resolve().parent.parent / "csrc" / "ae_speech_presence_weights.h"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """Two voices made of buzz and pauses, and one noise."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(1)
    time_s = np.arange(3 * 16000) / 16000
    for name, pitch_hz in (("low.wav", 120), ("high.wav", 210)):
        buzz = sum(np.sin(2 * np.pi * pitch_hz * h * time_s) / h for h in range(1, 20))
        path = folder / "speech" / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.1 * buzz * (np.sin(2 * np.pi * 3 * time_s) > 0), 16000)
    (folder / "noise").mkdir()
    soundfile.write(folder / "noise" / "hiss.wav", 0.1 * rng.standard_normal(32000), 16000)
    return Recordings(folder / "speech", folder / "noise")


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> features.Hearing:
    library = tmp_path_factory.mktemp("build") / "features.so"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFLAGS", "-O1 -Werror=implicit-function-declaration")
        features.build(library)
    return features.Hearing(library)


def test_a_seed_makes_a_scene(recordings: Recordings) -> None:
    made = [scenes.make_scene(np.random.default_rng(s), recordings, 2.0) for s in (1, 1, 2)]
    assert np.array_equal(made[0].capture, made[1].capture)
    assert np.array_equal(made[0].speech, made[1].speech)
    assert not np.array_equal(made[0].capture, made[2].capture)


def test_scenes_are_signals_with_and_without_speech(recordings: Recordings) -> None:
    made = [scenes.make_scene(np.random.default_rng(s), recordings, 2.0) for s in range(40)]
    assert {scene.sample_rate_hz for scene in made} == {8000, 16000}
    for scene in made:
        assert scene.capture.dtype == np.float32
        assert len(scene.capture) == 2 * scene.sample_rate_hz
        assert len(scene.speech) == 200
        assert 0.0 < np.max(np.abs(scene.capture)) < 1.2
    shares = [scene.speech.mean() for scene in made]
    assert min(shares) == 0.0
    assert max(shares) > 0.5


def test_speech_is_what_is_within_35_db_without_short_gaps() -> None:
    level = np.zeros(100)
    level[20:40], level[45:60], level[75:77] = 1.0, 0.1, 1.0
    level[62:70] = 0.01  # 40 dB down
    wanted = np.zeros(100, bool)
    wanted[20:60] = True  # the gap of 50 ms is bridged, the 20 ms at 0.75 s are too short
    assert np.array_equal(scenes.spoken(np.repeat(level, 160)), wanted)
    assert not scenes.spoken(np.zeros(1600)).any()


def test_what_is_heard_has_the_size_of_the_shipped_weights(
    hearing: features.Hearing, recordings: Recordings
) -> None:
    scene = scenes.make_scene(np.random.default_rng(1), recordings, 2.0)
    heard = hearing.hear(scene)
    assert heard.shape == (200, len(net.read(HEADER).hidden))
    assert np.isfinite(heard).all()
    assert np.array_equal(hearing.hear(scene), heard)


def test_a_fit_finds_what_tells_the_two_apart() -> None:
    rng = np.random.default_rng(1)
    speech = rng.random((20, 1000)) < 0.4
    heard = rng.standard_normal((20, 1000, 3)).astype(np.float32)
    heard[..., 1] = 5.0 + 0.1 * heard[..., 1]  # says nothing, at another scale
    heard[..., 2] += np.where(speech, 3.0, 0.0)
    fitted = net.fit(heard, speech, units=4, epochs=20, batch=1000)
    found = fitted.probability(heard)
    assert train.area_under_curve(found.ravel(), speech.ravel()) > 0.97
    assert np.mean(found) == pytest.approx(0.4, abs=0.03)


def test_weights_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    parts = [rng.standard_normal(shape) for shape in ((5, 3), (3,), (3,), (1,))]
    net.write(tmp_path / "w.h", net.Net(*parts))
    text = (tmp_path / "w.h").read_text()
    for part, back in zip(parts, net.read(tmp_path / "w.h").parts(), strict=True):
        assert np.allclose(part, back, rtol=1e-3)
    net.write(tmp_path / "again.h", net.read(tmp_path / "w.h"))
    assert (tmp_path / "again.h").read_text() == text
    assert max(map(len, text.splitlines())) <= 100


def test_area_under_a_curve() -> None:
    assert train.area_under_curve(np.array([1.0, 2, 3, 4]), np.array([0, 0, 1, 1], bool)) == 1.0
    assert train.area_under_curve(np.array([1.0, 1, 1, 1]), np.array([0, 0, 1, 1], bool)) == 0.5


def test_the_help_says_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        train.arguments().parse_args(["--help"])
    assert left.value.code == 0
    assert "Needs a C compiler" in capsys.readouterr().out

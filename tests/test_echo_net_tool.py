"""The echo net's training tool, as far as it runs without JAX."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tools.echo_net import features, simulate, train, weights
from tools.echo_net.simulate import SAMPLE_RATE_HZ, Recordings, Scene, Signal

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """Two voices made of buzz and pauses, one of them at 32 kHz in two channels, and one noise."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(1)
    for name, rate_hz, channels in (("low.wav", 16000, 1), ("deep/high.flac", 32000, 2)):
        time_s = np.arange(3 * rate_hz) / rate_hz
        buzz = sum(np.sin(2 * np.pi * 120 * h * time_s) / h for h in range(1, 30))
        voice = 0.1 * buzz * (np.sin(2 * np.pi * 3 * time_s) > 0)
        path = folder / "speech" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.stack([voice] * channels, 1), rate_hz)
    (folder / "noise").mkdir()
    soundfile.write(folder / "noise" / "hiss.flac", 0.1 * rng.standard_normal(32000), 16000)
    return Recordings(folder / "speech", folder / "noise")


@pytest.fixture(scope="module")
def scenes(recordings: Recordings) -> list[Scene]:
    return [scene(recordings, seed) for seed in range(16)]


def scene(recordings: Recordings, seed: int) -> Scene:
    return simulate.make_scene(np.random.default_rng(seed), recordings, seconds=3.0)


def parts(of: Scene) -> list[Signal]:
    return [of.capture, of.far_end, of.near_end, of.noise]


def test_recordings_are_found_at_any_depth_and_brought_to_one_rate(recordings: Recordings) -> None:
    assert [path.name for path in recordings.speech] == ["high.flac", "low.wav"]
    high, low = (recordings.read(path) for path in recordings.speech)
    assert len(high) == len(low) == 3 * SAMPLE_RATE_HZ
    assert np.corrcoef(high, low)[0, 1] > 0.99


def test_a_folder_without_recordings_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        Recordings(tmp_path, tmp_path)


def test_a_seed_makes_a_scene(recordings: Recordings, scenes: list[Scene]) -> None:
    for one, other in zip(parts(scenes[3]), parts(scene(recordings, 3)), strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(scenes[3].capture, scenes[4].capture)


def test_scenes_are_signals_within_full_scale(scenes: list[Scene]) -> None:
    for made in scenes:
        for part in parts(made):
            assert part.dtype == np.float32
            assert part.shape == (3 * SAMPLE_RATE_HZ,)
            assert np.max(np.abs(part)) < 1.2  # a low-pass may ring a little beyond 1


def test_without_a_far_end_the_capture_is_near_end_and_noise(recordings: Recordings) -> None:
    silent = [s for s in (scene(recordings, seed) for seed in range(16, 40)) if not s.far_end.any()]
    assert silent
    left = [np.max(np.abs(s.capture - s.near_end - s.noise)) for s in silent]
    assert np.median(left) < 1e-4  # 16 bits; a few are clipped


def test_with_a_far_end_an_echo_is_left(scenes: list[Scene]) -> None:
    """Most scenes have an echo that follows its far end; headsets and scrambled paths have none."""
    followed = 0
    for made in scenes:
        echo = made.capture - made.near_end - made.noise
        spectrum = np.fft.rfft(echo, 2 * len(echo)) * np.conj(
            np.fft.rfft(made.far_end, 2 * len(echo))
        )
        lag = np.fft.irfft(spectrum)
        scale = np.linalg.norm(echo) * np.linalg.norm(made.far_end)
        followed += bool(
            scale > 0 and np.max(np.abs(lag[: SAMPLE_RATE_HZ * 7 // 10])) > 0.2 * scale
        )
    assert followed >= 10


@pytest.mark.parametrize("t60_s", [0.2, 0.4, 0.8])
def test_a_room_dies_away_as_asked(t60_s: float) -> None:
    """Schroeder's integral over 0.1 s behind the reflections; the heights die faster, so <=."""
    path = simulate.room(np.random.default_rng(5), t60_s, direct_db=0.0).astype(float)
    assert np.sum(path**2) == pytest.approx(1.0, rel=1e-4)
    left_db = 10 * np.log10(np.cumsum(path[::-1] ** 2)[::-1])
    at = [int(second * SAMPLE_RATE_HZ) for second in (0.05, 0.15)]
    found_s = 60 * 0.1 / (left_db[at[0]] - left_db[at[1]])
    assert 0.7 * t60_s < found_s < 1.1 * t60_s


@pytest.mark.parametrize("bend", simulate.BENDS)
def test_every_bend_makes_what_was_not_there(bend: simulate.Bend) -> None:
    """A tone gets power elsewhere, -50 dB at least; a linear path leaves it alone."""
    tone = 3 * np.sin(2 * np.pi * 500 * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)
    power = np.abs(np.fft.rfft(bend(np.random.default_rng(2), tone))) ** 2
    power[0] = 0.0
    assert power[500] < (1.0 - 1e-5) * np.sum(power)


def random_weights(bands: int, inputs: int, dense: int, state: int) -> weights.Weights:
    rng = np.random.default_rng(3)
    shapes = {
        "dense": (inputs, dense), "dense_bias": (dense,),
        "input_gates": (dense, 3 * state), "gates_bias": (3 * state,),
        "state_gates": (state, 3 * state), "candidate_bias": (state,),
        "output": (state + dense, 2 * bands), "output_bias": (2 * bands,),
    }  # fmt: skip
    made: weights.Weights = {name: rng.standard_normal(size) for name, size in shapes.items()}
    made["dense"][:, 1] = 0.0  # an output that nothing reaches
    made["dense_bias"][:2] = 1.0, 1e-7  # a whole number and one with an exponent
    return made


def test_weights_come_back_within_half_a_step(tmp_path: Path) -> None:
    path = tmp_path / "weights.h"
    made = random_weights(bands=5, inputs=12, dense=4, state=6)
    weights.write(path, made)
    back = weights.read(path)
    assert back.keys() == made.keys()
    for name, bias in weights.LAYERS.items():
        half = np.abs(made[name]).max(0) / 127 / 2
        assert (np.abs(back[name] - made[name]) <= 1.001 * half).all()
        assert np.allclose(back[bias], made[bias], rtol=1e-5, atol=0.0)


def test_weights_text_fits_the_page_and_is_stable(tmp_path: Path) -> None:
    first, second = tmp_path / "first.h", tmp_path / "second.h"
    weights.write(first, random_weights(bands=5, inputs=12, dense=4, state=6))
    weights.write(second, weights.read(first))
    text = first.read_text()
    assert second.read_text() == text
    assert max(map(len, text.splitlines())) <= 100
    assert "AE_ECHO_NET_DENSE = 4, AE_ECHO_NET_STATE = 6" in text


def test_the_shipped_weights_have_the_sizes_of_the_headers() -> None:
    shipped = weights.read(train.HEADER)
    bands = int(re.findall(r"AE_ECHO_BANDS = (\d+)", (CSRC / "ae_echo_bands.h").read_text())[0])
    dense, state = train.shipped_size("DENSE"), train.shipped_size("STATE")
    inputs = len(shipped["dense"])
    assert {name: values.shape for name, values in shipped.items()} == {
        name: values.shape for name, values in random_weights(bands, inputs, dense, state).items()
    }


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> features.Hearing:
    library = tmp_path_factory.mktemp("build") / "features.so"
    with pytest.MonkeyPatch.context() as patch:
        wrong = "implicit-function-declaration", "incompatible-pointer-types"
        patch.setenv("CFLAGS", " ".join(["-O1", *(f"-Werror={name}" for name in wrong)]))
        features.build(library)
    return features.Hearing(library)


def test_what_is_heard_has_the_sizes_of_the_shipped_net(hearing: features.Hearing) -> None:
    shipped = weights.read(train.HEADER)
    assert shipped["dense"].shape[0] == hearing.inputs
    assert shipped["output"].shape[1] == 2 * hearing.bands


def test_products_keep_to_the_inequality_of_cauchy(
    hearing: features.Hearing, scenes: list[Scene]
) -> None:
    powers, gram = hearing.hear(scenes[0])
    assert powers.shape == (300, hearing.inputs)
    e1e1, e0e0, e1e0, e1t, e0t, tt = np.split(gram.astype(float), hearing.products, 1)
    assert np.array_equal(powers[:, : hearing.bands], e1e1.astype(np.float32))
    for product, one, other in ((e1e0, e1e1, e0e0), (e1t, e1e1, tt), (e0t, e0e0, tt)):
        assert (product**2 <= 1.001 * one * other + 1e-30).all()
    assert np.isfinite(hearing.in_db(powers)).all()


def test_near_end_alone_is_wanted_as_it_is(
    hearing: features.Hearing, recordings: Recordings
) -> None:
    near_end = simulate.talk(np.random.default_rng(4), recordings, SAMPLE_RATE_HZ)
    near_end = np.ascontiguousarray(0.1 * near_end, np.float32)
    nothing = np.zeros_like(near_end)
    _, gram = hearing.hear(Scene(near_end, nothing, near_end, nothing, near_end))
    for product in np.split(gram, hearing.products, 1):
        assert np.allclose(product, gram[:, : hearing.bands], rtol=1e-3, atol=1e-12)


def test_the_net_is_trained_on_the_suppressors_window() -> None:
    found = [
        re.findall(r"k_window_hops = ([\d.]+)f", path.read_text())
        for path in (CSRC / "ae_suppressor.c", ROOT / "tools" / "echo_net" / "features.c")
    ]
    assert found[0] == found[1] != []


def test_the_help_says_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        train.arguments().parse_args(["--help"])
    assert left.value.code == 0
    assert "needs JAX" in capsys.readouterr().out

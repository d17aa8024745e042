"""The tools that train the learned suppressor; what needs torch runs where torch is."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_engine import _kernels
from training import echo_scenes, sounds, spectrum
from training.front import front_scene
from training.material import main as make_material
from training.spectrum import Points

RATES_HZ = (8000, 16000, 44100, 48000)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_spectra_are_those_of_the_kernel(rate_hz: int) -> None:
    lib, ffi = _kernels.lib, _kernels.ffi
    hop, window, size = spectrum.shape(rate_hz)
    kernel = ffi.new("ae_stft **")
    assert lib.ae_stft_create(kernel, ffi.new("ae_stft_config *", (hop, window))) == 0
    assert lib.ae_stft_fft_size(kernel[0]) == size
    x = 0.1 * np.random.default_rng(1).standard_normal(30 * hop).astype(np.float32)
    ours = spectrum.analyse(x, rate_hz)
    back = spectrum.synthesise(ours, rate_hz)
    re, im = (np.zeros(size // 2 + 1, np.float32) for _ in range(2))
    for t in range(30):
        block = np.ascontiguousarray(x[t * hop : (t + 1) * hop])
        planes = [ffi.from_buffer("float[]", plane.data) for plane in (block, re, im)]
        lib.ae_stft_analyse(kernel[0], *planes)
        assert np.allclose((re + 1j * im) / hop, ours[t], atol=1e-6)
    lib.ae_stft_destroy(kernel[0])
    assert np.allclose(back[hop:], x[:-hop], atol=1e-5)


def test_features_ignore_the_level_and_the_rate() -> None:
    points = Points()
    x = sounds.fan(np.random.default_rng(2), 3 * 48000, 48000)
    found = {}
    for gain, rate_hz in ((1.0, 48000), (0.01, 48000), (1.0, 16000)):
        y = gain * (x if rate_hz == 48000 else _every_third(x))
        spectra = spectrum.analyse(y, rate_hz)
        power = np.abs(spectra[:, : spectrum.BINS]) ** 2
        high = spectrum.high_powers(spectra, rate_hz)
        level = spectrum.levels(power.mean(-1))
        found[gain, rate_hz] = spectrum.features(points, points.sums(power), high, level)
    assert found[1.0, 48000].shape == (300, points.count)
    assert np.allclose(found[1.0, 48000], found[0.01, 48000], atol=1e-3)
    below = slice(0, points.low - 4)  # the last band is where the two rates part
    difference = found[1.0, 48000][20:, below] - found[1.0, 16000][20:, below]
    assert np.abs(difference).mean() < 0.02


def _every_third(x: spectrum.Array) -> spectrum.Array:
    import soxr

    return np.asarray(soxr.resample(x, 48000, 16000), np.float32)


@pytest.mark.parametrize("kind", sorted(sounds.MADE_UP))
@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_made_up_noise_is_a_signal_and_a_seed_makes_it(kind: str, rate_hz: int) -> None:
    first, again, other = (
        sounds.MADE_UP[kind](np.random.default_rng(seed), 2 * rate_hz, rate_hz)
        for seed in (1, 1, 2)
    )
    assert len(first) == 2 * rate_hz
    assert np.all(np.isfinite(first))
    assert 0.01 < np.sqrt(np.mean(first**2)) < 10
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_eight_bits_are_close() -> None:
    pytest.importorskip("torch")
    from training import quantise

    weight = np.random.default_rng(3).standard_normal((20, 30)).astype(np.float32)
    numbers, scale = quantise.quantised(weight)
    assert numbers.dtype == np.int8
    assert np.max(np.abs(scale[:, None] * numbers - weight)) <= np.max(scale) / 2 + 1e-6


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two voices made of buzz and pauses, and a hiss, as training sees them."""
    folder = tmp_path_factory.mktemp("material")
    rng = np.random.default_rng(1)
    time_s = np.arange(4 * 16000) / 16000
    for name in ("speech", "noise"):
        (folder / name).mkdir()
    for speech, pitch_hz in (("low.wav", 120), ("high.wav", 210)):
        buzz = sum(np.sin(2 * np.pi * pitch_hz * h * time_s) / h for h in range(1, 20))
        voice = 0.1 * buzz * (np.sin(2 * np.pi * 2 * time_s) > 0)
        soundfile.write(folder / "speech" / speech, voice, 16000)
    soundfile.write(folder / "noise" / "hiss.wav", 0.1 * rng.standard_normal(8 * 16000), 16000)
    for kind, names in (("speech", ("low.wav", "high.wav")), ("noise", ("hiss.wav",))):
        with (folder / kind / "manifest.csv").open("w", newline="") as table:
            rows = [["file", "source", "licence", "speaker"]]
            rows += [[name, "made up", "CC0-1.0", name] for name in names]
            csv.writer(table).writerows(rows)
    out = folder / "out"
    for more in ([], ["--held-out"]):
        with pytest.MonkeyPatch.context() as patch:
            arguments = ["--speech", str(folder / "speech"), "--noise", str(folder / "noise")]
            arguments += ["--out", str(out), "--hours", "0.01", *more]
            patch.setattr("sys.argv", ["material", *arguments])
            make_material()
    return out


def _syllables(seed: int, seconds: float) -> spectrum.Array:
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * 16000)) / 16000
    return np.asarray(0.05 * rng.standard_normal(len(time_s)) * (np.sin(6 * np.pi * time_s) > 0))


def _decibels(power: spectrum.Array) -> float:
    return float(10 * np.log10(np.mean(power) + 1e-20))


def test_without_a_far_end_a_scene_is_heard_as_it_is() -> None:
    voice = _syllables(5, 3.0)
    heard = front_scene(voice, np.zeros_like(voice), 0.5 * voice)
    truth = spectrum.analyse(voice, 16000)[:, : spectrum.BINS]
    target = heard.target[..., 0] + 1j * heard.target[..., 1]
    assert np.allclose(target, 0.5 * truth, atol=1e-5)
    assert np.allclose(heard.before, np.abs(truth) ** 2, atol=1e-5 * np.max(np.abs(truth) ** 2))
    assert not heard.far.any()
    assert not heard.echo.any()


def test_of_an_echo_alone_its_estimate_is_heard_and_little_else() -> None:
    far = _syllables(6, 5.0)
    echo = 0.5 * np.concatenate([np.zeros(400), far])[: len(far)]
    heard = front_scene(echo, far, np.zeros_like(far))
    late = slice(300, None)
    loud = _decibels(np.abs(spectrum.analyse(echo, 16000)[late, : spectrum.BINS]) ** 2)
    assert _decibels(heard.echo[late]) == pytest.approx(loud, abs=0.5)
    assert _decibels(heard.far[late]) == pytest.approx(loud + 6.0, abs=1.0)
    assert _decibels(heard.before[late]) < loud - 20
    assert _decibels(np.square(heard.after[late]).sum(-1)) < loud - 40
    assert not heard.target.any()


@pytest.fixture(scope="module")
def with_scenes(material: Path) -> Path:
    """The material and scenes of the same voices."""
    recordings = material.parent
    for more in ([], ["--held-out"]):
        with pytest.MonkeyPatch.context() as patch:
            arguments = [f"--{kind}={recordings / kind}" for kind in ("speech", "noise")]
            arguments += ["--out", str(material), "--scenes", "2", *more]
            patch.setattr("sys.argv", ["echo_scenes", *arguments])
            echo_scenes.main()
    return material


def test_scenes_are_kept_level_and_half_as_precise(with_scenes: Path) -> None:
    store = with_scenes / "train" / "scene0"
    kept = {
        name: np.load(store.with_suffix(f".{name}.npy"))
        for name in ("spectra", "target", *echo_scenes.POWERS)
    }
    more = np.load(store.with_suffix(".npz"))
    clips = 2 * echo_scenes.CLIPS_PER_SCENE
    assert all(plane.shape[:3] == (clips, 600, spectrum.BINS) for plane in kept.values())
    assert all(plane.dtype == np.float16 and np.isfinite(plane).all() for plane in kept.values())
    for name in echo_scenes.POWERS:
        assert kept[name].min() >= echo_scenes.LEAST_DB - 0.1
    assert kept["far"].max() > -40  # somebody is there
    speaks = more["label"].astype(bool)
    power = np.square(kept["target"].astype(np.float32)).sum((2, 3))
    assert power[speaks].mean() > 100 * power[~speaks].mean()
    # A talker of level 1: noise of power 1 has this in a bin.
    window = spectrum.windows(160, 512)[0]
    unit_db = 10 * np.log10(np.sum(window**2) / 160**2)
    talks = speaks.mean(1) > 0.3
    found = kept["target"].astype(np.float32)[talks]
    levels = [
        _decibels(np.square(clip[on]).sum(-1)) for clip, on in zip(found, speaks[talks], strict=True)
    ]
    assert levels
    assert all(abs(level_db - unit_db) < 6 for level_db in levels)


def test_batches_hold_scenes_where_there_are_some(with_scenes: Path) -> None:
    pytest.importorskip("torch")
    from training.mix import NOTHING, Mixer

    mixer = Mixer(with_scenes / "train", Points(), 100)
    batch = mixer.batch(1, 0, 24)
    assert batch.aside.shape == (24, 100, Points().count, 3)
    far = (batch.aside[..., 2] > NOTHING + 1e-3).any(-1).any(-1)
    assert 0 < int(far.sum()) < 18
    assert bool((batch.aside[..., 0] > NOTHING + 1e-3).any(-1).any(-1).all())
    assert all(
        bool(getattr(batch, name).isfinite().all())
        for name in ("hears", "aside", "mixed", "wanted", "shared")
    )
    again = mixer.batch(1, 0, 24)
    assert bool((batch.aside == again.aside).all())


def test_a_toy_training_learns_and_goes_on(material: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from training import train

    def run(steps: int) -> list[dict[str, object]]:
        arguments = [str(tmp_path), "--material", str(material), "--channels", "8", "--full", "16"]
        arguments += ["--layers", "1", "--taps", "1", "--sequences", "4", "--hops", "100"]
        arguments += ["--rate", "0.005", "--warm-up", "10"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "sys.argv", ["train", *arguments, "--steps", str(steps), "--log-every", "40"]
            )
            train.main()
        lines = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return [line for line in map(json.loads, lines) if "valid" in line]

    run(40)
    log = run(160)  # from step 40 on
    losses = [line["valid"]["loss"] for line in log]  # type: ignore[index]
    assert [line["step"] for line in log] == [40, 80, 120, 160]
    assert losses[-1] < 0.8 * losses[0]


def test_fast_recurrent_layers_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    from training.gru import Gru

    torch.manual_seed(1)
    ours, theirs = Gru(6, 16), torch.nn.GRU(6, 16)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(12, 4, 6)
    x[5] *= 1000  # gates far beyond what an exponential can hold
    found, wanted = ours(x), theirs(x)[0]
    assert torch.allclose(found, wanted, atol=1e-5)
    found.square().sum().backward()
    wanted.square().sum().backward()
    for name, weight in ours.named_parameters():
        assert torch.allclose(weight.grad, getattr(theirs, name).grad, rtol=1e-3, atol=1e-3)

"""Training itself, where torch is (`make test-training` brings it)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_engine import _kernels
from training import sounds, spectrum
from training.spectrum import NOTHING, Points
from training_material import make_clips, make_scenes, write_recordings

torch = pytest.importorskip("torch")

from training import enhance, evaluate, export, gru, net, quantise, reference, train  # noqa: E402
from training.enhance import Enhancer  # noqa: E402
from training.gru import Gru  # noqa: E402
from training.mix import Mixer  # noqa: E402
from training.muon import Muon, orthogonal  # noqa: E402

_TOY = ["--channels", "8", "--full", "16", "--layers", "1", "--taps", "3", "--sequences", "4"]
_TOY += ["--hops", "100", "--rate", "0.005", "--warm-up", "10"]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    write_recordings(folder)
    make_clips(folder, folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def with_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_recordings(folder)
    make_clips(folder, folder / "out", hours=0.005)
    make_scenes(folder, folder / "out")
    return folder / "out"


def _train(run: Path, material: Path, *more: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["train", str(run), "--material", str(material), *_TOY, *more])
        train.main()


def _logged(run: Path) -> list[dict[str, Any]]:
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if "valid" in line]


def _weights(run: Path) -> dict[str, Any]:
    return dict(net.load(run / "net.pt").state_dict())


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def trained(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net that has learned as much as it can in seconds."""
    run = tmp_path_factory.mktemp("trained")
    _train(run, material, "--steps", "160", "--log-every", "40")
    return run


def test_a_toy_training_learns(trained: Path) -> None:
    log = _logged(trained)
    assert [line["step"] for line in log] == [40, 80, 120, 160]
    assert log[-1]["frames"] == 160 * 4 * 100
    assert log[-1]["valid"]["loss"] < 0.9 * log[0]["valid"]["loss"]
    assert log[-1]["train"]["loss"] < 0.8 * log[0]["train"]["loss"]


def test_a_training_that_was_stopped_goes_on_as_if_it_was_not(
    material: Path, tmp_path: Path
) -> None:
    steps = ["--steps", "4", "--quantised-share", "0.5"]
    _train(tmp_path / "whole", material, *steps)
    for step in range(4):
        _train(tmp_path / "pieces", material, *steps, "--minutes", "0")
        assert _logged(tmp_path / "pieces")[-1]["step"] == step + 1
    _train(tmp_path / "pieces", material, *steps)  # nothing is left to do
    assert len(_logged(tmp_path / "pieces")) == 4
    assert _same(_weights(tmp_path / "whole"), _weights(tmp_path / "pieces"))
    whole, pieces = (_logged(tmp_path / name)[-1] for name in ("whole", "pieces"))
    assert whole["valid"] == pieces["valid"]
    assert whole["frames"] == pieces["frames"]


def test_a_seed_makes_the_net(material: Path, tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        _train(tmp_path / name, material, "--steps", "2", "--seed", str(seed))
    first, again, other = (_weights(tmp_path / name) for name in ("first", "again", "other"))
    assert _same(first, again)
    assert not _same(first, other)


def test_a_training_can_begin_with_another_net(
    trained: Path, material: Path, tmp_path: Path
) -> None:
    _train(tmp_path, material, "--steps", "1", "--rate", "1e-9", "--start", str(trained / "net.pt"))
    found, begun = _weights(tmp_path), _weights(trained)
    assert all(torch.allclose(found[name], begun[name], atol=1e-6) for name in begun)


def test_batches_hold_scenes_where_there_are_some(with_scenes: Path) -> None:
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
    again, other = mixer.batch(1, 0, 24), mixer.batch(2, 0, 24)
    assert torch.equal(batch.aside, again.aside)
    assert torch.equal(batch.mixed, again.mixed)
    assert not torch.equal(batch.mixed, other.mixed)


def test_a_net_keeps_its_answer_when_it_hears_more(trained: Path) -> None:
    old = net.load(trained / "net.pt")
    weights, shape = net.widened(old.state_dict(), old.shape, 2)
    wider = net.BandNet(shape)
    wider.load_state_dict(weights)
    torch.manual_seed(2)
    hears, bins = torch.randn(2, 20, 100), torch.randn(2, 20, 64, 2)
    aside = torch.randn(2, 20, 100, 3)
    more = torch.cat([aside, torch.randn(2, 20, 100, 2)], -1)
    with torch.no_grad():
        wanted, found = old(hears, bins, aside), wider(hears, bins, more)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(wanted, found, strict=True))


def test_a_net_does_not_hear_the_future(trained: Path) -> None:
    model = net.load(trained / "net.pt")
    torch.manual_seed(3)
    hears, bins, aside = (torch.randn(1, 20, *rest) for rest in ((100,), (64, 2), (100, 3)))
    with torch.no_grad():
        whole = model(hears, bins, aside)
        begun = model(hears[:, :12], bins[:, :12], aside[:, :12])
    for a, b in zip(whole, begun, strict=True):
        assert torch.allclose(a[:, :12], b, atol=1e-5)


def test_eight_bits_are_close() -> None:
    weight = np.random.default_rng(3).standard_normal((20, 30)).astype(np.float32)
    numbers, scale = quantise.quantised(weight)
    assert numbers.dtype == np.int8
    assert np.max(np.abs(scale[:, None] * numbers - weight)) <= np.max(scale) / 2 + 1e-6
    rounded = quantise.rounded(torch.from_numpy(weight)).numpy()
    assert np.allclose(rounded, scale[:, None] * numbers, atol=1e-6)


def test_steps_of_muon_are_orthogonal() -> None:
    """Singular values come near 1: the polynomial of the paper leaves them in 0.7 .. 1.2."""
    torch.manual_seed(4)
    for shape in ((12, 40), (40, 12), (3, 16, 16)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(*shape)))
        assert float(values.min()) > 0.6
        assert float(values.max()) < 1.3


def test_muon_goes_down_and_steers_gates_one_by_one() -> None:
    torch.manual_seed(5)
    wanted, found = torch.randn(24, 8), torch.nn.Parameter(torch.zeros(24, 8))
    optimiser = Muon([("sub.weight_hh_l0", found)], lr=0.04, weight_decay=0.0)
    for _ in range(500):
        optimiser.zero_grad()
        (found - wanted).square().sum().backward()
        optimiser.step()
    assert float((found - wanted).square().mean()) < 0.02 * float(wanted.square().mean())
    still = torch.nn.Parameter(torch.zeros(24, 8))
    optimiser = Muon([("sub.weight_hh_l0", still)], lr=0.02)
    still.grad = torch.cat([torch.randn(8, 8), torch.zeros(16, 8)])
    optimiser.step()
    assert bool(still[:8].abs().max() > 0)
    assert not bool(still[8:].any())


def test_fast_recurrent_layers_are_those_of_torch() -> None:
    if gru.kernel() is None:
        pytest.skip("no C++ compiler")
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


def _engine(content: bytes, x: spectrum.Array, rate_hz: int) -> spectrum.Array:
    """Return what the engine's suppressor makes of a signal with a net."""
    lib, ffi = _kernels.lib, _kernels.ffi
    model, suppressor = ffi.new("ae_net_model **"), ffi.new("ae_suppressor **")
    assert lib.ae_net_model_create(model, content, len(content)) == 0
    config = ffi.new("ae_suppressor_config *", lib.ae_suppressor_default_config(rate_hz))
    config.small_model, config.tier, config.attenuation_limit_db = model[0], 1, 40.0
    assert lib.ae_suppressor_create(suppressor, config) == 0
    hop = rate_hz // 100
    out = np.zeros_like(x)
    for start in range(0, len(x), hop):
        block = np.ascontiguousarray(x[start : start + hop])
        planes = [ffi.from_buffer("float[]", p) for p in (block, out[start : start + hop])]
        heard, given = (ffi.new("float *[1]", [plane]) for plane in planes)
        lib.ae_suppressor_process(suppressor[0], heard, ffi.NULL, given)
    lib.ae_suppressor_destroy(suppressor[0])
    lib.ae_net_model_destroy(model[0])
    return out


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100, 48000])
def test_what_training_judges_is_what_the_engine_does(trained: Path, rate_hz: int) -> None:
    rng = np.random.default_rng(6)
    time_s = np.arange(2 * rate_hz) / rate_hz
    x = 0.1 * sounds.music(rng, 2 * rate_hz, rate_hz) * (np.sin(6 * time_s) > 0)
    x = np.asarray(x + 0.02 * sounds.coloured(rng, len(x), rate_hz), np.float32)
    enhancer = Enhancer(trained / "net.pt")
    with quantise.all_rounded(enhancer.net):
        wanted, _ = enhancer.process(x, rate_hz)
    found = _engine(export.exported(enhancer.net, enhancer.shape), x, rate_hz)
    assert np.sqrt(np.mean((found - wanted) ** 2)) < 0.02 * np.sqrt(np.mean(wanted**2))


def _say(main: Any, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["it", *map(str, arguments)])
        main()
    return capsys.readouterr().out


def test_a_net_is_judged_kind_by_kind(
    trained: Path, material: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = _say(
        evaluate.main, capsys, trained / "net.pt", "--material", material, "--each", "1"
    ).splitlines()[1:]
    kinds = {str(kind) for kind in np.load(material / "valid" / "noise0.npz")["kinds"]}
    assert {line.split()[0] for line in told} == kinds
    assert len(told) == 3 * len(kinds)
    for line in told:
        words = line.replace("(", " ").replace(")", " ").split()[1:]
        numbers = [float(word) for word in words]
        assert len(numbers) == 6
        assert np.isfinite(numbers).all()


def test_a_net_turns_noise_in_a_file_down(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noisy, clean = tmp_path / "noisy.wav", tmp_path / "clean.wav"
    x = 0.05 * np.random.default_rng(9).standard_normal(3 * 16000 + 7)
    soundfile.write(noisy, x, 16000, subtype="FLOAT")
    _say(enhance.main, capsys, trained / "net.pt", noisy, clean)
    y, rate_hz = soundfile.read(clean)
    assert (len(y), rate_hz) == (len(x), 16000)
    assert np.std(y[32000:]) < 0.35 * np.std(x)  # 10 dB by the classical stages, and the net


def test_an_exported_net_and_its_vector_agree(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net_file, vector = tmp_path / "toy.aenet", tmp_path / "vector.npz"
    told = _say(export.main, capsys, trained / "net.pt", net_file, "--vector", vector)
    assert f"{net_file.stat().st_size} bytes" in told
    with pytest.raises(SystemExit) as ended:
        _say(reference.main, capsys, net_file, vector)
    assert not ended.value.code
    damaged = bytearray(net_file.read_bytes())
    damaged[100] ^= 1
    net_file.write_bytes(damaged)
    with pytest.raises(ValueError, match="damaged"):
        _say(reference.main, capsys, net_file, vector)

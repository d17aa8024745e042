"""The tools that train the learned suppressor; test_training_torch.py has those that need torch."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile

from audio_engine import _kernels
from training import (
    echo_scenes,
    model_cards,
    near_sounds,
    orchestra,
    passing_sounds,
    sounds,
    spectrum,
)
from training.front import front, front_scene, front_signal
from training.material import share_of
from training.recordings import listed
from training.spectrum import Points
from training_material import make_clips, make_scenes, write_recordings

RATES_HZ = (8000, 16000, 44100, 48000)
MADE_UP = {**sounds.MADE_UP, **passing_sounds.PASSING, **near_sounds.NEAR}


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


@pytest.mark.parametrize("kind", sorted(MADE_UP))
@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_made_up_noise_is_a_signal_and_a_seed_makes_it(kind: str, rate_hz: int) -> None:
    first, again, other = (
        MADE_UP[kind](np.random.default_rng(seed), 2 * rate_hz, rate_hz) for seed in (1, 1, 2)
    )
    assert len(first) == 2 * rate_hz
    assert np.all(np.isfinite(first))
    assert 0.01 < np.sqrt(np.mean(first**2)) < 10
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_keys_go_down_and_up_and_a_keyboard_is_one() -> None:
    rate_hz = 16000
    x = near_sounds.keyboard(np.random.default_rng(4), 6 * rate_hz, rate_hz)
    loud = np.sqrt(np.mean(x[: len(x) // 80 * 80].reshape(-1, 80) ** 2, 1))
    struck = np.flatnonzero(np.diff((loud > 0.3 * loud.max()).astype(int)) == 1)
    assert 2 < len(struck) / 6 < 40  # blows a second
    assert np.percentile(loud, 20) < 0.1 * loud.max()  # and quiet between them


def test_numbers_of_midi_files_are_those_of_the_standard() -> None:
    # Standard MIDI Files 1.0, examples of variable-length quantities.
    examples = {
        0: "00",
        0x7F: "7f",
        0x80: "8100",
        0x2000: "c000",
        0x3FFF: "ff7f",
        0xFFFFFFF: "ffffff7f",
    }
    assert {n: orchestra.variable(n).hex() for n in examples} == examples


def _notes(score: bytes) -> tuple[int, int]:
    """Return how many notes of a file begin and end, read as a player would."""
    head, track = score[:14], score[14:]
    assert head[:4] == b"MThd"
    assert track[:4] == b"MTrk"
    assert len(track) == 8 + int.from_bytes(track[4:8], "big")
    at, begun, ended, ended_track = 8, 0, 0, False
    while at < len(track):
        while track[at] & 0x80:
            at += 1
        at += 1
        status = track[at]
        if status == 0xFF:
            ended_track = track[at + 1] == 0x2F
            at += 3 + track[at + 2]
        else:
            begun, ended = begun + (status >> 4 == 9), ended + (status >> 4 == 8)
            at += 2 if status >> 4 == 0xC else 3
    assert ended_track
    return begun, ended


def test_pieces_are_midi_files_and_a_seed_makes_them() -> None:
    first, again, other = (orchestra.write_piece(np.random.default_rng(s)) for s in (1, 1, 2))
    assert first == again != other
    begun, ended = _notes(first)
    assert begun == ended > 20


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_classical_stages_stop_at_their_limit(rate_hz: int) -> None:
    x = 0.02 * sounds.fan(np.random.default_rng(7), 3 * rate_hz, rate_hz)
    heard = front_signal(x + _bursts(len(x), rate_hz), rate_hz)
    mixed = spectrum.analyse(x + _bursts(len(x), rate_hz), rate_hz)
    assert heard.after.shape == heard.before.shape == heard.gain.shape == mixed.shape
    late = slice(150, None)
    assert 0.3 <= heard.gain[late, 2:100].min() < 0.4  # 10 dB
    assert np.allclose(heard.after[late], heard.gain[late] * mixed[late], atol=1e-4)
    power = np.abs(mixed[late, 4:]) ** 2
    assert np.median(heard.before[late, 4:] / power) == pytest.approx(1, abs=0.02)


def test_a_mixed_spectrum_is_heard_as_its_signal_is() -> None:
    """What training does and what a net is judged by: the same stages."""
    x = 0.02 * sounds.fan(np.random.default_rng(7), 3 * 16000, 16000) + _bursts(3 * 16000, 16000)
    x[:800] = 0  # a cut spectrum fades in; nothing does not
    heard, mixed = front_signal(x, 16000), spectrum.analyse(x, 16000)[:, : spectrum.BINS]
    before, after = front(np.stack([mixed.real, mixed.imag], -1), 1.0)
    error = after[..., 0] + 1j * after[..., 1] - heard.after[:, : spectrum.BINS]
    inner = slice(0, -2)
    assert np.sqrt(np.mean(np.abs(error[inner]) ** 2)) < 0.06 * np.sqrt(np.mean(after[inner] ** 2))
    assert np.allclose(before[inner], heard.before[inner, : spectrum.BINS], atol=1e-5)


def _bursts(frames: int, rate_hz: int) -> spectrum.Array:
    time_s = np.arange(frames) / rate_hz
    return np.asarray(0.1 * np.sin(2 * np.pi * 300 * time_s) * (np.sin(4 * np.pi * time_s) > 0.3))


def test_the_level_decides_what_the_stages_take() -> None:
    """Training draws the loudness: the classical stages do not ignore it as the features do."""
    x = _bursts(3 * 16000, 16000) + 0.02 * np.random.default_rng(8).standard_normal(3 * 16000)
    mixed = spectrum.analyse(x, 16000)[:, :256]
    pairs = np.stack([mixed.real, mixed.imag], -1)
    loud, same, faint = (front(pairs, level)[1] for level in (1.0, 1.0, 1e-4))
    assert np.array_equal(loud, same)
    assert not np.allclose(loud, faint)
    assert all(np.square(x[200:]).sum() < np.square(pairs[200:]).sum() for x in (loud, faint))


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
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_recordings(folder)
    return folder


def test_a_seed_makes_the_same_clips(recordings: Path, tmp_path: Path) -> None:
    kept = []
    for name in ("first", "again"):
        make_clips(recordings, tmp_path / name, hours=0.005)
        folder = tmp_path / name / "train"
        kept.append([np.load(p) for p in sorted(folder.glob("*.spectra.npy"))])
    assert len(kept[0]) == 3  # heard, target, noise
    assert all(np.array_equal(a, b) for a, b in zip(*kept, strict=True))
    assert all(plane.dtype == np.float16 and np.isfinite(plane).all() for plane in kept[0])
    label = np.load(tmp_path / "first" / "train" / "heard0.npz")["label"].astype(bool)
    target = np.square(kept[0][-1].astype(np.float32)).sum((2, 3))
    assert 0.05 < label.mean() < 0.95
    assert target[label].mean() > 10 * target[~label].mean()  # windows and rooms reach on


def test_scenes_are_kept_level_and_half_as_precise(recordings: Path, tmp_path: Path) -> None:
    make_scenes(recordings, tmp_path)
    store = tmp_path / "train" / "scene0"
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
        _decibels(np.square(clip[on]).sum(-1))
        for clip, on in zip(found, speaks[talks], strict=True)
    ]
    assert levels
    assert all(abs(level_db - unit_db) < 6 for level_db in levels)


def _run(folder: Path, losses: list[float]) -> Path:
    folder.mkdir()
    lines: list[dict[str, object]] = [
        {"step": 0, "parameters": 10, "multiplications": 20, "clips": 3}
    ]
    for n, loss in enumerate(losses, 1):
        parts = {"loss": loss, "magnitude": 0.01, "phase": 0.02, "voice": 0.3}
        line = {"step": n, "frames": 1e6 * n, "cpu_min": 2.0 * n, "train": parts, "valid": parts}
        lines.append(line)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "options.json").write_text(json.dumps({"seed": 7, "lost": 3.0, "minutes": None}))
    return folder


def test_model_cards_tell_what_runs_have_logged(tmp_path: Path) -> None:
    first, second = _run(tmp_path / "A", [0.5, 0.4]), _run(tmp_path / "B", [0.3])
    nets = {"small": [model_cards.read_run(first), model_cards.read_run(second)]}
    head, *rows = model_cards.run_rows(nets)
    told = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["run"] for row in told] == ["A", "B", "all"]
    assert told[0]["seed"] == "7"
    assert told[0]["loss held out"] == "0.4000"
    assert told[-1]["CPU-minutes"] == "6.0"
    assert told[-1]["million hops"] == "3.0"
    assert model_cards.option_rows(nets)[1][2] == "`--seed 7 --lost 3.0`"
    drawn = model_cards.curves(nets)
    assert [x for _, points in drawn for x, _ in points] == [2.0, 4.0, 6.0]  # run after run
    root = ElementTree.fromstring(model_cards.picture(drawn))
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    heights = [
        float(pair.split(",")[1]) for line in lines for pair in line.attrib["points"].split()
    ]
    assert len(lines) == 2
    assert heights == sorted(heights)  # a lower loss is drawn lower


def test_model_cards_tell_where_recordings_are_from(recordings: Path) -> None:
    rows = model_cards.data_rows(recordings / "speech", noise=False)
    assert rows[1][:2] == ("made up", "CC0-1.0")
    assert rows[-1][0] == "all"
    assert float(rows[-1][-1]) == pytest.approx(8 / 60, abs=0.06)


def test_model_cards_tell_scores_side_by_side(tmp_path: Path) -> None:
    keys = {key for keys in model_cards.METRICS.values() for key in keys}
    for name, value in (("none", 1.0), ("large", 2.5)):
        scene = {"kind": "noisy", "cat": "babble", "ovrl": value, "pesq": value, "loss6": 8.2}
        scenes = [{"id": "hard", "snr": 0, **scene}, {"id": "easy", "snr": 10, **scene}]
        found = {"summary": {name: dict.fromkeys(keys, value)}, "results": {name: {"rows": scenes}}}
        (tmp_path / f"{name}.json").write_text(json.dumps(found))
    files = [tmp_path / "none.json", tmp_path / "large.json"]
    rows = model_cards.score_rows(files)
    assert rows[0] == ("", "input", "large")
    assert ("PESQ", "1.00", "2.50") in rows
    assert ("babble: OVRL / PESQ", "1.00 / 1.00", "2.50 / 2.50") in rows
    hard = model_cards.hard_rows(files)
    assert hard[1:] == [("babble", "0", "1.00 / 1.00 / 8", "2.50 / 2.50 / 8")]


def test_the_page_has_room_for_all_of_it() -> None:
    page = (Path(__file__).parent.parent / "docs" / "models.md").read_text(encoding="utf-8")
    for name in ("sizes", "speech", "noise", "material", "runs", "options", "scores", "hard"):
        assert "| new |" in model_cards.put_between(page, name, "| new |")
    with pytest.raises(ValueError, match="no marks for nothing"):
        model_cards.put_between(page, "nothing", "")


def test_speakers_kinds_and_licences_are_kept_apart(tmp_path: Path) -> None:
    silence = np.zeros(1600, np.float32)

    def write(folder: Path, rows: list[tuple[str, str, str]]) -> None:
        lines = ["file,source,licence,speaker"]
        for name, licence, speaker in rows:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / name, silence, 16000)
            lines.append(f"{name},made up,{licence},{speaker}")
        (folder / "manifest.csv").write_text("\n".join(lines) + "\n")

    voices = [(f"{n:02}.wav", "CC0-1.0", f"voice{n:02}") for n in range(12)]
    unfree = [("nc.wav", "CC-BY-NC-4.0", "voice03"), ("sa.wav", "CC-BY-SA-3.0", "voice04")]
    unfree += [("speech_bysa/x.wav", "", "voice02"), ("ravdess/y.wav", "", "voice01")]
    write(tmp_path / "speech", voices + unfree)
    write(tmp_path / "noise", [("fan.wav", "CC0-1.0", "a"), ("rain-on-window.wav", "CC0-1.0", "b")])
    speech = listed(tmp_path / "speech", noise=False)
    assert {r.path.name for r in speech} == {name for name, _, _ in voices}
    assert [r.speaker for r in speech if r.held_out] == ["voice05"]
    assert len(share_of(speech, held_out=False)) == 11
    assert [r.path.stem for r in share_of(listed(tmp_path / "noise", True), True)] == [
        "rain-on-window"
    ]

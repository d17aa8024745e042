"""The nets behind the noise suppressor: their files, what happens without them, sound and tiers."""

from __future__ import annotations

import hashlib
import struct
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import audio_engine as ae
from audio_engine import _native
from audio_engine._native import net_models
from audio_engine._native.live import SharedBlock, allocated_bytes
from audio_engine.config import NOISE_MODELS
from audio_engine.graph.engine import engine_graph
from audio_engine.io.live.parts import LiveParts
from audio_engine.processors import steps
from benchmarks import adapters
from signals import Signal, echo_of, level_db, noise, speech, voice

RATE_HZ = 16000
NETS = NOISE_MODELS[1:]
SHED_NETS = 2  # AE_SHED_NETS
#: Only the suppressor's work is heard.
NS_ALONE = {f"{name}.enabled": "false" for name in ("highpass", "echo", "agc", "limiter", "meter")}


def alone(model: str, **settings: str) -> ae.EngineConfig:
    config = ae.EngineConfig(sample_rate_hz=RATE_HZ)
    return config.with_settings(NS_ALONE | {"ns.model": model} | settings)


def suppressed(mic: Signal, **options: Any) -> Signal:
    channels = 1 if mic.ndim == 1 else mic.shape[1]
    with ae.NoiseSuppressor(RATE_HZ, channels, **options) as ns:
        return ae.process_whole(ns, mic)


def scene(seconds: float = 4.0) -> Signal:
    return 0.5 * speech("host", seconds) + noise(seconds, RATE_HZ, 0.01)


# --- files --------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with copies of the model files, in a process that has read none yet."""
    for name in NETS:
        content = (net_models.FOLDER / f"{name}.aenet").read_bytes()
        (tmp_path / f"{name}.aenet").write_bytes(content)
    monkeypatch.setattr(net_models, "FOLDER", tmp_path)
    monkeypatch.setattr(net_models, "_of_process", {})
    monkeypatch.setattr(steps, "_told", set())
    return tmp_path


def signed(content: bytes) -> bytes:
    """The same with the hash that belongs to it."""
    return content[:-32] + hashlib.sha256(content[:-32]).digest()


def put(content: bytes, at: int, number: bytes) -> bytes:
    return content[:at] + number + content[at + len(number) :]


BREAKS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "no model"),
    "text": (lambda _: b"version https://git-lfs.github.com/spec/v1\n", "no model"),
    "one bit": (lambda raw: put(raw, 5000, bytes([raw[5000] ^ 1])), "damaged"),
    "cut off": (lambda raw: raw[: len(raw) // 2], "damaged"),
    "longer": (lambda raw: raw + b"\0", "damaged"),
    "other features": (lambda raw: signed(put(raw, 8, struct.pack("<I", 99))), "another version"),
    "other shape": (lambda raw: signed(put(raw, 16, struct.pack("<I", 7))), "another version"),
    "not finite": (lambda raw: signed(put(raw, 40, struct.pack("<f", np.nan))), "another version"),
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_file_is_refused_in_one_line(folder: Path, how: str) -> None:
    path = folder / "small.aenet"
    change, words = BREAKS[how]
    path.write_bytes(change(path.read_bytes()))
    for make in (ae.NoiseSuppressor, ae.VoiceActivityDetector):
        with pytest.raises(ae.ModelError, match=words) as caught:
            make(RATE_HZ, model="small")
        text = str(caught.value)
        assert text.startswith(f"model small: {path} cannot be used")
        assert text.endswith(
            "install the package again, or use model=classical, which needs no file"
        )
        assert "\n" not in text
    with ae.NoiseSuppressor(RATE_HZ, model="large") as ns:  # which does not need that one
        assert "large" in repr(ns._plan.steps[0].kernels[0].fields)


def test_a_missing_file_is_refused_and_found_when_it_is_back(folder: Path) -> None:
    path = folder / "large.aenet"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(ae.ModelError, match=r"large\.aenet .*not there.*: No such file"):
        ae.NoiseSuppressor(RATE_HZ, model="large")
    path.write_bytes(content)
    ae.NoiseSuppressor(RATE_HZ, model="large").close()


def test_a_file_is_read_once_and_its_weights_are_shared(folder: Path) -> None:
    with ae.NoiseSuppressor(RATE_HZ, model="small") as first:
        for path in folder.iterdir():
            path.unlink()
        with ae.NoiseSuppressor(48000, 2, model="small") as second:
            models = [ns._plan.steps[0].kernels[0].fields["small_model"] for ns in (first, second)]
            assert models[0] is models[1]
        assert np.isfinite(first.process(scene(1.0))).all(), "it outlives the second user"


def test_both_files_are_there_and_whole() -> None:
    for name in NETS:
        assert _native.net_model(name) is _native.net_model(name)
        content = (net_models.FOLDER / f"{name}.aenet").read_bytes()
        assert signed(content) == content


@pytest.mark.parametrize(
    ("broken", "wanted", "runs"),
    [
        ({"small", "large"}, "large", "classical"),
        ({"small"}, "small", "classical"),
        ({"large"}, "large", "small"),
        ({"small"}, "large", "large"),
    ],
)
def test_the_engine_goes_on_with_less_and_says_so_once(
    folder: Path, broken: set[str], wanted: str, runs: str
) -> None:
    for name in broken:
        (folder / f"{name}.aenet").write_bytes(b"")
    mic = scene(2.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            with ae.Engine(alone(wanted)) as engine:
                out = engine.process(mic)
                assert engine.config.ns.model == runs
                noise_stats = engine.stats().noise
                assert noise_stats is not None
                assert noise_stats.model == runs
    given_up = [name for name in reversed(NETS) if name in broken and runs != wanted]
    assert [item.category for item in caught] == [ae.ModelWarning] * len(given_up)
    for name, item in zip(given_up, caught, strict=True):
        assert str(item.message).startswith(f"model {name}: {folder / name}.aenet cannot be used")
        assert "going on with model=" in str(item.message)
        assert "\n" not in str(item.message)
    with ae.Engine(alone(runs)) as engine:
        assert np.array_equal(out, engine.process(mic))


def test_the_command_line_goes_on_with_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from typer.testing import CliRunner

    from audio_engine.cli.main import app

    mic = tmp_path / "mic.wav"
    soundfile.write(mic, scene(1.0), RATE_HZ, subtype="FLOAT")

    def run(name: str, *options: str) -> tuple[bytes, list[str]]:
        out = tmp_path / name
        result = CliRunner().invoke(app, ["process", str(mic), "-o", str(out), *options])
        assert result.exit_code == 0, result.output
        said = result.stderr.splitlines()
        return out.read_bytes(), [line for line in said if line.startswith("warning:")]

    small, said = run("small.wav", "--model", "small")
    assert not said
    assert run("set.wav", "--set", "ns.model=small")[0] == small
    classical = run("classical.wav")[0]
    assert classical != small
    (folder / "small.aenet").write_bytes(b"")
    net_models._of_process.clear()
    fallen, said = run("fallen.wav", "--model", "small")
    assert fallen == classical
    assert len(said) == 1
    assert said[0].startswith(f"warning: model small: {folder / 'small.aenet'} cannot be used")


# --- settings -----------------------------------------------------------------------------------


def test_the_model_is_a_setting_like_others() -> None:
    assert ae.EngineConfig().ns.model == "classical"
    for model in NOISE_MODELS:
        config = ae.EngineConfig().with_settings({"ns.model": model})
        assert ae.EngineConfig.from_toml(config.to_toml()) == config
        assert ae.EngineConfig.from_json(config.to_json()) == config
        assert config.ns.limit_db == (20.0 if model == "classical" else 30.0)
        assert replace(config.ns, attenuation_limit_db=12.0).limit_db == 12.0
    for wrong in ("huge", "", "Small"):
        with pytest.raises(ae.ConfigError, match="is not known; use classical, small, large"):
            ae.EngineConfig().with_settings({"ns.model": wrong})
    with pytest.raises(ae.ConfigError, match="is not known; use classical, small, large"):
        ae.VoiceActivityDetector(RATE_HZ, model="huge")
    with pytest.raises(ae.ConfigError, match="has no use with engine='energy'"):
        ae.VoiceActivityDetector(RATE_HZ, model="small", engine="energy")


def test_the_limit_is_chosen_until_it_is_given() -> None:
    given = ae.EngineConfig().with_settings({"ns.attenuation_limit_db": "12"})
    auto = given.with_settings({"ns.attenuation_limit_db": "auto"})
    assert auto == ae.EngineConfig()
    assert 'attenuation_limit_db = "auto"' in auto.to_toml()
    assert ae.EngineConfig.from_toml('[ns]\nattenuation_limit_db = "auto"\n') == auto
    with pytest.raises(ae.ConfigError, match="use a number or auto"):
        auto.with_settings({"ns.attenuation_limit_db": "much"})


# --- sound --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", NETS)
def test_noise_goes_further_and_the_voice_stays(model: str) -> None:
    mic = noise(4.0, RATE_HZ, 0.01)
    plain = suppressed(mic, model="classical")
    assert level_db(suppressed(mic, model=model)[RATE_HZ:]) < level_db(plain[RATE_HZ:]) - 6.0
    deep = suppressed(mic, model=model, attenuation_limit_db=40.0)
    assert level_db(deep[RATE_HZ:]) < level_db(mic) - 40.0
    clean = 0.5 * speech("host", 6.0)
    kept = suppressed(clean + noise(6.0, RATE_HZ, 0.003), model=model)
    loud = np.abs(clean) > 0.02
    assert level_db(kept[loud]) == pytest.approx(level_db(clean[loud]), abs=1.5)


@pytest.mark.parametrize("model", NETS)
@pytest.mark.parametrize("limit_db", [3.0, 12.0, 24.0])
def test_a_given_limit_holds(model: str, limit_db: float) -> None:
    mic = noise(4.0, RATE_HZ, 0.01)
    out = suppressed(mic, model=model, attenuation_limit_db=limit_db, transients=False)
    taken_db = level_db(mic) - level_db(out[RATE_HZ:])
    assert taken_db < limit_db + 1.5  # never more than that
    assert taken_db > 0.75 * limit_db - 1.5  # a net need not be sure that all of it is noise


@pytest.mark.parametrize("model", NETS)
def test_nothing_is_taken_away_without_attenuation(model: str) -> None:
    mic = scene(2.0)
    out = suppressed(mic, model=model, attenuation_limit_db=0.0, dereverb=0.0)
    np.testing.assert_allclose(out, mic, atol=1e-5)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100, 48000])
def test_the_delay_is_20_ms_with_any_model(rate_hz: int) -> None:
    for model in NOISE_MODELS:
        with ae.NoiseSuppressor(rate_hz, model=model) as ns:
            assert ns.latency_frames == 2 * round(rate_hz / 100)
            assert np.isfinite(ns.process(noise(0.5, rate_hz))).all()


@pytest.mark.parametrize("model", NETS)
def test_any_blocking_gives_the_same_samples_and_reset_is_new(model: str) -> None:
    mic = scene(1.5)
    rng = np.random.default_rng(5)
    with ae.NoiseSuppressor(RATE_HZ, model=model) as ns:
        whole = ns.process(mic)
        for sizes in (np.full(2000, 17), np.full(60, 480), rng.integers(1, 999, 200)):
            ns.reset()
            cuts = np.cumsum(sizes)
            blocks = np.split(mic, cuts[cuts < len(mic)])
            assert np.array_equal(np.concatenate([ns.process(block) for block in blocks]), whole)
    with ae.NoiseSuppressor(RATE_HZ, model=model) as fresh:
        assert np.array_equal(fresh.process(mic), whole)


@pytest.mark.parametrize("model", NETS)
def test_process_allocates_nothing(model: str) -> None:
    with ae.NoiseSuppressor(RATE_HZ, 2, model=model) as ns:
        before = _native.allocation_count()
        ns.process(np.stack([scene(1.0), noise(1.0, RATE_HZ)], axis=1))
        assert _native.allocation_count() == before


@pytest.mark.parametrize("model", NETS)
def test_bad_weather_passes(model: str) -> None:
    mic = np.tile(scene(3.0), 2)
    full = np.where(np.arange(RATE_HZ) % 80 < 40, 1.0, -1.0)
    weather = [
        np.zeros(RATE_HZ),
        full,
        np.full(RATE_HZ, 0.9),
        np.full(RATE_HZ, np.nan),
        np.full(RATE_HZ // 2, np.inf),
        np.full(RATE_HZ, 1e-39),
    ]
    with ae.NoiseSuppressor(RATE_HZ, model=model) as ns:
        calm = ns.process(mic)
        for storm in weather:
            ns.reset()
            during = ns.process(storm.astype(np.float32))
            assert np.isfinite(during).all()
            assert np.max(np.abs(during)) < 2.0
            after = ns.process(mic)
            assert np.isfinite(after).all()
            rest = slice(3 * RATE_HZ, None)  # a second of full scale is heard so long
            assert level_db(after[rest]) == pytest.approx(level_db(calm[rest]), abs=1.0)


@pytest.mark.parametrize("model", NETS)
def test_linked_channels_keep_their_level_difference(model: str) -> None:
    left = scene(3.0)
    out = suppressed(np.stack([left, 0.25 * left], axis=1), model=model)
    np.testing.assert_allclose(out[:, 1], 0.25 * out[:, 0], atol=2e-6)


@pytest.mark.parametrize("model", NETS)
def test_unlinked_channels_are_those_of_mono_suppressors(model: str) -> None:
    mic = np.stack([scene(2.0), noise(2.0, RATE_HZ, 0.02, seed=9)], axis=1)
    both = suppressed(mic, model=model, link_channels=False)
    for c in range(2):
        assert np.array_equal(both[:, c], suppressed(mic[:, c], model=model))


def chords(seconds: float) -> Signal:
    """Three notes at a time, changed every half second."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    music = np.zeros(len(time))
    for beat in range(int(2 * seconds)):
        since = time - 0.5 * beat
        rings = (since >= 0.0) * np.exp(-np.clip(since, 0.0, None) / 0.7)
        for step in ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7))[beat % 4]:
            pitch_hz = 220.0 * 2 ** (step / 12)
            for harmonic in range(1, 6):
                music += rings * np.sin(2 * np.pi * harmonic * pitch_hz * since) / harmonic**1.5
    return (0.05 * music).astype(np.float32)


@pytest.mark.parametrize("model", NETS)
def test_the_music_guard_keeps_a_net_from_music(model: str) -> None:
    mic = chords(10.0)
    last = slice(6 * RATE_HZ, None)
    lost_db = {}
    for guard in (False, True):
        with ae.NoiseSuppressor(RATE_HZ, model=model, music_guard=guard) as ns:
            lost_db[guard] = level_db(mic[last]) - level_db(ae.process_whole(ns, mic)[last])
    assert lost_db[False] > 6.0, "without it the net takes music for noise"
    assert lost_db[True] < 1.0
    with ae.NoiseSuppressor(RATE_HZ, model=model, music_guard=True) as ns:
        ns.process(mic)
        assert ns.stats().music
        assert ns.stats().net_share < 0.05
        ns.process(noise(14.0, RATE_HZ, 0.01))
        assert (ns.stats().music, ns.stats().model) == (False, model)
        assert ns.stats().net_share > 0.95


@pytest.mark.parametrize("model", NETS)
def test_a_net_works_behind_the_echo_filter(model: str) -> None:
    far = voice(6.0, RATE_HZ, pitch_hz=190.0, seed=5)
    config = ae.EngineConfig(sample_rate_hz=RATE_HZ).with_settings(
        NS_ALONE | {"echo.enabled": "true", "ns.model": model}
    )
    mic = echo_of(far, RATE_HZ) + noise(6.0, RATE_HZ, 0.002)
    out = ae.enhance(mic, sample_rate_hz=RATE_HZ, far_end=far, config=config)
    assert level_db(out[3 * RATE_HZ :]) < level_db(mic[3 * RATE_HZ :]) - 30.0


@pytest.mark.parametrize("model", NETS)
def test_the_voice_output_tells_speech_from_noise(model: str) -> None:
    quiet, talk = noise(4.0, RATE_HZ, 0.003), 0.5 * speech("host", 4.0)
    with ae.VoiceActivityDetector(RATE_HZ, model=model) as detector:
        in_noise = detector.process(quiet)
        in_speech = detector.process(talk + quiet)
        assert f"model='{model}'" in repr(detector)
    assert np.mean(in_noise[100:]) < 0.3
    loud = np.abs(talk[: len(talk) // 160 * 160]).reshape(-1, 160).max(axis=1) > 0.05
    assert np.mean(in_speech[loud]) > 0.7


@pytest.mark.parametrize("model", NETS)
def test_the_benchmarks_call_what_the_user_calls(model: str) -> None:
    mic, far = scene(1.0), noise(1.0, RATE_HZ, 0.05)
    cleaned = getattr(adapters, f"ns_{model}")(mic, RATE_HZ)
    assert np.array_equal(cleaned, suppressed(mic, model=model))
    probabilities, hop_s = getattr(adapters, f"vad_{model}")(mic, RATE_HZ)
    assert (len(probabilities), hop_s) == (100, 0.01)
    pcm = [np.round(32767 * each).astype(np.int16) for each in (mic, far)]
    without_echo = getattr(adapters, f"aec_{model}")(*pcm, RATE_HZ)
    assert without_echo.shape == mic.shape
    assert not np.array_equal(without_echo, adapters.aec(pcm[0], pcm[1], RATE_HZ))
    assert (adapters.ns_learned, adapters.vad_learned) == (adapters.ns_large, adapters.vad_large)


# --- tiers --------------------------------------------------------------------------------------


def shed(engine: ae.Engine, level: int) -> None:
    _native.lib.ae_graph_set_shed(engine._plan.graph, level)


def heard(engine: ae.Engine) -> str:
    found = engine.stats().noise
    assert found is not None
    return found.model


def test_under_load_large_small_classical_and_back() -> None:
    second = noise(1.0, RATE_HZ, 0.01)
    with ae.Engine(alone("large")) as engine, ae.Engine(alone("small")) as small:
        for level, model in (
            (0, "large"),
            (1, "small"),
            (2, "classical"),
            (1, "small"),
            (0, "large"),
        ):
            shed(engine, level)
            shed(small, level)
            out = engine.process(second)
            small.process(second)
            assert heard(engine) == model
            assert heard(small) == min(model, "small", key=NOISE_MODELS.index)
            if model == "classical":  # the limit is then that of the classical tier
                assert level_db(out[-4000:]) == pytest.approx(level_db(second) - 20.0, abs=1.0)
        engine.set("ns.enabled", 0)
        engine.process(second)
        assert heard(engine) == "classical"
        engine.set("ns.enabled", 1)
        engine.process(second)
        assert heard(engine) == "large"


def test_tiers_change_without_a_click() -> None:
    """A gliding voice-like tone: no step between samples that it has not itself; nets fade."""
    time = np.arange(8 * RATE_HZ) / RATE_HZ
    turns = 150.0 * time - 8.0 * np.cos(2 * np.pi * time)
    tone = sum(np.sin(2 * np.pi * h * turns + h) / h for h in range(1, 7))
    mic = (0.2 * tone * np.clip(np.sin(2 * np.pi * 5.0 * time), 0.0, None)).astype(np.float32)
    with ae.Engine(alone("large")) as engine:
        out, shares = [], [1.0]
        for n, block in enumerate(np.split(mic, 800)):
            shed(engine, (0, 1, 2, 1, 0, 2)[n // 50 % 6])
            out.append(engine.process(block))
            found = engine.stats().noise
            assert found is not None
            shares.append(found.net_share)
    assert 0.09 < np.max(np.abs(np.diff(shares))) < 0.201
    assert np.max(np.abs(np.diff(np.concatenate(out)))) < 1.02 * np.max(np.abs(np.diff(mic)))


def test_a_new_limit_reaches_the_net_at_once() -> None:
    second = noise(2.0, RATE_HZ, 0.01)
    with ae.Engine(alone("small")) as engine:
        engine.process(second)
        engine.set("ns.attenuation_limit_db", 12.0)
        out = engine.process(second)
        assert level_db(out[RATE_HZ:]) == pytest.approx(level_db(second) - 12.0, abs=1.5)
        shed(engine, SHED_NETS)
        out = engine.process(second)
        assert level_db(out[RATE_HZ:]) == pytest.approx(level_db(second) - 12.0, abs=1.5)


# --- live ---------------------------------------------------------------------------------------


def test_a_live_engine_has_its_weights_in_its_own_memory() -> None:
    """Its audio host reads them there; a change from no net to the large one finds room."""
    graph = engine_graph(alone("classical"), switchable=True)
    parts = LiveParts(graph)
    try:
        begin, end = parts.block.address, parts.block.address + parts.block.size_bytes
        used = parts.block.used_bytes()
        parts.swap(engine_graph(alone("large"), switchable=True))
        kernel = parts.compiled.plan.steps[parts.compiled.step_of["ns"]].kernels[0]
        for name in NETS:
            model = kernel.fields[f"{name}_model"]
            assert isinstance(model, _native.NetModel)
            assert begin <= int(_native.ffi.cast("uintptr_t", model.handle)) < end
            assert model is not _native.net_model(name)
        sizes = [(net_models.FOLDER / f"{name}.aenet").stat().st_size for name in NETS]
        assert parts.block.used_bytes() > used + sum(sizes)
    finally:
        parts.close()


def test_two_blocks_have_models_of_their_own() -> None:
    blocks = [SharedBlock(1 << 23) for _ in range(2)]
    made = []
    for block in blocks:
        with block.allocating():
            made.append(_native.net_model("small"))
            assert _native.net_model("small") is made[-1]
    assert made[0] is not made[1]
    assert _native.net_model("small") not in made
    before = allocated_bytes()
    for block in blocks:
        block.close()
    assert allocated_bytes() == before


def test_a_stream_says_which_model_is_heard(tmp_path: Path) -> None:
    from waiting import wait_until

    soundfile.write(tmp_path / "mic.wav", scene(4.0), RATE_HZ)

    def is_heard(stream: ae.SimulatedStream, model: str) -> bool:
        stats = stream.stats()
        if stats.load.shed_level:  # a busy machine: the test of the levels is another one
            return True
        return stats.engine.noise is not None and stats.engine.noise.model == model

    def is_swapped(stream: ae.SimulatedStream, config: ae.EngineConfig) -> bool:
        try:
            stream.swap(config)
        except ae.StreamError:  # the one before takes 80 ms
            return False
        return True

    config = ae.EngineConfig(sample_rate_hz=RATE_HZ)
    with ae.SimulatedStream(config, tmp_path / "mic.wav", loop=True) as stream:
        wait_until(partial(is_heard, stream, "classical"), 10.0)
        for name in ("large", "small", "classical"):
            wait_until(partial(is_swapped, stream, config.with_settings({"ns.model": name})), 10.0)
            wait_until(partial(is_heard, stream, name), 10.0)
            assert stream.config.ns.model == name


def test_an_echo_canceller_needs_no_file(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    far = noise(1.0, RATE_HZ, 0.1)
    with ae.EchoCanceller(RATE_HZ) as aec:
        assert np.isfinite(aec.process(0.5 * far, far)).all()

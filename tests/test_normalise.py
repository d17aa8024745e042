"""`io.normalise`, `io.scratch` and `process --loudness`: the target is met, the ceiling holds."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from typer.testing import CliRunner

import audio_engine as ae
from audio_engine.cli.main import app
from audio_engine.cli.process import Stage, only_stage
from audio_engine.config import LimiterConfig
from audio_engine.errors import ConfigError, FormatError, OutputFileError
from audio_engine.io.normalise import MAX_LIMITED_LU, Normaliser, normalise_loudness
from audio_engine.io.offline import process_file
from audio_engine.io.scratch import ScratchFile
from signals import Signal, noise, speech, voice

RATE_HZ = 16000
COHOST = ae.EngineConfig.preset("cohost")
ERROR_LU = 0.02


def drums(seconds: float, rate_hz: int) -> Signal:
    """Music-like: two notes and a hit twice a second, with peaks 25 dB over its loudness."""
    rng = np.random.default_rng(7)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    notes = 0.05 * np.sin(2 * np.pi * 220 * time_s) + 0.03 * np.sin(2 * np.pi * 330 * time_s)
    hits = rng.standard_normal(len(time_s)) * np.exp(-(time_s % 0.5) / 0.02)
    return (notes + 0.3 * hits).astype(np.float32)


def surround(seconds: float, rate_hz: int) -> Signal:
    """5.1: a voice in the middle, noise around it, a low tone in the LFE channel."""
    sides = [noise(seconds, rate_hz, 0.01, seed=seed) for seed in range(4)]
    low = 0.2 * np.sin(2 * np.pi * 50 * np.arange(round(seconds * rate_hz)) / rate_hz)
    channels: list[NDArray[Any]] = [
        sides[0],
        sides[1],
        voice(seconds, rate_hz),
        low,
        sides[2],
        sides[3],
    ]
    return np.stack(channels, axis=1).astype(np.float32)


def quiet_with_noise(seconds: float, rate_hz: int) -> Signal:
    """A far voice whose pauses lie below the gate of -70 LUFS, until they are turned up."""
    return 0.01 * voice(seconds, rate_hz) + noise(seconds, rate_hz, 1e-4)


Make = Callable[[float, int], Signal]
PROGRAMMES: list[tuple[Make, int]] = [
    (voice, 48000),
    (voice, 8000),
    (voice, 96000),
    (drums, 44100),
    (surround, 48000),
    (quiet_with_noise, RATE_HZ),
    (lambda seconds, _: speech("guest", seconds), RATE_HZ),
    (lambda seconds, _: np.stack([speech("host", seconds)] * 2, axis=1), RATE_HZ),
]


def check(audio: NDArray[Any], rate_hz: int, target_lufs: float, ceiling_dbtp: float) -> None:
    found = ae.measure_loudness(audio, rate_hz)
    assert found.integrated_lufs == pytest.approx(target_lufs, abs=ERROR_LU)
    assert found.true_peak_dbtp <= ceiling_dbtp


# --- arrays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target_lufs", [-36.0, -23.0, -18.0])
@pytest.mark.parametrize(("make", "rate_hz"), PROGRAMMES)
def test_the_target_is_met_and_the_ceiling_holds(
    make: Make, rate_hz: int, target_lufs: float
) -> None:
    audio = make(8.0, rate_hz)
    before = audio.copy()
    out = normalise_loudness(audio, rate_hz, target_lufs)
    check(out, rate_hz, target_lufs, -1.0)
    assert out.shape == audio.shape
    assert out.dtype == np.float32
    np.testing.assert_array_equal(audio, before)


def test_the_target_is_met_where_the_limiter_works_hard() -> None:
    audio = speech("host", 20.0)
    before = ae.measure_loudness(audio, RATE_HZ)
    assert before.true_peak_dbtp - before.integrated_lufs > 18.0  # by gain alone: +1 dBTP
    check(normalise_loudness(audio, RATE_HZ, -17.0, -2.0), RATE_HZ, -17.0, -2.0)


def test_below_the_ceiling_it_is_one_gain_and_nothing_else() -> None:
    audio = speech("guest", 6.0)
    out = normalise_loudness(audio, RATE_HZ, -30.0)
    gain = np.dot(out, audio) / np.dot(audio, audio)
    np.testing.assert_allclose(out, gain * audio, atol=1e-6)


def test_sixteen_bits_go_in() -> None:
    audio = (20000.0 * voice(5.0, RATE_HZ)).astype(np.int16)
    before = audio.copy()
    check(normalise_loudness(audio, RATE_HZ, -23.0), RATE_HZ, -23.0, -1.0)
    np.testing.assert_array_equal(audio, before)


def test_broken_samples_are_silence() -> None:
    audio = voice(5.0, RATE_HZ)
    audio[1000:1003] = [np.nan, np.inf, -np.inf]
    out = normalise_loudness(audio, RATE_HZ, -23.0)
    assert np.isfinite(out).all()
    check(out, RATE_HZ, -23.0, -1.0)


@pytest.mark.parametrize("frames", [0, 1, 6399])
def test_what_is_too_short_keeps_its_level(frames: int) -> None:
    audio = 0.1 * voice(1.0, RATE_HZ)[2000:][:frames]
    with pytest.warns(UserWarning, match=r"too short to have a loudness, 0\.4 s are needed"):
        out = normalise_loudness(audio, RATE_HZ, -16.0)
    np.testing.assert_array_equal(out, audio)


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence_stays_silent(level: float) -> None:
    audio = noise(2.0, RATE_HZ, level)
    with pytest.warns(UserWarning, match="nothing in it is above -70 LUFS"):
        out = normalise_loudness(audio, RATE_HZ, -16.0)
    np.testing.assert_array_equal(out, audio)


@pytest.mark.parametrize("make", [voice, drums])
def test_the_limiter_is_not_driven_beyond_its_bound(make: Make) -> None:
    audio = make(8.0, 48000)
    with pytest.warns(UserWarning, match="more than the 6 LU that are allowed") as warned:
        out = normalise_loudness(audio, 48000, -9.0)
    found = ae.measure_loudness(out, 48000)
    assert found.true_peak_dbtp <= -1.0
    assert -20.0 < found.integrated_lufs < -10.0
    assert f"the result has {found.integrated_lufs:.1f} LUFS" in str(warned[0].message)
    (advice,) = [word for word in str(warned[0].message).split() if word.startswith("-")][-1:]
    check(normalise_loudness(audio, 48000, float(advice)), 48000, float(advice), -1.0)


def test_a_lone_click_does_not_keep_a_voice_quiet() -> None:
    audio = 0.05 * voice(10.0, 48000)
    audio[5000] = 0.9
    out = normalise_loudness(audio, 48000, -20.0)
    check(out, 48000, -20.0, -1.0)


def test_clicks_in_silence_come_to_an_end() -> None:
    audio = np.zeros(5 * 48000, np.float32)
    audio[::48000] = 1.0
    with pytest.warns(UserWarning, match="6 LU"):
        out = normalise_loudness(audio, 48000, -16.0)
    assert ae.measure_loudness(out, 48000).true_peak_dbtp <= -1.0


@pytest.mark.parametrize("target_lufs", [-36.5, -8.9, 16.0, math.nan, math.inf])
def test_a_target_out_of_range_is_refused(target_lufs: float) -> None:
    with pytest.raises(ConfigError, match=r"is outside -36 \.\. -9 LUFS"):
        normalise_loudness(voice(1.0, RATE_HZ), RATE_HZ, target_lufs)


def test_other_values_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="ceiling_dbtp"):
        normalise_loudness(voice(1.0, RATE_HZ), RATE_HZ, -16.0, 1.0)
    with pytest.raises(ConfigError, match="sample_rate_hz"):
        normalise_loudness(voice(1.0, RATE_HZ), 4000, -16.0)
    with pytest.raises(ConfigError, match="channels"):
        normalise_loudness(np.zeros((100, 9), np.float32), RATE_HZ, -16.0)
    with pytest.raises(FormatError):
        normalise_loudness(np.zeros((2, 2, 2), np.float32), RATE_HZ, -16.0)


def test_blocking_does_not_change_the_result(tmp_path: Path) -> None:
    audio = voice(4.0, RATE_HZ).reshape(-1, 1)
    whole = normalise_loudness(audio, RATE_HZ, -16.0)
    for block in (160, 7777):
        pieces: list[NDArray[np.float32]] = []
        normaliser = Normaliser(
            RATE_HZ, 1, target_lufs=-16.0, limiter=LimiterConfig(), beside=tmp_path / "out.wav"
        )
        with normaliser:
            for start in range(0, len(audio), block):
                normaliser.write(audio[start : start + block])
            normaliser.finish(pieces.append)
        np.testing.assert_array_equal(np.concatenate(pieces), whole)


# --- files ---------------------------------------------------------------------------------------


def save(path: Path, audio: NDArray[Any], rate_hz: int = RATE_HZ, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, audio, rate_hz, subtype)
    return path


def load(path: Path) -> tuple[NDArray[np.float32], int]:
    audio, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return audio, rate_hz


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize(
    ("make", "rate_hz", "target_lufs"),
    [(voice, 16000, -16.0), (drums, 44100, -24.0), (surround, 48000, -18.0)],
)
def test_a_file_meets_the_target(
    tmp_path: Path, make: Make, rate_hz: int, target_lufs: float, subtype: str
) -> None:
    source = save(tmp_path / "in.wav", make(6.0, rate_hz), rate_hz, subtype)
    before = source.read_bytes()
    out = tmp_path / "out.wav"
    report = process_file(source, out, config=COHOST, loudness_lufs=target_lufs)
    check(*load(out), target_lufs, -1.0)
    assert report.warnings == ()
    assert report.clipped_output_count == 0
    assert report.loudness_target_lufs == target_lufs
    assert report.loudness_gain_db is not None
    assert report.loudness_after.integrated_lufs == pytest.approx(target_lufs, abs=ERROR_LU)
    assert report.loudness_after.true_peak_dbtp <= -1.0
    assert soundfile.info(out).subtype == subtype
    assert soundfile.info(out).frames == report.frames == soundfile.info(source).frames
    assert source.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav", "out.wav"]


def test_without_stages_it_is_the_function_for_arrays(tmp_path: Path) -> None:
    audio = np.stack([voice(5.0, 48000), drums(5.0, 48000)], axis=1)
    source = save(tmp_path / "in.wav", audio, 48000, "FLOAT")
    options = ["--only", "limiter", "--loudness", "-20", "--set", "limiter.ceiling_dbtp=-3"]
    target = str(tmp_path / "out.wav")
    run = CliRunner().invoke(app, ["process", str(source), "-o", target, *options])
    assert run.exit_code == 0, run.output
    expected = normalise_loudness(audio, 48000, -20.0, -3.0)
    np.testing.assert_array_equal(load(tmp_path / "out.wav")[0], expected)


def test_the_chain_is_what_it_is_without_a_target(tmp_path: Path) -> None:
    """Below the ceiling the two passes differ from the one by a gain, with every stage on."""
    source = save(tmp_path / "in.wav", voice(6.0, RATE_HZ) + noise(6.0, RATE_HZ), subtype="FLOAT")
    config = replace(COHOST, agc=replace(COHOST.agc, target_lufs=-36.0))
    once = process_file(source, tmp_path / "once.wav", config=config)
    twice = process_file(source, tmp_path / "twice.wav", config=config, loudness_lufs=-30.0)
    assert once.loudness_target_lufs is None
    assert once.loudness_gain_db is None
    assert twice.gain_db == once.gain_db
    assert twice.loudness_gain_db is not None
    assert twice.limiter_max_reduction_db == 0.0
    one, two = (load(tmp_path / name)[0] for name in ("once.wav", "twice.wav"))
    np.testing.assert_allclose(two, one * 10 ** (twice.loudness_gain_db / 20), atol=1e-6)


def test_at_the_bound_the_limiter_takes_what_it_may(tmp_path: Path) -> None:
    source = save(tmp_path / "in.wav", drums(6.0, RATE_HZ))
    config = only_stage(COHOST, Stage.LIMITER)
    report = process_file(source, tmp_path / "out.wav", config=config, loudness_lufs=-9.0)
    assert report.loudness_gain_db is not None
    unlimited_lufs = report.loudness_before.integrated_lufs + report.loudness_gain_db
    limited_lu = unlimited_lufs - report.loudness_after.integrated_lufs
    assert limited_lu == pytest.approx(MAX_LIMITED_LU, abs=0.05)


def test_what_cannot_be_reached_is_a_warning(tmp_path: Path) -> None:
    config = replace(COHOST, agc=ae.AgcConfig(enabled=False), ns=ae.NoiseConfig(enabled=False))
    cases = {
        "silence": (np.zeros(RATE_HZ), "nothing in it is above -70 LUFS"),
        "empty": (np.zeros(0), "0.00 s are too short"),
        "short": (0.1 * voice(0.3, RATE_HZ), "0.30 s are too short"),
        "peaky": (drums(5.0, RATE_HZ), "more than the 6 LU that are allowed"),
    }
    for name, (audio, words) in cases.items():
        source, out = save(tmp_path / f"{name}.wav", audio), tmp_path / f"{name}-out.wav"
        report = process_file(source, out, config=config, loudness_lufs=-9.0)
        (warning,) = report.warnings
        assert warning.startswith(f"{out}: ")
        assert words in warning
        assert "\n" not in warning
        assert report.loudness_after.true_peak_dbtp <= -1.0
        assert len(load(out)[0]) == len(audio)


def test_progress_counts_every_pass(tmp_path: Path) -> None:
    source = save(tmp_path / "in.wav", voice(3.0, RATE_HZ))
    seen: list[tuple[int, int]] = []
    process_file(
        source,
        tmp_path / "out.wav",
        config=COHOST,
        loudness_lufs=-16.0,
        progress=lambda *now: seen.append(now),
    )
    done = [now for now, _ in seen]
    assert done == sorted(done)
    assert all(now <= expected for now, expected in seen)
    assert seen[-1][0] == seen[-1][1]
    assert seen[-1][0] >= 3 * 3 * RATE_HZ


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("stage", ["process", "flush"])
def test_whatever_goes_wrong_nothing_is_left(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    stage: str,
) -> None:
    source = save(tmp_path / "in.wav", voice(2.0, RATE_HZ))

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(ae.TruePeakLimiter, stage, fail)  # the second pass
    with pytest.raises(error):
        process_file(source, tmp_path / "out.wav", config=COHOST, loudness_lufs=-16.0)
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_a_target_out_of_range_is_found_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LUFS"):
        process_file(tmp_path / "no.wav", tmp_path / "o.wav", config=COHOST, loudness_lufs=-5.0)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
import numpy as np, soundfile
from audio_engine import EngineConfig
from audio_engine.io.offline import process_file
from audio_engine.cli.process import Stage, only_stage
folder = Path(sys.argv[1])
config = only_stage(EngineConfig(), Stage.LIMITER)
minute = np.random.default_rng(1).normal(0.0, 3000.0, (480000, 2)).astype(np.int16)
for minutes in (1, 10):
    with soundfile.SoundFile(folder / "in.wav", "w", 8000, 2, "PCM_16") as file:
        for _ in range(minutes):
            file.write(minute)
    report = process_file(folder / "in.wav", folder / "o.wav", config=config, loudness_lufs=-14.0)
    assert abs(report.loudness_after.integrated_lufs + 14.0) < 0.02
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    short, long = (int(line) for line in done.stdout.split())
    assert long - short < 8 * 1024  # KiB; the programme kept on disk has 38 MB


# --- the command ---------------------------------------------------------------------------------


def test_the_table_and_the_json_say_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(Path("in.wav"), voice(3.0, RATE_HZ))
    command = ["process", "in.wav", "-o", "out.wav"]
    table = CliRunner().invoke(app, [*command, "--loudness", "-20"])
    assert table.exit_code == 0
    assert table.stderr == ""
    head, row = table.stdout.splitlines()
    assert "target" in head.split()
    assert row.split()[3:5] == ["-20.0", "-20.0"]
    without = CliRunner().invoke(app, command)
    assert "target" not in without.stdout
    (found,) = json.loads(without_words([*command, "--loudness", "-20", "--json"]))["files"]
    assert found["loudness_target_lufs"] == -20.0
    assert row.split()[5] == f"{found['loudness_gain_db']:.1f}"
    assert found["loudness_after"]["integrated_lufs"] == pytest.approx(-20.0, abs=ERROR_LU)
    (found,) = json.loads(without_words([*command, "--json"]))["files"]
    assert found["loudness_target_lufs"] is None


def without_words(command: list[str]) -> str:
    result = CliRunner().invoke(app, command)
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize(
    ("value", "complaint"), [("-36.1", "outside -36 .. -9 LUFS"), ("0", "outside -36 .. -9 LUFS")]
)
def test_a_wrong_target_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save(Path("in.wav"), voice(1.0, RATE_HZ))
    result = CliRunner().invoke(app, ["process", "in.wav", "-o", "new/", "--loudness", value])
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_a_target_not_met_is_one_line_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(Path("in.wav"), np.zeros(RATE_HZ))
    result = CliRunner().invoke(app, ["process", "in.wav", "-o", "out.wav", "--loudness", "-16"])
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith("warning: out.wav: nothing in it is above -70 LUFS")


# --- the scratch file ----------------------------------------------------------------------------


def test_a_scratch_file_gives_back_what_it_was_given(tmp_path: Path) -> None:
    audio = np.random.default_rng(1).standard_normal((1000, 3)).astype(np.float32)
    with ScratchFile(tmp_path / "out.wav", 3) as scratch:
        for block in (audio[:1], audio[1:1], audio[1:700:1], audio[700:]):
            scratch.write(block)
        for frames in (1, 333, 5000):
            np.testing.assert_array_equal(np.concatenate(list(scratch.blocks(frames))), audio)
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    with ScratchFile(tmp_path / "out.wav", 1) as scratch:
        scratch._file.close()
        scratch._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115 - closed by scratch
        with pytest.raises(OutputFileError, match=r"out\.wav: no scratch file .*No space left"):
            scratch.write(np.ones((10, 1), np.float32))


def test_a_folder_that_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputFileError, match="No such file"):
        ScratchFile(tmp_path / "missing" / "out.wav", 1)

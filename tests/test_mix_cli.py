"""``audio-engine mix``: options, tables, JSON, exit codes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

import audio_engine as ae
from audio_engine.cli.main import app
from audio_engine.cli.mix import EPILOG, Role
from audio_engine.config import ROLES
from signals import speech, voice

RATE_HZ = 16000


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a new folder that holds anna.wav, ben.wav, song.wav and bad.wav."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    soundfile.write("anna.wav", speech("host", 3.0), RATE_HZ)
    soundfile.write("ben.wav", voice(2.0, RATE_HZ, seed=3), RATE_HZ)
    soundfile.write("song.wav", 0.1 * np.sin(np.arange(3 * RATE_HZ) * 0.1), RATE_HZ)
    Path("bad.wav").write_text("no audio at all")
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["mix", *arguments])
    assert "Traceback" not in result.output
    return result


def files() -> set[str]:
    given = {"anna.wav", "ben.wav", "song.wav", "bad.wav"}
    return {str(path) for path in Path().rglob("*") if path.is_file()} - given


def test_the_roles_are_those_of_the_room() -> None:
    assert tuple(role.value for role in Role) == ROLES


def test_it_prints_two_tables() -> None:
    result = run("anna.wav", "ben.wav", "song.wav", "-o", "mix.wav", "--role", "host")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["input", "role", "s", "LUFS", "in", "gain", "dB", "open"]
    assert [line[:3] for line in lines[1:4]] == [
        ["anna.wav", "host", "3.0"],
        ["ben.wav", "guest", "2.0"],
        ["song.wav", "guest", "3.0"],
    ]
    assert lines[5] == ["mix", "s", "LUFS", "max", "S", "dBTP", "speed"]
    assert lines[6][:2] == ["mix.wav", "3.0"]
    assert files() == {"mix.wav"}


def test_options_reach_the_room() -> None:
    options = ["--role", "host", "--role", "guest", "--role", "music", "--minus-dir", "minus"]
    options += ["--rate", "24000", "--ceiling-dbtp", "-9", "--loudness", "-30"]
    options += ["--target-lufs", "-24", "--programme-lufs", "-24", "--music-below-lu", "20"]
    result = run("anna.wav", "ben.wav", "song.wav", "-o", "mix.wav", *options, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    assert [each["role"] for each in found["participants"]] == ["host", "guest", "music"]
    assert found["sample_rate_hz"] == soundfile.info("mix.wav").samplerate == 24000
    assert found["loudness_target_lufs"] == -30.0
    assert found["loudness"]["integrated_lufs"] == pytest.approx(-30.0, abs=0.02)
    assert found["loudness"]["true_peak_dbtp"] <= -9.0
    assert files() == {
        "mix.wav",
        "minus/anna-minus.wav",
        "minus/ben-minus.wav",
        "minus/song-minus.wav",
    }
    peaks = [np.abs(soundfile.read(name)[0]).max() for name in files()]
    assert max(peaks) <= 10 ** (-9 / 20)


def test_the_loudness_target_is_in_the_table() -> None:
    result = run("anna.wav", "ben.wav", "-o", "mix.wav", "--loudness", "-24")
    head, row = result.stdout.splitlines()[-2:]
    assert head.split()[:6] == ["mix", "s", "LUFS", "target", "gain", "dB"]
    assert row.split()[:4] == ["mix.wav", "3.0", "-24.0", "-24.0"]


def test_levelling_and_ducking_are_optional() -> None:
    gains = {}
    for level in ([], ["--no-level"]):
        result = run("anna.wav", "ben.wav", "-o", "mix.wav", "--json", *level)
        gains[len(level)] = json.loads(result.stdout)["participants"][0]["gain_db"]
    assert gains[0] > 3.0
    assert gains[1] == 0.0
    levels = []
    for duck_db in ("0", "20"):
        options = ["--role", "host", "--role", "music", "--duck-db", duck_db]
        run("anna.wav", "song.wav", "-o", "mix.wav", *options)
        levels.append(ae.measure_loudness(*soundfile.read("mix.wav")).integrated_lufs)
    assert levels[0] > levels[1]


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["anna.wav", "bad.wav", "-o", "mix.wav"], 3, "bad.wav: no audio was recognised"),
        (["anna.wav", "no.wav", "-o", "mix.wav"], 3, "no.wav: No such file"),
        (["anna.wav", "ben.wav", "-o", "ben.wav"], 2, "never overwritten"),
        (["anna.wav", "./anna.wav", "-o", "mix.wav"], 2, "given twice"),
        (["anna.wav", "-o", "missing/mix.wav"], 1, "cannot be written"),
        (["anna.wav", "-o", "mix.wav", "--minus-dir", "bad.wav"], 2, "this is a file"),
        (["anna.wav", "-o", "mix.wav", "--role", "host", "--role", "host"], 2, "too many"),
        (["anna.wav", "-o", "mix.wav", "--role", "singer"], 2, "'singer' is not one of"),
        (["anna.wav", "-o", "mix.wav", "--rate", "4000"], 2, "outside 8000 .. 96000 Hz"),
        (["anna.wav", "-o", "mix.wav", "--target-lufs", "3"], 2, "outside -36 .. -9 LUFS"),
        (["anna.wav", "-o", "mix.wav", "--loudness", "-40"], 2, "outside -36 .. -9 LUFS"),
        (["anna.wav"], 2, "'--output'"),
        (["-o", "mix.wav"], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[str], code: int, complaint: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert complaint in result.stderr.splitlines()[-1]
    assert result.stdout == ""
    assert files() == set()


def test_warnings_quiet_and_details() -> None:
    Path("cut.wav").write_bytes(Path("anna.wav").read_bytes()[:20001])
    command = ["cut.wav", "ben.wav", "-o", "mix.wav"]
    assert run(*command).stderr.startswith("warning: cut.wav: the file is cut off")
    assert run(*command, "-q").stderr == ""
    assert "latency of" in run(*command, "-v").stderr


def test_the_examples_run_as_they_are_typed() -> None:
    Path("demo-output").mkdir()
    for name in ("clean_near", "far", "out"):
        soundfile.write(f"demo-output/{name}.wav", voice(1.0, RATE_HZ), RATE_HZ)
    lines = [line.split()[1:] for line in EPILOG.splitlines() if "audio-engine mix" in line]
    assert len(lines) == 3
    for line in lines:
        result = CliRunner().invoke(app, shlex.split(" ".join(line)))
        assert result.exit_code == 0, result.stderr

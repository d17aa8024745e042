"""The command line: what goes where, and how it ends."""

from __future__ import annotations

import csv
import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from audio_engine.cli.common import Talk
from audio_engine.cli.main import app
from signals import noise, voice
from waiting import descriptors, wait_until

RATE_HZ = 16000
COMMANDS = ["process", "measure", "check", "mix", "presets", "demo", "monitor", "devices"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a new folder that holds mic.wav, far.wav and bad.wav."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    soundfile.write("mic.wav", voice(1.0, RATE_HZ) + noise(1.0, RATE_HZ), RATE_HZ)
    soundfile.write("far.wav", voice(1.0, RATE_HZ, seed=3), RATE_HZ)
    Path("bad.wav").write_text("no audio at all")
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, arguments)
    assert "Traceback" not in result.output
    return result


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file()} - {
        "mic.wav",
        "far.wav",
        "bad.wav",
    }


# --- process -------------------------------------------------------------------------------------


def test_process_writes_the_output_and_tells_on_stdout() -> None:
    result = run("process", "mic.wav", "-o", "out.wav")
    assert result.exit_code == 0
    assert "out.wav" in result.stdout
    assert "LUFS" in result.stdout
    assert result.stderr == ""
    assert files() == {"out.wav"}
    assert soundfile.info("out.wav").frames == RATE_HZ


def test_process_json_is_one_document() -> None:
    result = run("process", "mic.wav", "--far", "far.wav", "-o", "out.wav", "--json")
    (found,) = json.loads(result.stdout)["files"]
    assert found["status"] == "done"
    assert found["frames"] == RATE_HZ
    assert found["erle_db"] is not None
    assert found["loudness_after"]["true_peak_dbtp"] <= -0.9


def test_json_has_no_infinities() -> None:
    soundfile.write("silence.wav", np.zeros(RATE_HZ), RATE_HZ)
    result = run("process", "silence.wav", "-o", "out.wav", "--json")
    found = json.loads(result.stdout, parse_constant=pytest.fail)["files"][0]
    assert found["loudness_before"]["integrated_lufs"] is None


def test_many_inputs_go_into_a_folder_and_a_bad_one_stops_nothing() -> None:
    result = run("process", "mic.wav", "bad.wav", "far.wav", "-o", "new/out", "--json")
    assert result.exit_code == 1
    manifest = "new/out/audio-engine-manifest.jsonl"
    assert files() == {"new/out/mic.wav", "new/out/far.wav", manifest}
    statuses = {item["input"]: item["status"] for item in json.loads(result.stdout)["files"]}
    assert statuses == {"mic.wav": "done", "far.wav": "done", "bad.wav": "failed"}
    assert result.stderr.splitlines()[0].startswith("error: bad.wav: ")


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["bad.wav", "-o", "out.wav"], 3, "bad.wav: no audio was recognised"),
        (["missing.wav", "-o", "out.wav"], 3, "missing.wav: No such file"),
        (["mic.wav", "-o", "mic.wav"], 2, "never overwritten"),
        (["mic.wav", "-o", "."], 2, "never overwritten"),
        (["mic.wav", "-o", "out.xyz"], 2, ".xyz are not written"),
        (["mic.wav", "-o", "missing/out.wav"], 1, "there is no folder missing"),
        (["mic.wav", "-o", "out.wav", "--lang", "zh"], 2, "add --report FILE"),
        (["mic.wav", "-o", "out.wav", "--report", "missing/x.html"], 1, "no folder missing"),
        (["mic.wav", "far.wav", "-o", "bad.wav"], 2, "a folder is needed for 2 inputs"),
        (["mic.wav", "-o", "out.wav", "--preset", "cohosts"], 2, "'cohosts' does not exist"),
        (["mic.wav", "-o", "out.wav", "--set", "ns.atenuation_limit_db=1"], 2, "did you mean"),
        (["mic.wav", "-o", "out.wav", "--set", "agc.target_lufs=3"], 2, "outside -36 .. -9 LUFS"),
        (["mic.wav", "-o", "out.wav", "--set", "agc.target_lufs"], 2, "NAME=VALUE"),
        (["mic.wav", "-o", "out.wav", "--only", "aec"], 2, "needs --far"),
        (["mic.wav", "-o", "out.wav", "--only", "ns", "--far", "far.wav"], 2, "no use"),
        (["mic.wav", "-o", "out.wav", "--far", "bad.wav"], 3, "bad.wav: no audio"),
        (["mic.wav"], 2, "'--output'"),
        (["-o", "out.wav"], 2, "Missing argument"),
        (["mic.wav", "-o", "out.wav", "--only", "all"], 2, "'all' is not one of"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[str], code: int, complaint: str
) -> None:
    result = run("process", *arguments)
    assert result.exit_code == code
    assert complaint in result.stderr.splitlines()[-1]
    assert result.stdout == ""
    assert files() == set()


def test_a_slash_at_the_end_makes_a_folder() -> None:
    assert run("process", "mic.wav", "-o", "new/").exit_code == 0
    assert run("process", "far.wav", "-o", "new").exit_code == 0
    assert files() == {"new/mic.wav", "new/far.wav"}


def test_set_and_only_reach_the_engine() -> None:
    ceilings = {}
    for ceiling_dbtp in ("-1", "-20"):
        setting = f"limiter.ceiling_dbtp={ceiling_dbtp}"
        run("process", "mic.wav", "-o", "out.wav", "--set", setting)
        ceilings[ceiling_dbtp] = np.abs(soundfile.read("out.wav")[0]).max()
    assert ceilings["-20"] < 0.101 < ceilings["-1"]
    run("process", "mic.wav", "-o", "out.wav", "--only", "limiter")
    before, after = (soundfile.read(name, dtype="int16")[0] for name in ("mic.wav", "out.wav"))
    np.testing.assert_allclose(before, after, atol=1)  # below the ceiling nothing may change


def test_options_of_the_noise_suppressor() -> None:
    outputs = []
    for settings in ((), ("ns.transients=false", "ns.music_guard=true", "ns.dereverb=0")):
        options = [word for text in settings for word in ("--set", text)]
        result = run("process", "mic.wav", "-o", "out.wav", "--only", "ns", *options)
        assert result.exit_code == 0, result.stderr
        outputs.append(soundfile.read("out.wav")[0])
    assert outputs[0].shape == outputs[1].shape
    refused = run("process", "mic.wav", "-o", "out.wav", "--set", "ns.transients=loud")
    assert refused.exit_code == 2
    assert "use true or false" in refused.stderr


def test_warnings_and_quiet() -> None:
    Path("cut.wav").write_bytes(Path("mic.wav").read_bytes()[:20001])
    result = run("process", "cut.wav", "-o", "out.wav")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: cut.wav: the file is cut off")
    assert run("process", "cut.wav", "-o", "out.wav", "-q").stderr == ""
    assert "latency of" in run("process", "mic.wav", "-o", "out.wav", "-v").stderr


# --- the others ----------------------------------------------------------------------------------


def test_measure_prints_a_table_or_json() -> None:
    table = run("measure", "mic.wav", "far.wav")
    assert table.exit_code == 0
    assert len(table.stdout.splitlines()) == 4
    assert table.stdout.splitlines()[-1].startswith("all 2 files  2.0 ")
    assert "\x1b" not in table.stdout
    assert {"floor", "speech", "clips"} <= set(table.stdout.splitlines()[0].split())
    document = json.loads(run("measure", "mic.wav", "--json").stdout)
    assert document["files"][0]["integrated_lufs"] < -10
    assert "together" not in document
    assert -120 <= document["files"][0]["noise_floor_dbfs"] < -10
    assert 0.0 <= document["files"][0]["speech_share"] <= 1.0
    share = round(100 * document["files"][0]["speech_share"])
    assert table.stdout.splitlines()[1].split()[-1] == f"{share}%"
    assert "series" not in document["files"][0]
    document = json.loads(run("measure", "mic.wav", "--json", "--series").stdout)
    assert len(document["files"][0]["series"]) == 10


def test_measure_takes_folders_and_joins_what_is_in_them() -> None:
    for name in ("in/b/2.flac", "in/1.WAV", "in/.hidden/3.wav", "in/.4.wav", "in/notes.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        with Path(name).open("wb") as file:
            soundfile.write(file, 0.1 * voice(1.0, RATE_HZ), RATE_HZ, format="WAV")
    document = json.loads(run("measure", "in", "mic.wav", "--json").stdout)
    names = [found["input"] for found in document["files"]]
    assert names == [str(Path("in/1.WAV")), str(Path("in/b/2.flac")), "mic.wav"]
    together = document["together"]
    assert (together["files"], together["duration_s"]) == (3, 3.0)
    peaks = [found["true_peak_dbtp"] for found in document["files"]]
    assert together["true_peak_dbtp"] == max(peaks)
    loudness = [found["integrated_lufs"] for found in document["files"]]
    assert min(loudness) <= together["integrated_lufs"] <= max(loudness)


def test_measure_says_when_a_folder_has_no_audio() -> None:
    Path("none/deep").mkdir(parents=True)
    result = run("measure", "none", "mic.wav", "--json")
    assert result.exit_code == 3
    assert result.stderr.startswith("error: none: no audio file in it (.wav, ")
    assert len(result.stderr.splitlines()) == 1
    done, failed = json.loads(result.stdout)["files"]
    assert (done["input"], failed["input"], failed["status"]) == ("mic.wav", "none", "failed")


def test_measure_writes_the_series_as_csv() -> None:
    result = run("measure", "mic.wav", "far.wav", "--csv", "series.csv")
    assert result.exit_code == 0
    with Path("series.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["mic.wav"] * 10 + ["far.wav"] * 10
    assert [float(row["time_s"]) for row in rows[:10]] == [round(0.1 * k, 1) for k in range(1, 11)]
    series = json.loads(run("measure", "mic.wav", "--json", "--series").stdout)["files"][0][
        "series"
    ]
    for row, point in zip(rows[:10], series, strict=True):
        assert float(row["momentary_lufs"]) == pytest.approx(point["momentary_lufs"], abs=0.005)
        assert float(row["short_term_lufs"]) == pytest.approx(point["short_term_lufs"], abs=0.005)
    before = Path("mic.wav").read_bytes()
    assert run("measure", "mic.wav", "--csv", "mic.wav").exit_code == 2
    assert Path("mic.wav").read_bytes() == before, "an input is never overwritten"
    assert run("measure", "mic.wav", "--csv", "nowhere/series.csv").exit_code == 1
    assert files() == {"series.csv"}


def test_measure_checks_what_is_asked_for() -> None:
    (found,) = json.loads(run("measure", "mic.wav", "--json").stdout)["files"]
    loudness, peak = f"{found['integrated_lufs']:.1f}", f"{found['true_peak_dbtp'] + 0.1:.1f}"
    wanted = ("--target-lufs", loudness, "--max-true-peak-dbtp", peak)
    assert run("measure", "mic.wav", *wanted).exit_code == 0
    result = run("measure", "mic.wav", "--target-lufs", "0", "--max-true-peak-dbtp", "-60", "-q")
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert first.startswith("error: mic.wav: ")
    assert first.endswith(" LUFS; 0 +-0.5 LUFS is wanted")
    assert second.endswith(" dBTP; -60 dBTP at most is wanted")
    wide = ("--target-lufs", "0", "--tolerance-lu", "70")
    assert run("measure", "mic.wav", *wide).exit_code == 0
    assert run("measure", "bad.wav", "mic.wav", "--target-lufs", "0").exit_code == 3
    soundfile.write("silence.wav", np.zeros(RATE_HZ), RATE_HZ)
    silent = run("measure", "silence.wav", "--target-lufs", "-23")
    assert silent.exit_code == 1
    assert "no loudness; -23" in silent.stderr


def test_only_measure_takes_the_highest_rates() -> None:
    time_s = np.arange(4 * 192000) / 192000
    soundfile.write("master.wav", 0.1 * np.sin(2 * np.pi * 997 * time_s), 192000, "PCM_24")
    (found,) = json.loads(run("measure", "master.wav", "--json").stdout)["files"]
    assert found["integrated_lufs"] == pytest.approx(-23.01, abs=0.02)
    assert found["true_peak_dbtp"] == pytest.approx(-20.0, abs=0.02)
    assert found["speech_share"] < 0.1
    refused = run("process", "master.wav", "-o", "out.wav")
    assert refused.exit_code == 3
    assert refused.stderr.splitlines() == [
        "error: master.wav: the sample rate is 192000 Hz, 8000 to 96000 Hz can be processed; "
        "convert the file to 48000 Hz"
    ]


def test_measure_goes_on_after_a_bad_file() -> None:
    result = run("measure", "bad.wav", "mic.wav")
    assert result.exit_code == 3
    assert "mic.wav" in result.stdout
    assert result.stderr.startswith("error: bad.wav: ")
    assert run("measure", "mic.wav", "--series").exit_code == 2


def test_presets_are_listed_and_shown() -> None:
    listed = run("presets")
    assert "cohost" in listed.stdout
    assert "music-asmr" in listed.stdout
    assert "[limiter]" in run("presets", "--show", "pk").stdout
    assert run("presets", "--show", "nobody").exit_code == 2
    assert json.loads(run("presets", "--json").stdout)["pk"]["limiter"]["ceiling_dbtp"] == -1.0


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_ends_with_three_examples(command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    examples = result.stdout[result.stdout.index("Examples:") :]
    assert examples.count("  audio-engine ") == 3


def test_version_names_the_package_and_the_kernels() -> None:
    lines = run("--version").stdout.splitlines()
    assert lines[0].startswith("audio-engine 0.")
    assert lines[1] in {"kernels baseline", "kernels x86-64-v3"}
    assert "PortAudio" in lines[2]


def test_debug_shows_the_traceback() -> None:
    result = CliRunner().invoke(app, ["measure", "bad.wav", "--debug"])
    assert result.exit_code == 3
    assert "Traceback" in result.stderr


def test_an_error_of_ours_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("one\ntwo")

    monkeypatch.setattr("audio_engine.io.offline.Engine", fail)
    result = run("process", "mic.wav", "-o", "out.wav")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "error: internal error (ZeroDivisionError: one two); see --debug, please report it"
    ]
    assert files() == set()


def test_an_error_of_the_system_names_the_file_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert Talk().error(FileExistsError(17, "File exists", "demo-output")) == 1
    assert capsys.readouterr().err == "error: demo-output: File exists\n"


# --- as a process --------------------------------------------------------------------------------


def test_startup_loads_nothing_heavy() -> None:
    heavy = ["rich", "soundfile", "soxr", "scipy", "sounddevice", "textual", "webrtcvad"]
    program = (
        "import sys; from audio_engine.cli.main import app\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_ctrl_c_is_heard_while_the_command_is_being_loaded() -> None:
    program = (
        "import sys; from audio_engine.__main__ import main\n"
        "assert 'typer' not in sys.modules\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stop())\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"interrupted\n")


@pytest.mark.parametrize("options", [[], ["--only", "limiter", "--loudness", "-16"]])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_part_of_a_file(number: int, code: int, options: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what ignores it hands that on
    size = 2 << 30  # sparse: three hours that nobody waits for
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", size + 36, b"WAVE", b"fmt ", 16, 1, 1, 48000,
                       96000, 2, 16, b"data", size)  # fmt: skip
    Path("long.wav").write_bytes(head)
    os.truncate("long.wav", len(head) + size)
    process = subprocess.Popen(
        [sys.executable, "-m", "audio_engine", "process", "long.wav", "-o", "out.wav", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The nameless file that the output is until it is complete.
    wait_until(lambda: any(name.startswith("#") for name in descriptors(process.pid)))
    process.send_signal(number)
    _, words = process.communicate(timeout=20)
    assert process.returncode == code, words
    assert "Traceback" not in words
    assert files() == {"long.wav"}


def test_a_closed_pipe_is_no_error() -> None:
    shell = f"{sys.executable} -m audio_engine presets --show pk | head -n 0"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", shell],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")

"""``audio-engine sync``: words, JSON, plot, correction, exit codes."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("av", reason="PyAV (the extra [video]) is not installed")

from audio_engine.cli import sync
from audio_engine.cli.main import app
from audio_engine.errors import OutputFileError
from audio_engine.io import clapper_film
from audio_engine.io.extras import install_command
from audio_engine.io.lip_sync import FaceLipSync, LipSyncMeasurement
from videos import picture_number, write_video

RATE_HZ = 48000


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a new folder that holds talk.mp4, of 2 s, and bad.mp4."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    write_video(
        Path("talk.mp4"), [(i / 25.0, picture_number(i)) for i in range(50)], [(0.0, sound())]
    )
    Path("bad.mp4").write_text("no video at all")
    return tmp_path


def sound() -> Any:
    white = np.random.default_rng(3).standard_normal(2 * RATE_HZ)
    return (0.1 * np.convolve(white, np.hanning(12), "same")).astype(np.float32)


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["sync", *arguments])
    assert "Traceback" not in result.output
    return result


def files() -> set[str]:
    return {path.name for path in Path().iterdir()} - {"talk.mp4", "bad.mp4"}


def last_line(result: Result) -> dict[str, Any]:
    """Read what a program that calls the command reads."""
    document = json.loads(result.stdout.splitlines()[-1], parse_constant=pytest.fail)
    assert isinstance(document, dict)
    return document


def face(offset_ms: float | None, confidence: float, left: float = 0.4) -> FaceLipSync:
    return FaceLipSync(
        box=(left, 0.2, 0.2, 0.4),
        visible=0.9,
        offset_ms=offset_ms,
        confidence=confidence,
        reason="" if confidence >= 0.5 else "dubbed",
    )


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the measurement of faces, which takes its time, say what a test wants."""

    def set_answer(offset_ms: float | None, confidence: float, **more: Any) -> list[Any]:
        asked: list[Any] = []
        values: dict[str, Any] = {
            "offset_ms": offset_ms,
            "confidence": confidence,
            "reason": "" if confidence >= 0.5 else "ambiguous",
            "drift_ms_per_s": None,
            "face": 0 if confidence >= 0.5 else None,
            "faces": (face(offset_ms, confidence),),
            "series": tuple((float(t), offset_ms, confidence) for t in range(1, 12)),
            "curve": (np.linspace(-1300.0, 1300.0, 261), np.sinc(np.linspace(-5.0, 5.0, 261))),
            "duration_s": 12.0,
            "frame_rate_hz": 25.0,
            "warnings": (),
        } | more

        def measure(video: Path, *, model: Path | None, progress: Any) -> LipSyncMeasurement:
            asked.extend((video, model))
            progress(0.5)
            return LipSyncMeasurement(**values)

        monkeypatch.setattr("audio_engine.io.lip_sync.measure_lip_sync", measure)
        return asked

    return set_answer


def test_an_answer_in_words(answer: Any) -> None:
    answer(120.4, 0.934)
    result = run("talk.mp4")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "The sound comes 120 ms after the picture (audio late), sure: 0.93.",
        "Hardly anybody notices it (ITU-R BT.1359: from 125 ms late / 45 ms early), but EBU R37 "
        "allows 60 ms late / 40 ms early only.",
    ]


@pytest.mark.parametrize(
    ("offset_ms", "words"),
    [
        (0.3, "Nobody notices it"),
        (60.0, "Nobody notices it"),
        (-40.0, "Nobody notices it"),
        (61.0, "Hardly anybody notices it"),
        (-41.0, "Hardly anybody notices it"),
        (126.0, "Viewers notice it"),
        (-46.0, "Viewers notice it"),
        (186.0, "Viewers do not accept it"),
        (-91.0, "Viewers do not accept it"),
    ],
)
def test_what_viewers_make_of_it(offset_ms: float, words: str) -> None:
    # Early is worse than late: sound never reaches us before light does.
    assert sync.verdict(offset_ms).startswith(words)


def test_the_sides_are_named(answer: Any) -> None:
    answer(-83.0, 0.7)
    assert "The sound comes 83 ms before the picture (audio early), sure" in run("talk.mp4").stdout
    answer(0.2, 0.7)
    assert run("talk.mp4").stdout.startswith("The sound comes with the picture, sure: 0.70.")


def test_all_faces_are_listed(answer: Any) -> None:
    faces = (face(None, 0.0, 0.1), face(80.0, 0.9, 0.6))
    answer(80.0, 0.9, faces=faces, face=1, warnings=("3 damaged packets were left out",))
    result = run("talk.mp4")
    assert result.stdout.splitlines()[2:] == [
        "  face 1, 20% from the left, seen 90% of the time: does not go with the sound",
        "  face 2, 70% from the left, seen 90% of the time: speaks, 80 ms, sure: 0.90",
    ]
    assert result.stderr == "warning: talk.mp4: 3 damaged packets were left out\n"
    answer(80.0, 0.4, faces=(face(80.0, 0.8, 0.1), face(400.0, 0.8, 0.6)))
    assert "seen 90% of the time: goes with the sound, 400 ms, sure: 0.80" in run("talk.mp4").stdout


def test_a_drift_is_told(answer: Any) -> None:
    answer(80.0, 0.9, drift_ms_per_s=5.0, duration_s=60.0)
    assert "The offset drifts by +300 ms from start to end" in run("talk.mp4").stdout
    answer(80.0, 0.9, drift_ms_per_s=0.1, duration_s=60.0)
    assert "drifts" not in run("talk.mp4").stdout


@pytest.mark.parametrize("reason", sync.ADVICE)
def test_no_answer_has_a_reason_and_advice(answer: Any, reason: str) -> None:
    answer(None, 0.1, reason=reason)
    result = run("talk.mp4")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"The offset is not known: {reason} (sure: 0.10)."
    assert lines[1].lower() == f"{sync.ADVICE[reason]}.".lower()
    assert "--offset-ms X --correct OUT" in lines[2]
    assert "--clapper" in lines[2]


def test_json_is_the_last_line(answer: Any) -> None:
    asked = answer(120.4, 0.934)
    result = run("talk.mp4", "--json", "--model", "face.task")
    assert len(result.stdout.splitlines()) == 1
    found = last_line(result)
    assert (found["offset_ms"], found["confidence"], found["reason"]) == (120.4, 0.934, "")
    assert found["faces"][0]["box"] == [0.4, 0.2, 0.2, 0.4]
    assert (found["method"], found["face"], found["duration_s"]) == ("face", 0, 12.0)
    assert asked == [Path("talk.mp4"), Path("face.task")]
    answer(None, 0.0, reason="no face", faces=(), curve=None, series=())
    found = last_line(run("talk.mp4", "--json"))
    assert (found["offset_ms"], found["confidence"], found["reason"]) == (None, 0.0, "no face")


def test_a_sure_offset_is_corrected(answer: Any) -> None:
    answer(120.0, 0.9)
    result = run("talk.mp4", "--correct", "fixed.mp4")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "fixed.mp4: the sound comes 120.000 ms earlier now (5760 samples at 48000 Hz; aac to aac "
        "at 96 kbit/s, encoded anew); the picture was copied untouched"
    )
    found = last_line(run("talk.mp4", "--correct", "fixed.mp4", "--json"))
    assert found["correction"]["shift_samples"] == 5760
    assert found["correction"]["output"] == "fixed.mp4"
    assert files() == {"fixed.mp4"}


@pytest.mark.parametrize(("offset_ms", "guess"), [(None, ""), (93.0, "; the guess is 93 ms")])
def test_a_guess_is_not_applied(answer: Any, offset_ms: float | None, guess: str) -> None:
    answer(offset_ms, 0.45)
    result = run("talk.mp4", "--correct", "fixed.mp4", "--json")
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: fixed.mp4 is not written: the offset is not sure (ambiguous{guess}); --offset-ms "
        "X corrects by a value of your own\n"
    )
    assert last_line(result)["confidence"] == 0.45  # what was measured is told all the same
    assert files() == set()


def test_a_given_offset_is_applied_without_measuring() -> None:
    result = run("talk.mp4", "--correct", "fixed.mkv", "--offset-ms", "-250", "--json")
    assert result.exit_code == 0, result.stderr
    found = last_line(result)
    assert (found["method"], found["offset_ms"]) == ("given", -250.0)
    assert found["correction"]["direction"] == "later"
    assert files() == {"fixed.mkv"}


def test_a_clapper_is_made_measured_and_corrected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clapper_film, "FLASHES", 4)
    monkeypatch.setattr(clapper_film, "_WIDTH", 160)
    monkeypatch.setattr(clapper_film, "_HEIGHT", 90)
    made = run("--make-clapper", "film.mp4")
    assert made.exit_code == 0
    assert made.stdout == ""
    assert "film.mp4: " in made.stderr
    run("film.mp4", "--correct", "late.mp4", "--offset-ms", "-200")
    result = run("late.mp4", "--clapper", "--correct", "fixed.mp4")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("The sound comes 200 ms after the picture (audio late), sure")
    assert lines[2].startswith("4 flashes, 4 beeps, 4 pairs, spread 0.")
    found = last_line(run("fixed.mp4", "--clapper", "--json"))
    assert abs(found["offset_ms"]) < 1.0
    assert found["confidence"] >= 0.5
    assert files() == {"film.mp4", "late.mp4", "fixed.mp4"}
    refused = run("talk.mp4", "--clapper", "--correct", "no.mp4")
    assert refused.exit_code == 1
    assert "not sure (no flash)" in refused.stderr


def test_the_plot(answer: Any) -> None:
    pytest.importorskip("matplotlib", reason="Matplotlib (the extra [video]) is not installed")
    answer(120.0, 0.9)
    assert run("talk.mp4", "--plot", "sync.png").exit_code == 0
    with Path("sync.png").open("rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    answer(None, 0.0, reason="no face", faces=(), curve=None, series=())
    Path("talk.mp4").rename("$talk$ \\x.mp4")
    assert run("$talk$ \\x.mp4", "--plot", "empty.png").exit_code == 0
    assert {"sync.png", "empty.png"} <= files()


@pytest.mark.parametrize("name", ["\u76f4\u64ad \u95f4.mp4", "bad\udcff.mp4"])
def test_a_plot_takes_any_name(answer: Any, name: str, recwarn: pytest.WarningsRecorder) -> None:
    pytest.importorskip("matplotlib", reason="Matplotlib (the extra [video]) is not installed")
    answer(120.0, 0.9)
    Path("talk.mp4").rename(name)
    result = run(name, "--plot", "sync.png")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert not list(recwarn)


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_plot_that_fails_takes_no_answer_with_it(
    answer: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    answer(120.0, 0.9)

    def full(path: Path, *_: Any) -> None:
        raise OutputFileError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr("audio_engine.cli.sync_plot.write_plot", full)
    result = run("talk.mp4", "--plot", "a.png", *arguments)
    assert result.exit_code == 1
    assert result.stderr == "error: a.png: cannot be written: No space left on device\n"
    assert "120" in result.stdout


@pytest.mark.parametrize("option", ["--plot", "--correct"])
def test_a_folder_that_is_read_only_is_told_before_measuring(
    answer: Any, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    asked = answer(120.0, 0.9)
    Path("locked").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != "locked")
    result = run(
        "talk.mp4", option, {"--plot": "locked/a.png", "--correct": "locked/a.mp4"}[option]
    )
    assert result.exit_code == 1
    assert "cannot be written: the folder locked is read-only" in result.stderr
    assert asked == []


@pytest.mark.parametrize(
    ("module", "arguments", "words"),
    [
        ("av", ["talk.mp4", "--clapper"], "videos are read with PyAV"),
        ("av", ["--make-clapper", "film.mp4"], "videos are written with PyAV"),
        ("matplotlib.figure", ["talk.mp4", "--plot", "a.png"], "--plot draws with Matplotlib"),
    ],
)
def test_what_brings_a_package_is_said(
    monkeypatch: pytest.MonkeyPatch, answer: Any, module: str, arguments: list[str], words: str
) -> None:
    asked = answer(120.0, 0.9)
    monkeypatch.setitem(sys.modules, module, None)
    result = run(*arguments)
    assert result.exit_code == 1
    assert asked == []  # nothing is measured for minutes first
    assert result.stderr.startswith(f"error: {words}")
    assert f"{install_command(module.partition('.')[0])}\n" in result.stderr
    assert files() == set()


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ([], 2, "name a video"),
        (["--correct", "a.mp4"], 2, "name a video"),
        (["--make-clapper", "a.mp4", "--clapper"], 2, "--make-clapper OUT stands alone"),
        (["talk.mp4", "--make-clapper", "a.mp4"], 2, "--make-clapper OUT stands alone"),
        (["talk.mp4", "--offset-ms", "3"], 2, "--offset-ms goes with --correct OUT"),
        (["talk.mp4", "--clapper", "--plot", "a.png"], 2, "--clapper looks at no face"),
        (["talk.mp4", "--correct", "a.mp4", "--offset-ms", "2001"], 2, "is outside -2000 .. 2000"),
        (["talk.mp4", "--correct", "a.mp4", "--offset-ms", "2000"], 2, "would leave none of"),
        (["talk.mp4", "--correct", "a.avi"], 2, "videos of this ending are not written"),
        (["talk.mp4", "--correct", "talk.mp4"], 2, "never overwritten"),
        (["talk.mp4", "--correct", "no/a.mp4"], 1, "there is no folder no"),
        (["talk.mp4", "--plot", "a.svg"], 2, "name a file that ends in .png"),
        (["talk.mp4", "--plot", "no/a.png"], 1, "there is no folder no"),
        (["bad.mp4", "--clapper"], 3, "this is no video"),
        (["no.mp4", "--clapper"], 3, "No such file"),
        (["--make-clapper", "a.avi"], 2, "videos of this ending are not written"),
        (["--make-clapper", "no/a.mp4"], 1, "cannot be written"),
    ],
)
def test_errors_are_one_line(arguments: list[str], code: int, complaint: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert complaint in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert files() == set()
    if not result.stderr.startswith("Usage"):
        assert len(result.stderr.splitlines()) == 1


def test_a_film_never_takes_the_place_of_the_video() -> None:
    content = Path("talk.mp4").read_bytes()
    assert run("talk.mp4", "--make-clapper", "talk.mp4").exit_code == 2
    assert Path("talk.mp4").read_bytes() == content


def test_how_far_off_a_sound_is_searched_for_is_said(answer: Any) -> None:
    answer(None, 0.1, reason="dubbed")
    assert "or more than 1.3 s apart" in run("talk.mp4").stdout


def test_the_help_can_be_copied_from() -> None:
    lines = run("--help").stdout.splitlines()
    assert lines[0] == "Usage: audio-engine sync [OPTIONS] [VIDEO]"
    assert "    audio-engine sync talk.mp4" in lines


def test_ctrl_c_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("audio_engine.io.sound_shift.SoundShift.finish", interrupted)
    result = run("talk.mp4", "--correct", "fixed.mp4", "--offset-ms", "100")
    assert result.exit_code == 130
    assert result.stderr == "interrupted\n"
    assert files() == set()


def test_the_examples_are_of_this_command() -> None:
    examples = [line for line in sync.EPILOG.splitlines() if line.startswith("  audio-engine")]
    assert len(examples) == 5
    help_text = run("--help").stdout
    for example in examples:
        command, name, *arguments = shlex.split(example)
        assert (command, name) == ("audio-engine", "sync")
        for option in (argument for argument in arguments if argument.startswith("--")):
            assert option in help_text

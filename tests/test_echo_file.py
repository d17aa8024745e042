"""The echo state's file: live, offline, on the command line; a bad one costs a line of warning."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

import audio_engine as ae
from audio_engine.cli.main import app
from audio_engine.errors import ConfigError, StateError, StreamError
from audio_engine.io.echo_file import EchoStateFile
from audio_engine.io.live.stats import LiveEvent
from audio_engine.io.offline import process_file
from signals import echo_of, noise, speech, voice
from waiting import wait_until

RATE_HZ = 16000
SECONDS = 4
CONFIG = ae.EngineConfig(sample_rate_hz=RATE_HZ)
KEPT = Path("desk.echo")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a new folder that holds a microphone which hears the far end, and that far end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    far = speech("guest", SECONDS)
    mic = echo_of(far, RATE_HZ) + noise(SECONDS, RATE_HZ, 2e-4)
    soundfile.write("far.wav", far, RATE_HZ, "FLOAT")
    soundfile.write("mic.wav", mic, RATE_HZ, "FLOAT")


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, arguments)
    assert "Traceback" not in result.output
    return result


def simulate(seconds: float = SECONDS) -> tuple[ae.SimulatedStream, list[LiveEvent]]:
    """Run a stream as fast as it goes; return it closed, with what it said of the file."""
    stream = ae.SimulatedStream(CONFIG, "mic.wav", "far.wav", real_time=False, echo_state=KEPT)
    with stream:
        wait_until(lambda: stream.stats().frames >= seconds * RATE_HZ, 20.0)
        stream.stop()
        events = [event for event in stream.events() if event.kind == "echo-state"]
    return stream, events


# --- live ----------------------------------------------------------------------------------------


def test_a_stream_starts_from_the_file_and_keeps_it() -> None:
    _, first = simulate()
    assert [event.level for event in first] == ["info", "info"]
    assert "not there yet" in first[0].text
    assert "kept for the next session" in first[1].text
    kept = KEPT.read_bytes()
    with ae.EchoCanceller(RATE_HZ) as aec:
        aec.load_state(kept)
    _, second = simulate()
    assert "starting from this echo path" in second[0].text
    assert KEPT.read_bytes() != kept
    assert sorted(os.listdir()) == ["desk.echo", "far.wav", "mic.wav"]


def test_a_warm_stream_cancels_at_once() -> None:
    simulate()
    erle_db = []
    for state in (None, KEPT):
        with ae.SimulatedStream(CONFIG, "mic.wav", "far.wav", echo_state=state) as stream:
            stream.wait(0.6)
            stream.stop()
            echo = stream.stats().engine.echo
            assert echo is not None
            erle_db.append(echo.erle_db)
    print(f"live, after 0.6 s: {erle_db[0]:.1f} dB cold, {erle_db[1]:.1f} dB warm")
    assert erle_db[1] > erle_db[0] + 5.0


def test_a_session_that_learned_nothing_leaves_the_file() -> None:
    simulate()
    kept = KEPT.read_bytes()
    soundfile.write("far.wav", np.zeros(RATE_HZ), RATE_HZ)
    _, events = simulate(1.0)
    assert "no echo path was learned" in events[1].text
    assert KEPT.read_bytes() == kept


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "damaged"), (b"AEecho\r\n" + bytes(100), "layout 0"), (None, "not a file")],
)
def test_a_bad_file_is_one_warning_and_a_cold_start(content: bytes | None, words: str) -> None:
    KEPT.mkdir() if content is None else KEPT.write_bytes(content)
    _, events = simulate()
    assert [event.level for event in events] == ["warning", "info"]
    assert words in events[0].text
    assert "learned anew" in events[0].text
    if content is not None:  # it was an echo state, or nothing: it is one now
        assert "kept" in events[1].text


def test_a_file_of_somebody_else_is_never_written_to() -> None:
    before = Path("far.wav").read_bytes()
    os.link("far.wav", KEPT)
    _, events = simulate()
    assert [event.level for event in events] == ["warning", "info"]
    assert "left alone" in events[0].text
    assert KEPT.read_bytes() == before


def test_states_by_hand_before_start_and_after_stop() -> None:
    simulate()
    stream = ae.SimulatedStream(CONFIG, "mic.wav", "far.wav", real_time=False)
    with pytest.raises(StateError, match="no echo state"):
        stream.load_state(b"something else")
    stream.load_state(KEPT.read_bytes())
    assert not stream.has_learned_echo
    with stream:
        with pytest.raises(StreamError, match="before start and after stop"):
            stream.save_state()
        wait_until(lambda: stream.stats().frames >= SECONDS * RATE_HZ, 20.0)
        stream.stop()
        assert stream.has_learned_echo
        assert len(stream.save_state()) == len(KEPT.read_bytes())
    with pytest.raises(StreamError, match="closed"):
        stream.save_state()


def test_a_graph_without_echo_stage_has_no_use_for_a_file() -> None:
    graph = ae.Graph(RATE_HZ)
    graph.add_input("mic", 1)
    graph.add("ns", ae.NoiseConfig(), source="mic")
    graph.add_output("ns")
    with pytest.raises(ConfigError, match="no echo stage"):
        ae.SimulatedStream(graph, "mic.wav", echo_state=KEPT)


# --- the file ------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_to_is_a_warning() -> None:
    file = EchoStateFile("no/desk.echo")
    assert file.load(lambda _: None)[0] == "info"
    level, text = file.save(lambda: b"state", has_learned=True)
    assert (level, "No such file" in text) == ("warning", True)


def test_a_link_stays_a_link() -> None:
    Path("real.echo").write_bytes(b"old")
    KEPT.symlink_to("real.echo")
    assert EchoStateFile(KEPT).save(lambda: b"new", has_learned=True)[0] == "info"
    assert KEPT.is_symlink()
    assert Path("real.echo").read_bytes() == b"new"


# --- recordings and the command line --------------------------------------------------------------


def test_process_file_takes_it_up_and_keeps_it() -> None:
    first = process_file("mic.wav", "a.wav", config=CONFIG, far_end="far.wav", echo_state=KEPT)
    assert first.warnings == ()
    second = process_file("mic.wav", "b.wav", config=CONFIG, far_end="far.wav", echo_state=KEPT)
    assert first.erle_db is not None
    assert second.erle_db is not None
    print(f"median ERLE of the file: {first.erle_db:.1f} dB cold, {second.erle_db:.1f} dB warm")
    assert second.erle_db > first.erle_db + 5.0
    with pytest.raises(ConfigError, match="far end"):
        process_file("mic.wav", "c.wav", config=CONFIG, echo_state=KEPT)
    with pytest.raises(ConfigError, match="never overwritten"):
        process_file("mic.wav", str(KEPT), config=CONFIG, far_end="far.wav", echo_state=KEPT)


def test_what_changes_over_a_file_can_be_watched() -> None:
    seen: list[tuple[float, ae.EngineStats]] = []
    report = process_file(
        "mic.wav",
        "a.wav",
        config=CONFIG,
        far_end="far.wav",
        watch=lambda seconds, stats: seen.append((seconds, stats)),
    )
    assert [seconds for seconds, _ in seen] == [0.5 * i for i in range(1, 2 * SECONDS + 1)]
    last = seen[-1][1].echo
    assert last is not None
    assert (report.echo_delay_ms, report.echo_drift_ppm) == (last.delay_ms, last.drift_ppm)
    assert report.no_echo_path is False


def test_a_far_end_that_is_not_heard_is_said() -> None:
    soundfile.write("mic.wav", speech("host", SECONDS), RATE_HZ)
    report = process_file("mic.wav", "a.wav", config=CONFIG, far_end="far.wav")
    assert report.no_echo_path is True
    assert report.warnings == ("mic.wav: no echo of far.wav is heard in it",)
    assert process_file("mic.wav", "a.wav", config=CONFIG).no_echo_path is None


def test_process_on_the_command_line() -> None:
    far = ("--far", "far.wav", "--echo-state", str(KEPT))
    assert run("process", "mic.wav", *far, "-o", "a.wav").stderr == ""
    assert KEPT.exists()
    result = run("process", "mic.wav", *far, "-o", "b.wav", "--set", "echo.tail_ms=200")
    assert result.exit_code == 0
    assert result.stderr.count("\n") == 1
    assert "tail of 240 ms, wanted is 200" in result.stderr
    result = run("process", "mic.wav", "--echo-state", str(KEPT), "-o", "c.wav")
    assert result.exit_code == 2
    assert "--far" in result.stderr


def test_the_monitor_takes_it_up_and_keeps_it() -> None:
    far = ("--simulate", "mic.wav", "--far", "far.wav", "--echo-state", str(KEPT))
    first = run("monitor", *far)
    assert first.exit_code == 0
    assert first.stderr.count("desk.echo") == 2
    soundfile.write("mic.wav", voice(0.5, RATE_HZ), RATE_HZ)
    second = run("monitor", *far, "--json")
    lines = [json.loads(line) for line in second.stdout.splitlines()]
    texts = [line["text"] for line in lines if line.get("kind") == "echo-state"]
    assert "starting from this echo path" in texts[0]
    KEPT.write_bytes(KEPT.read_bytes()[:-5])
    third = run("monitor", *far)
    assert third.exit_code == 0
    assert third.stderr.count("warning:") == 1
    assert "damaged" in third.stderr
    missing = run("monitor", "--simulate", "mic.wav", "--echo-state", "no/desk.echo")
    assert missing.exit_code == 1
    assert "no such folder" in missing.stderr

"""The live stream on a JACK server that waits for its clients: a busy machine loses no audio here.

So what is played and recorded can be compared with what should have been, sample by sample.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_engine import Engine, EngineConfig
from signals import voice
from soundcard import JackRoom, JackServer
from soundcard.program import Program, is_back, is_lost, is_running, monitor
from soundcard.truth import FarEnd, Samples, breaks

RATE_HZ = 48000
FADE = 960  # at most, where a stream begins and ends
HERE = Path(__file__).resolve().parent
ROOM = {"input_device": "room", "output_device": "room"}
SYSTEM = {"input_device": "system", "output_device": "system"}

RoomMaker = Callable[..., JackRoom]


def use_stream(env: dict[str, str], what: str, **options: Any) -> Program:
    return Program([HERE / "use_stream.py", what, json.dumps(options)], env)


def check_recording(path: Path, at_least_s: float) -> tuple[Samples, Samples]:
    """Both files are there, whole and equally long; return wet and dry."""
    wet, rate_hz = soundfile.read(path, dtype="float32")
    dry, _ = soundfile.read(path.with_name(f"{path.stem}-dry{path.suffix}"), dtype="float32")
    assert rate_hz == RATE_HZ
    assert len(wet) == len(dry) > at_least_s * RATE_HZ
    assert np.isfinite(wet).all()
    assert not list(path.parent.glob("*partial*"))
    return wet, dry


def check_supply(program: Program) -> None:
    """The stream never waited for Python; late cycles of a busy machine may count as xruns here."""
    last = program.lines[-1]
    assert last["xruns"]["far_underruns"] == last["xruns"]["capture_underruns"] == 0
    assert last["frames"] > 2 * RATE_HZ


def test_monitor_plays_records_and_ends_by_itself(
    make_jack_room: RoomMaker, tmp_path: Path, far_end: FarEnd
) -> None:
    near = voice(1.0, RATE_HZ)
    record, stats = tmp_path / "take.wav", tmp_path / "stats.json"
    with (
        make_jack_room(near=near, echo_gain_db=-20) as room,
        monitor(
            room.env, **ROOM, far=far_end.path, record=record, stats=stats, seconds=4
        ) as program,
    ):
        began_s = time.monotonic()
        program.wait_for(is_running)
        assert program.end() == 0, program.errors
        assert time.monotonic() - began_s < 3 + 10
    assert breaks(far_end.samples, room.played, edge_frames=FADE) == []
    assert np.count_nonzero(room.played) > 2 * RATE_HZ
    _, dry = check_recording(record, 2)
    assert (
        breaks(far_end.samples, dry[:, 1], edge_frames=FADE) == []
    )  # the reference is what was played
    final = json.loads(stats.read_text())
    assert final["recoveries"] == 0
    assert final["drift_ppm"] is None
    assert 0 < final["compute_us"]["p50"] <= final["compute_us"]["p99"]


def test_the_echo_path_of_the_last_session_is_taken_up(
    make_jack_room: RoomMaker, tmp_path: Path, far_end: FarEnd
) -> None:
    kept = tmp_path / "room.echo"
    erle_db: list[float] = []
    words: list[str] = []
    for seconds in (4, 1):
        near = np.zeros(RATE_HZ, np.float32)
        with (
            make_jack_room(near=near, echo_gain_db=-12) as room,
            monitor(
                room.env, **ROOM, far=far_end.path, echo_state=kept, seconds=seconds
            ) as program,
        ):
            assert program.end() == 0, program.errors
        last = [line for line in program.lines if line["type"] == "stats"][-1]
        erle_db.append(last["engine"]["echo"]["erle_db"])
        words += [line["text"] for line in program.lines if line.get("kind") == "echo-state"]
    print(f"ERLE after 1 s of a warm start: {erle_db[1]:.1f} dB; after 4 s: {erle_db[0]:.1f} dB")
    assert erle_db[1] > 20.0
    assert [text.rpartition(": ")[2] for text in words[:3]] == [
        "not there yet; the echo path is learned anew",
        "echo path kept for the next session",
        "starting from this echo path",
    ]


def test_busy_python_does_not_break_what_is_played(
    make_jack_room: RoomMaker, far_end: FarEnd
) -> None:
    with make_jack_room(near=voice(1.0, RATE_HZ)) as room:
        options = {**ROOM, "far_end": str(far_end.path), "seconds": 3}
        with use_stream(room.env, "hog", **options) as program:
            assert program.end() == 0, program.errors
    assert breaks(far_end.samples, room.played, edge_frames=FADE) == []
    assert np.count_nonzero(room.played) > 2 * RATE_HZ
    check_supply(program)


def test_live_is_offline(make_jack_room: RoomMaker, tmp_path: Path, far_end: FarEnd) -> None:
    record = tmp_path / "take.wav"
    with make_jack_room(near=voice(2.0, RATE_HZ), echo_gain_db=-10) as room:
        options = {**ROOM, "far_end": str(far_end.path), "seconds": 3, "record": str(record)}
        with use_stream(room.env, "listen", **options) as program:
            assert program.end() == 0, program.errors
    wet, dry = check_recording(record, 2)
    with Engine(EngineConfig()) as engine:
        offline = engine.process(dry[:, 0], dry[:, 1]).ravel()
    # An engine that takes blocks of any length is one block later. The recording is rounded to 24
    # bits, which is where the difference comes from.
    block = RATE_HZ // 100
    np.testing.assert_allclose(wet[:-block], offline[block:], atol=1e-5)


def test_switches_and_swaps_while_audio_runs(
    make_jack_room: RoomMaker, tmp_path: Path, far_end: FarEnd
) -> None:
    record = tmp_path / "take.wav"
    with make_jack_room(near=voice(1.0, RATE_HZ), echo_gain_db=-20) as room:
        options = {**ROOM, "far_end": str(far_end.path), "seconds": 3, "record": str(record)}
        with use_stream(room.env, "switch", **options) as program:
            assert program.end() == 0, program.errors
    assert breaks(far_end.samples, room.played, edge_frames=FADE) == []
    wet, _ = check_recording(record, 2)
    assert np.abs(wet).max() <= 1
    assert {line["state"] for line in program.lines} == {"running"}
    check_supply(program)


def test_server_killed_and_started_again(
    jack_server: JackServer, tmp_path: Path, far_end: FarEnd
) -> None:
    record = tmp_path / "take.wav"
    with monitor(jack_server.env, **SYSTEM, far=far_end.path, record=record) as program:
        program.wait_for(is_running)
        time.sleep(0.5)
        jack_server.kill()
        program.wait_for(is_lost)
        time.sleep(1)
        jack_server.start()
        back = program.wait_for(is_back)
        frames = back["frames"]
        program.wait_for(lambda line: line.get("frames", 0) > frames + RATE_HZ // 2)
        program.send(signal.SIGINT)
        assert program.end() == 130, program.errors
    check_recording(record, 1)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_signal_ends_the_monitor_with_whole_files(
    jack_server: JackServer, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    record, stats = tmp_path / "take.wav", tmp_path / "stats.json"
    with monitor(jack_server.env, **SYSTEM, record=record, stats=stats) as program:
        began = program.wait_for(is_running)["frames"]
        program.wait_for(lambda line: line.get("frames", 0) > began + RATE_HZ)
        sent_s = time.monotonic()
        program.send(number)
        assert program.end() == code, program.errors
        assert time.monotonic() - sent_s < 3  # 1 s on a machine that is not busy
    assert "Traceback" not in program.errors
    check_recording(record, 1)
    assert json.loads(stats.read_text())["frames"] > RATE_HZ


def test_missing_device_is_one_line_and_status_4(jack_server: JackServer) -> None:
    with monitor(jack_server.env, input_device="no such microphone") as program:
        assert program.end() == 4
    assert "no such microphone" in program.errors
    assert program.errors.count("\n") == 1

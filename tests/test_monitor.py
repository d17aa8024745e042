"""The live monitor: options, runs without a screen, the screen itself, and how it all ends."""

from __future__ import annotations

import asyncio
import fcntl
import html
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from textual.pilot import Pilot
from typer.testing import CliRunner, Result

from audio_engine.cli import monitor
from audio_engine.cli.main import app as command
from audio_engine.cli.monitor_advice import STAYS_S, XRUNS_SEEN_S, Adviser
from audio_engine.cli.monitor_paint import bar, centred_thread, fit, mark, rule, share, width_of
from audio_engine.cli.monitor_picture import SHADES, band_edges, frequency_label, shades
from audio_engine.cli.monitor_screen import MonitorApp
from audio_engine.cli.monitor_session import PRESET_KEYS, Choice, Session, free_path
from audio_engine.config import EngineConfig
from audio_engine.errors import ConfigError, DeviceError, OutputFileError
from audio_engine.io.live.devices import AudioDevice
from audio_engine.io.live.stats import LiveStats, MeterStats, XrunStats
from audio_engine.preset_files import preset_names
from audio_engine.processors.stats import LevelStats
from fake_live import STATS, FakeStream
from signals import noise, voice

RATE_HZ = 16000

SILENCE = MeterStats(peak_dbfs=-np.inf, peak_hold_dbfs=-np.inf, momentary_lufs=-np.inf)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> FakeStream:
    """Stand in for the sound card of the command."""
    fake = FakeStream()
    monkeypatch.setattr(monitor, "_live", lambda *_: fake)
    return fake


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(command, ["monitor", *arguments])
    assert "Traceback" not in result.output
    return result


# --- without a screen ----------------------------------------------------------------------------


def test_json_is_one_object_a_line(stream: FakeStream) -> None:
    stream.happens("hello")
    result = run("--json", "--seconds", "0.6")
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["text"] for line in lines if line["type"] == "event"] == ["hello"]
    moments = [line for line in lines if line["type"] == "stats"]
    assert 3 <= len(moments) <= 4  # at 0, 0.25, 0.5 s and at the end
    assert moments[0]["state"] == "running"
    assert moments[0]["compute_us"] == {"p50": 610.0, "p99": 890.0, "max": 1430.0}
    assert result.stderr == ""


def test_statistics_are_written_at_the_end(stream: FakeStream) -> None:
    stream.now = replace(STATS, xruns=XrunStats(late_callbacks=2, far_underruns=1))
    assert run("--seconds", "0", "--stats", "stats.json", "--quiet").exit_code == 0
    found = json.loads(Path("stats.json").read_text())
    assert found["xruns"] == 3
    assert found["xrun_counters"]["late_callbacks"] == 2
    assert found["compute_us"] == {"p50": 610.0, "p99": 890.0, "max": 1430.0}
    assert found["drift_ppm"] == 12.3
    for name in ("latency_ms", "engine_latency_ms", "recoveries", "frames"):
        assert found[name] == getattr(STATS, name)
    assert found["engine"]["echo"]["erle_db"] == 31.0
    assert os.listdir() == ["stats.json"]


def test_infinities_are_null_in_json(stream: FakeStream) -> None:
    stream.now = replace(STATS, input=SILENCE)
    result = run("--json", "--seconds", "0")
    assert json.loads(result.stdout)["input"]["peak_dbfs"] is None


def test_the_summary_says_where_the_echo_was(stream: FakeStream) -> None:
    assert "echo      ERLE 31 dB, delay 63 ms\n" in run("--seconds", "0").stdout
    echo = STATS.engine.echo
    assert echo is not None
    engine = replace(STATS.engine, echo=replace(echo, drift_ppm=-41.2))
    stream.now = replace(STATS, engine=engine)
    assert "delay 63 ms, drift -41.2 ppm\n" in run("--seconds", "0").stdout
    stream.now = replace(STATS, engine=replace(engine, echo=replace(echo, no_echo_path=True)))
    assert "echo      none heard\n" in run("--seconds", "0").stdout


def test_without_json_words_and_a_summary(stream: FakeStream) -> None:
    stream.happens("the device is gone", level="warning")
    result = run("--seconds", "0")
    assert result.exit_code == 0
    assert "warning: the device is gone" in result.stderr
    assert "running: Room microphone to Desk loudspeaker" in result.stderr
    assert "xruns     0" in result.stdout
    assert "p99 9%" in result.stdout


def test_quiet_says_nothing(stream: FakeStream) -> None:
    result = run("--seconds", "0", "--quiet")
    assert (result.stdout, result.stderr) == ("", "")


def test_options_reach_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def live(*arguments: Any) -> FakeStream:
        asked.extend(arguments)
        return FakeStream(arguments[0].config)

    monkeypatch.setattr(monitor, "_live", live)
    arguments = ["--input-device", "3", "--output-device", "USB", "--far", "far.wav", "--monitor"]
    arguments += ["--latency-ms", "50", "--block-frames", "256", "--in-process", "--preset", "pk"]
    settings = ("agc.target_lufs=-16", "ns.transients=false")
    options = [word for text in settings for word in ("--set", text)]
    assert run(*arguments, *options, "--seconds", "0").exit_code == 0
    choice, far, latency_s, block_frames, in_process = asked
    assert (choice.input_device, choice.output_device, choice.monitor) == (3, "USB", True)
    assert choice.config.agc.target_lufs == -16.0
    assert not choice.config.ns.transients
    assert choice.settings == {"agc.target_lufs": "-16", "ns.transients": "false"}
    assert (far, latency_s, block_frames, in_process) == (Path("far.wav"), 0.05, 256, True)


def test_a_recording_is_complete_before_the_stream_ends(stream: FakeStream) -> None:
    result = run("--seconds", "0", "--record", "take.wav")
    assert stream.calls == ["record", "start", "stop_recording", "stop", "close"]
    assert "take.wav" in result.stdout


def test_what_fails_at_the_end_does_not_stop_the_rest(stream: FakeStream) -> None:
    stream.fails = {"stop_recording": OutputFileError("disk full"), "stop": DeviceError("gone")}
    result = run("--seconds", "0", "--record", "take.wav", "--stats", "stats.json")
    assert stream.calls[-3:] == ["stop_recording", "stop", "close"]
    assert Path("stats.json").exists()
    assert result.exit_code == 1
    assert "disk full" in result.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order(
    stream: FakeStream, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    before = signal.getsignal(number)
    moments: list[int] = []

    def stats() -> LiveStats:
        moments.append(1)
        if len(moments) == 3:
            os.kill(os.getpid(), number)
        return STATS

    monkeypatch.setattr(stream, "stats", stats)
    result = run("--record", "take.wav", "--stats", "stats.json", "--seconds", "30")
    assert result.exit_code == code
    assert stream.calls == ["record", "start", "stop_recording", "stop", "close"]
    assert Path("stats.json").exists()
    assert signal.getsignal(number) is before


def test_a_stream_that_stops_by_itself_ends_the_run(stream: FakeStream) -> None:
    stream.now = replace(STATS, state="stopped")
    assert run("--json").exit_code == 0


def test_a_lost_device_is_waited_for(stream: FakeStream) -> None:
    stream.now = replace(STATS, state="lost")
    result = run("--seconds", "0.3", "--json")
    assert result.exit_code == 0
    assert {json.loads(line)["state"] for line in result.stdout.splitlines()} == {"lost"}


def test_no_device_is_one_line_and_exit_4(stream: FakeStream) -> None:
    stream.fails = {"start": DeviceError("no sound card was found")}
    result = run("--seconds", "1", "--stats", "stats.json")
    assert result.exit_code == 4
    assert result.stderr == "error: no sound card was found\n"
    assert stream.calls == ["start", "close"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--simulate", "mic.wav", "--input-device", "USB"], 2, "needs no devices"),
        (["--preset", "nobody"], 2, "nobody"),
        (["--set", "agc.target_lufs=1"], 2, "outside"),
        (["--stats", "no/stats.json"], 1, "no such folder"),
        (["--seconds", "-1"], 2, "seconds"),
    ],
)
def test_wrong_options_are_refused(arguments: list[str], code: int, words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert words in result.stderr


def test_help_loads_no_screen_and_no_sound_card() -> None:
    code = (
        "import sys; from audio_engine.cli.main import app; import audio_engine.cli.monitor;"
        "print([n for n in ('textual', 'rich', 'sounddevice', 'soundfile') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- without a sound card, for real ---------------------------------------------------------------


@pytest.fixture
def scene_files() -> None:
    """Write mic.wav and far.wav, a second of voice each."""
    soundfile.write("mic.wav", voice(1.0, RATE_HZ) + noise(1.0, RATE_HZ), RATE_HZ)
    soundfile.write("far.wav", voice(1.0, RATE_HZ, seed=3), RATE_HZ)


@pytest.mark.usefixtures("scene_files")
def test_a_simulated_run_ends_with_its_file() -> None:
    result = run("--simulate", "mic.wav", "--far", "far.wav", "--record", "out.wav", "--json")
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    last = [line for line in lines if line["type"] == "stats"][-1]
    assert (last["state"], last["input_device"]) == ("running", "file mic.wav")
    assert last["frames"] >= 48000
    assert last["engine"]["echo"] is not None
    assert len(soundfile.read("out.wav")[0]) >= 0.9 * 48000
    assert soundfile.info("out-dry.wav").channels == 2


@pytest.mark.usefixtures("scene_files")
def test_a_simulated_run_repeats_its_file_for_as_long_as_asked() -> None:
    result = run("--simulate", "mic.wav", "--seconds", "1.6", "--json")
    heard = [json.loads(line) for line in result.stdout.splitlines()]
    last = [line for line in heard if line["type"] == "stats"][-1]
    assert last["frames"] > 1.2 * 48000
    assert last["input"]["momentary_lufs"] > -60.0


@pytest.mark.usefixtures("scene_files")
def test_files_that_are_not_there_are_exit_3() -> None:
    assert run("--simulate", "no.wav").exit_code == 3
    assert run("--simulate", "mic.wav", "--far", "no.wav").exit_code == 3


@pytest.mark.usefixtures("scene_files")
def test_a_recording_that_cannot_begin_closes_everything() -> None:
    before = set(threading.enumerate())
    assert run("--simulate", "mic.wav", "--record", "no/out.wav").exit_code == 1
    assert set(threading.enumerate()) <= before


@pytest.mark.usefixtures("scene_files")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_ends_within_a_second_of_a_signal(number: int, code: int) -> None:
    arguments = ["--simulate", "mic.wav", "--seconds", "60", "--json", "--record", "out.wav"]
    with subprocess.Popen(
        [sys.executable, "-m", "audio_engine", "monitor", *arguments, "--stats", "stats.json"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if '"running"' in line)
        asked_s = time.monotonic()
        process.send_signal(number)
        process.stdout.read()
        assert process.wait() == code
        assert time.monotonic() - asked_s < 1.5  # 1 s, and what a busy machine adds
    assert json.loads(Path("stats.json").read_text())["state"] == "running"
    assert soundfile.info("out.wav").samplerate == 48000


@pytest.mark.usefixtures("scene_files")
@pytest.mark.parametrize(("key", "code"), [(b"q", 0), (b"\x03", 130)])
def test_the_screen_in_a_real_terminal(key: bytes, code: int) -> None:
    control, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "audio_engine",
            "monitor",
            "--simulate",
            "mic.wav",
            "--seconds",
            "60",
        ],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(terminal)
    seen = b""
    with suppress(OSError):  # that is how a terminal ends
        while piece := os.read(control, 65536):
            first_time = b"running" not in seen
            seen += piece
            if first_time and b"running" in seen:
                os.write(control, key)
    assert process.wait() == code
    os.close(control)
    assert b"Processed" in seen
    assert b"xruns     0" in seen  # the summary, after the screen


# --- the session ---------------------------------------------------------------------------------


def started(stream: FakeStream | None = None, **fields: Any) -> tuple[Session, list[FakeStream]]:
    opened: list[FakeStream] = []

    def open_stream(choice: Choice) -> FakeStream:
        made = stream if stream and not opened else FakeStream(choice.config)
        opened.append(made)
        return made

    config = EngineConfig.preset("cohost")
    session = Session(open_stream, Choice(config=config, preset="cohost", **fields))
    session.start()
    return session, opened


def test_the_keys_know_every_preset() -> None:
    assert sorted(PRESET_KEYS) == preset_names()


def test_a_preset_keeps_rate_and_settings_of_the_command_line() -> None:
    session, opened = started(settings={"agc.target_lufs": "-16"})
    session.use_preset("music-asmr")
    config = opened[0].config
    assert config.highpass.cutoff_hz == 30.0
    assert config.agc.target_lufs == -16.0
    assert session.choice.preset == "music-asmr"


def test_a_stage_that_the_chain_lacks_is_swapped_in() -> None:
    session, opened = started()
    session.toggle_stage("agc")
    assert opened[0].calls[-1] == "set"
    assert not opened[0].config.agc.enabled
    opened[0].set = lambda *_: (_ for _ in ()).throw(  # type: ignore[method-assign]
        ConfigError("agc is not enabled in this engine")
    )
    session.toggle_stage("agc")
    assert opened[0].calls[-1] == "swap"
    assert opened[0].config.agc.enabled


def test_a_second_recording_gets_a_free_name(tmp_path: Path) -> None:
    session, _ = started()
    session.start_recording(tmp_path / "take.wav")
    session.toggle_recording()
    assert session.recording is None
    session.toggle_recording()
    assert session.recording == tmp_path / "take-2.wav"
    assert session.recordings == [tmp_path / "take.wav", tmp_path / "take-2.wav"]


def test_free_path(tmp_path: Path) -> None:
    for name in ("a.wav", "a-2.wav"):
        assert free_path(tmp_path / "a.wav") == tmp_path / name
        (tmp_path / name).touch()
    assert free_path(tmp_path / "a.wav") == tmp_path / "a-3.wav"


def test_events_of_stream_and_monitor_come_once() -> None:
    session, opened = started()
    opened[0].happens("from the stream")
    session.say("from the monitor")
    assert {event.text for event in session.events()} == {"from the stream", "from the monitor"}
    assert session.events() == []
    assert len(session.log) == 2


def test_restart_keeps_chain_and_switches() -> None:
    session, opened = started()
    session.toggle_mute()
    session.toggle_stage("ns")
    session.restart(2, None)
    assert opened[0].calls[-2:] == ["stop", "close"]
    assert opened[1].muted
    assert not opened[1].config.ns.enabled
    assert session.choice.input_device == 2


def test_restart_goes_back_where_the_new_device_fails() -> None:
    session, opened = started(input_device=1)
    original = session._open_stream

    def broken(choice: Choice) -> FakeStream:
        if choice.input_device == 7:
            raise DeviceError("device 7 is busy")
        stream = original(choice)
        assert isinstance(stream, FakeStream)
        return stream

    session._open_stream = broken
    session.restart(7, None)
    assert session.choice.input_device == 1
    assert len(opened) == 2
    assert any(event.text == "device 7 is busy" for event in session.events())


# --- the screen ----------------------------------------------------------------------------------

Scene = Callable[[MonitorApp, "Pilot[int]", FakeStream], Awaitable[None]]
CELL_WIDTH, LINE_HEIGHT = 12.2, 24.4  # of a screenshot
DEVICES = [
    AudioDevice(0, "Built-in", "ALSA", 2, 2, 48000, True, True),
    AudioDevice(4, "USB headset", "ALSA", 1, 2, 48000),
]


def play(scene: Scene, *, size: tuple[int, int] = (80, 24), **options: Any) -> MonitorApp:
    """Play a scene on a screen in memory; nothing moves by itself."""
    session, opened = started()
    app = MonitorApp(session, moving=False, list_devices=lambda: DEVICES, **options)

    async def perform() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await scene(app, pilot, opened[0])

    asyncio.run(perform())
    return app


def screen_of(app: MonitorApp) -> list[str]:
    """Return the lines of the screen, read from its screenshot."""
    pieces = re.findall(
        r'<text class="\S+" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', app.export_screenshot()
    )
    rows = [""] * app.size.height
    for x, y, text in sorted(pieces, key=lambda piece: float(piece[0])):
        row = int(float(y) // LINE_HEIGHT)
        rows[row] = rows[row].ljust(round(float(x) / CELL_WIDTH))
        rows[row] += html.unescape(text).replace("\xa0", " ")
    return rows


def moved(app: MonitorApp, stream: FakeStream, **changes: Any) -> None:
    stream.now = replace(stream.now, **changes)
    app.moment()


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_everything_has_its_place(size: tuple[int, int]) -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        stream.happens("all set")
        app.moment()
        await pilot.pause()
        rows = screen_of(app)
        text = "\n".join(rows)
        assert len(rows) == size[1]
        assert max(map(len, rows)) <= size[0]
        for words in (
            "● running",
            "Room microphone",
            "Desk loudspeaker",
            "All is well.",
            "-12.3",
            "-24.4",
            "target -18",
            "-14.2 dB",
            "-37.0 dB",
            "+6.4 dB",
            "-0.8 dB",
            "speaking",
            "41.6 ms",
            "engine 20.0 ms",
            "p50 6 %  p99 9 %  max 14 %",
            "ERLE 31 dB   delay 63 ms",
            "+12.3 ppm   fill 612/600",
            "all set",
            "1-7 preset",
        ):
            assert words in text, words
        assert rows[-1].rstrip().endswith("q quit")
        if size[1] == 40:
            assert "SCHED_FIFO 20   memory locked   48 kHz" in text
            assert "I -18.9 LUFS" in text

    play(scene, size=size)


@pytest.mark.parametrize("size", [(30, 8), (40, 12), (60, 16), (80, 23), (99, 33), (220, 70)])
def test_any_size_is_drawn(size: tuple[int, int]) -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        await pilot.resize_terminal(*size)
        await pilot.pause()
        app.moment()
        await pilot.pause()
        rows = screen_of(app)
        assert max(map(len, rows)) <= size[0]
        assert "running" in rows[0]

    play(scene)


def test_grey_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        app.moment()
        await pilot.pause()
        picture = app.export_screenshot()
        inks = re.findall(r"-r\d+ \{ fill: #(\w{6})", picture)
        grounds = re.findall(r'<rect fill="#(\w{6})" x="', picture)
        for colour in {*inks, *grounds} - {"c5c8c6"}:  # that one is the picture's own
            assert colour[:2] == colour[2:4] == colour[4:]

    play(scene)


def test_switches_by_key() -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        await pilot.press("b", "m", "h")
        await pilot.pause()
        assert (stream.bypass, stream.muted, stream.monitor) == (True, True, True)
        first = screen_of(app)[0]
        assert all(word in first for word in ("BYPASS", "MUTED", "HEAR", "Muted: nobody"))
        await pilot.press("b", "m", "h")
        assert (stream.bypass, stream.muted, stream.monitor) == (False, False, False)

    play(scene)


@pytest.mark.parametrize(("key", "section"), [("n", "ns"), ("e", "echo"), ("a", "agc")])
def test_stages_by_key(key: str, section: str) -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        await pilot.press(key)
        await pilot.pause()
        assert not getattr(stream.config, section).enabled
        assert sum(" off" in row for row in screen_of(app)) == 2  # the stage, and the event
        await pilot.press(key)
        assert getattr(stream.config, section).enabled

    play(scene)


def test_presets_by_key() -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        for number, name in enumerate(PRESET_KEYS, 1):
            await pilot.press(str(number))
            await pilot.pause()
            assert stream.config == EngineConfig.preset(name)
            assert screen_of(app)[1].rstrip().endswith(name)

    play(scene)


def test_record_by_key(tmp_path: Path) -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        await pilot.press("r")
        await pilot.pause()
        assert "● REC 00:00" in screen_of(app)[0]
        await pilot.press("r")
        await pilot.pause()
        assert "REC" not in screen_of(app)[0]
        assert stream.calls[-2:] == ["record", "stop_recording"]

    play(scene)
    assert len(list(tmp_path.glob("audio-engine-*.wav"))) == 1


def test_snapshot_by_key(tmp_path: Path) -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        await pilot.press("s")
        await pilot.pause()
        assert any("snapshot audio-engine-" in row for row in screen_of(app))

    play(scene)
    (path,) = tmp_path.glob("audio-engine-*.json")
    found = json.loads(path.read_text())
    assert EngineConfig.from_dict(found["config"]) == EngineConfig.preset("cohost")
    assert found["stats"]["xruns"] == 0
    assert found["preset"] == "cohost"


def test_a_deed_that_fails_is_told() -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        stream.fails = {"record": OutputFileError("disk full")}
        await pilot.press("r")
        await pilot.pause()
        assert any("error: disk full" in row for row in screen_of(app))

    play(scene)


def test_help_opens_and_closes() -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        await pilot.press("question_mark")
        await pilot.pause()
        text = "\n".join(screen_of(app))
        assert "bypass: the raw microphone" in text
        assert "nothing needs to be done" in text
        app.moment()  # goes on below
        await pilot.press("q")
        await pilot.pause()
        assert "bypass: the raw microphone" not in "\n".join(screen_of(app))

    assert play(scene).return_value is None


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("ctrl+c", 130)])
def test_keys_that_end_it(key: str, code: int) -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        await pilot.press(key)

    assert play(scene).return_value == code


def test_ctrl_c_ends_it_from_a_dialog() -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        await pilot.press("question_mark", "ctrl+c")

    assert play(scene).return_value == 130


def test_the_time_ends_it() -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        app.moment()

    assert play(scene, seconds=0.0).return_value == 0


def test_a_signal_ends_the_screen() -> None:
    stop = monitor.Stop()

    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        stop.code = 143
        app.moment()

    assert play(scene, stop=stop).return_value == 143


def test_lost_and_recovered() -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        for state, words in (
            ("lost", "✖ lost 3 s  The device is gone."),
            ("recovering", "◌ recovering 3 s  Opening the device"),
            ("running", "● running  All is well."),
        ):
            moved(app, stream, state=state, state_s=3.2)
            await pilot.pause()
            assert words in screen_of(app)[0]
        moved(app, stream, recoveries=1)
        for _ in range(4):
            app.moment()
        await pilot.pause()
        assert any("device lost 1x" in row for row in screen_of(app))

    play(scene)


def test_silence_and_missing_stages_are_drawn() -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        engine = replace(STATS.engine, echo=None, noise=None, agc=None, limiter=None, loudness=None)
        meters = dict.fromkeys(("input", "output", "far"), SILENCE)
        moved(app, stream, engine=engine, clock=None, latency_ms=None, uptime_s=0.0, **meters)
        for _ in range(4):
            app.moment()
        await pilot.pause()
        text = "\n".join(screen_of(app))
        assert "none: one card" in text
        assert text.count(" off") >= 4

    play(scene, size=(120, 40))


def test_devices_by_key() -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        await pilot.press("d")
        await app.workers.wait_for_complete()
        await pilot.pause()
        text = "\n".join(screen_of(app))
        assert "USB headset" in text
        assert "the system's default" in text
        await pilot.press("down", "down", "enter")  # USB headset as microphone
        await pilot.press("enter")  # the default loudspeaker
        await pilot.pause()
        await app.workers.wait_for_complete()
        assert stream.calls[-2:] == ["stop", "close"]
        assert app._session.choice.input_device == "USB headset, ALSA"
        assert app._session.choice.output_device is None

    play(scene)


def test_devices_can_be_left_alone() -> None:
    async def scene(app: MonitorApp, pilot: Pilot[int], stream: FakeStream) -> None:
        await pilot.press("d")
        await app.workers.wait_for_complete()
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert "close" not in stream.calls

    play(scene)


FULL_GAIN = LevelStats(
    gain_db=36.0, voice_gain_db=36.0, speech_loudness_lufs=-60.0, noise_floor_lufs=-70.0
)


# --- advice --------------------------------------------------------------------------------------


def advice(adviser: Adviser, **changes: Any) -> str:
    return adviser.advise(replace(STATS, **changes), EngineConfig()).text


def test_advice_on_a_loud_microphone_stays_readable() -> None:
    adviser = Adviser()
    loud = replace(STATS.input, peak_dbfs=0.0)
    assert "Too loud" in advice(adviser, input=loud)
    assert "Too loud" in advice(adviser, uptime_s=10.0 + 0.9 * STAYS_S)
    assert advice(adviser, uptime_s=10.1 + STAYS_S) == "All is well."


def test_advice_on_a_silent_microphone_waits() -> None:
    adviser = Adviser()
    assert advice(adviser) == "All is well."
    assert advice(adviser, input=SILENCE, uptime_s=12.0) == "All is well."
    assert "Is it on?" in advice(adviser, input=SILENCE, uptime_s=13.5)
    assert advice(adviser, uptime_s=13.6) == "All is well."


def test_advice_on_breaks_counts_those_of_ten_seconds() -> None:
    adviser = Adviser()
    assert advice(adviser, xruns=XrunStats(late_callbacks=5)) == "All is well."
    assert "3 times" in advice(adviser, xruns=XrunStats(late_callbacks=8), uptime_s=11.0)
    assert "once" in advice(adviser, xruns=XrunStats(late_callbacks=9), uptime_s=20.9 + 0.2)
    assert (
        advice(adviser, xruns=XrunStats(late_callbacks=9), uptime_s=21.2 + XRUNS_SEEN_S)
        == "All is well."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "lost"}, "goes on by itself"),
        ({"muted": True}, "Muted"),
        ({"bypass": True}, "raw microphone"),
        ({"load": replace(STATS.load, shed_level=5)}, "too slow: noise is not removed"),
        ({"engine": replace(STATS.engine, agc=FULL_GAIN)}, "very quiet"),
    ],
)
def test_advice(changes: dict[str, Any], words: str) -> None:
    assert words in advice(Adviser(), **changes)


# --- paint ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [0.0, 0.01, 0.3, 0.5, 0.99, 1.0])
def test_a_bar_has_its_width_and_its_share(parts: float) -> None:
    line = bar(parts, 40, "out", ghost=0.75, ghost_ink="out-ghost")
    assert width_of(line) == 40
    full = sum(ink == "text on out" for _, ink in line)
    assert full == int(parts * 40)


def test_a_centred_bar_grows_to_both_sides() -> None:
    for value, left, right in ((0.5, 0, 5), (-0.5, 5, 0), (1.0, 0, 10), (0.0, 0, 0)):
        text = "".join(part for part, _ in centred_thread(value, 21, "out"))
        assert len(text) == 21
        assert (text[:10].count("━"), text[11:].count("━")) == (left, right)


def test_marks_keep_the_ground() -> None:
    line = bar(0.5, 10, "out")
    mark(line, 0.2, "┃", "bright")
    mark(line, 1.0, "┃", "bright")
    assert line[2] == ("┃", "bright on out")
    assert line[9] == ("┃", "bright on track")


def test_text_is_fitted_to_cells() -> None:
    assert fit("abc", 5) == "abc  "
    assert fit("abcdef", 5) == "abcd…"
    assert fit("マイク入力", 5) == "マイ…"
    assert fit("a\x1b[31mb", 8) == "a [31mb "
    assert width_of(rule("Title", 40, [("right", "dim")])) == 40
    assert width_of(rule("Title", 12, [("right", "dim")])) == 12


def test_share_survives_what_meters_give() -> None:
    assert share(-np.inf, -60.0, 0.0) == 0.0
    assert share(np.inf, -60.0, 0.0) == 1.0
    assert share(np.nan, -60.0, 0.0) == 0.0


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000, 96000])
@pytest.mark.parametrize("bands", [2, 6, 24, 60])
def test_bands_rise_and_stay_inside(bands: int, rate_hz: int) -> None:
    edges = band_edges(bands, 2049, rate_hz)
    assert len(edges) == bands + 1
    assert np.all(np.diff(edges) >= 1)
    assert edges[-1] <= 2048


def test_a_tone_lights_its_band_alone() -> None:
    spectrum = np.full(2049, -120.0)
    spectrum[round(1000 / 24000 * 2048)] = -20.0
    found = shades(spectrum, band_edges(12, 2049, 48000))
    assert list(np.nonzero(found)[0]) == [5]  # 1 kHz: 12 log(1000/70)/log(16000/70) = 5.9
    assert found[5] == SHADES - 1
    assert frequency_label(3, 6) == "1k"

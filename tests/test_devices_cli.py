"""The command ``devices``: what it lists, what it says after a test, and its exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import audio_engine.io.live.devices as live_devices
import audio_engine.io.live.round_trip as live_round_trip
from audio_engine.cli.main import app
from audio_engine.errors import DeviceError
from audio_engine.io.live.devices import AudioDevice
from audio_engine.io.live.round_trip import RoundTripStats

BUILT_IN = AudioDevice(0, "Built-in", "ALSA", 2, 2, 48000, True, True)
USB = AudioDevice(3, "USB microphone", "ALSA", 1, 0, 44100)
HEARD = RoundTripStats(
    input_device="Built-in",
    output_device="Built-in",
    heard=True,
    round_trip_ms=63.4,
    played_dbfs=-26.0,
    heard_dbfs=-38.5,
    noise_dbfs=-61.0,
    sample_rate_hz=48000,
    one_clock=True,
    interrupted=False,
)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Put two devices there, and an answer to the test."""
    given: dict[str, Any] = {"answer": HEARD}

    def measure(capture: AudioDevice, render: AudioDevice) -> RoundTripStats:
        given["pair"] = (capture.name, render.name)
        answer: RoundTripStats = given["answer"]
        return answer

    monkeypatch.setattr(live_devices, "list_devices_isolated", lambda: [BUILT_IN, USB])
    monkeypatch.setattr(live_round_trip, "measure_round_trip", measure)
    return given


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["devices", *arguments])
    assert "Traceback" not in result.output
    return result


def test_the_table_marks_the_defaults() -> None:
    result = run()
    assert result.exit_code == 0
    head, built_in, usb = result.stdout.splitlines()
    assert head.split() == ["default", "device", "interface", "number", "in", "out", "kHz"]
    assert built_in.split() == ["mic", "speaker", "Built-in", "ALSA", "0", "2", "2", "48"]
    assert usb.split() == ["USB", "microphone", "ALSA", "3", "1", "-", "44.1"]


def test_json_is_one_document() -> None:
    found = json.loads(run("--json").stdout)
    assert [item["name"] for item in found["devices"]] == ["Built-in", "USB microphone"]
    assert found["devices"][0]["is_default_input"] is True
    assert "test" not in found


def test_a_test_tells_what_was_heard(asked: dict[str, Any]) -> None:
    result = run("--test", "--input-device", "usb")
    assert asked["pair"] == ("USB microphone", "Built-in")
    assert result.exit_code == 0
    assert "after 63.4 ms, at -38.5 dBFS (12.5 dB quieter" in result.stdout
    assert "playing two quiet sweeps on Built-in" in result.stderr


@pytest.mark.parametrize(
    ("changes", "words", "code"),
    [
        ({"heard": False, "round_trip_ms": None}, "does not hear", 1),
        ({"heard": False, "noise_dbfs": -120.0}, "not even noise", 1),
        ({"one_clock": False}, "two clocks", 0),
        ({"heard_dbfs": -20.0}, "6.0 dB louder", 0),
    ],
)
def test_other_answers(
    asked: dict[str, Any], changes: dict[str, Any], words: str, code: int
) -> None:
    asked["answer"] = replace(HEARD, **changes)
    result = run("--test", "--quiet")
    assert result.exit_code == code
    assert words in result.stdout


def test_an_interrupted_test_warns(asked: dict[str, Any]) -> None:
    asked["answer"] = replace(HEARD, interrupted=True)
    result = run("--test", "--json")
    assert "test again" in result.stderr
    assert json.loads(result.stdout)["test"]["round_trip_ms"] == 63.4


def test_no_device_is_one_line_and_exit_4(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> list[AudioDevice]:
        raise DeviceError("PortAudio is missing; apt install libportaudio2")

    monkeypatch.setattr(live_devices, "list_devices_isolated", nothing)
    result = run()
    assert result.exit_code == 4
    assert result.stderr == "error: PortAudio is missing; apt install libportaudio2\n"
    assert result.stdout == ""


def test_a_device_that_is_not_there_is_exit_4() -> None:
    result = run("--test", "--output-device", "Bluetooth")
    assert result.exit_code == 4
    assert "Bluetooth" in result.stderr


def test_devices_without_a_test_are_refused() -> None:
    assert run("--input-device", "usb").exit_code == 2

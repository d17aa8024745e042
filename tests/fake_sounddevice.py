"""A sounddevice without a sound system: two devices, and whatever a test breaks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from audio_engine.io.live.devices import AudioDevice

FAKE = """
import time

class PortAudioError(Exception):
    pass

class default:
    hostapi = 1

APIS = (
    dict(name="ALSA", default_input_device=-1, default_output_device=0),
    dict(name="JACK", default_input_device=1, default_output_device=1),
)
DEVICES = [
    dict(name="speaker", hostapi=0, max_input_channels=0, max_output_channels=2,
         default_samplerate=44100.0),
    dict(name="room", hostapi=1, max_input_channels=1, max_output_channels=1,
         default_samplerate=48000.0),
]

def query_hostapis():
    return APIS

def query_devices():
    return DEVICES

{more}
"""
TWO = [
    AudioDevice(0, "speaker", "ALSA", 0, 2, 44100),
    AudioDevice(1, "room", "JACK", 1, 1, 48000, True, True),
]


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, more: str = "") -> None:
    """Make `import sounddevice` find the fake one, here and in a child; `more` ends its source."""
    (folder / "sounddevice.py").write_text(FAKE.replace("{more}", more), encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # so that it is restored afterwards
    del sys.modules["sounddevice"]

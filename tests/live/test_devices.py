"""`io.live.devices`: the device that a user means, and one clear line where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audio_engine.errors import DeviceError
from audio_engine.io.live.devices import (
    AudioDevice,
    Kind,
    find_device,
    list_devices,
    list_devices_isolated,
    same_card,
)
from audio_engine.io.quiet import silent_stderr
from fake_sounddevice import TWO, install

ALSA, JACK = "ALSA", "JACK Audio Connection Kit"
LAPTOP = [
    AudioDevice(0, "HDA Intel PCH: ALC3246 Analog (hw:0,0)", ALSA, 2, 2, 44100),
    AudioDevice(1, "HDA Intel PCH: HDMI 0 (hw:0,3)", ALSA, 0, 8, 44100),
    AudioDevice(2, "USB Audio: - (hw:1,0)", ALSA, 1, 2, 48000),
    AudioDevice(3, "pulse", ALSA, 32, 32, 44100),
    AudioDevice(4, "default", ALSA, 32, 32, 44100, True, True),
    AudioDevice(5, "USB Audio: - (hw:1,0)", JACK, 1, 2, 48000),
    AudioDevice(6, "system", JACK, 2, 2, 48000),
    AudioDevice(7, "2", JACK, 1, 1, 48000),
]


# --- finding -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "kind", "index"),
    [
        (None, "input", 4),
        (1, "output", 1),
        ("1", "output", 1),
        (" 6 ", "input", 6),
        ("hdmi", "output", 1),
        ("ANALOG", "input", 0),
        ("Default", "output", 4),
        ("usb", "input", 2),  # of two, the one of the default host interface
        ("USB Audio: - (hw:1,0)", "output", 2),
        ("usb audio: - (hw:1,0), jack audio connection kit", "output", 5),
        ("system", "output", 6),
        ("2", "output", 2),  # a number before a name
    ],
)
def test_number_name_and_part_find_the_device(
    wanted: int | str | None, kind: Kind, index: int
) -> None:
    assert find_device(wanted, kind, LAPTOP).index == index


@pytest.mark.parametrize(
    ("wanted", "kind", "complaint"),
    [
        (9, "input", "there is no device 9; take one of: 0 HDA Intel PCH: ALC3246 Analog"),
        ("9", "input", "no device that records is called '9'; take one of: 0 HDA"),
        (1, "input", "device 1 HDA Intel PCH: HDMI 0 (hw:0,3) (ALSA) does not record; take one of"),
        ("HDMI", "input", "does not record; take one of"),
        ("piano", "output", "no device that plays is called 'piano'; take one of: 0 HDA"),
        ("", "output", "no device that plays is called ''; take one of"),
        ("hw:", "output", "'hw:' fits 4 devices; take one of: 0 HDA"),
        ("nobody", "output", "(ALSA) and 4 more"),
    ],
)
def test_what_fits_nothing_or_too_much_is_one_line(
    wanted: int | str, kind: Kind, complaint: str
) -> None:
    with pytest.raises(DeviceError) as caught:
        find_device(wanted, kind, LAPTOP)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_default_the_first_that_can_is_taken() -> None:
    devices = LAPTOP[:3]
    assert find_device(None, "output", devices[1:]).index == 1
    assert find_device(None, "input", devices[1:]).index == 2
    with pytest.raises(DeviceError, match="no device records; plug one in"):
        find_device(None, "input", devices[1:2])
    with pytest.raises(DeviceError, match="there is no sound device"):
        find_device(None, "input", [])


@pytest.mark.parametrize(
    ("capture", "render", "one_clock"),
    [
        (0, 0, True),
        (0, 1, True),
        (0, 2, False),
        (0, 4, False),
        (2, 5, False),
        (3, 4, False),
        (4, 4, True),
        (5, 6, True),
    ],
)
def test_one_card_is_one_clock(capture: int, render: int, one_clock: bool) -> None:
    assert same_card(LAPTOP[capture], LAPTOP[render]) is one_clock


# --- listing -------------------------------------------------------------------------------------


def test_the_list_says_what_portaudio_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)
    assert list_devices() == TWO
    assert list_devices_isolated() == TWO
    assert find_device(None, "input") == TWO[1]


MISSING = "PortAudio is missing.*apt install libportaudio2"


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ('raise OSError("PortAudio library not found")', MISSING),
        ('raise OSError("libportaudio.so: wrong ELF class")', "cannot be loaded: libportaudio"),
        ('raise ImportError("No module named _sounddevice")', "pip install sounddevice"),
        ('raise PortAudioError("Internal error")', "PortAudio does not start: Internal error"),
        ("DEVICES.clear()\nAPIS = ()", "there is no sound device; plug one in or start"),
        (
            "def query_devices():\n    raise PortAudioError('gone')",
            "PortAudio cannot list the devices: gone",
        ),
    ],
)
def test_no_sound_system_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, complaint: str
) -> None:
    install(tmp_path, monkeypatch, more)
    for listing in (list_devices, list_devices_isolated):
        with pytest.raises(DeviceError, match=complaint) as caught:
            listing()
        assert "\n" not in str(caught.value)


def test_a_sound_system_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "time.sleep(60)")
    start_s = time.monotonic()
    with pytest.raises(DeviceError, match=r"did not answer within 0\.3 s"):
        list_devices_isolated(0.3)
    assert time.monotonic() - start_s < 3.0


@pytest.mark.parametrize("ignore", [False, True])
def test_a_sound_system_that_hangs_at_the_end_has_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignore: bool
) -> None:
    hang = "import atexit, signal\natexit.register(time.sleep, 60)\n"
    block = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n"
    install(tmp_path, monkeypatch, hang + block * ignore)
    start_s = time.monotonic()
    assert list_devices_isolated(2.0) == TWO
    assert time.monotonic() - start_s < 5.0


def test_a_sound_system_that_kills_its_client_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "import os\nos.abort()")
    with pytest.raises(DeviceError, match="exit status -6"):
        list_devices_isolated()


def test_chatter_does_not_disturb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    chatter = "import os, sys\nos.write(1, b'jack: hello'); os.write(2, b'ALSA lib pcm.c: no')"
    install(tmp_path, monkeypatch, chatter)
    assert list_devices_isolated() == TWO
    assert capfd.readouterr() == ("", "")
    assert list_devices() == TWO
    assert capfd.readouterr().err == ""
    os.write(2, b"loud again")
    assert capfd.readouterr().err == "loud again"


def test_silence_works_without_stderr() -> None:
    program = (
        "import os\nos.close(2)\n"
        "from audio_engine.io.quiet import silent_stderr\n"
        "with silent_stderr():\n    print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.stdout == b"fine\n"


def test_silence_ends_with_an_error_too(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="x"), silent_stderr():
        raise ValueError("x")
    os.write(2, b"loud")
    assert capfd.readouterr().err == "loud"


def test_the_package_loads_without_sounddevice() -> None:
    program = (
        "import sys\nsys.modules['sounddevice'] = None\n"
        "import audio_engine.io.live.devices, audio_engine.io.live.round_trip\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

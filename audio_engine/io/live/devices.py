"""The sound devices of the machine: list them, and find the one that a user means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from audio_engine.errors import DeviceError
from audio_engine.io.live.isolated import run_isolated
from audio_engine.io.quiet import silent_stderr

Kind = Literal["input", "output"]

_ALSA_CARD = re.compile(r"\(hw:([^,)]+)")
_SHOWN = 4  # candidates that fit in a message


@dataclass(frozen=True, slots=True)
class AudioDevice:
    """A sound device as PortAudio lists it.

    Attributes
    ----------
    index : int
        PortAudio's number; another process, or this one later, may number anew.
    name, host_api : str
        For example ``USB Audio: - (hw:1,0)`` of ``ALSA``.
    input_channels, output_channels : int
        At most; 0 where it does not record (play).
    default_sample_rate_hz : int
        What the device likes best.
    is_default_input, is_default_output : bool
        True for what None means.
    """

    index: int
    name: str
    host_api: str
    input_channels: int
    output_channels: int
    default_sample_rate_hz: int
    is_default_input: bool = False
    is_default_output: bool = False

    def channels(self, kind: Kind) -> int:
        """Return the channels of one direction."""
        return self.input_channels if kind == "input" else self.output_channels

    def is_default(self, kind: Kind) -> bool:
        """Tell whether this is the default of one direction."""
        return self.is_default_input if kind == "input" else self.is_default_output

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.index} {self.name} ({self.host_api})"


def list_devices() -> list[AudioDevice]:
    """Return the devices as PortAudio saw them when this process first used it.

    Raises
    ------
    DeviceError
        If PortAudio is missing, does not start, or knows no device.
    """
    with silent_stderr():
        sounddevice = import_sounddevice()
        try:
            apis = sounddevice.query_hostapis()
            found = sounddevice.query_devices()
            default_api = int(sounddevice.default.hostapi) if found else -1
        except sounddevice.PortAudioError as error:
            raise DeviceError(f"PortAudio cannot list the devices: {error}") from None
    default_of = {
        kind: apis[default_api][f"default_{kind}_device"] if found else -1
        for kind in ("input", "output")
    }
    devices = [
        AudioDevice(
            index=index,
            name=str(item["name"]),
            host_api=str(apis[item["hostapi"]]["name"]),
            input_channels=int(item["max_input_channels"]),
            output_channels=int(item["max_output_channels"]),
            default_sample_rate_hz=round(item["default_samplerate"]),
            is_default_input=index == default_of["input"],
            is_default_output=index == default_of["output"],
        )
        for index, item in enumerate(found)
    ]
    _check_any(devices)
    return devices


def list_devices_isolated(timeout_s: float = 5.0) -> list[AudioDevice]:
    """Return the devices that are there now, asked in a child process that cannot hang us.

    Raises
    ------
    DeviceError
        As `list_devices`, and if the sound system does not answer in time.
    """
    found = run_isolated(device_dictionaries, timeout_s)
    return [AudioDevice(**values) for values in found]


def device_dictionaries() -> list[dict[str, Any]]:
    """Return `list_devices` as JSON takes it."""
    return [device.to_dict() for device in list_devices()]


def find_device(
    wanted: int | str | None, kind: Kind, devices: Sequence[AudioDevice] | None = None
) -> AudioDevice:
    """Find the device that a user means.

    Parameters
    ----------
    wanted : int, str or None
        A number, a name, or a part of one (case does not matter; ``name, host api`` works too).
        None is the default device.
    kind : str
        ``input`` or ``output``.
    devices : sequence of AudioDevice, optional
        Where to look; default is `list_devices`.

    Returns
    -------
    AudioDevice
        Where several names fit, an exact one is preferred, then one of the default host
        interface.

    Raises
    ------
    DeviceError
        If none fits or several do.
    """
    devices = list_devices() if devices is None else devices
    _check_any(devices)
    usable = [device for device in devices if device.channels(kind)]
    if not usable:
        raise DeviceError(f"no device {_verb(kind)}; plug one in, `audio-engine devices` lists all")
    if wanted is None:
        return next((device for device in usable if device.is_default(kind)), usable[0])
    if isinstance(wanted, int) or wanted.strip().isdecimal():
        number = int(wanted)
        match = next((device for device in devices if device.index == number), None)
        if match in usable and match is not None:
            return match
        if match is not None:
            raise DeviceError(f"device {match} does not {_verb(kind)[:-1]}; {_choices(usable)}")
        if isinstance(wanted, int):
            raise DeviceError(f"there is no device {number}; {_choices(usable)}")
    return _by_name(str(wanted), kind, devices, usable)


def same_card(capture: AudioDevice, render: AudioDevice) -> bool:
    """Tell whether two devices run on one clock, so that one duplex stream serves both.

    True for one and the same device, for two of a JACK server, and for two of the same ALSA
    hardware card. Otherwise they are taken to be two clocks, which is right or does no harm.
    """
    if capture.host_api != render.host_api:
        return False
    if capture.index == render.index or "JACK" in capture.host_api:
        return True
    cards = [_ALSA_CARD.search(device.name) for device in (capture, render)]
    return all(cards) and len({card.group(1) for card in cards if card}) == 1


def import_sounddevice() -> Any:
    """Import sounddevice, which loads and starts PortAudio.

    Raises
    ------
    DeviceError
        If PortAudio is missing or does not start.
    """
    try:
        import sounddevice
    except OSError as error:
        if "library not found" not in str(error):
            raise DeviceError(f"PortAudio cannot be loaded: {error}") from None
        raise DeviceError(
            "PortAudio is missing, which live audio needs; install it, on Debian and Ubuntu: "
            "apt install libportaudio2"
        ) from None
    except ImportError as error:
        raise DeviceError(f"{error}; install it: pip install sounddevice") from None
    except Exception as error:  # PortAudioError, whose class cannot be imported now
        raise DeviceError(f"PortAudio does not start: {error}") from None
    return sounddevice


def _check_any(devices: Sequence[AudioDevice]) -> None:
    if not devices:
        raise DeviceError(
            "there is no sound device; plug one in or start a sound server (JACK, or PipeWire and "
            "PulseAudio with the package libasound2-plugins); a recording needs none"
        )


def _by_name(
    wanted: str, kind: Kind, devices: Sequence[AudioDevice], usable: Sequence[AudioDevice]
) -> AudioDevice:
    matches = _matches(wanted, usable)
    if not matches:
        others = _matches(wanted, devices)
        if others:
            raise DeviceError(f"device {others[0]} does not {_verb(kind)[:-1]}; {_choices(usable)}")
        raise DeviceError(f"no device that {_verb(kind)} is called {wanted!r}; {_choices(usable)}")
    if len(matches) > 1:
        default_apis = {d.host_api for d in devices if d.is_default_input or d.is_default_output}
        preferred = [device for device in matches if device.host_api in default_apis]
        matches = preferred if len(preferred) == 1 else matches
    if len(matches) > 1:
        raise DeviceError(
            f"{wanted!r} fits {len(matches)} devices; {_choices(matches)} (a number will do)"
        )
    return matches[0]


def _matches(wanted: str, devices: Sequence[AudioDevice]) -> list[AudioDevice]:
    """Return devices of exactly that name; without one, those that contain it."""
    text = wanted.strip().casefold()
    names = [
        (device, device.name.casefold(), f"{device.name}, {device.host_api}".casefold())
        for device in devices
    ]
    exact = [device for device, name, full in names if text in (name, full)]
    return exact or [device for device, _, full in names if text and text in full]


def _verb(kind: Kind) -> str:
    return "records" if kind == "input" else "plays"


def _choices(devices: Sequence[AudioDevice]) -> str:
    more = f" and {len(devices) - _SHOWN} more" if len(devices) > _SHOWN else ""
    return f"take one of: {'; '.join(map(str, devices[:_SHOWN]))}{more}"

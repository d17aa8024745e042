"""What the commands that listen have in common: names and numbers of devices, or a file instead."""

from __future__ import annotations

from pathlib import Path

from audio_engine.errors import ConfigError


def device_choice(text: str | None) -> str | int | None:
    """Return a device as it was named: by its number, a part of its name, or not at all."""
    return int(text) if text is not None and text.isdecimal() else text


def check_simulated(simulate: Path | None, *devices: str | None) -> None:
    """Raise `ConfigError` if devices are named where a file is the microphone."""
    if simulate is not None and any(each is not None for each in devices):
        raise ConfigError(
            "--simulate needs no devices; leave --input-device and --output-device out"
        )

"""What is installed: the package, the kernel build in use, PortAudio if there is one."""

from __future__ import annotations

import importlib.metadata
import os
from contextlib import suppress

from audio_engine._native import kernel_build

DISTRIBUTION = "liveroom-audio-engine"


def versions() -> dict[str, str | None]:
    """Return the versions by name; PortAudio is None where it is missing."""
    try:
        package = importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        package = "0+unknown"
    return {
        "audio-engine": package,
        "kernels": kernel_build(),
        "portaudio": _portaudio_version(),
    }


def _portaudio_version() -> str | None:
    """Ask PortAudio, with its host interfaces' chatter on stderr silenced."""
    saved, silent = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    try:
        with suppress(Exception):  # no library, no sound system: a version must not fail
            import sounddevice

            return str(sounddevice.get_portaudio_version()[1])
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(silent)
    return None

"""What is installed: the package, the kernel build in use, PortAudio if there is one."""

from __future__ import annotations

import importlib.metadata
from contextlib import suppress

from audio_engine._native import kernel_build
from audio_engine.io.quiet import silent_stderr

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
    with silent_stderr(), suppress(Exception):  # no library, no sound: a version must not fail
        import sounddevice

        return str(sounddevice.get_portaudio_version()[1])
    return None

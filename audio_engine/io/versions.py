"""What is installed: the package, the kernel build in use, PortAudio if there is one."""

from __future__ import annotations

import importlib.metadata
from contextlib import suppress

from audio_engine._native import kernel_build
from audio_engine.io.quiet import silent_stderr

DISTRIBUTION = "liveroom-audio-engine"


def package_version() -> str:
    """Return the version of the package alone, which opens no library."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        return "0+unknown"


def kernel_version() -> str:
    """Return which build of the kernels runs here; another one may round differently."""
    return kernel_build()


def versions() -> dict[str, str | None]:
    """Return the versions by name; PortAudio is None where it is missing."""
    return {
        "audio-engine": package_version(),
        "kernels": kernel_version(),
        "portaudio": _portaudio_version(),
    }


def _portaudio_version() -> str | None:
    with silent_stderr(), suppress(Exception):  # no library, no sound: a version must not fail
        import sounddevice

        return str(sounddevice.get_portaudio_version()[1])
    return None

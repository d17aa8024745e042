"""What a software device needs from the machine, and the reason to skip where it is not there."""

from __future__ import annotations

import ctypes.util
import functools
import os
import shutil
import subprocess
from pathlib import Path

HINT = "tools/system.sh install test"


def compiler() -> list[str]:
    """Name the C compiler, with the arguments that CC may carry."""
    return (os.environ.get("CC") or "cc").split()


@functools.cache
def missing_for_card() -> str | None:
    """Say what keeps the software card from being used; None when nothing does."""
    if ctypes.util.find_library("portaudio") is None:
        return f"no PortAudio (Debian: libportaudio2; {HINT})"
    if shutil.which(compiler()[0]) is None:
        return f"no C compiler ({compiler()[0]}) for the software sound card"
    probe = [*compiler(), "-E", "-x", "c", "-o", os.devnull, "-"]
    header = "#include <alsa/asoundlib.h>\n#include <alsa/pcm_external.h>\n"
    if subprocess.run(probe, input=header, text=True, capture_output=True, check=False).returncode:
        return f"no ALSA headers for the software sound card (Debian: libasound2-dev; {HINT})"
    return None


@functools.cache
def missing_for_jack() -> str | None:
    """Say what keeps the JACK server from being used; None when nothing does."""
    if ctypes.util.find_library("portaudio") is None:
        return f"no PortAudio (Debian: libportaudio2; {HINT})"
    if shutil.which("jackd") is None or ctypes.util.find_library("jack") is None:
        return f"no JACK server (Debian: jackd2; {HINT})"
    if shutil.which("jack_lsp") is None:
        return "no jack_lsp (Debian 12: jackd2; later: jack-example-tools)"
    return None


@functools.cache
def may_run_realtime() -> bool:
    """Tell whether a process of ours gets a real-time priority."""
    chrt = shutil.which("chrt")
    probe = [chrt or "chrt", "-f", "1", "true"]
    return (
        chrt is not None and not subprocess.run(probe, capture_output=True, check=False).returncode
    )


def build_plugin(source: Path, build: Path) -> Path:
    """Compile the ALSA plug-in, once for as long as its source does not change."""
    library = build / "libasound_module_pcm_soft_card.so"
    if library.exists() and library.stat().st_mtime > source.stat().st_mtime:
        return library
    build.mkdir(parents=True, exist_ok=True)
    made = build / f"{library.name}.{os.getpid()}"
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-DPIC", "-shared"]
    command = [*compiler(), *flags, "-o", str(made), str(source), "-lasound", "-lm"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{result.stderr}")
    made.replace(library)
    return library

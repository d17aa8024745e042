"""The kernel build in use: chosen at import, with its status codes turned into exceptions.

Set ``AUDIO_ENGINE_KERNELS`` to ``baseline`` or
``v3`` before the import to choose the kernel build by hand.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

import audio_engine._kernels as baseline
from audio_engine.errors import AudioEngineError, ConfigError

AudioArray = NDArray[np.float32]


def _choose_build() -> Any:
    wanted = os.environ.get("AUDIO_ENGINE_KERNELS", "")
    if wanted not in {"", "baseline", "v3"}:
        raise ConfigError(f"AUDIO_ENGINE_KERNELS={wanted!r} is not known; use baseline or v3")
    has_v3 = bool(baseline.lib.ae_cpu_has_v3())
    if wanted == "baseline" or not (wanted or has_v3):
        return baseline
    if not has_v3:
        raise ConfigError("AUDIO_ENGINE_KERNELS=v3, but this processor has no AVX2; use baseline")
    try:
        from audio_engine import _kernels_x86_64_v3
    except ImportError:
        if wanted:
            raise ConfigError("AUDIO_ENGINE_KERNELS=v3, but that build is not installed") from None
        return baseline
    return _kernels_x86_64_v3


_build = _choose_build()
ffi, lib = _build.ffi, _build.lib


def kernel_build() -> str:
    """Return the instruction set of the kernels in use: ``baseline`` or ``x86-64-v3``."""
    return str(ffi.string(lib.ae_kernel_build()).decode())


def allocation_count() -> int:
    """Return how many allocations the C core has made on this thread."""
    return int(lib.ae_allocation_count())


def block_frames(sample_rate_hz: int) -> int:
    """Return the frames of one internal 10 ms block."""
    return int(lib.ae_block_frames(sample_rate_hz))


def check(status: int, what: str) -> None:
    """Raise the exception that belongs to a C status."""
    if status == lib.AE_OK:
        return
    text = f"{what}: {ffi.string(lib.ae_status_text(status)).decode()}"
    if status == lib.AE_ERROR_ARGUMENT:
        raise ConfigError(text)
    if status == lib.AE_ERROR_MEMORY:
        raise MemoryError(text)
    raise AudioEngineError(text)


def pointer(audio: AudioArray) -> Any:
    """Return a C pointer to a C-contiguous float32 array, which must be kept alive meanwhile."""
    return ffi.from_buffer("float[]", audio.data)


class PlanarRows:
    """A planar copy of interleaved audio and the array of row pointers that C wants."""

    __slots__ = ("pointers", "rows")

    def __init__(self, rows: AudioArray) -> None:
        self.rows = rows
        self.pointers = ffi.new("float *[]", [pointer(row) for row in rows])


def planar_rows(audio: AudioArray) -> PlanarRows:
    """Return audio of shape (frames, channels) as rows, one per channel, with their pointers."""
    return PlanarRows(np.array(audio.T, order="C"))

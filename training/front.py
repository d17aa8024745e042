"""The classical suppressor, run over mixed spectra: the nets hear what it leaves."""

from __future__ import annotations

import ctypes
import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.echo_net.features import compile_library
from training.spectrum import BINS, Array, shape

LIMIT_DB = 10.0  # how far the classical stages turn noise down where a net goes on


@functools.cache
def _library() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "front.so"
        compile_library(
            path, Path(__file__).with_suffix(".c"), "-march=native", without="ae_suppressor"
        )
        return ctypes.CDLL(str(path))


def front(mixed: Array, level: float) -> tuple[Array, Array]:
    """Return the power that is heard, hum taken out, and what the classical stages leave.

    Parameters
    ----------
    mixed : ndarray, shape (hops, 256, 2)
        Real and imaginary parts of the bins to 8 kHz.
    level : float
        What to multiply them by to have what the microphone gives, full scale 1.

    Returns
    -------
    before, after : ndarrays of float32, shapes (hops, 256) and (hops, 256, 2)
        In the scale of `mixed`.
    """
    mixed = np.ascontiguousarray(mixed, np.float32)
    before, after = np.empty(mixed.shape[:2], np.float32), np.empty_like(mixed)
    planes = (ctypes.c_void_p(plane.ctypes.data) for plane in (before, after))
    status = _library().front(
        ctypes.c_void_p(mixed.ctypes.data), len(mixed), ctypes.c_float(level),
        ctypes.c_float(LIMIT_DB), *planes,
    )  # fmt: skip
    if status != 0:
        raise MemoryError(f"front gave status {status}")
    return before, after


@dataclass(frozen=True)
class SceneFront:
    """What the classical stages make of a microphone beside a loudspeaker, per hop and bin.

    after, target : ndarrays of float32, shape (hops, 256, 2)
        What they leave, and the spectrum of the near end as it should be.
    before, echo, far : ndarrays of float32, shape (hops, 256)
        Power that is heard, that of the linear echo estimate, that of the far end behind the delay.
    """

    after: Array
    target: Array
    before: Array
    echo: Array
    far: Array


def front_scene(capture: Array, far_end: Array, wanted: Array) -> SceneFront:
    """Run echo filter, echo stage and noise stage over a scene at 16 kHz, whole hops of 160."""
    hops = len(capture) // 160
    signals = [np.ascontiguousarray(x, np.float32) for x in (capture, far_end, wanted)]
    before, echo, far = (np.empty((hops, BINS), np.float32) for _ in range(3))
    after, target = (np.empty((hops, BINS, 2), np.float32) for _ in range(2))
    heard = [ctypes.c_void_p(x.ctypes.data) for x in signals]
    kept = [ctypes.c_void_p(x.ctypes.data) for x in (before, echo, far, after, target)]
    status = _library().front_scene(*heard, hops, ctypes.c_float(LIMIT_DB), *kept)
    if status != 0:
        raise MemoryError(f"front_scene gave status {status}")
    return SceneFront(after, target, before, echo, far)


@dataclass(frozen=True)
class SignalFront:
    """What the classical stages make of a signal, per hop and bin, at any rate.

    after : ndarray of complex64, shape (hops, bins)
        What they leave.
    before, gain : ndarrays of float32, shape (hops, bins)
        Power that is heard, and what they multiply by.
    """

    after: Array
    before: Array
    gain: Array


def front_signal(x: Array, rate_hz: int, limit_db: float = LIMIT_DB) -> SignalFront:
    """Run hum and noise stage over a signal of whole hops."""
    hop, _, size = shape(rate_hz)
    hops, bins = len(x) // hop, size // 2 + 1
    x = np.ascontiguousarray(x, np.float32)
    after = np.empty((hops, bins), np.complex64)
    before, gain = (np.empty((hops, bins), np.float32) for _ in range(2))
    heard, *kept = (ctypes.c_void_p(plane.ctypes.data) for plane in (x, before, gain, after))
    status = _library().front_signal(heard, hops, rate_hz, ctypes.c_float(limit_db), *kept)
    if status != 0:
        raise MemoryError(f"front_signal gave status {status}")
    return SignalFront(after, before, gain)

"""Audio arrays at the door: any sensible dtype and layout in, C-contiguous float32 inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audio_engine.errors import FormatError

AudioArray = NDArray[np.float32]


def as_audio(audio: ArrayLike, channels: int, name: str = "audio") -> AudioArray:
    """Return audio as C-contiguous float32 of shape (frames, channels); the input is not modified.

    Parameters
    ----------
    audio : array_like, shape (frames,) or (frames, channels)
        float32, float64 (full scale +-1.0), int16 or int32 (full scale +-2^15, +-2^31).
    channels : int
        Channels wanted. A one-dimensional array is one channel.
    name : str
        What the error message calls it.

    Raises
    ------
    FormatError
        If the shape or the dtype does not fit.
    """
    values = np.asarray(audio)
    if values.ndim == 1:
        values = values[:, np.newaxis]
    if values.ndim != 2 or values.shape[1] != channels:
        wanted = "(frames,) or (frames, 1)" if channels == 1 else f"(frames, {channels})"
        raise FormatError(f"{name} has shape {np.shape(audio)}; {wanted} is expected")
    return as_float32(values, name)


def as_float32(values: NDArray[np.generic], name: str = "audio") -> AudioArray:
    """Return samples as C-contiguous float32 with full scale +-1.0, of any shape."""
    if values.dtype in (np.int16, np.int32):
        scale = np.float32(2.0 ** (1 - 8 * values.dtype.itemsize))
        return np.ascontiguousarray(values.astype(np.float32) * scale)
    if values.dtype not in (np.float32, np.float64):
        raise FormatError(
            f"{name} has dtype {values.dtype}; float32, float64, int16 or int32 is expected"
        )
    with np.errstate(over="ignore"):  # 1e300 becomes Inf here and silence at the kernels' door
        return np.ascontiguousarray(values, dtype=np.float32)


def channel_count(audio: ArrayLike, name: str = "audio") -> int:
    """Return the channels of an array of shape (frames,) or (frames, channels)."""
    shape = np.shape(audio)
    if len(shape) not in (1, 2):
        raise FormatError(f"{name} has shape {shape}; (frames,) or (frames, channels) is expected")
    return 1 if len(shape) == 1 else int(shape[1])


def fit_length(audio: AudioArray, frames: int) -> AudioArray:
    """Return audio cut, or padded with silence at its end, to `frames` frames."""
    if len(audio) >= frames:
        return np.ascontiguousarray(audio[:frames])
    padding = np.zeros((frames - len(audio), audio.shape[1]), np.float32)
    return np.concatenate([audio, padding])

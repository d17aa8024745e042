"""Spectrograms: mel bands over time in bounded memory, and their picture.

The mel scale (O'Shaughnessy 1987: 2595 log10(1 + f / 700)) gives speech the room that the ear gives
it. Before and after have one colour scale, so a darker spot is a quieter spot.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine.processors.audio import AudioArray

LOWEST_HZ, HIGHEST_HZ = 50.0, 20000.0
RANGE_DB = 75.0
_BANDS = 144
_FRAME_S = 0.043
_COLUMNS = 1000  # at most; then two become one
_QUALITY = 60  # of the picture's WebP

# Lightness rises evenly from black to white, by way of blue, violet and orange: it reads in grey.
_COLOURS = (
    *((6, 8, 22), (28, 26, 84), (84, 32, 128), (150, 42, 128), (212, 66, 96)),
    *((246, 116, 62), (254, 184, 92), (255, 250, 214)),
)


def mel(hz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pitch of a frequency in mel."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0))


class Spectrogram:
    """Collect a spectrogram of a stream.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.
    expected_frames : int
        Decides how finely a short file is drawn.

    Attributes
    ----------
    highest_hz : float
        The upper end: 20 kHz, or half the sample rate.
    """

    def __init__(self, sample_rate_hz: int, expected_frames: int) -> None:
        from scipy.fft import next_fast_len

        self._size = 2 * next_fast_len(round(_FRAME_S * sample_rate_hz / 2), real=True)
        self._hop = int(np.clip(expected_frames // 900, self._size // 16, self._size))
        self._window = np.hanning(self._size).astype(np.float32)
        self.highest_hz = min(HIGHEST_HZ, sample_rate_hz / 2.0)
        self._bands = _mel_bands(sample_rate_hz, self._size, self.highest_hz)
        self._waiting: AudioArray = np.zeros(self._size // 2, np.float32)
        self._columns: list[NDArray[np.float32]] = []
        self._count = 1  # frames per column
        self._open: list[NDArray[np.float32]] = []

    def add(self, block: AudioArray) -> None:
        """Take the next block, float32 of shape (frames, channels), +-1.0."""
        self._waiting = np.concatenate([self._waiting, block.mean(axis=1)])
        count = (len(self._waiting) - self._size) // self._hop + 1
        if count < 1:
            return
        view = np.lib.stride_tricks.sliding_window_view(self._waiting, self._size)
        for start in range(0, count, 64):
            frames = view[start * self._hop : count * self._hop : self._hop][:64]
            spectra = np.fft.rfft(frames * self._window, axis=1)
            power = spectra.real**2 + spectra.imag**2
            for column in (self._bands @ power.T).T:
                self._append(column)
        self._waiting = self._waiting[count * self._hop :]

    def finish(self) -> NDArray[np.float32]:
        """End the stream and return levels in dB re full scale, shape (bands, columns)."""
        self.add(np.zeros((self._size, 1), np.float32))
        if self._open or not self._columns:
            self._columns.append(np.mean([*self._open, np.zeros(_BANDS, np.float32)], axis=0))
        scale = np.float32(np.sum(self._window, dtype=np.float64) ** 2 / 4.0)
        power = np.stack(self._columns, axis=1) / scale
        return np.asarray(10.0 * np.log10(power + 1e-12), np.float32)

    def _append(self, column: NDArray[np.float32]) -> None:
        self._open.append(column)
        if len(self._open) < self._count:
            return
        self._columns.append(np.mean(self._open, axis=0))
        self._open = []
        if len(self._columns) == _COLUMNS:
            pairs = np.stack(self._columns).reshape(_COLUMNS // 2, 2, _BANDS)
            self._columns = list(pairs.mean(axis=1))
            self._count *= 2


def colour_top_db(*spectrograms: NDArray[np.float32]) -> float:
    """Return the level of the brightest colour for pictures that are compared."""
    return max(-30.0, round(max(float(np.percentile(each, 99.8)) for each in spectrograms)))


def picture(levels_db: NDArray[np.float32], top_db: float) -> bytes:
    """Return a spectrogram as WebP: low at the bottom, brightest at `top_db`."""
    from PIL import Image

    share = np.clip((levels_db[::-1] - top_db + RANGE_DB) / RANGE_DB, 0.0, 1.0)
    steps = np.linspace(0.0, 1.0, len(_COLOURS))
    channels = [np.interp(share, steps, [c[i] for c in _COLOURS]) for i in range(3)]
    image = Image.fromarray(np.stack(channels, axis=2).round().astype(np.uint8), "RGB")
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=_QUALITY, method=4)
    return stream.getvalue()


def _mel_bands(sample_rate_hz: int, size: int, highest_hz: float) -> Any:
    """Return triangles over the bins, sparse (bands, bins), at least one bin wide to each side."""
    from scipy.sparse import csr_array

    hz = np.arange(size // 2 + 1) * sample_rate_hz / size
    pitch = np.linspace(mel(LOWEST_HZ), mel(highest_hz), _BANDS + 2)
    edges = 700.0 * (10.0 ** (pitch / 2595.0) - 1.0)
    centre = edges[1:-1]
    bin_hz = sample_rate_hz / size
    below = np.maximum(centre - edges[:-2], bin_hz)
    above = np.maximum(edges[2:] - centre, bin_hz)
    distance = hz[:, None] - centre
    rise, fall = 1.0 + distance / below, 1.0 - distance / above
    return csr_array(np.clip(np.minimum(rise, fall), 0.0, None).T.astype(np.float32))

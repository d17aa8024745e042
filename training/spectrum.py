"""The suppressor's short-time spectrum and what the nets hear of it, in NumPy.

The transform is csrc/ae_stft.c: a hop of 10 ms, an asymmetric window of 32 ms, 31.25 Hz between
bins at 8, 16 and 48 kHz. Spectra are divided by the hop in frames, so a sound has the same values
at every rate. Points are what the nets hear and gain: single bins at the bottom, bands of 4 and 8
bins up to 8 kHz, four wide bands up to 20 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

HOPS_PER_S = 100
WINDOW_HOPS = 3.2
BIN_HZ = 31.25
BINS = 256  # up to 8 kHz; the bin at 8 kHz itself goes with the one below
HIGH_EDGES_HZ = (8000.0, 10000.0, 12500.0, 16000.0, 20000.0)
HIGH_BANDS = len(HIGH_EDGES_HZ) - 1

# The level that everything is heard against: mean power of the bins, up within 0.2 s, down in 2 s.
RISE, FALL = 0.05, 0.005
LEAST_LEVEL = 1e-9  # of that mean power: -90 dB
LEAST_RATIO = 1e-7  # what lies 70 dB below the level is not heard
NOTHING = -2.0  # the feature of no power at all


@dataclass(frozen=True)
class Points:
    """How bins are put together: `singles` on their own, then by four to 4 kHz, by eight to 8."""

    singles: int = 64

    @property
    def edges(self) -> Array:
        """First bin of each point up to 8 kHz, and the end."""
        fours = np.arange(self.singles, 128, 4)
        return np.concatenate([np.arange(self.singles), fours, np.arange(128, BINS + 1, 8)])

    @property
    def low(self) -> int:
        """Points up to 8 kHz."""
        return len(self.edges) - 1

    @property
    def count(self) -> int:
        """All points."""
        return self.low + HIGH_BANDS

    def sums(self, power: Array) -> Array:
        """Sum what is given per bin over each point up to 8 kHz (the last axis)."""
        bands = np.zeros((BINS - self.singles, self.low - self.singles), np.float32)
        for band, (a, b) in enumerate(pairwise(self.edges[self.singles :] - self.singles)):
            bands[a:b, band] = 1
        return np.concatenate([power[..., : self.singles], power[..., self.singles :] @ bands], -1)

    @property
    def widths(self) -> Array:
        """Bins in each point up to 8 kHz."""
        return np.diff(self.edges)

    def spread(self, gain: Array) -> Array:
        """Give each bin up to 8 kHz its point's value."""
        return np.repeat(gain[..., : self.low], self.widths, axis=-1)


def windows(hop: int, window: int) -> tuple[Array, Array]:
    """Return the analysis window of `window` frames and the synthesis window of 2 `hop` frames."""
    rise = window - hop
    i = np.arange(window)
    up = 0.5 - 0.5 * np.cos(np.pi * i / rise)
    down = 0.5 + 0.5 * np.cos(np.pi * (i - rise) / hop)
    analysis = np.sqrt(np.where(i < rise, up, down))
    j = np.arange(2 * hop)
    product = 0.5 - 0.5 * np.cos(np.pi * j / hop)
    tail = analysis[window - 2 * hop :]
    synthesis = np.where(product > 0, product / np.where(tail > 0, tail, 1), 0)
    return analysis.astype(np.float32), synthesis.astype(np.float32)


def good_size(least: int) -> int:
    """Return the smallest even 2^a 3^b 5^c that is not less, as ae_fft_good_size does."""
    size = least
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1 and size % 2 == 0:
            return size
        size += 1


def shape(rate_hz: int) -> tuple[int, int, int]:
    """Return hop, window and transform size in frames."""
    hop = rate_hz // HOPS_PER_S
    window = int(WINDOW_HOPS * hop + 0.5)
    return hop, window, good_size(window)


def analyse(x: Array, rate_hz: int) -> Array:
    """Return the spectra, complex64, (hops, bins): each of the window that ends with the hop."""
    hop, window, size = shape(rate_hz)
    analysis, _ = windows(hop, window)
    hops = len(x) // hop
    padded = np.concatenate([np.zeros(window - hop, np.float32), x[: hops * hop]]).astype(
        np.float32
    )
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    return (np.fft.rfft(frames * analysis, size, axis=1) / hop).astype(np.complex64)


def synthesise(spectra: Array, rate_hz: int) -> Array:
    """Undo `analyse`, one hop late."""
    hop, window, size = shape(rate_hz)
    _, synthesis = windows(hop, window)
    frames = np.fft.irfft(spectra * hop, size, axis=1)[:, window - 2 * hop : window] * synthesis
    out = frames[:, :hop].copy()
    out[1:] += frames[:-1, hop:]
    return out.reshape(-1).astype(np.float32)


def high_powers(spectra: Array, rate_hz: int) -> Array:
    """Return the powers of the bands over 8 kHz, (hops, 4); 0 where the rate does not reach."""
    return high_sums(np.abs(spectra) ** 2, rate_hz)


def high_sums(power: Array, rate_hz: int) -> Array:
    """Return what is given per bin, (hops, bins), summed over the bands over 8 kHz."""
    _, _, size = shape(rate_hz)
    out = np.zeros((len(power), HIGH_BANDS), np.float32)
    for band, (low_hz, high_hz) in enumerate(pairwise(HIGH_EDGES_HZ)):
        a, b = (round(hz * size / rate_hz) for hz in (low_hz, high_hz))
        if b < power.shape[1]:
            out[:, band] = power[:, a:b].sum(1)
    return out


def levels(mean_power: Array) -> Array:
    """Return the level that each hop is heard against; time is the last axis but none other."""
    power = np.maximum(mean_power, LEAST_LEVEL)
    out = np.empty_like(power)
    level = power[..., 0]
    for t in range(power.shape[-1]):
        step = power[..., t] - level
        level = level + np.where(step > 0, RISE, FALL) * step
        out[..., t] = level
    return out


def features(points: Points, power: Array, high: Array, level: Array) -> Array:
    """Return what the nets hear, (..., hops, points): log10 of the mean power over the level.

    Parameters
    ----------
    power : sums over the points up to 8 kHz, (..., hops, points.low)
    high : sums over the high bands, (..., hops, 4)
    level : mean power of the bins as `levels` gives it, (..., hops)
    """
    over = 1 / level[..., None]
    low = power / points.widths * over
    top = high / _HIGH_BINS * over
    return np.asarray(np.log10(np.concatenate([low, top], -1) + LEAST_RATIO) + 3.0, np.float32) / 2


_HIGH_BINS = np.round(np.diff(HIGH_EDGES_HZ) / BIN_HZ).astype(np.float32)

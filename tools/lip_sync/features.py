"""The estimator's view of sound and mouth in NumPy: what the projections are trained on.

The same definitions as csrc/ae_lip_audio, ae_lip_mouth and ae_lip_bandpass; tests/test_lipsync.py
holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt

from audio_engine.processors.lipsync import AUDIO_FEATURES, MOUTH_SIGNALS

GRID_HZ = 100
AUDIO_BAND_HZ, MOUTH_BAND_HZ = (0.2, 12.0), (0.2, 10.0)
AUDIO_TAPS, AUDIO_STEP = 11, 4
MOUTH_TAPS, MOUTH_STEP = 5, 6
_RATE_HZ, _WINDOW, _FFT, _HOP = 16000, 400, 512, 160
_LOW_HZ, _HIGH_HZ = 80.0, 7600.0
_FLOOR = 1e-5
_MIRRORED = 100  # grid frames at either end of what is filtered

Doubles = NDArray[np.float64]


def mel_db(audio: NDArray[np.float32], sample_rate_hz: int) -> Doubles:
    """Return the mel bands in dB, shape (grid frames, 24); frame n is centred on n 10 ms."""
    signal = np.asarray(resample_poly(audio, _RATE_HZ, sample_rate_hz), float)
    signal = np.concatenate([np.zeros(_WINDOW // 2), signal, np.zeros(_WINDOW)])
    frames = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), _FFT)) ** 2
    mel = 2595.0 * np.log10(1.0 + np.fft.rfftfreq(_FFT, 1.0 / _RATE_HZ) / 700.0)
    low, high = (2595.0 * np.log10(1.0 + edge / 700.0) for edge in (_LOW_HZ, _HIGH_HZ))
    edges = np.linspace(low, high, AUDIO_FEATURES + 2)
    rise, fall = mel - edges[:-2, None], edges[2:, None] - mel
    weights = np.clip(np.minimum(rise, fall) / (edges[1] - edges[0]), 0.0, None)
    return np.asarray(10.0 * np.log10(power @ weights.T + _FLOOR))


def mouth_on_grid(time_s: Doubles, mouth: NDArray[np.float32], grid_s: Doubles) -> Doubles:
    """Return the mouth signals at the grid's instants, shape (grid frames, signals).

    A difference of two pictures (motion) belongs between them.
    """
    columns = []
    for name, values in zip(MOUTH_SIGNALS, mouth.T.astype(float), strict=True):
        seen, times, most = np.isfinite(values), time_s, np.inf
        if name == "motion":
            times = np.concatenate([time_s[:1], (time_s[1:] + time_s[:-1]) / 2])
            most = np.percentile(values[seen], 99)
        columns.append(np.interp(grid_s, times[seen], np.minimum(values[seen], most)))
    return np.stack(columns, axis=1)


def standardised(signals: Doubles, band_hz: tuple[float, float]) -> Doubles:
    """Return the signals within a band, forwards and backwards, with mean 0 and deviation 1."""
    filters = butter(2, band_hz, "bandpass", fs=GRID_HZ, output="sos")
    mirrored = min(_MIRRORED, len(signals) - 1)
    within = sosfiltfilt(filters, signals, axis=0, padtype="even", padlen=mirrored)
    return np.asarray((within - within.mean(0)) / (within.std(0) + 1e-9))


def embedded(signals: Doubles, taps: int, step: int) -> Doubles:
    """Return each frame with its neighbours, shape (frames, taps * signals); ends are repeated."""
    frames = np.arange(len(signals))
    reach = range(-(taps // 2) * step, taps // 2 * step + 1, step)
    return np.hstack([signals[np.clip(frames + lag, 0, len(signals) - 1)] for lag in reach])


def pairs(
    bands_db: Doubles, time_s: Doubles, mouth: NDArray[np.float32], offset_ms: float
) -> tuple[Doubles, Doubles]:
    """Return sound and mouth, embedded, row by row in step, with all mouth signals."""
    grid_s = np.arange(len(bands_db)) / GRID_HZ
    inside = (grid_s >= time_s[0]) & (grid_s <= time_s[-1])
    sound = standardised(bands_db[inside], AUDIO_BAND_HZ)
    seen = standardised(mouth_on_grid(time_s, mouth, grid_s)[inside], MOUTH_BAND_HZ)
    late = round(offset_ms * GRID_HZ / 1e3)
    sound = embedded(sound, AUDIO_TAPS, AUDIO_STEP)
    seen = embedded(seen, MOUTH_TAPS, MOUTH_STEP)
    count = len(sound)
    return sound[max(0, late) : count + min(0, late)], seen[max(0, -late) : count - max(0, late)]


def columns_of(signals: Sequence[str]) -> NDArray[np.intp]:
    """Return where the taps of some of the mouth signals are in the embedding of all."""
    every = len(MOUTH_SIGNALS)
    return np.array(
        [tap * every + MOUTH_SIGNALS.index(name) for tap in range(MOUTH_TAPS) for name in signals]
    )

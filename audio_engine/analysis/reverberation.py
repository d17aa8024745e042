"""Reverberation time from an impulse response.

Method: backward integration (Schroeder 1965) of the response from 350 Hz to 2.8 kHz, cut where it
sinks into its noise and completed there with what an exponential would still bring (ISO 3382-1,
5.3.3); a line through -5 to -25 dB (T20), or to less where the noise is higher (10 dB at least).
"""

from __future__ import annotations

import numpy as np

from audio_engine.analysis.recording import Signal

_BAND_HZ = (354.0, 2828.0)  # the octaves 500 Hz, 1 kHz, 2 kHz
_STEP_S = 0.01
_ABOVE_NOISE_DB = 6.0  # where the response is cut
_TOP_DB, _BOTTOM_DB, _SHORTEST_DB = -5.0, -25.0, -15.0
_LEAST_FALL_DB = 25.0  # of the response over its noise


def reverberation_time(response: Signal, peak: int, sample_rate_hz: int) -> float | None:
    """Return T60 in seconds; None where the response is too noisy to tell.

    Parameters
    ----------
    response : ndarray of float64, shape (frames,)
        Impulse response; its last quarter is taken for noise.
    peak : int
        Frame of the first arrival.
    sample_rate_hz : int
        8000 to 96000.
    """
    from scipy.signal import butter, sosfiltfilt

    high_hz = min(_BAND_HZ[1], 0.4 * sample_rate_hz)
    band = butter(2, (_BAND_HZ[0], high_hz), "bandpass", fs=sample_rate_hz, output="sos")
    power = np.square(sosfiltfilt(band, response))[peak:]
    step = max(1, round(_STEP_S * sample_rate_hz))
    means = power[: len(power) // step * step].reshape(-1, step).mean(axis=1)
    if len(means) < 20:
        return None
    noise = float(np.mean(means[-len(means) // 4 :]))
    floor = noise * 10.0 ** (_ABOVE_NOISE_DB / 10.0)
    if means[0] <= noise * 10.0 ** (_LEAST_FALL_DB / 10.0):
        return None
    smooth = np.convolve(means, np.ones(3) / 3.0, mode="same")
    end = int(np.argmax(smooth < floor)) if (smooth < floor).any() else len(means)
    if end < 4:
        return None
    left = np.maximum(power[: end * step] - noise, 0.0)
    energy = np.cumsum(left[::-1])[::-1]
    energy = energy + _rest(means[:end] - noise, step)
    level_db = 10.0 * np.log10(energy / energy[0])
    return _slope_s(level_db, sample_rate_hz)


def _rest(means: Signal, step: int) -> float:
    """Return the energy that the decay would still bring after the cut."""
    tail = np.maximum(means[len(means) // 2 :], 1e-30)
    slope = float(np.polyfit(np.arange(len(tail)), np.log(tail), 1)[0])  # per step, negative
    if slope >= -1e-6:
        return 0.0
    last = float(np.exp(np.mean(np.log(tail)) + slope * (len(tail) - 1) / 2.0))
    return last * step / -slope


def _slope_s(level_db: Signal, sample_rate_hz: int) -> float | None:
    bottom = max(_BOTTOM_DB, float(level_db[-1]) + 1.0)
    if bottom > _SHORTEST_DB:
        return None
    used = np.flatnonzero((level_db <= _TOP_DB) & (level_db >= bottom))
    if len(used) < 10:
        return None
    slope = float(np.polyfit(used / sample_rate_hz, level_db[used], 1)[0])
    return -60.0 / slope if slope < 0.0 else None

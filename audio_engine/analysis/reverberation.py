"""Reverberation time of a room, from an impulse response or from a voice in it.

From a response: backward integration (Schroeder 1965) from 350 Hz to 2.8 kHz, cut where it sinks
into its noise and completed there with what an exponential would still bring (ISO 3382-1,
5.3.3); a line through -5 to -25 dB (T20), or to less where the noise is higher (10 dB at least).

From a voice: nothing falls faster than the room lets it, so of all the straight falls of 150 ms in
three octaves the fast ones show the room (Ratnam et al. 2003; Lebart, Boucher & Denbigh 2001), and
a table puts right what the voice itself adds. Against `NoiseStats.reverb_time_s`, which a live
chain has for nothing and which reads 0.65 to 0.9 s for every room from 1.1 s on, this one goes on
to 2 s (docs/check.md). Loud direct sound hides a room, and then it is not heard either.
"""

from __future__ import annotations

import numpy as np

from audio_engine.analysis.recording import Recording, Signal

_BAND_HZ = (354.0, 2828.0)  # the octaves 500 Hz, 1 kHz, 2 kHz
_STEP_S = 0.01
_ABOVE_NOISE_DB = 6.0  # where the response is cut
_TOP_DB, _BOTTOM_DB, _SHORTEST_DB = -5.0, -25.0, -15.0
_LEAST_FALL_DB = 25.0  # of the response over its noise

_VOICE_BANDS_HZ = ((400.0, 800.0), (800.0, 1600.0), (1600.0, 3200.0))
_FALL_STEPS = 15  # of 10 ms; between two syllables there is no more time
_FROM_PEAK_DB, _OVER_NOISE_DB = 20.0, 6.0  # where a fall may begin, and must have ended
_SLOWEST_DB_PER_S = -25.0  # slower falls are the voice's own
_STRAIGHT_DB = 2.5  # standard deviation from a line
_FAST_SHARE = 0.3
_FEWEST = 6
# What is read in synthetic rooms (exponential tails, direct sound 0 to 9 dB below them, eight
# synthetic voices) of the T60 given.
_READ_S = (0.33, 0.45, 0.56, 0.82, 1.07, 1.24, 1.43)
_TRUE_S = (0.2, 0.35, 0.5, 0.8, 1.1, 1.5, 2.0)
_FFT_STEP = 8192  # a length with a large prime factor costs ten times as much


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
    power = np.square(_in_band(response, _BAND_HZ, sample_rate_hz))[peak:]
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


def reverberation_heard(recording: Recording) -> float | None:
    """Return T60 in seconds as a voice shows it, 0.2 to 2; None where it pauses too seldom."""
    times = [time for band_hz in _VOICE_BANDS_HZ for time in _falls_s(recording, band_hz)]
    if len(times) < _FEWEST:
        return None
    return float(np.interp(np.quantile(times, _FAST_SHARE), _READ_S, _TRUE_S))


def _falls_s(recording: Recording, band_hz: tuple[float, float]) -> list[float]:
    """Return the decay times of the straight falls in a band."""
    step = round(_STEP_S * recording.sample_rate_hz)
    power = np.square(_in_band(recording.mono, band_hz, recording.sample_rate_hz))
    means = power[: len(power) // step * step].reshape(-1, step).mean(axis=1) + 1e-14
    level_db = 10.0 * np.log10(np.convolve(means, np.ones(3) / 3.0, mode="same"))
    if len(level_db) <= _FALL_STEPS:
        return []
    noise_db, peak_db = np.quantile(level_db, (0.05, 0.98))
    pieces = np.lib.stride_tricks.sliding_window_view(level_db, _FALL_STEPS)[::2]
    time_s = _STEP_S * (np.arange(_FALL_STEPS) - (_FALL_STEPS - 1) / 2.0)
    slopes = pieces @ time_s / np.sum(time_s**2)
    lines = pieces.mean(axis=1)[:, np.newaxis] + slopes[:, np.newaxis] * time_s
    good = (
        (pieces[:, 0] >= peak_db - _FROM_PEAK_DB)
        & (pieces[:, -1] >= noise_db + _OVER_NOISE_DB)
        & (slopes < _SLOWEST_DB_PER_S)
        & (np.std(pieces - lines, axis=1) < _STRAIGHT_DB)
    )
    return [float(each) for each in -60.0 / slopes[good]]


def _in_band(x: Signal, band_hz: tuple[float, float], sample_rate_hz: int) -> Signal:
    """Return a signal in a band, without delay: the gain of a Butterworth pair run both ways."""
    size = -(-len(x) // _FFT_STEP) * _FFT_STEP
    spectrum = np.fft.rfft(x, size)
    frequency_hz = np.maximum(np.fft.rfftfreq(size, 1.0 / sample_rate_hz), 1e-3)
    low = 1.0 + (band_hz[0] / frequency_hz) ** 4
    high = 1.0 + (frequency_hz / band_hz[1]) ** 4
    return np.asarray(np.fft.irfft(spectrum / (low * high), size)[: len(x)])

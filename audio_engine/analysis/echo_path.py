"""The way from what was played to what the microphone heard: delay, level, room, clock.

Method: the impulse response is the spectrum of the microphone divided by that of what was played,
regularised where that has no energy (Rife & Vanderkooy 1989 for noise sequences, Farina 2000 for
sweeps; here for any signal). Both halves of what was played are looked for by themselves: only if
they come back after the same time, but for what a clock runs off, was it heard at all. A response
without a room - all of it in a millisecond - comes over a wire or inside the computer.
Memory: some copies of the recording. Cost: a dozen FFTs of its length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio_engine.analysis.recording import Signal, decibel
from audio_engine.analysis.reverberation import reverberation_time

_REGULAR = 10.0**-3.5  # of the strongest bin: below the end of a sweep of pink energy
_PEAK_OVER_NOISE = 10.0  # the highest of a million values of Gaussian noise is 5 sigma
# A voice in the room answers to a sweep too, with many peaks; an echo has one, and none before it.
# (40 voices without an echo: 1.5 at most; 40 echoes down to 20 dB below a voice: 5 at least.)
_PEAK_OVER_BEFORE, _BEFORE_PEAK_S = 3.0, (0.5, 0.05)
_FIRST_SHARE = 0.5  # of the peak: an earlier arrival as strong as that is the first
_FIRST_S = 0.02
_DRIFT_PPM = 1500.0  # two cheap cards differ by less
_AGREE_S = 0.0005
_BEFORE_S, _LONGEST_S = 0.003, 3.0  # about the first arrival; the second sweep answers after 3.3 s
_TAPS = 16  # either side, for a wire and a resampler
_WIRE_DB = -25.0
_SMOOTH_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoPath:
    """What a microphone heard of a loudspeaker.

    Attributes
    ----------
    heard : bool
        False: nothing of it, and the other figures mean nothing.
    delay_ms : float
        From the frame that was played to the same in the microphone, the first arrival.
    drift_ppm : float
        The microphone's clock against the loudspeaker's; > 0: the delay grows.
    return_loss_db : float
        Level of what was played over that of its echo; < 0: the echo is louder.
    echo_dbfs : float
        Level (rms) of the echo while the signal is played.
    reverb_time_s : float or None
        T60 of the room, from the response.
    direct_only : bool
        The response has no room in it: a wire, a loopback, the computer's own output.
    residual_db : float
        What is left of the echo when a delay and a volume are taken out.
    """

    heard: bool
    delay_ms: float = 0.0
    drift_ppm: float = 0.0
    return_loss_db: float = math.inf
    echo_dbfs: float = -160.0
    reverb_time_s: float | None = None
    direct_only: bool = False
    residual_db: float = 0.0


NOT_HEARD = EchoPath(heard=False)


def measure_echo_path(
    mic: Signal, played: Signal, sample_rate_hz: int, *, latest_s: float | None = None
) -> EchoPath:
    """Find what was played in what the microphone heard.

    Parameters
    ----------
    mic, played : ndarray of float64, shape (frames,)
        Both begin at the same moment, or the delay counts from the two beginnings.
    sample_rate_hz : int
        Of both.
    latest_s : float, optional
        Longest delay to look for; default: any.
    """
    active = _active(played, sample_rate_hz)
    if active is None or not np.any(mic):
        return NOT_HEARD
    latest = len(mic) if latest_s is None else min(len(mic), round(latest_s * sample_rate_hz))
    earliest = -len(played) if latest_s is None else -round(0.01 * sample_rate_hz)
    parts, centres = _halves(played, active, sample_rate_hz)
    apart = centres[1] - centres[0]
    responses = [_response(mic, part) for part in parts]
    reach = round(_AGREE_S * sample_rate_hz + 1e-6 * _DRIFT_PPM * apart)
    peaks = _common(responses, np.arange(earliest, latest), reach, sample_rate_hz)
    if peaks is None:
        return NOT_HEARD
    off = peaks[1] - peaks[0]
    drift_ppm = 1e6 * off / apart
    part, response = parts[0], responses[0]
    first = _first(response, peaks[0], sample_rate_hz)
    length = min(round(_LONGEST_S * sample_rate_hz), len(played))
    window = np.roll(response, round(_BEFORE_S * sample_rate_hz) - first)[:length]
    echo, noise = _echo_power(part, window, sample_rate_hz)
    played_power = float(np.sum(part**2))
    share = max(echo - noise, 1e-12 * echo) / played_power
    residual_db = _residual_db(mic, parts[0], first, sample_rate_hz)
    return EchoPath(
        heard=True,
        delay_ms=1000.0 * first / sample_rate_hz,
        drift_ppm=drift_ppm if abs(off) > 1 else 0.0,
        return_loss_db=-decibel(share),
        echo_dbfs=decibel(share * played_power / max(1, _active_frames(part))),
        reverb_time_s=reverberation_time(window, round(_BEFORE_S * sample_rate_hz), sample_rate_hz),
        direct_only=residual_db <= _WIRE_DB,
        residual_db=residual_db,
    )


def _active(played: Signal, sample_rate_hz: int) -> tuple[int, int] | None:
    """Return first and last frame + 1 of what is not silence."""
    loud = np.flatnonzero(np.abs(played) > 1e-3 * max(float(np.max(np.abs(played))), 1e-6))
    if len(loud) < 0.2 * sample_rate_hz:
        return None
    return int(loud[0]), int(loud[-1]) + 1


def _active_frames(part: Signal) -> int:
    return int(np.count_nonzero(np.abs(part) > 0.0))


def _response(mic: Signal, played: Signal) -> Signal:
    """Return the impulse response; negative delays stand at its end."""
    from scipy.fft import next_fast_len

    size = next_fast_len(len(mic) + len(played), real=True)
    source = np.fft.rfft(played, size)
    power = np.abs(source) ** 2
    # A sweep's spectrum ripples at its ends; what is divided by is smooth.
    limit = _REGULAR * float(np.max(power))
    return np.asarray(
        np.fft.irfft(np.fft.rfft(mic, size) * np.conj(source) / (power + limit), size)
    )


def _common(
    responses: list[Signal], lags: NDArray[np.int64], reach: int, sample_rate_hz: int
) -> list[int] | None:
    """Return the peak of each response, near the delay that all of them have; None: there is none.

    Equal sweeps answer to each other, a sweep's distance too early or late, but each differently.
    """
    from scipy.ndimage import maximum_filter1d

    sizes = []
    for response in responses:
        sigma = float(np.median(np.abs(response))) / 0.6745  # of a normal distribution
        sizes.append(np.abs(response[lags]) / max(sigma, 1e-9))
    both = np.minimum(*(maximum_filter1d(size, 2 * reach + 1) for size in sizes))
    centre = int(np.argmax(both))
    if both[centre] < _PEAK_OVER_NOISE:
        return None
    start = max(0, centre - reach)
    peaks = [int(lags[start + np.argmax(size[start : centre + reach + 1])]) for size in sizes]
    stand_out = all(
        abs(response[peak]) >= _PEAK_OVER_BEFORE * _highest(response, peak, sample_rate_hz)
        for response, peak in zip(responses, peaks, strict=True)
    )
    return peaks if stand_out else None


def _highest(response: Signal, peak: int, sample_rate_hz: int) -> float:
    """Return the highest value in half a second before a peak, but for its own foot."""
    first, last = (peak - round(s * sample_rate_hz) for s in _BEFORE_PEAK_S)
    return float(np.max(np.abs(response[np.arange(first, last)])))


def _first(response: Signal, peak: int, sample_rate_hz: int) -> int:
    """Return the first arrival: a reflection may be louder than the direct sound."""
    lags = np.arange(peak - round(_FIRST_S * sample_rate_hz), peak + 1)
    size = np.abs(response[lags])
    strong = np.flatnonzero(size >= _FIRST_SHARE * size[-1])
    first = int(strong[0])
    while first + 1 < len(size) and size[first + 1] > size[first]:
        first += 1
    return int(lags[first])


def _halves(
    played: Signal, active: tuple[int, int], sample_rate_hz: int
) -> tuple[list[Signal], list[float]]:
    """Cut what was played at its quietest moment near the middle."""
    step = max(1, round(_SMOOTH_S * sample_rate_hz))
    first, last = active
    start, stop = first + (last - first) * 3 // 10, first + (last - first) * 7 // 10
    power = np.square(played[start:stop])
    means = power[: len(power) // step * step].reshape(-1, step).mean(axis=1)
    quiet = np.flatnonzero(means <= means.min() + 1e-12)
    cut = start + step * int(quiet[len(quiet) // 2]) + step // 2
    parts = [played.copy(), played.copy()]
    parts[0][cut:] = 0.0
    parts[1][:cut] = 0.0
    frames = np.arange(len(played))
    centres = [float(np.dot(frames, p**2) / max(float(np.dot(p, p)), 1e-20)) for p in parts]
    return parts, centres


def _echo_power(part: Signal, window: Signal, sample_rate_hz: int) -> tuple[float, float]:
    """Return the energy of the echo, and how much of it the response's noise makes up."""
    before = round(_BEFORE_S * sample_rate_hz)
    block = max(1, round(0.02 * sample_rate_hz))
    power = np.square(window)
    noise = float(np.mean(power[-len(power) // 4 :]))
    means = power[: len(power) // block * block].reshape(-1, block).mean(axis=1)
    quiet = np.flatnonzero(means < 2.0 * noise)
    end = max(block * int(quiet[0]) if len(quiet) else len(window), before + block)
    heard = _through(part, window[:end])
    # the noise of the response, of the same length, from where there is no echo any more
    ends = _through(part, window[len(window) - min(end, len(window) // 4) :])
    scale = end / min(end, len(window) // 4)
    return float(np.sum(heard**2)), scale * float(np.sum(ends**2))


def _through(signal: Signal, response: Signal) -> Signal:
    from scipy.signal import fftconvolve

    return np.asarray(fftconvolve(signal, response))


def _residual_db(mic: Signal, part: Signal, first: int, sample_rate_hz: int) -> float:
    """Return what is left when a short filter about the delay is fitted to what was heard."""
    active = _active(part, sample_rate_hz)
    if active is None:
        return 0.0
    from scipy.linalg import solve_toeplitz
    from scipy.signal import correlate

    start, stop = active
    first_frame, last_frame = start + first - _TAPS, stop + first + _TAPS
    missing = max(0, -first_frame), max(0, last_frame - len(mic))
    if sum(missing) > len(sent := part[start:stop]) // 4:
        return 0.0
    heard = np.pad(mic[max(0, first_frame) : last_frame], missing)
    own = correlate(np.pad(sent, (0, 2 * _TAPS)), sent, mode="valid", method="fft")
    cross = correlate(heard, sent, mode="valid", method="fft")
    own[0] *= 1.0 + 1e-7  # a sweep has no energy outside its band
    taps = solve_toeplitz(own, cross)
    energy = float(np.dot(heard, heard))
    left = max(energy - float(np.dot(taps, cross)), 0.0)
    return decibel(left / energy, -100.0) if energy > 0.0 else 0.0

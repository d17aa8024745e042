"""How one recording is made of another: delay, gain, and how much of it is something else.

Mono signals of one rate, of any length (memory maps too). The delay is looked for in the levels
every 10 ms of the whole recording, then to a fraction of a sample by cross-correlation in up to 16
places; it is constant where they agree. SI-SDR after Le Roux et al. 2019; segmental SNR after
Hansen & Pellom 1998 (frames of 20 ms, -10 to 35 dB).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mono = NDArray[np.float32]
Real = NDArray[np.float64]

MAX_DELAY_S = 60.0
_STEP_S = 0.01  # of the levels
_PLACES, _PLACE_S = 16, 2.0
_REACH_S = 0.03  # of the search in a place
_QUIET_DB = 40.0  # below the loudest place or frame: too little to tell anything
_LEAST_LIKENESS = 0.1  # of noise against noise it is 0.02 in 2 s
_CONSTANT_S = 0.00025
_BLOCK = 1 << 17
_TAPS = 64  # to each side: shifts by a part of a sample, flat to 0.97 of the Nyquist frequency
_FRAME_S, _LOWEST_DB, _HIGHEST_DB = 0.02, -10.0, 35.0
_BEST_DB = 120.0  # what float32 can hold of a difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """How B lies against A.

    Attributes
    ----------
    delay_ms : float or None
        How much later B is; None where the two have nothing in common.
    delay_is_constant : bool
        It is the same, within 0.25 ms, wherever it could be told.
    drift_ppm : float or None
        How much longer B takes for the same sound, where the delay is not constant.
    likeness : float
        Largest correlation coefficient of the places, 0 to 1.
    gain_db : float or None
        Gain of A in B, where the delay is constant. This and what follows are of the mean of all
        channels.
    inverted : bool
        B is turned over in polarity.
    si_sdr_db : float or None
        How far what is not A lies below A in B (-120 to 120 dB), where the delay is constant.
    segmental_snr_db : float or None
        The same as a mean over frames of 20 ms in which A is heard.
    compared_s : float
        Seconds of sound that both have.
    """

    delay_ms: float | None = None
    delay_is_constant: bool = False
    drift_ppm: float | None = None
    likeness: float = 0.0
    gain_db: float | None = None
    inverted: bool = False
    si_sdr_db: float | None = None
    segmental_snr_db: float | None = None
    compared_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return asdict(self)


def align(a: Mono, b: Mono, sample_rate_hz: int) -> Alignment:
    """Tell how B lies against A.

    Parameters
    ----------
    a, b : ndarray of float32, shape (frames,)
        The recordings, of any two lengths.
    sample_rate_hz : int
        Of both.
    """
    coarse = _coarse_delay(a, b, sample_rate_hz)
    found = list(_places(a, b, coarse, sample_rate_hz))
    if not found:
        return Alignment()
    at, delays, likeness = (np.array(column) for column in zip(*found, strict=True))
    best = likeness > 0.5 * likeness.max()
    at, delays = at[best], delays[best]
    delay = float(np.median(delays))
    constant = bool(np.ptp(delays) <= _CONSTANT_S * sample_rate_hz)
    told = Alignment(
        delay_ms=1000.0 * delay / sample_rate_hz,
        delay_is_constant=constant,
        likeness=float(likeness.max()),
    )
    if not constant:
        slope = float(np.polyfit(at, delays, 1)[0]) if len(at) > 1 else 0.0
        return _with(told, drift_ppm=1e6 * slope)
    return _with(told, **_difference(a, b, delay, sample_rate_hz))


def _with(alignment: Alignment, **changes: Any) -> Alignment:
    return Alignment(**alignment.to_dict() | changes)


def _coarse_delay(a: Mono, b: Mono, rate_hz: int) -> int:
    """Return the delay in samples to a step of 10 ms, by how the levels go."""
    step = max(1, round(_STEP_S * rate_hz))
    levels = [_levels(signal, step) for signal in (a, b)]
    if min(map(len, levels)) == 0:
        return 0
    size = 1 << (len(levels[0]) + len(levels[1])).bit_length()
    spectra = [np.fft.rfft(each, size) for each in levels]
    common = np.fft.irfft(np.conj(spectra[0]) * spectra[1], size)
    reach = min(round(MAX_DELAY_S / _STEP_S), size // 2 - 1)
    lags = np.arange(-reach, reach + 1)
    return int(lags[np.argmax(common[lags])]) * step


def _levels(signal: Mono, step: int) -> Real:
    """Return the level of every step around its mean; amplitudes, so that loud parts count."""
    count = len(signal) // step
    levels = np.empty(count)
    for start in range(0, count, 10000):
        part = signal[start * step : min(count, start + 10000) * step].astype(np.float64)
        levels[start : start + 10000] = np.sqrt(np.mean(part.reshape(-1, step) ** 2, axis=1))
    return levels - levels.mean() if count else levels


def _places(a: Mono, b: Mono, coarse: int, rate_hz: int) -> Iterator[tuple[float, float, float]]:
    """Yield middle, delay (both in samples) and likeness of the places in which A is heard."""
    first, last = max(0, -coarse), min(len(a), len(b) - coarse)
    size = min(round(_PLACE_S * rate_hz), last - first)
    if size < round(_STEP_S * rate_hz):
        return
    starts = np.unique(np.linspace(first, last - size, _PLACES).astype(np.int64))
    power = np.array([float(np.mean(np.square(a[s : s + size], dtype=np.float64))) for s in starts])
    reach = round(_REACH_S * rate_hz)
    for start in starts[(power > 10.0 ** (-_QUIET_DB / 10.0) * power.max()) & (power > 0.0)]:
        low = start + coarse - reach
        part = _cut(b, low, low + size + 2 * reach)
        delay, likeness = _peak(a[start : start + size].astype(np.float64), part)
        if likeness >= _LEAST_LIKENESS:
            yield float(start + size / 2), coarse - reach + delay, likeness


def _cut(signal: Mono, start: int, end: int) -> Real:
    """Return a range that may reach out of the signal, with silence there."""
    inside = signal[max(0, start) : max(0, min(end, len(signal)))].astype(np.float64)
    before = min(max(0, -start), end - start)
    return np.pad(inside, (before, end - start - before - len(inside)))


def _peak(pattern: Real, where: Real) -> tuple[float, float]:
    """Return at which sample of `where` the pattern begins, by a parabola, and its likeness."""
    size = 1 << (len(where) - 1).bit_length()
    product = np.conj(np.fft.rfft(pattern, size)) * np.fft.rfft(where, size)
    common = np.fft.irfft(product, size)[: len(where) - len(pattern) + 1]
    energy = np.concatenate([[0.0], np.cumsum(where**2)])
    window = energy[len(pattern) :] - energy[: -len(pattern)]
    alike = np.abs(common) / np.sqrt(np.sum(pattern**2) * np.maximum(window, 1e-20))
    best = int(np.argmax(alike))
    if not 0 < best < len(alike) - 1:
        return float(best), float(min(alike[best], 1.0))
    left, middle, right = np.abs(common[best - 1 : best + 2])
    bend = left - 2.0 * middle + right
    part = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
    return best + float(np.clip(part, -0.5, 0.5)), float(min(alike[best], 1.0))


def _difference(a: Mono, b: Mono, delay: float, rate_hz: int) -> dict[str, Any]:
    """Return gain, polarity, SI-SDR and segmental SNR of B, shifted onto A."""
    own = other = common = 0.0
    frames = 0
    loudest = 0.0
    size = round(_FRAME_S * rate_hz)
    for x, y in _pairs(a, b, delay):
        own, other, common = (
            now + float(np.dot(*pair))
            for now, pair in ((own, (x, x)), (other, (y, y)), (common, (x, y)))
        )
        frames += len(x)
        loudest = max(loudest, float(np.max(_frame_power(x, size), initial=0.0)))
    if own <= 0.0 or other <= 0.0:
        return {"compared_s": frames / rate_hz}
    factor = common / own
    wanted = factor * common
    ratios = [np.zeros(0)]
    for x, y in _pairs(a, b, delay):
        power = _frame_power(x, size)
        rest = _frame_power(y - factor * x, size)
        heard = power > 10.0 ** (-_QUIET_DB / 10.0) * loudest
        ratio = factor**2 * power[heard] / np.maximum(rest[heard], 1e-20)
        ratios.append(np.clip(10.0 * np.log10(ratio + 1e-20), _LOWEST_DB, _HIGHEST_DB))
    segments = np.concatenate(ratios)
    sdr_db = 10.0 * np.log10(max(wanted, 1e-20) / max(other - wanted, 1e-12 * other))
    return {
        "gain_db": 20.0 * float(np.log10(max(abs(factor), 1e-6))),
        "inverted": bool(factor < 0.0),
        "si_sdr_db": float(np.clip(sdr_db, -_BEST_DB, _BEST_DB)),
        "segmental_snr_db": float(segments.mean()) if len(segments) else None,
        "compared_s": frames / rate_hz,
    }


def _frame_power(signal: Real, size: int) -> Real:
    whole = len(signal) // size * size
    return np.asarray(np.mean(np.square(signal[:whole]).reshape(-1, size), axis=1))


def _pairs(a: Mono, b: Mono, delay: float) -> Iterator[tuple[Real, Real]]:
    """Yield pieces of A with what belongs to them in B, shifted by a part of a sample."""
    whole = round(delay)
    part = delay - whole
    kernel = _shift(part)
    edge = 0 if kernel is None else _TAPS
    first, last = max(0, edge - whole), min(len(a), len(b) - whole - edge)
    for start in range(first, last, _BLOCK):
        end = min(last, start + _BLOCK)
        own = b[start + whole - edge : end + whole + edge].astype(np.float64)
        if kernel is not None:
            size = 1 << (len(own) + len(kernel)).bit_length()
            filtered = np.fft.irfft(np.fft.rfft(own, size) * np.fft.rfft(kernel, size), size)
            own = filtered[2 * edge : 2 * edge + end - start]
        yield a[start:end].astype(np.float64), own


def _shift(part: float) -> Real | None:
    """Return a windowed sinc that reads a signal a part of a sample later; None for none."""
    if abs(part) < 0.005:
        return None
    taps = np.arange(-_TAPS, _TAPS + 1)
    return np.asarray(np.sinc(taps + part) * np.kaiser(2 * _TAPS + 1, 8.0))

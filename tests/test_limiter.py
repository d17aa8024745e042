"""The limiter through its public face: the ceiling between the samples, transparency, pumping."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_engine.processors.base import process_whole
from audio_engine.processors.limiter import TruePeakLimiter
from signals import voice

RATES_HZ = [8000, 16000, 22050, 44100, 48000, 96000]
Signal = NDArray[np.float32]
OVERSAMPLING, HALF_TAPS = 16, 32


def true_peak_dbtp(audio: Signal) -> float:
    """Peak of a 16x band-limited interpolation (64 taps per phase, Kaiser beta 10)."""
    taps = np.arange(-HALF_TAPS + 1, HALF_TAPS + 1)
    peak = 0.0
    for phase in range(OVERSAMPLING):
        time = phase / OVERSAMPLING - taps
        window = np.i0(10 * np.sqrt(np.maximum(0, 1 - (time / HALF_TAPS) ** 2))) / np.i0(10)
        kernel = np.sinc(time) * window
        peak = max(peak, float(np.max(np.abs(np.convolve(audio.astype(float), kernel[::-1])))))
    return float(20 * np.log10(peak))


def bursts(rate_hz: int) -> Signal:
    noise = np.random.default_rng(2).uniform(-1.5, 1.5, rate_hz)
    return (noise * (np.arange(rate_hz) // (rate_hz // 7) % 2)).astype(np.float32)


def impulses(rate_hz: int) -> Signal:
    out = np.zeros(rate_hz, np.float32)
    out[::4801], out[1000::7777] = 4.0, -1.0
    return out


SIGNALS: dict[str, Callable[[int], Signal]] = {
    "white noise": lambda r: np.random.default_rng(1).standard_normal(r).astype(np.float32),
    "bursts": bursts,
    "speech-like": lambda r: 20.0 * voice(2.0, r),
    "rate/4 at 45 degrees, +6 dB": lambda r: (
        2 * np.sin(np.pi / 2 * np.arange(r) + np.pi / 4)
    ).astype(np.float32),
    "full-scale square": lambda r: np.sign(
        np.sin(2 * np.pi * 100.3 * np.arange(r) / r + 0.1)
    ).astype(np.float32),
    "impulses": impulses,
}


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("name", SIGNALS)
def test_ceiling_holds_between_the_samples(name: str, rate_hz: int) -> None:
    audio = SIGNALS[name](rate_hz)
    with TruePeakLimiter(rate_hz, ceiling_dbtp=-1.0) as limiter:
        held = process_whole(limiter, audio)
    over_db = true_peak_dbtp(held) + 1.0
    print(f"{name} at {rate_hz} Hz: {over_db:+.3f} dB over the ceiling")
    assert -0.5 < over_db <= 0.05


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_under_the_ceiling_every_bit_passes(rate_hz: int) -> None:
    audio = voice(2.0, rate_hz)
    audio *= np.float32(0.8 / np.max(np.abs(audio)))
    with TruePeakLimiter(rate_hz) as limiter:
        assert np.array_equal(process_whole(limiter, audio), audio)
        assert limiter.stats().max_reduction_db == 0.0
        # 10 ms for the block, 5.5 ms for the look-ahead with its interpolator.
        assert limiter.latency_frames <= 0.0155 * rate_hz + 1


def test_one_gain_for_all_channels() -> None:
    loud, quiet = np.tile(bursts(48000), 4), 0.25 * voice(4.0, 48000)
    with TruePeakLimiter(48000, channels=2) as limiter:
        out = process_whole(limiter, np.stack([loud, quiet], axis=1))
    heard = (np.abs(loud) > 0.01) & (np.abs(quiet) > 0.01)
    assert np.count_nonzero(heard) > 4800
    gains = out[heard] / np.stack([loud, quiet], axis=1)[heard]
    assert np.max(np.abs(gains[:, 0] - gains[:, 1])) < 1e-5


@pytest.mark.parametrize("frequency_hz", [50.0, 100.0, 1000.0, 5000.0])
def test_steady_sine_stays_clean(frequency_hz: float) -> None:
    angle = 2 * np.pi * frequency_hz * np.arange(144000) / 48000
    with TruePeakLimiter(48000) as limiter:
        out = process_whole(limiter, (2.0 * np.sin(angle)).astype(np.float32))
    middle, at = out[96000:].astype(float), angle[96000:]
    basis = np.stack([np.sin(at), np.cos(at)], axis=1)
    tone = basis @ np.linalg.lstsq(basis, middle, rcond=None)[0]
    distortion_db = 10 * np.log10(np.sum((middle - tone) ** 2) / np.sum(tone**2))
    print(f"{frequency_hz:g} Hz, 7 dB over the ceiling: distortion {distortion_db:.1f} dB")
    assert distortion_db < (-45 if frequency_hz < 100 else -60)


def test_gain_returns_after_a_lone_peak() -> None:
    time = np.arange(96000) / 48000
    audio = (np.where(time < 0.01, 4.0, 0.25) * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    with TruePeakLimiter(48000, release_ms=80.0) as limiter:
        out = process_whole(limiter, audio)
    back = slice(12000, 14400)
    level_db = 10 * np.log10(np.sum(out[back] ** 2) / np.sum(audio[back] ** 2))
    assert -0.6 < level_db <= 0.0
    assert np.array_equal(out[-4800:], audio[-4800:])

"""Signals that several tests use: a syllabic tone complex (speech-like), noise, an echo path."""

from __future__ import annotations

from importlib import resources

import numpy as np
import soundfile
from numpy.typing import NDArray

Signal = NDArray[np.float32]


def voice(seconds: float, rate_hz: int, *, pitch_hz: float = 120.0, seed: int = 1) -> Signal:
    """Speech-like: wandering harmonics and breath, in syllables and phrases with pauses."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    knots = np.arange(0.0, seconds + 1.0, 0.12)
    wander = np.interp(time, knots, rng.uniform(0.8, 1.25, len(knots)))
    phase = 2 * np.pi * np.cumsum(pitch_hz * wander) / rate_hz
    tone = np.zeros(len(time))
    for harmonic in range(1, int(min(4000, 0.45 * rate_hz) // (1.25 * pitch_hz))):
        colour = np.interp(time, knots, rng.uniform(0.1, 1.0, len(knots)))
        tone += colour * np.sin(harmonic * phase + rng.uniform(0, 6)) / harmonic
    tone += 0.1 * rng.standard_normal(len(time))
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(3.5, 4.5) * time), 0, 1) ** 0.5
    phrases = np.sin(2 * np.pi * 0.4 * time + rng.uniform(0, 6)) > -0.5
    return (0.12 * tone * syllables * phrases).astype(np.float32)


def speech(name: str, seconds: float) -> Signal:
    """A voice of the demo, ``host`` or ``guest`` (16 kHz, synthesised), cut or repeated."""
    with resources.as_file(resources.files("audio_engine") / "demo_data" / f"{name}.flac") as path:
        samples, rate_hz = soundfile.read(path, dtype="float32")
    return np.resize(samples, round(seconds * rate_hz)).astype(np.float32)


def noise(seconds: float, rate_hz: int, level: float = 0.005, *, seed: int = 2) -> Signal:
    """White noise of a given root mean square."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * rate_hz))
    return (level * samples).astype(np.float32)


def echo_of(far: Signal, rate_hz: int, *, delay_ms: float = 40.0, seed: int = 3) -> Signal:
    """The far end through a decaying room of 60 ms, 6 dB down, `delay_ms` late."""
    rng = np.random.default_rng(seed)
    length = round(0.06 * rate_hz)
    room = rng.standard_normal(length) * np.exp(-np.arange(length) / (0.01 * rate_hz))
    room *= 0.5 / np.sqrt(np.sum(room**2))
    late = np.concatenate([np.zeros(round(delay_ms * rate_hz / 1000)), room])
    size = 1 << int(len(far) + len(late)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(far, size) * np.fft.rfft(late, size), size)[: len(far)]
    return wet.astype(np.float32)


def level_db(signal: NDArray[np.floating]) -> float:
    """Level of all samples together in dBFS; silence is -120."""
    return float(10 * np.log10(np.mean(signal.astype(np.float64) ** 2) + 1e-12))


def near_gain_db(near: Signal, out: Signal, rate_hz: int) -> float:
    """How much of a near end is left: mean gain in dB over tiles of 96 ms and four bands.

    Both aligned. The gain is that of the projection of `out` on `near`: echo does not count.
    """
    size = round(0.032 * rate_hz)
    window, hz = np.hanning(size), np.fft.rfftfreq(size, 1 / rate_hz)
    truth, found = (
        np.fft.rfft(np.lib.stride_tricks.sliding_window_view(x, size)[:: size // 2] * window)
        for x in (near, out)
    )
    gains = []
    for low, high in ((300, 1000), (1000, 2000), (2000, 4000), (4000, 7500)):
        band = (hz >= low) & (hz < high)
        own = np.sum(np.abs(truth[:, band]) ** 2, axis=1)
        common = np.sum(found[:, band] * np.conj(truth[:, band]), axis=1)
        whole = len(own) // 6 * 6
        own, common = (x[:whole].reshape(-1, 6).sum(axis=1) for x in (own, common))
        on = own > 1e-3 * own.max()
        gains.append(np.abs(common[on]) / own[on])
    return float(np.mean(20 * np.log10(np.clip(np.concatenate(gains), 1e-2, 10))))

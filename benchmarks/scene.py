"""A made-up live room for benchmarks: a talker, a loudspeaker with its echo, and a noisy room."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32]


def double_talk(seconds: float, rate_hz: int, *, seed: int = 7) -> tuple[Signal, Signal]:
    """Make a microphone and a far-end signal in which both sides talk, also at the same time.

    Parameters
    ----------
    seconds : float
        Length of the scene.
    rate_hz : int
        Sample rate.
    seed : int
        Seed of everything random in it.

    Returns
    -------
    mic, far : ndarray of float32, shape (frames,)
        The microphone holds a voice at about -23 dBFS, the far end through a room of 200 ms,
        60 ms late and 6 dB down, and noise at -55 dBFS.
    """
    rng = np.random.default_rng(seed)
    near = _voice(seconds, rate_hz, 130.0, rng)
    far = _voice(seconds, rate_hz, 210.0, rng)
    noise = 10 ** (-55 / 20) * rng.standard_normal(len(near))
    mic = near + _through_room(far, rate_hz, rng) + noise
    return mic.astype(np.float32), far.astype(np.float32)


def _voice(
    seconds: float, rate_hz: int, pitch_hz: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return harmonics and breath under syllables (4 per second) and phrases (1 to 3 s)."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    glide = 1 + 0.1 * np.sin(2 * np.pi * 0.7 * time + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch_hz * glide) / rate_hz
    voiced = np.zeros_like(time)
    for harmonic in range(1, int(min(6000, 0.4 * rate_hz) / pitch_hz)):
        voiced += np.sin(harmonic * phase + rng.uniform(0, 6)) / harmonic
    breath = 0.2 * rng.standard_normal(len(time))
    syllables = np.maximum(np.sin(2 * np.pi * 4 * time + rng.uniform(0, 6)), 0) ** 0.5
    turns = rng.uniform(size=int(seconds) + 2) < 0.7
    phrases = np.interp(time, np.arange(len(turns)), turns)
    voice = (voiced + breath) * syllables * phrases
    level: float = 0.07 / np.sqrt(np.mean(voice**2) + 1e-12)
    return level * voice


def _through_room(
    far: NDArray[np.float64], rate_hz: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    length, delay = round(0.2 * rate_hz), round(0.06 * rate_hz)
    room = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    room *= 0.5 / np.sqrt(np.sum(room**2))
    path = np.concatenate([np.zeros(delay), room])
    size = len(far) + len(path)
    wet: NDArray[np.float64] = np.fft.irfft(np.fft.rfft(far, size) * np.fft.rfft(path, size), size)
    return wet[: len(far)]

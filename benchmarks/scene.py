"""A made-up live room for benchmarks: a talker, a loudspeaker with its echo, and a noisy room."""

from __future__ import annotations

from importlib import resources

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_engine import resample

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


def two_loudspeakers(
    kind: str, seconds: float, rate_hz: int, *, seed: int = 7
) -> tuple[Signal, Signal, Signal]:
    """Make a stereo far end and what it leaves in a microphone, which hears nobody else.

    Parameters
    ----------
    kind : str
        ``"music"``: a band of its own in each channel. ``"same"``: the demo's host in both.
        ``"antiphase"``: the same, turned over in the right channel. ``"panned"``: 7 dB louder on
        the left, and from half the scene on as much louder on the right. ``"tones"``: so
        with a hum of steady harmonics in the host's place, which excites few frequencies.
    seconds : float
        Length of the scene.
    rate_hz : int
        Sample rate.
    seed : int
        Seed of everything random in it.

    Returns
    -------
    echo, noise : ndarray of float32, shape (frames,)
        The loudspeakers through a room of 200 ms each, 60 ms late and 6 dB down, and the
        microphone's noise at -70 dBFS; their sum is the microphone signal.
    far : ndarray of float32, shape (frames, 2)
        What the loudspeakers play.
    """
    rng = np.random.default_rng(seed)
    if kind == "music":
        far = np.stack([_music(seconds, rate_hz, rng) for _ in range(2)], axis=1)
    else:
        tones = kind == "tones"
        talker = _voice(seconds, rate_hz, 160.0, rng) if tones else _speech(seconds, rate_hz)
        gains = {"same": (0.7, 0.7), "antiphase": (0.7, -0.7)}.get(kind, (0.9, 0.4))
        far = talker[:, np.newaxis] * np.array(gains)
        if kind in ("panned", "tones"):
            far[len(far) // 2 :] = far[len(far) // 2 :, ::-1]
    left, right = (_through_room(far[:, side], rate_hz, rng) for side in range(2))
    noise = 10 ** (-70 / 20) * rng.standard_normal(len(far))
    return (left + right).astype(np.float32), noise.astype(np.float32), far.astype(np.float32)


def _speech(seconds: float, rate_hz: int) -> NDArray[np.float64]:
    """Return the demo's host, over and over, at -23 dBFS."""
    with resources.as_file(resources.files("audio_engine") / "demo_data" / "host.flac") as path:
        spoken, spoken_hz = soundfile.read(path, dtype="float32")
    voice = np.resize(resample(spoken, spoken_hz, rate_hz), round(seconds * rate_hz))
    level: float = 0.07 / np.sqrt(np.mean(voice.astype(np.float64) ** 2))
    return level * voice.astype(np.float64)


def _music(seconds: float, rate_hz: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return plucked notes (8 per second) and brushed drums (4 per second), at -23 dBFS."""
    frames, note = round(seconds * rate_hz), round(0.6 * rate_hz)
    sound = np.zeros(frames + note)
    time = np.arange(note) / rate_hz
    for start in range(0, frames, rate_hz // 8):
        pitch_hz = 110.0 * 2 ** (rng.integers(0, 36) / 12)
        for harmonic in range(1, int(min(7000, 0.45 * rate_hz) / pitch_hz)):
            decay = np.exp(-time * (4 + 2 * harmonic)) / harmonic
            phase = 2 * np.pi * harmonic * pitch_hz * time + rng.uniform(0, 6)
            sound[start : start + note] += decay * np.sin(phase)
    for start in range(0, frames, rate_hz // 4):
        sound[start : start + note] += 0.5 * rng.standard_normal(note) * np.exp(-time * 20)
    level: float = 0.07 / np.sqrt(np.mean(sound[:frames] ** 2))
    return level * sound[:frames]


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

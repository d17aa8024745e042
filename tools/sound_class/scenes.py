"""Sounds to learn from: speech, music and noise of one kind each, clean and mixed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from audio_engine.analysis.sound_listener import STEP_S
from benchmarks.pieces import SCORES, kick, piece, snare

Signal = NDArray[np.float64]
RATE_HZ = 16000
SECONDS = 14.0
PAUSE_DB = 35.0  # below the loudest quarter of a second
_ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3"}


class Clip(NamedTuple):
    """A sound of one kind (0 speech, 1 music, 2 noise), where it is from, and when it is heard."""

    signal: Signal
    kind: int
    source: str
    heard: NDArray[np.bool_]  # for every step: it is there, not in a pause of more than a second


class Recordings:
    """Recordings of a folder, by the folder that they lie in.

    Parameters
    ----------
    folder : Path, optional
        Where they are; without it there are none.
    """

    def __init__(self, folder: Path | None) -> None:
        files = sorted(folder.rglob("*")) if folder else []
        self.by_folder: dict[Path, list[Path]] = {}
        for path in files:
            if path.suffix.lower() in _ENDINGS:
                self.by_folder.setdefault(path.parent, []).append(path)

    def __bool__(self) -> bool:
        return bool(self.by_folder)

    def piece(self, rng: np.random.Generator, seconds: float = SECONDS) -> tuple[Signal, str]:
        """Return a piece of a recording, repeated where it is too short, and its name.

        Each folder is as likely as the others, however many recordings lie in it.
        """
        paths = list(self.by_folder.values())[int(rng.integers(len(self.by_folder)))]
        path = paths[int(rng.integers(len(paths)))]
        return np.resize(_read(path, rng, seconds), round(seconds * RATE_HZ)), path.name

    def talk(self, rng: np.random.Generator) -> tuple[Signal, str]:
        """Return sentences of one folder with pauses of up to 0.6 s, and the folder's name."""
        folders = list(self.by_folder)
        folder = folders[int(rng.integers(len(folders)))]
        said: list[Signal] = []
        while sum(map(len, said)) < SECONDS * RATE_HZ:
            path = self.by_folder[folder][int(rng.integers(len(self.by_folder[folder])))]
            said += [_read(path, rng, 8.0), np.zeros(int(rng.integers(1600, 9600)))]
        return np.concatenate(said)[: round(SECONDS * RATE_HZ)], folder.name


def _read(path: Path, rng: np.random.Generator, seconds: float) -> Signal:
    info = soundfile.info(path)
    frames = min(info.frames, int(seconds * info.samplerate))
    start = int(rng.integers(info.frames - frames + 1))
    audio, rate_hz = soundfile.read(path, frames=frames, start=start, always_2d=True)
    return np.asarray(soxr.resample(audio.mean(axis=1), rate_hz, RATE_HZ))


def at_level(signal: Signal, level_dbfs: float) -> Signal:
    """Scale a signal to a root mean square."""
    scaled = signal * 10.0 ** (level_dbfs / 20.0) / np.sqrt(np.mean(signal**2) + 1e-12)
    return np.asarray(scaled)


def heard(signal: Signal) -> NDArray[np.bool_]:
    """Return the steps around which, half a second away at most, a sound is no pause."""
    size = round(STEP_S * RATE_HZ)
    padded = np.pad(signal, (0, -len(signal) % size))
    power = np.mean(padded.reshape(-1, size) ** 2, axis=1)
    loud = power > 10.0 ** (-PAUSE_DB / 10.0) * power.max()
    return np.convolve(loud, np.ones(5), "same") > 0.5


def under(signal: Signal, other: Signal, below_db: float) -> Signal:
    """Return the signal with another one so far below it."""
    level_dbfs = 10.0 * np.log10(np.mean(signal**2) + 1e-12)
    return np.asarray(signal + at_level(other[: len(signal)], level_dbfs - below_db))


def drums(rng: np.random.Generator) -> Signal:
    """Return a beat of kick and snare with a random rhythm of four bars' repeat."""
    out = np.zeros(round(SECONDS * RATE_HZ))
    step_s = 60.0 / rng.uniform(80.0, 170.0) / 2.0
    pattern = rng.uniform(size=(2, 8)) < 0.4
    pattern[0, 0] = pattern[1, 4] = True
    for step in range(int(SECONDS / step_s) - 2):
        for hit, make in zip(pattern[:, step % 8], (kick, snare), strict=True):
            if hit:
                sound = make(rng, RATE_HZ)
                start = round(step * step_s * RATE_HZ)
                out[start : start + len(sound)] += sound[: len(out) - start]
    return out + 1e-4 * rng.standard_normal(len(out))


def hiss(rng: np.random.Generator) -> Signal:
    """Return white to brown noise, half the time with mains hum."""
    frames = round(SECONDS * RATE_HZ)
    hz = np.fft.rfftfreq(frames, 1.0 / RATE_HZ)
    colour = (1.0 + hz / rng.uniform(50.0, 2000.0)) ** -rng.uniform(0.0, 1.2)
    noise = at_level(np.fft.irfft(np.fft.rfft(rng.standard_normal(frames)) * colour, frames), 0.0)
    if rng.uniform() < 0.5:
        time_s = np.arange(frames) / RATE_HZ
        base_hz = rng.uniform(49.0, 120.0)
        waves = [np.sin(2.0 * np.pi * base_hz * k * time_s + k * k) / k for k in range(1, 12)]
        noise = under(noise, np.sum(waves, axis=0), rng.uniform(-6.0, 20.0))
    return noise


def clips(
    count: int, speech: Recordings, noise: Recordings, music: Recordings, seed: int
) -> Iterator[Clip]:
    """Yield `count` clips of each kind; what is not recorded is made."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        yield _speech(number, speech, noise, music, rng)
        yield _music(number, noise, music, rng)
        made = not noise or number % 6 == 0
        sound, source = (hiss(rng), "made") if made else noise.piece(rng)
        yield Clip(at_level(sound, rng.uniform(-55.0, -20.0)), 2, source, heard(sound))


def _speech(
    number: int, speech: Recordings, noise: Recordings, music: Recordings, rng: np.random.Generator
) -> Clip:
    """Return speech: clean half of the time, else over noise or over music."""
    voice, source = speech.talk(rng)
    voice = at_level(voice, rng.uniform(-40.0, -18.0))
    if number % 4 == 1 and noise:
        mixed = under(voice, noise.piece(rng)[0], rng.uniform(3.0, 25.0))
        return Clip(mixed, 0, f"{source}, noise", heard(voice))
    if number % 4 == 2:
        sound, _ = _song(number, music, rng)
        mixed = under(voice, sound, rng.uniform(5.0, 20.0))
        return Clip(mixed, 0, f"{source}, music", heard(voice))
    breath = 10.0 ** (rng.uniform(-75.0, -50.0) / 20.0) * rng.standard_normal(len(voice))
    return Clip(voice + breath, 0, source, heard(voice))


def _song(number: int, music: Recordings, rng: np.random.Generator) -> tuple[Signal, str]:
    if music and number % 3:
        return music.piece(rng)
    if rng.uniform() < 0.2:
        return drums(rng), "made drums"
    name = list(SCORES)[int(rng.integers(len(SCORES)))]
    return piece(name, SECONDS, RATE_HZ, seed=int(rng.integers(100, 10000))), f"made {name}"


def _music(number: int, noise: Recordings, music: Recordings, rng: np.random.Generator) -> Clip:
    """Return music, now and then over noise."""
    sound, source = _song(number, music, rng)
    there = heard(sound)
    sound = at_level(sound, rng.uniform(-40.0, -14.0))
    if number % 5 == 0 and noise:
        sound = under(sound, noise.piece(rng)[0], rng.uniform(8.0, 25.0))
    return Clip(sound, 1, source, there)

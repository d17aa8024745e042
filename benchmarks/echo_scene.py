"""What the echo benchmarks share: talkers, rooms, and measures against a known near end."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import fftconvolve, resample_poly

Signal = NDArray[np.float64]

VOICE_RATE_HZ = 16000  # of the voices that the package ships
SPEEDS_PERCENT = (86, 93, 100, 107, 115)  # one voice sounds like five talkers
MAX_DELAY_MS = 1000
MOVE_MS = 100.0  # a hand that moves a microphone is not faster
BANDS_HZ = ((300, 1000), (1000, 2000), (2000, 4000), (4000, 7500))
TILE_FRAMES = 6  # of 16 ms
ACTIVE_BELOW_PEAK_DB = 30.0  # tiles and blocks weaker than that hold no speech
LOST_TILE_DB = -10.0  # a tile that is weaker than that is not heard any more
LOUDER_DB = 3.0


def level_db(signal: Signal) -> float:
    """Return the level in dBFS of all samples together; silence is -120."""
    return float(10.0 * np.log10(np.mean(np.square(signal)) + 1e-12)) if len(signal) else -120.0


def at_level(signal: Signal, level_dbfs: float) -> Signal:
    """Scale a signal so that its 10 ms blocks with speech have a level; silence stays."""
    power = block_power(signal, 160)
    active = power[power > 10.0 ** (-ACTIVE_BELOW_PEAK_DB / 10.0) * power.max(initial=0.0)]
    if len(active) == 0:
        return signal
    scaled: Signal = signal * 10.0 ** (level_dbfs / 20.0) / np.sqrt(active.mean())
    return scaled


def block_power(signal: Signal, block: int) -> Signal:
    """Return the mean power of every whole block."""
    blocks = signal[: len(signal) // block * block].reshape(-1, block)
    power: Signal = np.mean(np.square(blocks), axis=1)
    return power


@cache
def voice(name: str, rate_hz: int, speed_percent: int = 100) -> Signal:
    """Return a voice of the demo, ``host`` or ``guest``, at a rate and a speed, 0 dBFS."""
    with resources.as_file(resources.files("audio_engine") / "demo_data" / f"{name}.flac") as path:
        samples, _ = soundfile.read(path, dtype="float64")
    moved = resample_poly(samples, rate_hz * 100, VOICE_RATE_HZ * speed_percent)
    return at_level(moved, 0.0)


class Talker:
    """A voice that goes on talking; each time from another place, with another pitch and level."""

    def __init__(self, name: str, rate_hz: int, rng: np.random.Generator) -> None:
        self._name = name
        self._rate_hz = rate_hz
        self._rng = rng

    def say(self, seconds: float, level_dbfs: float, *, spread_db: float = 3.0) -> Signal:
        """Return speech that begins and ends softly, at a level give or take `spread_db`."""
        speech = voice(self._name, self._rate_hz, int(self._rng.choice(SPEEDS_PERCENT)))
        frames = round(seconds * self._rate_hz)
        start = int(self._rng.integers(len(speech)))
        said = np.take(speech, np.arange(start, start + frames), mode="wrap")
        fade = np.minimum(1.0, np.arange(frames) / (0.01 * self._rate_hz))
        level = level_dbfs + self._rng.uniform(-spread_db, spread_db)
        spoken: Signal = said * fade * fade[::-1] * 10.0 ** (level / 20.0)
        return spoken


def room_response(rate_hz: int, t60_s: float, rng: np.random.Generator) -> Signal:
    """Return a direct sound after 2 ms and an exponentially decaying tail as strong, energy 1."""
    frames, direct = round(t60_s * rate_hz), round(0.002 * rate_hz)
    tail = rng.standard_normal(frames) * 10.0 ** (-3.0 * np.arange(frames) / frames)
    tail[: direct + 1] = 0.0
    tail /= np.sqrt(np.sum(np.square(tail)))
    tail[direct] = 1.0
    return np.asarray(tail / np.sqrt(2.0), np.float64)


class EchoPath:
    """From the far end to the microphone, in pieces of any length: a delay and a room."""

    def __init__(self, rate_hz: int, response: Signal, delay_ms: float) -> None:
        self._rate_hz = rate_hz
        self._response = self._before = response
        self._moved = False
        self.delay_ms = delay_ms
        self._past = np.zeros(round(MAX_DELAY_MS * rate_hz / 1000) + rate_hz)

    def move(self, response: Signal) -> None:
        """Fade to another room during the first 100 ms of the next piece."""
        self._before, self._response = self._response, response
        self._moved = True

    def play(self, far: Signal) -> Signal:
        """Return the echo of the next piece of far end; `delay_ms` holds at once."""
        heard = np.concatenate([self._past, far])
        end = len(heard) - round(self.delay_ms * self._rate_hz / 1000)
        heard_late = heard[max(end - len(far) - self._rate_hz, 0) : end]
        echo = fftconvolve(heard_late, self._response)[: len(heard_late)][-len(far) :]
        if self._moved:
            old = fftconvolve(heard_late, self._before)[: len(heard_late)][-len(far) :]
            share = np.minimum(1.0, np.arange(len(far)) / (MOVE_MS * self._rate_hz / 1000.0))
            echo = share * echo + (1.0 - share) * old
            self._moved = False
        self._past = heard[-len(self._past) :]
        return np.asarray(echo, np.float64)


def tile_gains_db(near: Signal, out: Signal, rate_hz: int, others: Signal | None = None) -> Signal:
    """Return how strongly the near end is left in tiles of 96 ms and four bands where it speaks.

    Parameters
    ----------
    near, out : ndarray, shape (frames,)
        The true near end and the processed signal, aligned.
    rate_hz : int
        Sample rate.
    others : ndarray, optional
        What else there is: tiles in which it is stronger than the near end are left out.

    Returns
    -------
    ndarray, shape (tiles,)
        Gain in dB, -40 to 20: of the projection of `out` on `near`, so that echo does not count.
    """
    size = round(0.032 * rate_hz)
    there = (near, out) if others is None else (near, out, others)
    spectra = [_spectra(signal, size) for signal in there]
    frequency_hz = np.fft.rfftfreq(size, 1.0 / rate_hz)
    gains = [np.zeros(0)]
    for low_hz, high_hz in BANDS_HZ:
        band = (frequency_hz >= low_hz) & (frequency_hz < high_hz)
        truth, found, *rest = (spectrum[:, band] for spectrum in spectra)
        own = _tiles(np.sum(np.abs(truth) ** 2, axis=1))
        common = _tiles(np.sum(found * np.conj(truth), axis=1))
        on = own > own.max(initial=0.0) * 10.0 ** (-ACTIVE_BELOW_PEAK_DB / 10.0)
        for other in rest:
            on &= own > _tiles(np.sum(np.abs(other) ** 2, axis=1))
        gain = np.abs(common[on]) / (own[on] + 1e-20)
        gains.append(20.0 * np.log10(np.clip(gain, 1e-2, 10.0)))
    return np.concatenate(gains)


def _spectra(signal: Signal, size: int) -> NDArray[np.complex128]:
    frames = np.lib.stride_tricks.sliding_window_view(signal, size)[:: size // 2]
    return np.asarray(np.fft.rfft(frames * np.hanning(size), axis=1))


def _tiles(values: NDArray[Any]) -> NDArray[Any]:
    whole = len(values) // TILE_FRAMES * TILE_FRAMES
    return np.asarray(values[:whole].reshape(-1, TILE_FRAMES).sum(axis=1))


def longest_run(flags: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int(np.max(edges[1::2] - edges[::2], initial=0))


def echo_blocks(echo: Signal, noise_dbfs: float, block: int) -> NDArray[np.bool_]:
    """Return in which blocks the echo stands 10 dB out of the noise."""
    return np.asarray(block_power(echo, block) > 10.0 ** ((noise_dbfs + 10.0) / 10.0))


def louder_blocks(mic: Signal, out: Signal, block: int) -> NDArray[np.bool_]:
    """Return in which blocks the output is more than 3 dB louder than the microphone."""
    limit = 10.0 ** (LOUDER_DB / 10.0)
    return np.asarray(block_power(out, block) > limit * block_power(mic, block))

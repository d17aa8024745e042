"""Make up noises at any rate: fans, hum, wind, typing, taps, applause, babble, music, and rooms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import signal

from training.spectrum import Array

Random = np.random.Generator


def ratio(level_db: float) -> float:
    """Return the amplitude ratio of a level."""
    return float(10 ** (level_db / 20))


def log_uniform(rng: Random, low: float, high: float) -> float:
    """Draw a positive number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def unit(x: Array) -> Array:
    """Return `x` with rms 1."""
    return np.asarray(x / (np.sqrt(np.mean(x**2)) + 1e-9), np.float32)


def _times(frames: int, rate: int) -> Array:
    return np.arange(frames) / rate


def _filtered(x: Array, kind: str, order: int, corner_hz: float, rate: int) -> Array:
    corner = min(corner_hz, 0.45 * rate)
    sections = signal.butter(order, corner, kind, fs=rate, output="sos")
    return np.asarray(signal.sosfilt(sections, x))


def add(y: Array, start: int, sound: Array) -> None:
    """Add a sound from frame `start` on, as far as `y` goes."""
    if 0 <= start < len(y):
        y[start : start + len(sound)] += sound[: len(y) - start].astype(y.dtype)


def convolved(x: Array, path: Array) -> Array:
    """Return `x` through an impulse response, the same length."""
    return np.asarray(signal.fftconvolve(x, path)[: len(x)], np.float32)


# --- rooms ---


def room(rng: Random, t60_s: float, direct_db: float, rate: int) -> tuple[Array, Array]:
    """Return an impulse response with its direct sound at 0, and its first 50 ms.

    direct_db: direct sound and early reflections over the tail.
    """
    frames = int((t60_s + 0.06) * rate)
    t = _times(frames, rate)
    path = np.zeros(frames)
    path[0] = 1.0
    for _ in range(rng.integers(6, 40)):
        at_s = rng.uniform(0.0008, 0.05)
        gain = 0.8 * rng.uniform(0.1, 1) * rng.choice([-1, 1, 1])
        gain *= np.exp(-6.9 * at_s / t60_s) / (1 + at_s * 120)
        at = at_s * rate
        k = int(at)
        path[k] += gain * (k + 1 - at)
        path[k + 1] += gain * (at - k)
    tail = rng.standard_normal(frames)
    low = _filtered(tail, "low", 1, rng.uniform(1500, 6000), rate)
    high_t60_s = rng.uniform(0.45, 0.9) * t60_s
    tail = low * np.exp(-6.9 * t / t60_s) + (tail - low) * 0.7 * np.exp(-6.9 * t / high_t60_s)
    if rng.random() < 0.3:
        tail = _filtered(tail, "high", 1, rng.uniform(80, 300), rate)
    tail *= np.clip((t - 0.003) / 0.03, 0, 1)
    tail *= np.sqrt(np.sum(path**2) / np.sum(tail**2)) * ratio(-direct_db)
    path += tail
    early = path * np.clip((0.0525 - t) / 0.005, 0, 1)
    return path.astype(np.float32), early.astype(np.float32)


def any_room(rng: Random, rate: int) -> tuple[Array, Array]:
    """Return a room as people sit in, near the microphone or a few metres away."""
    return room(rng, log_uniform(rng, 0.1, 1.1), rng.uniform(-4, 14), rate)


def _perhaps_in_a_room(rng: Random, x: Array, rate: int) -> Array:
    return convolved(x, any_room(rng, rate)[0]) if rng.random() < 0.6 else np.asarray(x, np.float32)


# --- steady noise ---


def coloured(rng: Random, frames: int, rate: int) -> Array:
    """Return noise with a random smooth spectrum, breathing slowly."""
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    f_hz = np.maximum(np.fft.rfftfreq(frames, 1 / rate), 20)
    octaves = np.log2(f_hz / 1000)
    knots = np.linspace(-6, 5, 9)
    curve_db = np.interp(octaves, knots, rng.normal(0, 6, 9)) - rng.uniform(-1, 6) * octaves
    x = np.fft.irfft(spectrum * 10 ** (curve_db / 20), frames)
    swing_db = rng.uniform(0, 3) * np.sin(
        2 * np.pi * rng.uniform(0.05, 0.6) * _times(frames, rate) + rng.uniform(0, 6)
    )
    return unit(x * 10 ** (swing_db / 20))


def fan(rng: Random, frames: int, rate: int) -> Array:
    """Return a fan, a vacuum cleaner, an engine: blade tones with harmonics in their own wind."""
    t = _times(frames, rate)
    turn_hz = log_uniform(rng, 15, 400)
    wander = np.interp(
        t, np.linspace(0, t[-1] + 1e-6, 8), rng.normal(0, rng.uniform(0.0005, 0.02), 8)
    )
    phase = 2 * np.pi * np.cumsum(turn_hz * (1 + wander)) / rate
    tones = np.zeros(frames)
    slope = rng.uniform(0.3, 1.6)
    for h in range(1, int(rng.integers(2, 40))):
        if h * turn_hz < 0.45 * rate:
            tones += rng.uniform(0.05, 1) ** 2 * h**-slope * np.sin(h * phase + rng.uniform(0, 6))
    beat = 1 + rng.uniform(0, 0.5) * np.sin(phase / int(rng.integers(1, 6)))
    air = coloured(rng, frames, rate) * beat
    return unit(air + ratio(rng.uniform(-18, 8)) * unit(tones))


def hum(rng: Random, frames: int, rate: int) -> Array:
    """Return mains hum of many harmonics, in a little hiss."""
    t = _times(frames, rate)
    base = rng.choice([50.0, 60.0]) * (1 + 8e-4 * np.sin(0.6 * t + rng.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(base) / rate
    out = np.zeros(frames)
    slope = rng.uniform(0.4, 1.8)
    for h in range(1, int(rng.integers(3, 80))):
        odd = 1.0 if h % 2 == 0 or h < 3 else rng.uniform(0.1, 1.0)
        out += odd * rng.uniform(0.1, 1) * h**-slope * np.sin(h * phase + rng.uniform(0, 6))
    return unit(unit(out) + ratio(rng.uniform(-45, -8)) * coloured(rng, frames, rate))


def hiss(rng: Random, frames: int, rate: int) -> Array:
    """Return the noise of an amplifier: white or rising."""
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    f_hz = np.fft.rfftfreq(frames, 1 / rate)
    rise = (1 + f_hz / rng.uniform(1500, 6000)) ** rng.uniform(-0.5, 1.0)
    cut = 1 + (rng.uniform(40, 200) / np.maximum(f_hz, 1)) ** 2
    return unit(np.fft.irfft(spectrum * rise / cut, frames))


def wind(rng: Random, frames: int, rate: int) -> Array:
    """Return wind on a capsule: gusts of noise without heights."""
    low = _filtered(rng.standard_normal(frames), "low", 2, log_uniform(rng, 35, 500), rate)
    knots = int(rng.uniform(2, 8) * frames / rate) + 2
    gusts = np.interp(np.linspace(0, knots - 1, frames), np.arange(knots), rng.gamma(0.7, 1, knots))
    rest = coloured(rng, frames, rate)
    rest = rest * (0.3 + gusts) if rng.random() < 0.5 else rest
    return unit(low / np.std(low) * gusts + ratio(rng.uniform(-30, -3)) * rest)


# --- blows ---


@dataclass(frozen=True)
class _Thing:
    """What is struck: resonances (Hz, strength), their decay, a burst, a thump (Hz, strength)."""

    modes: list[tuple[float, float]]
    decay_s: float
    hiss: float
    tilt: float  # of the burst: bright below 0, dull above
    thump: tuple[float, float]

    def strike(self, rng: Random, rate: int) -> Array:
        """Return one blow, perhaps with a bounce."""
        t = _times(int(0.15 * rate), rate)
        burst = rng.standard_normal(len(t))
        burst[1:] += self.tilt * burst[:-1].copy()
        out = self.hiss * burst * np.exp(-t / (self.decay_s * rng.uniform(0.5, 1.0)))
        for f_hz, weight in self.modes:
            ring = np.sin(2 * np.pi * f_hz * rng.uniform(0.93, 1.07) * t + rng.uniform(0, 6))
            out += weight * ring * np.exp(-t / (self.decay_s * rng.uniform(0.6, 1.5)))
        low = np.sin(2 * np.pi * self.thump[0] * t) * np.exp(-t / rng.uniform(0.006, 0.025))
        out += self.thump[1] * low
        rise = int(rng.uniform(1e-4, 1e-3) * rate) + 1
        out[:rise] *= np.linspace(0, 1, rise)
        for _ in range(2):
            if rng.random() < 0.35:
                gap = int(rng.uniform(0.003, 0.025) * rate)
                out[gap:] += rng.uniform(0.2, 1.0) * out[:-gap].copy()
        return np.asarray(out)


# Where the resonances lie, and how slowly they die at most.
_THINGS = {
    "mechanical": (1200, 7500, 0.03),
    "laptop": (400, 5000, 0.012),
    "mouse": (2000, 9000, 0.004),
    "taps": (250, 4000, 0.02),
    "objects": (200, 9000, 0.12),
}
_THING_SHARES = (0.3, 0.3, 0.15, 0.15, 0.1)


def blows(rng: Random, frames: int, rate: int) -> Array:
    """Return typing, mouse clicks, taps or knocks, in a room, over a faint background."""
    out = np.zeros(frames, np.float32)
    low_hz, high_hz, slow_s = list(_THINGS.values())[rng.choice(len(_THINGS), p=_THING_SHARES)]
    modes = [(rng.uniform(low_hz, high_hz), rng.uniform(0.1, 1)) for _ in range(rng.integers(2, 9))]
    decay_s = log_uniform(rng, 0.0012, slow_s)
    hiss_share, tilt = rng.uniform(0.2, 2.5), rng.uniform(-0.9, 0.9)
    thing = _Thing(modes, decay_s, hiss_share, tilt, (rng.uniform(80, 450), rng.uniform(0, 2.0)))
    pace_s, up, up_s = rng.uniform(0.04, 0.3), rng.uniform(0.1, 0.9), rng.uniform(0.05, 0.15)
    at_s = rng.uniform(0, 0.5)
    while at_s < frames / rate:
        again = rng.random() < 0.8
        for delay_s, gain in ((0.0, 1.0), (up_s * rng.uniform(0.7, 1.3), up * again)):
            blow = thing.strike(rng, rate)
            add(out, int((at_s + delay_s) * rate), gain * ratio(rng.normal(0, 3)) * blow)
        at_s += rng.gamma(2, pace_s) + 0.04 + (rng.random() < 0.12) * rng.uniform(0.3, 2.0)
    out = _perhaps_in_a_room(rng, out, rate)
    peak = np.sqrt(np.mean(np.sort(out**2)[-frames // 15 :]) + 1e-12)
    return np.asarray(out / peak + ratio(rng.uniform(-65, -28)) * coloured(rng, frames, rate))


def applause(rng: Random, frames: int, rate: int) -> Array:
    """Return the clapping of many hands."""
    impulses = np.zeros(frames)
    people = int(log_uniform(rng, 3, 80))
    for _ in range(people):
        pace_s, at_s = rng.uniform(0.18, 0.4), rng.uniform(0, 0.4)
        while at_s < frames / rate:
            impulses[int(at_s * rate)] += ratio(rng.normal(0, 4)) * rng.choice([-1, 1])
            at_s += pace_s * rng.normal(1, 0.06)
    t = _times(int(0.03 * rate), rate)
    clap = rng.standard_normal(len(t)) * np.exp(-t / log_uniform(rng, 0.002, 0.008))
    clap = _filtered(clap, "high", 1, rng.uniform(300, 1200), rate)
    out = convolved(convolved(impulses, clap), any_room(rng, rate)[0])
    return unit(unit(out) + ratio(rng.uniform(-40, -15)) * coloured(rng, frames, rate))


def crackle(rng: Random, frames: int, rate: int) -> Array:
    """Return rain, a fire, paper: many small bursts, thick or thin, over noise."""
    density = log_uniform(rng, 3, 2000) / rate
    impulses = (
        (rng.random(frames) < density) * rng.standard_normal(frames) * rng.gamma(0.5, 1, frames)
    )
    t = _times(int(0.02 * rate), rate)
    drop = rng.standard_normal(len(t)) * np.exp(-t / log_uniform(rng, 0.0003, 0.006))
    corner_hz = log_uniform(rng, 200, 3000)
    out = _filtered(convolved(impulses, drop), "high", 1, corner_hz, rate)
    return unit(
        unit(_perhaps_in_a_room(rng, out, rate))
        + ratio(rng.uniform(-30, 3)) * coloured(rng, frames, rate)
    )


# --- music ---

_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10), (0, 2, 4, 7, 9))


def _note(rng: Random, f_hz: float, length_s: float, voice: dict[str, float], rate: int) -> Array:
    t = _times(int(length_s * rate), rate)
    vibrato = voice["vibrato"] * np.sin(2 * np.pi * voice["vibrato_hz"] * t + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(f_hz * (1 + vibrato)) / rate
    out = np.zeros(len(t))
    for h in range(1, int(voice["harmonics"]) + 1):
        if h * f_hz > 0.45 * rate:
            break
        weight = h ** -voice["slope"] * (1 if h % 2 else voice["even"])
        ring = np.exp(-t * voice["damping"] * h)
        out += (
            weight * ring * np.sin(h * phase * (1 + voice["stiffness"] * h * h) + rng.uniform(0, 6))
        )
    attack = max(2, int(voice["attack_s"] * rate))
    envelope = np.minimum(np.arange(len(t)) / attack, 1) * np.minimum(
        (len(t) - np.arange(len(t))) / (0.02 * rate), 1
    )
    return np.asarray(out * envelope)


def _voice(rng: Random) -> dict[str, float]:
    held = rng.random() < 0.5
    return {
        "vibrato": rng.uniform(0, 0.012) * (rng.random() < 0.4),
        "vibrato_hz": rng.uniform(4, 7),
        "harmonics": float(rng.integers(2, 25)),
        "slope": rng.uniform(0.4, 2.0),
        "even": rng.uniform(0.1, 1),
        "damping": rng.uniform(0, 0.6) if held else log_uniform(rng, 0.8, 12),
        "stiffness": rng.uniform(0, 3e-4),
        "attack_s": rng.uniform(0.01, 0.15) if held else rng.uniform(0.001, 0.01),
    }


def music(rng: Random, frames: int, rate: int) -> Array:
    """Return generated notes: a melody, chords, a bass, drums, or some of these."""
    y = np.zeros(frames + 4 * rate, np.float32)
    scale = _SCALES[rng.integers(len(_SCALES))]
    root = rng.uniform(40, 52)
    beat_s = 60 / rng.uniform(55, 170)
    parts = [p for p in ("melody", "chords", "bass", "drums") if rng.random() < 0.6] or ["melody"]
    voices = {p: _voice(rng) for p in parts}

    def pitch(octave: int) -> float:
        return float(440 * 2 ** ((root + 12 * octave + rng.choice(scale) - 69) / 12))

    at_s = -rng.uniform(0, 1)
    while at_s < frames / rate:
        at = int(max(at_s, 0) * rate)
        if "melody" in parts:
            length_s = beat_s * rng.choice([0.5, 1, 1.5, 2]) * 1.05
            add(
                y,
                at,
                0.5
                * ratio(rng.normal(0, 2))
                * _note(rng, pitch(int(rng.integers(1, 4))), length_s, voices["melody"], rate),
            )
        if "chords" in parts and rng.random() < 0.5:
            for _ in range(rng.integers(2, 5)):
                add(
                    y,
                    at,
                    0.25
                    * _note(
                        rng, pitch(int(rng.integers(0, 3))), 2.2 * beat_s, voices["chords"], rate
                    ),
                )
        if "bass" in parts:
            add(y, at, 0.6 * _note(rng, pitch(-1), beat_s, voices["bass"], rate))
        if "drums" in parts:
            for delay, chance in ((0, 0.9), (0.5, 0.7)):
                if rng.random() < chance:
                    add(
                        y, at + int(delay * beat_s * rate), rng.uniform(0.1, 0.9) * _drum(rng, rate)
                    )
        at_s += beat_s * rng.choice([0.5, 1, 1])
    return unit(_perhaps_in_a_room(rng, y[:frames], rate))


def _drum(rng: Random, rate: int) -> Array:
    t = _times(int(0.25 * rate), rate)
    if rng.random() < 0.4:
        low_hz, sweep_hz = rng.uniform(40, 90), rng.uniform(40, 200)
        phase = 2 * np.pi * np.cumsum(low_hz + sweep_hz * np.exp(-t / 0.02)) / rate
        return np.asarray(np.sin(phase) * np.exp(-t / rng.uniform(0.03, 0.12)))
    noise = rng.standard_normal(len(t)) * np.exp(-t / log_uniform(rng, 0.008, 0.08))
    return _filtered(noise, "high", 1, log_uniform(rng, 300, 6000), rate) * 0.5


MADE_UP: dict[str, Callable[[Random, int, int], Array]] = {
    "coloured": coloured, "fan": fan, "hum": hum, "hiss": hiss, "wind": wind, "blows": blows,
    "applause": applause, "crackle": crackle, "music": music,
}  # fmt: skip
SHARES = {
    "coloured": 0.10,
    "fan": 0.16,
    "hum": 0.06,
    "hiss": 0.05,
    "wind": 0.09,
    "blows": 0.20,
    "applause": 0.04,
    "crackle": 0.07,
    "music": 0.23,
}

"""Make up more noises that come and go: vehicles, dishes, buzzing electronics, cries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training import sounds
from training.sounds import Random, add, log_uniform, ratio, unit
from training.spectrum import Array

_SOUND_M_S = 343.0


def _wandering(rng: Random, frames: int, knots: int, spread: float) -> Array:
    points = rng.normal(0, spread, knots)
    return np.asarray(np.interp(np.linspace(0, knots - 1, frames), np.arange(knots), points))


def vehicle(rng: Random, frames: int, rate: int) -> Array:
    """Return cars, lorries and motorbikes that pass: engine and tyres, louder and higher near."""
    t = np.arange(frames) / rate
    out = 0.2 * ratio(rng.uniform(-25, 0)) * sounds.coloured(rng, frames, rate)
    for _ in range(int(rng.integers(1, 5))):
        speed, near_m = rng.uniform(4, 30), log_uniform(rng, 3, 40)
        x_m = speed * (t - rng.uniform(-2, t[-1] + 2))
        distance_m = np.hypot(x_m, near_m)
        doppler = 1 / (1 + speed * x_m / distance_m / _SOUND_M_S)
        revolutions_hz = log_uniform(rng, 12, 90) * (1 + _wandering(rng, frames, 5, 0.08))
        phase = 2 * np.pi * np.cumsum(revolutions_hz * doppler) / rate
        engine = np.zeros(frames)
        for h in range(1, int(rng.integers(6, 40))):
            engine += rng.uniform(0.1, 1) * h ** -rng.uniform(0.4, 1.4) * np.sin(h * phase)
        tyres = sounds.coloured(rng, frames, rate)
        sound = unit(engine) * ratio(rng.uniform(-12, 6)) + tyres
        out += ratio(rng.normal(0, 4)) * sound * near_m / distance_m
    if rng.random() < 0.25:  # a horn
        start, length = rng.uniform(0, 0.8) * t[-1], rng.uniform(0.2, 1.5)
        on = (t > start) & (t < start + length)
        low_hz = rng.uniform(250, 500)
        horn = sum(np.sign(np.sin(2 * np.pi * f * t)) for f in (low_hz, 1.25 * low_hz))
        out += ratio(rng.uniform(-12, 3)) * on * horn
    return unit(sounds.convolved(out, sounds.any_room(rng, rate)[0]))


def clatter(rng: Random, frames: int, rate: int) -> Array:
    """Return dishes, cutlery, keys on a table, steps, doors: things that ring when they are hit."""
    out = np.zeros(frames)
    t = np.arange(int(0.6 * rate)) / rate
    things = []
    for _ in range(int(rng.integers(1, 5))):
        low_hz = log_uniform(rng, 60, 4000)
        modes = low_hz * np.cumprod(rng.uniform(1.05, 1.9, int(rng.integers(3, 12))))
        things.append((modes[modes < 0.45 * rate], log_uniform(rng, 0.005, 0.25)))
    at_s, pace_s = rng.uniform(0, 0.5), log_uniform(rng, 0.05, 0.8)
    while at_s < frames / rate:
        modes, decay_s = things[int(rng.integers(len(things)))]
        blow = rng.uniform(0.1, 1.5) * rng.standard_normal(len(t)) * np.exp(-t / 0.003)
        for f_hz in modes:
            ring = np.sin(2 * np.pi * f_hz * rng.uniform(0.98, 1.02) * t + rng.uniform(0, 6))
            blow += rng.uniform(0.1, 1) * ring * np.exp(-t / (decay_s * rng.uniform(0.4, 1.3)))
        add(out, int(at_s * rate), ratio(rng.normal(0, 5)) * blow)
        at_s += rng.gamma(1.5, pace_s) + 0.01
    out = unit(sounds.convolved(out, sounds.any_room(rng, rate)[0]))
    return unit(out + ratio(rng.uniform(-45, -12)) * sounds.coloured(rng, frames, rate))


def buzz(rng: Random, frames: int, rate: int) -> Array:
    """Return a telephone in an amplifier, a dimmer, a coil, a charger, alarms and rings."""
    t = np.arange(frames) / rate
    out: Array
    kind = int(rng.integers(4))
    if kind == 0:  # bursts of a GSM telephone: 217 Hz, every 26th missing
        phase = (t * 216.7) % 1
        out = (phase < 0.125) * ((t * 216.7 / 26) % 1 < rng.uniform(0.5, 1))
        out = np.diff(out.astype(float), prepend=0.0) + 0.3 * out
    elif kind == 1:  # a dimmer: the mains' cut edges
        mains_hz = rng.choice([100.0, 120.0])
        out = np.diff(((t * mains_hz) % 1 < rng.uniform(0.1, 0.9)).astype(float), prepend=0.0)
    elif kind == 2:  # coils and chargers: a few thin tones that wander
        out = np.zeros(frames)
        for _ in range(int(rng.integers(1, 6))):
            f_hz = log_uniform(rng, 800, 0.4 * rate) * (1 + _wandering(rng, frames, 6, 0.004))
            out += rng.uniform(0.1, 1) * np.sin(2 * np.pi * np.cumsum(f_hz) / rate)
    else:  # a ring tone or alarm
        notes = rng.uniform(500, 3500, int(rng.integers(1, 5)))
        pace = rng.uniform(2, 14)
        f_hz = notes[(t * pace).astype(int) % len(notes)]
        on = (t * rng.uniform(0.3, 1.5)) % 1 < rng.uniform(0.3, 1.0)
        phase = 2 * np.pi * np.cumsum(f_hz) / rate
        out = on * (np.sin(phase) + rng.uniform(0, 0.5) * np.sin(3 * phase))
    return unit(unit(out) + ratio(rng.uniform(-40, -6)) * sounds.coloured(rng, frames, rate))


def cry(rng: Random, frames: int, rate: int) -> Array:
    """Return barks, mews, cries and birds: short glides with formants, over a background."""
    out = np.zeros(frames)
    base_hz, length_s = log_uniform(rng, 180, 3500), log_uniform(rng, 0.05, 1.2)
    formants = base_hz * np.cumprod(rng.uniform(1.4, 2.6, 3))
    at_s = rng.uniform(0, 1)
    while at_s < frames / rate:
        t = np.arange(int(length_s * rng.uniform(0.7, 1.3) * rate)) / rate
        share = t / (t[-1] + 1e-6)
        glide = 1 + rng.uniform(-0.3, 0.5) * np.sin(np.pi * share) + rng.uniform(-0.2, 0.2) * share
        phase = 2 * np.pi * np.cumsum(base_hz * glide) / rate
        sound = rng.uniform(0, 0.6) * rng.standard_normal(len(t))
        for h in range(1, 20):
            f_hz = h * base_hz
            if f_hz > 0.45 * rate:
                break
            near = np.max(1 / (1 + ((f_hz - formants) / (0.2 * formants)) ** 2))
            sound += (0.1 + near) * h**-0.5 * np.sin(h * phase)
        sound *= np.sin(np.pi * share) ** rng.uniform(0.3, 1.5)
        add(out, int(at_s * rate), ratio(rng.normal(0, 3)) * sound)
        at_s += len(t) / rate + rng.gamma(1.2, 0.5)
    out = sounds.convolved(out, sounds.any_room(rng, rate)[0])
    return unit(unit(out) + ratio(rng.uniform(-40, -8)) * sounds.coloured(rng, frames, rate))


PASSING: dict[str, Callable[[Random, int, int], Array]] = {
    "vehicle": vehicle, "clatter": clatter, "buzz": buzz, "cry": cry,
}  # fmt: skip
PASSING_SHARES = {"vehicle": 0.10, "clatter": 0.10, "buzz": 0.05, "cry": 0.05}

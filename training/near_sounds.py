"""Make up noises near the microphone: keyboards, water, paper, rattling machines, gusts, hiss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import signal

from training import sounds
from training.sounds import Random, add, log_uniform, ratio, unit
from training.spectrum import Array


def _smooth(rng: Random, frames: int, knots: int) -> Array:
    """Return a slow random curve between 0 and 1."""
    return np.asarray(
        np.interp(np.linspace(0, knots - 1, frames), np.arange(knots), rng.random(knots))
    )


def _band(x: Array, low_hz: float, high_hz: float, rate: int) -> Array:
    high_hz = min(high_hz, 0.45 * rate)
    sections = signal.butter(
        1, [min(low_hz, 0.8 * high_hz), high_hz], "band", fs=rate, output="sos"
    )
    return np.asarray(signal.sosfilt(sections, x))


# --- keyboards ---


@dataclass(frozen=True)
class _Build:
    """How a keyboard is built: its plate's and caps' resonances, decay, click, table."""

    caps_hz: tuple[float, float]
    decay_s: tuple[float, float]
    click: tuple[float, float]  # a sharp click before the key meets the plate
    table: tuple[float, float]
    release_db: tuple[float, float]
    hold_s: tuple[float, float]


_BUILDS = (
    _Build((1500, 6500), (0.004, 0.02), (0.5, 2.0), (0.2, 1.0), (-8, 1), (0.07, 0.14)),  # clicky
    _Build((900, 3500), (0.004, 0.03), (0.0, 0.3), (0.5, 2.5), (-12, -2), (0.06, 0.12)),  # linear
    _Build((600, 4500), (0.0015, 0.009), (0.0, 0.5), (0.2, 1.5), (-16, -5), (0.05, 0.1)),  # laptop
    _Build((400, 2500), (0.003, 0.012), (0.0, 0.2), (0.5, 2.0), (-20, -6), (0.06, 0.12)),  # dome
    _Build((250, 1500), (0.002, 0.01), (0.0, 0.1), (0.0, 0.6), (-40, -20), (0.03, 0.08)),  # glass
)


def _key_sounds(rng: Random, build: _Build, count: int, rate: int) -> list[tuple[Array, Array]]:
    """Return what keys of one keyboard sound like, down and up: related, not the same."""
    t = np.arange(int(0.14 * rate)) / rate
    plate_hz = rng.uniform(*build.caps_hz, int(rng.integers(3, 10)))
    weights = rng.uniform(0.1, 1, len(plate_hz))
    decay_s = log_uniform(rng, *build.decay_s)
    table_hz, table = rng.uniform(70, 420, 2), rng.uniform(*build.table)
    tilt, burst_share, click = (
        rng.uniform(-0.9, 0.8),
        rng.uniform(0.4, 2),
        rng.uniform(*build.click),
    )
    keys = []
    for _ in range(count):
        pair = []
        for size in (rng.uniform(0.9, 1.05), rng.uniform(1.1, 1.5)):
            burst = signal.lfilter([1, tilt], [1], rng.standard_normal(len(t)))
            sound = burst_share * burst * np.exp(-t / (0.6 * decay_s))
            for f_hz, weight in zip(plate_hz, weights, strict=True):
                ring = np.sin(
                    2 * np.pi * f_hz * size * rng.uniform(0.96, 1.04) * t + rng.uniform(0, 6)
                )
                sound += weight * ring * np.exp(-t / (decay_s * rng.uniform(0.6, 1.5)))
            for f_hz in table_hz:
                low = np.sin(2 * np.pi * f_hz * rng.uniform(0.97, 1.03) * t)
                sound += table * low * np.exp(-t / rng.uniform(0.008, 0.03))
            if click > 0.05:
                lead = int(rng.uniform(0.004, 0.02) * rate)
                snap = rng.standard_normal(len(t) - lead) * np.exp(-t[lead:] * 2500)
                sound = np.roll(sound, lead)
                sound[:lead] = 0
                sound[: len(snap)] += click * signal.lfilter([1, -0.8], [1], snap)
            pair.append(sound / (np.abs(sound).max() + 1e-9))
        keys.append((pair[0], pair[1]))
    return keys


def keyboard(rng: Random, frames: int, rate: int) -> Array:
    """Return somebody typing on a keyboard that stands on a table: bursts of keys, down and up."""
    build = _BUILDS[int(rng.integers(len(_BUILDS)))]
    keys = _key_sounds(rng, build, 8, rate)
    space = _key_sounds(rng, build, 1, rate)[0]  # longer, so it sounds of its own
    out = np.zeros(frames)
    release = ratio(rng.uniform(*build.release_db))
    hold_s, pace_s = rng.uniform(*build.hold_s), log_uniform(rng, 0.06, 0.3)
    touch_db = rng.uniform(1, 4)
    at_s = rng.uniform(-0.3, 0.6)
    while at_s < frames / rate:
        for _ in range(int(rng.geometric(1 / rng.uniform(4, 40)))):  # a word or a line
            last = rng.random() < 0.17
            down, up = space if last else keys[int(rng.integers(len(keys)))]
            force = ratio(rng.normal(2 * last, touch_db))
            add(out, int(at_s * rate), force * down)
            add(out, int((at_s + hold_s * rng.uniform(0.7, 1.4)) * rate), release * force * up)
            # Hands alternate: the distance of keys is no steady beat.
            at_s += max(0.025, pace_s * float(rng.lognormal(0, 0.45)))
            if at_s > frames / rate:
                break
        at_s += rng.gamma(1.2, rng.uniform(0.1, 0.6))
    if rng.random() < 0.7:  # near, or across the room
        path = sounds.room(rng, log_uniform(rng, 0.12, 0.7), rng.uniform(-2, 16), rate)[0]
        out = sounds.convolved(out, path)
    peak = np.sqrt(np.mean(np.sort(out**2)[-frames // 15 :]) + 1e-12)
    under = ratio(rng.uniform(-65, -22))
    return np.asarray(out / peak + under * sounds.coloured(rng, frames, rate), np.float32)


# --- a house ---


def water(rng: Random, frames: int, rate: int) -> Array:
    """Return a tap, a shower, something poured: bubbles that ring up, in their own hiss."""
    out = np.zeros(frames)
    t = np.arange(int(0.06 * rate)) / rate
    low_hz, high_hz = log_uniform(rng, 200, 900), log_uniform(rng, 1200, 5000)
    bubbles = [
        np.sin(2 * np.pi * log_uniform(rng, low_hz, high_hz) * t * (1 + rng.uniform(0, 6) * t))
        * np.exp(-t / log_uniform(rng, 0.002, 0.015)) * np.minimum(t / 0.001, 1)
        for _ in range(24)
    ]  # fmt: skip
    for at in rng.integers(0, frames, int(log_uniform(rng, 8, 500) * frames / rate)):
        add(out, int(at), rng.gamma(0.8, 1) * bubbles[int(rng.integers(24))])
    flow = 0.3 + _smooth(rng, frames, int(rng.integers(2, 12)))
    spray = _band(
        rng.standard_normal(frames), log_uniform(rng, 300, 2500), rng.uniform(4e3, 2e4), rate
    )
    mixed = flow * (unit(out) + ratio(rng.uniform(-20, 8)) * unit(spray))
    return unit(sounds.convolved(mixed, sounds.any_room(rng, rate)[0]))


def rustle(rng: Random, frames: int, rate: int) -> Array:
    """Return paper, a plastic bag, cloth, steps on gravel: handfuls of crackles, then none."""
    strokes = np.zeros(frames)
    at_s = rng.uniform(0, 0.5)
    length_s, gap_s = log_uniform(rng, 0.06, 1.0), log_uniform(rng, 0.05, 1.0)
    while at_s < frames / rate:
        n = int(length_s * rng.uniform(0.5, 1.6) * rate)
        shape = np.sin(np.pi * np.linspace(0, 1, n)) ** rng.uniform(0.5, 2)
        add(strokes, int(at_s * rate), ratio(rng.normal(0, 4)) * shape)
        at_s += n / rate + rng.gamma(1.5, gap_s)
    dense = log_uniform(rng, 60, 6000) / rate
    grains = (rng.random(frames) < dense) * rng.standard_normal(frames) * rng.gamma(0.4, 1, frames)
    t = np.arange(int(0.01 * rate)) / rate
    grain = rng.standard_normal(len(t)) * np.exp(-t / log_uniform(rng, 0.0002, 0.002))
    low_hz = log_uniform(rng, 150, 2500)
    out = _band(sounds.convolved(grains, grain), low_hz, low_hz * rng.uniform(3, 12), rate)
    steps = strokes * (unit(out) + ratio(rng.uniform(-30, -8)) * rng.standard_normal(frames))
    under = ratio(rng.uniform(-45, -15)) * sounds.coloured(rng, frames, rate)
    return unit(unit(sounds.convolved(steps, sounds.any_room(rng, rate)[0])) + under)


# --- machines ---


def rattle(rng: Random, frames: int, rate: int) -> Array:
    """Return an air conditioner, a train, a washing machine: fans that swell, and what is loose."""
    t = np.arange(frames) / rate
    base = sounds.fan(rng, frames, rate) + ratio(rng.uniform(-6, 6)) * sounds.coloured(
        rng, frames, rate
    )
    swell_db = rng.uniform(1, 9) * (_smooth(rng, frames, int(rng.integers(2, 8))) - 0.5)
    turn_hz = log_uniform(rng, 0.4, 25)
    turn = 1 + rng.uniform(0, 0.7) * np.sin(2 * np.pi * turn_hz * t + rng.uniform(0, 6))
    loose = np.zeros(frames)
    n = int(0.12 * rate)
    modes = rng.uniform(200, 5000, int(rng.integers(2, 8)))
    decay_s = log_uniform(rng, 0.003, 0.05)
    ring = sum(np.sin(2 * np.pi * f * t[:n] + rng.uniform(0, 6)) for f in modes)
    ring = (ring + rng.standard_normal(n)) * np.exp(-t[:n] / decay_s)
    # A wheel meets a joint twice, one axle behind the other; a loose plate once a turn.
    axle_s = rng.uniform(0.08, 0.35) if turn_hz < 2.5 and rng.random() < 0.6 else 0.0
    for k in range(int(frames / rate * turn_hz) + 1):
        at_s = (k + rng.normal(0, 0.03)) / turn_hz
        for delay_s in sorted({0.0, axle_s}):
            add(loose, int((at_s + delay_s) * rate), ratio(rng.normal(0, 3)) * ring)
    out = unit(base * turn * 10 ** (swell_db / 20)) + ratio(rng.uniform(-20, 6)) * unit(loose)
    return unit(sounds.convolved(out, sounds.any_room(rng, rate)[0]))


def buffets(rng: Random, frames: int, rate: int) -> Array:
    """Return wind that hits a capsule, or a breath: low thumps that overload it at times."""
    gust = np.zeros(frames)
    at_s = rng.uniform(-0.2, 0.5)
    while at_s < frames / rate:
        n = int(log_uniform(rng, 0.05, 1.5) * rate)
        rise = max(0.02, rng.beta(1.2, 3))
        shape = np.minimum(np.linspace(0, 1 / rise, n), np.linspace(1 / (1 - rise), 0, n))
        add(gust, int(at_s * rate), rng.gamma(1, 1) * np.minimum(shape, 1))
        at_s += rng.gamma(1.2, 0.35)
    low = _band(rng.standard_normal(frames), rng.uniform(8, 40), log_uniform(rng, 60, 600), rate)
    high = _band(rng.standard_normal(frames), 300, rng.uniform(1500, 9000), rate)
    out = gust * unit(low) + ratio(rng.uniform(-35, -10)) * gust**2 * unit(high)
    if rng.random() < 0.4:
        out = np.tanh(2 * out / (np.sqrt(np.mean(out**2)) + 1e-9) * rng.uniform(0.2, 1))
    return unit(unit(out) + ratio(rng.uniform(-40, -10)) * sounds.coloured(rng, frames, rate))


def preamplifier(rng: Random, frames: int, rate: int) -> Array:
    """Return the hiss of a cheap input: pink below, tilted above, cut off, whine, spluttering."""
    f_hz = np.maximum(np.fft.rfftfreq(frames, 1 / rate), 10)
    corner_hz = log_uniform(rng, 20, 2000)
    shape = np.sqrt(1 + corner_hz / f_hz) * (1 + f_hz / rng.uniform(2e3, 2e4)) ** rng.uniform(-2, 1)
    if rng.random() < 0.5:  # a codec's or a resampler's edge
        shape = shape * (f_hz < rng.choice([3400, 4000, 7000, 8000, 12000, 16000]))
    for _ in range(int(rng.integers(0, 3))):  # clocks of the converter
        near = np.abs(f_hz - rng.uniform(900, 0.45 * rate)) < 1.0
        shape = shape + near * rng.uniform(3, 40)
    out = unit(np.fft.irfft(np.fft.rfft(rng.standard_normal(frames)) * shape, frames))
    if rng.random() < 0.3:  # popcorn noise
        flips = np.cumsum(rng.random(frames) < rng.uniform(2, 60) / rate) % 2
        out = out + rng.uniform(0.2, 1) * _band(flips - 0.5, 20, 6000, rate)
    return unit(out * (1 - rng.uniform(0, 0.4) * _smooth(rng, frames, 4)))


NEAR: dict[str, Callable[[Random, int, int], Array]] = {
    "keyboard": keyboard, "water": water, "rustle": rustle, "rattle": rattle, "buffets": buffets,
    "preamplifier": preamplifier,
}  # fmt: skip
NEAR_SHARES = {
    "keyboard": 0.28,
    "water": 0.04,
    "rustle": 0.07,
    "rattle": 0.09,
    "buffets": 0.06,
    "preamplifier": 0.05,
}

"""Make up scenes of speech in noise for which is known when somebody speaks.

A scene is one microphone: a talker with pauses, perhaps in a room, and noise: recorded, made up,
music, other talkers, key strokes or wind. Everything is drawn from one random generator, so a seed
always makes the same scene. Talkers, rooms and music come from tools.echo_net.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import soxr

from tools.echo_net import simulate
from tools.echo_net.simulate import SAMPLE_RATE_HZ, Random, Recordings, Signal, ratio

HOPS_PER_S = 100
_AUDIBLE_DB = 35.0  # speech is what lies this far under the talker's level at most
_CLOSED_HOPS, _SHORT_HOPS = 10, 3  # shorter gaps are speech, shorter speech is none


@dataclass(frozen=True, slots=True)
class Scene:
    """What the microphone hears, float32, shape (frames,); does somebody speak, for each hop."""

    capture: Signal
    sample_rate_hz: int
    speech: npt.NDArray[np.bool_]


def spoken(speech: Signal) -> npt.NDArray[np.bool_]:
    """Return for each hop of 10 ms whether clean speech is within 35 dB of its level."""
    hop = SAMPLE_RATE_HZ // HOPS_PER_S
    power = np.mean(speech[: len(speech) // hop * hop].reshape(-1, hop) ** 2, 1)
    loudest = float(power.max(initial=0.0))
    if loudest < 1e-10:
        return np.zeros(len(power), bool)
    active = power[power > 1e-4 * loudest].mean()
    over = power > active * 10 ** (-_AUDIBLE_DB / 10)
    return ~_without_short(~_without_short(over, _CLOSED_HOPS), _SHORT_HOPS)


def _without_short(on: npt.NDArray[np.bool_], hops: int) -> npt.NDArray[np.bool_]:
    """Fill the gaps of at most `hops` between two stretches."""
    filled = on.copy()
    edges = np.flatnonzero(np.diff(on.astype(int)))
    for end, start in pairwise(edges):
        if on[end] and start - end <= hops:
            filled[end + 1 : start + 1] = True
    return filled


def talker(rng: Random, recordings: Recordings, frames: int) -> Signal:
    """Return one talker of level 1, utterances of up to 5 s with silence between them."""
    out = np.zeros(frames, np.float32)
    start_s = rng.uniform(0.03, 0.1) if rng.random() < 0.2 else rng.uniform(0.3, 1.5)
    at = int(start_s * SAMPLE_RATE_HZ)
    path = recordings.speech[rng.integers(len(recordings.speech))]
    speed = rng.uniform(0.87, 1.15) if rng.random() < 0.35 else 1.0
    while at < frames - SAMPLE_RATE_HZ // 2:
        x = recordings.read(path)
        length = int(rng.uniform(0.4, 5.0) * SAMPLE_RATE_HZ)
        start = int(rng.integers(0, max(1, len(x) - length)))
        x = _trimmed(x[start : start + length])
        if speed != 1.0:
            x = soxr.resample(x, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ)
        if len(x) < SAMPLE_RATE_HZ // 5:
            path = recordings.speech[rng.integers(len(recordings.speech))]
            continue
        simulate.add_at(out, at, x / simulate.level(x))
        pause_s = rng.uniform(0.4, 1.0) if rng.random() < 0.7 else rng.uniform(1.0, 3.0)
        at += len(x) + int(pause_s * SAMPLE_RATE_HZ)
    if rng.random() < 0.4:
        out = simulate.coloured(rng, out)
    return out / simulate.level(out)


def _trimmed(x: Signal) -> Signal:
    """Cut the silence off both ends, with ramps of 5 ms."""
    hop = SAMPLE_RATE_HZ // HOPS_PER_S
    power = np.mean(x[: len(x) // hop * hop].reshape(-1, hop) ** 2, 1)
    heard = np.flatnonzero(power > power.max(initial=0.0) * 10**-3.8)
    if not len(heard):
        return x[:0]
    cut = x[max(0, heard[0] - 2) * hop : (heard[-1] + 4) * hop].copy()
    ramp = min(len(cut) // 4, hop // 2)
    cut[:ramp] *= np.linspace(0, 1, ramp)
    cut[len(cut) - ramp :] *= np.linspace(1, 0, ramp)
    return cut


def babble(rng: Random, recordings: Recordings, frames: int) -> Signal:
    """Return several talkers at once, at their distances."""
    mixed = np.zeros(frames, np.float32)
    for _ in range(rng.integers(4, 13)):
        mixed += simulate.talk(rng, recordings, frames) * ratio(rng.uniform(-6, 0))
    far = simulate.convolved(mixed, simulate.room(rng, rng.uniform(0.3, 0.9), rng.uniform(-6, 6)))
    return far.astype(np.float32)


def keys(rng: Random, frames: int) -> Signal:
    """Return typing: each stroke a short burst with some resonances, down and up again."""
    out = np.zeros(frames, np.float32)
    at_s = 0.1
    resonances = [(rng.uniform(1200, 6000), rng.uniform(0.15, 1)) for _ in range(5)]
    thump_hz, decay_s = rng.uniform(120, 350), np.exp(rng.uniform(np.log(0.002), np.log(0.03)))
    thump, ring_share = rng.uniform(0.2, 2.0), rng.uniform(0.2, 1.5)
    t = simulate.times_s(int(0.08 * SAMPLE_RATE_HZ))
    while at_s < frames / SAMPLE_RATE_HZ:
        for delay_s, gain in ((0.0, 1.0), (rng.uniform(0.06, 0.14), rng.uniform(0.2, 0.5))):
            stroke = 1.5 * rng.standard_normal(len(t)) * np.exp(-t / (0.8 * decay_s))
            for f_hz, weight in resonances:
                ring = np.sin(2 * np.pi * f_hz * rng.uniform(0.95, 1.05) * t + rng.uniform(0, 6))
                stroke += (
                    ring_share * weight * ring * np.exp(-t / (decay_s * rng.uniform(0.7, 1.3)))
                )
            stroke += thump * np.sin(2 * np.pi * thump_hz * t) * np.exp(-t / 0.015)
            start = int((at_s + delay_s) * SAMPLE_RATE_HZ)
            if start < frames:
                simulate.add_at(out, start, gain * ratio(rng.normal(0, 3)) * stroke)
        at_s += rng.gamma(3, 0.05) + 0.06 + (rng.random() < 0.08) * rng.uniform(0.3, 1.2)
    out = _perhaps_in_a_room(rng, out)
    return out + ratio(rng.uniform(-60, -30)) * simulate.made_up_noise(rng, frames)


def hum(rng: Random, frames: int) -> Signal:
    """Return mains hum of many harmonics, in a little hiss."""
    t = simulate.times_s(frames)
    base_hz = rng.choice([50.0, 60.0]) * (1 + 5e-4 * np.sin(0.6 * t + rng.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(base_hz) / SAMPLE_RATE_HZ
    out = ratio(rng.uniform(-40, -20)) * rng.standard_normal(frames)
    slope = rng.uniform(0.5, 1.8)
    for h in range(1, int(rng.integers(3, 60))):
        odd = 1.0 if h % 2 == 0 or h < 3 else rng.uniform(0.1, 1.0)
        out += odd * rng.uniform(0.3, 1) * h**-slope * np.sin(h * phase + rng.uniform(0, 6))
    return out


def _perhaps_in_a_room(rng: Random, x: Signal) -> Signal:
    if rng.random() < 0.5:
        x = simulate.convolved(x, simulate.room(rng, rng.uniform(0.15, 0.8), rng.uniform(-3, 12)))
    return x.astype(np.float32)


def wind(rng: Random, frames: int) -> Signal:
    """Return wind on a capsule: gusts of noise without heights."""
    low = simulate.filtered(rng.standard_normal(frames), "low", 2, rng.uniform(40, 300))
    knots = int(4 * frames / SAMPLE_RATE_HZ) + 2
    gusts = np.interp(np.linspace(0, knots - 1, frames), np.arange(knots), rng.gamma(0.7, 1, knots))
    rest = simulate.made_up_noise(rng, frames)
    return low / np.std(low) * gusts + ratio(rng.uniform(-25, -5)) * rest


def background(rng: Random, recordings: Recordings, frames: int) -> tuple[Signal, float]:
    """Return noise of level 1, and the least SNR in dB at which it can be told from the talker."""
    draw = rng.random()
    if draw < 0.15:
        return _unit(babble(rng, recordings, frames)), 0.0
    if draw < 0.30:
        return _unit(_perhaps_in_a_room(rng, simulate.music(rng, frames))), 0.0
    if draw < 0.42:
        typed = keys(rng, frames)
        hop = SAMPLE_RATE_HZ // HOPS_PER_S
        power = np.mean(typed[: frames // hop * hop].reshape(-1, hop) ** 2, 1)
        return typed / np.sqrt(np.percentile(power, 90)), 0.0
    if draw < 0.48:
        return _unit(wind(rng, frames)), -5.0
    if draw < 0.53:
        return _unit(hum(rng, frames)), -5.0
    return _unit(simulate.noise(rng, recordings, frames)), -5.0


def _unit(x: Signal) -> Signal:
    return np.asarray(x / np.sqrt(np.mean(x**2) + 1e-12))


def make_scene(rng: Random, recordings: Recordings, seconds: float = 10.0) -> Scene:
    """Make up one scene: noise alone, a talker alone, mostly both."""
    frames = int(seconds * SAMPLE_RATE_HZ)
    voice = talker(rng, recordings, frames)
    label = spoken(voice)
    if rng.random() < 0.4:
        response = simulate.room(rng, rng.uniform(0.15, 0.9), rng.uniform(-3, 12))
        voice = simulate.convolved(voice, response)
        voice = voice / simulate.level(voice)
    noise, least_snr_db = background(rng, recordings, frames)
    snr_db = rng.uniform(least_snr_db, 20.0)
    draw = rng.random()
    if draw < 0.20:
        voice, label = 0.0 * voice, np.zeros_like(label)
    elif draw < 0.28:
        snr_db = rng.uniform(20.0, 60.0)
    elif draw < 0.31:
        snr_db = 200.0  # digital silence between the words
    if rng.random() < 0.06:  # a fan is switched on, a window closed
        at = int(rng.uniform(2, 8) * SAMPLE_RATE_HZ)
        noise = noise * np.where(np.arange(frames) < at, 1.0, ratio(rng.uniform(-12, 12)))
    capture = voice + ratio(-snr_db) * noise
    capture = capture / simulate.level(capture) * ratio(rng.uniform(-60, -12))
    capture = np.clip(capture, -1, 1)
    if rng.random() < 0.7:  # most sources have 16 bits
        capture = np.round(capture * 32767) / 32768
    rate_hz = SAMPLE_RATE_HZ
    if rng.random() < 0.12:
        rate_hz = 8000
        capture = soxr.resample(capture, SAMPLE_RATE_HZ, rate_hz)
    return Scene(np.ascontiguousarray(capture, np.float32), rate_hz, label)

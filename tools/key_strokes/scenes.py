"""Make up scenes of typing under speech for which is known when a stroke falls.

A scene is one microphone: a talker with pauses, perhaps in a room, and strokes: a keyboard of some
kind, a mouse, a pencil that taps. Others have no strokes but what is mistaken for some: fireworks,
fires, gravel, applause, drums. Everything is drawn from one random generator, so a seed always
makes the same scene. Talkers, rooms, music and noise come from the other tools.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tools.echo_net import simulate
from tools.echo_net.simulate import SAMPLE_RATE_HZ, Random, Recordings, Signal, ratio
from tools.speech_presence import scenes as speech_scenes
from tools.speech_presence.scenes import HOPS_PER_S, spoken, talker

# csrc/ae_transients.c hears in these bands, through a window of 1.3 hops.
EDGES_HZ = np.array([100, 350, 650, 1000, 1500, 2000, 2600, 3200, 4000, 5000, 6000, 7000, 8000])
_WINDOW_HOPS = 1.3
_STROKE_RISE_DB = 6.0  # of its own level, in a hop
_OVER_REST_DB = -3.0  # a band is the stroke's from here on
_MINE, _NOT_MINE = 0.4, 0.1  # share of the bands: a stroke; none. Between them nobody can tell
_ONSET_HOPS, _PAUSE_HOPS = 8, 10  # a word begins: so long, after a pause of so long
_CRACKLES = ("fire", "gravel", "applause", "vinyl", "snow", "boiling", "clock", "office", "rain")


@dataclass(frozen=True, slots=True)
class Scene:
    """What the microphone hears, float32, shape (frames,), and what is known of each hop.

    stroke: 1 a stroke falls, 0 none does, -1 nobody can tell; speech: somebody speaks; onset: a
    word begins.
    """

    capture: Signal
    stroke: npt.NDArray[np.int8]
    speech: npt.NDArray[np.bool_]
    onset: npt.NDArray[np.bool_]


# --- strokes ---


def strokes(rng: Random, frames: int) -> Signal:
    """Return what somebody does with a keyboard, a mouse or a pencil, without a background."""
    out = np.zeros(frames, np.float32)
    draw = rng.random()
    make = _keyboard if draw < 0.65 else _mouse if draw < 0.85 else _taps
    make(rng, out)
    if rng.random() < 0.7:  # a laptop on the desk is near, another desk is far
        room = simulate.room(rng, rng.uniform(0.12, 0.7), rng.uniform(-3, 15))
        out = simulate.convolved(out, room).astype(np.float32)
    if rng.random() < 0.5:
        out = simulate.coloured(rng, out)
    return np.asarray(out / np.sqrt(np.mean(np.sort(out**2)[-frames // 20 :]) + 1e-12))


@dataclass(frozen=True, slots=True)
class _Key:
    """What strikes: resonances (Hz, strength), their decay, a burst, a thump (Hz, strength)."""

    modes: list[tuple[float, float]]
    decay_s: float
    hiss: float
    tilt: float  # of the burst: bright below 0, dull above
    thump: tuple[float, float]

    def strike(self, rng: Random) -> Signal:
        """Return one stroke, perhaps with a bounce."""
        t = simulate.times_s(int(0.15 * SAMPLE_RATE_HZ))
        burst = rng.standard_normal(len(t))
        burst[1:] += self.tilt * burst[:-1].copy()
        out = self.hiss * burst * np.exp(-t / (self.decay_s * rng.uniform(0.5, 1.0)))
        for f_hz, weight in self.modes:
            ring = np.sin(2 * np.pi * f_hz * rng.uniform(0.93, 1.07) * t + rng.uniform(0, 6))
            out += weight * ring * np.exp(-t / (self.decay_s * rng.uniform(0.6, 1.5)))
        low = np.sin(2 * np.pi * self.thump[0] * t) * np.exp(-t / rng.uniform(0.006, 0.025))
        out += self.thump[1] * low
        rise = int(rng.integers(2, 16))
        out[:rise] *= np.linspace(0, 1, rise)
        for _ in range(2):
            if rng.random() < 0.35:
                gap = int(rng.uniform(0.003, 0.025) * SAMPLE_RATE_HZ)
                out[gap:] += rng.uniform(0.2, 1.0) * out[:-gap].copy()
        return np.asarray(out)


def _modes(rng: Random, low_hz: float, high_hz: float) -> list[tuple[float, float]]:
    return [(rng.uniform(low_hz, high_hz), rng.uniform(0.1, 1)) for _ in range(rng.integers(2, 9))]


def _keyboard(rng: Random, out: Signal) -> None:
    """Add typing: down, and up again more softly. Mechanical keys ring, laptops thud."""
    mechanical = rng.random() < 0.5
    low_hz, high_hz = (1500, 7500) if mechanical else (500, 5000)
    decay_s = np.exp(rng.uniform(np.log(0.002), np.log(0.025 if mechanical else 0.01)))
    hiss, tilt = rng.uniform(0.3, 2.5), rng.uniform(-0.9, 0.9)
    thump = (rng.uniform(80, 450), rng.uniform(0, 1.0 if mechanical else 2.5))
    key = _Key(_modes(rng, low_hz, high_hz), decay_s, hiss, tilt, thump)
    up, up_s, pace_s = rng.uniform(0.1, 0.8), rng.uniform(0.05, 0.15), rng.uniform(0.05, 0.25)
    at_s = rng.uniform(0.1, 0.6)
    while at_s < len(out) / SAMPLE_RATE_HZ:
        for delay_s, gain in ((0.0, 1.0), (up_s * rng.uniform(0.7, 1.3), up)):
            start = int((at_s + delay_s) * SAMPLE_RATE_HZ)
            if start < len(out):
                stroke = gain * ratio(rng.normal(0, 3)) * key.strike(rng)
                simulate.add_at(out, start, stroke)
        at_s += rng.gamma(2, pace_s) + 0.05 + (rng.random() < 0.1) * rng.uniform(0.3, 1.5)


def _mouse(rng: Random, out: Signal) -> None:
    """Add mouse clicks: short, bright, in pairs."""
    modes = _modes(rng, 2000, 7500)
    decay_s, hiss = rng.uniform(0.0008, 0.004), rng.uniform(0.5, 3)
    at_s = rng.uniform(0.1, 0.6)
    while at_s < len(out) / SAMPLE_RATE_HZ:
        for gain in (1.0, rng.uniform(0.4, 1.2)):
            start = int(at_s * SAMPLE_RATE_HZ)
            if start < len(out):
                key = _Key(modes, decay_s, hiss, -0.5, (300.0, rng.uniform(0, 0.4)))
                click = key.strike(rng)
                simulate.add_at(out, start, gain * ratio(rng.normal(0, 2)) * click)
            at_s += rng.uniform(0.06, 0.14)
        at_s += rng.gamma(2, 0.3) * (rng.random() < 0.8)


def _taps(rng: Random, out: Signal) -> None:
    """Add a pencil or a finger on the desk: even, dull or bright."""
    modes = _modes(rng, 300, 4000)
    decay_s, thump = rng.uniform(0.003, 0.02), (rng.uniform(80, 300), rng.uniform(0.3, 3))
    pace_s = rng.uniform(0.12, 0.5)
    at_s = rng.uniform(0.1, 0.6)
    while at_s < len(out) / SAMPLE_RATE_HZ:
        key = _Key(modes, decay_s, rng.uniform(0.2, 1.2), rng.uniform(-0.5, 0.9), thump)
        tap = key.strike(rng)
        simulate.add_at(out, int(at_s * SAMPLE_RATE_HZ), ratio(rng.normal(0, 3)) * tap)
        at_s += pace_s * rng.uniform(0.8, 1.2) + (rng.random() < 0.1) * rng.uniform(0.3, 1.5)


# --- no strokes ---


def mistakable(rng: Random, recordings: Recordings, frames: int) -> Signal:
    """Return a noise of level 1 without strokes, mostly one that sounds like strokes."""
    draw = rng.random()
    crackles = [p for p in recordings.noise if any(word in p.name for word in _CRACKLES)]
    if draw < 0.4 and crackles:
        x = recordings.read(crackles[rng.integers(len(crackles))])
        x = np.resize(x, frames + len(x))
        start = rng.integers(0, len(x) - frames + 1)
        x = x[start : start + frames]
    elif draw < 0.65:
        x = simulate.music(rng, frames)
        if rng.random() < 0.5:
            x = simulate.convolved(x, simulate.room(rng, rng.uniform(0.2, 0.6), rng.uniform(0, 12)))
    elif draw < 0.8:
        x = speech_scenes.babble(rng, recordings, frames)
    else:
        x = simulate.noise(rng, recordings, frames)
    return np.asarray(x / np.sqrt(np.mean(x**2) + 1e-12))


def _steady(rng: Random, recordings: Recordings, frames: int) -> Signal:
    """Return a background that may lie under typing."""
    if rng.random() < 0.6:
        return simulate.made_up_noise(rng, frames)
    return np.asarray(simulate.noise(rng, recordings, frames))


# --- scene ---


def band_levels(x: Signal) -> Signal:
    """Return the level in dB of each hop's bands, shape (hops, 12), as ae_transients hears them."""
    hop = SAMPLE_RATE_HZ // HOPS_PER_S
    window = int(_WINDOW_HOPS * hop)
    padded = np.concatenate([np.zeros(window - hop), x[: len(x) // hop * hop]])
    pieces = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    power = np.abs(np.fft.rfft(pieces * np.hanning(window + 2)[1:-1] ** 0.3, axis=1)) ** 2 / window
    bins = np.round(EDGES_HZ * window / SAMPLE_RATE_HZ).astype(int)
    bands = [power[:, a : max(b, a + 1)].mean(1) for a, b in pairwise(bins)]
    return np.asarray(10 * np.log10(np.stack(bands, 1) + 1e-14))


def find_strokes(stroke: Signal, rest: Signal) -> npt.NDArray[np.int8]:
    """Return for each hop 1, 0 or -1: a stroke, none, nobody can tell."""
    mine, others = band_levels(stroke), band_levels(rest)
    share = np.mean(mine > others + _OVER_REST_DB, 1)
    rise = np.mean(np.diff(mine, axis=0, prepend=mine[:1]), 1)
    found = np.full(len(mine), -1, np.int8)
    found[share < _NOT_MINE] = 0
    found[(share >= _MINE) & (rise > _STROKE_RISE_DB)] = 1
    return found


def find_onsets(speech: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the first hops of speech after a pause, and the two before: a plosive comes first."""
    onset = np.zeros_like(speech)
    for at in np.flatnonzero(speech[1:] & ~speech[:-1]) + 1:
        if not speech[max(0, at - _PAUSE_HOPS) : at].any():
            onset[max(0, at - 2) : at + _ONSET_HOPS] = True
    return onset


def make_scene(rng: Random, recordings: Recordings, seconds: float = 10.0) -> Scene:
    """Make up one scene: two in three with strokes."""
    frames = int(seconds * SAMPLE_RATE_HZ)
    voice = talker(rng, recordings, frames)
    label = spoken(voice)
    if rng.random() < 0.3:
        room = simulate.room(rng, rng.uniform(0.15, 0.7), rng.uniform(-3, 12))
        voice = simulate.convolved(voice, room)
        voice = voice / simulate.level(voice)
    if rng.random() < 0.08:
        voice, label = 0.0 * voice, np.zeros_like(label)
    typed: Signal = np.zeros(frames)
    if rng.random() < 0.67:
        typed = strokes(rng, frames) * ratio(rng.uniform(-18, 12))
        noise, snr_db = _steady(rng, recordings, frames), rng.uniform(10, 60)
    else:
        noise, snr_db = mistakable(rng, recordings, frames), rng.uniform(-3, 30)
    noise = ratio(-snr_db) * noise + ratio(rng.uniform(-70, -35)) * rng.standard_normal(frames)
    capture = voice + noise + typed
    gain = ratio(rng.uniform(-45, -14)) / simulate.level(capture)
    capture = np.clip(gain * capture, -1, 1)
    found = find_strokes(gain * typed, gain * (voice + noise))
    return Scene(np.ascontiguousarray(capture, np.float32), found, label, find_onsets(label))

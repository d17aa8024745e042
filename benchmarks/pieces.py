"""Made music, ten pieces of different instruments and tempo, and quiet close sounds.

Every piece is written by a seeded generator, so a run can be repeated and no recording is needed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]
Note = Callable[[float, float, np.random.Generator, int], Signal]

MINOR, MAJOR = (0, 3, 7), (0, 4, 7)
PROGRESSION = ((0, MINOR), (8, MAJOR), (3, MAJOR), (10, MAJOR))  # i VI III VII


def pitch_hz(note: float) -> float:
    """Return the frequency of a MIDI note; 69 is 440 Hz."""
    return float(440.0 * 2.0 ** ((note - 69.0) / 12.0))


def _fades(count: int, rate_hz: int, attack_s: float, release_s: float) -> Signal:
    time_s = np.arange(count) / rate_hz
    return np.minimum(1.0, time_s / attack_s) * np.minimum(
        1.0, (count / rate_hz - time_s) / release_s
    )


def piano(hz: float, seconds: float, rng: np.random.Generator, rate_hz: int) -> Signal:
    """Struck string: partials a little sharp, the high ones die first."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    out = np.zeros(len(time_s))
    for n in range(1, 13):
        partial = hz * n * np.sqrt(1.0 + 4e-4 * n * n)
        if partial < 0.45 * rate_hz:
            phase = rng.uniform(0.0, 6.28)
            out += (
                np.sin(2 * np.pi * partial * time_s + phase) * np.exp(-time_s * (0.8 + 0.5 * n)) / n
            )
    return out * _fades(len(out), rate_hz, 0.004, 0.03)


def organ(hz: float, seconds: float, rng: np.random.Generator, rate_hz: int) -> Signal:
    """Pipes of four feet: constant while the key is down."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    stops = ((1, 1.0), (2, 0.7), (3, 0.3), (4, 0.4), (6, 0.15), (8, 0.2))
    parts = [g * np.sin(2 * np.pi * hz * n * time_s + rng.uniform(0, 6.28)) for n, g in stops]
    return np.asarray(np.sum(parts, axis=0) * _fades(len(time_s), rate_hz, 0.03, 0.06))


def strings(hz: float, seconds: float, rng: np.random.Generator, rate_hz: int) -> Signal:
    """Four players, each with a vibrato of 15 cents of their own."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    out = np.zeros(len(time_s))
    for _ in range(4):
        speed, start = rng.uniform(4.8, 6.2), rng.uniform(0, 6.28)
        cents = 15.0 * np.sin(2 * np.pi * speed * time_s + start) + rng.uniform(-6.0, 6.0)
        phase = 2 * np.pi * np.cumsum(hz * 2.0 ** (cents / 1200.0)) / rate_hz
        for n in range(1, 11):
            if hz * n < 0.45 * rate_hz:
                out += np.sin(n * phase + rng.uniform(0, 6.28)) / n**1.2
    return out * _fades(len(out), rate_hz, 0.12, 0.15)


def pluck(hz: float, seconds: float, rng: np.random.Generator, rate_hz: int) -> Signal:
    """Plucked string: all partials, the high ones damped."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    out = np.zeros(len(time_s))
    where = rng.uniform(0.12, 0.25)
    for n in range(1, 21):
        if hz * n < 0.45 * rate_hz:
            level = np.sin(np.pi * n * where) / n
            out += level * np.sin(2 * np.pi * hz * n * time_s) * np.exp(-time_s * (1.5 + 0.25 * n))
    return out * _fades(len(out), rate_hz, 0.002, 0.02)


def flute(hz: float, seconds: float, rng: np.random.Generator, rate_hz: int) -> Signal:
    """Few partials, breath noise, a slight vibrato."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    cents = 10.0 * np.sin(2 * np.pi * 5.0 * time_s)
    phase = 2 * np.pi * np.cumsum(hz * 2.0 ** (cents / 1200.0)) / rate_hz
    tone = np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.12 * np.sin(3 * phase)
    return (tone + 0.02 * rng.standard_normal(len(tone))) * _fades(len(tone), rate_hz, 0.05, 0.05)


def bell(hz: float, seconds: float, rng: np.random.Generator, rate_hz: int) -> Signal:
    """Inharmonic partials with long tails."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    partials = (
        (0.5, 0.4, 0.5),
        (1.0, 1.0, 1.0),
        (1.19, 0.6, 1.3),
        (2.0, 0.8, 2.0),
        (2.76, 0.4, 3.0),
    )
    parts = [
        g * np.sin(2 * np.pi * hz * n * time_s + rng.uniform(0, 6.28)) * np.exp(-d * time_s)
        for n, g, d in partials
    ]
    return np.asarray(np.sum(parts, axis=0) * _fades(len(time_s), rate_hz, 0.002, 0.05))


def voice(hz: float, seconds: float, rng: np.random.Generator, rate_hz: int) -> Signal:
    """Sung vowel: glides in, 40 cents of vibrato, three formants."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    glide = -120.0 * np.exp(-time_s / 0.04)
    vibrato = 40.0 * np.sin(2 * np.pi * 5.5 * time_s) * np.minimum(1.0, time_s / 0.3)
    phase = 2 * np.pi * np.cumsum(hz * 2.0 ** ((glide + vibrato) / 1200.0)) / rate_hz
    formants = ((700, 1150, 2700), (400, 2000, 2700), (500, 900, 2600))[int(rng.integers(3))]
    out = np.zeros(len(time_s))
    for n in range(1, 30):
        if hz * n < min(5000.0, 0.45 * rate_hz):
            weight = sum(1.0 / (1.0 + ((hz * n - f) / 120.0) ** 2) for f in formants)
            out += (weight + 0.02) * np.sin(n * phase)
    return out * _fades(len(out), rate_hz, 0.05, 0.08)


def kick(rng: np.random.Generator, rate_hz: int) -> Signal:
    """Falling sine of 0.2 s with a click."""
    time_s = np.arange(int(0.2 * rate_hz)) / rate_hz
    click = 0.1 * rng.standard_normal(len(time_s)) * np.exp(-time_s / 0.002)
    return (
        np.sin(2 * np.pi * (45 * time_s - 2.5 * np.exp(-time_s / 0.03))) * np.exp(-time_s / 0.06)
        + click
    )


def snare(rng: np.random.Generator, rate_hz: int) -> Signal:
    """Noise burst with a low tone."""
    time_s = np.arange(int(0.2 * rate_hz)) / rate_hz
    tone = np.sin(2 * np.pi * 190 * time_s) * np.exp(-time_s / 0.04)
    return 0.5 * rng.standard_normal(len(time_s)) * np.exp(-time_s / 0.05) + 0.6 * tone


def hat(rng: np.random.Generator, rate_hz: int) -> Signal:
    """Bright noise burst of 30 ms."""
    noise = np.diff(rng.standard_normal(int(0.06 * rate_hz) + 1))
    return 0.15 * noise * np.exp(-np.arange(len(noise)) / rate_hz / 0.015)


def _add(out: Signal, at_s: float, rate_hz: int, sound: Signal) -> None:
    start = int(at_s * rate_hz)
    part = sound[: max(0, len(out) - start)]
    out[start : start + len(part)] += part


def _drums(
    out: Signal, beat_s: float, level: float, rng: np.random.Generator, rate_hz: int
) -> None:
    for step in range(int(len(out) / rate_hz / (beat_s / 2))):
        at_s = step * beat_s / 2
        _add(out, at_s, rate_hz, level * 0.5 * hat(rng, rate_hz) * rng.uniform(0.6, 1.0))
        if step % 4 == 0:
            _add(out, at_s, rate_hz, level * kick(rng, rate_hz))
        if step % 4 == 2:
            _add(out, at_s, rate_hz, level * 0.7 * snare(rng, rate_hz))


def _chords(
    out: Signal,
    note: Note,
    root: int,
    beat_s: float,
    *,
    spread: float,
    rng: np.random.Generator,
    rate_hz: int,
) -> None:
    """Lay one chord every four beats; `spread` = 0 strikes it, 1 breaks it over its time."""
    bar_s = 4 * beat_s
    for bar in range(int(len(out) / rate_hz / bar_s) + 1):
        offset, chord = PROGRESSION[bar % 4]
        steps = (0, *chord[1:], 12, chord[1] + 12)
        for index, step in enumerate(steps):
            late_s = spread * bar_s * index / len(steps)
            hz = pitch_hz(root + offset + step)
            _add(out, bar * bar_s + late_s, rate_hz, 0.4 * note(hz, bar_s - late_s, rng, rate_hz))


def _melody(
    out: Signal, note: Note, root: int, beat_s: float, *, rng: np.random.Generator, rate_hz: int
) -> None:
    scale = (0, 2, 3, 5, 7, 8, 10, 12, 14, 15)
    at_s, degree = 0.0, 4
    while at_s < len(out) / rate_hz - beat_s:
        degree = int(np.clip(degree + rng.integers(-2, 3), 0, len(scale) - 1))
        length_s = beat_s * float(rng.choice([0.5, 1.0, 1.0, 2.0]))
        if rng.random() < 0.9:
            _add(
                out,
                at_s,
                rate_hz,
                note(pitch_hz(root + scale[degree]), 0.95 * length_s, rng, rate_hz),
            )
        at_s += length_s


# name: (chords, their root, broken, melody, its root, drums, beats per minute)
SCORES: dict[str, tuple[Note | None, int, float, Note | None, int, float, int]] = {
    "piano": (piano, 45, 1.0, piano, 69, 0.0, 76),
    "organ": (organ, 48, 0.0, organ, 67, 0.0, 60),
    "strings": (strings, 45, 0.0, strings, 69, 0.0, 52),
    "guitar": (pluck, 43, 1.0, None, 0, 0.0, 104),
    "flute and harp": (pluck, 48, 1.0, flute, 72, 0.0, 88),
    "bells": (None, 0, 0.0, bell, 72, 0.0, 66),
    "song": (piano, 45, 0.3, voice, 57, 0.0, 84),
    "band": (pluck, 45, 0.5, flute, 69, 1.0, 120),
    "dance": (organ, 50, 0.0, pluck, 74, 1.5, 128),
    "voice alone": (None, 0, 0.0, voice, 60, 0.0, 72),
}


def piece(name: str, seconds: float, rate_hz: int, seed: int = 0) -> Signal:
    """Return one of `SCORES`, mono, peak 0.3; another seed is another key, tempo and melody."""
    chords, chord_root, broken, melody, melody_root, drums, tempo = SCORES[name]
    rng = np.random.default_rng([seed, list(SCORES).index(name)])
    key = int(rng.integers(-3, 4))
    beat_s = 60.0 / tempo * (rng.uniform(0.85, 1.18) if seed else 1.0)
    out = np.zeros(int(seconds * rate_hz))
    if chords:
        _chords(out, chords, chord_root + key, beat_s, spread=broken, rng=rng, rate_hz=rate_hz)
    if melody:
        _melody(out, melody, melody_root + key, beat_s, rng=rng, rate_hz=rate_hz)
    if drums:
        _drums(out, beat_s, drums, rng, rate_hz)
    return np.asarray(0.3 * out / np.max(np.abs(out)))


def _strokes(
    seconds: float, rate_hz: int, seed: int, *, every_s: float, low_hz: float, high_hz: float
) -> Signal:
    """Return swells of band-limited noise, as a hand or a brush makes them."""
    rng = np.random.default_rng(seed)
    count = int(seconds * rate_hz)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hz = np.fft.rfftfreq(count, 1.0 / rate_hz)
    band = 1.0 / (1.0 + (low_hz / np.maximum(hz, 1.0)) ** 4) / (1.0 + (hz / high_hz) ** 4)
    time_s = np.arange(count) / rate_hz
    swell = np.abs(np.sin(np.pi * time_s / every_s)) ** 1.5
    return np.asarray(np.fft.irfft(spectrum * band, count) * swell * (0.8 + 0.2 * np.sin(time_s)))


def _taps(seconds: float, rate_hz: int, seed: int) -> Signal:
    """Return finger nails on wood, four a second."""
    rng = np.random.default_rng(seed)
    out = np.zeros(int(seconds * rate_hz))
    time_s = np.arange(int(0.05 * rate_hz)) / rate_hz
    at_s = 0.5
    while at_s < seconds - 0.1:
        ring = np.sin(2 * np.pi * rng.uniform(900, 1800) * time_s) * np.exp(-time_s / 0.006)
        noise = 0.3 * rng.standard_normal(len(time_s)) * np.exp(-time_s / 0.002)
        _add(out, at_s, rate_hz, (ring + noise) * rng.uniform(0.4, 1.0))
        at_s += rng.uniform(0.15, 0.4)
    return out


def _whisper(seconds: float, rate_hz: int, seed: int) -> Signal:
    """Return breath through formants that move with four syllables a second, pauses between."""
    rng = np.random.default_rng(seed)
    out = np.zeros(int(seconds * rate_hz))
    at_s = 0.5
    while at_s < seconds - 0.4:
        length_s = rng.uniform(0.12, 0.3)
        count = int(length_s * rate_hz)
        hz = np.fft.rfftfreq(count, 1.0 / rate_hz)
        formants = rng.uniform((400, 1100, 2300), (900, 2000, 3200))
        shape = sum(1.0 / (1.0 + ((hz - f) / (0.12 * f)) ** 2) for f in formants) + 0.05
        breath = np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * shape, count)
        _add(out, at_s, rate_hz, breath * np.hanning(count) * rng.uniform(0.4, 1.0))
        at_s += length_s * rng.uniform(0.8, 1.2) + (
            rng.uniform(0.4, 0.9) if rng.random() < 0.2 else 0
        )
    return out


QUIET_SOUNDS = ("whisper", "rubbing", "brush", "tapping")


def quiet_sound(name: str, seconds: float, rate_hz: int, seed: int = 0) -> Signal:
    """Return one of `QUIET_SOUNDS`, mono, -45 dBFS RMS."""
    if name == "whisper":
        out = _whisper(seconds, rate_hz, seed)
    elif name == "rubbing":
        out = _strokes(seconds, rate_hz, seed, every_s=0.7, low_hz=300.0, high_hz=3000.0)
    elif name == "brush":
        out = _strokes(seconds, rate_hz, seed, every_s=0.35, low_hz=2500.0, high_hz=12000.0)
    else:
        out = _taps(seconds, rate_hz, seed)
    return np.asarray(10.0 ** (-45.0 / 20.0) * out / np.sqrt(np.mean(out**2)))

"""The golden scenes: for each preset the room it is for, with every part of the sound known.

All is made from a seed: voices of the demo at other speeds, rooms, wind, products, music by
formula. `Material` may bring recordings of voices and of noise instead. A scene is one or more
microphones; a microphone is the sum of its parts, so what the chain did to each can be told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from benchmarks.echo_scene import EchoPath, Talker, at_level, room_response
from benchmarks.pieces import QUIET_SOUNDS, SCORES, piece, quiet_sound

Signal = NDArray[np.float64]

_MUSIC_HEADROOM = 0.5  # peak of the performance: recorded with care
_ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3"}


@dataclass(frozen=True)
class Take:
    """One microphone: its parts, and what its loudspeaker plays."""

    parts: dict[str, Signal]
    far: Signal | None = None

    @cached_property
    def mic(self) -> Signal:
        """What the microphone hears: all parts together."""
        return np.asarray(np.sum(list(self.parts.values()), axis=0))


@dataclass(frozen=True, slots=True)
class Scene:
    """The microphones of a scene at one rate; `spans` are named (start, end) in seconds."""

    rate_hz: int
    takes: list[Take]
    spans: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def frames(self, span: str) -> NDArray[np.bool_]:
        """Return the frames that belong to a span."""
        chosen = np.zeros(len(self.takes[0].mic), np.bool_)
        for start, end in self.spans[span]:
            chosen[round(start * self.rate_hz) : round(end * self.rate_hz)] = True
        return chosen


class Material:
    """Where voices and noise come from.

    Parameters
    ----------
    speech, noise : Path, optional
        Folders of recordings; of speech every folder in it is one talker. Without them the demo's
        voices speak, and noise is made.
    """

    def __init__(self, speech: Path | None = None, noise: Path | None = None) -> None:
        self._speech = _recordings(speech)
        self._noise = _recordings(noise)

    def talker(self, rate_hz: int, rng: np.random.Generator) -> Talk:
        """Return somebody who says something else each time."""
        if not self._speech:
            return Talker(str(rng.choice(["host", "guest"])), rate_hz, rng).say
        own = list(self._speech.values())[int(rng.integers(len(self._speech)))]

        def say(seconds: float, level_dbfs: float, *, spread_db: float = 3.0) -> Signal:
            said: list[Signal] = []
            while sum(map(len, said)) < seconds * rate_hz:
                said.append(_read(own[int(rng.integers(len(own)))], rate_hz))
            whole = np.concatenate(said)[: round(seconds * rate_hz)]
            return at_level(whole, level_dbfs + rng.uniform(-spread_db, spread_db))

        return say

    def noise(
        self, kinds: tuple[str, ...], frames: int, rate_hz: int, rng: np.random.Generator
    ) -> Signal | None:
        """Return recorded noise out of a folder of one of these names, 0 dBFS; None without any."""
        found = [p for folder, paths in self._noise.items() if folder.name in kinds for p in paths]
        if not found:
            return None
        sound = _read(found[int(rng.integers(len(found)))], rate_hz)
        return rms(np.resize(sound, frames), 0.0)


Talk = Callable[..., Signal]


def _recordings(folder: Path | None) -> dict[Path, list[Path]]:
    found: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*")) if folder else []:
        if path.suffix.lower() in _ENDINGS:
            found.setdefault(path.parent, []).append(path)
    return found


def _read(path: Path, rate_hz: int) -> Signal:
    sound, own_hz = soundfile.read(path, always_2d=True)
    return np.asarray(soxr.resample(sound.mean(axis=1), own_hz, rate_hz))


def rms(signal: Signal, level_dbfs: float) -> Signal:
    """Scale a signal to a root mean square."""
    return np.asarray(signal * 10.0 ** (level_dbfs / 20.0) / np.sqrt(np.mean(signal**2) + 1e-20))


def _laid(pieces: list[tuple[float, Signal]], seconds: float, rate_hz: int) -> Signal:
    """Lay sounds at their seconds into silence."""
    out = np.zeros(round(seconds * rate_hz))
    for start_s, sound in pieces:
        start = round(start_s * rate_hz)
        part = sound[: max(0, len(out) - start)]
        out[start : start + len(part)] += part
    return out


def _coloured(frames: int, rate_hz: int, rng: np.random.Generator, knee_hz: float) -> Signal:
    """Return noise that falls by 6 dB an octave above a knee."""
    hz = np.fft.rfftfreq(frames, 1.0 / rate_hz)
    spectrum = np.fft.rfft(rng.standard_normal(frames)) / np.sqrt(1.0 + (hz / knee_hz) ** 2)
    return rms(np.fft.irfft(spectrum, frames), 0.0)


def fan(frames: int, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return a fan: hiss that falls by 3 dB an octave, and the hum of its blades; 0 dBFS."""
    hz = np.fft.rfftfreq(frames, 1.0 / rate_hz)
    hiss = np.fft.irfft(
        np.fft.rfft(rng.standard_normal(frames)) / np.sqrt(1 + hz / rng.uniform(150, 500)), frames
    )
    time_s = np.arange(frames) / rate_hz
    base_hz = rng.uniform(85.0, 120.0)
    hum = np.sum([np.sin(2 * np.pi * base_hz * k * time_s + k) / k for k in range(1, 6)], axis=0)
    return rms(rms(hiss, 0.0) + rng.uniform(0.2, 0.6) * rms(hum, 0.0), 0.0)


def wind(frames: int, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return gusts on a microphone: noise below some 100 Hz that swells within a second; 0 dBFS."""
    knots = np.arange(0.0, frames / rate_hz + 2.0, 0.6)
    gusts = rng.gamma(1.5, 1.0, len(knots))
    swell = np.interp(np.arange(frames) / rate_hz, knots, gusts)
    return rms(_coloured(frames, rate_hz, rng, rng.uniform(60.0, 140.0)) * swell, 0.0)


def traffic(frames: int, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return a road: a steady roar, and a car that passes every 4 to 8 s; 0 dBFS."""
    time_s = np.arange(frames) / rate_hz
    passing, at_s = np.full(frames, 0.5), rng.uniform(0.0, 4.0)
    while at_s < frames / rate_hz:
        passing += rng.uniform(0.5, 1.5) / (1.0 + ((time_s - at_s) / rng.uniform(0.5, 1.2)) ** 2)
        at_s += rng.uniform(4.0, 8.0)
    return rms(_coloured(frames, rate_hz, rng, rng.uniform(250.0, 600.0)) * passing, 0.0)


def keys(seconds: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return typing: three short knocks a stroke, five strokes a second; 0 dBFS where it sounds."""
    strokes = []
    at_s, time_s = 0.05, np.arange(round(0.03 * rate_hz)) / rate_hz
    while at_s < seconds - 0.2:
        body_hz, loudness = rng.uniform(1500.0, 5000.0), rng.uniform(0.4, 1.0)
        for delay_s, level in ((0.0, 0.5), (rng.uniform(0.008, 0.02), 1.0), (0.09, 0.4)):
            ring = np.sin(2.0 * np.pi * body_hz * time_s) + rng.standard_normal(len(time_s))
            strokes.append((at_s + delay_s, loudness * level * ring * np.exp(-time_s / 0.004)))
        at_s += rng.uniform(0.1, 0.3)
    return at_level(_laid(strokes, seconds, rate_hz), 0.0)


def claps(seconds: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return a few people clapping, each four times a second; 0 dBFS where they do."""
    hands = []
    time_s = np.arange(round(0.05 * rate_hz)) / rate_hz
    for _ in range(6):
        beat_s, at_s, body_hz = rng.uniform(0.2, 0.3), rng.uniform(0, 0.3), rng.uniform(800, 1800)
        while at_s < seconds - 0.06:
            noise = rng.standard_normal(len(time_s)) * np.exp(-time_s / 0.005)
            ring = np.sin(2 * np.pi * body_hz * time_s) * np.exp(-time_s / 0.008)
            hands.append((at_s + rng.normal(0, 0.01) + 0.02, rng.uniform(0.5, 1) * (noise + ring)))
            at_s += beat_s
    return at_level(_laid(hands, seconds, rate_hz), 0.0)


def crowd(seconds: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return a team that cheers: long open vowels of eight throats that glide, 0 dBFS."""
    frames = round(seconds * rate_hz)
    time_s = np.arange(frames) / rate_hz
    out = 0.3 * _coloured(frames, rate_hz, rng, 1500.0)
    for _ in range(8):
        knots = np.arange(0.0, seconds + 1.0, 0.4)
        pitch_hz = rng.uniform(200, 420) * np.interp(
            time_s, knots, rng.uniform(0.8, 1.3, 99)[: len(knots)]
        )
        phase, loud = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz, rng.uniform(0.2, 1.0, 99)
        throat = np.zeros(frames)
        for n in range(1, 16):
            colour = sum(1.0 / (1.0 + ((300.0 * n - f) / 250.0) ** 2) for f in (800, 1200, 2700))
            throat += (colour + 0.02) * np.sin(n * phase + rng.uniform(0, 6))
        out += rms(throat, 0.0) * np.interp(time_s, knots, loud[: len(knots)])
    return rms(out, 0.0)


# --- what is sold ---------------------------------------------------------------------------------


def _zip(seconds: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return a zipper: teeth that click faster and faster."""
    teeth = []
    at_s = 0.1
    while at_s < seconds - 0.4:
        length_s = rng.uniform(0.4, 0.8)
        pace_hz = rng.uniform(70.0, 120.0) * np.linspace(1.0, 2.2, 400)
        for tooth_s in np.cumsum(1.0 / pace_hz):
            if tooth_s > length_s:
                break
            time_s = np.arange(round(0.006 * rate_hz)) / rate_hz
            ring = np.sin(2 * np.pi * rng.uniform(2500, 6000) * time_s)
            click = (ring + rng.standard_normal(len(time_s))) * np.exp(-time_s / 0.0012)
            teeth.append((at_s + tooth_s, rng.uniform(0.6, 1.0) * click))
        at_s += length_s + rng.uniform(0.2, 0.4)
    return _laid(teeth, seconds, rate_hz)


def _knocks(seconds: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return a knuckle on a box: a low body and a click."""
    hits = []
    at_s, time_s = 0.1, np.arange(round(0.15 * rate_hz)) / rate_hz
    body_hz = rng.uniform(180.0, 420.0)
    while at_s < seconds - 0.2:
        body = np.sin(2 * np.pi * body_hz * time_s) + 0.5 * np.sin(
            2 * np.pi * 2.3 * body_hz * time_s
        )
        click = 0.5 * rng.standard_normal(len(time_s)) * np.exp(-time_s / 0.003)
        hits.append((at_s, rng.uniform(0.6, 1.0) * (body * np.exp(-time_s / 0.03) + click)))
        at_s += rng.uniform(0.2, 0.5)
    return _laid(hits, seconds, rate_hz)


def _glasses(seconds: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return glass and cutlery: bright inharmonic rings of a third of a second."""
    hits = []
    at_s, time_s = 0.1, np.arange(round(0.8 * rate_hz)) / rate_hz
    while at_s < seconds - 0.3:
        base_hz, decay_s = rng.uniform(1200.0, 3000.0), rng.uniform(0.05, 0.2)
        ring = np.sum(
            [
                g * np.sin(2 * np.pi * base_hz * k * time_s) * np.exp(-time_s * k / decay_s)
                for k, g in ((1.0, 1.0), (1.52, 0.6), (2.41, 0.5))
            ],
            axis=0,
        )
        hits.append((at_s, rng.uniform(0.5, 1.0) * ring))
        at_s += rng.uniform(0.25, 0.7)
    return _laid(hits, seconds, rate_hz)


def _fabric(seconds: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return cloth between fingers: swells of bright noise."""
    return quiet_sound("rubbing", seconds, rate_hz, int(rng.integers(1000)))


def _pan(seconds: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return a pan: it hisses, and fat crackles in it."""
    frames = round(seconds * rate_hz)
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    hz = np.fft.rfftfreq(frames, 1.0 / rate_hz)
    hiss = rms(np.fft.irfft(spectrum / (1.0 + (3000.0 / np.maximum(hz, 1.0)) ** 2), frames), 0.0)
    time_s = np.arange(round(0.01 * rate_hz)) / rate_hz
    crackles = [
        (at_s, rng.exponential(3.0) * rng.standard_normal(len(time_s)) * np.exp(-time_s / 0.001))
        for at_s in rng.uniform(0.0, seconds, round(25 * seconds))
    ]
    swell = np.minimum(1.0, np.arange(frames) / (0.5 * rate_hz))
    return np.asarray(swell * (hiss + _laid(crackles, seconds, rate_hz)))


PRODUCTS: dict[str, Callable[[float, int, np.random.Generator], Signal]] = {
    "zip": _zip,
    "knocks": _knocks,
    "keys": keys,
    "fabric": _fabric,
    "glasses": _glasses,
    "pan": _pan,
}


# --- the scenes -----------------------------------------------------------------------------------


def solo_host(material: Material, seed: int) -> Scene:
    """Make a host far from the microphone, a fan, and typing beside and under the voice."""
    rng, rate_hz, seconds = np.random.default_rng([seed, 1]), 48000, 44.0
    say = material.talker(rate_hz, rng)
    level = rng.uniform(-38.0, -24.0)
    spoken = [(0.0, 8.0), (16.0, 8.0), (33.0, 10.0)]
    typed = [(4.0, 28.0)]  # a hand that knows what it does takes some strokes to be known itself
    frames = round(seconds * rate_hz)
    noise = material.noise(("stationary",), frames, rate_hz, rng)
    noise = fan(frames, rate_hz, rng) if noise is None else noise
    voice = _laid([(at, say(s, level, spread_db=0.0)) for at, s in spoken], seconds, rate_hz)
    hits = _laid([(at, keys(s, rate_hz, rng)) for at, s in typed], seconds, rate_hz)
    parts = {
        "voice": voice,
        "noise": noise * 10.0 ** ((level - rng.uniform(25.0, 32.0)) / 20.0),
        "keys": hits * 10.0 ** (level / 20.0),
    }
    return Scene(rate_hz, [Take(parts)], {"settled": [(16.0, seconds)], "learnt": [(25.0, 33.0)]})


def cohost(material: Material, seed: int) -> Scene:
    """Make two hosts in two rooms, 12 dB apart, each out of the other's loudspeaker."""
    rng, rate_hz = np.random.default_rng([seed, 2]), 48000
    says = [material.talker(rate_hz, rng) for _ in range(2)]
    levels = (rng.uniform(-38.0, -33.0), rng.uniform(-26.0, -21.0))
    plan = ["b", "a", "both", "b", "a", "both", "b", "a"]  # who speaks, 5 s each
    seconds = 5.0 * len(plan)
    voices = []
    for name, say, level in zip("ab", says, levels, strict=True):
        turns = [
            (5.0 * i, say(4.7, level, spread_db=0.0))
            for i, w in enumerate(plan)
            if name in (w, w[-1]) or w == "both"
        ]
        voices.append(_laid(turns, seconds, rate_hz))
    takes = []
    for near, other, level, far_level in zip(
        voices, voices[::-1], levels, levels[::-1], strict=True
    ):
        far = other * 10.0 ** ((-20.0 - far_level) / 20.0)
        path = EchoPath(
            rate_hz, room_response(rate_hz, rng.uniform(0.2, 0.4), rng), rng.uniform(40, 200)
        )
        echo = path.play(far) * 10.0 ** ((level + rng.uniform(-3.0, 3.0) + 20.0) / 20.0)
        noise = fan(len(near), rate_hz, rng) * 10.0 ** ((level - 25.0) / 20.0)
        takes.append(Take({"voice": near, "echo": echo, "noise": noise}, far))
    spans = {
        name: [(5.0 * i, 5.0 * i + 5.0) for i, w in enumerate(plan) if w == name and i > 2]
        for name in ("a", "b", "both")
    }
    return Scene(rate_hz, takes, spans)


def pk(material: Material, seed: int) -> Scene:
    """Make two loud rooms, 12 dB apart: hosts who shout, teams that cheer and clap, music."""
    rng, rate_hz, seconds = np.random.default_rng([seed, 3]), 48000, 40.0
    turns = [0.0, 10.0, 20.0, 30.0]  # of 10 s: one room 4 s, its team 1 s, the other room as long
    voices, cheers, clapped = [], [], []
    levels = (rng.uniform(-20.0, -16.0), rng.uniform(-34.0, -28.0))
    for room, level in enumerate(levels):
        say = material.talker(rate_hz, rng)
        starts = [t + 5.0 * room for t in turns]
        said = [(t, say(2.4, level, spread_db=0.0)) for t in starts]
        said += [(t + 2.4, say(0.8, level + 8.0, spread_db=0.0)) for t in starts]  # a shout
        voices.append(_laid(said, seconds, rate_hz))
        loud = 10.0 ** ((level - 3.0) / 20.0)
        cheers.append(
            _laid([(t + 3.3, loud * crowd(0.9, rate_hz, rng)) for t in starts], seconds, rate_hz)
        )
        clapped.append(
            _laid([(t + 4.2, loud * claps(0.8, rate_hz, rng)) for t in starts], seconds, rate_hz)
        )
    takes = []
    for room, level in enumerate(levels):
        other = 1 - room
        far = (voices[other] + cheers[other] + clapped[other]) * 10.0 ** (
            (-18.0 - levels[other]) / 20.0
        )
        path = EchoPath(
            rate_hz, room_response(rate_hz, rng.uniform(0.3, 0.5), rng), rng.uniform(60, 300)
        )
        echo = path.play(far) * 10.0 ** ((level - 6.0 + 18.0) / 20.0)
        name = ("dance", "band", "song")[int(rng.integers(3))]
        song = np.resize(piece(name, 10.0, rate_hz, seed + room), len(far))
        in_turn = np.arange(len(far)) // (5 * rate_hz) % 2 == room  # each team has its own
        noise = material.noise(("babble", "street"), len(far), rate_hz, rng)
        noise = fan(len(far), rate_hz, rng) if noise is None else noise
        parts = {
            "voice": voices[room],
            "cheer": cheers[room],
            "claps": clapped[room],
            "echo": echo,
            "music": rms(song, level - 12.0) * in_turn,
            "noise": noise * 10.0 ** ((level - 30.0) / 20.0),
        }
        takes.append(Take(parts, far))
    return Scene(
        rate_hz,
        takes,
        {
            "settled": [(10.0, seconds)],
            "a": [(t, t + 3.2) for t in turns[1:]],
            "b": [(t + 5.0, t + 8.2) for t in turns[1:]],
        },
    )


def music_asmr(material: Material, seed: int) -> Scene:
    """Make two instruments in stereo, then a quiet close sound that moves from ear to ear."""
    del material  # a performance is made
    rng, rate_hz, seconds = np.random.default_rng([seed, 4]), 48000, 24.0
    names = list(SCORES)
    first = piece(names[seed % len(names)], 14.0, rate_hz, seed)
    second = piece(names[int(rng.integers(len(names)))], 14.0, rate_hz, seed + 50)
    left, right = 0.8 * first + 0.25 * second, 0.3 * first + 0.7 * second
    music = np.stack([left, np.roll(right, 17)], axis=1)  # 0.35 ms: a pair of microphones
    music *= _MUSIC_HEADROOM / np.max(np.abs(music))
    quiet = quiet_sound(QUIET_SOUNDS[seed % len(QUIET_SOUNDS)], 9.0, rate_hz, seed)
    turn = 0.5 * np.pi * (0.5 + 0.5 * np.sin(2.0 * np.pi * np.arange(len(quiet)) / rate_hz / 6.0))
    close = quiet[:, np.newaxis] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    frames = round(seconds * rate_hz)
    parts = {
        "music": np.pad(music, ((0, frames - len(music)), (0, 0))),
        "quiet": np.pad(
            close, ((round(14.5 * rate_hz), frames - len(close) - round(14.5 * rate_hz)), (0, 0))
        ),
        "noise": 10.0 ** (-72.0 / 20.0) * rng.standard_normal((frames, 2)),
    }
    return Scene(rate_hz, [Take(parts)], {"music": [(1.0, 14.0)], "quiet": [(14.5, 23.5)]})


def outdoor(material: Material, seed: int) -> Scene:
    """Make a host in the street: a roar, passing cars, gusts on the microphone."""
    rng, rate_hz, seconds = np.random.default_rng([seed, 5]), 48000, 36.0
    say = material.talker(rate_hz, rng)
    level = rng.uniform(-32.0, -22.0)
    spoken = [(3.0, 9.0), (15.0, 9.0), (27.0, 7.0)]
    frames = round(seconds * rate_hz)
    road = material.noise(("street",), frames, rate_hz, rng)
    road = traffic(frames, rate_hz, rng) if road is None else road
    gusts = material.noise(("wind",), frames, rate_hz, rng)
    gusts = wind(frames, rate_hz, rng) if gusts is None else gusts
    parts = {
        "voice": _laid([(at, say(s, level, spread_db=0.0)) for at, s in spoken], seconds, rate_hz),
        "traffic": road * 10.0 ** ((level - rng.uniform(8.0, 12.0)) / 20.0),
        "wind": gusts * 10.0 ** ((level - rng.uniform(0.0, 6.0)) / 20.0),
    }
    return Scene(rate_hz, [Take(parts)], {"settled": [(12.0, seconds)]})


def product_demo(material: Material, seed: int) -> Scene:
    """Make a host who speaks, then lets a product be heard, in the noise of a fan."""
    rng, rate_hz = np.random.default_rng([seed, 6]), 48000
    say = material.talker(rate_hz, rng)
    level = rng.uniform(-36.0, -26.0)
    kinds = list(rng.permutation(list(PRODUCTS)))
    seconds = 8.0 + 8.0 * len(kinds) + 4.0
    voice = [(0.0, say(7.0, level, spread_db=0.0))]
    parts: dict[str, Signal] = {}
    for index, kind in enumerate(kinds):
        at_s = 8.0 + 8.0 * index
        sound = at_level(PRODUCTS[kind](4.0, rate_hz, rng), level - 12.0)
        parts[kind] = _laid([(at_s, sound)], seconds, rate_hz)
        voice.append((at_s + 4.4, say(3.4, level, spread_db=0.0)))
    frames = round(seconds * rate_hz)
    noise = material.noise(("stationary",), frames, rate_hz, rng)
    noise = fan(frames, rate_hz, rng) if noise is None else noise
    parts["noise"] = noise * 10.0 ** ((level - rng.uniform(26.0, 32.0)) / 20.0)
    parts["voice"] = _laid(voice, seconds, rate_hz)
    spans = {
        "settled": [(8.0, seconds)],
        "spoken": [(start, start + 3.4) for start, _ in voice[1:]],
        "pause": [(seconds - 4.0, seconds)],
    }
    return Scene(rate_hz, [Take(parts)], spans)


def many(material: Material, seed: int) -> Scene:
    """Make ten open microphones, each with its room; three people speak in turns, all hear all."""
    rng, rate_hz, seconds, count = np.random.default_rng([seed, 7]), 16000, 36.0, 10
    talkers = list(rng.choice(count, 3, replace=False))
    says = [material.talker(rate_hz, rng) for _ in talkers]
    plan = [(4.0 * i, int(i % 3)) for i in range(8)]  # turns of 3.6 s, then nobody
    voices = np.zeros((count, round(seconds * rate_hz)))
    levels = rng.uniform(-36.0, -26.0, count)
    for index, say in enumerate(says):
        own = [
            (t, say(3.6, levels[talkers[index]], spread_db=0.0)) for t, who in plan if who == index
        ]
        voices[talkers[index]] = _laid(own, seconds, rate_hz)
    at_one_level = voices * 10.0 ** ((-20.0 - levels) / 20.0)[:, np.newaxis]
    takes = []
    for place in range(count):
        far = at_one_level.sum(axis=0) - at_one_level[place]
        path = EchoPath(
            rate_hz, room_response(rate_hz, rng.uniform(0.2, 0.4), rng), rng.uniform(40, 300)
        )
        echo = path.play(far) * 10.0 ** ((levels[place] + rng.uniform(-12.0, -3.0) + 20.0) / 20.0)
        noise = material.noise(("stationary",), len(far), rate_hz, rng)
        noise = fan(len(far), rate_hz, rng) if noise is None else noise
        parts = {
            "voice": voices[place],
            "echo": echo,
            "noise": noise * 10.0 ** ((levels[place] - rng.uniform(18.0, 26.0)) / 20.0),
        }
        takes.append(Take(parts, far))
    turns = {
        f"{talkers[who]}": [(t + 0.2, t + 3.6) for t, w in plan[3:] if w == who] for who in range(3)
    }
    return Scene(rate_hz, takes, {**turns, "nobody": [(33.0, seconds)]})


SCENES: dict[str, Callable[[Material, int], Scene]] = {
    "solo-host": solo_host,
    "cohost": cohost,
    "pk": pk,
    "music-asmr": music_asmr,
    "outdoor": outdoor,
    "product-demo": product_demo,
    "many": many,
}

"""How many faults `audio-engine check` finds, and how many it makes up.

``python -m benchmarks.check_faults`` makes recordings of talkers (espeak-ng) at microphones, their
levels, rooms, microphones, noise, rates, one and two channels, codecs all drawn by seed; then puts
a fault in, from just worth a word to strong, or two, or none. Found: the finding of that fault is
``warn`` or ``bad``. False alarm: another finding is. Voices, noises and rooms of the two halves
differ: limits were chosen on ``tune``, ``judge`` was looked at after that. ``--data DIR`` makes the
same faults with recorded voices (DIR/dev/speech), noises (DIR/ns_pack/noise) and measured rooms
(DIR/dev/rir), whose own faults count as false alarms. ``--truth`` compares figures instead: hum,
noise floor, delay, return loss and reverberation time with what was put in.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfilt

from audio_engine.analysis.echo_path import measure_echo_path
from audio_engine.analysis.recording import Recording, a_weighting
from audio_engine.analysis.room_check import RoomCheck, check_room
from audio_engine.analysis.sweep import sweep_signal

Signal = NDArray[np.float64]
Random = np.random.Generator

FULL_SCALE_16 = 1.0 - 2.0**-15
SOURCE_HZ = 48000
RATES_HZ = (16000, 44100, 48000)
GOAL_FOUND, GOAL_FALSE = 0.95, 0.05

VOICES = {
    "tune": ("en-us+m1", "cmn+f2", "de+m3", "fr-fr+f4", "es+m5", "en-gb+f1", "pt-br+m7", "ru+f3"),
    "judge": (
        "en-us+f5",
        "cmn+m4",
        "it+m2",
        "pl+f1",
        "en-gb-scotland+m6",
        "nl+f2",
        "cmn+f4",
        "sv+m8",
    ),
}
TEXTS = {
    "en": "Welcome back to the show. Today I have three new colours for you, and a price that ends "
    "tonight. Ask me anything in the chat, I read every line.",
    "cmn": "欢迎来到直播间。今天给大家准备了三款新品,价格只到今晚十二点。"
    "有什么问题打在公屏上,我都会看。",
    "": "Hola, bienvenidos a todos. Bonjour, merci. Gracias, danke, grazie mille. Uno dos tres "
    "quattro cinque sei. Today we show you something special.",
}
#: What each fault must be called.
KIND = {
    "silent": "signal",
    "muted": "signal",
    "loopback": "signal",
    "dead channel": "channels",
    "out of phase": "channels",
    "low level": "level",
    "too hot": "level",
    "clipping": "clipping",
    "noise": "noise",
    "hum": "hum",
    "rumble": "rumble",
    "bandwidth": "bandwidth",
    "reverb": "reverb",
    "dc": "dc",
    "loud echo": "echo",
    "late echo": "delay",
}


@dataclass
class Case:
    """A made recording and what is wrong with it."""

    half: str
    faults: tuple[str, ...]
    strength: int
    audio: NDArray[np.float32]
    rate_hz: int
    full_scale: float = 1.0
    played: Signal | None = None
    note: str = ""


@dataclass
class Plan:
    """What a scene is made of; a fault changes it before it is made."""

    half: str
    rate_hz: int
    seconds: float
    stereo: bool
    voice_dbfs: float
    snr_db: float
    t60_s: float
    direct_db: float
    lead_s: float
    pause_s: float
    hum: tuple[float, float] | None = None  # base, level under the voice
    rumble_db: float | None = None
    dc: float = 0.0
    cut_hz: float | None = None
    clip_db: float | None = None
    volume: float = 1.0
    peak_dbfs: float | None = None
    channel: str = ""
    codec: str = ""
    bits: int = 16
    spoken: bool = True
    noise: str = "hiss"
    extra: dict[str, float] = field(default_factory=dict)


# --- parts of a scene --------------------------------------------------------------------------


class Made:
    """Voices, noises and rooms from formulas and a speech synthesiser."""

    def __init__(self, half: str) -> None:
        self.half = half

    def voice(self, rng: Random) -> Signal:
        """Return some sentences at 48 kHz, peak 1."""
        name = str(rng.choice(VOICES[self.half]))
        return spoken(name, int(rng.integers(130, 185)), int(rng.integers(25, 75)))

    def noise(self, kind: str, frames: int, rng: Random) -> Signal:
        """Return noise at 48 kHz."""
        if kind == "babble":
            total = np.zeros(frames)
            for _ in range(6):
                talk = self.voice(rng)
                total += np.roll(np.resize(talk, frames), int(rng.integers(frames)))
            return total
        if kind == "traffic":
            gust = np.interp(np.arange(frames), np.linspace(0, frames, 12), rng.uniform(0.5, 1, 12))
            return coloured(frames, -4.0, rng) * gust
        if kind == "fan":
            time_s = np.arange(frames) / SOURCE_HZ
            blades = sum(np.sin(2 * np.pi * 87.0 * k * time_s + k) / k for k in range(1, 6))
            hiss = coloured(frames, -3.0, rng)
            return hiss / np.std(hiss) + 0.4 * np.asarray(blades)
        return coloured(frames, float(rng.uniform(-3.0, 0.5)), rng)

    def noises(self) -> tuple[str, ...]:
        """Return the kinds of this half."""
        return ("hiss", "fan") if self.half == "tune" else ("hiss", "babble", "traffic")

    def rumble(self, frames: int, rng: Random) -> Signal:
        """Return wind or traffic below 70 Hz, of level 1 (rms)."""
        edge = butter(2, rng.uniform(35.0, 70.0), "low", fs=SOURCE_HZ, output="sos")
        gusts = np.interp(np.arange(frames), np.linspace(0, frames, 16), rng.uniform(0.5, 1.0, 16))
        x = sosfilt(edge, rng.standard_normal(frames)) * gusts
        return np.asarray(x / np.sqrt(np.mean(x**2)))

    def room(self, t60_s: float, direct_db: float, rng: Random) -> Signal:
        """Return a response at 48 kHz: direct sound, then a decaying tail."""
        return decaying(t60_s, direct_db, SOURCE_HZ, rng)


class Recorded(Made):
    """The same from recordings; for judging only."""

    def __init__(self, half: str, folder: Path) -> None:
        super().__init__(half)
        self._speech = sorted((folder / "dev" / "speech").glob("*/*.flac"))
        self._noise = folder / "ns_pack" / "noise" / "dev"
        self._rooms = _rooms(folder / "dev" / "rir")

    def voice(self, rng: Random) -> Signal:
        """Return a recording with the whole band, at 48 kHz."""
        while True:
            path = self._speech[int(rng.integers(len(self._speech)))]
            sound, rate_hz = soundfile.read(path, dtype="float64", always_2d=True)
            if rate_hz >= 44100 and len(sound) > 2 * rate_hz:
                mono = soxr.resample(sound[:, 0], rate_hz, SOURCE_HZ)
                return np.asarray(mono / np.max(np.abs(mono)))

    def noise(self, kind: str, frames: int, rng: Random) -> Signal:
        """Return a recorded noise; a microphone's own hiss is made."""
        if kind == "hiss":
            return super().noise(kind, frames, rng)
        files = sorted((self._noise / kind).rglob("*.*"))
        return np.resize(_mono(files[int(rng.integers(len(files)))]), frames)

    def noises(self) -> tuple[str, ...]:
        """Return the kinds there are recordings of."""
        return ("stationary", "street", "babble", "wind")

    def room(self, t60_s: float, direct_db: float, rng: Random) -> Signal:
        """Return a measured response: one of a living room, or one that rings."""
        wanted = [path for path, t60 in self._rooms if (t60 < 0.6) == (t60_s < 0.6) and t60 < 2.6]
        if not wanted:
            return super().room(t60_s, direct_db, rng)
        response = _mono(wanted[int(rng.integers(len(wanted)))])
        direct = int(np.argmax(np.abs(response)))
        return np.asarray(response[direct:] / np.abs(response[direct]))


@cache
def _mono(path: Path) -> Signal:
    """Return the first channel of a file at 48 kHz."""
    sound, rate_hz = soundfile.read(path, dtype="float64", always_2d=True)
    return np.asarray(soxr.resample(sound[:, 0], rate_hz, SOURCE_HZ))


def _rooms(folder: Path) -> list[tuple[Path, float]]:
    """Return measured rooms and their reverberation times: short ones, and those over 0.9 s."""
    found = []
    with (folder / "manifest.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            said = re.match(r"T60\(T20\)=([0-9.]+) s", row["note"])
            wide = (
                row["bw_hz"] and float(row["bw_hz"]) >= 18000.0 and "smartphone" not in row["file"]
            )
            if (
                said
                and wide
                and not 0.6 <= float(said[1]) < 0.9
                and (folder / row["file"]).exists()
            ):
                found.append((folder / row["file"], float(said[1])))
    return found


@cache
def spoken(voice: str, words_per_minute: int, pitch: int) -> Signal:
    """Return espeak-ng's voice at 48 kHz, the band above 11 kHz filled with its own image."""
    text = next(text for prefix, text in TEXTS.items() if voice.startswith(prefix))
    command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "-p", str(pitch)]
    wav = subprocess.run([*command, "--stdout", text], capture_output=True, check=True).stdout
    sound, rate_hz = soundfile.read(io.BytesIO(wav), dtype="float64")
    doubled = np.zeros(2 * len(sound))
    doubled[::2] = sound  # zeros in between mirror the spectrum at the old Nyquist frequency
    tilt = butter(1, 7000.0, "low", fs=2 * rate_hz, output="sos")
    wide = soxr.resample(sosfilt(tilt, doubled), 2 * rate_hz, SOURCE_HZ)
    return np.asarray(wide / np.max(np.abs(wide)))


def coloured(frames: int, db_per_octave: float, rng: Random) -> Signal:
    """Return noise whose spectrum falls or rises above 50 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    frequency_hz = np.maximum(np.fft.rfftfreq(frames, 1.0 / SOURCE_HZ), 50.0)
    spectrum *= (frequency_hz / 1000.0) ** (db_per_octave / 6.02)
    return np.asarray(np.fft.irfft(spectrum, frames))


def decaying(t60_s: float, direct_db: float, rate_hz: int, rng: Random) -> Signal:
    """Return a direct sound and an exponentially decaying tail `direct_db` below it."""
    frames = round(1.3 * t60_s * rate_hz)
    tail = rng.standard_normal(frames) * np.exp(-6.908 * np.arange(frames) / rate_hz / t60_s)
    gap = round(0.003 * rate_hz)
    tail[: min(gap, frames // 4)] = 0.0
    tail *= 10.0 ** (-direct_db / 20.0) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return np.asarray(tail)


def weighted(x: Signal) -> Signal:
    """Return a signal at 48 kHz after A weighting."""
    spectrum = np.fft.rfft(x)
    gain = np.sqrt(a_weighting(np.asarray(np.fft.rfftfreq(len(x), 1.0 / SOURCE_HZ), np.float64)))
    return np.asarray(np.fft.irfft(spectrum * gain, len(x)))


def active_rms(x: Signal) -> float:
    """Return the level of the frames that lie less than 15 dB below the loud ones."""
    frames = x[: len(x) // 2400 * 2400].reshape(-1, 2400)
    power = np.mean(frames**2, axis=1)
    loud = np.quantile(power, 0.95)
    return float(np.sqrt(np.mean(power[power >= loud * 10**-1.5])))


def amplitude(level_db: float) -> float:
    """Return a level as a factor."""
    return float(10.0 ** (level_db / 20.0))


# --- scenes ------------------------------------------------------------------------------------


def clean_plan(half: str, rng: Random) -> Plan:
    """Draw a recording with nothing wrong."""
    return Plan(
        half=half,
        rate_hz=int(rng.choice(RATES_HZ)),
        seconds=int(rng.integers(50, 101)) / 10.0,
        stereo=bool(rng.random() < 0.4),
        voice_dbfs=float(rng.uniform(-34.0, -20.0)),
        snr_db=float(rng.uniform(27.0, 50.0)),
        t60_s=float(rng.uniform(0.12, 0.5)),
        direct_db=float(rng.uniform(0.0, 12.0)),
        lead_s=float(rng.uniform(0.0, 1.5)),
        pause_s=float(rng.uniform(0.45, 1.0)),
        dc=float(rng.uniform(-0.002, 0.002)),
        codec=str(rng.choice(["", "", "", "MP3", "OGG"])),
        bits=int(rng.choice([16, 16, 24])),
    )


def scene(plan: Plan, parts: Made, rng: Random) -> Case:
    """Make a recording."""
    frames = round(plan.seconds * SOURCE_HZ)
    voice = talk(plan, parts, frames, rng)
    voice = voice / active_rms(voice) * amplitude(plan.voice_dbfs)
    loudness = active_rms(weighted(voice))
    noise = parts.noise(plan.noise, frames, rng)
    noise *= loudness / np.sqrt(np.mean(weighted(noise) ** 2)) * amplitude(-plan.snr_db)
    x = (voice if plan.spoken else 0.0) + noise
    x = microphone(x, rng)
    if plan.rumble_db is not None:
        x = x + parts.rumble(frames, rng) * amplitude(plan.voice_dbfs + plan.rumble_db)
    if plan.hum is not None:
        x = x + hum(frames, plan.hum[0], rng) * amplitude(plan.voice_dbfs + plan.hum[1])
    if plan.cut_hz is not None:
        narrow = soxr.resample(x, SOURCE_HZ, 2.0 * plan.cut_hz)
        x = np.resize(soxr.resample(narrow, 2.0 * plan.cut_hz, SOURCE_HZ), frames)
    x = x if plan.rate_hz == SOURCE_HZ else soxr.resample(x, SOURCE_HZ, plan.rate_hz)
    if plan.clip_db is not None:
        x = x / np.max(np.abs(x)) * amplitude(plan.clip_db)
        x = np.clip(x, -1.0, FULL_SCALE_16) * plan.volume
    elif (peak := np.max(np.abs(x))) > 0.7:
        x = x * 0.7 / peak
    audio = channels(x, plan, rng)
    if plan.peak_dbfs is not None:
        audio = audio / np.max(np.abs(audio)) * amplitude(plan.peak_dbfs)
    audio = audio + plan.dc
    return finished(audio, plan, rng)


def talk(plan: Plan, parts: Made, frames: int, rng: Random) -> Signal:
    """Return the voice in its room, after a lead, with one pause at least."""
    dry = parts.voice(rng)
    start = round(plan.lead_s * SOURCE_HZ)
    break_at = start + round(rng.uniform(0.4, 0.6) * (frames - start))
    pause = round((plan.pause_s + 0.6 * plan.t60_s) * SOURCE_HZ)
    said = np.resize(dry, frames)
    line = np.concatenate([np.zeros(start), said[: break_at - start], np.zeros(pause), said])
    room = parts.room(plan.t60_s, plan.direct_db, rng)
    return np.asarray(fftconvolve(line[:frames], room)[:frames])


def microphone(x: Signal, rng: Random) -> Signal:
    """Colour like a microphone: a high-pass, and sometimes dull."""
    x = sosfilt(butter(1, rng.uniform(30.0, 120.0), "high", fs=SOURCE_HZ, output="sos"), x)
    if rng.random() < 0.5:
        dull_hz = rng.uniform(2000.0, 9000.0)
        x = sosfilt(butter(int(rng.integers(1, 3)), dull_hz, "low", fs=SOURCE_HZ, output="sos"), x)
    return np.asarray(x + 10.0 ** (-92.0 / 20.0) * rng.standard_normal(len(x)))


def hum(frames: int, base_hz: float, rng: Random) -> Signal:
    """Return hum of level 1 (rms)."""
    time_s = np.arange(frames) / SOURCE_HZ
    total = np.zeros(frames)
    fall = rng.uniform(0.3, 1.5)
    for line in range(1, int(rng.integers(2, 9)) + 1):
        weight = rng.uniform(0.4, 1.0) / line**fall
        total += weight * np.sin(2 * np.pi * base_hz * line * time_s + rng.uniform(0, 6.28))
    return np.asarray(total / np.sqrt(np.mean(total**2)))


def channels(x: Signal, plan: Plan, rng: Random) -> Signal:
    """Return one channel, or two that differ like two capsules."""
    if not plan.stereo:
        return x[:, np.newaxis]
    late = np.roll(x, int(rng.integers(0, 8)))
    second = late * amplitude(float(rng.uniform(-4.0, 4.0)))
    second = second + np.std(x) * amplitude(-45.0) * rng.standard_normal(len(x))
    if plan.channel == "dead":
        second = plan.extra["dead"] * rng.standard_normal(len(x))
    elif plan.channel == "phase":
        second = -second
    both = np.stack([x, second], axis=1)
    if plan.channel and rng.random() < 0.5:
        both = both[:, ::-1]
    peak = float(np.max(np.abs(both)))
    return both * (0.7 / peak) if peak > 0.7 and plan.peak_dbfs is None else both


def finished(audio: Signal, plan: Plan, rng: Random) -> Case:
    """Return the recording in its format."""
    steps = 2.0 ** (plan.bits - 1)
    x = np.clip(np.rint(audio * steps) / steps, -1.0, 1.0 - 1.0 / steps).astype(np.float32)
    full_scale = 1.0 - 1.0 / steps
    if plan.codec:
        file = io.BytesIO()
        subtype = "MPEG_LAYER_III" if plan.codec == "MP3" else "VORBIS"
        soundfile.write(file, x, plan.rate_hz, format=plan.codec, subtype=subtype)
        file.seek(0)
        x, _ = soundfile.read(file, dtype="float32", always_2d=True)
        full_scale = 1.0
    return Case(plan.half, (), 0, x, plan.rate_hz, full_scale, note=plan.codec)


# --- faults ------------------------------------------------------------------------------------

#: Three strengths of each: just worth a word, plain, strong.
PLANNED: dict[str, Callable[[Plan, int, Random], Plan]] = {
    "low level": lambda p, s, r: replace(p, voice_dbfs=(-47.0, -52.0, -60.0)[s], bits=24, codec=""),
    "too hot": lambda p, s, r: replace(p, peak_dbfs=(-0.7, -0.4, -0.1)[s], codec="", dc=0.0),
    "clipping": lambda p, s, r: replace(
        p,
        clip_db=(3.0, 6.0, 12.0)[s],
        volume=float(r.choice([1.0, 0.5, 0.2])),
        codec="",
    ),
    "hum": lambda p, s, r: replace(
        p,
        hum=(float(r.choice([50.0, 60.0]) + r.uniform(-0.1, 0.1)), (-31.0, -25.0, -14.0)[s]),
    ),
    "rumble": lambda p, s, r: replace(p, rumble_db=(-11.0, -6.0, 2.0)[s]),
    "dc": lambda p, s, r: replace(p, dc=float(r.choice([-1, 1])) * (0.013, 0.03, 0.1)[s]),
    "bandwidth": lambda p, s, r: replace(
        p, rate_hz=int(r.choice([44100, 48000])), cut_hz=(8000.0, 8000.0, 4000.0)[s], codec=""
    ),
    "reverb": lambda p, s, r: replace(
        p,
        t60_s=(1.15, 1.5, 2.0)[s],
        direct_db=float(r.uniform(-9.0, -2.0)),
        seconds=int(r.integers(70, 101)) / 10.0,
        snr_db=max(p.snr_db, 35.0),
    ),
    "dead channel": lambda p, s, r: replace(
        p, stereo=True, channel="dead", extra={"dead": (3e-4, 5e-5, 0.0)[s]}, voice_dbfs=-24.0,
        codec="", dc=0.0,
    ),
    "out of phase": lambda p, s, r: replace(p, stereo=True, channel="phase"),
}  # fmt: skip


def with_fault(fault: str, strength: int, plan: Plan, parts: Made, rng: Random) -> Plan:
    """Return the plan of a recording with one fault more."""
    if fault == "noise":
        kind = str(rng.choice(parts.noises()))
        return replace(plan, noise=kind, snr_db=(17.0, 12.0, 4.0)[strength], t60_s=0.3)
    return PLANNED[fault](plan, strength, rng)


def special(fault: str, strength: int, half: str, parts: Made, rng: Random) -> Case:
    """Return a recording that is no voice with something added: no signal, or a test signal."""
    plan = replace(clean_plan(half, rng), codec="", bits=16)
    rate_hz = plan.rate_hz
    if fault == "silent":
        x = np.zeros((round(plan.seconds * rate_hz), 1 + plan.stereo), np.float32)
        return Case(half, (fault,), strength, x, rate_hz, FULL_SCALE_16)
    if fault == "muted":
        frames = round(plan.seconds * SOURCE_HZ)
        hiss = coloured(frames, -1.0, rng)
        hiss *= amplitude((-83.0, -87.0, -93.0)[strength]) / np.std(hiss)
        hiss = hiss if rate_hz == SOURCE_HZ else soxr.resample(hiss, SOURCE_HZ, rate_hz)
        case = finished(hiss[:, np.newaxis], replace(plan, bits=24), rng)
        return replace(case, faults=(fault,), strength=strength)
    return through_air(fault, strength, plan, parts, rng)


def through_air(fault: str, strength: int, plan: Plan, parts: Made, rng: Random) -> Case:
    """Return a recording of the test signal, then of a voice; `fault` may be none."""
    rate_hz = plan.rate_hz
    played = sweep_signal(rate_hz).astype(np.float64)
    loss_db = float(rng.uniform(5.0, 35.0))
    delay_s = float(rng.uniform(0.01, 0.35))
    if fault == "loud echo":
        loss_db = (-3.0, -8.0, -14.0)[strength]
    if fault == "late echo":
        delay_s = (0.75, 0.9, 1.1)[strength]
    late = np.concatenate([np.zeros(round(delay_s * rate_hz)), played])[: len(played)]
    if fault == "loopback":
        x = late * amplitude(-loss_db / 3.0) + (1e-5, 1e-6, 0.0)[strength] * rng.standard_normal(
            len(late)
        )
        case = finished(x[:, np.newaxis], replace(plan, stereo=False), rng)
        return replace(case, faults=(fault,), strength=strength, played=played)
    response = decaying(plan.t60_s, float(rng.uniform(-6, 6)), rate_hz, rng)
    echo = fftconvolve(late, response / np.sqrt(np.sum(response**2)))[: len(late)]
    echo *= amplitude(-loss_db)
    voice = scene(replace(plan, stereo=False, seconds=8.0), parts, rng)
    mic = np.concatenate([echo, np.zeros(len(voice.audio))])
    mic[len(echo) :] += voice.audio[:, 0]
    hiss = (
        voice.audio[: len(echo), 0] if plan.lead_s > 2.0 else 1e-4 * rng.standard_normal(len(echo))
    )
    mic[: len(echo)] += hiss
    padded = np.concatenate([played, np.zeros(len(voice.audio))])
    case = finished(mic[:, np.newaxis], replace(plan, stereo=False), rng)
    return replace(case, faults=(fault,) if fault else (), strength=strength, played=padded)


SPECIAL = ("silent", "muted", "loopback", "loud echo", "late echo")
#: Pairs that a host may have together.
PAIRS = (
    ("hum", "noise"),
    ("reverb", "hum"),
    ("low level", "hum"),
    ("clipping", "hum"),
    ("dc", "clipping"),
    ("rumble", "noise"),
    ("bandwidth", "noise"),
    ("dead channel", "hum"),
    ("dc", "low level"),
    ("out of phase", "rumble"),
    ("bandwidth", "clipping"),
    ("hum", "dc"),
)


def cases(half: str, count: int, seed: int, folder: Path | None = None) -> Iterator[Case]:
    """Yield `count` recordings of a half: each fault at each strength, pairs, clean ones."""
    parts = Made(half) if folder is None else Recorded(half, folder)
    slots: list[tuple[tuple[str, ...], int]] = [((f,), s) for f in KIND for s in range(3)]
    slots += [(pair, i % 3) for i, pair in enumerate(PAIRS)]
    slots += [((), 0)] * 26 + [(("",), 0)] * 6  # clean; clean with a test signal
    rng = np.random.default_rng([seed, half == "judge"])
    order = rng.permutation(len(slots))
    for number in range(count):
        faults, strength = slots[int(order[number % len(slots)])]
        own = np.random.default_rng([seed, half == "judge", number])
        yield made(faults, strength, half, parts, own)


def made(faults: tuple[str, ...], strength: int, half: str, parts: Made, rng: Random) -> Case:
    """Return a recording with these faults; ``("",)`` is a clean one with a test signal."""
    if faults == ("",) or (faults and faults[0] in SPECIAL):
        return special(faults[0], strength, half, parts, rng)
    plan = clean_plan(half, rng)
    for fault in faults:
        plan = with_fault(fault, strength, plan, parts, rng)
    return replace(scene(plan, parts, rng), faults=faults, strength=strength)


# --- judgement ---------------------------------------------------------------------------------


@dataclass
class Tally:
    """What was found of what was put in."""

    cases: int = 0
    clean: int = 0
    clean_alarmed: int = 0
    alarmed: int = 0
    put_in: dict[str, list[int]] = field(default_factory=dict)
    made_up: dict[str, int] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    def add(self, case: Case, check: RoomCheck) -> None:
        """Count one case."""
        raised = {each.kind for each in check.findings if each.severity in ("warn", "bad")}
        wanted = {KIND[fault] for fault in case.faults}
        label = f"{'+'.join(case.faults) or 'clean'}/{case.strength} {case.rate_hz} {case.note}"
        for fault in case.faults:
            hit = KIND[fault] in raised
            self.put_in.setdefault(fault, []).append(int(hit))
            if not hit:
                self.missed.append(f"missed {KIND[fault]} in {label}")
        extra = raised - wanted
        for kind in extra:
            self.made_up[kind] = self.made_up.get(kind, 0) + 1
            self.missed.append(f"false {kind} in {label}")
        self.cases += 1
        self.clean += not case.faults
        self.clean_alarmed += bool(extra) and not case.faults
        self.alarmed += bool(extra)

    def summary(self) -> dict[str, Any]:
        """Return the shares."""
        hits = [hit for found in self.put_in.values() for hit in found]
        return {
            "cases": self.cases,
            "faults": len(hits),
            "found": float(np.mean(hits)) if hits else 1.0,
            "cases_with_false_alarm": self.alarmed / max(self.cases, 1),
            "clean": self.clean,
            "clean_with_false_alarm": self.clean_alarmed / max(self.clean, 1),
            "by_fault": {k: [sum(v), len(v)] for k, v in sorted(self.put_in.items())},
            "false_by_kind": dict(sorted(self.made_up.items())),
        }


def judge(case: Case) -> RoomCheck:
    """Check one recording; the test signal began with it."""
    recording = Recording(case.audio, case.rate_hz, case.full_scale)
    return check_room(recording, case.played, latest_s=1.5)


def tally(half: str, count: int, seed: int, folder: Path | None = None) -> Tally:
    """Make, check and count the cases of a half."""
    total = Tally()
    for case in cases(half, count, seed, folder):
        total.add(case, judge(case))
    return total


# --- truth from outside ------------------------------------------------------------------------

#: Largest error allowed: dB, ms, dB, share of T60, dB.
TRUTH_BARS = {"hum": 1.0, "delay": 1.0, "return loss": 1.0, "reverb": 0.2, "noise floor": 1.0}


def truth(count: int, seed: int) -> dict[str, list[float]]:
    """Return the errors of the figures, against what was put in."""
    errors: dict[str, list[float]] = {name: [] for name in TRUTH_BARS}
    parts = Made("judge")
    for number in range(count):
        rng = np.random.default_rng([seed, 77, number])
        _truth_of_levels(errors, parts, rng)
        _truth_of_path(errors, rng)
    return errors


def _truth_of_levels(errors: dict[str, list[float]], parts: Made, rng: Random) -> None:
    plan = replace(clean_plan("judge", rng), codec="", bits=24, rate_hz=SOURCE_HZ, stereo=False)
    frames = round(plan.seconds * SOURCE_HZ)
    voice = talk(replace(plan, lead_s=1.0), parts, frames, rng)
    voice *= amplitude(plan.voice_dbfs) / active_rms(voice)
    noise = coloured(frames, float(rng.uniform(-3.0, 0.0)), rng)
    noise *= amplitude(plan.voice_dbfs - float(rng.uniform(20.0, 35.0))) / np.std(noise)
    tone = hum(frames, float(rng.choice([50.0, 60.0])), rng)
    tone *= amplitude(plan.voice_dbfs - float(rng.uniform(10.0, 22.0)))
    for name, x in (("noise floor", voice + noise), ("hum", voice + noise + tone)):
        check = judge(Case("judge", (), 0, x[:, np.newaxis].astype(np.float32), SOURCE_HZ))
        if name == "noise floor" and check.levels is not None:
            wanted = 20.0 * np.log10(np.sqrt(np.mean(weighted(noise) ** 2)))
            errors[name].append(check.levels.noise_dba - float(wanted))
        if name == "hum":
            level = check.hum.level_dbfs if check.hum is not None else -200.0
            errors[name].append(level - 20.0 * float(np.log10(np.std(tone))))


def _truth_of_path(errors: dict[str, list[float]], rng: Random) -> None:
    rate_hz = int(rng.choice([16000, 48000]))
    played = sweep_signal(rate_hz).astype(np.float64)
    t60_s = float(rng.uniform(0.25, 1.6))
    response = decaying(t60_s, float(rng.uniform(-6.0, 6.0)), rate_hz, rng)
    late = round(float(rng.uniform(0.01, 0.5)) * rate_hz)
    echo = fftconvolve(np.concatenate([np.zeros(late), played]), response)[: len(played)]
    echo *= amplitude(-float(rng.uniform(-3.0, 30.0))) / np.sqrt(np.sum(response**2))
    noise = rng.standard_normal(len(echo)) * np.std(echo) * amplitude(-float(rng.uniform(15, 40)))
    off = 1.0 + 1e-6 * float(rng.uniform(-100.0, 100.0))  # the microphone's clock
    mic = soxr.resample(echo + noise, 1e6, 1e6 * off)
    found = measure_echo_path(mic, played, rate_hz, latest_s=1.5)
    errors["delay"].append(found.delay_ms - 1000.0 * late / rate_hz)
    loss_db = 10.0 * np.log10(np.sum(played**2) / np.sum(echo**2))
    errors["return loss"].append(found.return_loss_db - float(loss_db))
    errors["reverb"].append((found.reverb_time_s or 0.0) / t60_s - 1.0)


def main() -> None:
    """Print the table of both halves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200, help="in each half")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--half", choices=("tune", "judge"), action="append")
    parser.add_argument("--data", type=Path, help="recorded voices, noises and rooms")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--misses", action="store_true", help="name every case that went wrong")
    parser.add_argument("--truth", action="store_true", help="errors of the figures instead")
    options = parser.parse_args()
    if options.truth:
        show_truth(truth(options.cases, options.seed))
        return
    results = {}
    for half in options.half or (("judge",) if options.data else ("tune", "judge")):
        total = tally(half, options.cases, options.seed, options.data)
        results[half] = total.summary()
        if options.misses:
            print("\n".join(total.missed), file=sys.stderr)
        if not options.json:
            show(half, results[half])
    if options.json:
        print(json.dumps(results, indent=2))


def show_truth(errors: dict[str, list[float]]) -> None:
    """Print the errors of each figure."""
    for name, values in errors.items():
        size = np.abs(values)
        print(
            f"{name:12} bar {TRUTH_BARS[name]:4}  median {np.median(size):.2f}  "
            f"95 % {np.quantile(size, 0.95):.2f}  worst {size.max():.2f}  "
            f"within {np.mean(size <= TRUTH_BARS[name]):.1%} of {len(size)}"
        )


def show(half: str, result: dict[str, Any]) -> None:
    """Print a half as a table."""
    print(
        f"{half}: {result['cases']} cases, {result['faults']} faults, found {result['found']:.1%}; "
        f"false alarm in {result['cases_with_false_alarm']:.1%} of all cases, "
        f"{result['clean_with_false_alarm']:.1%} of {result['clean']} clean ones"
    )
    for fault, (hits, count) in result["by_fault"].items():
        print(f"  {fault:14} {hits:3}/{count:<3} {result['false_by_kind'].get(KIND[fault], 0)}")


if __name__ == "__main__":
    main()

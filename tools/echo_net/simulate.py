"""Make up echo scenes whose parts are known.

A scene is a device in a room: it plays the far end, and its microphone hears the near end, noise
and the echo. The echo goes through a loudspeaker (linear or bent), a delay and a room, and may
move, jump, drift against the far end's clock, or go a way that no linear filter follows. Everything
is drawn from one random generator, so a seed always makes the same scene.

The shares say how often a difficulty is drawn. The net learns what it sees, so what is rare in life
but hard (double talk from the start, clipping, a moved microphone) is frequent here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from scipy import signal

SAMPLE_RATE_HZ = 16000  # the net's bands end at 8 kHz; the engine gathers them at any rate
EARLY_S = 0.05  # later reflections blur speech
SUFFIXES = {".flac", ".wav", ".opus"}

Signal = npt.NDArray[np.floating[Any]]
Random = np.random.Generator
Bend = Callable[[Random, Signal], Signal]


@dataclass(frozen=True, slots=True)
class Scene:
    """What the microphone hears and what it is made of, each float32, shape (frames,).

    ``capture`` is the sum of echo, ``near_end`` and ``noise``, rounded to 16 bits, perhaps clipped.
    ``early`` is the part of ``near_end`` that comes within EARLY_S of its direct sound.
    """

    capture: Signal
    far_end: Signal
    near_end: Signal
    noise: Signal
    early: Signal


@dataclass(frozen=True, slots=True)
class Shares:
    """How often things are drawn: a quiet room, music for the near end."""

    quiet: float = 0.65
    near_music: float = 0.06


class Recordings:
    """Speech and noise below two folders, read on first use.

    Parameters
    ----------
    speech, noise : Path
        Folders that are searched, to any depth, for FLAC, WAV and Opus files at 16 kHz or more.

    Raises
    ------
    FileNotFoundError
        If one of the folders holds no recording.
    """

    def __init__(self, speech: Path, noise: Path) -> None:
        self.speech = _recordings_below(speech)
        self.noise = _recordings_below(noise)
        self._read: dict[
            Path, npt.NDArray[np.float16]
        ] = {}  # half precision is quiet enough to train

    def read(self, path: Path) -> Signal:
        """Return the first channel of a recording at SAMPLE_RATE_HZ, without its mean."""
        if path not in self._read:
            audio, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
            mono = audio[:, 0]
            if rate_hz != SAMPLE_RATE_HZ:
                mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)
            self._read[path] = (mono - np.mean(mono)).astype(np.float16)
        return self._read[path].astype(np.float32)


def _recordings_below(folder: Path) -> list[Path]:
    found = sorted((p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES), key=str)
    if not found:
        raise FileNotFoundError(f"no FLAC, WAV or Opus file below {folder}")
    return found


# --- small things ---


def ratio(level_db: float) -> float:
    """Return the amplitude ratio of a level."""
    return float(10 ** (level_db / 20))


def level(x: Signal) -> float:
    """Return the rms of the 20 ms pieces within 30 dB of the loudest: pauses do not count."""
    piece = SAMPLE_RATE_HZ // 50
    if len(x) < piece:
        return 1e-9
    power = np.mean(x[: len(x) // piece * piece].reshape(-1, piece) ** 2, 1)
    return float(np.sqrt(np.mean(power[power > power.max() * 1e-3]))) if power.max() > 0 else 1e-9


def peak(x: Signal) -> float:
    """Return the largest magnitude, at least 1e-9."""
    return max(float(np.max(np.abs(x))), 1e-9)


def fit(x: Signal, frames: int) -> Signal:
    """Cut, or fill with silence, to a length."""
    return np.concatenate([x, np.zeros(max(0, frames - len(x)))])[:frames]


def convolved(x: Signal, path: Signal) -> Signal:
    """Return `x` through an impulse response, the same length."""
    return np.asarray(signal.fftconvolve(x, path)[: len(x)])


def filtered(x: Signal, kind: str, order: int, corner_hz: float) -> Signal:
    """Return `x` through a Butterworth filter; kind: "low" or "high"."""
    sections = signal.butter(order, corner_hz, kind, fs=SAMPLE_RATE_HZ, output="sos")
    return np.asarray(signal.sosfilt(sections, x))


def times_s(frames: int) -> Signal:
    """Return the time of each frame."""
    return np.arange(frames) / SAMPLE_RATE_HZ


def add_at(y: Signal, start: int, sound: Signal) -> None:
    """Add a sound to `y` from a frame on, as far as there is room."""
    y[start : start + len(sound)] += sound[: len(y) - start].astype(y.dtype)


# --- what is heard: talkers, music, noise ---


def activity(rng: Random, frames: int, on_s: float, off_s: float, start_on: bool) -> Signal:
    """Return 0 and 1 in turns of random length (means beyond 0.2 s), with ramps of 20 ms."""
    envelope = np.zeros(frames, np.float32)
    at, on = 0, start_on
    while at < frames:
        turn = int(SAMPLE_RATE_HZ * rng.exponential(on_s if on else off_s)) + SAMPLE_RATE_HZ // 5
        envelope[at : at + turn] = on
        at, on = at + turn, not on
    ramp = np.hanning(321)[1:-1]
    return np.asarray(signal.fftconvolve(envelope, ramp / ramp.sum(), "same").astype(np.float32))


def talk(rng: Random, recordings: Recordings, frames: int) -> Signal:
    """Return talkers of level 1, one utterance after the other."""
    path = recordings.speech[rng.integers(len(recordings.speech))]
    spoken: list[Signal] = []
    while sum(map(len, spoken)) < frames:
        x = recordings.read(path)
        if len(x) > frames:
            start = rng.integers(0, len(x) - frames)
            x = x[start : start + frames]
        pause_s = rng.uniform(0.02, 0.3)  # between breaths
        spoken += [x / level(x), np.zeros(int(pause_s * SAMPLE_RATE_HZ), np.float32)]
        if rng.random() < 0.3:  # somebody else goes on
            path = recordings.speech[rng.integers(len(recordings.speech))]
    out: Signal = np.concatenate(spoken)[:frames]
    if rng.random() < 0.35:  # another pace and pitch: more voices than were recorded
        faster = soxr.resample(out, SAMPLE_RATE_HZ * rng.uniform(0.85, 1.18), SAMPLE_RATE_HZ)
        out = np.resize(faster, frames)
    if rng.random() < 0.3:
        out = coloured(rng, out)
    return out / level(out)


def coloured(rng: Random, x: Signal) -> Signal:
    """Return `x` with the colour of another microphone: a shelf, perhaps without the heights."""
    low = filtered(x, "low", 1, rng.uniform(200, 5000))
    y: Signal = low + ratio(rng.uniform(-8, 8)) * (x - low)  # cheap microphones differ by as much
    if rng.random() < 0.3:  # a headset, a telephone
        y = filtered(y, "low", 3, rng.uniform(3000, 7600))
    return y.astype(np.float32)


def music(rng: Random, frames: int) -> Signal:
    """Return made-up music of level 1: chords, a bass, a snare, a drum, or some of these."""
    y: Signal = np.zeros(frames + 4 * SAMPLE_RATE_HZ, np.float32)
    root_hz = 55 * 2 ** (rng.integers(0, 24) / 12)  # two octaves from A1 on
    beat_s = 60 / rng.uniform(70, 150)
    chords, bass, snare, drum = rng.random(4) < 0.6
    at_s = 0.0
    while at_s * SAMPLE_RATE_HZ < frames:
        at = int(at_s * SAMPLE_RATE_HZ)
        if chords:
            _add_chord(rng, y, at, root_hz, beat_s)
        if bass:
            t = times_s(int(beat_s * SAMPLE_RATE_HZ))
            add_at(y, at, 0.5 * np.sin(2 * np.pi * root_hz * t) * np.exp(-t / 0.4))
        if snare or not (chords or bass or drum):
            hiss = rng.standard_normal(int(0.15 * SAMPLE_RATE_HZ))
            frame = np.arange(len(hiss))
            add_at(
                y, at, 0.35 * (hiss * np.exp(-frame / (rng.uniform(0.008, 0.05) * SAMPLE_RATE_HZ)))
            )
        if drum:
            _add_drum(y, at)
        at_s += beat_s * rng.choice([0.5, 1, 1])
    return y[:frames] / level(y[:frames])


MINOR_SCALE = np.array([0, 2, 3, 5, 7, 8, 10, 12, 14, 15, 17, 19])  # semitones


def _add_chord(rng: Random, y: Signal, at: int, root_hz: float, beat_s: float) -> None:
    """Add one to three notes of eight harmonics each, plucked or held."""
    for semitones in rng.choice(MINOR_SCALE, rng.integers(1, 4)):
        f_hz = root_hz * 2 * 2 ** (semitones / 12)
        t = times_s(int(beat_s * rng.uniform(0.8, 2.5) * SAMPLE_RATE_HZ))
        note: Any = sum(
            np.sin(2 * np.pi * f_hz * h * t + rng.uniform(0, 6))
            * rng.uniform(0.3, 1)
            / h ** rng.uniform(0.6, 1.5)
            for h in range(1, 9)
            if f_hz * h < 7500
        )
        add_at(y, at, 0.3 * note * np.exp(-t / rng.uniform(0.1, 1.0)))


def _add_drum(y: Signal, at: int) -> None:
    """Add a drum: a tone that falls from 140 to 50 Hz."""
    frame = np.arange(int(0.12 * SAMPLE_RATE_HZ))
    phase = np.cumsum(50 + 90 * np.exp(-frame / (0.02 * SAMPLE_RATE_HZ))) / SAMPLE_RATE_HZ
    add_at(y, at, 0.9 * np.sin(2 * np.pi * phase) * np.exp(-frame / (0.05 * SAMPLE_RATE_HZ)))


def noise(rng: Random, recordings: Recordings, frames: int) -> Signal:
    """Return noise of power 1, recorded or made up in equal parts."""
    if rng.random() < 0.5:
        x = recordings.read(recordings.noise[rng.integers(len(recordings.noise))])
        if len(x) < frames:
            x = np.tile(x, frames // len(x) + 1)
        start = rng.integers(0, len(x) - frames + 1)
        x = x[start : start + frames]
        if np.any(x):
            return np.asarray(x / np.sqrt(np.mean(x**2) + 1e-12))
    return made_up_noise(rng, frames)


def made_up_noise(rng: Random, frames: int) -> Signal:
    """Return white to brown noise of power 1 that breathes slowly, perhaps with hum."""
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    f_hz = np.fft.rfftfreq(frames, 1 / SAMPLE_RATE_HZ)
    spectrum /= np.sqrt(np.maximum(f_hz, 60) / 60) ** rng.uniform(0, 2)
    x = np.fft.irfft(spectrum, frames)
    x /= np.std(x)
    t = times_s(frames)
    if rng.random() < 0.4:
        hum_hz = rng.choice([50, 60, 100, 120])
        for h in range(1, 6):
            x += 0.1 * rng.uniform(0, 1) * np.sin(2 * np.pi * hum_hz * h * t + rng.uniform(0, 6))
    depth = 0.3 * rng.random()
    x *= 1 + depth * np.sin(2 * np.pi * rng.uniform(0.05, 0.5) * np.arange(frames) / SAMPLE_RATE_HZ)
    return np.asarray((x / np.std(x)).astype(np.float32))


# --- the way of the echo: loudspeaker, room ---


def room(rng: Random, t60_s: float, direct_db: float) -> Signal:
    """Return the impulse response of a made-up room, energy 1.

    Parameters
    ----------
    rng : Generator
    t60_s : float
        Time in which the tail falls by 60 dB, 0.1 to 1.
    direct_db : float
        Direct sound and early reflections over the tail.
    """
    frames = int((t60_s + 0.05) * SAMPLE_RATE_HZ)
    path = np.zeros(frames)
    reflections_s = np.sort(rng.uniform(0.001, 0.04, rng.integers(8, 30)))
    _add_impulse(path, rng.uniform(0, 0.003), 1.0)
    for at_s in reflections_s:  # up to 14 m longer ways, weaker with every wall and metre
        gain = 0.7 * rng.uniform(0.2, 1) * rng.choice([-1, 1])
        _add_impulse(path, at_s, gain * np.exp(-6.9 * at_s / t60_s) / (1 + at_s * 120))
    t = times_s(frames)
    tail = rng.standard_normal(frames)
    low = filtered(tail, "low", 1, rng.uniform(1500, 6000))
    high_t60_s = rng.uniform(0.5, 0.8) * t60_s  # air and cloth take the heights first
    tail = low * np.exp(-6.9 * t / t60_s) + (tail - low) * 0.7 * np.exp(-6.9 * t / high_t60_s)
    tail *= np.clip((t - 0.005) / 0.02, 0, 1)  # it builds up behind the first reflections
    tail *= np.sqrt(np.sum(path**2) / np.sum(tail**2)) * 10 ** (-direct_db / 20)
    path += tail
    return np.asarray((path / np.sqrt(np.sum(path**2))).astype(np.float32))


def _add_impulse(path: Signal, at_s: float, gain: float) -> None:
    """Add an impulse between the frames: a windowed sinc of 25, begun 1 frame after `at_s`."""
    at = int(at_s * SAMPLE_RATE_HZ)
    offset = np.arange(-12, 13) - (at_s * SAMPLE_RATE_HZ - at)
    path[at + 1 : at + 26] += gain * (np.sinc(offset) * np.hanning(27)[1:-1])


def _clipped(rng: Random, x: Signal) -> Signal:
    """Clip: an amplifier at its rail, 3 to 13 dB over the level."""
    rail = ratio(rng.uniform(3, 13))
    return np.clip(x, -rail, rail)


def _one_sided(rng: Random, x: Signal) -> Signal:
    """Bend one half wave more than the other, by a sigmoid (Comminiello et al. 2013)."""
    driven = x * rng.uniform(0.2, 0.8)
    bent = 1.5 * driven - 0.3 * driven * driven
    slope = np.where(bent > 0, rng.uniform(1.5, 5), rng.uniform(0.4, 2))
    return np.asarray(2 / (1 + np.exp(-np.clip(slope * bent, -30, 30))) - 1)


def _soft(rng: Random, x: Signal) -> Signal:
    """Saturate softly, a little off centre."""
    return np.asarray(np.tanh(rng.uniform(0.1, 0.6) * x + rng.uniform(-0.2, 0.2)))


def _with_memory(rng: Random, x: Signal) -> Signal:
    """Square and cube, each through a short resonance of its own (a Hammerstein model)."""
    rail = ratio(rng.uniform(6, 12))
    driven = np.clip(x, -rail, rail) / rail
    taps = int(rng.uniform(0.001, 0.004) * SAMPLE_RATE_HZ)
    y = driven.copy()
    for power in (2, 3):
        path = rng.standard_normal(taps) * np.exp(-np.arange(taps) / (taps / 5))
        path /= np.sqrt(np.sum(path**2))
        y = y + rng.uniform(0.05, 0.4) * signal.lfilter(path, [1], driven**power)
    return y


def _excursion(rng: Random, x: Signal) -> Signal:
    """Stiffen a cone that is far out of its rest: low frequencies modulate all others."""
    low = filtered(x, "low", 2, rng.uniform(200, 600))
    y = x * (1 - rng.uniform(0.05, 0.3) * np.clip(low, -3, 3))
    return np.asarray(y + rng.uniform(0.02, 0.15) * low**2)


def _rattling(rng: Random, x: Signal) -> Signal:
    """Rattle: a dead zone around zero, and a box that shakes."""
    zone = rng.uniform(0.02, 0.15)
    y = np.sign(x) * np.maximum(np.abs(x) - zone, 0)
    return np.asarray(y + rng.uniform(0, 0.1) * signal.lfilter([1, -1], [1], np.abs(x)))


BENDS: tuple[Bend, ...] = (_clipped, _one_sided, _soft, _with_memory, _excursion, _rattling)


def bent(rng: Random, x: Signal) -> Signal:
    """Return what a loudspeaker driven too hard makes of `x`, one of BENDS."""
    bend = BENDS[rng.integers(len(BENDS))]
    return bend(rng, x / level(x)).astype(np.float32)


def loudspeaker(rng: Random, x: Signal, nonlinear: bool) -> Signal:
    """Return `x` as a small loudspeaker plays it, at any level."""
    if nonlinear:
        x = bent(rng, x)
    if rng.random() < 0.15:  # a level control of its own, over 0.1 s
        envelope = np.sqrt(signal.lfilter([0.0005], [1, -0.9995], x**2) + 1e-6)
        x = x / (envelope / np.max(envelope) + rng.uniform(0.2, 1))
    order = int(rng.integers(1, 4))
    y = filtered(x, "high", order, rng.uniform(80, 450))  # no bass from a small box
    if rng.random() < 0.5:  # no heights from a wide cone
        y = filtered(y, "low", 2, rng.uniform(4000, 7800))
    for _ in range(rng.integers(0, 5)):
        y = _resonance(rng, y)
    return y.astype(np.float32)


def _resonance(rng: Random, x: Signal) -> Signal:
    """Return `x` through a peak or a dip, 250 Hz to 6 kHz, up to 8 dB (RBJ cookbook, peaking)."""
    centre_hz = np.exp(rng.uniform(np.log(250), np.log(6000)))
    gain = 10 ** (rng.uniform(-8, 8) / 20)
    w = 2 * np.pi * centre_hz / SAMPLE_RATE_HZ
    alpha, root = np.sin(w) / (2 * rng.uniform(0.8, 4)), np.sqrt(gain)
    b = np.array([1 + alpha * root, -2 * np.cos(w), 1 - alpha * root])
    a = np.array([1 + alpha / root, -2 * np.cos(w), 1 - alpha / root])
    return np.asarray(signal.lfilter(b / a[0], a / a[0], x))


def scrambled(rng: Random, x: Signal) -> Signal:
    """Return `x` as no linear filter can follow it: a wandering clock, or wandering phases."""
    frames = len(x)
    if rng.random() < 0.5:  # up to 0.5 to 6 frames to and fro, ending where it began
        walk = np.cumsum(rng.standard_normal(frames // 160 + 2))
        walk -= np.linspace(walk[0], walk[-1], len(walk))
        walk *= rng.uniform(0.5, 6) / max(float(np.max(np.abs(walk))), 1e-6)
        at = np.arange(frames)
        moved = at + np.interp(at, np.arange(len(walk)) * 160, walk)
        return np.interp(moved, at, x)
    _, _, spectra = signal.stft(x, nperseg=512, noverlap=384)
    phase = np.cumsum(rng.standard_normal(spectra.shape) * rng.uniform(0.05, 1.5), 1)
    _, y = signal.istft(spectra * np.exp(1j * phase), nperseg=512, noverlap=384)
    y = fit(y, frames)
    return y * level(x) / max(level(y), 1e-9)


# --- the scene ---

_SHARES = Shares()


def programme(rng: Random, frames: int) -> tuple[Signal, Signal]:
    """Return who speaks when: the activity of the far end and of the near end."""
    start = int(rng.uniform(0, 0.5) * SAMPLE_RATE_HZ)
    far_end: Signal = np.ones(frames, np.float32)
    draw = rng.random()
    if draw < 0.25:  # a far end throughout, turns of the near end
        near_end = activity(rng, frames, 2.5, 3, False)
    elif draw < 0.52:  # double talk from the start: the hardest to learn in
        near_end = activity(rng, frames, 6, 1, True)
    elif draw < 0.64:  # a conversation
        far_end = activity(rng, frames, 4, 2, True)
        near_end = activity(rng, frames, 3, 2, bool(rng.random() < 0.5))
    elif draw < 0.75:  # a listener who says a word now and then
        far_end = activity(rng, frames, 5, 0.7, True)
        near_end = activity(rng, frames, 1.2, 5, False)
    elif draw < 0.86:  # one long interruption after the filter has learned
        near_end = np.zeros(frames, np.float32)
        at = int(rng.uniform(4, 9) * SAMPLE_RATE_HZ)
        near_end[at : at + int(rng.uniform(2, 5) * SAMPLE_RATE_HZ)] = 1
    elif draw < 0.92:  # echo alone
        near_end = np.zeros(frames, np.float32)
    else:  # a talker who is answered now and then
        far_end = activity(rng, frames, 2, 3, bool(rng.random() < 0.5))
        near_end = activity(rng, frames, 4, 1.5, True)
    far_end[:start] = 0
    return far_end, near_end


def played_by_far_end(rng: Random, recordings: Recordings, frames: int) -> Signal:
    """Return what the far end sends, level about 1: mostly talk, some music, both, or noise."""
    draw = rng.random()
    if draw < 0.72:
        return talk(rng, recordings, frames)
    if draw < 0.86:
        return music(rng, frames)
    if draw < 0.95:
        return talk(rng, recordings, frames) + music(rng, frames) * ratio(rng.uniform(-15, 0))
    return noise(rng, recordings, frames)


@dataclass(frozen=True, slots=True)
class EchoPath:
    """From the loudspeaker to the microphone."""

    response: Signal
    delay_frames: float

    def echo_of(self, played: Signal) -> Signal:
        """Return what comes back of `played`."""
        silence = np.zeros(int(self.delay_frames), np.float32)
        return np.concatenate([silence, convolved(played, self.response)])[: len(played)]


def echo_of(rng: Random, played: Signal, t60_s: float) -> Signal:
    """Return what comes back from the loudspeaker, at any level, with all that may change."""
    direct_db = rng.uniform(-3, 12)  # a set across the room to a speakerphone on the table
    response = room(rng, t60_s, direct_db)
    # 4 to 130 ms: sound cards; to 550 ms: Bluetooth, network loudspeakers
    delay_s = rng.uniform(0.004, 0.13) if rng.random() < 0.8 else rng.uniform(0.13, 0.55)
    path = EchoPath(response, delay_s * SAMPLE_RATE_HZ)
    echo = _through_changes(rng, played, path, (t60_s, direct_db))
    if rng.random() < 0.16 and np.any(echo):
        lost = scrambled(rng, echo)
        whole = rng.random() < 0.5
        echo = lost if whole else echo + rng.uniform(0.1, 1) * lost
    if rng.random() < 0.3 and np.any(echo):  # two clocks: sound cards differ by up to 320 ppm
        skew_ppm = rng.uniform(5, 320) * rng.choice([-1, 1])
        rate_hz = SAMPLE_RATE_HZ * (1 + skew_ppm * 1e-6)
        echo = fit(soxr.resample(echo, SAMPLE_RATE_HZ, rate_hz, quality="HQ"), len(echo))
    return echo


def _through_changes(
    rng: Random, played: Signal, path: EchoPath, like: tuple[float, float]
) -> Signal:
    """Return the echo of a path; in a third of the scenes it fades over into that of another."""
    echo = path.echo_of(played)
    frame = np.arange(len(echo))
    draw = rng.random()
    share: Signal
    if draw < 0.12:  # moved once, in 10 to 400 ms; every second time nearer or farther too
        response = room(rng, *like) * ratio(rng.uniform(-9, 9) if rng.random() < 0.5 else 0)
        other = EchoPath(response, path.delay_frames)
        at = int(rng.uniform(3, 10) * SAMPLE_RATE_HZ)
        share = np.clip((frame - at) / (rng.uniform(0.01, 0.4) * SAMPLE_RATE_HZ), 0, 1)
    elif draw < 0.22:  # always moving: a hand, a curtain, a walking person
        other = EchoPath(room(rng, *like), path.delay_frames)
        turn = 2 * np.pi * rng.uniform(0.05, 0.5) * frame / SAMPLE_RATE_HZ
        share = (0.5 + 0.5 * np.sin(turn + rng.uniform(0, 6))) * rng.uniform(0.1, 1)
    elif draw < 0.34:  # the delay jumps by 10 to 150 ms: a buffer ran empty or over
        at = int(rng.uniform(3, 10) * SAMPLE_RATE_HZ)
        jump = rng.choice([-1, 1]) * rng.uniform(0.01, 0.15) * SAMPLE_RATE_HZ
        other = EchoPath(path.response, max(60, path.delay_frames + jump))
        share = np.clip((frame - at) / 64, 0, 1)
    else:
        return echo
    return echo * (1 - share) + other.echo_of(played) * share


def make_scene(
    rng: Random, recordings: Recordings, seconds: float = 14.0, shares: Shares = _SHARES
) -> Scene:
    """Make up one scene.

    Parameters
    ----------
    rng : Generator
        All that is random comes from it.
    recordings : Recordings
        Talkers and noise.
    seconds : float
        Length. Most that happens to the echo happens before 10 s.
    shares : Shares
        How often what is drawn.

    Returns
    -------
    Scene
        At SAMPLE_RATE_HZ.
    """
    frames = int(seconds * SAMPLE_RATE_HZ)
    far_end = played_by_far_end(rng, recordings, frames)
    far_active, near_active = programme(rng, frames)
    far_end = far_end * far_active
    far_end = far_end / max(level(far_end), 1e-6) * ratio(rng.uniform(-34, -13))  # dBFS
    far_end = np.clip(far_end, -1, 1)
    if rng.random() < 0.1:  # nobody there: what is heard is near end
        far_end = np.zeros_like(far_end)
    far_end = np.round(far_end * 32767) / 32767
    no_echo = rng.random() < 0.1 or not np.any(far_end)  # a headset
    # living rooms and offices; a quarter halls and kitchens
    t60_s = rng.uniform(0.15, 0.5) if rng.random() < 0.75 else rng.uniform(0.5, 0.9)
    echo_db = rng.uniform(-40, -14)  # dBFS: a set turned low to a phone turned up
    # near end over echo; every fifth talker sits far off
    near_db = rng.uniform(-15, 15) if rng.random() < 0.8 else rng.uniform(-22, -10)
    nonlinear = bool(rng.random() < 0.5)
    played = far_end.astype(np.float32)
    if np.any(far_end):
        played = loudspeaker(rng, played, nonlinear)
    echo = echo_of(rng, played, t60_s)
    clip_at = None
    if rng.random() < 0.1:  # a microphone amplifier that clips below full scale
        echo_db, clip_at = rng.uniform(-16, -10), ratio(rng.uniform(-11, -4))
    echo = np.zeros(frames) if no_echo else echo / level(echo) * ratio(echo_db)
    near_end, early = _near_end(rng, recordings, near_active, shares.near_music)
    if np.any(near_end):
        near_dbfs = echo_db + near_db if np.any(echo) else rng.uniform(-40, -15)
        gain = ratio(near_dbfs) / level(near_end)
        gain *= min(1, 0.7 / peak(gain * near_end))  # a talker does not clip alone
        near_end, early = gain * near_end, gain * early
    # noise below the echo; mostly a quiet room, a third a fan or a street; never below -80 dBFS
    noise_db = rng.uniform(30, 60) if rng.random() < shares.quiet else rng.uniform(3, 30)
    background = noise(rng, recordings, frames) * ratio(max(echo_db - noise_db, -80))
    if rng.random() < 0.04:  # a gate that leaves digital silence
        background *= 0
    return _captured(rng, far_end, [near_end, echo, background, early], clip_at)


def _near_end(
    rng: Random, recordings: Recordings, active: Signal, music_share: float
) -> tuple[Signal, Signal]:
    """Return the near end in its room, at any level, and its early part: a talker, rarely music."""
    near_end = talk(rng, recordings, len(active))
    if rng.random() < music_share:  # an instrument, a radio: near end as well
        near_end = music(rng, len(active))
    response = room(rng, rng.uniform(0.15, 0.45), rng.uniform(0, 15))  # 3 m off to close by
    first = int((EARLY_S + 0.003) * SAMPLE_RATE_HZ)  # the direct sound comes within 3 ms
    spoken = near_end * active
    return convolved(spoken, response), convolved(spoken, response[:first])


def _captured(rng: Random, far_end: Signal, parts: list[Signal], clip_at: float | None) -> Scene:
    """Return the scene of near end, echo and noise as the device records it."""
    loudest = peak(parts[0] + parts[1] + parts[2])
    gain = 1.0
    if clip_at is None and loudest > 0.99:
        gain = 0.99 / loudest
    if rng.random() < 0.25:  # another microphone gain
        other = ratio(rng.uniform(-15, 3))
        gain *= min(other, 0.99 / (loudest * gain)) if clip_at is None else 1.0
    near_end, echo, background, early = (gain * part for part in parts)
    capture = near_end + echo + background
    if clip_at is not None:
        capture = np.clip(capture, -clip_at, clip_at)
    capture = np.clip(np.round(capture * 32767), -32768, 32767) / 32768
    heard = [capture, near_end, background, early]
    if rng.random() < 0.06:  # a telephone line
        heard = [filtered(x, "low", 6, 3500) for x in heard]
        far_end = filtered(far_end, "low", 6, 3500)
    if rng.random() < 0.15:  # a device that takes away the sub-sonic part
        corner_hz = rng.uniform(50, 150)
        heard = [filtered(x, "high", 2, corner_hz) for x in heard]
    capture, near_end, background, early = (np.ascontiguousarray(x, np.float32) for x in heard)
    return Scene(capture, np.ascontiguousarray(far_end, np.float32), near_end, background, early)

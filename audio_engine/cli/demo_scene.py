"""The demo's live room: a host at a microphone, a guest out of the loudspeaker, a fan.

Everything but the two voices is made by formula, from a seed. As each part is kept apart, what the
chain does can be measured on the signals: the scene knows what is echo, noise and voice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_engine.io.converted import ConvertedReader
from audio_engine.processors.audio import AudioArray

Signal = NDArray[np.float64]

SAMPLE_RATE_HZ = 48000
VOICES = Path(__file__).parent.parent / "demo_data"
SEED = 20240611
HOST_RMS_DBFS = -35.0  # a host too far from the microphone
JUMP_DB = 12.0  # and then too close to it
GUEST_RMS_DBFS = -20.0  # a guest with a hot microphone
ECHO_RMS_DBFS = -30.0  # louder at the microphone than the host
NOISE_RMS_DBFS = -58.0
NOISE_LOOP_FRAMES = 2**19  # 11 s
PLAYBACK_DELAY_MS = 60.0  # buffers between the far end and the loudspeaker
ROOM_M = (4.6, 3.7, 2.6)
WALL_REFLECTION = 0.8  # amplitude; T60 about 0.3 s in this room
SPEED_OF_SOUND_M_S = 343.0


@dataclass(frozen=True, slots=True)
class Scene:
    """The signals, float32 mono at `SAMPLE_RATE_HZ`, and when what happens in them.

    `mic` is the sum of `echo`, `noise` and the host in the room; `clean_near` is the host alone,
    on the direct way to the microphone. `parts` gives (start, end) in seconds.
    """

    mic: AudioArray
    far: AudioArray
    clean_near: AudioArray
    echo: AudioArray
    noise: AudioArray
    parts: dict[str, tuple[float, float]]

    def cut(self, signal: AudioArray, part: str) -> AudioArray:
        """Return the piece of a signal that belongs to a part of the scene."""
        start, end = (round(second * SAMPLE_RATE_HZ) for second in self.parts[part])
        return signal[start:end]


def build_scene() -> Scene:
    """Make the scene; the same samples every time.

    The guest speaks alone, then the host (quiet), then both, then the host (loud).
    """
    rng = np.random.default_rng(SEED)
    host, guest = _voice("host"), _voice("guest")
    first, second = _split(host, 8.2)  # in the pauses between two sentences
    interruption, _ = _split(guest, 4.6)
    plan = _Plan()
    plan.pause(2.0)
    plan.say("guest alone", far=_level(guest, GUEST_RMS_DBFS))
    plan.pause(0.5)
    plan.say("host quiet", near=_level(first, HOST_RMS_DBFS))
    plan.say("both", near=_level(second, HOST_RMS_DBFS), far=_level(interruption, GUEST_RMS_DBFS))
    plan.pause(0.5)
    plan.say("host loud", near=_level(first, HOST_RMS_DBFS + JUMP_DB))
    plan.pause(2.0)
    near, far = plan.signals()
    frames = len(near)

    microphone = (2.1, 1.6, 1.1)
    to_host = room_response((2.3, 1.9, 1.2), microphone)
    to_loudspeaker = room_response((1.2, 2.3, 0.8), microphone)
    loudspeaker = np.tanh(1.5 * far) / 1.5  # a small driver compresses a little
    delay = round(PLAYBACK_DELAY_MS * SAMPLE_RATE_HZ / 1000.0)
    echo = _convolve(_delayed(loudspeaker, delay), to_loudspeaker)
    noise = _fan(frames, rng)
    scale = _factor(echo, ECHO_RMS_DBFS)
    direct = int(np.argmax(to_host))  # the first arrival is the strongest
    start, end = plan.parts["guest alone"]
    parts = {
        "noise": (frames / SAMPLE_RATE_HZ - 1.5, frames / SAMPLE_RATE_HZ - 0.2),
        **plan.parts,
        "guest settled": (start + 4.0, end),  # the echo canceller has had four seconds to learn
    }
    signals = {
        "mic": _convolve(near, to_host / to_host[direct]) + scale * echo + noise,
        "far": far,
        "clean_near": _delayed(near, direct),
        "echo": scale * echo,
        "noise": noise,
    }
    return Scene(**{k: v.astype(np.float32) for k, v in signals.items()}, parts=parts)


class _Plan:
    """Two tracks, near and far, filled from left to right."""

    def __init__(self) -> None:
        self.parts: dict[str, tuple[float, float]] = {}
        self._near: list[Signal] = []
        self._far: list[Signal] = []
        self._frames = 0

    def pause(self, seconds: float) -> None:
        """Let both sides be silent."""
        self._add(np.zeros(round(seconds * SAMPLE_RATE_HZ)), None)

    def say(self, part: str, near: Signal | None = None, far: Signal | None = None) -> None:
        """Append a named part, in which one side or both speak."""
        start = self._frames
        self._add(near, far)
        self.parts[part] = (start / SAMPLE_RATE_HZ, self._frames / SAMPLE_RATE_HZ)

    def signals(self) -> tuple[Signal, Signal]:
        """Return the near and the far track."""
        return np.concatenate(self._near), np.concatenate(self._far)

    def _add(self, near: Signal | None, far: Signal | None) -> None:
        frames = max(len(track) for track in (near, far) if track is not None)
        for tracks, signal in ((self._near, near), (self._far, far)):
            track = np.zeros(frames)
            if signal is not None:
                track[: len(signal)] = signal
            tracks.append(track)
        self._frames += frames


def room_response(
    source_m: tuple[float, float, float], microphone_m: tuple[float, float, float]
) -> Signal:
    """Return the impulse response of the demo's room, by the image-source method.

    Notes
    -----
    Allen & Berkley 1979, all six walls alike; arrival times are rounded to samples.
    """
    length = round(0.35 * SAMPLE_RATE_HZ)
    reach_m = length / SAMPLE_RATE_HZ * SPEED_OF_SOUND_M_S
    squares, orders = [], []
    for size, source, microphone in zip(ROOM_M, source_m, microphone_m, strict=True):
        count = int(np.ceil(reach_m / (2.0 * size)))
        shift = 2.0 * size * np.arange(-count, count + 1)
        walls = np.abs(np.arange(-count, count + 1))
        images = np.concatenate([shift + source, shift - source])
        squares.append((images - microphone) ** 2)
        # the mirrored images at 2 n L - s lie behind |2 n - 1| walls, the others behind |2 n|
        signed = np.arange(-count, count + 1)
        orders.append(np.concatenate([2 * walls, np.abs(2 * signed - 1)]))
    distance_m = np.sqrt(
        squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :]
    ).ravel()
    order = (orders[0][:, None, None] + orders[1][None, :, None] + orders[2][None, None, :]).ravel()
    frame = np.rint(distance_m / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ).astype(np.int64)
    heard = frame < length
    response = np.zeros(length)
    np.add.at(response, frame[heard], WALL_REFLECTION ** order[heard] / distance_m[heard])
    return response


def _voice(name: str) -> Signal:
    """Read a packaged voice at the scene's rate."""
    with ConvertedReader(VOICES / f"{name}.flac", SAMPLE_RATE_HZ) as reader:
        return reader.read(reader.frames)[:, 0].astype(np.float64)


def _fan(frames: int, rng: np.random.Generator) -> Signal:
    """Return a fan: a hum with harmonics under a hiss that falls by 3 dB an octave above 200 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(NOISE_LOOP_FRAMES))
    frequency_hz = np.fft.rfftfreq(NOISE_LOOP_FRAMES, 1.0 / SAMPLE_RATE_HZ)
    loop = np.fft.irfft(spectrum / np.sqrt(1.0 + frequency_hz / 200.0), NOISE_LOOP_FRAMES)
    hiss = np.resize(loop, frames)  # seamless: what comes out of an inverse FFT is periodic
    time_s = np.arange(frames) / SAMPLE_RATE_HZ
    hum = sum(np.sin(2.0 * np.pi * 98.0 * k * time_s + k) / k for k in range(1, 6))
    return _level(_level(hiss, 0.0) + 0.6 * _level(np.asarray(hum), 0.0), NOISE_RMS_DBFS)


def _split(signal: Signal, second: float) -> tuple[Signal, Signal]:
    frame = round(second * SAMPLE_RATE_HZ)
    return signal[:frame], signal[frame:]


def _delayed(signal: Signal, frames: int) -> Signal:
    return np.concatenate([np.zeros(frames), signal[: len(signal) - frames]])


def _convolve(signal: Signal, response: Signal) -> Signal:
    size = 1 << (len(signal) + len(response) - 2).bit_length()
    product = np.fft.rfft(signal, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(product, size)[: len(signal)], np.float64)


def _factor(signal: Signal, level_dbfs: float) -> float:
    """Return the factor that brings the signal's RMS, pauses left out, to a level."""
    blocks = signal[: len(signal) // 480 * 480].reshape(-1, 480)
    power = np.mean(np.square(blocks), axis=1)
    active = power[power > 1e-3 * power.max()]
    return float(10.0 ** (level_dbfs / 20.0) / np.sqrt(np.mean(active)))


def _level(signal: Signal, level_dbfs: float) -> Signal:
    return signal * _factor(signal, level_dbfs)

"""Make what docs/noise.md lets you hear: recordings before and after the noise suppressor.

    python docs/make_noise_examples.py DIR

writes a WAV pair and more into DIR and prints what each setting did. The voice is the demo's; fan,
hum, keys, room and music are made by formula, from a seed. With ``--pages`` it draws the pictures
of the page anew and puts the figures into its table.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from drawing import Signal, chords, demo_voice, hiss, label, run_script, svg, table
from numpy.typing import NDArray

import audio_engine as ae

HERE = Path(__file__).resolve().parent
PAGE = HERE / "noise.md"
MARKS = "<!-- examples: made by docs/make_noise_examples.py -->\n", "<!-- end of the examples -->"
RATE_HZ = 16000
SECONDS = 20.0
SEED = 20240611
VOICE_DBFS = -26.0
SETTLED_S = 6.0  # from here on is measured: the room's decay is known after some seconds of speech
BLOCK = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A recording, the voice in it, and what it is processed with.

    `alone` says in which blocks what is unwanted is measured; of two microphones, in the second.
    """

    name: str
    mic: Signal
    voice: Signal
    alone: NDArray[np.bool_]
    settings: dict[str, dict[str, Any]]


# --- what a microphone hears ----------------------------------------------------------------------


def block_power(signal: Signal) -> Signal:
    """Return the mean power of every 10 ms."""
    power: Signal = np.mean(np.square(signal[: len(signal) // BLOCK * BLOCK].reshape(-1, BLOCK)), 1)
    return power


def at_level(signal: Signal, level_dbfs: float) -> Signal:
    """Scale a signal so that its blocks, pauses left out, have a level."""
    power = block_power(signal)
    active = power[power > 1e-3 * power.max()]
    return np.asarray(signal * 10.0 ** (level_dbfs / 20.0) / np.sqrt(active.mean()))


def voice() -> Signal:
    """Return the demo's host, again and again."""
    return at_level(np.resize(demo_voice("host"), round(SECONDS * RATE_HZ)), VOICE_DBFS)


def hum() -> Signal:
    """Return 50 Hz and its harmonics, 12 dB below the voice: a ground loop."""
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    waves = [np.sin(2.0 * np.pi * 50.0 * k * time_s + k * k) / k for k in range(1, 41)]
    return at_level(np.sum(waves, axis=0), VOICE_DBFS - 12.0)


def keys(rng: np.random.Generator) -> Signal:
    """Return typing, as loud as the voice: three short knocks a stroke, five strokes a second."""
    out = np.zeros(round(SECONDS * RATE_HZ))
    stroke_s = 0.3
    while stroke_s < SECONDS - 0.3:
        body_hz, loudness = rng.uniform(1500.0, 5000.0), rng.uniform(0.4, 1.0)
        release_s = rng.uniform(0.07, 0.12)
        for delay_s, level in ((0.0, 0.5), (rng.uniform(0.008, 0.02), 1.0), (release_s, 0.4)):
            time_s = np.arange(round(0.03 * RATE_HZ)) / RATE_HZ
            ring = np.sin(2.0 * np.pi * body_hz * time_s) + rng.standard_normal(len(time_s))
            at = round((stroke_s + delay_s) * RATE_HZ)
            out[at : at + len(time_s)] += loudness * level * ring * np.exp(-time_s / 0.004)
        stroke_s += rng.uniform(0.1, 0.3) + (rng.uniform() < 0.1) * 1.0
    return at_level(out, VOICE_DBFS)


def boomy_room(rng: np.random.Generator) -> tuple[Signal, Signal]:
    """Return the impulse response of a room (T60 0.8 s), and its first 50 ms."""
    time_s = np.arange(round(0.9 * RATE_HZ)) / RATE_HZ
    tail = rng.standard_normal(len(time_s)) * 10.0 ** (-3.0 * time_s / 0.8)
    tail *= (time_s > 0.004) * 1.0 / np.sqrt(np.sum(tail**2))  # as much as comes directly
    tail[0] = 1.0
    return tail, tail * (time_s < 0.05)


def convolve(signal: Signal, response: Signal) -> Signal:
    """Return the signal in a room, as long as before."""
    size = 1 << (len(signal) + len(response)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(response, size), size)
    return np.asarray(wet[: len(signal)])


def examples() -> Iterator[Example]:
    """Make every example; the same samples every time."""
    rng = np.random.default_rng(SEED)
    near = voice()
    silent, speaks = pauses(near), ~pauses(near, reach=0)
    room, early = boomy_room(rng)
    in_room, direct = convolve(near, room), convolve(near, early)
    limits = {f"limit-{x:g}": {"attenuation_limit_db": x} for x in (6.0, 12.0, 20.0, 40.0)}
    steady = at_level(hiss(SECONDS, RATE_HZ, rng), VOICE_DBFS - 18.0)
    song = at_level(chords(SECONDS, RATE_HZ), VOICE_DBFS - 10.0)
    typing, ground_loop = keys(rng), hum()

    def example(name: str, mic: Signal, own: Signal, **settings: dict[str, Any]) -> Example:
        return Example(name=name, mic=mic, voice=own, alone=silent, settings=settings)

    everything = in_room + steady + 0.5 * ground_loop + 0.5 * typing
    yield example("all", everything, direct, default={})
    yield example("fan", near + steady, near, **limits)
    yield example("hum", near + ground_loop + 0.1 * steady, near, default={})
    switch = {"off": {"transients": False}, "on": {"transients": True}}
    yield example("keys", near + typing + 0.3 * steady, near, **switch)
    strengths = {f"dereverb-{x:g}": {"dereverb": x} for x in (0.0, 0.5, 1.0)}
    yield example("room", in_room + 0.01 * steady, direct, **strengths)
    guard = {"off": {"music_guard": False}, "on": {"music_guard": True}}
    yield example("music", near + song + 0.1 * steady, near, **guard)
    link = {"linked": {"link_channels": True}, "each": {"link_channels": False}}
    second = 1.5 * steady + 0.01 * near
    both = np.stack([near + 0.02 * steady, second], axis=1)
    yield Example(name="two-mics", mic=both, voice=near, alone=speaks, settings=link)


# --- what was done to it --------------------------------------------------------------------------


def pauses(near: Signal, reach: int = 10) -> NDArray[np.bool_]:
    """Return the blocks in which nobody speaks, nor has spoken or will `reach` blocks away."""
    power = block_power(near)
    heard = power > 1e-4 * power.max()
    wide = np.convolve(heard, np.ones(2 * reach + 1), "same") > 0.5
    return np.asarray(~wide)


def suppressed(mic: Signal, options: dict[str, Any]) -> Signal:
    """Return a whole recording through a suppressor, its latency taken off."""
    channels = 1 if mic.ndim == 1 else mic.shape[1]
    with ae.NoiseSuppressor(RATE_HZ, channels, **options) as ns:
        return ae.process_whole(ns, mic).astype(np.float64)


def unwanted_dbfs(signal: Signal, alone: NDArray[np.bool_]) -> float:
    """Return the level of what is no voice."""
    power = block_power(signal if signal.ndim == 1 else signal[:, 1])
    first = round(SETTLED_S * RATE_HZ) // BLOCK
    return float(10.0 * np.log10(power[first:][alone[first:]].mean() + 1e-12))


def voice_gain_db(near: Signal, out: Signal) -> float:
    """Return how much of the voice is left: the projection of the output on it."""
    out = out if out.ndim == 1 else out[:, 0]
    first = round(SETTLED_S * RATE_HZ)
    share = np.dot(out[first:], near[first:]) / np.dot(near[first:], near[first:])
    return float(20.0 * np.log10(max(share, 1e-6)))


# --- pictures -------------------------------------------------------------------------------------

SHOWN_S = 9.0, 15.0  # of the recording
PICTURES = {"all": "default", "hum": "default", "keys": "on", "room": "dereverb-1"}
COLUMNS, ROWS = 600, 128  # pixels of a spectrogram
LEFT, TOP, GAP = 46, 22, 26  # around it
LEVELS_DB = -100.0, -40.0  # dark and bright
COLOURS = np.array([(8, 8, 32), (70, 20, 110), (190, 50, 90), (250, 150, 60), (255, 250, 220)])
SHADES = 20


def spectrogram_png(signal: Signal) -> bytes:
    """Return a stretch of the signal as a picture: time to the right, 0 to 8 kHz upwards."""
    size = 4 * ROWS
    starts = np.linspace(SHOWN_S[0] * RATE_HZ, SHOWN_S[1] * RATE_HZ - size, COLUMNS).astype(int)
    window = np.hanning(size)
    frames = np.fft.rfft(signal[starts[:, None] + np.arange(size)] * window)
    power = (np.abs(frames[:, : 2 * ROWS]) ** 2).reshape(COLUMNS, ROWS, 2).mean(axis=2)
    level_db = 10.0 * np.log10(power / np.sum(window) ** 2 * 2.0 + 1e-14)
    share = np.clip((level_db - LEVELS_DB[0]) / (LEVELS_DB[1] - LEVELS_DB[0]), 0.0, 1.0)
    shades = np.rint(share * (SHADES - 1)).astype(np.uint8).T[::-1]
    rows = b"".join(b"\0" + row.tobytes() for row in shades)
    at = np.linspace(0, len(COLOURS) - 1, SHADES)
    palette = np.stack([np.interp(at, range(len(COLOURS)), one) for one in COLOURS.T], axis=1)
    header = struct.pack(">IIBBBBB", COLUMNS, ROWS, 8, 3, 0, 0, 0)  # 8 bits, palette
    parts = (b"IHDR", header), (b"PLTE", np.rint(palette).astype(np.uint8).tobytes())
    chunks = (*parts, (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def panel(signal: Signal, title: str, top: int) -> list[str]:
    """Return one spectrogram with its axes."""
    png = base64.b64encode(spectrogram_png(signal)).decode()
    place = f'x="{LEFT}" y="{top}" width="{COLUMNS}" height="{ROWS}"'
    parts = [f'<image {place} href="data:image/png;base64,{png}"/>', label(LEFT, top - 6, title)]
    for khz in (0, 4, 8):
        words = f"{khz} kHz" if khz else "0"
        parts.append(label(LEFT - 6, top + ROWS * (1 - khz / 8) + 4, words, "end"))
    for second in range(int(SHOWN_S[1] - SHOWN_S[0]) + 1):
        x = LEFT + COLUMNS * second / (SHOWN_S[1] - SHOWN_S[0])
        parts.append(label(x, top + ROWS + 14, f"{second} s", "middle"))
    return parts


def picture(before: Signal, after: Signal) -> str:
    """Return both spectrograms, one above the other."""
    width, height = LEFT + COLUMNS + 20, 2 * (TOP + ROWS) + GAP
    parts = panel(before, "before", TOP) + panel(after, "after", TOP + ROWS + TOP + 12)
    return svg(width, height, parts)


# --- all of it ------------------------------------------------------------------------------------


def write(path: Path, signal: Signal) -> None:
    """Write a WAV of 16 bits, as loud as it is."""
    soundfile.write(path, np.clip(signal, -1.0, 1.0), RATE_HZ, subtype="PCM_16")


def make(folder: Path, pages: bool) -> str:
    """Write the WAVs, and the page's pictures if asked; return the table of figures."""
    rows: list[tuple[str, ...]] = [("file", "setting", "unwanted, dB", "voice, dB")]
    for each in examples():
        write(folder / f"{each.name}-before.wav", each.mic)
        before_dbfs = unwanted_dbfs(each.mic, each.alone)
        for name, options in each.settings.items():
            out = suppressed(each.mic, options)
            write(folder / f"{each.name}-{name}.wav", out)
            change_db = unwanted_dbfs(out, each.alone) - before_dbfs
            gain_db = voice_gain_db(each.voice, out) - voice_gain_db(each.voice, each.mic)
            said = ", ".join(f"`{key}={value}`" for key, value in options.items())
            figures = f"{change_db:+.1f}", f"{gain_db:+.1f}"
            rows.append((f"{each.name}-{name}.wav", said or "defaults", *figures))
            if pages and PICTURES.get(each.name) == name:
                target = HERE / f"noise-{each.name}.svg"
                target.write_text(picture(each.mic, out), encoding="utf-8")
    return table(rows)


if __name__ == "__main__":
    run_script(__doc__, make, PAGE, MARKS)

"""Make noise of the kind music: random pieces for sampled instruments.

usage: python -m training.orchestra --soundfont FluidR3_GM.sf2 --out MATERIAL --part 20 [--hours 1]

A piece has a key, a row of chords, a beat, and some of drums, bass, chords, arpeggio, melody and a
sound effect, each for an instrument of General MIDI. FluidSynth plays it with a soundfont (Debian:
fluidsynth, fluid-soundfont-gm; the latter is MIT licensed).
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from training import sounds
from training.material import SECONDS, Store, noise_level
from training.sounds import Random
from training.spectrum import Array

RATE_HZ = 48000
_PIECE_S, _TICKS = 36, 96  # of a beat
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10))
_DRUMS = 9  # the channel
# Instruments by what they do, as General MIDI numbers them from 0.
_PROGRAMS = {
    "bass": range(32, 40),
    "chords": [*range(8), *range(16, 32), *range(48, 52), *range(88, 96)],
    "arpeggio": [*range(16), *range(24, 29), 45, 46, *range(104, 109)],
    "melody": [*range(40, 45), *range(52, 80), *range(80, 88), 110, 111],
    "effect": range(121, 128),
}
_OCTAVES = {"bass": 3, "chords": 5, "arpeggio": 5, "melody": 6, "effect": 5}

Event = tuple[int, bytes]  # at a tick


def variable(number: int) -> bytes:
    """Return a number as standard MIDI files write times."""
    out = [number & 0x7F]
    while number > 0x7F:
        number >>= 7
        out.insert(0, 0x80 | number & 0x7F)
    return bytes(out)


def midi_file(events: list[Event], beats_per_minute: float) -> bytes:
    """Return a standard MIDI file with one track."""
    tempo = int(60e6 / beats_per_minute)
    track, now = b"\x00\xff\x51\x03" + tempo.to_bytes(3, "big"), 0
    for tick, message in sorted(events):
        track += variable(tick - now) + message
        now = tick
    track += b"\x00\xff\x2f\x00"
    head = b"MThd" + struct.pack(">IHHH", 6, 0, 1, _TICKS)
    return head + b"MTrk" + struct.pack(">I", len(track)) + track


class Piece:
    """A random piece being written."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.beats_per_minute = float(rng.uniform(60, 170))
        self.beats = int(_PIECE_S * self.beats_per_minute / 60) + 1
        self.scale = _SCALES[rng.integers(len(_SCALES))]
        self.key = int(rng.integers(12))
        self.chords = [int(rng.choice([0, 0, 3, 4, 5, 1])) for _ in range(rng.integers(2, 5))]
        self.swing = int(rng.choice([0, 0, _TICKS // 12]))
        self.events: list[Event] = []

    def pitch(self, step: int, octave: int) -> int:
        """Return the number of a step of the scale."""
        within = self.scale[step % 7] + 12 * (step // 7)
        return int(np.clip(12 * octave + self.key + within, 12, 115))

    def note(self, channel: int, pitch: int, beat: float, beats: float, loud: float) -> None:
        """Write a note, as exactly as people play."""
        rng = self.rng
        start = max(0, int(beat * _TICKS + rng.normal(0, 1.5)))
        end = start + max(4, int(beats * _TICKS))
        velocity = int(np.clip(loud * 127 * rng.normal(1, 0.1), 15, 127))
        self.events += [
            (start, bytes([0x90 | channel, pitch, velocity])),
            (end, bytes([0x80 | channel, pitch, 0])),
        ]

    def play(self, channel: int, part: str, loud: float) -> None:
        """Write one part."""
        program = int(self.rng.choice(list(_PROGRAMS[part])))
        self.events.append((0, bytes([0xC0 | channel, program])))
        octave = _OCTAVES[part] + int(self.rng.integers(-1, 1))
        pattern = self.rng.random(8) < self.rng.uniform(0.3, 0.9)
        step = 7
        for beat in range(self.beats):
            chord = self.chords[(beat // 4) % len(self.chords)]
            if part == "chords" and beat % 2 == 0:
                for third in (0, 2, 4):
                    self.note(channel, self.pitch(chord + third, octave), beat, 1.9, loud)
            elif part == "effect" and beat % 8 == 0:
                self.note(channel, self.pitch(chord, octave), beat, 7.5, loud)
            elif part in ("bass", "arpeggio"):
                for half in range(2):
                    if pattern[(2 * beat + half) % 8]:
                        above = 0 if part == "bass" else int(self.rng.choice([0, 2, 4, 7]))
                        pitch = self.pitch(chord + above, octave)
                        self.note(channel, pitch, beat + half / 2, 0.5, loud)
            elif part == "melody" and pattern[beat % 8]:
                step = int(np.clip(step + self.rng.integers(-3, 4), 0, 14))
                length = float(self.rng.choice([0.5, 1, 1, 2]))
                self.note(channel, self.pitch(step, octave), beat, length, loud)

    def drum(self, loud: float) -> None:
        """Write the drums."""
        hat = int(self.rng.choice([42, 44, 46, 51, 70, 82]))
        kick, snare = int(self.rng.choice([35, 36])), int(self.rng.choice([38, 40, 39, 37]))
        extra = self.rng.random(16) < 0.15
        for beat in range(self.beats):
            for quarter in range(4):
                at = beat + quarter / 4 + (quarter % 2) * self.swing / _TICKS
                if (quarter == 0 and beat % 2 == 0) or extra[(4 * beat + quarter) % 16]:
                    self.note(_DRUMS, kick, at, 0.2, loud)
                if quarter == 0 and beat % 2 == 1:
                    self.note(_DRUMS, snare, at, 0.2, loud)
                if quarter % 2 == 0:
                    self.note(_DRUMS, hat, at, 0.2, 0.7 * loud)
        if self.rng.random() < 0.5:
            self.note(_DRUMS, 49, 0, 0.5, loud)


def write_piece(rng: Random) -> bytes:
    """Return a random piece as a MIDI file."""
    piece = Piece(rng)
    parts = [p for p in _PROGRAMS if rng.random() < (0.12 if p == "effect" else 0.55)]
    drums = bool(rng.random() < 0.55)
    for channel, part in enumerate(parts or ["melody"]):
        piece.play(channel, part, rng.uniform(0.3, 0.9))
    if drums:
        piece.drum(rng.uniform(0.3, 0.9))
    return midi_file(piece.events, piece.beats_per_minute)


def rendered(rng: Random, soundfont: Path) -> Array:
    """Return a random piece played, mono."""
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder) / "piece.mid", Path(folder) / "piece.wav"
        score.write_bytes(write_piece(rng))
        reverb = "1" if rng.random() < 0.6 else "0"
        subprocess.run(
            ["fluidsynth", "-ni", "-q", "-R", reverb, "-g", "0.4", "-r", str(RATE_HZ),
             "-F", str(sound), str(soundfont), str(score)],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        x, _ = soundfile.read(sound, dtype="float32", always_2d=True)
    return np.asarray(x.mean(1))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--soundfont", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", type=int, required=True)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    count = round(options.hours * 3600 / SECONDS)
    rng = np.random.default_rng([options.seed, options.part, 77])
    store, done = Store(options.out / "train", f"noise{options.part}", count), 0
    while done < count:
        x = rendered(rng, options.soundfont)
        frames = SECONDS * RATE_HZ
        for start in range(0, len(x) - frames + 1, frames):
            clip = x[start : start + frames]
            if done == count or np.sqrt(np.mean(clip**2)) < 1e-4:
                continue
            if rng.random() < 0.35:  # from a loudspeaker across the room
                clip = sounds.convolved(clip, sounds.any_room(rng, RATE_HZ)[0])
            store.put(done, clip / noise_level(clip, RATE_HZ, "orchestra"), RATE_HZ)
            done += 1
    store.close(wide=np.ones(count, bool), kinds=np.array(["orchestra"] * count))


if __name__ == "__main__":
    main()

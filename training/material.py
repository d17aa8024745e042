"""Make the material: clips of speech and of noise as spectra, which training mixes on the fly.

A clip is 6 s. Speech is kept twice: as it reaches the microphone through a room (`heard`) and its
first 50 ms (`target`). Mixing, levels and equalisers act on spectra and cost next to nothing, so
any speech meets any noise. What spectra cannot do (a codec, a clipped preamplifier) is done here,
to a mixture, which then counts as `heard`.

usage: python -m training.material --speech DIR --noise DIR --out DIR --part 0 [--hours 1]
       python -m training.material --speech DIR --noise DIR --out DIR --held-out [--hours 0.2]
"""

from __future__ import annotations

import argparse
import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from training import near_sounds, passing_sounds, sounds, spectrum
from training.pause import wait_while_paused
from training.recordings import (
    NARROW_RATE_HZ,
    WIDE_RATE_HZ,
    Reader,
    Recording,
    active_db,
    frame_db,
    listed,
)
from training.sounds import Random, ratio
from training.spectrum import Array

SECONDS = 6
HOPS = SECONDS * spectrum.HOPS_PER_S
_MADE_UP = {**sounds.MADE_UP, **passing_sounds.PASSING, **near_sounds.NEAR}
_MADE_UP_SHARES = {
    **sounds.SHARES,
    **passing_sounds.PASSING_SHARES,
    **near_sounds.NEAR_SHARES,
}
_MADE_UP_ODDS = np.array(list(_MADE_UP_SHARES.values())) / sum(_MADE_UP_SHARES.values())
_AUDIBLE_DB, _CLOSED_HOPS, _SHORT_HOPS = 35.0, 10, 3


def _without_short(on: Array, hops: int) -> Array:
    filled = on.copy()
    edges = np.flatnonzero(np.diff(on.astype(int)))
    for end, start in pairwise(edges):
        if on[end] and start - end <= hops:
            filled[end + 1 : start + 1] = True
    return filled


def spoken(x: Array, rate: int) -> Array:
    """Return for each hop whether clean speech is within 35 dB of its level."""
    level_db = frame_db(x, rate)
    if level_db.max() < -70:
        return np.zeros(len(level_db), bool)
    over = level_db > active_db(level_db) - _AUDIBLE_DB
    return ~_without_short(~_without_short(over, _CLOSED_HOPS), _SHORT_HOPS)


def _trimmed(x: Array, rate: int) -> Array:
    level_db = frame_db(x, rate)
    heard = np.flatnonzero(level_db > level_db.max() - 38)
    hop = rate // 100
    cut = x[max(0, heard[0] - 2) * hop : (heard[-1] + 5) * hop].copy()
    ramp = min(len(cut) // 4, hop)
    cut[:ramp] *= np.linspace(0, 1, ramp)
    cut[len(cut) - ramp :] *= np.linspace(1, 0, ramp)
    return cut


class Talkers:
    """Draws stretches of speech of one speaker, with pauses."""

    def __init__(self, reader: Reader, recordings: list[Recording]) -> None:
        self.reader = reader
        self.speakers: dict[str, list[Recording]] = {}
        for recording in recordings:
            self.speakers.setdefault(f"{recording.source}/{recording.speaker}", []).append(
                recording
            )
        # One speaker with an hour of recordings is not worth as much as many with a minute each.
        self.names = sorted(self.speakers)
        weight = np.array([len(self.speakers[n]) ** 0.75 for n in self.names])
        self.shares = weight / weight.sum()

    def one(self, rng: Random, wide: bool | None = None) -> tuple[Array, int]:
        """Return SECONDS of a talker, level 1, and the rate."""
        for _ in range(200):
            name = self.names[rng.choice(len(self.names), p=self.shares)]
            files = self.speakers[name]
            as_asked = wide is None or files[0].wide == wide
            if as_asked and self.reader.clean(files[0], NARROW_RATE_HZ) is not None:
                break
        rate = 48000 if files[0].wide and wide is not False else 16000
        frames = SECONDS * rate
        out = np.zeros(frames, np.float32)
        speed = rng.uniform(0.85, 1.2) if rng.random() < 0.6 else 1.0
        at = int(rate * (0 if rng.random() < 0.2 else rng.uniform(0.0, 1.5)))
        tries = 0
        while at < frames - rate // 3 and tries < 30:
            tries += 1
            x = self.reader.clean(files[rng.integers(len(files))], rate)
            if x is None or len(x) < rate:
                continue
            length = int(rng.uniform(0.6, 5.0) * rate)
            start = int(rng.integers(0, max(1, len(x) - length)))
            x = x[start : start + length]
            if np.max(np.abs(x)) < 1e-4:
                continue
            x = _trimmed(x, rate)
            if speed != 1.0:
                x = soxr.resample(x, rate * speed, rate)
            if len(x) < rate // 5:
                continue
            piece_db = active_db(frame_db(x, rate)) - rng.normal(0, 2)
            x = x * ratio(-piece_db)
            x = x[: frames - at]
            out[at : at + len(x)] += x
            at += len(x) + int(rng.uniform(0.05, 1.0) * rate)
        return out, rate

    def babble(self, rng: Random, wide: bool) -> tuple[Array, int]:
        """Return several talkers at once, each at his distance, or one in the distance."""
        count = 1 if rng.random() < 0.12 else int(rng.integers(2, 15))
        mixed: Array | None = None
        wide = wide and any(files[0].wide for files in self.speakers.values())
        rate = 48000 if wide else 16000
        for _ in range(count):
            voice, _ = self.one(rng, wide)
            voice = voice * ratio(rng.uniform(-9, 0))
            mixed = voice if mixed is None else mixed + voice
        assert mixed is not None
        return sounds.convolved(
            mixed, sounds.room(rng, rng.uniform(0.3, 1.0), rng.uniform(-8, 4), rate)[0]
        ), rate


def _codec(rng: Random, x: Array, rate: int) -> Array:
    """Return `x` after a lossy codec, aligned; unchanged where that cannot be done."""
    kind = rng.choice(["OPUS", "VORBIS", "MP3", "ULAW", "GSM610"])
    try:
        held = io.BytesIO()
        if kind in ("ULAW", "GSM610"):
            narrow = soxr.resample(x, rate, 8000)
            soundfile.write(held, np.clip(narrow, -1, 1), 8000, format="WAV", subtype=str(kind))
        elif kind == "MP3":
            soundfile.write(held, np.clip(x, -1, 1), rate, format="MP3", compression_level=0.9)
        else:
            level = rng.uniform(0.5, 0.98)
            soundfile.write(
                held,
                np.clip(x, -1, 1),
                rate,
                format="OGG",
                subtype=str(kind),
                compression_level=level,
            )
        held.seek(0)
        y, found = soundfile.read(held, dtype="float32")
    except (soundfile.LibsndfileError, RuntimeError, ValueError):
        return x
    if found != rate:
        y = soxr.resample(y, found, rate)
    n = 1 << (len(x) + len(y)).bit_length()
    likeness = np.fft.irfft(np.fft.rfft(y, n) * np.conj(np.fft.rfft(x, n)), n)
    lag = int(np.argmax(likeness))
    lag = lag if lag < n // 2 else lag - n
    y = y[lag:] if lag >= 0 else np.concatenate([np.zeros(-lag, np.float32), y])
    y = np.concatenate([y, np.zeros(max(0, len(x) - len(y)), np.float32)])[: len(x)]
    return np.asarray(y, np.float32)


def _bent(rng: Random, x: Array) -> Array:
    """Return `x` through an overdriven microphone amplifier."""
    rail = ratio(rng.uniform(2, 12))
    return np.asarray(
        np.clip(x, -rail, rail) if rng.random() < 0.5 else rail * np.tanh(x / rail), np.float32
    )


def share_of(recordings: list[Recording], held_out: bool) -> list[Recording]:
    """Return those held out, or the others; all of them where there are too few to hold some."""
    return [r for r in recordings if r.held_out == held_out] or recordings


class Maker:
    """Makes clips of training or of validation."""

    def __init__(self, speech: Path, noise: Path, held_out: bool) -> None:
        self.reader = Reader()
        self.talkers = Talkers(self.reader, share_of(listed(speech, noise=False), held_out))
        self.noises = share_of(listed(noise, noise=True), held_out)
        seconds = np.array([max(8.0, len(self.reader.read(r, 16000)) / 16000) for r in self.noises])
        self.noise_shares = np.sqrt(seconds) / np.sqrt(seconds).sum()
        self.held_out = held_out

    def noise(self, rng: Random, wide: bool) -> tuple[Array, int, str]:
        """Return SECONDS of noise, its rate and its kind."""
        rate = 48000 if wide else 16000
        draw = rng.random()
        if draw < 0.42:
            found = self.noises[rng.choice(len(self.noises), p=self.noise_shares)]
            rate = rate if found.wide else NARROW_RATE_HZ
            x = _changed(rng, self.reader.read(found, rate), rate)
            return x, rate, f"recorded/{found.speaker}"
        if draw < 0.56:
            x, rate = self.talkers.babble(rng, wide)
            return x, rate, "babble"
        kind = str(rng.choice(list(_MADE_UP_SHARES), p=_MADE_UP_ODDS))
        return _MADE_UP[kind](rng, SECONDS * rate, rate), rate, kind

    def speech(self, rng: Random, wide: bool | None) -> tuple[Array, Array, Array, int]:
        """Return what is heard, the target, whether somebody speaks per hop, and the rate."""
        x, rate = self.talkers.one(rng, wide)
        label = spoken(x, rate)
        heard = target = x
        if rng.random() < 0.55:
            path, early = sounds.any_room(rng, rate)
            heard, target = sounds.convolved(x, path), sounds.convolved(x, early)
        draw = rng.random()
        if draw < 0.08:
            noise, noise_rate, _ = self.noise(rng, rate == 48000)
            if noise_rate != rate:
                noise = np.zeros_like(heard)
            level = np.sqrt(np.mean(noise**2)) + 1e-9
            mixed = heard + noise / level * ratio(-rng.uniform(3, 25))
            worn = (
                _bent(rng, mixed) if rng.random() < 0.4 else _codec(rng, mixed * 0.05, rate) / 0.05
            )
            heard = worn
        return heard, target, label, rate


def _changed(rng: Random, x: Array, rate: int) -> Array:
    """Return SECONDS of a recorded noise, as another of its kind: faster, backwards, in a room."""
    frames = SECONDS * rate
    speed = sounds.log_uniform(rng, 0.65, 1.5) if rng.random() < 0.7 else 1.0
    need = int(frames * max(1.0, speed)) + rate
    while len(x) < need:
        x = _joined(x, x, rate // 20)
    start = int(rng.integers(0, len(x) - need + 1))
    x = x[start : start + need]
    if speed != 1.0:
        x = soxr.resample(x, rate * speed, rate)
    x = x[:frames]
    if rng.random() < 0.3:
        x = x[::-1].copy()
    return sounds.convolved(x, sounds.any_room(rng, rate)[0]) if rng.random() < 0.25 else x


def _joined(a: Array, b: Array, fade: int) -> Array:
    rise = np.linspace(0, 1, fade, dtype=np.float32)
    fade = min(fade, len(a) // 2)
    rise = rise[:fade]
    return np.concatenate([a[:-fade], a[-fade:] * (1 - rise) + b[:fade] * rise, b[fade:]])


def noise_level(x: Array, rate: int, kind: str) -> float:
    """Return the rms; of blows the level of their loud hops."""
    if kind in ("blows", "keyboard"):
        return ratio(float(np.percentile(frame_db(x, rate), 90)))
    return float(np.sqrt(np.mean(x**2)) + 1e-9)


class Store:
    """Clips in flat files, half precision: spectra (clips, hops, bins, 2), high-band powers."""

    def __init__(self, folder: Path, name: str, count: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / name
        shape = (count, HOPS, spectrum.BINS, 2)
        self.spectra = np.lib.format.open_memmap(
            f"{self.path}.spectra.npy", "w+", np.float16, shape
        )
        self.high = np.zeros((count, HOPS, spectrum.HIGH_BANDS), np.float32)

    def put(self, i: int, x: Array, rate: int) -> None:
        """Keep one clip."""
        spectra = spectrum.analyse(x, rate)[:HOPS]
        low = spectra[:, : spectrum.BINS]
        self.spectra[i, :, :, 0], self.spectra[i, :, :, 1] = low.real, low.imag
        self.high[i] = spectrum.high_powers(spectra, rate)

    def close(self, **more: Any) -> None:
        """Write what is left."""
        self.spectra.flush()
        np.savez(f"{self.path}.npz", high=self.high, **more)


def make_speech(maker: Maker, rng: Random, folder: Path, part: int, count: int) -> None:
    """Make one part of the speech."""
    heard, target = Store(folder, f"heard{part}", count), Store(folder, f"target{part}", count)
    label, wide = np.zeros((count, HOPS), np.uint8), np.zeros(count, bool)
    for i in range(count):
        wait_while_paused()
        x, aim, speaks, rate = maker.speech(rng, None)
        level = ratio(active_db(frame_db(aim, rate)) if np.any(aim) else 0.0)
        heard.put(i, x / level, rate)
        target.put(i, aim / level, rate)
        label[i, : len(speaks)] = speaks[:HOPS]
        wide[i] = rate == WIDE_RATE_HZ
        _say(i, count, "speech")
    target.close()
    heard.close(label=label, wide=wide)


def make_noise(maker: Maker, rng: Random, folder: Path, part: int, count: int) -> None:
    """Make one part of the noise."""
    noise = Store(folder, f"noise{part}", count)
    wide, kinds = np.zeros(count, bool), []
    for i in range(count):
        wait_while_paused()
        x, rate, kind = maker.noise(rng, bool(rng.random() < 0.5))
        noise.put(i, x / noise_level(x, rate, kind), rate)
        wide[i] = rate == WIDE_RATE_HZ
        kinds.append(kind)
        _say(i, count, "noise")
    noise.close(wide=wide, kinds=np.array(kinds))


def _say(i: int, count: int, what: str) -> None:
    if i % 100 == 99:
        print(f"{i + 1} of {count} clips of {what}", flush=True)


def make(options: argparse.Namespace) -> None:
    """Make one part of the material."""
    folder = options.out / ("valid" if options.held_out else "train")
    maker = Maker(options.speech, options.noise, options.held_out)
    count = round(options.hours * 3600 / SECONDS)
    for kind, make_part in enumerate((make_speech, make_noise)):
        if options.only in (None, ("speech", "noise")[kind]):
            rng = np.random.default_rng([options.seed, options.part, options.held_out, kind])
            make_part(maker, rng, folder, options.part, count)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--noise", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=1.0, help="of speech, and as much noise")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", type=int, default=0, help="number of the part: another draw")
    parser.add_argument("--only", choices=("speech", "noise"), help="make no part of the other")
    parser.add_argument("--held-out", action="store_true", help="the speakers and kinds kept back")
    make(parser.parse_args())


if __name__ == "__main__":
    main()

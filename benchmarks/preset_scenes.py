"""What each preset does in the room it is for, and what the others do there.

``python -m benchmarks.preset_scenes`` runs the golden scene of every preset with several seeds
(voices, rooms, noise, music) and prints what is judged, the bar, and what was got: median and
worst. ``--cross`` runs every scene through every preset and prints how far each stays behind the
bars, so it shows whether a preset is the best in its own room. ``--speech DIR --noise DIR`` brings
recordings: of speech, every folder is one talker; noise lies in folders named ``stationary``,
``street``, ``wind``, ``babble``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import audio_engine as ae
from audio_engine.config import AgcConfig
from audio_engine.preset_files import preset_names
from benchmarks.echo_scene import LOST_TILE_DB, tile_gains_db
from benchmarks.golden_scenes import PRODUCTS, SCENES, Material, Scene, Signal, Take
from benchmarks.music_guard import level_steps_db, si_sdr_db

Record = dict[str, Any]
Figures = dict[str, float]

BLOCK_S = 0.01
SHARE_DB = 10.0  # a part stands alone where it is so much stronger than all others together
STEADY = {"noise", "traffic", "wind"}
PAUSE_BLOCKS = 20
BODY_BAND_HZ = (90.0, 300.0)
SPEECH_BAND_HZ = (300.0, 4000.0)


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must reach: at least `limit`, or at most; `step`: a miss that is heard."""

    limit: float
    unit: str
    step: float
    at_most: bool = False

    def missed_by(self, value: float) -> float:
        """Return by how many steps a value stays behind, 0 or more."""
        behind = value - self.limit if self.at_most else self.limit - value
        return max(0.0, behind / self.step) if np.isfinite(value) else 10.0

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.limit:g} {self.unit}"


def outputs(scene: Scene, config: ae.EngineConfig) -> list[Signal]:
    """Return what the chain makes of every microphone, aligned with it."""
    found = []
    for take in scene.takes:
        mic = take.mic
        config = replace(
            config,
            sample_rate_hz=scene.rate_hz,
            channels=1 if mic.ndim == 1 else mic.shape[1],
            far_channels=1,
        )
        out = ae.enhance(mic, sample_rate_hz=scene.rate_hz, far_end=take.far, config=config)
        found.append(out.astype(np.float64))
    return found


def powers(signal: Signal, rate_hz: int) -> Signal:
    """Return the mean power of every 10 ms, of all channels together."""
    size = round(BLOCK_S * rate_hz)
    mono = np.square(signal) if signal.ndim == 1 else np.mean(np.square(signal), axis=1)
    return np.asarray(mono[: len(mono) // size * size].reshape(-1, size).mean(axis=1))


def _blocks(frames: NDArray[np.bool_], rate_hz: int) -> NDArray[np.bool_]:
    size = round(BLOCK_S * rate_hz)
    return frames[: len(frames) // size * size : size]


def gain_db(
    scene: Scene, take: Take, out: Signal, parts: tuple[str, ...], span: str = "settled"
) -> float:
    """Return the gain that parts got, by the blocks in which they stand alone.

    Steady noise is judged in pauses of more than 0.2 s: in shorter ones the voice masks it.
    """
    wanted = sum(powers(take.parts[name], scene.rate_hz) for name in parts)
    others = [powers(p, scene.rate_hz) for name, p in take.parts.items() if name not in parts]
    rest = np.sum(others, axis=0)
    alone = (wanted > 10.0 ** (SHARE_DB / 10.0) * rest) & (wanted > 1e-4 * np.max(wanted))
    if set(parts) <= STEADY:
        alone = np.convolve(alone, np.ones(PAUSE_BLOCKS + 1))[: len(alone)] > PAUSE_BLOCKS
    alone &= _blocks(scene.frames(span), scene.rate_hz)
    before, after = powers(take.mic, scene.rate_hz)[alone], powers(out, scene.rate_hz)[alone]
    return float(10.0 * np.log10(np.sum(after) / np.sum(before))) if alone.any() else float("nan")


def band(signal: Signal, rate_hz: int, limits_hz: tuple[float, float] = SPEECH_BAND_HZ) -> Signal:
    """Return what lies between two frequencies."""
    spectrum = np.fft.rfft(signal)
    hz = np.fft.rfftfreq(len(signal), 1.0 / rate_hz)
    spectrum[(hz < limits_hz[0]) | (hz > limits_hz[1])] = 0.0
    return np.asarray(np.fft.irfft(spectrum, len(signal)))


def loudness_error_lu(scene: Scene, out: Signal, span: str = "settled") -> float:
    """Return how far the integrated loudness of a span is off the target of speech."""
    return abs(lufs(scene, out, span) - AgcConfig().target_lufs)


def lufs(scene: Scene, out: Signal, span: str) -> float:
    """Return the integrated loudness of a span."""
    stats = ae.measure_loudness(out[scene.frames(span)], scene.rate_hz)
    return float(stats.integrated_lufs)


def voice_figures(scene: Scene, take: Take, out: Signal, span: str) -> Figures:
    """Return how much of the voice is lost, and how far the rest is from it.

    In tiles of 96 ms and four bands, those in which the voice is stronger than all else: lost is
    what lies 10 dB under the voice's own gain; the distance is how far the tiles' gains lie around
    it, in the mean. A tile's gain is that of the projection of the output on the voice.
    """
    frames = scene.frames(span)
    voice = take.parts["voice"][frames]
    gains = tile_gains_db(voice, out[frames], scene.rate_hz, take.mic[frames] - voice)
    gains -= np.median(gains)
    return {
        "voice lost": 100.0 * float(np.mean(gains < LOST_TILE_DB)),
        "voice distance": float(np.mean(np.abs(gains))),
    }


# --- what each scene is judged by -------------------------------------------------------------


def judge_solo(scene: Scene, outs: list[Signal]) -> Figures:
    """Judge noise and keys down, the voice kept, its loudness met."""
    (take,), (out,) = scene.takes, outs
    voice = gain_db(scene, take, out, ("voice",))
    low, high = (
        gain_db(scene, Take(parts), band(out, scene.rate_hz, hz), ("voice",))
        for hz in (BODY_BAND_HZ, SPEECH_BAND_HZ)
        if (parts := {name: band(x, scene.rate_hz, hz) for name, x in take.parts.items()})
    )
    return {
        "noise down": voice - gain_db(scene, take, out, ("noise",)),
        "voice's body": low - high,
        "keys down": voice - gain_db(scene, take, out, ("keys",), "learnt"),
        **voice_figures(scene, take, out, "settled"),
        "loudness off": loudness_error_lu(scene, out),
    }


def judge_cohost(scene: Scene, outs: list[Signal]) -> Figures:
    """Judge echo far under the voice, double talk kept, both hosts at one loudness."""
    names = ("a", "b")
    under, kept = [], []
    for name, other, take, out in zip(names, names[::-1], scene.takes, outs, strict=True):
        echo = powers(take.parts["echo"], scene.rate_hz)
        loud = (echo > 1e-2 * echo.max()) & _blocks(scene.frames(other), scene.rate_hz)
        voice = powers(take.parts["voice"], scene.rate_hz)
        spoken = (voice > 1e-2 * voice.max()) & _blocks(scene.frames(name), scene.rate_hz)
        after = powers(out, scene.rate_hz)
        under.append(10.0 * np.log10(np.mean(after[spoken]) / (np.mean(after[loud]) + 1e-12)))
        gains = [
            tile_gains_db(
                take.parts["voice"][scene.frames(span)], out[scene.frames(span)], scene.rate_hz
            )
            for span in ("both", name)
        ]
        kept.append(float(np.median(gains[0]) - np.median(gains[1])))
    loudness = [lufs(scene, out, name) for name, out in zip(names, outs, strict=True)]
    return {
        "echo under voice": float(min(under)),
        "double talk kept": min(kept),
        "hosts apart": abs(loudness[0] - loudness[1]),
        "loudness off": max(abs(x - AgcConfig().target_lufs) for x in loudness),
    }


def judge_pk(scene: Scene, outs: list[Signal]) -> Figures:
    """Judge two teams at one loudness, cheering and music kept, no echo, no peak over the top."""
    loudness, peaks, cheers, claps, music, echo = [], [], [], [], [], []
    for name, other, take, out in zip("ab", "ba", scene.takes, outs, strict=True):
        loudness.append(lufs(scene, out, name))
        peaks.append(ae.measure_loudness(out, scene.rate_hz).true_peak_dbtp)
        voice = gain_db(scene, take, out, ("voice",))
        cheers.append(gain_db(scene, take, out, ("cheer",)) - voice)
        claps.append(gain_db(scene, take, out, ("claps",)) - voice)
        music.append(gain_db(scene, take, out, ("music",)) - voice)
        echo.append(voice - gain_db(scene, take, out, ("echo",), other))
    return {
        "teams apart": abs(loudness[0] - loudness[1]),
        "true peak": max(peaks),
        "cheering kept": min(cheers),
        "claps kept": min(claps),
        "music kept": min(music),
        "echo down": min(echo),
    }


def judge_music(scene: Scene, outs: list[Signal]) -> Figures:
    """Judge the performance by how it was: waveform, stereo picture, level, quiet detail."""
    (take,), (out,) = scene.takes, outs
    music, quiet = scene.frames("music"), scene.frames("quiet")
    mic, rate_hz = take.mic, scene.rate_hz
    level_db, phase_deg = stereo_errors(mic[music], out[music], rate_hz)
    steps = [level_steps_db(mic[music][:, c], out[music][:, c], rate_hz)[1] for c in range(2)]
    gains = [
        10.0 * np.log10(np.sum(out[span] ** 2) / np.sum(mic[span] ** 2)) for span in (music, quiet)
    ]
    return {
        "music SI-SDR": min(si_sdr_db(mic[music][:, c], out[music][:, c]) for c in range(2)),
        "quiet SI-SDR": si_sdr_db(mic[quiet].ravel(), out[quiet].ravel()),
        "channels' level off": level_db,
        "channels' phase off": phase_deg,
        "level step": max(steps),
        "quiet detail off": abs(float(gains[1] - gains[0])),
    }


def stereo_errors(before: Signal, after: Signal, rate_hz: int) -> tuple[float, float]:
    """Return how far level and phase between the channels moved: 95th percentile of bands in time.

    Tiles of 85 ms in thirds of an octave from 100 Hz to 8 kHz, those within 40 dB of the loudest.
    """
    size = 4096
    window = np.hanning(size)[:, np.newaxis]
    edges = 100.0 * 2.0 ** (np.arange(20) / 3.0)
    bins = np.rint(edges * size / rate_hz).astype(int)
    tiles: list[list[Any]] = [[], []]
    for start in range(0, len(before) - size, size):
        for kept, signal in zip(tiles, (before, after), strict=True):
            spectrum = np.fft.rfft(signal[start : start + size] * window, axis=0)
            left = np.add.reduceat(np.abs(spectrum[:, 0]) ** 2, bins)[:-1]
            right = np.add.reduceat(np.abs(spectrum[:, 1]) ** 2, bins)[:-1]
            cross = np.add.reduceat(spectrum[:, 0] * np.conj(spectrum[:, 1]), bins)[:-1]
            kept.append((left, right, cross))
    (l0, r0, c0), (l1, r1, c1) = (
        (np.array([tile[i] for tile in kept]) for i in range(3)) for kept in tiles
    )
    heard = np.minimum(np.abs(l0), np.abs(r0)) > 1e-4 * np.max(np.abs(l0 + r0))
    level_db = np.abs(10.0 * np.log10(np.abs(l1 * r0) / np.abs(r1 * l0)))[heard]
    phase_deg = np.degrees(np.abs(np.angle(c1 * np.conj(c0))))[heard]
    return float(np.percentile(level_db, 95)), float(np.percentile(phase_deg, 95))


def judge_outdoor(scene: Scene, outs: list[Signal]) -> Figures:
    """Judge the road and the wind down, the voice kept."""
    (take,), (out,) = scene.takes, outs
    rate_hz = scene.rate_hz
    parts = {name: band(part, rate_hz) for name, part in take.parts.items()}
    heard, speech = Take(parts), band(out, rate_hz)
    voice = gain_db(scene, heard, speech, ("voice",))
    return {
        "road and wind down": gain_db(scene, take, out, ("voice",))
        - gain_db(scene, take, out, ("traffic", "wind")),
        "same, 0.3 to 4 kHz": voice - gain_db(scene, heard, speech, ("traffic", "wind")),
        **voice_figures(scene, take, out, "settled"),
        "loudness off": loudness_error_lu(scene, out),
    }


def judge_product(scene: Scene, outs: list[Signal]) -> Figures:
    """Judge every sound of the product as loud beside the voice as before, steady noise down."""
    (take,), (out,) = scene.takes, outs
    voice = gain_db(scene, take, out, ("voice",))
    moved = {f"{kind} moved": abs(gain_db(scene, take, out, (kind,)) - voice) for kind in PRODUCTS}
    return {
        **moved,
        "noise down": voice - gain_db(scene, take, out, ("noise",), "pause"),
        "voice lost": voice_figures(scene, take, out, "settled")["voice lost"],
        "loudness off": loudness_error_lu(scene, out, "spoken"),
    }


def judge_many(scene: Scene, outs: list[Signal]) -> Figures:
    """Judge ten microphones as one: their noise far under the talker, who is alone in the mix."""
    after = [powers(out, scene.rate_hz) for out in outs]
    mix = np.sum(outs, axis=0)
    silent = _blocks(scene.frames("nobody"), scene.rate_hz)
    spoken_db, found, losses, loudness = [], [], [], []
    for name in (name for name in scene.spans if name != "nobody"):
        place, turn = int(name), _blocks(scene.frames(name), scene.rate_hz)
        voice = powers(scene.takes[place].parts["voice"], scene.rate_hz)
        spoken = turn & (voice > 1e-2 * voice.max())
        others = np.sum([p for other, p in enumerate(after) if other != place], axis=0)
        found.append(np.mean(after[place][spoken] > 10.0 * others[spoken]))
        spoken_db.append(10.0 * np.log10(np.mean(powers(mix, scene.rate_hz)[spoken])))
        losses.append(voice_figures(scene, scene.takes[place], outs[place], name)["voice lost"])
        loudness.append(lufs(scene, mix, name))
    floor_db = 10.0 * np.log10(np.mean(powers(mix, scene.rate_hz)[silent]) + 1e-12)
    return {
        "noise under talker": min(spoken_db) - floor_db,
        "talker alone": 100.0 * float(min(found)),
        "voice lost": max(losses),
        "talkers apart": max(loudness) - min(loudness),
    }


JUDGES: dict[str, Callable[[Scene, list[Signal]], Figures]] = {
    "solo-host": judge_solo,
    "cohost": judge_cohost,
    "pk": judge_pk,
    "music-asmr": judge_music,
    "outdoor": judge_outdoor,
    "product-demo": judge_product,
    "many": judge_many,
}
BARS: dict[str, dict[str, Bar]] = {
    "solo-host": {
        "noise down": Bar(15.0, "dB", 3.0),
        "keys down": Bar(15.0, "dB", 3.0),
        "voice's body": Bar(-1.0, "dB", 1.0),
        "voice lost": Bar(5.0, "%", 5.0, at_most=True),
        "voice distance": Bar(3.0, "dB", 1.0, at_most=True),
        "loudness off": Bar(1.0, "LU", 1.0, at_most=True),
    },
    "cohost": {
        "echo under voice": Bar(40.0, "dB", 3.0),
        "double talk kept": Bar(-3.0, "dB", 1.0),
        "hosts apart": Bar(1.0, "LU", 1.0, at_most=True),
        "loudness off": Bar(1.0, "LU", 1.0, at_most=True),
    },
    "pk": {
        "teams apart": Bar(1.0, "LU", 1.0, at_most=True),
        "true peak": Bar(-1.0, "dBTP", 0.5, at_most=True),
        "cheering kept": Bar(-6.0, "dB", 3.0),
        "claps kept": Bar(-6.0, "dB", 3.0),
        "music kept": Bar(-3.0, "dB", 3.0),
        "echo down": Bar(20.0, "dB", 3.0),
    },
    "music-asmr": {
        "music SI-SDR": Bar(25.0, "dB", 3.0),
        "quiet SI-SDR": Bar(15.0, "dB", 3.0),
        "channels' level off": Bar(0.5, "dB", 0.5, at_most=True),
        "channels' phase off": Bar(3.0, "deg", 3.0, at_most=True),
        "level step": Bar(1.0, "dB", 1.0, at_most=True),
        "quiet detail off": Bar(1.0, "dB", 1.0, at_most=True),
    },
    "outdoor": {
        "road and wind down": Bar(20.0, "dB", 3.0),
        "same, 0.3 to 4 kHz": Bar(15.0, "dB", 3.0),
        "voice lost": Bar(10.0, "%", 5.0, at_most=True),
        "voice distance": Bar(3.0, "dB", 1.0, at_most=True),
        "loudness off": Bar(1.0, "LU", 1.0, at_most=True),
    },
    "product-demo": {
        **{f"{kind} moved": Bar(5.0, "dB", 2.0, at_most=True) for kind in PRODUCTS},
        "pan moved": Bar(10.0, "dB", 2.0, at_most=True),  # nothing tells its hiss from a fan's
        "noise down": Bar(8.0, "dB", 3.0),
        "voice lost": Bar(5.0, "%", 5.0, at_most=True),
        "loudness off": Bar(1.5, "LU", 1.0, at_most=True),
    },
    "many": {
        "noise under talker": Bar(30.0, "dB", 3.0),
        "talker alone": Bar(90.0, "%", 5.0),
        "voice lost": Bar(5.0, "%", 5.0, at_most=True),
        "talkers apart": Bar(1.5, "LU", 1.0, at_most=True),
    },
}


def judge(name: str, config: ae.EngineConfig, material: Material, seed: int) -> Figures:
    """Return what a configuration gets in a golden scene."""
    scene = SCENES[name](material, seed)
    return JUDGES[name](scene, outputs(scene, config))


def behind(name: str, figures: Mapping[str, float]) -> float:
    """Return how far figures stay behind the bars of a scene, in steps that are heard."""
    return sum(bar.missed_by(figures[judged]) for judged, bar in BARS[name].items())


def table(found: Mapping[str, list[Figures]]) -> Iterator[Record]:
    """Yield a record for each figure of each scene: bar, median and worst."""
    for name, runs in found.items():
        for judged, bar in BARS[name].items():
            values = [run[judged] for run in runs]
            yield {
                "preset": name,
                "judged": judged,
                "bar": str(bar),
                "median": round(float(np.median(values)), 1),
                "worst": round(float(max(values) if bar.at_most else min(values)), 1),
                "met": sum(bar.missed_by(value) == 0.0 for value in values),
                "runs": len(values),
            }


def _print_table(records: Iterator[Record], as_json: bool) -> bool:
    all_met = True
    if not as_json:
        print("| preset | what is judged | bar | median | worst | met |")
        print("| --- | --- | --- | --- | --- | --- |")
    for r in records:
        all_met &= r["met"] == r["runs"]
        cells = (r["preset"], r["judged"], r["bar"], r["median"], r["worst"])
        text = " | ".join(map(str, cells))
        print(json.dumps(r) if as_json else f"| {text} | {r['met']} of {r['runs']} |", flush=True)
    return all_met


def _print_cross(material: Material, seeds: range, as_json: bool) -> None:
    names = preset_names()
    if not as_json:
        print(f"| scene | {' | '.join(names)} |\n| --- |{' --- |' * len(names)}")
    for scene_name in SCENES:
        scores = dict.fromkeys(names, 0.0)
        for seed in seeds:
            scene = SCENES[scene_name](material, seed)
            for name in names:
                figures = JUDGES[scene_name](scene, outputs(scene, ae.EngineConfig.preset(name)))
                scores[name] += behind(scene_name, figures) / len(seeds)
        if as_json:
            print(json.dumps({"scene": scene_name, "behind": scores}))
        else:
            cells = (f"{scores[name]:.1f}" for name in names)
            print(f"| {scene_name} | {' | '.join(cells)} |", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Print a table; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="how many of each scene")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", choices=list(SCENES), help="one scene")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--cross", action="store_true", help="every scene with every preset")
    parser.add_argument("--speech", type=Path, help="folder of voices, a folder each")
    parser.add_argument("--noise", type=Path, help="folder of noise")
    parser.add_argument("--json", action="store_true", help="one JSON line per record")
    options = parser.parse_args(arguments)
    material = Material(options.speech, options.noise)
    seeds = range(options.first, options.first + options.seeds)
    if options.cross:
        _print_cross(material, seeds, options.json)
        return 0
    changes = dict(text.split("=", 1) for text in options.set)
    found = {
        name: [
            judge(name, ae.EngineConfig.preset(name).with_settings(changes), material, seed)
            for seed in seeds
        ]
        for name in ([options.only] if options.only else SCENES)
    }
    return 0 if _print_table(table(found), options.json) else 1


if __name__ == "__main__":
    raise SystemExit(main())

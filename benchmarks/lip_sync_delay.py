"""The lip-sync delay: what it costs, how clean it slides, how soon and how safely it jumps.

``python -m benchmarks.lip_sync_delay`` prints one JSON line per case, the last for the two voices
of the demo; with ``TALK.wav...`` it takes these recordings of talkers instead. Talk goes through
the preset ``solo-host``. ``AUDIO_ENGINE_KERNELS=baseline`` picks the kernel build.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_engine import Engine, EngineConfig, kernel_build, resample

Record = dict[str, Any]
Audio = NDArray[np.float32]

RATE_HZ = 48000
BLOCK = RATE_HZ // 100
STAGE_FRAMES = 32  # latency of the stage
GOAL_SHARE = 0.005
GOAL_THD_DB = -100.0
MOVES_MS = ((0.0, 200.0), (200.0, 0.0), (0.0, 2000.0))
_OFF = {
    f"{name}.enabled": "false" for name in ("highpass", "echo", "ns", "agc", "limiter", "meter")
}


def delay_engine(delay_ms: float, *, alone: bool = False) -> Engine:
    """Return an engine with a lip-sync delay, and with no other stage if that is to be alone."""
    config = EngineConfig.preset("solo-host", sample_rate_hz=RATE_HZ).with_settings(
        {"echo.enabled": "false", "lip_sync.enabled": "true", "lip_sync.delay_ms": repr(delay_ms)}
        | (_OFF if alone else {})
    )
    return Engine(config)


def cost(seconds: float, runs: int) -> Iterator[Record]:
    """Yield the CPU time of the stage at rest and sliding, beside a chain of nothing."""
    tone = (0.5 * np.sin(np.arange(round(seconds * RATE_HZ)) * 0.1)).astype(np.float32)
    taken = {}
    for name, target_ms in (("at_rest", 0.0), ("sliding", 2000.0)):
        best = math.inf
        for _ in range(runs):
            with delay_engine(0.0, alone=True) as engine:
                engine.process(tone[:RATE_HZ])
                engine.set("lip_sync.delay_ms", target_ms)
                begin = time.thread_time()
                engine.process(tone)
                best = min(best, time.thread_time() - begin)
        taken[name] = best / seconds
    for name, share in taken.items():
        yield {"case": f"lip_sync_delay_{name}", "share_of_core": round(share, 6)} | {
            "goal_share": GOAL_SHARE,
            "rate_hz": RATE_HZ,
            "runs": runs,
            "build": kernel_build(),
        }


def purity(frequency_hz: float) -> Record:
    """Return distortion and noise of a sine while the delay grows by 5 ms per second."""
    frames = np.arange(4 * RATE_HZ)
    with delay_engine(0.0, alone=True) as engine:
        sine = (0.5 * np.sin(2 * np.pi * frequency_hz * frames / RATE_HZ)).astype(np.float32)
        engine.process(sine[:RATE_HZ])
        engine.set("lip_sync.delay_ms", 2000.0)
        heard = engine.process(sine[RATE_HZ:])[RATE_HZ : 2 * RATE_HZ].astype(np.float64)
    phase = 2 * np.pi * 0.995 * frequency_hz * np.arange(len(heard)) / RATE_HZ
    basis = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    rest = heard - basis @ np.linalg.lstsq(basis, heard, rcond=None)[0]
    thd_db = 10 * math.log10(float(np.mean(rest**2) / np.mean(heard**2)))
    missed = [f"{thd_db:.1f} dB, {GOAL_THD_DB:g} wanted"] if thd_db > GOAL_THD_DB else []
    return {
        "case": f"lip_sync_delay_{frequency_hz:g}_hz",
        "thd_n_db": round(thd_db, 1),
        "missed": missed,
        "build": kernel_build(),
    }


def moves(name: str, talk: Audio) -> Record:
    """Return how many seconds each change of the delay takes on a talker, from the fourth on."""
    seconds: list[float | None] = []
    for from_ms, to_ms in MOVES_MS:
        with delay_engine(from_ms) as engine:
            engine.process(talk[: 4 * RATE_HZ])
            engine.set("lip_sync.delay_ms", to_ms)
            arrival = None
            for at in range(4 * RATE_HZ, len(talk) - BLOCK, BLOCK):
                engine.process(talk[at : at + BLOCK])
                stats = engine.stats().lip_sync
                assert stats is not None
                if not stats.moving:
                    arrival = at / RATE_HZ - 4.0
                    break
        seconds.append(None if arrival is None else round(arrival, 2))
    return {
        "case": f"lip_sync_delay_moves_{name}",
        "moves_ms": [list(move) for move in MOVES_MS],
        "seconds": seconds,
        "build": kernel_build(),
    }


def safety(name: str, talk: Audio, seed: int = 1) -> Record:
    """Return what random changes every three seconds leave out of a talker, or say twice.

    The energy of what is heard over that of what was said, and the loudest 10 ms that a jump left
    out or played again, under the mean level.
    """
    talk = talk.copy()
    talk[-3 * RATE_HZ :] = 0.0  # all is heard out
    rng = np.random.default_rng(seed)
    heard, said, delays_ms, jump_count = [], [], [], 0
    with delay_engine(0.0) as engine:
        for block in range(len(talk) // BLOCK):
            rest = len(talk) // BLOCK - block
            if block % 300 == 0:
                wanted_ms = float(rng.uniform(0.0, 1000.0)) if rest > 600 else 0.0
                engine.set("lip_sync.delay_ms", wanted_ms)
            heard.append(engine.process(talk[block * BLOCK : (block + 1) * BLOCK]))
            said.append(engine.undelayed.copy())
            stats = engine.stats().lip_sync
            assert stats is not None
            delays_ms.append(stats.delay_ms)
            jump_count = stats.jump_count
    before = np.concatenate(said).astype(np.float64)
    energy = float(np.sum(np.concatenate(heard).astype(np.float64) ** 2) / np.sum(before**2))
    mean = float(np.mean(before[before != 0.0] ** 2))
    loudest = [_loudest(before, at, delays_ms) for at in range(1, len(delays_ms))]
    jumps = [each for each in loudest if each is not None]
    return {
        "case": f"lip_sync_delay_safety_{name}",
        "jumps": jump_count,
        "energy_db": round(10 * math.log10(energy), 4),
        "loudest_moved_db": round(10 * math.log10((max(jumps, default=0.0) + 1e-12) / mean), 1),
        "build": kernel_build(),
    }


def _loudest(before: NDArray[np.float64], at: int, delays_ms: list[float]) -> float | None:
    """Return the largest power over 10 ms of what a jump in a block left out or repeated."""
    then_ms, now_ms = delays_ms[at - 1], delays_ms[at]
    if abs(now_ms - then_ms) < 1.0:
        return None
    ends = [at * BLOCK - STAGE_FRAMES - round(ms * RATE_HZ / 1000) for ms in (then_ms, now_ms)]
    stretch = before[max(min(ends), 0) : max(max(ends) + BLOCK, 0)]
    blocks = stretch[: len(stretch) // BLOCK * BLOCK].reshape(-1, BLOCK)
    return float(np.max(np.mean(blocks**2, axis=1), initial=0.0))


def demo_voices(seconds: float) -> Iterator[tuple[str, Audio]]:
    """Yield the demo's two voices, repeated to a length."""
    folder = resources.files("audio_engine") / "demo_data"
    for name in ("host", "guest"):
        with resources.as_file(folder / f"{name}.flac") as path:
            yield name, talk_of(path, seconds)


def talk_of(path: Path, seconds: float) -> Audio:
    """Return a recording as mono at 48 kHz, repeated to a length."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    talk = resample(samples.mean(axis=1), rate_hz, RATE_HZ)
    return np.resize(talk, round(seconds * RATE_HZ)).astype(np.float32)


def row(record: Record) -> str:
    """Return a record as a line of the table."""
    name = f"{record['case']:<34} {record['build']:<10}"
    if "thd_n_db" in record:
        return f"{name} {record['thd_n_db']:8.1f} dB THD+N while it slides"
    if "seconds" in record:
        times = ", ".join("-" if each is None else f"{each:.1f} s" for each in record["seconds"])
        ways = ", ".join(f"{a:g} to {b:g}" for a, b in record["moves_ms"])
        return f"{name} {ways} ms: {times}"
    if "jumps" in record:
        return (
            f"{name} {record['jumps']:3d} jumps, energy {record['energy_db']:+.3f} dB, "
            f"loudest 10 ms left out or repeated {record['loudest_moved_db']:.0f} dB"
        )
    return f"{name} {record['share_of_core']:8.3%} of a core"


def main(arguments: list[str] | None = None) -> int:
    """Print every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="recordings of talkers")
    parser.add_argument("--runs", type=int, default=20, help="best of this many")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="of a tone, and twice of a talk"
    )
    options = parser.parse_args(arguments)
    length_s = 2.0 * options.seconds
    files = [(path.stem, talk_of(path, length_s)) for path in options.files]
    if not files:
        for record in (*cost(options.seconds, options.runs), *map(purity, (1e3, 3e3, 1e4))):
            print(json.dumps(record), flush=True)
    for name, talk in files or demo_voices(length_s):
        print(json.dumps(moves(name, talk)), flush=True)
        print(json.dumps(safety(name, talk)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

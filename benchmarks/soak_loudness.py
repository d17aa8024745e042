"""A day of live room through leveller, limiter and meter, faster than real time.

``python -m benchmarks.soak_loudness`` makes a programme from a seed: ten talkers from a whisper to
a shout, pauses up to ten minutes, noise that comes and goes, digital silence. Every hour begins
with the same passage, sample for sample, after the same loud voice, so what differs between the
first and the last of them is the age of the chain. The chain's own meter, a histogram, is compared
with one that keeps all blocks. Exit status 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine import Engine, EngineConfig, LoudnessMeter, kernel_build
from benchmarks.echo_scene import SPEEDS_PERCENT, Signal, Talker, voice

Record = dict[str, Any]

HOUR_S = 3600.0
PIECE_S = 10.0  # what is made and processed at a time
LOUD_S, SETTLE_S, PASSAGE_S = 30.0, 60.0, 60.0  # the head of every hour; the last part is compared
LOUD_DBFS, PASSAGE_DBFS, PASSAGE_NOISE_DBFS = -14.0, -34.0, -75.0
TALK_DBFS = (-50.0, -10.0)
NOISE_DBFS = (-90.0, -50.0)
WARM_UP_S = 600.0  # after which memory may not grow any more

GOAL_DRIFT_DB = 0.1
GOAL_LIVE_LU = 0.01
GOAL_GROWTH_MB = 4.0


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch of programme; speech at -inf is a pause, noise at -inf digital silence."""

    talker: str
    seconds: float
    speech_dbfs: float
    noise_dbfs: float


def programme(rng: np.random.Generator, seconds: float) -> Iterator[Turn]:
    """Draw turns until the time is full: three of four are talk, the others pauses."""
    left_s = seconds
    noise_dbfs = rng.uniform(*NOISE_DBFS)
    while left_s > 0.0:
        if rng.uniform() < 0.3:
            noise_dbfs = rng.uniform(*NOISE_DBFS) if rng.uniform() < 0.8 else -np.inf
        talks = rng.uniform() < 0.75
        length_s = rng.uniform(2.0, 60.0) if talks else 2.0 * 300.0 ** rng.uniform()
        length_s = min(round(length_s, 2), left_s)
        speech_dbfs = rng.uniform(*TALK_DBFS) if talks else -np.inf
        yield Turn(str(rng.choice(["host", "guest"])), length_s, speech_dbfs, noise_dbfs)
        left_s = round(left_s - length_s, 2)


class Room:
    """Turns as signals."""

    def __init__(self, rate_hz: int, rng: np.random.Generator) -> None:
        self._rate_hz, self._rng = rate_hz, rng
        self._talkers = {name: Talker(name, rate_hz, rng) for name in ("host", "guest")}

    def pieces(self, turn: Turn) -> Iterator[Signal]:
        """Yield a turn in pieces of at most `PIECE_S`."""
        left_s = turn.seconds
        while left_s > 0.0:
            piece_s = min(PIECE_S, left_s)
            frames = round(piece_s * self._rate_hz)
            noise = self._rng.standard_normal(frames) * 10.0 ** (turn.noise_dbfs / 20.0)
            if np.isfinite(turn.speech_dbfs):
                noise += self._talkers[turn.talker].say(piece_s, turn.speech_dbfs, spread_db=1.0)
            yield np.clip(noise, -1.0, 1.0)
            left_s = round(left_s - piece_s, 2)


def head(rate_hz: int) -> list[Signal]:
    """Return the pieces that every hour begins with, always the same."""
    room = Room(rate_hz, np.random.default_rng(0))
    turns = (
        Turn("guest", LOUD_S, LOUD_DBFS, PASSAGE_NOISE_DBFS),
        Turn("host", SETTLE_S + PASSAGE_S, PASSAGE_DBFS, PASSAGE_NOISE_DBFS),
    )
    return [piece for turn in turns for piece in room.pieces(turn)]


class Soak:
    """The chain in a stream, and the exact meter behind it."""

    def __init__(self, rate_hz: int) -> None:
        default = EngineConfig(sample_rate_hz=rate_hz)
        off = {
            name: replace(getattr(default, name), enabled=False)
            for name in ("highpass", "echo", "ns")
        }
        self.engine = Engine(replace(default, **off))
        self.exact = LoudnessMeter(rate_hz, exact=True)
        # The engine gives its blocks of 10 ms out one later than its meter measures them; off by
        # 10 ms, the 400 ms blocks would be others, and their loudness by 0.003 LU.
        self._late = rate_hz // 100
        self.cpu_s = self.seconds = 0.0
        self.warm_rss_mb = self.rss_mb = 0.0
        self.non_finite = 0
        self._rate_hz = rate_hz

    def run(self, piece: Signal) -> NDArray[np.float32]:
        """Return what the chain makes of a piece."""
        mic = piece.astype(np.float32)
        start = time.process_time()
        out = self.engine.process(mic)
        self.cpu_s += time.process_time() - start
        self.exact.process(out[self._late :])
        self._late = max(self._late - len(out), 0)
        self.seconds += len(piece) / self._rate_hz
        self.non_finite += int(np.sum(~np.isfinite(out)))
        if self.seconds <= WARM_UP_S:
            self.warm_rss_mb = max(self.warm_rss_mb, rss_mb())
        else:
            self.rss_mb = max(self.rss_mb, rss_mb())
        return out

    def growth_mb(self) -> float:
        """Return how far memory grew after the warm-up, without the exact meter's blocks."""
        kept_mb = 8.0 * 10.0 * max(self.seconds - WARM_UP_S, 0.0) / 2**20
        return max(self.rss_mb - kept_mb - self.warm_rss_mb, 0.0) if self.rss_mb else 0.0


def rss_mb() -> float:
    """Return the resident memory of this process in MB; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


def measure(rate_hz: int, hours: int, seed: int, hour_s: float = HOUR_S) -> Iterator[Record]:
    """Yield one record per hour, and one for the whole at the end."""
    soak = Soak(rate_hz)
    common = {"rate_hz": rate_hz, "seed": seed, "build": kernel_build()}
    same = head(rate_hz)
    for name in ("host", "guest"):  # voices are made once: not to be taken for growth
        for speed_percent in SPEEDS_PERCENT:
            voice(name, rate_hz, speed_percent)
    compared = round(PASSAGE_S / PIECE_S)
    passages = []
    for hour in range(hours):
        before_s = soak.cpu_s
        for piece in same[:-compared]:
            soak.run(piece)
        with LoudnessMeter(rate_hz, true_peak=False, exact=True) as passage:
            for piece in same[-compared:]:
                passage.process(soak.run(piece))
            passages.append(passage.stats().integrated_lufs)
        rng = np.random.default_rng([seed, hour])
        room = Room(rate_hz, rng)
        for turn in programme(rng, hour_s - LOUD_S - SETTLE_S - PASSAGE_S):
            for piece in room.pieces(turn):
                soak.run(piece)
        stats = soak.engine.stats()
        assert stats.loudness is not None
        yield {
            "case": "soak_loudness_hour",
            "hour": hour + 1,
            "passage_lufs": round(passages[-1], 4),
            "integrated_lufs": round(stats.loudness.integrated_lufs, 4),
            "growth_mb": round(soak.growth_mb(), 1),
            "cpu_s": round(soak.cpu_s - before_s, 2),
            **common,
        }
    live, exact = soak.engine.stats().loudness, soak.exact.stats()
    assert live is not None
    whole = {
        "case": "soak_loudness",
        "hours": round(soak.seconds / HOUR_S, 2),
        "passage_first_lufs": round(passages[0], 4),
        "passage_last_lufs": round(passages[-1], 4),
        "drift_db": round(passages[-1] - passages[0], 4),
        "passage_spread_db": round(max(passages) - min(passages), 4),
        "integrated_lufs": round(exact.integrated_lufs, 4),
        "live_error_lu": round(live.integrated_lufs - exact.integrated_lufs, 6),
        "range_lu": round(exact.loudness_range_lu, 3),
        "live_range_error_lu": round(live.loudness_range_lu - exact.loudness_range_lu, 4),
        "true_peak_dbtp": round(exact.true_peak_dbtp, 3),
        "rss_mb": round(soak.rss_mb, 1),
        "growth_mb": round(soak.growth_mb(), 1),
        "non_finite": soak.non_finite,
        "cpu_s_per_hour": round(soak.cpu_s / (soak.seconds / HOUR_S), 2),
        **common,
    }
    yield {**whole, "missed": missed(whole)}


def missed(whole: Record) -> list[str]:
    """Say which goals the whole misses."""
    texts = []
    if not abs(whole["drift_db"]) <= GOAL_DRIFT_DB:
        texts.append(f"the passage's level moved by {whole['drift_db']} dB, {GOAL_DRIFT_DB} wanted")
    if not abs(whole["live_error_lu"]) <= GOAL_LIVE_LU:
        texts.append(f"live loudness is {whole['live_error_lu']} LU off, {GOAL_LIVE_LU} wanted")
    if whole["growth_mb"] > GOAL_GROWTH_MB:
        texts.append(f"memory grew by {whole['growth_mb']} MB, {GOAL_GROWTH_MB} at most wanted")
    if whole["non_finite"]:
        texts.append(f"{whole['non_finite']} samples are not finite")
    return texts


def row(record: Record) -> str:
    """Return a record as text."""
    if record["case"] == "soak_loudness_hour":
        return (
            f"hour {record['hour']:3d}  passage {record['passage_lufs']:8.3f} LUFS, all so far "
            f"{record['integrated_lufs']:8.3f} LUFS; memory +{record['growth_mb']} MB, "
            f"{record['cpu_s']} s of CPU"
        )
    lines = [
        f"{record['hours']:g} h at {record['rate_hz']} Hz, seed {record['seed']}, "
        f"{record['build']}, {record['cpu_s_per_hour']} s of CPU per hour",
        f"  the same passage         first {record['passage_first_lufs']:.3f}, last "
        f"{record['passage_last_lufs']:.3f} LUFS, drift {record['drift_db']:+.4f} dB (goal: "
        f"within {GOAL_DRIFT_DB:g} dB); spread over all hours {record['passage_spread_db']:.4f} dB",
        f"  integrated loudness      {record['integrated_lufs']:.3f} LUFS, live "
        f"{record['live_error_lu']:+.6f} LU (goal: within {GOAL_LIVE_LU:g} LU)",
        f"  loudness range           {record['range_lu']:.2f} LU, live "
        f"{record['live_range_error_lu']:+.4f} LU; true peak {record['true_peak_dbtp']:.2f} dBTP",
        f"  memory                   {record['rss_mb']:.0f} MB, +{record['growth_mb']} MB after "
        f"{WARM_UP_S / 60:.0f} min (goal: {GOAL_GROWTH_MB:g} MB)",
        f"  non-finite samples       {record['non_finite']}",
        *(f"  goal missed: {text}" for text in record["missed"]),
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print a line per hour and the whole; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--rate", type=int, default=16000, help="sample rate in Hz")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON line per record")
    options = parser.parse_args(arguments)
    failed = False
    for record in measure(options.rate, options.hours, options.seed):
        print(json.dumps(record) if options.json else row(record), flush=True)
        failed |= bool(record.get("missed"))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

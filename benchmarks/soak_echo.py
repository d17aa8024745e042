"""An hour of live room through the echo canceller, faster than real time, to see if it wears out.

``python -m benchmarks.soak_echo`` makes a programme from a seed, five minutes a round: far end
alone, both, near end alone, silence; the microphone is moved and the delay jumps. Near end, echo
and noise are known apart. The last quarter of an hour is the first one again, sample for sample, so
that what differs between them is the age of the canceller's state. Turns are compared one by one:
an energy over all of them would be that of the two or three loudest residues. Memory does not grow
with the length. Exit status 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audio_engine import EchoCanceller, kernel_build
from benchmarks.echo_scene import (
    LOST_TILE_DB,
    EchoPath,
    Signal,
    Talker,
    block_power,
    echo_blocks,
    longest_run,
    louder_blocks,
    room_response,
    tile_gains_db,
)

Record = dict[str, Any]

ROUND_S = 300.0
WARM_UP_S = 60.0  # of the first round and of its repetition, left out
REPEATED_ROUNDS = 3  # at the beginning and again at the end
FAR_DBFS = -21.0
ECHO_RETURN_DB = -5.0  # so the echo has -26 dBFS
NEAR_DBFS = -26.0
NOISE_DBFS = -71.0
FIRST_DELAY_MS = 150.0
DELAYS_MS = (20.0, 450.0)
JUMPS_MS = (30.0, 150.0)
T60_S = (0.2, 0.5)
LEAST_TURN_S = 1.0  # of what a turn's ERLE is taken from
SETTLE_S = 3.0  # of echo, after a move or a jump
RING_S = 0.06  # how long the near end is heard in the output after its turn: latency and windows

GOAL_ERLE_CHANGE_DB = 1.0
GOAL_LOUDER_MS = 200


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch of programme: who talks, for how long, and what happens before it."""

    kind: str  # far, both, near, silent
    seconds: float
    event: str = ""  # move, jump


def programme(rng: np.random.Generator, seconds: float) -> list[Turn]:
    """Draw turns from a shuffled deck; half of those with echo are cut in two by an event."""
    lengths_s = {"far": 8.0, "both": 6.0, "near": 5.0, "silent": 2.5}
    deck = ["far"] * 8 + ["both"] * 4 + ["near"] * 2 + ["silent"] * 3
    turns: list[Turn] = []
    left_s = seconds
    while left_s > 0.0:
        for kind in rng.permutation(deck):
            length_s = min(round(lengths_s[kind] * rng.uniform(0.6, 1.4), 2), left_s)
            event = str(rng.choice(["move", "jump"])) if rng.uniform() < 0.5 else ""
            if event and kind in {"far", "both"} and length_s > 2.0:
                first_s = round(length_s * rng.uniform(0.3, 0.6), 2)
                turns += [Turn(kind, first_s), Turn(kind, round(length_s - first_s, 2), event)]
            elif length_s >= 0.1:
                turns.append(Turn(kind, length_s))
            left_s = round(left_s - length_s, 2)
            if left_s <= 0.0:
                break
    return turns


@dataclass(frozen=True, slots=True)
class Piece:
    """The signals of one turn; `far` is the reference, the microphone is the sum of the rest."""

    turn: Turn
    near: Signal
    far: Signal
    echo: Signal
    noise: Signal
    settled: bool  # no move or jump in the last seconds of echo
    after_near: bool  # the near end spoke until now

    @property
    def mic(self) -> Signal:
        """What the microphone hears."""
        return self.near + self.echo + self.noise


def pieces(rate_hz: int, path: EchoPath, seed: int, seconds: float) -> Iterator[Piece]:
    """Yield a round turn by turn; it begins in a room of its own."""
    rng = np.random.default_rng(seed)
    host, guest = Talker("host", rate_hz, rng), Talker("guest", rate_hz, rng)
    gain = 10.0 ** (ECHO_RETURN_DB / 20.0)
    path.move(room_response(rate_hz, rng.uniform(*T60_S), rng))
    path.delay_ms = FIRST_DELAY_MS
    since_s, after_near = 0.0, True
    for turn in programme(rng, seconds):
        silence = np.zeros(round(turn.seconds * rate_hz))
        if turn.event == "move":
            path.move(room_response(rate_hz, rng.uniform(*T60_S), rng))
        elif turn.event == "jump":
            path.delay_ms = _jumped(path.delay_ms, rng)
        since_s = 0.0 if turn.event else since_s
        far = guest.say(turn.seconds, FAR_DBFS) if turn.kind in {"far", "both"} else silence
        near = host.say(turn.seconds, NEAR_DBFS) if turn.kind in {"near", "both"} else silence
        noise = 10.0 ** (NOISE_DBFS / 20.0) * rng.standard_normal(len(silence))
        echo = gain * path.play(far)
        cut_s = max(SETTLE_S - since_s, 0.0) if turn.kind in {"far", "both"} else 0.0
        cut = min(round(round(cut_s, 2) * rate_hz), len(far))
        for part, settled in ((slice(0, cut), False), (slice(cut, None), True)):
            if len(far[part]):
                signals = (near[part], far[part], echo[part], noise[part])
                yield Piece(turn, *signals, settled, after_near)
                after_near = turn.kind in {"near", "both"}
        since_s += turn.seconds if turn.kind in {"far", "both"} else 0.0


def _jumped(delay_ms: float, rng: np.random.Generator) -> float:
    """Return another delay, 30 to 150 ms away; on the other side where the first leaves bounds."""
    step_ms = rng.uniform(*JUMPS_MS) * (1.0 if rng.uniform() < 0.5 else -1.0)
    inside = DELAYS_MS[0] <= delay_ms + step_ms <= DELAYS_MS[1]
    return delay_ms + step_ms if inside else delay_ms - step_ms


class Soak:
    """A canceller in a stream of 10 ms blocks; gives the output beside what it belongs to."""

    def __init__(self, rate_hz: int) -> None:
        self.block = rate_hz // 100
        self.cpu_s = 0.0
        self.canceller = EchoCanceller(rate_hz)
        self._late = np.zeros((3, self.canceller.latency_frames))

    def run(self, piece: Piece) -> tuple[Signal, Signal, Signal, Signal]:
        """Return near end, echo, microphone and output, all as late as the output."""
        mic, far = piece.mic.astype(np.float32), piece.far.astype(np.float32)
        start = time.process_time()
        out = [
            self.canceller.process(mic[at : at + self.block], far[at : at + self.block])
            for at in range(0, len(mic), self.block)
        ]
        self.cpu_s += time.process_time() - start
        truth = np.stack([piece.near, piece.echo, piece.mic])
        joined = np.concatenate([self._late, truth], axis=1)
        near, echo, late_mic = joined[:, : len(mic)]
        self._late = joined[:, len(mic) :]
        return near, echo, late_mic, np.concatenate(out).astype(np.float64)


@dataclass(slots=True)
class Tally:
    """What is counted over a round."""

    mic_energy: float = 0.0  # far end alone, moves and jumps with it
    out_energy: float = 0.0
    turns_erle_db: list[float] = field(default_factory=list)  # far end alone, settled
    near_gains_db: list[Signal] = field(default_factory=list)

    def add(self, piece: Piece, near: Signal, mic: Signal, out: Signal, block: int) -> None:
        """Take one piece in."""
        if piece.turn.kind == "far":
            start = round(100 * RING_S) * block if piece.after_near else 0
            mic_energy, out_energy = (
                float(block_power(x[start:], block).sum()) for x in (mic, out)
            )
            self.mic_energy += mic_energy
            self.out_energy += out_energy
            if piece.settled and len(mic) - start >= 100 * LEAST_TURN_S * block:
                self.turns_erle_db.append(_ratio_db(mic_energy, out_energy))
        if piece.turn.kind == "both" and len(near) >= 20 * block:
            self.near_gains_db.append(tile_gains_db(near, out, 100 * block))

    def record(self) -> Record:
        """Return the figures."""
        gains_db = np.concatenate([np.zeros(0), *self.near_gains_db])
        return {
            "erle_db": _mean(self.turns_erle_db),
            "erle_worst_turn_db": round(min(self.turns_erle_db, default=0.0), 2),
            "erle_with_events_db": round(_ratio_db(self.mic_energy, self.out_energy), 2),
            "near_gain_db": _mean(gains_db),
            "near_lost_share": round(float(np.mean(gains_db < LOST_TILE_DB)), 4)
            if len(gains_db)
            else 0.0,
        }


def _ratio_db(above: float, below: float) -> float:
    return float(10.0 * np.log10((above + 1e-12) / (below + 1e-12)))


def _mean(values: Sequence[float] | Signal) -> float:
    return round(float(np.mean(values)), 2) if len(values) else 0.0


@dataclass(slots=True)
class Loudness:
    """The longest stretch in which the output was louder than the microphone."""

    block: int
    longest_ms: int = 0
    at_s: float = 0.0
    non_finite: int = 0
    run_blocks: int = 0  # at the seam between two pieces
    now_s: float = 0.0

    def add(self, echo: Signal, mic: Signal, out: Signal) -> None:
        """Take the next piece in; stretches without echo do not count."""
        self.non_finite += int(np.sum(~np.isfinite(out)))
        flags = louder_blocks(mic, np.nan_to_num(out), self.block)
        flags &= echo_blocks(echo, NOISE_DBFS, self.block)
        joined = np.concatenate([np.ones(self.run_blocks, np.bool_), flags])
        if 10 * longest_run(joined) > self.longest_ms:
            self.longest_ms, self.at_s = 10 * longest_run(joined), self.now_s
        self.run_blocks = len(joined) if joined.all() else int(np.argmin(joined[::-1]))
        self.now_s += len(mic) / (100 * self.block)


def measure(
    rate_hz: int, rounds: int, seed: int, round_s: float = ROUND_S, warm_up_s: float = WARM_UP_S
) -> Iterator[Record]:
    """Yield one record per round, and one for the whole at the end."""
    path = EchoPath(rate_hz, np.zeros(1), FIRST_DELAY_MS)
    soak = Soak(rate_hz)
    loudness = Loudness(soak.block)
    repeated = min(REPEATED_ROUNDS, rounds // 2)
    tallies, records = [], []
    common = {"rate_hz": rate_hz, "seed": seed, "build": kernel_build()}
    for number in range(rounds):
        again = rounds - repeated
        tally, place_s, before = Tally(), 0.0, soak.canceller.stats().divergence_count
        own_seed = seed + (number - again if number >= again else number)
        for piece in pieces(rate_hz, path, own_seed, round_s):
            near, echo, mic, out = soak.run(piece)
            loudness.add(echo, mic, out)
            if place_s >= warm_up_s or number not in (0, again):
                tally.add(piece, near, mic, np.nan_to_num(out), soak.block)
            place_s += len(mic) / rate_hz
        tallies.append(tally)
        counted = soak.canceller.stats().divergence_count - before
        records.append(tally.record() | {"divergence_count": counted})
        yield {"case": "soak_round", "round": number + 1, **records[-1], **common}
    first, last = (
        np.concatenate([np.zeros(0), *(tally.turns_erle_db for tally in part)])
        for part in (tallies[:repeated], tallies[-repeated:])
    )
    whole = {
        "case": "soak_echo",
        "minutes": round(loudness.now_s / 60.0, 1),
        "turns": len(first),
        "erle_first_db": _mean(first),
        "erle_last_db": _mean(last),
        "erle_change_db": _mean(last - first),
        "erle_change_error_db": round(float(np.std(last - first) / np.sqrt(len(first) + 1e-9)), 2),
        "louder_ms": loudness.longest_ms,
        "louder_at_s": round(loudness.at_s, 1),
        "divergence_count": soak.canceller.stats().divergence_count,
        "near_gain_db": _mean([record["near_gain_db"] for record in records]),
        "near_lost_share": round(float(np.mean([r["near_lost_share"] for r in records])), 4),
        "non_finite": loudness.non_finite,
        "cpu_s": round(soak.cpu_s, 1),
        **common,
    }
    yield {**whole, "missed": missed(whole)}


def missed(whole: Record) -> list[str]:
    """Say which goals the whole misses."""
    change_db, louder_ms = whole["erle_change_db"], whole["louder_ms"]
    texts = []
    if abs(change_db) > GOAL_ERLE_CHANGE_DB:
        texts.append(f"ERLE changed by {change_db} dB, {GOAL_ERLE_CHANGE_DB} at most wanted")
    if louder_ms > GOAL_LOUDER_MS:
        texts.append(f"louder than the microphone for {louder_ms} ms, {GOAL_LOUDER_MS} wanted")
    if whole["non_finite"]:
        texts.append(f"{whole['non_finite']} samples are not finite")
    return texts


def row(record: Record) -> str:
    """Return a record as text."""
    if record["case"] == "soak_round":
        return (
            f"round {record['round']:3d}  ERLE {record['erle_db']:5.1f} dB, worst turn "
            f"{record['erle_worst_turn_db']:5.1f}, with moves and jumps "
            f"{record['erle_with_events_db']:5.1f}; near end {record['near_gain_db']:5.2f} dB, "
            f"{record['near_lost_share']:5.1%} lost; divergences {record['divergence_count']}"
        )
    lines = [
        f"{record['minutes']:.0f} min at {record['rate_hz']} Hz, seed {record['seed']}, "
        f"{record['build']}, {record['cpu_s']} s of CPU",
        f"  ERLE, mean of {record['turns']} turns  first {record['erle_first_db']:.2f} dB, "
        f"last {record['erle_last_db']:.2f} dB, change {record['erle_change_db']:+.2f} "
        f"+- {record['erle_change_error_db']:.2f} dB (goal: within {GOAL_ERLE_CHANGE_DB:g} dB)",
        f"  louder than microphone   {record['louder_ms']} ms at most, in the turn at "
        f"{record['louder_at_s']} s (goal: {GOAL_LOUDER_MS} ms)",
        f"  divergences              {record['divergence_count']}",
        f"  near end in double talk  {record['near_gain_db']:.2f} dB, "
        f"{record['near_lost_share']:.2%} of tiles lost",
        f"  non-finite samples       {record['non_finite']}",
        *(f"  goal missed: {text}" for text in record["missed"]),
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print a line per round and the whole; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=60, help="in steps of 5, from 10 on")
    parser.add_argument("--rate", type=int, default=16000, help="sample rate in Hz")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON line per record")
    options = parser.parse_args(arguments)
    rounds = max(2, round(options.minutes * 60 / ROUND_S))
    failed = False
    for record in measure(options.rate, rounds, options.seed):
        print(json.dumps(record) if options.json else row(record), flush=True)
        failed |= bool(record.get("missed"))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

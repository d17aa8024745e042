"""CPU time of a room of N participants beside a plain sum of the same blocks.

``python -m benchmarks.room_cost`` prints one JSON line per case. Every microphone has noise, three
talk; each 10 ms block gives the programme and everybody's mix without himself. The peer is what
numpy needs for the sum, cut at full scale, and the sum less each own row. Both take turns.
``AUDIO_ENGINE_KERNELS=baseline`` picks the kernel build.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from audio_engine import RoomMixer, kernel_build
from benchmarks.scene import Signal

RATE_HZ, BLOCK = 48000, 480
SIZES = (2, 10, 100, 1000)
TALKERS = 3
GOAL_SHARE = 0.1  # of one core, for a thousand who come levelled
PEER = "numpy sum"
CASES = ("room", "room_levelling")

Mix = Callable[[Signal], object]


def room(participants: int, *, levelled: bool) -> RoomMixer:
    """Return a room of guests; `levelled`: their voices come at one loudness."""
    made = RoomMixer(RATE_HZ, level_voices=not levelled, block_frames=BLOCK)
    for number in range(participants):
        made.join(str(number))
    return made


def plain_sum(blocks: Signal) -> tuple[Signal, Signal]:
    """Mix without any thought."""
    total = blocks.sum(axis=0)
    return np.clip(total, -1.0, 1.0), np.clip(total - blocks, -1.0, 1.0)


def microphones(participants: int, blocks: int) -> Signal:
    """Return noise for everybody and loud noise for a few: (blocks, participants, frames)."""
    rng = np.random.default_rng(1)
    made = 1e-3 * rng.standard_normal((8, participants, BLOCK)).astype(np.float32)
    made = np.resize(made, (blocks, participants, BLOCK))
    made[10:, :TALKERS] *= 100.0
    return made


def block_seconds(mixes: list[Mix], blocks: Signal, runs: int) -> np.ndarray[Any, Any]:
    """Return the CPU seconds of a block for each, taking turns; best of the runs, per block."""
    taken = np.empty((runs, len(blocks), len(mixes)))
    for run in range(runs):
        for row, block in enumerate(blocks):
            for turn in range(len(mixes)):
                column = (turn + run) % len(mixes)
                begin = time.thread_time()
                mixes[column](block)
                taken[run, row, column] = time.thread_time() - begin
    return np.asarray(taken.min(axis=0))


def measure(seconds: float, runs: int, sizes: tuple[int, ...] = SIZES) -> Iterator[dict[str, Any]]:
    """Yield one record per size of the room, levelled before it and in it."""
    for count in sizes:
        blocks = microphones(count, max(30, round(100 * seconds)))
        with room(count, levelled=True) as plain, room(count, levelled=False) as levels:
            mixes: list[Mix] = [plain_sum, plain.process_array, levels.process_array]
            taken = block_seconds(mixes, blocks, runs)[20:]  # the talkers are in
        shares = (taken.mean(axis=0) / 0.01).tolist()
        for name, share in zip(CASES, shares[1:], strict=True):
            record: dict[str, Any] = {
                "case": f"{name}_{count}",
                "build": kernel_build(),
                "share_of_core": round(share, 5),
                "peer": PEER,
                "times_peer": round(share / shares[0], 3),
                "runs": runs,
            }
            if name == "room":
                record["goal_share"] = GOAL_SHARE
            yield record


def row(record: dict[str, Any]) -> str:
    """Return a record as a line of text."""
    return (
        f"{record['case']:<24} {record['build']:<10} {record['share_of_core']:8.2%} of a core, "
        f"{record['times_peer']:.2f} of a {record['peer']}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print one JSON line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="best of this many")
    parser.add_argument("--seconds", type=float, default=0.6, help="length of a scene, for a run")
    options = parser.parse_args(arguments)
    for record in measure(min(options.seconds, 0.6), options.runs):
        print(json.dumps(record), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

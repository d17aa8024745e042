"""CPU time of the echo canceller alone beside WebRTC's AEC3, and its worst 10 ms block.

``python -m benchmarks.echo_cost`` needs ``pip install pywebrtc-audio`` for the peer; without it
only our own figures are printed. Both get the same microphone and far end in calls of 10 ms from
Python, in turns of one second, so that the processor's clock changes little between what is
compared; each second counts with its best run. What a call costs without any audio in it is
measured in the same turns, and the ratio is printed with and without it. AEC3's binding refuses an
empty block: that call, with its exception, is the most that can be taken off its time. Exit status
1 if the goal is missed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine import EchoCanceller, kernel_build
from benchmarks.scene import double_talk

Record = dict[str, Any]
Blocks = list[tuple[NDArray[Any], NDArray[Any]]]
Call = Callable[[NDArray[Any], NDArray[Any]], object]

GOAL_RATIO = 0.7  # of AEC3's time, both without what the call costs
PEER = "webrtc-aec3"


class Skipped(Exception):
    """The peer is not installed; the text says how to get it."""


def peer(rate_hz: int) -> tuple[Callable[[], Call], Call]:
    """Return what makes a new AEC3, and what calls one in vain.

    Raises
    ------
    Skipped
        If pywebrtc-audio is not installed.
    """
    try:
        import pywebrtc_audio
    except ImportError as error:
        raise Skipped("pywebrtc-audio is not installed") from error

    def make() -> Call:
        canceller = pywebrtc_audio.EchoCanceller(
            sample_rate=rate_hz, num_channels=1, stream_delay_ms=0
        )
        call: Call = canceller.process
        return call

    refusing = make()

    def refused(mic: NDArray[Any], far: NDArray[Any]) -> None:
        try:  # cheaper than contextlib.suppress
            refusing(mic, far)
        except ValueError:
            return

    return make, refused


def ours(rate_hz: int) -> tuple[Callable[[], Call], Call]:
    """Return what makes a new canceller, and a canceller for empty calls."""

    def make() -> Call:
        return EchoCanceller(rate_hz).process

    return make, make()


def blocks_of(mic: NDArray[Any], far: NDArray[Any], rate_hz: int) -> list[Blocks]:
    """Cut a scene into seconds of 10 ms blocks."""
    block = rate_hz // 100
    blocks = [(mic[at : at + block], far[at : at + block]) for at in range(0, len(mic), block)]
    return [blocks[at : at + 100] for at in range(0, len(blocks), 100)]


def seconds_taken(call: Call, blocks: Blocks) -> NDArray[np.float64]:
    """Return the CPU time of the process that each call took."""
    taken = np.empty(len(blocks))
    clock = time.process_time
    for index, (mic, far) in enumerate(blocks):
        start = clock()
        call(mic, far)
        taken[index] = clock() - start
    return taken


def measure(rate_hz: int, seconds: int, rounds: int) -> Iterator[Record]:
    """Yield one record per program, the ratios in ours."""
    mic, far = double_talk(float(seconds), rate_hz)
    whole16 = [np.round(np.clip(x, -1, 1) * 32767).astype(np.int16) for x in (mic, far)]
    programs = {"ours": (*ours(rate_hz), blocks_of(mic, far, rate_hz))}
    reason = ""
    try:
        programs[PEER] = (*peer(rate_hz), blocks_of(whole16[0], whole16[1], rate_hz))
    except Skipped as skipped:
        reason = str(skipped)
    taken = {name: np.empty((rounds, seconds, 100)) for name in programs}
    empty = {name: np.empty((rounds, seconds)) for name in programs}
    for number in range(rounds):
        calls = {name: make() for name, (make, _, _) in programs.items()}
        for second in range(seconds):
            for name, (_, idle, blocks) in programs.items():
                taken[name][number, second] = seconds_taken(calls[name], blocks[second])
                nothing = [(m[:0], f[:0]) for m, f in blocks[second]]
                empty[name][number, second] = seconds_taken(idle, nothing).sum()
    common = {"rate_hz": rate_hz, "audio_s": seconds, "runs": rounds, "build": kernel_build()}
    figures = {name: _figures(taken[name], empty[name]) for name in programs}
    if PEER in figures:
        own, other = figures["ours"], figures[PEER]
        own["peer"] = PEER
        own["ours_us"], own["peer_us"] = own["best_us"], other["best_us"]
        own["ratio_with_call"] = round(own["best_with_call_us"] / other["best_with_call_us"], 3)
        own["ratio_median"] = round(own["median_us"] / other["median_us"], 3)
        own["ratio"] = round(own["best_us"] / other["best_us"], 3)
        own["goal_ratio"] = GOAL_RATIO
    else:
        figures["ours"]["skipped"] = reason
    for name, record in figures.items():
        yield {"case": f"echo_cost_{name}", **record, **common}


def _figures(taken: NDArray[np.float64], empty: NDArray[np.float64]) -> Record:
    """Return the figures of one program: microseconds per 10 ms, and shares of 10 ms."""
    call_us = 1e4 * float(empty.min(axis=0).mean())
    best_us = 1e6 * float(taken.sum(axis=2).min(axis=0).mean()) / taken.shape[2]
    median_us = 1e6 * float(np.median(taken.mean(axis=(1, 2))))
    return {
        "call_us": round(call_us, 2),
        "best_with_call_us": round(best_us, 2),
        "best_us": round(best_us - call_us, 2),
        "median_us": round(median_us - 1e4 * float(np.median(empty.mean(axis=1))), 2),
        # The least of the runs, block by block: what the work itself needs.
        "worst_share_99.9": round(100 * float(np.quantile(taken.min(axis=0), 0.999)), 5),
        # All runs together: with what the machine did meanwhile (caches, interrupts).
        "worst_share_99.9_all_runs": round(100 * float(np.quantile(taken, 0.999)), 5),
    }


def row(record: Record) -> str:
    """Return a record as text."""
    text = (
        f"{record['case']:<22} {record['rate_hz']} Hz {record['build']:<10} "
        f"{record['best_us']:7.2f} us per 10 ms (median {record['median_us']:7.2f}, with call "
        f"{record['best_with_call_us']:7.2f}), worst {record['worst_share_99.9']:.2%} of 10 ms "
        f"(99.9 %; {record['worst_share_99.9_all_runs']:.2%} over all runs)"
    )
    if "ratio" in record:
        text += (
            f"\n  ratio to {record['peer']}: {record['ratio']:.2f} (goal {record['goal_ratio']}), "
            f"median {record['ratio_median']:.2f}, with the call {record['ratio_with_call']:.2f}"
        )
    if "skipped" in record:
        text += f"\n  no peer: {record['skipped']}"
    return text


def main(arguments: list[str] | None = None) -> int:
    """Print a row per program and rate; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, action="append", help="in Hz; 16000 and 48000 if left")
    parser.add_argument("--seconds", type=int, default=10, help="length of the scene")
    parser.add_argument("--runs", type=int, default=20, help="best and median of this many")
    parser.add_argument("--json", action="store_true", help="one JSON line per record")
    options = parser.parse_args(arguments)
    failed = False
    for rate_hz in options.rate or (16000, 48000):
        for record in measure(rate_hz, options.seconds, options.runs):
            print(json.dumps(record) if options.json else row(record), flush=True)
            failed |= record.get("ratio", 0.0) > GOAL_RATIO
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""What many files cost beside their processing: two jobs against one, one job against plain calls.

``python -m benchmarks.batch_cost`` prints one JSON line per case. Wall time, best of the runs,
which take turns: two jobs should do 1.8 times the work of one on two idle cores; a file of a run
(hashes, manifest on the disk, a share of the worker's start) may take 30 ms more than
`process_file` called in a loop.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audio_engine import EngineConfig, kernel_build
from audio_engine.batch.job import Job
from audio_engine.batch.local import LocalPool, usable_cores
from audio_engine.batch.manifest import Manifest
from audio_engine.batch.plan import Plan, make_plan
from audio_engine.batch.run import Outcome, run_plan
from audio_engine.batch.watch import Watch
from audio_engine.io.offline import process_file
from benchmarks.scene import double_talk

RATE_HZ = 48000
FILES, SECONDS = 120, 10.0
GOAL_SPEED_UP = 1.8
GOAL_OVERHEAD_MS = 30.0
CONFIG = EngineConfig.preset("cohost")


class Strict(Watch):
    """Fails if a file does."""

    def ended(self, outcome: Outcome) -> None:
        """Raise what a file has failed of."""
        if outcome.error is not None:
            raise outcome.error


def plan_of(folder: Path, files: int, seconds: float) -> Plan:
    """Write the inputs and plan a run over them."""
    sound, _ = double_talk(seconds, RATE_HZ)
    (folder / "in").mkdir()
    for number in range(files):
        soundfile.write(folder / f"in/{number}.wav", np.roll(sound, 997 * number), RATE_HZ)
    model = Job(source="", target="", config=CONFIG, preset="cohost")
    return make_plan([str(folder / "in")], str(folder / "out"), model)


def in_a_loop(plan: Plan) -> None:
    """Call `process_file` for one input after the other."""
    for job in plan.jobs:
        process_file(job.source, job.target, config=job.config)


def with_workers(plan: Plan, workers: int) -> None:
    """Run a plan as the command line does."""
    assert plan.folder is not None
    with Manifest(plan.folder) as manifest:
        run_plan(plan, LocalPool(workers), Strict(), manifest=manifest, resume=False)


def measure(files: int, seconds: float, runs: int) -> Iterator[dict[str, Any]]:
    """Yield one record per case."""
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_of(Path(folder), files, seconds)
        ways: dict[str, Callable[[], None]] = {
            "one": lambda: with_workers(plan, 1),  # first: it makes the folder
            "loop": lambda: in_a_loop(plan),
        }
        if usable_cores() > 1:
            ways["two"] = lambda: with_workers(plan, 2)
        taken_s: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(runs):
            for name, way in ways.items():
                started_s = time.perf_counter()
                way()
                taken_s[name].append(time.perf_counter() - started_s)
    best_s = {name: min(times) for name, times in taken_s.items()}
    shared = {"build": kernel_build(), "files": files, "file_s": seconds, "runs": runs}
    overhead_ms = round(1000.0 * (best_s["one"] - best_s["loop"]) / files, 2)
    yield {
        "case": "batch_overhead",
        **shared,
        "overhead_ms": overhead_ms,
        "process_file_ms": round(1000.0 * best_s["loop"] / files, 2),
        "missed": _missed(overhead_ms <= GOAL_OVERHEAD_MS, f"{overhead_ms} ms a file"),
    }
    if "two" in best_s:
        speed_up = round(best_s["one"] / best_s["two"], 3)
        yield {
            "case": "batch_speed_up",
            **shared,
            "speed_up": speed_up,
            "times_real_time": round(files * seconds / best_s["two"], 1),
            "missed": _missed(speed_up >= GOAL_SPEED_UP, f"{speed_up} times the work of one job"),
        }


def _missed(reached: bool, text: str) -> list[str]:
    return [] if reached else [text]


def row(record: dict[str, Any]) -> str:
    """Return a record as a line of text."""
    name = f"{record['case']:<24} {record['build']:<10}"
    if "overhead_ms" in record:
        return (
            f"{name} {record['overhead_ms']:8.1f} ms a file, process_file itself "
            f"{record['process_file_ms']:.1f} ms"
        )
    return (
        f"{name} {record['speed_up']:8.2f} times one job with two, "
        f"{record['times_real_time']:.0f} x real time"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print one JSON line per case; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="best of this many, 5 at most")
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of a file")
    options = parser.parse_args(arguments)
    records = list(measure(options.files, options.seconds, min(options.runs, 5)))
    for record in records:
        print(json.dumps(record), flush=True)
    return 1 if any(record["missed"] for record in records) else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""``make bench``: measure the kernels, the whole chain, its stages, meter, mixer and lip sync.

JSON lines go to standard output, one per case; a table goes to standard error when that is a
terminal. A part that cannot run here is skipped with its reason. The hour of ``echo-soak`` and the
day of ``loudness-soak`` run only when asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from audio_engine import kernel_build
from benchmarks import (
    batch_cost,
    bench_fft,
    echo_cost,
    echo_floor,
    far_end_trouble,
    lip_sync_cost,
    lip_sync_delay,
    meter_cost,
    room_cost,
    soak_echo,
    soak_loudness,
)

Record = dict[str, Any]

PARTS = (
    "fft",
    "chain",
    "stereo",
    "noise-cost",
    "meter-cost",
    "room-cost",
    "lip-sync-cost",
    "lip-sync-delay",
    "echo-cost",
    "echo-trouble",
    "echo-floor",
    "batch-cost",
)
ON_REQUEST = ("echo-soak", "loudness-soak")


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; 1 if --check is given and a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=(*PARTS, *ON_REQUEST), help="run one part")
    parser.add_argument("--runs", type=int, default=20, help="best of this many")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a scene")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    options = parser.parse_args(arguments)
    with_v3 = kernel_build() == "x86-64-v3"
    records = []
    for record in _measure(options, with_v3):
        print(json.dumps(record), flush=True)
        records.append(record)
    if sys.stderr.isatty():
        print(table(records), file=sys.stderr)
    missed = [goal for goal in map(missed_goal, records) if goal]
    for goal in missed:
        print(f"goal missed: {goal}", file=sys.stderr)
    return 1 if missed and options.check else 0


def _measure(options: argparse.Namespace, with_v3: bool) -> Iterator[Record]:
    wanted = (options.only,) if options.only else PARTS
    builds = ("baseline", "v3") if with_v3 else ("baseline",)
    if "fft" in wanted:
        try:
            bench_fft.build()
            yield from bench_fft.measure(with_v3=with_v3)
        except bench_fft.Skipped as reason:
            print(f"FFT benchmark skipped: {reason}", file=sys.stderr)
    runs = ("--runs", str(options.runs))
    modules = {
        "chain": "bench_chain",
        "stereo": "bench_stereo",
        "noise-cost": "noise_cost",
        "meter-cost": "meter_cost",
        "room-cost": "room_cost",
        "lip-sync-cost": "lip_sync_cost",
        "lip-sync-delay": "lip_sync_delay",
    }
    for part, module in modules.items():
        for build in builds if part in wanted else ():
            yield from _lines(build, module, *runs, "--seconds", str(options.seconds))
    if "echo-cost" in wanted:
        for build in builds:
            yield from _lines(build, "echo_cost", *runs, "--json", statuses=(0, 1))
    if "echo-trouble" in wanted:
        yield from _lines(builds[-1], "far_end_trouble", "--json", statuses=(0, 1))
    if "echo-floor" in wanted:
        yield from _lines(builds[-1], "echo_floor", "--json", statuses=(0, 1))
    if "batch-cost" in wanted:
        yield from _lines(builds[-1], "batch_cost", *runs, statuses=(0, 1))
    if "echo-soak" in wanted:
        yield from _lines(builds[-1], "soak_echo", "--json", statuses=(0, 1))
    if "loudness-soak" in wanted:
        yield from _lines(builds[-1], "soak_loudness", "--json", statuses=(0, 1))


def _lines(
    build: str, module: str, *arguments: str, statuses: tuple[int, ...] = (0,)
) -> Iterator[Record]:
    """Run a benchmark in a process of its own: a kernel build is chosen at import."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    environment = {**os.environ, "AUDIO_ENGINE_KERNELS": build}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode not in statuses:
        raise SystemExit(f"benchmarks.{module} ended with status {process.returncode}")


def missed_goal(record: Record) -> str | None:
    """Say which goal a record misses, if it has one and does."""
    name = f"{record['case']} ({record['build']})"
    if record.get("missed"):
        return f"{name}: {'; '.join(record['missed'])}"
    if record.get("ratio", 0.0) > record.get("goal_ratio", 1.0):
        return f"{name}: {record['ratio']} of {record['peer']}, {record['goal_ratio']} wanted"
    if record.get("share_of_core", 0.0) > record.get("goal_share", 1.0):
        share, goal = record["share_of_core"], record["goal_share"]
        return f"{name}: {share:.2%} of a core, {100 * goal:g}% wanted"
    return None


def table(records: list[Record]) -> str:
    """Return the records as aligned text."""
    lines = []
    rows = {
        "echo_cost": echo_cost.row,
        "trouble": far_end_trouble.row,
        "loop": far_end_trouble.row,
        "echo_floor": echo_floor.row,
        "soak_loudness": soak_loudness.row,
        "soak": soak_echo.row,
        "meter": meter_cost.row,
        "room": room_cost.row,
        "lip_sync_delay": lip_sync_delay.row,
        "lip_sync": lip_sync_cost.row,
        "batch": batch_cost.row,
    }
    for record in records:
        row = next((row for start, row in rows.items() if record["case"].startswith(start)), None)
        name = f"{record['case']:<24} {record['build']:<10}"
        if row is not None:
            lines.append(row(record))
        elif "ratio" in record:
            times = f"{record['ours_us']:8.2f} us  {record['peer']} {record['peer_us']:8.2f} us"
            lines.append(f"{name} {times}  ratio {record['ratio']:.2f}")
        elif "erle_db" in record:
            ours, peer = record["erle_db"], record["peer_erle_db"]
            lines.append(f"{name} {ours:8.1f} dB ERLE  {record['peer']} {peer:.1f} dB")
        elif "times_real_time" in record:
            lines.append(
                f"{name} {record['share_of_core']:8.2%} of a core, "
                f"{record['times_real_time']:.0f} x real time"
            )
        elif "times_default" in record:
            share, ratio = record["share_of_core"], record["times_default"]
            lines.append(f"{name} {share:8.3%} at {record['rate_hz']} Hz, {ratio:.2f} of default")
        elif "share_of_core" in record:
            lines.append(f"{name} {record['share_of_core']:8.2%}")
        else:
            lines.append(
                f"{name} {record['median_share']:8.2%} of 10 ms (median), "
                f"worst {record['worst_share_99.9']:.2%} (99.9 %)"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())

"""CPU time of the noise suppressor alone, and what each of its options adds.

``python -m benchmarks.noise_cost`` prints one JSON line per case. The cases take turns second by
second, in calls of one second, and each second counts with its best run: the processor's clock then
changes little between what is compared. ``AUDIO_ENGINE_KERNELS=baseline`` picks the kernel build.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np

from audio_engine import NoiseSuppressor, kernel_build
from benchmarks.scene import double_talk

CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "small": {"model": "small"},
    "large": {"model": "large"},
    "no_dereverb": {"dereverb": 0.0},
    "no_transients": {"transients": False},
    "music_guard": {"music_guard": True},
    "two_channels": {"channels": 2},
    "two_channels_small": {"channels": 2, "model": "small"},
    "two_channels_each": {"channels": 2, "link_channels": False},
}


def measure(rate_hz: int, seconds: float, runs: int) -> Iterator[dict[str, Any]]:
    """Yield one record per case, with its CPU time beside that of the default."""
    mic, far = double_talk(seconds, rate_hz)
    both = np.stack([mic, far], axis=1)
    starts = range(0, len(mic) - rate_hz + 1, rate_hz)
    taken = np.empty((runs, len(starts), len(CASES)))
    with ExitStack() as stack:
        suppressors = [
            stack.enter_context(NoiseSuppressor(rate_hz, **each)) for each in CASES.values()
        ]
        for run in range(runs):
            for row, at in enumerate(starts):
                for turn in range(len(CASES)):
                    column = (turn + run) % len(CASES)  # who goes first has the colder caches
                    each = suppressors[column]
                    audio = both[at : at + rate_hz, : each.channels]
                    begin = time.thread_time()
                    each.process(audio)
                    taken[run, row, column] = time.thread_time() - begin
    shares = taken.min(axis=0).mean(axis=0)
    for name, share in zip(CASES, shares.tolist(), strict=True):
        yield {
            "case": f"noise_cost_{name}",
            "share_of_core": round(share, 6),
            "times_default": round(share / shares[0], 3),
            "rate_hz": rate_hz,
            "runs": runs,
            "build": kernel_build(),
        }


def main(arguments: list[str] | None = None) -> int:
    """Print one JSON line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the scene")
    parser.add_argument("--runs", type=int, default=20, help="best of this many")
    options = parser.parse_args(arguments)
    for rate_hz in (16000, 48000):
        for record in measure(rate_hz, options.seconds, options.runs):
            print(json.dumps(record), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

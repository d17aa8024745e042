"""Build and run ``benchmarks/c/bench_fft.c``: our FFT beside KissFFT, once per kernel build."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
PROGRAMS = ("bench_fft", "bench_fft_x86_64_v3")
GOAL_RATIO = 0.6  # of KissFFT's time, baseline build


class Skipped(Exception):
    """The benchmark cannot run here; the text says why."""


def build() -> None:
    """Build the programs.

    Raises
    ------
    Skipped
        If CMake or KissFFT is not on this machine.
    """
    if shutil.which("cmake") is None:
        raise Skipped("cmake is not installed")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    _run("cmake", "--preset", "release", *generator)
    cache = (BUILD / "CMakeCache.txt").read_text(encoding="utf-8")
    if "KISSFFT_INCLUDE:PATH=KISSFFT_INCLUDE-NOTFOUND" in cache or (
        "KISSFFT_LIBRARY:FILEPATH=KISSFFT_LIBRARY-NOTFOUND" in cache
    ):
        raise Skipped("KissFFT is not installed (Debian: libkissfft-dev)")
    _run("cmake", "--build", "--preset", "release", "--target", "bench_fft_all")


def measure(*, with_v3: bool) -> Iterator[dict[str, Any]]:
    """Yield the programs' records; the AVX2 one only where the processor has it."""
    for name in PROGRAMS if with_v3 else PROGRAMS[:1]:
        program = BUILD / "benchmarks" / "c" / name
        lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout
        for line in lines.splitlines():
            yield {**json.loads(line), "goal_ratio": GOAL_RATIO}


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")

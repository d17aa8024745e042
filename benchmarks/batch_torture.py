"""Five hundred files, twenty of them broken, killed twice and resumed: all there, and once.

``python -m benchmarks.batch_torture`` makes the files in a temporary folder, runs ``audio-engine
process``, kills it at two random moments (SIGKILL of its whole group, then of the parent alone),
resumes, and prints one line per check. 1 if a check is missed. About two minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import secrets
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audio_engine.batch.job import file_sha256
from audio_engine.batch.manifest import NAME
from audio_engine.config import EngineConfig
from audio_engine.io.offline import process_file
from benchmarks.scene import double_talk

RATE_HZ = 48000
PRESET = "cohost"
_MARK = "AUDIO_ENGINE_TORTURE"  # in the environment of the run: tells its processes from others
_ORPHANS_S = 2.0


def header(*, channels: int = 1, rate_hz: int = RATE_HZ, data_bytes: int = 96000) -> bytes:
    """Return the head of a 16-bit WAV file, right or wrong."""
    block = 2 * channels
    form = struct.pack("<HHIIHH", 1, channels, rate_hz, (rate_hz * block) & 0xFFFFFFFF, block, 16)
    riff = b"RIFF" + struct.pack("<I", 36 + data_bytes) + b"WAVEfmt " + struct.pack("<I", 16)
    return riff + form + b"data" + struct.pack("<I", data_bytes)


#: What cannot be read, whoever tries.
BROKEN: tuple[Callable[[], bytes], ...] = (
    lambda: b"",
    lambda: b"Not a sound, but a text.\n" * 100,
    lambda: header()[:20],
    lambda: header(channels=0) + bytes(96000),
    lambda: header(rate_hz=3_000_000_000) + bytes(96000),
)


def make_files(folder: Path, files: int, broken: int, seconds: float) -> tuple[set[str], set[str]]:
    """Write the inputs and return the names of the good ones and of the broken ones.

    Among the good ones are some that are odd but can be read: not numbers, cut off, in other
    formats, with names that shells stumble over.
    """
    sound, _ = double_talk(seconds, RATE_HZ)
    good: set[str] = set()
    bad: set[str] = set()
    step = max(1, files // max(1, broken))
    for number in range(files):
        place = f"day {number % 3}/room-{number % 7}"
        (folder / place).mkdir(parents=True, exist_ok=True)
        if number % step == step - 1 and len(bad) < broken:
            name = f"{place}/{number:03d} broken.wav"
            (folder / name).write_bytes(BROKEN[len(bad) % len(BROKEN)]())
            bad.add(name)
            continue
        ending = ("wav", "flac", "wav", "wav")[number % 4]
        name = f"{place}/-{number:03d} 直播 über.{ending}"
        samples = 0.8 * np.roll(sound, 997 * number)  # every file is another one
        path = folder / name
        if number % 50 == 7:
            samples[1000:1010] = np.nan
            soundfile.write(path.with_suffix(".wav"), samples, RATE_HZ, "FLOAT")
            name = str(Path(name).with_suffix(".wav"))
        else:
            soundfile.write(path, samples, RATE_HZ)
        if number % 50 == 10 and path.suffix == ".wav":
            os.truncate(path, path.stat().st_size - 4001)
        good.add(name)
    return good, bad


class Run:
    """A run of the command line, as a process group of its own."""

    def __init__(self, source: Path, target: Path, jobs: int) -> None:
        self.token = secrets.token_hex(8)
        command = [sys.executable, "-m", "audio_engine", "process", str(source), "-o", str(target)]
        command += ["--preset", PRESET, "--jobs", str(jobs), "--resume", "--json", "-q"]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, _MARK: self.token},
        )

    def orphans(self) -> list[int]:
        """Return the processes of this run that are alive."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    ended = (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
                    if self.token.encode() in (entry / "environ").read_bytes() and not ended:
                        found.append(int(entry.name))
        return found


def manifest_lines(target: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a manifest."""
    try:
        content = (target / NAME).read_bytes()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]


def done_lines(target: Path) -> int:
    """Return how many files the manifest says are done."""
    return sum(line["status"] == "done" for line in manifest_lines(target))


def parts(folder: Path) -> list[Path]:
    """Return what is no output and no manifest."""
    return [path for path in folder.rglob(".*") if path.is_file()]


def kill_at(run: Run, target: Path, lines: int, *, whole_group: bool) -> bool:
    """Kill a run once so many files are done; False if it ended before."""
    while run.process.poll() is None:
        if done_lines(target) >= lines:
            time.sleep(random.random() * 0.1)
            if whole_group:
                os.killpg(run.process.pid, signal.SIGKILL)
            else:
                run.process.kill()
            return run.process.wait() == -signal.SIGKILL
        time.sleep(0.01)
    return False


class Checks:
    """One line per check, and whether any was missed."""

    missed = 0

    def __call__(self, text: str, holds: bool, found: object = "") -> None:
        """Print a check."""
        self.missed += not holds
        print(f"{'ok  ' if holds else 'MISS'}  {text}{'' if holds else f': {found}'}", flush=True)


def torture(folder: Path, files: int, broken: int, seconds: float, jobs: int) -> int:
    """Make, run, kill, resume, check; return how many checks were missed."""
    check = Checks()
    source, target = folder / "in", folder / "in" / "out"  # a folder in the searched one, at that
    good, bad = make_files(source, files, broken, seconds)
    before = {path: file_sha256(path) for path in source.rglob("*") if path.is_file()}
    for share, whole_group in ((random.uniform(0.1, 0.4), True), (random.uniform(0.5, 0.8), False)):
        who = "the whole group" if whole_group else "the parent alone"
        run = Run(source, target, jobs)
        killed = kill_at(run, target, round(share * len(good)), whole_group=whole_group)
        check(f"{who} killed with {done_lines(target)} of {files} files done", killed)
        give_up_s = time.monotonic() + _ORPHANS_S
        while run.orphans() and time.monotonic() < give_up_s:
            time.sleep(0.01)
        left_s = _ORPHANS_S - (give_up_s - time.monotonic())
        check(f"its workers are gone {left_s:.2f} s later", not run.orphans(), run.orphans())
    started = time.perf_counter()
    run = Run(source, target, jobs)
    said = json.loads(run.process.communicate()[0])["summary"]
    check("the resumed run ends with 1: some files are broken", run.process.returncode == 1)
    check(
        f"it did {said['done']}, skipped {said['skipped']} and names {said['failed']} as broken, "
        f"in {time.perf_counter() - started:.1f} s",
        said["done"] + said["skipped"] == len(good) and said["failed"] == len(bad),
        said,
    )
    check_files(check, source, target, good, bad)
    check("no input was touched", all(file_sha256(path) == sha for path, sha in before.items()))
    again = Run(source, target, jobs)
    said = json.loads(again.process.communicate()[0])["summary"]
    check("one more run has nothing left to do", said["skipped"] == len(good), said)
    return check.missed


def check_files(check: Checks, source: Path, target: Path, good: set[str], bad: set[str]) -> None:
    """Check outputs and manifest against one call of `process_file` per input."""
    outputs = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    check(f"{len(good)} outputs, no others", outputs == good | {NAME}, outputs ^ (good | {NAME}))
    check("no partial and no temporary file", not parts(target), parts(target))
    lines = manifest_lines(target)
    done = Counter(line["output"] for line in lines if line["status"] == "done")
    failed = {line["output"] for line in lines if line["status"] == "failed"}
    check("every good file is in the manifest once", done == Counter(good), done - Counter(good))
    check("every broken file is in it as failed", failed == bad, failed ^ bad)
    wrong = [
        line["output"]
        for line in lines
        if line["status"] == "done"
        and (
            line["input_sha256"] != file_sha256(source / line["output"])
            or line["output_sha256"] != file_sha256(target / line["output"])
        )
    ]
    check("its hashes are those of the files", not wrong, wrong)
    config = EngineConfig.preset(PRESET)
    different = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in sorted(good & outputs):
            direct = Path(scratch) / f"direct{Path(name).suffix}"
            process_file(source / name, direct, config=config)
            if not alike(direct, target / name):
                different.append(name)
    check("every output is bit-identical to process_file's", not different, different)


def alike(one: Path, other: Path) -> bool:
    """Say whether two files have the same bytes; of a float WAV, which is dated, the samples."""
    if one.read_bytes() == other.read_bytes():
        return True
    if soundfile.info(one).subtype != "FLOAT" or soundfile.info(other).subtype != "FLOAT":
        return False
    return np.array_equal(soundfile.read(one)[0], soundfile.read(other)[0])


def main(arguments: list[str] | None = None) -> int:
    """Print one line per check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--broken", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a file")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, help="of the moments of the kills; else the clock")
    options = parser.parse_args(arguments)
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        missed = torture(Path(folder), options.files, options.broken, options.seconds, options.jobs)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())

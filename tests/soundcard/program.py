"""A program under test in a process of its own: its lines of JSON, its words and its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

TESTS = Path(__file__).resolve().parents[1]

Line = dict[str, Any]


class Program:
    """Runs ``python ARGUMENTS`` for as long as the ``with`` block; killed at its end if need be."""

    def __init__(self, arguments: Sequence[str | Path], env: dict[str, str]) -> None:
        self.lines: list[Line] = []
        self.errors = ""
        self._seen = 0
        self._command = [sys.executable, *map(str, arguments)]
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, cwd=TESTS, env=env,
        )  # fmt: skip
        self._readers = [threading.Thread(target=run) for run in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def wait_for(self, wanted: Callable[[Line], bool], *, seconds: float = 30.0) -> Line:
        """Wait for a line of which `wanted` is true, after the one waited for before; return it."""
        deadline = time.monotonic() + seconds
        while True:
            while self._seen < len(self.lines):
                line = self.lines[self._seen]
                self._seen += 1
                if wanted(line):
                    return line
            last = self.lines[-1:] or self.errors
            assert self._process.poll() is None, f"the program ended: {last} {self.errors}"
            assert time.monotonic() < deadline, f"not within {seconds} s; last line: {last}"
            time.sleep(0.01)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self, *, seconds: float = 30.0) -> int:
        """Wait for the program's end and return its exit status."""
        code = self._process.wait(seconds)
        for reader in self._readers:
            reader.join(10)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self.end()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self.errors = self._process.stderr.read()


def is_running(line: Line) -> bool:
    """Tell whether a line of statistics comes from a running stream."""
    return bool(line.get("state") == "running")


def is_lost(line: Line) -> bool:
    """Tell whether a line, of an event or of statistics, says that the device has gone."""
    return line.get("kind") == "lost" or line.get("state") in {"lost", "recovering"}


def is_back(line: Line) -> bool:
    """Tell whether a line of statistics comes from a stream that has recovered and runs."""
    return is_running(line) and line["recoveries"] > 0


def monitor(env: dict[str, str], **options: object) -> Program:
    """Start ``audio-engine monitor --json``: ``far=path`` is ``--far path``, True a bare option."""
    arguments: list[str] = ["-m", "audio_engine", "monitor", "--json"]
    for name, value in options.items():
        arguments.append("--" + name.replace("_", "-"))
        if value is not True:
            arguments.append(str(value))
    return Program(arguments, env)

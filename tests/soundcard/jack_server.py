"""A JACK server with the dummy driver, and a client that plays the room behind its ports."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from soundcard.needs import may_run_realtime

TESTS = Path(__file__).resolve().parents[1]
START_S = 20.0


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str], how: int) -> None:
    """Send a signal and wait; whoever does not listen is killed."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def claim_name() -> tuple[str, IO[bytes]]:
    """Take one of four server names, with the lock that keeps it ours.

    JACK remembers at most eight names, for good where a server was killed, until a server of the
    same name comes. So there must be few of them.
    """
    for index in range(4):
        name = f"audio_engine_test_{os.getuid()}_{index}"
        lock = (Path(tempfile.gettempdir()) / f"{name}.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return name, lock
    raise RuntimeError("four JACK servers of our tests run already")


class JackServer:
    """A server of its own name; runs for as long as the ``with`` block. `directory` gets its log.

    ``synchronous``: the server waits for its clients, so a machine that stands still makes a cycle
    late and loses no audio. That is what a busy machine needs; a real card does not do it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        synchronous: bool = True,
        sample_rate_hz: int = 48000,
        period_frames: int = 480,
    ) -> None:
        self.name, self._lock = claim_name()
        self._directory = directory
        self._no_cards = directory / "no_cards.conf"
        # PortAudio 19.6 asserts that ALSA lists at least one device that cannot be opened.
        self._no_cards.write_text("pcm.no_device { type hw card 99 hint { show on } }\n")
        realtime = ["-R", "-P", "20"] if may_run_realtime() else ["-r"]
        waits = ["-S"] if synchronous else []
        rate, period = ["-r", str(sample_rate_hz)], ["-p", str(period_frames)]
        self._command = ["jackd", "-n", self.name, *realtime, *waits, "-t", "2000"]
        self._command += ["-d", "dummy", *rate, *period, "-C", "2", "-P", "2"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def env(self) -> dict[str, str]:
        """The environment for a program that shall see this server's devices and no other."""
        return {
            **os.environ,
            "ALSA_CONFIG_PATH": str(self._no_cards),
            "JACK_DEFAULT_SERVER": self.name,
            "JACK_NO_START_SERVER": "1",
            "JACK_NO_AUDIO_RESERVATION": "1",
        }

    def start(self) -> None:
        """Start the server and wait until clients can connect."""
        with (self._directory / "jackd.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while subprocess.run(
            ["jack_lsp"], env=self.env, capture_output=True, check=False
        ).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                text = (self._directory / "jackd.log").read_text(errors="replace")
                raise RuntimeError(f"{' '.join(self._command)} did not come up:\n{text[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End the server without a word, as a crash does."""
        if self._process is not None:
            end(self._process, signal.SIGKILL)
            self._process = None

    def stop(self) -> None:
        """End the server; twice is fine."""
        if self._process is not None:
            end(self._process, signal.SIGTERM)
            self._process = None

    def restart(self) -> None:
        """Kill the server and start it again under the same name."""
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._lock.close()


class JackRoom:
    """A room as a JACK client in a process of its own: PortAudio's device ``room``.

    Its loudspeaker's sound comes to its microphone one period and `echo_delay_ms` later, at
    `echo_gain_db` (None: not at all), on top of `near`, repeated. After the ``with`` block `played`
    holds all that the loudspeaker has played.
    """

    def __init__(
        self,
        server: JackServer,
        directory: Path,
        *,
        near: NDArray[np.float32] | None = None,
        echo_gain_db: float | None = None,
        echo_delay_ms: float = 20.0,
    ) -> None:
        self.played = np.zeros(0, np.float32)
        self._played_path, self._near_path = directory / "played.npy", directory / "near.npy"
        np.save(self._near_path, np.zeros(480, np.float32) if near is None else near)
        gain = 0.0 if echo_gain_db is None else 10 ** (echo_gain_db / 20)
        self._command = [sys.executable, "-m", "soundcard.jack_room", str(self._near_path)]
        self._command += [str(self._played_path), str(gain), str(echo_delay_ms)]
        self._server = server
        self._process: subprocess.Popen[str] | None = None

    @property
    def env(self) -> dict[str, str]:
        """The environment for a program that shall see the room."""
        return self._server.env

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, text=True, cwd=TESTS, env=self._server.env,
            start_new_session=True,
        )  # fmt: skip
        line = _output(self._process).readline()
        if line.strip() != "ready":
            end(self._process, signal.SIGKILL)
            raise RuntimeError(f"the JACK room did not start: {line!r}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            end(self._process, signal.SIGTERM)
            _output(self._process).close()
            if self._played_path.exists():
                self.played = np.load(self._played_path)


def _output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout

"""Keep one audio host alive: start it, watch its heartbeat, kill it when lost, start the next."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from queue import Empty, SimpleQueue
from typing import Any, Literal, Protocol

from audio_engine._native import kernel_build
from audio_engine.io.live.host import HostJob, HostOpened, OpenStream, open_stream
from audio_engine.io.live.isolated import isolated_command
from audio_engine.io.quiet import silent_stderr

KeeperState = Literal["starting", "running", "lost", "recovering", "failed"]

_SHORTEST_LOSS_S, _LOSS_BLOCKS = 0.25, 8  # no heartbeat for so long: the device is lost
_LONGEST_LOOK_S = 0.1  # a look that comes later was held up itself: it proves nothing about others
_START_LIMIT_S = 6.0  # from one sign of life of a starting host to the next
_MOST_DEATHS = 3
_PROGRAM = "from audio_engine.io.live.host import main; main()"


class Host(Protocol):
    """A stream that runs somewhere."""

    def poll(self) -> list[dict[str, Any]]:
        """Return what it has said since the last call."""
        ...

    def alive(self) -> bool:
        """Whether it still exists."""
        ...

    def stop(self) -> None:
        """Ask it to end."""
        ...

    def kill(self) -> bool:
        """End it at once; False if something of it may go on in this process."""
        ...


class HostProcess:
    """An audio host as a child process.

    To be made by the thread that watches it: the child dies with that thread.
    """

    def __init__(self, job: HostJob) -> None:
        build = "v3" if kernel_build() == "x86-64-v3" else "baseline"
        # A session of its own: Ctrl-C at the terminal is the parent's business.
        self._process = subprocess.Popen(
            isolated_command(_PROGRAM),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(job.memory[0],),
            start_new_session=True,
            env={**os.environ, "AUDIO_ENGINE_KERNELS": build},
            text=True,
        )
        self._said: SimpleQueue[dict[str, Any]] = SimpleQueue()
        threading.Thread(target=self._listen, name="audio-host-ears", daemon=True).start()
        self._tell(job.to_json())

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(json.JSONDecodeError):  # host interfaces print here too
                message = json.loads(line)
                if isinstance(message, dict):
                    self._said.put(message)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def poll(self) -> list[dict[str, Any]]:
        """Return what the host has said since the last call."""
        return _all_of(self._said)

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask the host to end."""
        self._tell("stop")

    def kill(self) -> bool:
        """Kill the process; a device driver may keep it for a moment, but never us."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # the other pipe belongs to the thread that reads it
        return True


def _all_of(said: SimpleQueue[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    with contextlib.suppress(Empty):
        while True:
            found.append(said.get_nowait())
    return found


class HostThread:
    """An audio host inside this process: nothing can end it when PortAudio hangs."""

    def __init__(self, job: HostJob) -> None:
        self._said: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._stream: OpenStream | None = None
        self._is_over = False
        self._has_closed = True
        self._thread = threading.Thread(target=self._open, args=(job,), daemon=True)
        self._thread.start()

    def _open(self, job: HostJob) -> None:
        try:
            with silent_stderr():
                stream, opened = open_stream(job)
                stream.start()
        except Exception as error:
            self._said.put({"status": "failed", "error": str(error)})
            return
        self._stream = stream
        self._said.put({"status": "opened", **asdict(opened)})

    def poll(self) -> list[dict[str, Any]]:
        """Return what the host has said since the last call."""
        return _all_of(self._said)

    def alive(self) -> bool:
        """Whether nobody has ended it."""
        return not self._is_over

    def stop(self) -> None:
        """Close the stream; a hanging one is left behind."""
        if not self._is_over and self._stream is not None:
            self._has_closed = self._stream.close()
        self._is_over = True

    def kill(self) -> bool:
        """Close the stream; False if it hangs."""
        self.stop()
        return self._has_closed


class HostKeeper:
    """Keep one stream running.

    Parameters
    ----------
    job : HostJob
        What the host is to do.
    start_host : callable
        Makes a `Host` from a job.
    heartbeat : callable
        Returns a count that grows while the device calls.
    block_s : float
        Seconds between two calls.
    recover : callable
        Called between the end of a lost host and the start of the next.
    opened : callable
        Takes the `HostOpened` of each start.
    restarts : bool
        Whether a lost host is followed by another.

    Attributes
    ----------
    state : str
        ``starting``, ``running``, ``lost`` (just noticed), ``recovering`` (a new host tries) or
        ``failed`` (the first start did not work; see `error`).
    silent_s : float
        Time without a heartbeat, as far as it was watched.
    left_behind : bool
        A stream of this process hangs and may still call: its memory must stay.
    """

    def __init__(
        self,
        job: HostJob,
        *,
        start_host: Callable[[HostJob], Host],
        heartbeat: Callable[[], int],
        block_s: float,
        recover: Callable[[], None],
        opened: Callable[[HostOpened], None],
        restarts: bool = True,
    ) -> None:
        self._job, self._start_host, self._heartbeat = job, start_host, heartbeat
        self._loss_s = max(_SHORTEST_LOSS_S, _LOSS_BLOCKS * block_s)
        self._recover, self._opened, self._restarts = recover, opened, restarts
        self.state: KeeperState = "starting"
        self.error = ""
        self.left_behind = False
        self.last: HostOpened | None = None
        self._host: Host | None = None
        self._beats = 0
        self._deaths = 0
        self.silent_s = 0.0
        self._looked_s = self._sign_s = time.monotonic()

    def tick(self) -> None:
        """Look after the host; to be called some ten times a second."""
        now_s = time.monotonic()
        look_s, self._looked_s = now_s - self._looked_s, now_s
        if self.state == "failed" or (self.state == "lost" and not self._restarts):
            return
        if self._host is None:
            self._begin(now_s)
            return
        for message in self._host.poll():
            self._sign_s = now_s
            self._hear(message)
        if self.state in ("starting", "recovering"):
            self._watch_start(now_s)
        elif self.state == "running":
            self._watch_heartbeat(look_s)

    def _begin(self, now_s: float) -> None:
        self._sign_s = now_s
        self._beats = self._heartbeat()
        self.last = None
        self._host = self._start_host(self._job)

    def _hear(self, message: dict[str, Any]) -> None:
        status = message.pop("status", "")
        if status == "opened":
            self.last = HostOpened(**message)
            self.silent_s = 0.0
            self._beats = self._heartbeat()
            self._opened(self.last)
            self._remember_names(self.last)
        elif status == "failed":
            self.error = str(message.get("error", ""))
            if self.state == "starting":
                self.state = "failed"
                self._end_host()
        elif status == "waiting":
            self.error = str(message.get("error", ""))

    def _remember_names(self, opened: HostOpened) -> None:
        """After a loss the same devices are looked for, even where the default ones were meant."""
        if self._job.is_restart:
            return
        self._job = replace(
            self._job,
            is_restart=True,
            input_device=opened.input_device or self._job.input_device,
            output_device=opened.output_device or self._job.output_device,
        )

    def _watch_start(self, now_s: float) -> None:
        assert self._host is not None
        if self.last is not None and self._heartbeat() != self._beats:
            self.state = "running"
            self.silent_s = 0.0
        elif not self._host.alive() or now_s - self._sign_s > _START_LIMIT_S:
            if self.state == "starting":
                self._judge_first_start(self._host.alive())
            self._end_host()
            self._recover()

    def _judge_first_start(self, is_alive: bool) -> None:
        """Let a host die once or twice (its place in memory was taken), not always."""
        self._deaths += 1
        if is_alive or self._deaths >= _MOST_DEATHS:
            self.state = "failed"
            self.error = self.error or (
                "the sound system does not answer"
                if is_alive
                else "the process for the sound card ends at once; see --in-process"
            )

    def _watch_heartbeat(self, look_s: float) -> None:
        assert self._host is not None
        beats = self._heartbeat()
        if beats != self._beats:
            self._beats, self.silent_s = beats, 0.0
        else:
            self.silent_s += min(look_s, _LONGEST_LOOK_S)
        if self.silent_s >= self._loss_s or not self._host.alive():
            self.state = "lost"
            self._end_host()
            self._recover()
            if self._restarts:
                self._begin(time.monotonic())
                self.state = "recovering"

    def _end_host(self) -> None:
        if self._host is not None:
            self.left_behind |= not self._host.kill()
            self._host = None

    def ask_to_end(self) -> None:
        """Tell the host to end; `end` waits for it."""
        if self._host is not None:
            self._host.stop()

    def end(self, deadline_s: float) -> None:
        """Let the host end by itself until `deadline_s` (monotonic), then kill it."""
        self.ask_to_end()
        if self._host is None:
            return
        while self._host.alive() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        self._end_host()

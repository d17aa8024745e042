"""Processes of our own on this machine: one file each at a time, the largest first.

A process pool of the standard library breaks as a whole when one of its workers dies; here a killed
worker (out of memory) costs its own file only. That is done again by a new worker; what kills two
is reported. A worker is a fresh interpreter, told by a socket what to do; it ends when that socket
does, so that none outlives this process, however this one ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait

from audio_engine.batch.job import Done, Job
from audio_engine.batch.run import Outcome
from audio_engine.batch.watch import Watch
from audio_engine.batch.worker import READY
from audio_engine.errors import WorkerError
from audio_engine.io.live.isolated import isolated_command

_PROGRAM = "from audio_engine.batch.worker import main; main(int(sys.argv[2]))"
_ATTEMPTS = 2  # workers that one file may cost
_FAILED_STARTS = 4  # in a row, after which it is not the files' fault
_FAREWELL_S = 2.0
#: One thread in each: the processes are as many as there are cores already.
_ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR")}


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class LocalPool:
    """Worker processes of this machine.

    Parameters
    ----------
    workers : int
        Files that are processed at the same time, at least 1.
    """

    def __init__(self, workers: int) -> None:
        self.lost_workers = False
        self._size = workers
        self._failed_starts = 0
        self._workers: dict[Connection, _Worker] = {}
        self._waiting: deque[Job] = deque()
        self._deaths: Counter[str] = Counter()

    def run(self, jobs: Sequence[Job], watch: Watch) -> Iterator[Outcome]:
        """Yield an outcome for each job, as they end."""
        self._waiting = deque(sorted(jobs, key=size_of, reverse=True))
        while self._waiting or any(worker.job for worker in self._workers.values()):
            self._hand_out()
            for connection in wait(list(self._workers)):
                outcome = self._hear(self._workers[connection], watch)  # type: ignore[index]
                if outcome is not None:
                    self._hand_out()  # the worker goes on while its last file is noted
                    yield outcome

    def _hear(self, worker: _Worker, watch: Watch) -> Outcome | None:
        """Take in what a worker says, and return the outcome if its job has ended."""
        job, message = worker.job, worker.hear()
        if message is None:
            return self._bury(worker, watch)
        if message == READY:
            self._failed_starts = 0
        elif job is not None and isinstance(message, tuple):
            watch.moved(job, *message)
        elif job is not None:
            worker.job = None
            return _outcome(job, message)
        return None

    def _hand_out(self) -> None:
        """Give each idle worker a job; make workers as long as there are fewer than allowed."""
        idle = [worker for worker in self._workers.values() if worker.job is None]
        while self._waiting and (idle or len(self._workers) < self._size):
            if not idle:
                worker = _Worker()
                self._workers[worker.connection] = worker
                idle.append(worker)
            worker = idle.pop()
            worker.job = self._waiting.popleft()
            with contextlib.suppress(OSError):  # it is dead: heard soon
                worker.connection.send(worker.job)

    def _bury(self, worker: _Worker, watch: Watch) -> Outcome | None:
        """Forget a dead worker; its job is given to another one, or has ended."""
        self.lost_workers = True
        del self._workers[worker.connection]
        job, why = worker.job, _death(worker.stop())
        self._failed_starts += 1  # back to none when one says that it is ready
        if self._failed_starts > _FAILED_STARTS:
            raise WorkerError(f"no worker process can be started: {why}")
        if job is None:
            return None
        self._deaths[job.target] += 1
        if self._deaths[job.target] == _ATTEMPTS:
            return Outcome(job, error=WorkerError(_killed(job, why)))
        watch.again(job, why)
        self._waiting.appendleft(job)
        return None

    def close(self) -> None:
        """Stop the workers: each gives up its file, of which nothing is left."""
        workers = list(self._workers.values())
        self._workers.clear()
        for worker in workers:
            worker.end()
        for worker in workers:
            worker.stop()


class _Worker:
    """A child process, and the job that it is at."""

    def __init__(self) -> None:
        self.job: Job | None = None
        ours, theirs = socket.socketpair()
        with theirs:
            # A process group of its own: Ctrl-C at the terminal is the parent's business. Not a
            # session: to the scheduler all workers stay one program, as nice as this one.
            self._process = subprocess.Popen(
                isolated_command(_PROGRAM, str(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,
                env={**os.environ, **_ONE_THREAD},
            )
        self.connection = Connection(ours.detach())

    def hear(self) -> object:
        """Return what the worker says; None if it is dead."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return None

    def end(self) -> None:
        """Ask the process to end; one that is still starting does so at once."""
        self._process.terminate()

    def stop(self) -> int:
        """Let the process end, kill it if it does not, and return its exit status."""
        self.connection.close()
        try:
            return self._process.wait(_FAREWELL_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _outcome(job: Job, message: object) -> Outcome:
    if isinstance(message, Done):
        return Outcome(job, message)
    assert isinstance(message, BaseException)
    return Outcome(job, error=message)


def size_of(job: Job) -> int:
    """Return the size of an input in bytes: the larger, the longer it takes."""
    try:
        return os.path.getsize(job.source)
    except OSError:  # fails at once, wherever it stands
        return 0


def _death(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"its worker process was killed ({signal.Signals(-status).name})"
    return f"its worker process ended (exit status {status})"


def _killed(job: Job, why: str) -> str:
    return f"{job.source}: {why}, {_ATTEMPTS} times; is there enough memory? --jobs 1 needs least"

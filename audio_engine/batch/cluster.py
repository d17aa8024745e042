"""Workers on other machines, through a Dask scheduler: the same jobs, outcomes and manifest.

Files lie on storage that all workers see under the same path (`shared`), or travel with the job and
back (`send`). The scheduler gives what a dead worker had to another one; the client alone writes
the manifest, when a result has arrived, so each file is in it once.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audio_engine.batch.job import Done, Job, do_job, portable
from audio_engine.batch.local import size_of
from audio_engine.batch.run import Outcome
from audio_engine.batch.watch import Watch
from audio_engine.errors import ConfigError, InputFileError, OutputFileError, WorkerError
from audio_engine.io.extras import install_command
from audio_engine.io.part_file import output_file
from audio_engine.io.versions import kernel_version, package_version

SCHEME = "dask://"
_CONNECT_S = 4.0
_LISTEN_S = 2.0
_ALONE_S = 60.0  # how long a cluster may be without a worker: they are being started again
_FETCH_S = 300.0  # for a large file to arrive
_SAMPLES = 200  # files that are compared to find out whether storage is shared
_AHEAD = 2  # files per thread of a worker that wait or run there: it is never idle


@dataclass(frozen=True, slots=True)
class Parcel:
    """A job with the bytes of its files."""

    job: Job
    source: bytes
    far_end: bytes | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a job, with the bytes of its output and reports by their endings."""

    result: Done | BaseException
    output: bytes = b""
    reports: dict[str, bytes] | None = None


class DaskCluster:
    """The workers of a Dask scheduler.

    Parameters
    ----------
    address : str
        ``dask://HOST:PORT``.
    files : {"auto", "shared", "send"}
        How files come to the workers. ``auto``: shared, if every worker sees what we see.

    Raises
    ------
    ConfigError
        If the address is none, or `distributed` is not installed.
    WorkerError
        If the scheduler is not reached within 4 s, has no worker, or one with another version.
    """

    lost_workers = True  # the scheduler does not tell

    def __init__(self, address: str, files: str = "auto") -> None:
        place = address.removeprefix(SCHEME)
        if place == address or ":" not in place:
            raise ConfigError(f"--cluster {address}: write {SCHEME}HOST:PORT")
        self.address, self.files = address, files
        self._client = _connect(place, address)
        try:
            self._check_workers()
        except BaseException:
            self.close()
            raise

    def _check_workers(self) -> None:
        """Raise unless every worker has our version: an output must not depend on who made it."""
        ours = (package_version(), kernel_version())
        for worker, theirs in self._ask_workers(_identity_of_worker()).items():
            if isinstance(theirs, BaseException):
                raise WorkerError(f"{worker}: audio-engine does not run there: {theirs}")
            if theirs != ours:
                raise WorkerError(
                    f"{worker} has audio-engine {theirs[0]} (kernels {theirs[1]}), here is "
                    f"{ours[0]} ({ours[1]}): install the same version; AUDIO_ENGINE_KERNELS="
                    "baseline makes the kernels equal"
                )

    def _ask_workers(self, function: Any, *arguments: Any) -> dict[str, Any]:
        """Return what a function returns or raises on each worker; there is one at least."""
        give_up_s = time.monotonic() + _CONNECT_S
        while True:
            found: dict[str, Any] = self._client.run(function, *arguments, on_error="return")
            lost = [error for error in found.values() if isinstance(error, OSError)]
            if found and not lost:
                return found
            if time.monotonic() > give_up_s:
                why = f"a worker does not answer: {lost[0]}" if lost else "it has no worker"
                raise WorkerError(f"{self.address}: {why}; start dask worker")
            time.sleep(0.1)  # one is being started, or has just died

    def run(self, jobs: Sequence[Job], watch: Watch) -> Iterator[Outcome]:
        """Yield an outcome for each job, as they end."""
        shared = self._are_shared(jobs, watch)
        waiting = deque(sorted(jobs, key=size_of, reverse=True))
        running: dict[Any, Job] = {}
        while waiting or running:
            room = _AHEAD * max(1, sum(self._client.nthreads().values())) - len(running)
            while waiting and room > 0:
                job, room = waiting.popleft(), room - 1
                try:
                    running[self._submit(job, shared)] = job
                except OSError as error:  # a file to be sent cannot be read
                    why = InputFileError(f"{job.source}: {error.strerror or error}")
                    yield Outcome(job, error=why)
            for future in self._ended(list(running)) if running else ():
                yield _outcome(running.pop(future), future)

    def _submit(self, job: Job, shared: bool) -> Any:
        if shared:
            return self._client.submit(do_shared, job, _absolute(job), pure=False)
        far_end = None if job.far_end is None else Path(job.far_end).read_bytes()
        parcel = Parcel(job, Path(job.source).read_bytes(), far_end)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is large is no news
            return self._client.submit(do_sent, parcel, pure=False)

    def _ended(self, futures: list[Any]) -> list[Any]:
        """Wait until some have ended; raise if nobody is there any more to do them."""
        from distributed import wait

        give_up_s = time.monotonic() + _ALONE_S
        while True:
            try:
                with self._client.as_current():
                    return list(wait(futures, _LISTEN_S, "FIRST_COMPLETED").done)
            except TimeoutError:
                if self._client.status != "running":
                    raise WorkerError(f"{self.address}: the scheduler does not answer") from None
                if self._client.nthreads():
                    give_up_s = time.monotonic() + _ALONE_S
                elif time.monotonic() > give_up_s:
                    raise WorkerError(f"{self.address}: all workers are gone") from None
            except Exception as error:  # cancelled, by the loss of the scheduler
                text = f"{self.address}: the scheduler is gone; --resume goes on when it is back"
                raise WorkerError(text) from error

    def _are_shared(self, jobs: Sequence[Job], watch: Watch) -> bool:
        """Say whether the workers have our files, as far as that was not decided by the user."""
        if self.files == "send":
            return False
        seen = self._ask_workers(_sees, _samples(jobs))
        blind = [worker for worker, sees in seen.items() if sees is not True]
        if blind and self.files == "shared":
            raise WorkerError(
                f"{blind[0]} does not see the same files; use --cluster-files send, or share them"
            )
        how = "are sent to the workers and back" if blind else "lie where the workers see them"
        watch.said(f"{self.address}: the files {how}")
        return not blind

    def close(self) -> None:
        """Leave the cluster; what it has not begun is forgotten there."""
        with contextlib.suppress(Exception):
            self._client.close(timeout=_LISTEN_S)


def _connect(place: str, address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError(
            "--cluster works with Dask, which is not installed; install it with: "
            f"{install_command('distributed')}"
        ) from None
    for name in ("distributed", "distributed.client", "distributed.core", "distributed.comm"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is said by us
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Client(f"tcp://{place}", timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WorkerError(f"{address}: no Dask scheduler answers there: {said}") from None


def _identity_of_worker() -> Any:
    """Return a function that tells a worker's version, sent by value: it may have none of us."""

    def identity() -> tuple[str | None, str | None]:
        """Return version and kernels of a worker."""
        from audio_engine.io.versions import versions

        found = versions()
        return found["audio-engine"], found["kernels"]

    return identity


def _samples(jobs: Sequence[Job]) -> list[tuple[str, int, int]]:
    """Return a file of each folder, and the output's folder: path, size, time of change."""
    files = {os.path.dirname(os.path.abspath(job.source)): job.source for job in jobs}
    far = {
        os.path.dirname(os.path.abspath(job.far_end)): job.far_end for job in jobs if job.far_end
    }
    paths = [*files.values(), *far.values()][:_SAMPLES]
    paths.append(os.path.dirname(os.path.abspath(jobs[0].target)))
    found = []
    for path in paths:
        with contextlib.suppress(OSError):  # what is missing here will be said when it is opened
            now = os.stat(path)
            found.append((os.path.abspath(path), now.st_size, now.st_mtime_ns))
    return found


def _sees(samples: list[tuple[str, int, int]]) -> bool:
    """Say whether the very same files are seen here; runs on a worker."""
    for path, size, changed_ns in samples:
        try:
            found = os.stat(path)
        except OSError:
            return False
        if found.st_mtime_ns != changed_ns or (os.path.isfile(path) and found.st_size != size):
            return False
    return True


def _absolute(job: Job) -> Job:
    """Return a job that means the same in any working folder."""
    return replace(
        job,
        source=os.path.abspath(job.source),
        target=os.path.abspath(job.target),
        far_end=None if job.far_end is None else os.path.abspath(job.far_end),
        report=None if job.report is None else os.path.abspath(job.report),
    )


def do_shared(shown: Job, job: Job) -> Reply:
    """Do a job on shared storage; runs on a worker. `shown` has the names that the user gave."""
    try:
        return Reply(do_job(job, shown=shown))
    except Exception as error:
        return Reply(portable(error, job, shown))


def do_sent(parcel: Parcel) -> Reply:
    """Do a job on a copy of its files; runs on a worker."""
    shown = parcel.job
    with tempfile.TemporaryDirectory(prefix="audio-engine-", dir=_scratch_folder()) as folder:
        job = _unpack(parcel, Path(folder))
        try:
            done = do_job(job, shown=shown)
        except Exception as error:
            return Reply(portable(error, job, shown))
        reports = None
        if job.report is not None:
            made = Path(job.report).parent.iterdir()
            reports = {path.suffix: path.read_bytes() for path in made}
        return Reply(done, Path(job.target).read_bytes(), reports)


def _scratch_folder() -> str | None:
    """Return the worker's own folder, which Dask clears even after a kill; None for the usual."""
    from distributed import get_worker

    try:
        return str(get_worker().local_directory)
    except ValueError:  # not on a worker
        return None


def _unpack(parcel: Parcel, folder: Path) -> Job:
    def place(kind: str, path: str | None, content: bytes | None = None) -> str | None:
        """Give a file of the job a folder of its own."""
        if path is None:
            return None
        (folder / kind).mkdir()
        file = folder / kind / os.path.basename(path)
        if content is not None:
            file.write_bytes(content)
        return str(file)

    job = parcel.job
    return replace(
        job,
        source=place("in", job.source, parcel.source) or "",
        target=place("out", job.target) or "",
        far_end=place("far", job.far_end, parcel.far_end),
        report=place("report", job.report),
    )


def _outcome(job: Job, future: Any) -> Outcome:
    """Take a result from the cluster, and put the files that came with it where they belong."""
    try:
        reply: Reply = future.result(timeout=_FETCH_S)
    except Exception as error:  # KilledWorker, mostly
        return Outcome(job, error=WorkerError(f"{job.source}: lost in the cluster: {error}"))
    result = reply.result
    if isinstance(result, BaseException):
        return Outcome(job, error=result)
    try:
        if reply.output:
            _keep(reply.output, job.target, result)
        for ending, content in (reply.reports or {}).items():
            assert job.report is not None
            with output_file(Path(job.report).with_suffix(ending)) as part:
                part.write_bytes(content)
    except OutputFileError as error:
        return Outcome(job, error=error)
    return Outcome(job, result)


def _keep(content: bytes, target: str, done: Done) -> None:
    wanted = done.fingerprints
    if wanted is None or hashlib.sha256(content).hexdigest() != wanted.output:
        raise OutputFileError(f"{target}: was damaged on its way from the worker")
    with output_file(target) as part:
        part.write_bytes(content)

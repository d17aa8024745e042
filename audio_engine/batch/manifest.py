"""What has been done in a folder: one line of JSON per file, added when the file is finished.

A line is written and synchronised to the disk after the output has its name, by the one process
that holds the manifest's lock; a kill at any moment costs at most half a last line, which the next
run cuts off. The last line of an output counts.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from audio_engine.batch.job import Done, Job, far_end_sha256, file_sha256, settings_sha256
from audio_engine.errors import OutputFileError

NAME = "audio-engine-manifest.jsonl"
SCHEMA = 1
_PATIENCE_S = 1.0  # the processes of a run that was killed a moment ago are still ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line: what was done to one file. `docs/batch.md` explains the fields."""

    schema: int = SCHEMA
    status: str  # done or failed
    input: str
    far_end: str | None
    output: str  # within the manifest's folder
    input_sha256: str | None = None
    far_end_sha256: str | None = None
    settings_sha256: str
    output_sha256: str | None = None
    output_bytes: int | None = None
    version: str
    kernels: str | None = None
    duration_s: float | None = None
    seconds: float | None = None
    finished: str
    error: str | None = None


class Manifest:
    """The manifest of a folder, locked against other runs.

    Parameters
    ----------
    folder : path-like
        Where the outputs go; it is made if it is not there.

    Raises
    ------
    OutputFileError
        If it cannot be written, or another run is at work in this folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.path = self.folder / NAME
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise self._failure(error) from None
        try:
            self._lock()
            content = _read(self._descriptor)
            whole = content.rfind(b"\n") + 1
            if whole < len(content):  # a kill cut the last line in two
                os.ftruncate(self._descriptor, whole)
        except OSError as error:
            os.close(self._descriptor)
            raise self._failure(error) from None
        except BaseException:
            os.close(self._descriptor)
            raise
        self.entries = _entries(content[:whole])

    def _lock(self) -> None:
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise OutputFileError(
                        f"{self.folder}: another run is at work in this folder; wait for its end, "
                        "or name another folder"
                    ) from None
            time.sleep(0.05)

    def name_of(self, job: Job) -> str:
        """Return how the output of a job is called in here."""
        return os.path.relpath(job.target, self.folder)

    def append(self, entry: Entry) -> None:
        """Add a line, and return when it is on the disk."""
        line = _encode(asdict(entry)) + b"\n"
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._failure(error) from None
        self.entries[entry.output] = entry

    def close(self) -> None:
        """Release the lock; doing so twice is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _failure(self, error: OSError) -> OutputFileError:
        return OutputFileError(f"{self.path}: cannot be written: {error.strerror or error}")


def read_entries(folder: str | os.PathLike[str]) -> dict[str, Entry]:
    """Return the last entry of each output, by its name in the folder; touches nothing."""
    try:
        content = (Path(folder) / NAME).read_bytes()
    except OSError:
        return {}
    return _entries(content[: content.rfind(b"\n") + 1])


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return file.read()


def _entries(content: bytes) -> dict[str, Entry]:
    """Read lines; what is no entry of this schema counts as not there, and is done again."""
    names = {item.name for item in fields(Entry)}
    found = {}
    for line in content.splitlines():
        with contextlib.suppress(ValueError, TypeError):
            values = json.loads(line)
            if values["schema"] != SCHEMA or not isinstance(values["output"], str):
                continue
            found[values["output"]] = Entry(
                **{name: value for name, value in values.items() if name in names}
            )
    return found


def _encode(values: dict[str, Any]) -> bytes:
    try:
        return json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a file name that is no text
        return json.dumps(values).encode()


def done_entry(job: Job, output: str, done: Done, version: str) -> Entry:
    """Return the line of a file that went well."""
    prints = done.fingerprints
    assert prints is not None
    return Entry(
        status="done",
        input=os.path.abspath(job.source),
        far_end=None if job.far_end is None else os.path.abspath(job.far_end),
        output=output,
        input_sha256=prints.source,
        far_end_sha256=prints.far_end,
        settings_sha256=settings_sha256(job, version),
        output_sha256=prints.output,
        output_bytes=prints.output_bytes,
        version=version,
        kernels=done.kernels,
        duration_s=round(done.report.duration_s, 6),
        seconds=round(done.seconds, 3),
        finished=_now(),
    )


def failed_entry(job: Job, output: str, error: BaseException, version: str) -> Entry:
    """Return the line of a file that failed."""
    return Entry(
        status="failed",
        input=os.path.abspath(job.source),
        far_end=None if job.far_end is None else os.path.abspath(job.far_end),
        output=output,
        settings_sha256=settings_sha256(job, version),
        version=version,
        finished=_now(),
        error=str(error),
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def why_again(job: Job, entry: Entry | None, version: str) -> str | None:
    """Say why a file is to be done again; None if its output is there and is what it would be.

    The quick questions come first: no file is read where a number already says no.
    """
    if entry is None:
        return "new"
    holds: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("failed before", lambda: entry.status == "done"),
        (
            "other settings or version",
            lambda: entry.settings_sha256 == settings_sha256(job, version),
        ),
        ("no report yet", lambda: job.report is None or os.path.isfile(job.report)),
        ("output changed", lambda: os.path.getsize(job.target) == entry.output_bytes),
        ("input changed", lambda: file_sha256(job.source) == entry.input_sha256),
        ("far end changed", lambda: far_end_sha256(job.far_end) == entry.far_end_sha256),
        ("output changed", lambda: file_sha256(job.target) == entry.output_sha256),
    )
    try:
        return next((reason for reason, is_so in holds if not is_so()), None)
    except OSError:
        return "a file is missing"

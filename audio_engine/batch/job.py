"""One file to process: everything a worker, here or on another machine, needs to know."""

from __future__ import annotations

import hashlib
import json
import os
import time
import traceback
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from audio_engine.config import EngineConfig
from audio_engine.errors import AudioEngineError
from audio_engine.io.versions import kernel_version

if TYPE_CHECKING:
    from audio_engine.io.offline import FileReport, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One input, one output, and what is to be done in between.

    Attributes
    ----------
    source, target : str
        Input and output; ``-`` is standard input or output.
    far_end : str or None
        What the loudspeaker played.
    config : EngineConfig
        Settings.
    preset : str
        Name of the preset that the settings come from, for the report.
    loudness_lufs : float or None
        Integrated loudness of the whole output.
    echo_state : str or None
        File with the echo path that is started from, and kept at the end.
    report : str or None
        Where the HTML report goes; the same as JSON lies beside it.
    language : str
        Of the report.
    """

    source: str
    target: str
    far_end: str | None = None
    config: EngineConfig
    preset: str
    loudness_lufs: float | None = None
    echo_state: str | None = None
    report: str | None = None
    language: str = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """SHA-256 of what went in and what came out, and the size of the output in bytes."""

    source: str
    far_end: str | None
    output: str
    output_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a job that went well: `seconds` it took, and the build of the kernels."""

    report: FileReport
    seconds: float
    kernels: str
    fingerprints: Fingerprints | None


def run_job(job: Job, progress: Progress | None = None, *, shown: Job | None = None) -> FileReport:
    """Process the file of a job, and write its report if it wants one.

    `shown` is the same job with the names that the user gave, where a worker has to use others.

    Raises
    ------
    AudioEngineError
        As `process_file` does.
    """
    from audio_engine.io.offline import process_file

    trace = None
    if job.report is not None:
        from audio_engine.report.trace import Trace
        from audio_engine.report.write import check_report_path

        check_report_path(Path(job.report))  # before the work, not after it
        trace = Trace()
    report = process_file(
        job.source,
        job.target,
        config=job.config,
        far_end=job.far_end,
        echo_state=job.echo_state,
        loudness_lufs=job.loudness_lufs,
        progress=progress,
        watch=trace,
    )
    if shown is not None:
        texts = (_with_names_of(shown, text, job) for text in report.warnings)
        report = replace(report, warnings=tuple(texts))
    if job.report is not None and trace is not None:
        from audio_engine.report.write import write_report

        write_report(
            job.report, report, trace, config=job.config, preset=job.preset, language=job.language
        )
    if shown is not None:
        report = replace(report, input=shown.source, output=shown.target, far_end=shown.far_end)
    return report


def _with_names_of(shown: Job, text: str, job: Job) -> str:
    names = {job.source: shown.source, job.target: shown.target, job.far_end: shown.far_end}
    for name, other in names.items():
        if name is not None and other is not None:
            text = text.replace(name, other)
    return text


def do_job(
    job: Job, progress: Progress | None = None, *, hashes: bool = True, shown: Job | None = None
) -> Done:
    """Run a job and take the fingerprints of its files.

    The input's is taken before it is processed: if somebody changes the file meanwhile, the next
    run finds another one and does it again.
    """
    started = time.perf_counter()
    source = file_sha256(job.source) if hashes and os.path.isfile(job.source) else ""
    far_end = far_end_sha256(job.far_end) if hashes else None
    report = run_job(job, progress, shown=shown)
    fingerprints = None
    if hashes:
        fingerprints = Fingerprints(
            source=source,
            far_end=far_end,
            output=file_sha256(job.target),
            output_bytes=os.path.getsize(job.target),
        )
    seconds = time.perf_counter() - started
    return Done(report=report, seconds=seconds, kernels=kernel_version(), fingerprints=fingerprints)


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def far_end_sha256(path: str | None) -> str | None:
    """Return the SHA-256 of a far end, read once although many inputs share it; None without."""
    if path is None or not os.path.isfile(path):  # what is missing is said when it is opened
        return None
    found = os.stat(path)
    return _sha256_of_version(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _sha256_of_version(path: str, size: int, changed_ns: int) -> str:
    return file_sha256(path)


def settings_sha256(job: Job, version: str) -> str:
    """Return the SHA-256 of all that decides on the output besides the files' content."""
    return _settings_sha256(job.config, job.loudness_lufs, version)


@lru_cache(maxsize=64)
def _settings_sha256(config: EngineConfig, loudness_lufs: float | None, version: str) -> str:
    settings = {"config": config.to_dict(), "loudness_lufs": loudness_lufs, "version": version}
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def portable(
    error: BaseException, job: Job | None = None, shown: Job | None = None
) -> BaseException:
    """Return an error that can be sent to another process, with its traceback as a note.

    With `job` and `shown`, its text has the names that the user gave.
    """
    text = str(error)
    if job is not None and shown is not None:
        text = _with_names_of(shown, text, job)
    sent: BaseException = RuntimeError(f"{type(error).__name__}: {text}")
    if isinstance(error, AudioEngineError | MemoryError):
        try:
            sent = type(error)(text)
        except TypeError:  # needs more than a text
            sent = AudioEngineError(text)
    elif isinstance(error, OSError):
        sent = OSError(text)
    sent.add_note("in the worker:\n" + "".join(traceback.format_exception(error)))
    return sent

"""Drive any executor through a plan: skip what is finished, note what becomes finished.

An executor takes jobs and gives back what became of each, in the order in which they end. Only this
process writes the manifest, and only after an output has its name: a file is in it once.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from audio_engine.batch.job import Done, Job, do_job
from audio_engine.batch.manifest import Entry, Manifest, done_entry, failed_entry, why_again
from audio_engine.batch.plan import Plan
from audio_engine.batch.watch import Watch
from audio_engine.errors import OutputFileError
from audio_engine.io.versions import package_version


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one job: `done`, or an error; neither where it was finished before."""

    job: Job
    done: Done | None = None
    error: BaseException | None = None

    @property
    def status(self) -> str:
        """``done``, ``failed`` or ``skipped``."""
        return "done" if self.done else "failed" if self.error else "skipped"


class Executor(Protocol):
    """Whoever does the jobs. `lost_workers`: some may have died with a file half written."""

    lost_workers: bool

    def run(self, jobs: Sequence[Job], watch: Watch) -> Iterator[Outcome]:
        """Yield an outcome for each job, as they end."""

    def close(self) -> None:
        """Stop at once whatever is still at work; doing so twice is fine."""


class InThisProcess:
    """Do one job after the other, here: for a single file, or files that build on each other."""

    lost_workers = False

    def __init__(self, *, hashes: bool) -> None:
        self._hashes = hashes

    def run(self, jobs: Sequence[Job], watch: Watch) -> Iterator[Outcome]:
        """Yield an outcome for each job, in their order."""
        for job in jobs:
            progress = partial(watch.moved, job)
            try:
                outcome = Outcome(job, do_job(job, progress, hashes=self._hashes))
            except Exception as error:
                outcome = Outcome(job, error=error)
            yield outcome

    def close(self) -> None:
        """Nothing is left to stop."""


def run_plan(
    plan: Plan, executor: Executor, watch: Watch, *, manifest: Manifest | None, resume: bool
) -> list[Outcome]:
    """Do what is planned.

    Parameters
    ----------
    plan : Plan
        What to do.
    executor : Executor
        Who does it; it is closed at the end, whatever happens.
    watch : Watch
        Told how far things are.
    manifest : Manifest, optional
        Where each file is noted.
    resume : bool
        Skip what the manifest says is finished, where the files still are what they were.

    Returns
    -------
    list of Outcome
        One for each job, in the order of the plan.

    Raises
    ------
    OutputFileError
        If a folder cannot be made, or the manifest cannot be written.
    """
    outcomes: dict[str, Outcome] = {}
    with contextlib.closing(executor):
        todo = list(plan.jobs)
        if manifest is not None and resume:
            remove_parts(plan)
            reasons = reasons_to_do(plan, manifest.entries, watch.checked)
            outcomes = {job.target: Outcome(job) for job in plan.jobs}
            todo = [job for job in plan.jobs if reasons[job.target] is not None]
        make_folders(plan)
        watch.planned(todo)
        for outcome in executor.run(todo, watch) if todo else ():
            outcomes[outcome.job.target] = outcome
            if manifest is not None:
                _note(outcome, manifest)
            watch.ended(outcome)
        if manifest is not None and executor.lost_workers:
            remove_parts(plan)
    return [outcomes[job.target] for job in plan.jobs]


def reasons_to_do(
    plan: Plan, entries: Mapping[str, Entry], checked: Callable[[int, int], None]
) -> dict[str, str | None]:
    """Return for each output why it is to be made; None if it is finished.

    `checked` is called with the outputs looked at so far, and with all.
    """
    version = package_version()

    def why(job: Job) -> str | None:
        """Say why a job is to be done; None if it is finished."""
        name = os.path.relpath(job.target, plan.folder)
        return why_again(job, entries.get(name), version)

    reasons: dict[str, str | None] = {}
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))  # hashing lets the others run
    try:
        for job, reason in zip(plan.jobs, pool.map(why, plan.jobs), strict=True):
            reasons[job.target] = reason
            checked(len(reasons), len(plan.jobs))
    finally:
        pool.shutdown(cancel_futures=True)
    return reasons


def make_folders(plan: Plan) -> None:
    """Make the folders that outputs and reports go to; one that was named as a file's is not."""
    places = {os.path.dirname(job.target) for job in plan.jobs if plan.into_folder}
    places |= {os.path.dirname(job.report) for job in plan.jobs if job.report and plan.into_folder}
    for place in sorted(places - {""}):
        try:
            os.makedirs(place, exist_ok=True)
        except OSError as error:
            raise OutputFileError(f"{place}: cannot be made: {error.strerror or error}") from None


def remove_parts(plan: Plan) -> None:
    """Remove the temporary files that killed workers left; under the manifest's lock only."""
    for folder in {os.path.dirname(job.target) for job in plan.jobs}:
        for path in glob.iglob(os.path.join(glob.escape(folder), ".audio-engine-*.part")):
            with contextlib.suppress(OSError):
                os.unlink(path)


def _note(outcome: Outcome, manifest: Manifest) -> None:
    name, version = manifest.name_of(outcome.job), package_version()
    if outcome.done is not None:
        manifest.append(done_entry(outcome.job, name, outcome.done, version))
    elif outcome.error is not None:
        manifest.append(failed_entry(outcome.job, name, outcome.error, version))

"""What a run over many files shows: bars while it lasts, a table or JSON at its end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from audio_engine.batch.watch import Watch
from audio_engine.cli.common import EXIT_FAILED, Talk, figure, one_line, print_json, print_table

if TYPE_CHECKING:
    from audio_engine.batch.find import Problem
    from audio_engine.batch.job import Job
    from audio_engine.batch.plan import Plan
    from audio_engine.batch.run import Outcome
    from audio_engine.io.offline import FileReport

_NAME_WIDTH = 40


class BatchView(Watch):
    """Shows how far a run is: a bar for all files and one for each that is being processed.

    Bars are drawn on a terminal only; errors and warnings are said anywhere.

    Parameters
    ----------
    talk : Talk
        Where words go.
    files : int
        Files of the plan; a single one has no bar for all.
    """

    def __init__(self, talk: Talk, files: int) -> None:
        self._talk, self._files = talk, files
        self._bars: Any = None
        self._all: Any = None
        self._bar_of: dict[str, Any] = {}
        self._started_s = time.perf_counter()
        self.todo = 0
        self._codes: list[int] = []
        self.done = 0

    def __enter__(self) -> Self:
        if self._talk.draws:
            self._bars = _bars()
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    @property
    def seconds(self) -> float:
        """Seconds since the view was made."""
        return time.perf_counter() - self._started_s

    def checked(self, done: int, total: int) -> None:
        """Show how many finished outputs have been looked at."""
        if self._bars is not None:
            if self._all is None:
                self._all = self._bars.add_task("checking what is there", count="")
            self._bars.update(self._all, completed=done, total=total, count=f"{done}/{total}")

    def said(self, text: str) -> None:
        """Say something about the run."""
        self._talk.note(text)

    def planned(self, jobs: Sequence[Job]) -> None:
        """Show how many files are about to be done, and say how many are already."""
        self.todo = len(jobs)
        if self._files > len(jobs):
            self._talk.note(
                f"{self._files - len(jobs)} of {self._files} files are finished: skipped"
            )
        if self._bars is not None:
            if self._all is not None:
                self._bars.remove_task(self._all)
            self._all = None
            if self._files > 1:
                self._all = self._bars.add_task("all files", total=len(jobs), count="")
                self._count()

    def moved(self, job: Job, done: int, total: int) -> None:
        """Show how far a file is."""
        if self._bars is None:
            return
        if job.target not in self._bar_of:
            name = one_line(job.source)
            name = name if len(name) <= _NAME_WIDTH else "…" + name[1 - _NAME_WIDTH :]
            self._bar_of[job.target] = self._bars.add_task(name, count="")
        self._bars.update(self._bar_of[job.target], completed=done, total=total or None)

    def again(self, job: Job, reason: str) -> None:
        """Say that a file is done again."""
        self._remove_bar(job)
        self._talk.warn(f"{job.source}: {reason}; it is done again")

    def ended(self, outcome: Outcome) -> None:
        """Say what is worth knowing about a file that has ended."""
        self._remove_bar(outcome.job)
        self.done += 1
        if outcome.error is not None:
            self.failed(outcome.error)
        elif outcome.done is not None:
            tell_about(self._talk, outcome.done.report)
        self._count()

    def failed(self, error: BaseException) -> None:
        """Say what has failed."""
        self._codes.append(self._talk.error(error))

    def code(self, *, single: bool) -> int:
        """Return the exit code: 0; of a single input its own; 1 where any of many failed."""
        if not self._codes:
            return 0
        return self._codes[0] if single else EXIT_FAILED

    def farewell(self) -> str:
        """Return what is said about files that are done when the user stops the run."""
        files = self.todo or self._files
        return f"; {self.done} of {files} files are done, --resume goes on with the rest"

    def _count(self) -> None:
        if self._bars is not None and self._all is not None:
            count = f"{self.done}/{self.todo}"
            self._bars.update(self._all, completed=self.done, count=count)

    def _remove_bar(self, job: Job) -> None:
        bar = self._bar_of.pop(job.target, None)
        if bar is not None:
            self._bars.remove_task(bar)


def _bars() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[count]}", markup=False),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


def tell_left_out(talk: Talk, plan: Plan) -> None:
    """Say how many files are no inputs although they were found, and which to the curious."""
    for reason, count in Counter(plan.left_out.values()).items():
        talk.note(f"left out: {count} {'file' if count == 1 else 'files'}, {reason}")
    for path, reason in plan.left_out.items():
        talk.detail(f"{path}: left out, {reason}")


def tell_about(talk: Talk, report: FileReport) -> None:
    """Say what is wrong with a file that was processed, and to the curious what was done."""
    for text in report.warnings:
        talk.warn(text)
    if report.clipped_output_count:
        talk.warn(f"{report.output}: {report.clipped_output_count} samples were cut at full scale")
    talk.detail(
        f"{report.output}: {report.frames} frames at {report.sample_rate_hz} Hz, {report.channels} "
        f"channels, latency of {report.latency_frames} frames taken off"
    )


def print_outcomes(
    outcomes: Sequence[Outcome], problems: Sequence[Problem], seconds: float, *, as_json: bool
) -> None:
    """Print what was done to each file, and in all where there are many."""
    summary = _summary(outcomes, problems, seconds)
    if as_json:
        files = [_document(outcome) for outcome in outcomes]
        files += [
            {"status": "failed", "input": item.source, "error": str(item.error)}
            for item in problems
        ]
        print_json({"files": files, "summary": summary})
        return
    reports = [outcome.done.report for outcome in outcomes if outcome.done is not None]
    many = len(outcomes) + len(problems) > 1
    if reports or many:
        print_reports(reports, summary if many else None)


def _document(outcome: Outcome) -> dict[str, Any]:
    if outcome.done is not None:
        return {"status": "done", **outcome.done.report.to_dict()}
    named = {"status": outcome.status, "input": outcome.job.source, "output": outcome.job.target}
    return named if outcome.error is None else {**named, "error": str(outcome.error)}


def _summary(
    outcomes: Sequence[Outcome], problems: Sequence[Problem], seconds: float
) -> dict[str, Any]:
    statuses = [outcome.status for outcome in outcomes]
    audio_s = sum(each.done.report.duration_s for each in outcomes if each.done is not None)
    return {
        "done": statuses.count("done"),
        "skipped": statuses.count("skipped"),
        "failed": statuses.count("failed") + len(problems),
        "audio_s": audio_s,
        "seconds": seconds,
        "times_real_time": audio_s / seconds,
    }


def print_reports(reports: Sequence[FileReport], summary: dict[str, Any] | None = None) -> None:
    """Print what was done to each file, one line per file, and a line for all."""
    columns = ["output", "s", "LUFS in", "out"]
    columns += ["dBTP in", "out", "echo dB", "noise dB", "speed"]
    two_passes = any(report.loudness_target_lufs is not None for report in reports)
    if two_passes:
        columns[4:4] = ["target", "gain dB"]
    rows = []
    for report in reports:
        row = [
            report.output,
            figure(report.duration_s),
            figure(report.loudness_before.integrated_lufs),
            figure(report.loudness_after.integrated_lufs),
            figure(report.loudness_before.true_peak_dbtp),
            figure(report.loudness_after.true_peak_dbtp),
            figure(_negative(report.erle_db)),
            figure(_negative(report.noise_reduction_db)),
            f"{figure(report.times_real_time, decimals=0)}x",
        ]
        if two_passes:
            row[4:4] = [figure(report.loudness_target_lufs), figure(report.loudness_gain_db)]
        rows.append(row)
    if summary is not None:
        counts = (f"{summary[name]} {name}" for name in ("done", "skipped", "failed"))
        total = [", ".join(counts), figure(summary["audio_s"])]
        total += [""] * (len(columns) - 3)
        speed = f"{figure(summary['times_real_time'], decimals=0)}x" if summary["done"] else ""
        rows.append([*total, speed])
    print_table(columns, rows)


def _negative(reduction_db: float | None) -> float | None:
    return None if reduction_db is None else -reduction_db


def print_plan(plan: Plan, reasons: dict[str, str | None], *, as_json: bool) -> None:
    """Print what would be done; `reasons` has, for each output, why it would be made or None."""
    files = [
        {
            "action": "skip" if reasons[job.target] is None else "process",
            "input": job.source,
            "far_end": job.far_end,
            "output": job.target,
            "reason": reasons[job.target] or "finished",
        }
        for job in plan.jobs
    ]
    files += [
        {
            "action": "fail",
            "input": item.source,
            "far_end": None,
            "output": None,
            "reason": str(item.error),
        }
        for item in plan.problems
    ]
    left_out = [{"input": path, "reason": reason} for path, reason in plan.left_out.items()]
    if as_json:
        print_json({"files": files, "left_out": left_out})
        return
    columns = ("input", "far end", "output", "action", "reason")
    rows = [
        [
            item["input"],
            item["far_end"] or "-",
            item["output"] or "-",
            item["action"],
            item["reason"],
        ]
        for item in files
    ]
    rows += [[item["input"], "-", "-", "leave out", item["reason"]] for item in left_out]
    print_table(columns, [[str(cell) for cell in row] for row in rows], text_columns=5)

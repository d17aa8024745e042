"""The page that leads to the reports of many files, those of earlier runs too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from audio_engine.batch.find import Problem
from audio_engine.batch.run import Outcome
from audio_engine.report.index import IndexRow, write_index

NAME = "index.html"


def write_report_page(
    folder: Path, outcomes: Sequence[Outcome], problems: Sequence[Problem], language: str
) -> Path:
    """Write the page: a line for each file of a run, with a link to its report; return its path.

    Raises
    ------
    OutputFileError
        If it cannot be written.
    """
    rows = [_row(outcome) for outcome in outcomes]
    rows += [IndexRow(name=item.source, error=str(item.error)) for item in problems]
    folder.mkdir(parents=True, exist_ok=True)
    write_index(folder / NAME, rows, language=language)
    return folder / NAME


def _row(outcome: Outcome) -> IndexRow:
    job = outcome.job
    if outcome.done is not None:
        return IndexRow.of(outcome.done.report, job.report)
    if outcome.error is not None:
        return IndexRow(name=job.source, error=str(outcome.error))
    assert job.report is not None
    try:
        found = json.loads(Path(job.report).with_suffix(".json").read_text(encoding="utf-8"))
        return IndexRow(
            name=job.source,
            report=job.report,
            duration_s=found["duration_s"],
            loudness_before_lufs=found["before"]["integrated_lufs"],
            loudness_after_lufs=found["after"]["integrated_lufs"],
            true_peak_after_dbtp=found["after"]["true_peak_dbtp"],
        )
    except (OSError, ValueError, KeyError):  # somebody has taken the data away; the page is there
        return IndexRow(name=job.source, report=job.report)

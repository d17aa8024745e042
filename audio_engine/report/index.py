"""One page for many reports: every file of a batch with its figures, and a link to its report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Self
from urllib.parse import quote

from audio_engine.io.files import check_target
from audio_engine.io.offline import FileReport
from audio_engine.io.part_file import output_file
from audio_engine.report.html import policy, read_page
from audio_engine.report.text import clock, number
from audio_engine.wording import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRow:
    """One file of a batch.

    Attributes
    ----------
    name : str
        The input.
    report : str or None
        Path of its report; None: it has none.
    error : str or None
        Why it failed; None: it is done.
    duration_s, loudness_before_lufs, loudness_after_lufs, true_peak_after_dbtp : float or None
        Its figures; None or not finite: there are none.
    """

    name: str
    report: str | None = None
    error: str | None = None
    duration_s: float | None = None
    loudness_before_lufs: float | None = None
    loudness_after_lufs: float | None = None
    true_peak_after_dbtp: float | None = None

    @classmethod
    def of(cls, done: FileReport, report: str | os.PathLike[str] | None = None) -> Self:
        """Return the row of a file that was processed."""
        return cls(
            name=done.input,
            report=None if report is None else os.fspath(report),
            duration_s=done.duration_s,
            loudness_before_lufs=done.loudness_before.integrated_lufs,
            loudness_after_lufs=done.loudness_after.integrated_lufs,
            true_peak_after_dbtp=done.loudness_after.true_peak_dbtp,
        )


def write_index(
    path: str | os.PathLike[str], rows: Sequence[IndexRow], *, language: str = "en"
) -> None:
    """Write a page with one line per file, the totals, and links to the reports.

    Links are relative: the page and the reports can be moved together.

    Raises
    ------
    OutputFileError
        If it cannot be written. No part of it is left behind then.
    """
    words = Words("report", language)
    check_target(Path(path))
    style = read_page("report.css")
    content = Template(read_page("index.html")).substitute(
        lang=words("page.language"),
        policy=policy(style),
        title=escape(words("index.title")),
        style=style,
        heading=escape(words("index.heading", count=len(rows))),
        totals=escape(_totals(rows, words)),
        head="".join(
            f'<th scope="col">{escape(words(f"index.{name}"))}</th>'
            for name in ("file", "status", "duration", "loudness", "true_peak", "report")
        ),
        rows="".join(_line(row, Path(path).parent, words) for row in rows),
    )
    with output_file(path) as part:
        part.write_text(content, encoding="utf-8", errors="replace")


def _totals(rows: Sequence[IndexRow], words: Words) -> str:
    failed = sum(row.error is not None for row in rows)
    total_s = sum(row.duration_s or 0.0 for row in rows)
    return words("index.totals", done=len(rows) - failed, failed=failed, time=clock(total_s))


def _line(row: IndexRow, folder: Path, words: Words) -> str:
    if row.error is None:
        status = f'<span class="good">● {escape(words("index.done"))}</span>'
    else:
        status = f'<span class="poor">■ {escape(words("index.failed"))}</span>'
        status += f"<small>{escape(row.error)}</small>"
    link = ""
    if row.report is not None:
        target = quote(Path(os.path.relpath(row.report, folder)).as_posix())
        link = f'<a href="./{target}">{escape(words("index.open"))}</a>'
    loudness = _figure(row.loudness_before_lufs), _figure(row.loudness_after_lufs, "LUFS")
    cells = (
        status,
        "" if row.duration_s is None else clock(row.duration_s),
        " → ".join(loudness) if row.error is None else "",
        _figure(row.true_peak_after_dbtp, "dBTP") if row.error is None else "",
        link,
    )
    labels = ("status", "duration", "loudness", "true_peak", "report")
    return (
        f'<tr><th scope="row">{escape(row.name)}</th>'
        + "".join(
            f'<td data-label="{escape(words(f"index.{label}"))}">{cell}</td>'
            for label, cell in zip(labels, cells, strict=True)
        )
        + "</tr>"
    )


def _figure(value: float | None, unit: str = "") -> str:
    if value is None or abs(value) == float("inf"):
        return "–"
    return f'{number(value, 1)} <span class="unit">{unit}</span>' if unit else number(value, 1)

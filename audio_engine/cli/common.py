"""What all commands share: options, messages, exit codes, tables, JSON.

Data goes to stdout, words go to stderr. Exit codes: 0 done, 1 failed, 2 usage, 3 unreadable input,
4 device, 130 interrupted.
"""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from audio_engine.errors import (
    AudioEngineError,
    ConfigError,
    DeviceError,
    InputFileError,
    ModelWarning,
)

EXIT_FAILED, EXIT_USAGE, EXIT_INPUT, EXIT_DEVICE, EXIT_INTERRUPTED = 1, 2, 3, 4, 130

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Print details too.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


class Language(StrEnum):
    """Languages of reports and advice: those of `Words`."""

    EN = "en"
    ZH = "zh"


LanguageOption = Annotated[
    Language | None,
    typer.Option("--lang", help="Language of report and advice; default: that of the system."),
]


T = TypeVar("T")


class Talk:
    """Words for the user, on stderr, as many as wanted.

    Parameters
    ----------
    quiet, verbose, debug : bool
        The options of the command.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False, debug: bool = False) -> None:
        self.quiet, self.verbose, self.debug = quiet, verbose, debug

    @property
    def draws(self) -> bool:
        """Whether there is a terminal to draw bars on."""
        return not self.quiet and sys.stderr.isatty()

    def note(self, text: str) -> None:
        """Say what is going on."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def detail(self, text: str) -> None:
        """Say what only the curious want to know."""
        if self.verbose and not self.quiet:
            print(text, file=sys.stderr)

    def warn(self, text: str) -> None:
        """Say that something is wrong, but work goes on."""
        if not self.quiet:
            print(f"warning: {one_line(text)}", file=sys.stderr)

    def error(self, error: BaseException) -> int:
        """Say what failed and return its exit code."""
        if self.debug:
            traceback.print_exception(error)
        if isinstance(error, OSError) and error.filename is not None:
            text = f"{os.fsdecode(error.filename)}: {error.strerror or error}"
        elif isinstance(error, AudioEngineError | OSError):
            text = str(error)
        elif isinstance(error, MemoryError):
            text = "there is not enough memory"
        else:
            text = (
                f"internal error ({type(error).__name__}: {error}); see --debug, please report it"
            )
        print(f"error: {one_line(text)}", file=sys.stderr)
        return exit_code(error)

    def _show(
        self, message: Warning | str, category: type[Warning], *_: object, **__: object
    ) -> None:
        """Say what the package warns of in one line."""
        if issubclass(category, ModelWarning) or self.debug:
            self.warn(str(message))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn every exception into a message and an exit code."""
        try:
            with warnings.catch_warnings():
                warnings.showwarning = self._show
                yield
            sys.stdout.flush()
        except (typer.Exit, typer.BadParameter, SystemExit):
            raise
        except KeyboardInterrupt as stop:
            print(f"interrupted{stop}", file=sys.stderr)
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:  # the reader of our stdout has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except Exception as error:
            raise typer.Exit(self.error(error)) from None


def run_each(
    talk: Talk, paths: Sequence[Path], work: Callable[[Path, Callable[[int, int], None]], T]
) -> tuple[list[T], list[dict[str, Any]], int]:
    """Do the same work for each file; what fails does not stop the rest.

    Parameters
    ----------
    talk : Talk
        Where errors are said.
    paths : sequence of Path
        The files.
    work : callable
        Called with a path and a progress function (done, expected).

    Returns
    -------
    done : list
        What `work` returned, where it did.
    failures : list of dict
        A JSON object for each file that failed.
    code : int
        0; or the exit code of the failures if they are of one kind, else 1.
    """
    done: list[T] = []
    failures: list[dict[str, Any]] = []
    codes: set[int] = set()
    for path in paths:
        try:
            with progress_bar(talk, path.name) as progress:
                done.append(work(path, progress))
        except Exception as error:
            codes.add(talk.error(error))
            failures.append({"status": "failed", "input": str(path), "error": str(error)})
    return done, failures, codes.pop() if len(codes) == 1 else EXIT_FAILED if codes else 0


def exit_code(error: BaseException) -> int:
    """Return the exit code that belongs to an exception."""
    if isinstance(error, ConfigError):
        return EXIT_USAGE
    if isinstance(error, InputFileError):
        return EXIT_INPUT
    return EXIT_DEVICE if isinstance(error, DeviceError) else EXIT_FAILED


def one_line(text: str) -> str:
    """Return text without line breaks and control characters, whatever a file name holds."""
    return "".join(c if c.isprintable() else " " for c in text)


def print_json(document: Any) -> None:
    """Print a JSON document; infinities and NaN, which JSON has not, become null."""
    print(json.dumps(finite(document), indent=2, ensure_ascii=False))


def finite(value: Any) -> Any:
    """Return a document with None for infinities and NaN, which JSON has not."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1
) -> None:
    """Print a table on stdout: lines and colour on a terminal, aligned text elsewhere.

    The first `text_columns` columns are text, the others are figures and stand to the right.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else 1000, highlight=False, emoji=False)
    table = Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=False, padding=(0, 1))
    for index, name in enumerate(columns):
        table.add_column(
            Text(name),
            justify="left" if index < text_columns else "right",
            overflow="fold",
            no_wrap=not terminal or index >= text_columns,
        )
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    console.print(table)


def figure(value: float | None, unit: str = "", decimals: int = 1) -> str:
    """Return a figure with its unit; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "-"
    text = f"{value:.{decimals}f}"
    if float(text) == 0.0:
        text = text.lstrip("-")
    return f"{text} {unit}".rstrip()


@contextmanager
def progress_bar(talk: Talk, label: str) -> Iterator[Any]:
    """Yield a function (done, total) that moves a bar on stderr, if that is a terminal."""
    if not talk.draws:
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(one_line(label)), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

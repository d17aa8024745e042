"""Which files are meant: names, folders with all that is in them, quoted patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audio_engine.errors import AudioEngineError, InputFileError
from audio_engine.io.files import find_audio

_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Found:
    """An input.

    Attributes
    ----------
    path : str
        Where it is.
    name : str
        What it is called within the output folder.
    base : str or None
        The folder that was searched; None for a file that was named itself.
    """

    path: str
    name: str
    base: str | None

    @property
    def named(self) -> bool:
        """Whether the user named this very file."""
        return self.base is None


@dataclass(frozen=True, slots=True)
class Problem:
    """An input that cannot be processed, and why."""

    source: str
    error: AudioEngineError


def find_inputs(inputs: Sequence[str]) -> tuple[list[Found], list[Problem]]:
    """Return every file that the arguments mean, in their order, and what is wrong with them.

    A file is taken once, however often it is named or found. A pattern matches files only, ``**``
    also in folders below, and is meant where no file is called so.
    """
    found: list[Found] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for text in inputs:
        if os.path.isdir(text):
            base = text
            try:
                paths = [str(path) for path in find_audio(text)]
            except InputFileError as error:
                problems.append(Problem(text, error))
                continue
        elif _WILD.isdisjoint(text) or os.path.exists(text):
            if os.path.abspath(text) not in seen:
                found.append(Found(_unlike_a_stream(text), os.path.basename(text), None))
                seen.add(os.path.abspath(text))
            continue
        else:
            base = _fixed_part(text)
            paths = sorted(filter(os.path.isfile, glob.iglob(text, recursive=True)))
            if not paths:
                problems.append(Problem(text, InputFileError(f"{text}: no file matches")))
        for path in paths:
            place = os.path.abspath(path)
            if place not in seen:
                seen.add(place)
                found.append(Found(path, os.path.relpath(path, base), base))
    return found, problems


def _fixed_part(pattern: str) -> str:
    """Return the folder that all matches of a pattern lie in."""
    parts = Path(pattern).parts
    wild = next(i for i, part in enumerate(parts) if not _WILD.isdisjoint(part))
    return str(Path(*parts[:wild]))


def _unlike_a_stream(path: str) -> str:
    """Return a path that is not taken for standard input, for a file called ``-``."""
    return os.path.abspath(path) if path != "-" and os.path.normpath(path) == "-" else path

"""The file that carries an echo canceller's state from one session to the next.

Whatever is wrong with it, the session runs: with one line of warning, as a new canceller would.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from audio_engine.errors import StateError
from audio_engine.io.part_file import part_file

_MOST_BYTES = 1 << 24  # the largest state (8 channels, 96 kHz, 480 ms) has less than 2 MB

#: How bad it is, and one line of text.
Note = tuple[Literal["info", "warning"], str]


class EchoStateFile:
    """A state file of one loudspeaker and one microphone where they stand.

    A file that is no echo state at all is somebody's: it is never written to.

    Parameters
    ----------
    path : path-like
        Need not exist yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._is_ours = True

    def load(self, load: Callable[[bytes], object]) -> Note:
        """Hand the file's state to `load`, if there is one that fits; say how it went."""
        try:
            if not self.path.exists():
                return "info", f"{self.path}: not there yet; the echo path is learned anew"
            if not self.path.is_file():
                self._is_ours = False
                return "warning", f"{self.path}: not a file; the echo path is learned anew"
            with self.path.open("rb") as file:
                load(file.read(_MOST_BYTES))
        except StateError as error:
            self._is_ours = error.reason != "foreign"
            end = "" if self._is_ours else ", and the file is left alone"
            return "warning", f"{self.path}: {error}; the echo path is learned anew{end}"
        except OSError as error:
            why = error.strerror or str(error)
            return "warning", f"{self.path}: {why}; the echo path is learned anew"
        return "info", f"{self.path}: starting from this echo path"

    def save(self, save: Callable[[], bytes], *, has_learned: bool) -> Note:
        """Write what `save` returns under a temporary name, then rename it; say how it went.

        Parameters
        ----------
        save : callable
            Returns the state.
        has_learned : bool
            Whether the session has found an echo path. If not, an earlier file is worth more.
        """
        if not self._is_ours:
            return "info", f"{self.path}: not an echo state, left alone"
        if not has_learned:
            return "info", f"{self.path}: not written, no echo path was learned"
        try:
            with part_file(self.path) as part:
                part.write_bytes(save())
        except OSError as error:
            return "warning", f"{self.path}: {error.strerror or error}; the echo path is not kept"
        return "info", f"{self.path}: echo path kept for the next session"

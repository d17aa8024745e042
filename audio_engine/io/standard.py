"""Standard input and output as files: ``-`` stands for them.

Headers are read and written out of order, which no pipe allows. What comes in is therefore kept in
a file without a name (in the folder for temporary files, `TMPDIR`) before it is read; what goes out
is written to such a file, and handed on when it is complete.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from audio_engine.errors import ConfigError, InputFileError, OutputFileError

STANDARD = "-"
_PIECE_BYTES = 1 << 20


def is_standard(path: str | os.PathLike[str]) -> bool:
    """Say whether a name stands for standard input or output; a file of that name is ``./-``."""
    return os.fspath(path) == STANDARD


def path_of(path: str | os.PathLike[str]) -> Path:
    """Return a name as a path that stands for standard input or output only if the name did.

    As a path, ``./-`` would become ``-``.
    """
    found = Path(path)
    return found.absolute() if is_standard(found) and not is_standard(path) else found


def kept_input() -> io.FileIO:
    """Return all of standard input as an open file without a name.

    Raises
    ------
    InputFileError
        If there is no standard input, or it is a terminal. The text does not name it.
    OSError
        If it cannot be kept: the disk is full.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise InputFileError("nothing is piped in; write for example: cat talk.wav | ... -")
    file = nameless_file()
    try:
        shutil.copyfileobj(sys.stdin.buffer, file, _PIECE_BYTES)
    except BaseException:
        file.close()
        raise
    return file


def nameless_file() -> io.FileIO:
    """Return a new file without a name in the folder for temporary files, unbuffered."""
    return tempfile.TemporaryFile(buffering=0, prefix=".audio-engine-")


def check_standard_output() -> None:
    """Raise `ConfigError` if sound would go to a terminal."""
    if sys.stdout is None or sys.stdout.isatty():
        raise ConfigError("-: standard output is a terminal; send it to a file or to a program")


class StandardPart:
    """What goes to standard output when it is complete; the counterpart of `PartFile`.

    Attributes
    ----------
    descriptor : int
        Open for reading and writing.
    """

    def __init__(self) -> None:
        check_standard_output()
        self._file = nameless_file()
        self.descriptor = self._file.fileno()

    def commit(self) -> None:
        """Hand it on; a reader that stops reading has seen enough."""
        self._file.seek(0)
        sys.stdout.flush()
        try:
            shutil.copyfileobj(self._file, sys.stdout.buffer, _PIECE_BYTES)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            with contextlib.suppress(
                OSError, ValueError
            ):  # or the interpreter complains at its end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            raise OutputFileError(f"-: cannot be written: {error.strerror or error}") from None
        finally:
            self.discard()

    def discard(self) -> None:
        """Forget it; doing so twice is fine."""
        self._file.close()

"""Audio kept on disk between two passes over a programme: float32, of any length, without a name.

The file is anonymous where the system knows that (Linux: O_TMPFILE), and else loses its name as
soon as it is made: whatever ends the program, nothing is left behind.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np

from audio_engine.errors import OutputFileError
from audio_engine.io.standard import is_standard
from audio_engine.processors.audio import AudioArray


class ScratchFile:
    """A float32 recording that is written once and read as often as needed.

    Parameters
    ----------
    target : Path
        The file that is being made: the scratch file lies on the same disk, which has to have room
        for it (4 bytes per sample), and what goes wrong is said about this name. For standard
        output it lies in the folder for temporary files.
    channels : int
        Channels of the blocks.
    """

    def __init__(self, target: Path, channels: int) -> None:
        self._target, self._channels = target, channels
        self.frames = 0
        folder = None if is_standard(target) else Path(os.path.realpath(target)).parent
        try:
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - closed by close()
                buffering=0, prefix=".audio-engine-", dir=folder
            )
        except OSError as error:
            raise self._failure(error) from None

    def write(self, block: AudioArray) -> None:
        """Append a block of float32, shape (frames, channels)."""
        if not len(block):
            return
        rest = np.ascontiguousarray(block, np.float32).data.cast("B")
        try:
            while len(rest):  # the system may take less than it is given
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise self._failure(error) from None
        self.frames += len(block)

    def blocks(self, frames: int) -> Iterator[AudioArray]:
        """Yield all of it, from its beginning, in blocks of `frames`; the last may be shorter."""
        self._file.seek(0)
        left = self.frames
        while left:
            block = np.empty((min(frames, left), self._channels), np.float32)
            rest = block.data.cast("B")
            while len(rest):
                count = self._file.readinto(rest)
                if not count:
                    raise OutputFileError(f"{self._target}: the scratch file beside it was cut off")
                rest = rest[count:]
            left -= len(block)
            yield block

    def close(self) -> None:
        """Give the disk space back; doing so twice is fine."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _failure(self, error: OSError) -> OutputFileError:
        said = error.strerror or error
        return OutputFileError(f"{self._target}: no scratch file can be written beside it: {said}")

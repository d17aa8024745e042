"""A stream cut into overlapping windows of one length, whatever the blocks it comes in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from audio_engine.processors.audio import AudioArray


class Windows:
    """Hand out windows of `size` frames, one every `hop` frames.

    Parameters
    ----------
    size, hop : int
        Frames of a window, and from the start of one to the start of the next.
    channels : int
        Channels of the blocks.
    """

    def __init__(self, size: int, hop: int, channels: int) -> None:
        self._size, self._hop = size, hop
        self._rest: AudioArray = np.zeros((0, channels), np.float32)
        self._start = 0

    def add(self, block: AudioArray) -> Iterator[tuple[int, AudioArray]]:
        """Take a block, shape (frames, channels); yield (first frame, window) of each full window.

        Every window must be consumed before the next block is added.
        """
        rest = np.concatenate([self._rest, block]) if len(self._rest) else np.asarray(block)
        at = 0
        while at + self._size <= len(rest):
            yield self._start + at, rest[at : at + self._size]
            at += self._hop
        self._start += at
        self._rest = np.array(rest[at:], np.float32)

    @property
    def rest(self) -> tuple[int, AudioArray]:
        """What has not filled a window of its own: first frame and samples."""
        return self._start, self._rest

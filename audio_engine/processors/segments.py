"""From speech probabilities to decisions with hang-over, and to stretches of speech."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class SpeechSegment(NamedTuple):
    """One stretch of speech, in seconds from the start of the stream."""

    start_s: float
    end_s: float


class SpeechSegmenter:
    """Follow a stream of block probabilities and cut it into stretches of speech.

    A stretch begins with the first block at or over the threshold and ends `hangover_blocks` after
    the last one, so shorter gaps do not part it. Blocks are counted from 0; stretches are pairs of
    block numbers, the end not included.

    Parameters
    ----------
    threshold : float
        Probability from which on a block counts as speech.
    hangover_blocks : int
        How many blocks a decision is kept.
    shortest_blocks : int
        A stretch that is shorter, without its hang-over, is none.
    lead_blocks : int
        How many blocks before its first block a stretch begins.
    """

    def __init__(
        self, threshold: float, hangover_blocks: int, shortest_blocks: int, lead_blocks: int
    ) -> None:
        self._threshold = threshold
        self._hangover_blocks = hangover_blocks
        self._shortest_blocks = shortest_blocks
        self._lead_blocks = lead_blocks
        self.reset()

    def reset(self) -> None:
        """Return to the state of a new segmenter."""
        self.block_count = 0
        self.speech_block_count = 0  # hang-over included
        self._first: int | None = None  # of the stretch that is open
        self._last = 0
        self._free_from = 0  # where the last stretch ended
        self._finished: list[tuple[int, int]] = []

    @property
    def speaking(self) -> bool:
        """The decision for the newest block, hang-over included."""
        return self._first is not None

    def add(self, probabilities: NDArray[np.float32]) -> None:
        """Take the next blocks."""
        for over in (probabilities >= self._threshold).tolist():
            if over:
                self._first = self.block_count if self._first is None else self._first
                self._last = self.block_count
            elif self._first is not None and self.block_count - self._last > self._hangover_blocks:
                self._finish(self.block_count)
            self.speech_block_count += self.speaking
            self.block_count += 1

    def finish(self) -> None:
        """End the stream: a stretch that is still open ends here."""
        if self._first is not None:
            self._finish(self.block_count)

    def take(self) -> list[tuple[int, int]]:
        """Return the stretches that have ended since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def _finish(self, end: int) -> None:
        assert self._first is not None
        if self._last + 1 - self._first >= self._shortest_blocks:
            start = max(self._first - self._lead_blocks, self._free_from)
            self._finished.append((start, end))
            self._free_from = end
        self._first = None


def decisions(
    probabilities: ArrayLike, threshold: float, hangover_blocks: int
) -> NDArray[np.bool_]:
    """Return for each block: at or over the threshold, or at most so many blocks ago."""
    over = np.asarray(probabilities) >= threshold
    last = np.maximum.accumulate(np.where(over, np.arange(len(over)), -(10**9)))
    return np.asarray(np.arange(len(over)) - last <= hangover_blocks)

"""Mean power of a stream's stretches, and how often which level was met: memory does not grow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_engine.processors.audio import AudioArray

_STEPS_PER_DB = 10


class PowerMeans:
    """Mean power of stretches of so many frames, whatever the blocks they come in.

    Parameters
    ----------
    frames : int
        Length of a stretch; 1 at least is taken.
    """

    def __init__(self, frames: int) -> None:
        self._frames = max(1, frames)
        self._rest = np.zeros(0)

    def add(self, block: AudioArray) -> NDArray[np.float64]:
        """Take the next block, shape (frames, channels); return the means that are complete.

        Over all channels; a full-scale square has 1.
        """
        power = np.concatenate([self._rest, np.square(block, dtype=np.float64).mean(axis=1)])
        whole = len(power) // self._frames * self._frames
        self._rest = power[whole:]
        return np.asarray(power[:whole].reshape(-1, self._frames).mean(axis=1))


class LevelHistogram:
    """How often which level was met, in steps of 0.1 dB.

    Parameters
    ----------
    lowest_dbfs : int
        Lower levels count as this one; those above 0 dBFS count as 0.
    """

    def __init__(self, lowest_dbfs: int) -> None:
        self._lowest_dbfs = lowest_dbfs
        self._counts = np.zeros(-lowest_dbfs * _STEPS_PER_DB + 1, np.int64)

    @property
    def count(self) -> int:
        """Levels that were taken."""
        return int(self._counts.sum())

    def add(self, powers: NDArray[np.float64]) -> None:
        """Take mean powers, full scale 1."""
        levels_dbfs = 10.0 * np.log10(np.maximum(powers, 10.0 ** (self._lowest_dbfs / 10.0)))
        bins = np.rint((np.minimum(levels_dbfs, 0.0) - self._lowest_dbfs) * _STEPS_PER_DB)
        np.add.at(self._counts, bins.astype(np.int64), 1)

    def level_dbfs(self, share: float) -> float:
        """Return the level that a share of all lies below; -inf without any."""
        below = np.cumsum(self._counts)
        if not below[-1]:
            return -np.inf
        return self._lowest_dbfs + int(np.argmax(below > share * below[-1])) / _STEPS_PER_DB

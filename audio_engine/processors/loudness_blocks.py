"""Exact gates: loudness and range of a programme from the energy of every 100 ms of it."""

from __future__ import annotations

import math
from array import array

import numpy as np
from numpy.typing import NDArray

Energies = NDArray[np.float64]

_OFFSET_LUFS = -0.691  # BS.1770-5 equation 2
_ABSOLUTE_GATE = 10.0 ** (0.1 * (-70.0 - _OFFSET_LUFS))
_MEAN_GATE, _RANGE_GATE = 0.1, 0.01  # -10 LU (BS.1770-5), -20 LU (Tech 3342)
_PIECE = 4096  # energies
_GATING_BLOCK, _RANGE_BLOCK = 4, 30  # energies of 100 ms in 400 ms and 3 s
_LOW, _HIGH = 0.10, 0.95  # percentiles of Tech 3342


class LoudnessBlocks:
    """Mean squares of 100 ms each, of one programme or of several that count as one.

    8 bytes per 100 ms: 288 kB an hour. They lie in pieces, so that none has to be moved to grow.
    """

    def __init__(self) -> None:
        self._own = [array("d")]
        self._joined: list[array[float]] = []

    def add(self, energies: Energies) -> None:
        """Append the next mean squares."""
        if len(self._own[-1]) >= _PIECE:
            self._own.append(array("d"))
        self._own[-1].frombytes(np.ascontiguousarray(energies, np.float64).tobytes())

    def join(self, other: LoudnessBlocks) -> None:
        """Add other programmes; this one may go on."""
        seam = array("d", [math.nan])  # no block spans two programmes
        self._joined += [*other._joined, *(array("d", piece) for piece in other._own), seam]

    def clear(self) -> None:
        """Forget all."""
        self._own, self._joined = [array("d")], []

    def integrated_lufs(self) -> float:
        """Return the loudness after both gates; ``-inf`` where no block passes."""
        loud = self._gated(_GATING_BLOCK, _MEAN_GATE)
        return _OFFSET_LUFS + 10.0 * math.log10(loud.mean()) if len(loud) else -math.inf

    def range_lu(self) -> float:
        """Return the distance of the percentiles, nearest rank as in Tech 3342's listing."""
        loud = self._gated(_RANGE_BLOCK, _RANGE_GATE)
        if not len(loud):
            return 0.0
        ranks = [math.floor((len(loud) - 1) * share + 0.5) for share in (_LOW, _HIGH)]
        low, high = np.partition(loud, ranks)[ranks]
        return float(10.0 * np.log10(high / low))

    def _gated(self, length: int, relative_gate: float) -> Energies:
        """Return the blocks of `length` energies above the absolute and the relative gate."""
        energies = np.concatenate([np.array(piece) for piece in self._joined + self._own])
        if len(energies) < length:
            return np.zeros(0)
        blocks = np.lib.stride_tricks.sliding_window_view(energies, length).mean(axis=1)
        loud: Energies = blocks[blocks > _ABSOLUTE_GATE]  # not so where a NaN is in it
        return loud[loud > relative_gate * np.mean(loud)] if len(loud) else loud

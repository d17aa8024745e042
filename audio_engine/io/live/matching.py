"""The gain that makes an A/B comparison fair: the untouched voice as loud as the processed one."""

from __future__ import annotations

from collections import deque

import numpy as np

_SECONDS = 6.0  # long enough for a sentence
_LIMIT_DB = 24.0
_QUIET_LU = 15.0  # below the loudest: a pause, which says nothing about the voice
_SILENCE_LUFS = (-90.0, -60.0)  # untouched, processed: below them there is no voice at all


class LevelMatch:
    """Follow the loudness before and after the engine, over the last 6 s."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float, float]] = deque()

    def follow(self, now_s: float, before_lufs: float, after_lufs: float) -> None:
        """Take momentary loudness of the untouched and the processed signal."""
        self._seen.append((now_s, before_lufs, after_lufs))
        while self._seen[0][0] < now_s - _SECONDS:
            self._seen.popleft()

    def gain(self) -> float:
        """Return the factor that brings the untouched voice to the processed one's loudness.

        The mean power of both is compared where there is a voice; at most 24 dB either way.
        """
        if not self._seen:
            return 1.0
        before, after = np.array(self._seen)[:, 1], np.array(self._seen)[:, 2]
        floor_before, floor_after = _SILENCE_LUFS
        voiced = (before > floor_before) & (after > max(after.max() - _QUIET_LU, floor_after))
        if not voiced.any():
            return 1.0
        power = [np.mean(10.0 ** (lufs[voiced] / 10.0)) for lufs in (before, after)]
        limit = 10.0 ** (_LIMIT_DB / 20.0)
        return float(np.clip(np.sqrt(power[1] / power[0]), 1.0 / limit, limit))

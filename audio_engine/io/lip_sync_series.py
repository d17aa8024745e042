"""From the answers of many windows of a file to one answer for all of it.

The evidence is added up as odds. The windows overlap: the first full one counts as a whole, each
later one for the second by which it is new. A calibrated confidence c speaks for its own offset
(within 80 ms) with odds c / (1 - c) over the prior odds, and against any other with 1 - c. The
offset for which the sum is largest is the answer: the weighted median of the windows that agree;
its posterior is the confidence. A clock that drifts is followed: offsets are compared along a line
(Theil-Sen). Where windows that are sure of themselves disagree, as in a film of several takes, the
answer is "ambiguous": one number cannot be right for such a file.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_engine.processors.lipsync import LipSyncEstimate

ANSWER = 0.5  # confidence from which an offset is an answer
WINDOW_S = 20.0
SAME_MS = 80.0  # offsets within this are the same, as the confidence is meant
_PRIOR = 0.06  # chance that an offset out of the blue is within that: 160 of 2600 ms
_HIGHEST = 0.99
_AGREEMENT = 0.65  # share of the sure windows that has to agree with the answer
_DRIFT_FROM_S = 15.0
_SLOPE_POINTS = 300


class Asked(NamedTuple):
    """What an estimator said at a moment, and for how long the face was seen since it was asked."""

    time_s: float
    estimate: LipSyncEstimate
    seen_s: float


def whole_answer(series: Sequence[Asked], duration_s: float) -> LipSyncEstimate:
    """Return the answer for a whole file; one that fits a window has the last window's answer.

    Parameters
    ----------
    series : sequence of Asked
        One face's estimates over windows of 20 s, each second.
    duration_s : float
        Length of the file; where the offset drifts the answer is that of its middle.
    """
    if series and duration_s <= WINDOW_S:
        return series[-1].estimate
    reasons = Counter(asked.estimate.reason for asked in series if asked.estimate.reason)
    reason = reasons.most_common(1)[0][0] if reasons else "ambiguous" if series else "too short"
    rows = [
        (asked.time_s, asked.estimate.offset_ms, asked.estimate.confidence, share)
        for asked, share in zip(series, _shares(series), strict=True)
        if asked.estimate.offset_ms is not None
    ]
    if not rows:
        return LipSyncEstimate(offset_ms=None, confidence=0.0, reason=reason, drift_ms_per_s=None)
    time_s, offset_ms, confidence, share = np.array(rows, np.float64).T
    level = _Agreement(offset_ms, confidence, share)
    slope = _slope(time_s, offset_ms, confidence)
    if slope is not None:
        moved = offset_ms - slope * (time_s - duration_s / 2.0)
        sloping = _Agreement(moved, confidence, share)
        if sloping.log_odds > level.log_odds + 1.0:  # a line has to be worth its second number
            level = sloping
    answer = LipSyncEstimate(
        offset_ms=level.offset_ms,
        confidence=level.confidence,
        reason="" if level.confidence >= ANSWER else reason,
        drift_ms_per_s=_fit(time_s[level.agrees], offset_ms[level.agrees]),
    )
    return answer if level.share >= _AGREEMENT else unsure(answer)


def unsure(answer: LipSyncEstimate) -> LipSyncEstimate:
    """Return the same offset as a guess that something speaks against."""
    return LipSyncEstimate(
        offset_ms=answer.offset_ms,
        confidence=min(answer.confidence, ANSWER - 0.01),
        reason="ambiguous",
        drift_ms_per_s=answer.drift_ms_per_s,
    )


def _shares(series: Sequence[Asked]) -> NDArray[np.float64]:
    """Return by which share each window is new: a window that still grows is part of the next."""
    if not series:
        return np.zeros(0)
    seen_s = np.array([asked.seen_s for asked in series])
    first_s = series[0].time_s
    grown_s = np.cumsum(seen_s[[asked.time_s <= first_s + WINDOW_S for asked in series]])
    full = int(np.searchsorted(grown_s, grown_s[-1] - 1e-6))
    share = np.minimum(1.0, seen_s / WINDOW_S)
    share[:full], share[full] = 0.0, 1.0
    return share


class _Agreement:
    """The offset that most windows speak for, and how sure they are together."""

    def __init__(
        self,
        offset_ms: NDArray[np.float64],
        confidence: NDArray[np.float64],
        share: NDArray[np.float64],
    ) -> None:
        prior = math.log(_PRIOR / (1.0 - _PRIOR))
        c = np.clip(confidence, 1e-3, _HIGHEST)
        speaks_for = np.maximum(0.0, np.log(c / (1.0 - c)) - prior) * share
        speaks_against = np.log1p(-c) * share
        order = np.argsort(offset_ms)
        placed, gain = offset_ms[order], (speaks_for - speaks_against)[order]
        total = np.concatenate([[0.0], np.cumsum(gain)])
        ends = np.searchsorted(placed, placed + SAME_MS, side="right")
        sums = total[ends] - total[: len(placed)]
        first = int(sums.argmax())
        inside = order[first : ends[first]]
        centre = _weighted_median(offset_ms[inside], speaks_for[inside] + 1e-9)
        self.agrees = np.abs(offset_ms - centre) <= SAME_MS
        self.offset_ms = _weighted_median(offset_ms[self.agrees], speaks_for[self.agrees] + 1e-9)
        self.log_odds = prior + float(
            speaks_for[self.agrees].sum() + speaks_against[~self.agrees].sum()
        )
        self.confidence = min(_HIGHEST, 1.0 / (1.0 + math.exp(-min(self.log_odds, 50.0))))
        sure = confidence >= ANSWER
        self.share = float(self.agrees[sure].mean()) if sure.any() else 1.0


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    middle = int(np.searchsorted(total, total[-1] / 2.0))
    return float(values[order[min(middle, len(values) - 1)]])


def _slope(
    time_s: NDArray[np.float64], offset_ms: NDArray[np.float64], confidence: NDArray[np.float64]
) -> float | None:
    """Return the Theil-Sen slope of the sure windows in ms per s, of a bounded number of them."""
    sure = np.flatnonzero(confidence >= ANSWER)
    if len(sure) < 2 or time_s[sure[-1]] - time_s[sure[0]] < _DRIFT_FROM_S:
        return None
    sure = sure[np.linspace(0, len(sure) - 1, min(len(sure), _SLOPE_POINTS)).astype(int)]
    t, o = time_s[sure], offset_ms[sure]
    first, second = np.triu_indices(len(t), 1)
    apart = t[second] - t[first] >= _DRIFT_FROM_S / 3.0
    if not apart.any():
        return None
    return float(np.median((o[second] - o[first])[apart] / (t[second] - t[first])[apart]))


def _fit(time_s: NDArray[np.float64], offset_ms: NDArray[np.float64]) -> float | None:
    if len(time_s) < 3 or time_s[-1] - time_s[0] < _DRIFT_FROM_S:
        return None
    return float(np.polyfit(time_s, offset_ms, 1)[0])

"""What to do about a measured lip-sync offset: how far to delay the audio or the picture, and when.

Offsets are > 0 where the audio is late (BT.1359 and EBU R37 print the opposite sign).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from statistics import linear_regression, median
from typing import NamedTuple

from audio_engine.config import MAX_SYNC_DELAY_MS, LipSyncCorrectorConfig
from audio_engine.errors import ConfigError
from audio_engine.processors.lipsync import LipSyncEstimate

_HALF_LIFE_S = 60.0  # of the confidence in an offset that is not measured any more
_STILL_MS = 2.0  # applied delay may wander so far and still be called the same
_MEAN_AGE = 0.42  # of the window: the estimator weighs a second by exp(-age / window)
_MOST_BEHIND_MS = 75.0  # what has drifted further apart does not reach one correlation peak
_DRIFT_ESTIMATES = 10  # that a drift has to be seen in
_DRIFT_AGREEMENT = 1.5  # most ratio between its slope as reported and as seen


class _Measured(NamedTuple):
    time_s: float
    offset_ms: float  # of the signals before any correction
    drift_ms_per_s: float


class LipSyncCorrector:
    """Turn lip-sync estimates, about one a second, into one steady delay.

    Parameters
    ----------
    config : LipSyncCorrectorConfig, optional
        Dead bands, how sure and how unanimous estimates must be, limits.
    manual_offset_ms : float
        On top of what is measured, -2000 to 2000; > 0 makes the audio later.
    on_video_delay : callable, optional
        Called with the new `video_delay_ms` whenever that changes.

    Notes
    -----
    `delay_ms` is what the audio is to be delayed by; audio that is late already cannot be made
    earlier, so below 0 it is the picture that waits. An estimate counts from a confidence of 0.9
    on; a change needs three in a row that agree, and an error beyond the dead band of 25 ms (40 ms
    for taking back a part of the last change). It is then made as a whole, and three new estimates
    are waited for. While nothing is known, the last offset stays. A drift of 2 ms/s and more is
    followed with every estimate, as a straight line, and an estimate, which is 8 s old on average,
    is brought to now.

    Estimates may be measured before or after the correction. **Before** it (`Engine.undelayed` or
    the microphone, and the camera as it comes) is simpler and quicker: leave `applied_ms` at 0, and
    nothing that the corrector does comes back to it.
    **After** it, say with each estimate which delay its signals contain; estimates then count only
    when that has stood still for a whole window, so that no error is acted on twice.

    Examples
    --------
    >>> corrector = LipSyncCorrector()
    >>> early = LipSyncEstimate(offset_ms=-120.0, confidence=0.9, reason="", drift_ms_per_s=None)
    >>> [corrector.update(early) for _ in range(3)]
    [False, False, True]
    >>> corrector.audio_delay_ms, corrector.video_delay_ms
    (120.0, 0.0)
    """

    def __init__(
        self,
        config: LipSyncCorrectorConfig | None = None,
        *,
        manual_offset_ms: float = 0.0,
        on_video_delay: Callable[[float], None] | None = None,
    ) -> None:
        self._config = LipSyncCorrectorConfig() if config is None else config
        self._on_video_delay = on_video_delay
        self._frozen = False
        self._time_s = 0.0
        self._told_ms = 0.0  # the video delay that the callback has been given
        self._applied_ms = 0.0
        self._still_s = math.inf  # how long the applied delay has been the same
        self._manual_ms = 0.0
        self._forget()
        self.manual_offset_ms = manual_offset_ms

    def _forget(self) -> None:
        self._recent: deque[_Measured] = deque(maxlen=max(self._config.agreeing, _DRIFT_ESTIMATES))
        self._fresh = 0  # estimates in a row since the last change
        self._offset_ms: float | None = None
        self._last_change_ms = 0.0
        self._confidence = 0.0

    # --- what comes out ---------------------------------------------------------------------------

    @property
    def delay_ms(self) -> float:
        """Delay of the audio in ms; below 0: of the picture. For ``lip_sync.delay_ms``."""
        limit = self._config.limit_ms
        wanted = self._manual_ms - (self._offset_ms or 0.0)
        return min(max(wanted, -limit), limit) + 0.0  # no -0.0

    @property
    def audio_delay_ms(self) -> float:
        """Delay of the audio, 0 or more."""
        return max(0.0, self.delay_ms)

    @property
    def video_delay_ms(self) -> float:
        """Delay of the picture, 0 or more; one of the two delays is always 0."""
        return max(0.0, -self.delay_ms)

    @property
    def offset_ms(self) -> float | None:
        """The offset that is corrected, > 0: audio late; None before the first change."""
        return self._offset_ms

    @property
    def confidence(self) -> float:
        """Confidence of the last estimate that agreed with others; halves in 60 s without one."""
        return self._confidence

    # --- what goes in -----------------------------------------------------------------------------

    def update(
        self, estimate: LipSyncEstimate, *, applied_ms: float = 0.0, elapsed_s: float = 1.0
    ) -> bool:
        """Take the next estimate.

        Parameters
        ----------
        estimate : LipSyncEstimate
            The newest one.
        applied_ms : float
            Delay that the measured signals contain now: of the audio, less that of the picture. 0
            for signals from before the correction.
        elapsed_s : float
            Since the last call.

        Returns
        -------
        bool
            Whether `delay_ms` has changed.

        Raises
        ------
        ConfigError
            If `applied_ms` or `elapsed_s` is no usable number.
        """
        if not (math.isfinite(applied_ms) and 0.0 < elapsed_s < math.inf):
            raise ConfigError(
                f"applied_ms={applied_ms:g}, elapsed_s={elapsed_s:g}: a finite delay and a time "
                "above 0 are expected"
            )
        before_ms = self.delay_ms
        self._time_s += elapsed_s
        self._confidence *= 0.5 ** (elapsed_s / _HALF_LIFE_S)
        is_settled = self._note_applied(applied_ms, elapsed_s)
        if self._frozen:
            return False
        offset_ms = math.nan if estimate.offset_ms is None else estimate.offset_ms
        is_sure = estimate.confidence >= self._config.least_confidence
        if not (is_settled and is_sure and math.isfinite(offset_ms)):
            self._begin_anew()
            return False
        self._fresh += 1
        drift = estimate.drift_ms_per_s or 0.0
        self._recent.append(_Measured(self._time_s, offset_ms - applied_ms, drift))
        self._act(estimate.confidence, elapsed_s)
        return self._tell(before_ms)

    def freeze(self) -> None:
        """Keep the delay as it is, whatever is measured."""
        self._frozen = True
        self._begin_anew()

    def unfreeze(self) -> None:
        """Go on correcting."""
        self._frozen = False

    @property
    def frozen(self) -> bool:
        """Whether estimates are passed over."""
        return self._frozen

    def reset(self) -> None:
        """Forget all that was measured, for another camera or microphone; not the manual offset."""
        before_ms = self.delay_ms
        self._forget()
        self._tell(before_ms)

    @property
    def manual_offset_ms(self) -> float:
        """What is added by hand, > 0: audio later; may be set at any time, frozen or not."""
        return self._manual_ms

    @manual_offset_ms.setter
    def manual_offset_ms(self, offset_ms: float) -> None:
        """Add so much to what is measured."""
        if not abs(offset_ms) <= MAX_SYNC_DELAY_MS:
            raise ConfigError(
                f"manual_offset_ms={offset_ms:g} is outside "
                f"-{MAX_SYNC_DELAY_MS} .. {MAX_SYNC_DELAY_MS} ms"
            )
        before_ms = self.delay_ms
        self._manual_ms = float(offset_ms)
        self._tell(before_ms)

    def __repr__(self) -> str:
        state = ", frozen" if self._frozen else ""
        return (
            f"{type(self).__name__}(audio_delay_ms={self.audio_delay_ms:g}, "
            f"video_delay_ms={self.video_delay_ms:g}{state})"
        )

    # --- how --------------------------------------------------------------------------------------

    def _begin_anew(self) -> None:
        self._recent.clear()
        self._fresh = 0

    def _note_applied(self, applied_ms: float, elapsed_s: float) -> bool:
        """Return whether a whole window lies between now and the last change that it contains."""
        if abs(applied_ms - self._applied_ms) > _STILL_MS:
            self._applied_ms, self._still_s = applied_ms, 0.0
        else:
            self._still_s += elapsed_s
        return self._still_s >= self._config.window_s

    def _act(self, confidence: float, elapsed_s: float) -> None:
        """Follow a drift, and the offset where it is out of the dead band."""
        config = self._config
        drift = self._drift_ms_per_s()
        if self._offset_ms is not None:
            self._offset_ms += drift * elapsed_s
        newest = list(self._recent)[-config.agreeing :]
        now = [m.offset_ms + drift * (self._time_s - m.time_s) for m in newest]
        if self._fresh < config.agreeing or max(now) - min(now) > config.agreement_ms:
            return
        self._confidence = confidence
        behind_ms = _MEAN_AGE * config.window_s * drift
        measured_ms = median(now) + min(max(behind_ms, -_MOST_BEHIND_MS), _MOST_BEHIND_MS)
        change_ms = measured_ms - (self._offset_ms or 0.0)
        turns = change_ms * self._last_change_ms < 0.0
        if abs(change_ms) > (config.turn_band_ms if turns else config.dead_band_ms):
            self._offset_ms, self._last_change_ms = measured_ms, change_ms
            self._fresh = 0

    def _drift_ms_per_s(self) -> float:
        """Return the drift in force, 0 where it is slow, not known, or the estimates deny it.

        A step looks like a drift for as long as it is in the estimator's window; the estimates
        themselves then stand still, or jump, and do not lie on a line with that slope.
        """
        reported = median(m.drift_ms_per_s for m in list(self._recent)[-3:])
        if len(self._recent) < _DRIFT_ESTIMATES or (
            abs(reported) < self._config.least_drift_ms_per_s
        ):
            return 0.0
        times = [m.time_s for m in self._recent]
        offsets = [m.offset_ms for m in self._recent]
        slope, start_ms = linear_regression(times, offsets)
        off_line = [y - start_ms - slope * x for x, y in zip(times, offsets, strict=True)]
        is_line = max(off_line) - min(off_line) <= self._config.agreement_ms
        agrees = 1.0 / _DRIFT_AGREEMENT <= slope / reported <= _DRIFT_AGREEMENT
        return reported if is_line and agrees else 0.0

    def _tell(self, before_ms: float) -> bool:
        """Say what has changed."""
        video_ms = self.video_delay_ms
        if video_ms != self._told_ms and self._on_video_delay is not None:
            self._on_video_delay(video_ms)
        self._told_ms = video_ms
        return self.delay_ms != before_ms

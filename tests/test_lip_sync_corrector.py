"""The lip-sync policy: rules one by one, then closed loops with a simulated estimator and delay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from audio_engine.config import LipSyncCorrectorConfig
from audio_engine.errors import ConfigError
from audio_engine.processors.lip_sync_corrector import LipSyncCorrector
from audio_engine.processors.lipsync import LipSyncEstimate


def estimate(
    offset_ms: float | None, confidence: float = 0.9, drift_ms_per_s: float | None = None
) -> LipSyncEstimate:
    reason = "no face" if offset_ms is None else ""
    return LipSyncEstimate(
        offset_ms=offset_ms, confidence=confidence, reason=reason, drift_ms_per_s=drift_ms_per_s
    )


UNKNOWN = estimate(None, 0.0)


def told(corrector: LipSyncCorrector, *offsets_ms: float) -> LipSyncCorrector:
    for offset_ms in offsets_ms:
        corrector.update(estimate(offset_ms))
    return corrector


# --- rules ----------------------------------------------------------------------------------------


def test_early_audio_is_delayed_and_late_audio_delays_the_picture() -> None:
    early = told(LipSyncCorrector(), *3 * [-120.0])
    assert (early.audio_delay_ms, early.video_delay_ms, early.offset_ms) == (120.0, 0.0, -120.0)
    late = told(LipSyncCorrector(), *3 * [80.0])
    assert (late.audio_delay_ms, late.video_delay_ms, late.delay_ms) == (0.0, 80.0, -80.0)


def test_delay_that_is_there_is_taken_away_first() -> None:
    corrector = told(LipSyncCorrector(), *3 * [-120.0], *3 * [-40.0])
    assert (corrector.audio_delay_ms, corrector.video_delay_ms) == (40.0, 0.0)
    told(corrector, *3 * [50.0])
    assert (corrector.audio_delay_ms, corrector.video_delay_ms) == (0.0, 50.0)


@pytest.mark.parametrize(
    "updates",
    [
        [estimate(-120)] * 2,
        [estimate(-120, 0.89)] * 9,
        [estimate(-24)] * 9,
        [estimate(24)] * 9,
        [estimate(-120), estimate(-120), UNKNOWN] * 5,
        [estimate(-120), estimate(-120), estimate(-120, 0.5)] * 5,
        [estimate(-120), estimate(-120), estimate(-161)] * 5,
        [estimate(-120), estimate(300)] * 5,
    ],
    ids=[*("two", "unsure", "small early", "small late", "gaps", "doubts", "spread", "mixed")],
)
def test_what_is_not_sure_or_not_wrong_changes_nothing(updates: list[LipSyncEstimate]) -> None:
    corrector = LipSyncCorrector()
    assert not any(corrector.update(each) for each in updates)
    assert corrector.delay_ms == 0.0
    assert corrector.offset_ms is None or abs(corrector.offset_ms) < 25


def test_a_change_takes_the_middle_and_is_waited_for() -> None:
    corrector = told(LipSyncCorrector(), -100.0, -130.0, -110.0)
    assert corrector.delay_ms == 110.0
    told(corrector, -200.0, -200.0)
    assert corrector.delay_ms == 110.0
    told(corrector, -200.0)
    assert corrector.delay_ms == 200.0


def test_turning_back_takes_more() -> None:
    corrector = told(LipSyncCorrector(), *3 * [-120.0], *9 * [-85.0])
    assert corrector.delay_ms == 120.0
    told(corrector, *3 * [-79.0])
    assert corrector.delay_ms == 79.0
    told(corrector, *3 * [-53.0])  # on, not back
    assert corrector.delay_ms == 53.0


def test_manual_offset_is_on_top_and_all_is_limited() -> None:
    corrector = told(LipSyncCorrector(manual_offset_ms=-30.0), *3 * [-120.0])
    assert corrector.delay_ms == 90.0
    corrector.manual_offset_ms = 55.5
    assert corrector.delay_ms == 175.5
    corrector.manual_offset_ms = 2000.0
    assert corrector.delay_ms == 2000.0
    corrector.manual_offset_ms = -2000.0
    assert (corrector.audio_delay_ms, corrector.video_delay_ms) == (0.0, 1880.0)
    for wrong in (2000.5, float("nan")):
        with pytest.raises(ConfigError, match=r"manual_offset_ms=.* is outside -2000 \.\. 2000 ms"):
            corrector.manual_offset_ms = wrong
    low = told(LipSyncCorrector(LipSyncCorrectorConfig(limit_ms=300.0)), *3 * [-900.0])
    assert low.delay_ms == 300.0


def test_freeze_holds_and_unfreeze_begins_anew() -> None:
    corrector = told(LipSyncCorrector(), *3 * [-120.0], *2 * [-300.0])
    corrector.freeze()
    told(corrector, *9 * [-300.0])
    assert corrector.frozen
    assert corrector.delay_ms == 120.0
    corrector.manual_offset_ms = 10.0
    assert corrector.delay_ms == 130.0
    corrector.unfreeze()
    told(corrector, *2 * [-300.0])
    assert corrector.delay_ms == 130.0
    told(corrector, -300.0)
    assert corrector.delay_ms == 310.0


def test_reset_forgets_what_was_measured() -> None:
    corrector = told(LipSyncCorrector(manual_offset_ms=5.0), *3 * [-120.0])
    corrector.reset()
    assert (corrector.delay_ms, corrector.offset_ms, corrector.confidence) == (5.0, None, 0.0)
    told(corrector, *3 * [-60.0])
    assert corrector.delay_ms == 65.0


def test_the_picture_is_told_of_changes_only() -> None:
    heard: list[float] = []
    corrector = told(LipSyncCorrector(on_video_delay=heard.append), *9 * [80.0], *3 * [-100.0])
    assert heard == [80.0, 0.0]
    corrector.manual_offset_ms = -150.0
    corrector.reset()
    assert heard == [80.0, 0.0, 50.0, 150.0]


def test_confidence_ages() -> None:
    corrector = told(LipSyncCorrector(), *3 * [-120.0])
    assert corrector.confidence == 0.9
    for _ in range(60):
        corrector.update(UNKNOWN)
    assert corrector.confidence == pytest.approx(0.45)
    assert corrector.delay_ms == 120.0
    told(corrector, *3 * [-125.0])
    assert corrector.confidence == 0.9


def test_what_contains_a_delay_is_not_acted_on_while_that_moves() -> None:
    corrector = told(LipSyncCorrector(), *3 * [-120.0])
    for applied_ms in np.arange(0.0, 121.0, 5.0):  # measured behind the delay, a window late
        assert not corrector.update(estimate(-120.0), applied_ms=float(applied_ms))
    for _ in range(19):
        assert not corrector.update(estimate(-120.0), applied_ms=120.0)
    assert corrector.delay_ms == 120.0
    for _ in range(9):
        corrector.update(estimate(60.0), applied_ms=120.0)
    assert corrector.delay_ms == 60.0


def test_what_is_no_number_is_no_estimate() -> None:
    corrector = told(LipSyncCorrector(), *9 * [float("nan")])
    assert (corrector.delay_ms, corrector.confidence) == (0.0, 0.0)
    for applied_ms, elapsed_s in ((float("nan"), 1.0), (0.0, 0.0), (0.0, float("inf"))):
        with pytest.raises(ConfigError, match="a finite delay and a time above 0"):
            corrector.update(UNKNOWN, applied_ms=applied_ms, elapsed_s=elapsed_s)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"dead_band_ms=1 is outside 5 \.\. 200 ms"):
        LipSyncCorrectorConfig(dead_band_ms=1.0)
    assert repr(told(LipSyncCorrector(), *3 * [-90.0])) == (
        "LipSyncCorrector(audio_delay_ms=90, video_delay_ms=0)"
    )


# --- closed loop ----------------------------------------------------------------------------------


@dataclass
class Loop:
    """A world of seconds: true offset in, estimator with a memory, corrector, audio delay."""

    offset_ms: Callable[[int], float]
    seconds: int
    before: bool = True  # where the estimator listens
    pauses: int = 0  # the audio delay jumps to its target so often (s); 0: it slides only
    noise_ms: float = 8.0
    confidence: Callable[[int], float] = lambda _: 0.9
    outlier_ms: Callable[[int], float] = lambda _: 0.0
    window_s: int = 20
    seed: int = 1
    errors_ms: list[float] = field(default_factory=list)  # of sound to picture, as seen
    changes: int = 0

    def run(self) -> Loop:
        """Let it run; `errors_ms` has a value per second."""
        rng = np.random.default_rng(self.seed)
        corrector = LipSyncCorrector()
        audio_ms, wander_ms, drift_noise = 0.0, 0.0, 0.0
        seen: list[float] = []
        for second in range(self.seconds):
            true_ms = self.offset_ms(second)
            applied_ms = audio_ms - corrector.video_delay_ms
            self.errors_ms.append(true_ms + applied_ms)
            seen.append(true_ms + (0.0 if self.before else applied_ms))
            wander_ms = 0.95 * wander_ms + 0.31 * self.noise_ms * rng.standard_normal()
            drift_noise = 0.9 * drift_noise + 0.44 * 0.5 * rng.standard_normal()
            measured = self.measure(seen, second, wander_ms, drift_noise)
            in_it_ms = 0.0 if self.before else applied_ms
            self.changes += corrector.update(measured, applied_ms=in_it_ms)
            way_ms = corrector.audio_delay_ms - audio_ms
            jumps = self.pauses and second % self.pauses == 0
            audio_ms += way_ms if jumps else float(np.clip(way_ms, -5.0, 5.0))
        return self

    def measure(
        self, seen: list[float], second: int, wander_ms: float, drift_noise: float
    ) -> LipSyncEstimate:
        """Return the place of a correlation peak 60 ms wide, from a window weighted by age."""
        window = np.array(seen[-self.window_s :])
        if len(window) < 8:
            return replace(UNKNOWN, reason="too short")
        ages = np.arange(len(window))[::-1]
        lags = np.arange(window.min() - 5.0, window.max() + 6.0)
        heaps = np.exp(-0.5 * ((lags[:, None] - window) / 60.0) ** 2) @ np.exp(-ages / 20.0)
        middle = lags[np.argmax(heaps)]
        slope = float(np.polyfit(-ages, window, 1)[0]) if len(window) >= 15 else None
        return LipSyncEstimate(
            offset_ms=float(middle) + wander_ms + self.outlier_ms(second),
            confidence=self.confidence(second),
            reason="",
            drift_ms_per_s=None if slope is None else slope + drift_noise,
        )

    def converged_s(self, since_s: int = 0, within_ms: float = 25.0) -> int:
        """Return after how many seconds the error is within a band for good."""
        late = [i for i, error in enumerate(self.errors_ms[since_s:]) if abs(error) > within_ms]
        return late[-1] + 1 if late else 0

    def worst_ms(self, from_s: int, to_s: int | None = None) -> float:
        """Return the largest error in a stretch."""
        return float(np.abs(self.errors_ms[from_s:to_s]).max())


SEEDS = range(1, 6)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("offset_ms", [-400.0, -120.0, 90.0])
def test_a_constant_offset_is_corrected_once(offset_ms: float, before: bool) -> None:
    for seed in SEEDS:
        loop = Loop(lambda _: offset_ms, 300, before=before, pauses=10, seed=seed).run()
        assert loop.changes <= 3
        assert loop.converged_s(within_ms=40.0) <= 15
        overshoot_ms = -min(error * np.sign(offset_ms) for error in loop.errors_ms)
        assert overshoot_ms <= 30.0


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_step_is_followed(before: bool) -> None:
    for seed in SEEDS:
        loop = Loop(
            lambda s: -120.0 if s < 100 else 60.0, 300, before=before, pauses=10, seed=seed
        ).run()
        assert loop.converged_s(100, within_ms=40.0) <= 60
        assert loop.changes <= 4


def test_without_pauses_it_slides_there_and_does_not_overshoot() -> None:
    for seed in SEEDS:
        loop = Loop(lambda _: -200.0, 200, seed=seed).run()
        assert loop.converged_s(within_ms=40.0) <= 55
        assert max(loop.errors_ms) <= 30.0


def test_a_clock_that_drifts_is_followed_in_few_steps() -> None:
    for seed in SEEDS:
        loop = Loop(lambda s: -0.1 * s, 1500, pauses=10, seed=seed).run()
        assert loop.worst_ms(0) <= 50.0
        assert loop.changes <= 8


def test_a_fast_drift_is_followed_without_hunting() -> None:
    for seed in SEEDS:
        loop = Loop(lambda s: -15.0 * s, 120, pauses=4, seed=seed).run()
        tail = np.array(loop.errors_ms[60:])
        assert np.abs(tail).max() <= 100.0  # 4 s of it, less what is slid, lie between pauses
        ahead = Loop(lambda s: 15.0 * s - 900.0, 120, pauses=4, seed=seed).run()
        assert np.abs(ahead.errors_ms[60:]).max() <= 100.0
        slow = Loop(lambda s: -4.0 * s, 240, seed=seed).run()  # slid, without a pause
        assert slow.worst_ms(200) <= 60.0  # until then it catches up, by 1 ms/s


def test_noise_is_not_hunted() -> None:
    for seed in SEEDS:
        loop = Loop(lambda _: -100.0, 1800, pauses=10, seed=seed).run()
        assert loop.changes <= 6  # one in five minutes
        assert loop.worst_ms(60) <= 40.0


def test_wrong_estimates_are_outvoted() -> None:
    def outlier_ms(second: int) -> float:
        return (450.0 if second % 20 < 10 else -300.0) if second % 10 in (3, 4) else 0.0

    for seed in SEEDS:
        loop = Loop(lambda _: -100.0, 600, pauses=10, outlier_ms=outlier_ms, seed=seed).run()
        assert loop.worst_ms(40) <= 40.0
        assert loop.changes <= 3


def test_while_nothing_is_known_the_last_value_stays() -> None:
    loop = Loop(
        lambda _: -150.0, 700, pauses=10, confidence=lambda s: 0.9 if s < 60 or s > 660 else 0.3
    ).run()
    assert loop.worst_ms(40) <= 40.0
    assert loop.changes <= 2

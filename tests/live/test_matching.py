"""The A/B gain: what the loudness of a voice says, and nothing else."""

from __future__ import annotations

import pytest

from audio_engine.io.live.matching import LevelMatch


def test_nothing_heard_is_no_gain() -> None:
    match = LevelMatch()
    assert match.gain() == 1.0
    match.follow(0.0, -200.0, -200.0)
    assert match.gain() == 1.0


def test_the_voice_is_matched_and_pauses_do_not_count() -> None:
    match = LevelMatch()
    for i in range(40):
        speaks = i % 2 == 0
        match.follow(0.1 * i, -30.0 if speaks else -55.0, -18.0 if speaks else -70.0)
    assert match.gain() == pytest.approx(10 ** (12 / 20), rel=1e-6)


def test_only_the_last_six_seconds_count() -> None:
    match = LevelMatch()
    for i in range(100):
        match.follow(0.1 * i, -40.0 if i < 30 else -20.0, -18.0)
    assert match.gain() == pytest.approx(10 ** (2 / 20), rel=1e-6)


@pytest.mark.parametrize(
    ("before", "after", "gain_db"), [(-60.0, -18.0, 24.0), (-5.0, -50.0, -24.0)]
)
def test_the_gain_is_bounded(before: float, after: float, gain_db: float) -> None:
    match = LevelMatch()
    match.follow(0.0, before, after)
    assert match.gain() == pytest.approx(10 ** (gain_db / 20), rel=1e-6)

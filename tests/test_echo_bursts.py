"""Echo bursts: an echo of the far end is found, somebody else who talks is not."""

from __future__ import annotations

import numpy as np
import pytest

from audio_engine.analysis.echo_bursts import EchoBurstDetector
from signals import Signal, echo_of, noise, speech

RATE_HZ = 16000
SECONDS = 12.0


def judged(signal: Signal, far: Signal, block: int = 8000) -> EchoBurstDetector:
    detector = EchoBurstDetector(RATE_HZ)
    for start in range(0, len(signal), block):
        part = slice(start, start + block)
        detector.add(signal[part, np.newaxis], far[part, np.newaxis])
    return detector


@pytest.fixture(scope="module")
def far() -> Signal:
    return 0.7 * speech("guest", SECONDS)


@pytest.mark.parametrize("delay_ms", [0.0, 80.0, 400.0])
def test_an_echo_is_found(far: Signal, delay_ms: float) -> None:
    echo = echo_of(far, RATE_HZ, delay_ms=delay_ms) + noise(SECONDS, RATE_HZ, 0.001)
    detector = judged(echo, far)
    events = detector.finish()
    assert sum(event.end_s - event.start_s for event in events) > 0.5 * SECONDS
    assert all(-45.0 < event.value < -10.0 for event in events)
    assert {event.kind for event in events} == {"echo"}


def test_an_echo_that_nobody_hears_is_no_burst(far: Signal) -> None:
    echo = 0.12 * echo_of(far, RATE_HZ) + noise(SECONDS, RATE_HZ, 1e-5)
    detector = judged(echo, far)
    assert detector.finish() == []
    assert detector.windows


def test_somebody_else_is_no_echo(far: Signal) -> None:
    near = 0.7 * speech("host", SECONDS) + noise(SECONDS, RATE_HZ, 0.001)
    detector = judged(near, far)
    assert len(detector.finish()) <= 1
    assert len(detector.windows) <= 2


def test_silence_on_either_side_is_none(far: Signal) -> None:
    assert judged(np.zeros_like(far), far).finish() == []
    assert judged(far, np.zeros_like(far)).finish() == []


def test_blocking_changes_nothing(far: Signal) -> None:
    echo = echo_of(far, RATE_HZ) + noise(SECONDS, RATE_HZ, 0.001)
    expected = judged(echo, far, len(far)).finish()
    for block in (160, 777):
        assert judged(echo, far, block).finish() == expected

"""Drop-outs: made ones are found where they are, clean signals have none, blocking is no matter."""

from __future__ import annotations

import numpy as np
import pytest

from audio_engine.analysis.event import Event
from audio_engine.analysis.stalls import StallDetector
from signals import Signal, noise, speech

RATE_HZ = 16000


def found(signal: Signal, block: int = 4096) -> list[Event]:
    detector = StallDetector(RATE_HZ, 1)
    for start in range(0, len(signal), block):
        detector.add(signal[start : start + block, np.newaxis])
    return detector.finish()


def talk(seconds: float = 8.0) -> Signal:
    return speech("host", seconds) + noise(seconds, RATE_HZ, 0.002)


def test_a_hole_in_noise_before_a_word_is_found() -> None:
    signal = talk()
    at = int(3.0 * RATE_HZ) + int(np.argmax(np.abs(signal[3 * RATE_HZ :]) > 0.05))
    signal[at - 480 : at] = 0.0
    (event,) = found(signal)
    assert event.value == pytest.approx(30.0, abs=3.0)


def loud_place(signal: Signal, after_s: float) -> int:
    """A frame from a second on after which, and before which, the signal is loud for 10 ms."""
    level = np.convolve(np.abs(signal), np.ones(160) / 160)[: len(signal)]
    loud = (level > 0.02) & (np.roll(level, -160) > 0.02)
    first = int(after_s * RATE_HZ)
    assert loud[first:].any()
    return first + int(np.argmax(loud[first:]))


@pytest.mark.parametrize("lost_ms", [10, 20, 60, 300])
def test_a_hole_in_speech_is_found(lost_ms: int) -> None:
    signal, frames = talk(), lost_ms * RATE_HZ // 1000
    at = loud_place(signal, 3.0)
    signal[at : at + frames] = 0.0
    (event,) = found(signal)
    assert event.kind == "stall"
    assert event.start_s == pytest.approx(at / RATE_HZ, abs=0.002)
    assert event.value == pytest.approx(lost_ms, abs=2.0)
    assert event.unit == "ms"


@pytest.mark.parametrize(("packet_ms", "times"), [(10, 1), (20, 1), (20, 4), (43, 2)])
def test_a_packet_that_is_played_again_is_found(packet_ms: int, times: int) -> None:
    signal, frames = talk(), packet_ms * RATE_HZ // 1000
    at = loud_place(signal, 3.0) + frames
    signal[at : at + times * frames] = np.tile(signal[at - frames : at], times)
    (event,) = found(signal)
    assert event.start_s == pytest.approx(at / RATE_HZ, abs=0.012)
    assert event.value == pytest.approx(times * packet_ms, abs=12.0)


def test_neighbours_are_one_event() -> None:
    signal = talk()
    at = loud_place(signal, 3.0)
    for k in range(3):
        signal[at + 1600 * k : at + 1600 * k + 320] = 0.0
    (event,) = found(signal)
    assert event.value <= 61.0
    assert event.end_s - event.start_s > 0.15


def test_blocking_changes_nothing() -> None:
    signal = talk()
    for second in (2.0, 4.0, 5.0):
        at = loud_place(signal, second)
        signal[at : at + 500] = 0.0
    expected = found(signal, len(signal))
    assert len(expected) == 3
    for block in (1, 17, 1600, 5000):
        assert found(signal[: 6 * RATE_HZ] if block == 1 else signal, block) == expected


@pytest.mark.parametrize(
    "signal",
    [
        talk(),
        np.round(32768 * talk()) / 32768,
        speech("guest", 10.0),  # synthesised: its pauses are digital silence
        np.zeros(3 * RATE_HZ),
        0.3 * np.sin(2 * np.pi * 1000 * np.arange(3 * RATE_HZ) / RATE_HZ),  # repeats itself
        np.resize(np.repeat([0.3, -0.3], 64), 3 * RATE_HZ),  # so does this, every 8 ms
        np.concatenate([talk(3.0), np.zeros(4 * RATE_HZ), talk(3.0)]),  # a mute button
    ],
    ids=["talk", "16 bit", "synthetic", "silence", "sine", "square", "muted"],
)
def test_a_clean_signal_has_none(signal: Signal) -> None:
    assert found(signal.astype(np.float32)) == []


def test_one_channel_that_drops_out_is_no_stall() -> None:
    both = np.stack([talk(), talk()], axis=1)
    at = loud_place(both[:, 0], 3.0)
    both[at : at + 800, 1] = 0.0
    detector = StallDetector(RATE_HZ, 2)
    detector.add(both)
    assert detector.finish() == []

"""Howl: growing and settled whistles are found with their frequency; voices and music are not."""

from __future__ import annotations

import numpy as np
import pytest

from audio_engine.analysis.event import Event
from audio_engine.analysis.howl import HowlDetector
from signals import Signal, noise, speech, voice

RATE_HZ = 16000


def found(signal: Signal, block: int = 4096) -> list[Event]:
    detector = HowlDetector(RATE_HZ, 1)
    for start in range(0, len(signal), block):
        detector.add(signal[start : start + block, np.newaxis])
    return detector.finish()


def howl(frequency_hz: float, seconds: float, growth_db_per_s: float) -> Signal:
    """A whistle that grows until the loudspeaker can no more."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    level = 0.02 * 10.0 ** (growth_db_per_s * time / 20.0)
    return np.clip(level * np.sin(2 * np.pi * frequency_hz * time), -0.6, 0.6).astype(np.float32)


def with_talk(whistle: Signal, at_s: float = 2.0, seconds: float = 6.0) -> Signal:
    signal = 0.3 * speech("host", seconds) + noise(seconds, RATE_HZ, 0.002)
    start = round(at_s * RATE_HZ)
    signal[start : start + len(whistle)] += whistle
    return signal.astype(np.float32)


@pytest.mark.parametrize("frequency_hz", [440.0, 1250.0, 2900.0, 6100.0])
def test_a_growing_whistle_over_speech_is_found(frequency_hz: float) -> None:
    (event,) = found(with_talk(howl(frequency_hz, 1.5, 30.0)))
    assert event.kind == "howl"
    assert event.unit == "Hz"
    assert event.value == pytest.approx(frequency_hz, abs=25.0)
    assert 1.95 <= event.start_s < 3.2
    assert event.end_s == pytest.approx(3.5, abs=0.1)


def test_a_settled_howl_is_found() -> None:
    (event,) = found(with_talk(howl(1000.0, 2.0, 0.0) * 15.0))
    assert event.end_s - event.start_s > 1.5


def test_blocking_changes_nothing() -> None:
    signal = with_talk(howl(2900.0, 1.5, 30.0))
    expected = found(signal, len(signal))
    assert len(expected) == 1
    for block in (17, 5000):
        assert found(signal, block) == expected


def chords(seconds: float = 6.0) -> Signal:
    """Plucked notes with harmonics."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    music = np.zeros(len(time))
    for k, semitone in enumerate([0, 4, 7, 12, 5, 9, 2, 7, 11, 0]):
        own = np.maximum(time - 0.6 * k, 0.0)
        pitch = 220.0 * 2.0 ** (semitone / 12)
        tones = sum(np.sin(2 * np.pi * pitch * h * own) / h**1.3 for h in range(1, 8))
        music += tones * np.exp(-3.0 * own) * (own > 0.0)
    return (0.1 * music).astype(np.float32)


def call() -> Signal:
    """A high vowel that swells: its first harmonic is nearly all of it, as in a child's voice."""
    time = np.arange(round(0.8 * RATE_HZ)) / RATE_HZ
    swell = 10.0 ** (-0.9 * np.abs(time - 0.6))
    return (0.3 * swell * np.sin(2 * np.pi * 380.0 * time)).astype(np.float32)


@pytest.mark.parametrize(
    "signal",
    [
        0.5 * speech("host", 10.0),
        0.5 * speech("guest", 10.0),
        voice(6.0, RATE_HZ),
        noise(4.0, RATE_HZ, 0.1),
        np.zeros(3 * RATE_HZ, np.float32),
        chords(),
        howl(1000.0, 0.2, 0.0) * 15.0,  # a beep
        with_talk(call()),
    ],
    ids=["host", "guest", "voice", "noise", "silence", "music", "beep", "call"],
)
def test_other_sounds_are_no_howl(signal: Signal) -> None:
    assert found(signal) == []

"""Clipping and hum, streamed: against what was put in, in any blocking, with nothing made up."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from audio_engine.analysis.clipping import ClippingDetector
from audio_engine.analysis.event import Event
from audio_engine.analysis.hum import HumDetector
from audio_engine.processors.audio import AudioArray
from signals import voice

Signal = NDArray[np.float64]

RATE_HZ = 16000
FULL_SCALE = 1.0 - 2.0**-15


def in_16_bits(x: Signal) -> AudioArray:
    return (np.rint(x * 32768).clip(-32768, 32767) / 32768).astype(np.float32)


def blocks(x: AudioArray, sizes: list[int]) -> list[AudioArray]:
    cuts = np.cumsum(np.resize(sizes, len(x) // min(sizes) + 1))
    return np.split(x, cuts[cuts < len(x)])


def clipping(x: AudioArray, rate_hz: int = RATE_HZ, sizes: list[int] | None = None) -> list[Event]:
    audio = x.reshape(len(x), -1)
    detector = ClippingDetector(rate_hz, audio.shape[1], FULL_SCALE)
    for block in blocks(audio, sizes or [1600]):
        detector.add(block)
    return detector.finish()


def hum_of(x: AudioArray, rate_hz: int = RATE_HZ, sizes: list[int] | None = None) -> HumDetector:
    audio = x.reshape(len(x), -1)
    detector = HumDetector(rate_hz, audio.shape[1])
    for block in blocks(audio, sizes or [1600]):
        detector.add(block)
    return detector


def mains(base_hz: float, level_dbfs: float, seconds: float, rate_hz: int = RATE_HZ) -> Signal:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    lines = [np.sin(2 * np.pi * base_hz * k * time_s + k) / k**0.7 for k in range(1, 7)]
    hum: Signal = np.sum(lines, axis=0)
    return np.asarray(hum * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(hum**2)))


@pytest.mark.parametrize("volume", [1.0, 0.5, 0.2])
@pytest.mark.parametrize("over_db", [4.0, 12.0])
def test_a_clipped_voice_is_found_at_any_volume(volume: float, over_db: float) -> None:
    talk = voice(4, RATE_HZ, seed=3).astype(np.float64)
    limit = np.abs(talk).max() * 10 ** (-over_db / 20)
    clipped = np.abs(talk) >= limit
    found = clipping(in_16_bits(np.clip(talk / limit, -1, 1) * FULL_SCALE * volume))
    counted = sum(event.value for event in found)
    assert 0.4 * clipped.sum() <= counted <= 1.1 * clipped.sum() + 6
    first_s = np.argmax(clipped) / RATE_HZ
    assert found[0].start_s == pytest.approx(first_s, abs=0.3)
    assert all(event.kind == "clipping" and event.start_s < event.end_s for event in found)


def test_exact_samples_at_full_scale() -> None:
    x = np.zeros(RATE_HZ, np.float32)
    x[4000:4005] = FULL_SCALE  # five
    x[4100:4104] = -1.0  # and four, 6 ms later: one event
    x[12000:12002] = FULL_SCALE  # two are a peak
    (event,) = clipping(x)
    assert (event.start_s, event.end_s) == (4000 / RATE_HZ, 4104 / RATE_HZ)
    assert event.value == 9


def test_what_is_over_costs_nothing_any_more() -> None:
    detector = ClippingDetector(RATE_HZ, 1, FULL_SCALE)
    click = np.zeros((RATE_HZ // 2, 1), np.float32)
    click[100:104] = 1.0
    for _ in range(40):
        detector.add(click)
        assert len(detector._found) <= 4
    assert [event.value for event in detector.finish()] == [4.0] * 40


def test_channels_count_together() -> None:
    x = np.zeros((RATE_HZ, 2), np.float32)
    x[4000:4005, 0] = 1.0
    x[6000:6003, 1] = 1.0
    (event,) = clipping(x)
    assert event.value == 8


@pytest.mark.parametrize("frequency_hz", [30.0, 100.0, 1000.0, 7900.0])
@pytest.mark.parametrize("peak", [0.06, 0.3, 0.99])
def test_a_round_top_is_no_flat_one(frequency_hz: float, peak: float) -> None:
    time_s = np.arange(2 * 48000) / 48000
    assert not clipping(in_16_bits(peak * np.sin(2 * np.pi * frequency_hz * time_s)), 48000)


@pytest.mark.parametrize("seed", range(4))
def test_an_unclipped_voice_raises_nothing(seed: int) -> None:
    talk = voice(5, RATE_HZ, seed=seed).astype(np.float64)
    talk *= 0.99 / np.abs(talk).max()
    assert clipping(in_16_bits(talk)) == []
    detector = hum_of(in_16_bits(talk))
    assert detector.finish() == []


@pytest.mark.parametrize(("rate_hz", "gain"), [(16000, 64.0), (48000, 14.6), (48000, 32.0)])
def test_a_quiet_recording_turned_up_is_not_clipped(rate_hz: int, gain: float) -> None:
    band = butter(2, [150.0, 700.0], "bandpass", fs=rate_hz, output="sos")
    x = sosfilt(band, np.random.default_rng(2).standard_normal(6 * rate_hz))
    quiet = np.rint(x * 0.15 / gain / np.abs(x).max() * 32768) / 32768
    assert clipping(in_16_bits(gain * quiet), rate_hz) == []


@pytest.mark.parametrize("base_hz", [49.9, 50.1, 59.95, 60.1])
@pytest.mark.parametrize("level_dbfs", [-60.0, -35.0])
def test_level_and_base_of_hum(base_hz: float, level_dbfs: float) -> None:
    rng = np.random.default_rng(round(base_hz * 10))
    noise = 10 ** (-75 / 20) * rng.standard_normal(6 * RATE_HZ)
    detector = hum_of(in_16_bits(mains(base_hz, level_dbfs, 6) + noise))
    lasting = detector.lasting()
    assert lasting is not None
    assert lasting.base_hz == pytest.approx(base_hz, abs=0.05)
    assert lasting.level_dbfs == pytest.approx(level_dbfs, abs=1.0)
    (event,) = detector.finish()
    assert (event.kind, event.unit, event.start_s) == ("hum", "dBFS", 0.0)
    assert event.end_s == pytest.approx(6.0, abs=1.01)


def test_hum_under_a_voice_and_when_it_begins() -> None:
    talk = voice(10, RATE_HZ, seed=5).astype(np.float64)
    talk *= 10 ** (-25 / 20) / np.sqrt(np.mean(talk**2))
    hum = mains(50.0, -45.0, 10)
    hum[: 5 * RATE_HZ] = 0.0
    (event,) = hum_of(in_16_bits(talk + hum)).finish()
    assert event.start_s == pytest.approx(5.0, abs=1.01)
    assert event.value == pytest.approx(-45.0, abs=1.5)


def test_music_on_equal_temperament_is_no_hum() -> None:
    time_s = np.arange(4 * RATE_HZ) / RATE_HZ
    for key in range(28, 60):  # G1 has 49 Hz, A1 55, A2 its fifth line at 550, B2 123.5
        note = 440.0 * 2 ** ((key - 69) / 12)
        tone = sum(np.sin(2 * np.pi * note * k * time_s) / k for k in range(1, 8))
        assert hum_of(in_16_bits(0.05 * np.asarray(tone))).finish() == []


def test_any_blocking_gives_the_same_events() -> None:
    talk = 3.0 * voice(4, RATE_HZ, seed=9).astype(np.float64)
    talk *= 1.5 / np.abs(talk).max()
    x = in_16_bits(0.4 * np.clip(talk, -1, 1) + mains(50.0, -40.0, 4))
    clips, hums = clipping(x), hum_of(x).finish()
    assert hums
    for sizes in ([1], [17, 480, 3], [len(x)]):
        assert clipping(x, sizes=sizes) == clips
        assert hum_of(x, sizes=sizes).finish() == hums


def test_silence_and_short_signals() -> None:
    for frames in (0, 1, 100, 5000):
        x = np.zeros((frames, 1), np.float32)
        detector = ClippingDetector(RATE_HZ, 1, FULL_SCALE)
        hum = HumDetector(RATE_HZ, 1)
        detector.add(x)
        hum.add(x)
        assert detector.finish() == []
        assert hum.finish() == []
        assert hum.lasting() is None

"""The meter through its public face: EBU Tech 3341 and 3342, BS.1770-5 weights, blocking, verbs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_engine.errors import ConfigError, FormatError, StreamError
from audio_engine.processors.loudness import LoudnessMeter, loudness_series, measure_loudness
from audio_engine.processors.stats import LoudnessStats

RATES_HZ = [8000, 11025, 16000, 44100, 48000, 96000]
Signal = NDArray[np.float32]


def tone(rate_hz: int, *parts: tuple[float, float], frequency_hz: float = 1000.0) -> Signal:
    """One continuous stereo sine; parts are (seconds, peak level in dBFS)."""
    levels = np.concatenate([np.full(round(s * rate_hz), 10 ** (db / 20)) for s, db in parts])
    wave = levels * np.sin(2 * np.pi * frequency_hz * np.arange(len(levels)) / rate_hz)
    return np.stack([wave, wave], axis=1).astype(np.float32)


EBU_3341 = {
    "1": ([(20.0, -23.0)], -23.0),
    "2": ([(20.0, -33.0)], -33.0),
    "3": ([(10.0, -36.0), (60.0, -23.0), (10.0, -36.0)], -23.0),
    "4": ([(10.0, -72.0), (10.0, -36.0), (60.0, -23.0), (10.0, -36.0), (10.0, -72.0)], -23.0),
    "5": ([(20.0, -26.0), (20.1, -20.0), (20.0, -26.0)], -23.0),
}


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("case", EBU_3341)
def test_ebu_3341_programme_loudness(case: str, rate_hz: int) -> None:
    parts, expected_lufs = EBU_3341[case]
    measured = measure_loudness(tone(rate_hz, *parts), rate_hz)
    assert measured.integrated_lufs == pytest.approx(expected_lufs, abs=0.1)


def test_ebu_3341_case_6_surround() -> None:
    left = tone(48000, (20.0, -28.0))[:, 0]
    centre = tone(48000, (20.0, -24.0))[:, 0]
    side = tone(48000, (20.0, -30.0))[:, 0]
    loud_lfe = tone(48000, (20.0, -6.0), frequency_hz=60.0)[:, 0]
    audio = np.stack([left, left, centre, loud_lfe, side, side], axis=1)
    assert measure_loudness(audio, 48000).integrated_lufs == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("shift_ms", [0, 20, 110, 290, 380])
def test_ebu_3341_cases_10_and_13_find_the_maxima(shift_ms: int) -> None:
    # 3 s and 0.4 s of tone that start anywhere: the windows must catch all of it.
    lead = (shift_ms / 1000.0, -400.0)
    long = measure_loudness(tone(48000, lead, (3.0, -23.0), (1.0, -400.0)), 48000)
    short = measure_loudness(tone(48000, lead, (0.4, -23.0), (1.0, -400.0)), 48000)
    assert long.max_short_term_lufs == pytest.approx(-23.0, abs=0.1)
    assert short.max_momentary_lufs == pytest.approx(-23.0, abs=0.1)


def test_ebu_3341_case_9_live_readings() -> None:
    audio = tone(48000, *([(1.34, -20.0), (1.66, -30.0)] * 5))
    series = loudness_series(audio, 48000)
    settled = series.times_s >= 3.0
    assert np.all(np.abs(series.short_term_lufs[settled] + 23.0) <= 0.1)
    assert series.programme.max_short_term_lufs == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize(
    ("levels", "expected_lu"),
    [([-20, -30], 10.0), ([-20, -15], 5.0), ([-40, -20], 20.0), ([-50, -35, -20, -35, -50], 15.0)],
)
def test_ebu_3342_loudness_range(levels: list[int], expected_lu: float, rate_hz: int) -> None:
    audio = tone(rate_hz, *[(20.0, float(level)) for level in levels])
    measured = measure_loudness(audio, rate_hz).loudness_range_lu
    assert measured == pytest.approx(expected_lu, abs=0.1)  # the document allows 1 LU


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize(("divisor", "phase_degrees"), [(4, 0.0), (4, 45.0), (6, 60.0), (8, 67.5)])
def test_ebu_3341_cases_15_to_18_true_peak(
    divisor: int, phase_degrees: float, rate_hz: int
) -> None:
    n = np.arange(rate_hz // 2)
    edge = np.minimum(1, np.minimum(n, n[::-1]) / (0.02 * rate_hz))
    wave = 0.5 * np.sin(2 * np.pi * n / divisor + np.deg2rad(phase_degrees)) * edge
    assert measure_loudness(wave, rate_hz).true_peak_dbtp == pytest.approx(-6.02, abs=0.05)


def test_peaks_between_the_last_samples_count_after_flush() -> None:
    wave = 0.5 * np.sin(np.pi / 2 * np.arange(4800) + np.pi / 4)
    with LoudnessMeter(48000) as meter:
        meter.process(wave[:6])
        assert meter.stats().true_peak_dbtp == pytest.approx(-9.03, abs=0.01)  # not known yet
        meter.flush()
        assert meter.stats().true_peak_dbtp > -7.0


@pytest.mark.parametrize("block", [1, 17, 480, 4799])
def test_blocking_never_changes_the_result(block: int) -> None:
    audio = np.random.default_rng(1).standard_normal((9600, 3)).astype(np.float32) * 0.2

    def measure(length: int) -> LoudnessStats:
        with LoudnessMeter(16000, 3) as meter:
            for start in range(0, len(audio), length):
                meter.process(audio[start : start + length])
            meter.flush()
            return meter.stats()

    assert measure(block) == measure(len(audio))


def test_merge_is_one_programme() -> None:
    quiet, loud = tone(48000, (10.0, -36.0)), tone(16000, (20.0, -20.0))
    with LoudnessMeter(48000, 2) as first, LoudnessMeter(16000, 2) as second:
        first.process(quiet)
        second.process(loud)
        first.merge(second)
        merged = first.stats()
    assert merged.integrated_lufs == pytest.approx(-20.0, abs=0.1)
    assert merged.loudness_range_lu == pytest.approx(16.0, abs=0.1)
    assert merged.momentary_lufs == pytest.approx(-36.0, abs=0.1)


def test_weights_replace_the_layout() -> None:
    mono = tone(48000, (2.0, -20.0))[:, 0]
    with LoudnessMeter(48000, channel_weights=[2.0]) as meter:
        meter.process(mono)
        assert meter.stats().integrated_lufs == pytest.approx(-20.0, abs=0.1)
    for wrong in ([1.0, 1.0], [0.0], [-1.0], [5.0], [math.nan]):
        with pytest.raises(ConfigError, match="channel_weights"):
            LoudnessMeter(48000, channel_weights=wrong)


def test_silence_and_broken_samples() -> None:
    with LoudnessMeter(16000) as meter:
        meter.process(np.zeros(16000, np.float32))
        silent = meter.stats()
        assert silent.momentary_lufs == silent.integrated_lufs == -math.inf
        assert silent.true_peak_dbtp == -math.inf
        assert silent.loudness_range_lu == 0.0
        meter.process(np.full(160, np.nan, np.float32))
        meter.process(tone(16000, (5.0, -20.0))[:, 0])
        # The blocks across the onset count too, hence the wider tolerance.
        assert meter.stats().integrated_lufs == pytest.approx(-23.0, abs=0.2)


def test_verbs() -> None:
    audio = tone(16000, (1.0, -20.0))
    meter = LoudnessMeter(16000, 2)
    meter.process(audio)
    first = meter.stats()
    meter.flush()
    with pytest.raises(StreamError, match="reset"):
        meter.process(audio)
    meter.reset()
    meter.process((audio * 32768).astype(np.int16))
    assert meter.stats().integrated_lufs == pytest.approx(first.integrated_lufs, abs=0.01)
    with pytest.raises(FormatError):
        meter.process(audio[:, 0])
    assert meter.latency_frames == 0
    assert repr(meter) == "LoudnessMeter(sample_rate_hz=16000, channels=2)"
    meter.close()
    meter.close()
    with pytest.raises(StreamError, match="closed"):
        meter.stats()
    assert measure_loudness(audio[:6399], 16000).integrated_lufs == -math.inf
    assert measure_loudness(audio[:6400], 16000).integrated_lufs == pytest.approx(-20.0, abs=0.1)
    with pytest.raises(ConfigError):
        LoudnessMeter(7999)

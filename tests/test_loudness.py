"""The meter through its public face: EBU Tech 3341 and 3342, BS.1770-5, exact gates, verbs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import freqz_sos, sosfilt

from audio_engine.errors import ConfigError, FormatError, StreamError
from audio_engine.processors.loudness import LoudnessMeter, loudness_series, measure_loudness
from audio_engine.processors.stats import LoudnessStats

RATES_HZ = [8000, 11025, 16000, 22050, 44100, 48000, 96000, 176400, 192000]
Signal = NDArray[np.float32]


def tone(rate_hz: int, *parts: tuple[float, float], frequency_hz: float = 1000.0) -> Signal:
    """One continuous stereo sine; parts are (seconds, peak level in dBFS)."""
    levels = np.concatenate([np.full(round(s * rate_hz), 10 ** (db / 20), "f") for s, db in parts])
    second = np.sin(2 * np.pi * frequency_hz * np.arange(rate_hz) / rate_hz)  # whole periods
    wave = levels * np.resize(second.astype(np.float32), len(levels))
    return np.stack([wave, wave], axis=1)


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


# The two sections that BS.1770-5 prints, at 48 kHz: the definition of the K weighting.
K_SECTIONS = [
    [
        1.53512485958697,
        -2.69169618940638,
        1.19839281085285,
        1.0,
        -1.69065929318241,
        0.73248077421585,
    ],
    [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
]


ANCHORS_HZ = [25, 100, 500, 1000, 2000, 5000, 7000, 10000, 16000]


@pytest.mark.parametrize(
    ("frequency_hz", "rate_hz"),
    [(hz, rate_hz) for rate_hz in RATES_HZ for hz in ANCHORS_HZ if hz <= 0.45 * rate_hz],
)
def test_a_sine_weighs_at_every_rate_what_it_weighs_at_48_khz(
    frequency_hz: int, rate_hz: int
) -> None:
    """BS.2217's frequency anchors: closed form from the printed numbers."""
    _, response = freqz_sos(K_SECTIONS, [frequency_hz], fs=48000)
    expected_lufs = -20.0 - 0.691 + 20.0 * np.log10(abs(response[0]))
    audio = tone(rate_hz, (3.0, -20.0), frequency_hz=frequency_hz)
    measured = measure_loudness(audio, rate_hz, true_peak=False)
    assert measured.momentary_lufs == pytest.approx(
        expected_lufs, abs=0.02 if rate_hz < 16000 else 0.005
    )


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


# --- exact gates ---------------------------------------------------------------------------------


def programme(seed: int, seconds: float = 60.0) -> Signal:
    """Stereo noise at 48 kHz whose level jumps about every second, from -70 to -10 dBFS."""
    rng = np.random.default_rng(seed)
    levels_db = np.repeat(rng.uniform(-70.0, -10.0, int(seconds) + 1), 48000 + 37 * seed)
    frames = round(seconds * 48000)
    noise = rng.standard_normal((frames, 2)) * [1.0, rng.uniform()]
    return (noise * 10 ** (levels_db[:frames, np.newaxis] / 20)).astype(np.float32)


def plain_blocks(audio: Signal, steps: int) -> NDArray[np.float64]:
    """Mean squares of all whole blocks of `steps` times 100 ms, every 100 ms, from the samples."""
    power = np.square(sosfilt(K_SECTIONS, audio.astype(np.float64), axis=0)).sum(axis=1)
    starts = range(0, len(power) - 4800 * steps + 1, 4800)
    return np.array([power[start : start + 4800 * steps].mean() for start in starts])


def plain_gate(blocks: NDArray[np.float64], relative: float) -> NDArray[np.float64]:
    """Return the blocks above -70 LUFS and above the relative gate, sorted."""
    loud = blocks[-0.691 + 10 * np.log10(blocks + 1e-30) > -70.0]
    return np.sort(loud[loud > relative * loud.mean()])


def plain_range(blocks: NDArray[np.float64]) -> float:
    """Tech 3342: the ranks of its listing."""
    loud = plain_gate(blocks, 0.01)
    low, high = (loud[round((len(loud) - 1) * p)] for p in (0.10, 0.95))
    return float(10 * np.log10(high / low))


@pytest.mark.parametrize("seed", range(6))
def test_exact_is_the_standard_to_the_ninth_digit(seed: int) -> None:
    audio = programme(seed)
    measured = measure_loudness(audio, 48000, true_peak=False)
    loud = plain_gate(plain_blocks(audio, 4), 0.1)
    assert measured.integrated_lufs == pytest.approx(-0.691 + 10 * np.log10(loud.mean()), abs=1e-9)
    assert measured.loudness_range_lu == pytest.approx(
        plain_range(plain_blocks(audio, 30)), abs=1e-9
    )
    assert measured.max_momentary_lufs >= -0.691 + 10 * np.log10(loud[-1]) - 1e-9


@pytest.mark.parametrize("seed", range(6))
def test_the_live_meter_is_close_to_the_exact_one(seed: int) -> None:
    audio = programme(seed)
    with LoudnessMeter(48000, 2) as live:
        live.process(audio)
        live.flush()
        exact = measure_loudness(audio, 48000)
        assert live.stats().integrated_lufs == pytest.approx(exact.integrated_lufs, abs=0.01)
        assert live.stats().loudness_range_lu == pytest.approx(exact.loudness_range_lu, abs=0.02)
        assert live.stats().max_momentary_lufs == exact.max_momentary_lufs
        assert live.stats().true_peak_dbtp == exact.true_peak_dbtp


@pytest.mark.parametrize("seed", range(4))
def test_the_live_meter_with_half_of_the_programme_on_the_gate(seed: int) -> None:
    """The worst place: every other minute lies on the relative gate, give or take 0.15 LU.

    Of two equally long parts the quiet one is on the gate when it is 12.7875 dB under the loud one.
    """
    rng = np.random.default_rng(seed)
    # 20 minutes at 8 kHz; noise of equal energy in every 100 ms, at the level drawn for it.
    noise = rng.standard_normal((12000, 800))
    noise /= np.sqrt(np.mean(noise**2, axis=1, keepdims=True))
    quiet = np.arange(12000) // 600 % 2 == 1
    levels_db = np.where(quiet, -12.8 + rng.uniform(-0.3, 0.3, 12000), 0.0) - 25.0
    audio = (noise * 10 ** (levels_db[:, np.newaxis] / 20)).astype(np.float32).ravel()
    with LoudnessMeter(8000, true_peak=False, exact=True) as meter:
        meter.process(audio)
        exact, live = meter.stats().integrated_lufs, meter.live_stats().integrated_lufs
    loud = measure_loudness(audio[: 60 * 8000], 8000, true_peak=False).integrated_lufs
    assert loud - 2.5 < exact < loud - 0.3, "a part of the quiet blocks counts; all: 2.8 LU less"
    assert live == pytest.approx(exact, abs=0.01)


def test_two_tones_within_one_bin_on_the_gate_show_the_bound() -> None:
    """What no histogram can tell apart: the reading is off by no more than the bin's blocks."""
    worst_lu = 0.0
    for offset_db in np.arange(-0.02, 0.02, 0.002):
        quiet_db = -20.0 - 12.7875 + offset_db
        parts = [(40.0, -20.0), (20.0, quiet_db), (20.0, quiet_db - 0.006)]
        with LoudnessMeter(8000, 2, true_peak=False, exact=True) as meter:
            meter.process(tone(8000, *parts))
            exact, live = meter.stats().integrated_lufs, meter.live_stats().integrated_lufs
        worst_lu = max(worst_lu, abs(live - exact))
    assert worst_lu <= -10 * np.log10(1 - 0.5), "half of the blocks are in the bin"


def test_an_exact_meter_does_not_mind_how_it_is_fed() -> None:
    audio = programme(9, 70.0)
    with LoudnessMeter(48000, 2, exact=True) as whole, LoudnessMeter(48000, 2, exact=True) as cut:
        whole.process(audio)  # longer than the kernel keeps blocks for
        for start in range(0, len(audio), 7777):
            cut.process(audio[start : start + 7777])
        assert whole.stats() == cut.stats()
        whole.reset()
        assert whole.stats().integrated_lufs == -math.inf
        whole.process(audio)
        assert whole.stats() == cut.stats()
        assert repr(whole) == "LoudnessMeter(sample_rate_hz=48000, channels=2, exact=True)"


def test_exact_meters_join_exactly() -> None:
    first, second = programme(11, 20.0), programme(12, 30.0)
    blocks = [plain_blocks(audio, 4) for audio in (first, second)]
    ranges = [plain_blocks(audio, 30) for audio in (first, second)]
    with LoudnessMeter(48000, 2, exact=True) as one, LoudnessMeter(48000, 2, exact=True) as other:
        one.process(first[: 48000 * 10])
        other.process(second)
        one.merge(other)
        one.process(first[48000 * 10 :])  # its own programme goes on without a seam
        joined = one.stats()
    loud = plain_gate(np.concatenate(blocks), 0.1)
    assert joined.integrated_lufs == pytest.approx(-0.691 + 10 * np.log10(loud.mean()), abs=1e-9)
    assert joined.loudness_range_lu == pytest.approx(plain_range(np.concatenate(ranges)), abs=1e-9)


def test_an_exact_meter_cannot_join_a_live_one() -> None:
    audio = tone(16000, (5.0, -20.0))
    with LoudnessMeter(16000, 2, exact=True) as exact, LoudnessMeter(16000, 2) as live:
        live.process(audio)
        with pytest.raises(ConfigError, match="exact meters only"):
            exact.merge(live)
        assert exact.stats().integrated_lufs == -math.inf, "nothing was taken in"
        exact.process(audio)
        live.merge(exact)
        assert live.stats().integrated_lufs == pytest.approx(-20.0, abs=0.1)


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
    with pytest.raises(ConfigError, match=r"8000 \.\. 192000 Hz"):
        LoudnessMeter(192001)

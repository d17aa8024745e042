"""Voice activity: three engines behind one interface, decisions and stretches of speech."""

from __future__ import annotations

import math

import numpy as np
import pytest

import audio_engine as ae
from audio_engine.processors.segments import SpeechSegmenter
from signals import Signal, noise, speech

RATE_HZ = 16000
ENGINES = ["kernel", "webrtcvad", "energy"]


def resampled(signal: Signal, rate_hz: int) -> Signal:
    return ae.resample(signal, RATE_HZ, rate_hz) if rate_hz != RATE_HZ else signal


def half_speech(rate_hz: int = RATE_HZ, hiss: float = 0.0005) -> Signal:
    """Return 4 s of a quiet room, then 4 s of a voice in it."""
    voice = np.pad(4.0 * speech("host", 4.0), (4 * RATE_HZ, 0))
    return resampled(voice, rate_hz) + noise(8.0, rate_hz, hiss)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 32000, 44100, 48000, 96000])
def test_every_engine_hears_a_voice_at_every_rate(engine: str, rate_hz: int) -> None:
    with ae.VoiceActivityDetector(rate_hz, engine=engine) as detector:
        probabilities = detector.process(half_speech(rate_hz))
        spoken = detector.decide(probabilities)
        assert detector.stats().speech_share == pytest.approx(spoken.mean(), abs=1e-6)
    assert len(probabilities) == pytest.approx(800, abs=4)
    assert probabilities.dtype == np.float32
    assert np.all((probabilities >= 0.0) & (probabilities <= 1.0))
    half = len(spoken) // 2
    assert spoken[half:].mean() > 0.7
    false_alarms = np.mean(probabilities[half // 4 : half] >= 0.5)
    assert false_alarms < (0.35 if engine == "webrtcvad" else 0.02)


@pytest.mark.parametrize("level_db", [-40.0, 0.0, 12.0])
def test_the_kernel_does_not_care_for_the_level(level_db: float) -> None:
    signal = 10 ** (level_db / 20) * half_speech()
    with ae.VoiceActivityDetector(RATE_HZ) as detector:
        spoken = detector.decide(detector.process(np.clip(signal, -1, 1)))
    assert spoken[400:].mean() > 0.7
    assert spoken[50:400].mean() < 0.05


def test_the_kernel_takes_a_loud_fan_for_what_it_is() -> None:
    """Level alone cannot do this: the fan is switched on at 4 s, as loud as the voice."""
    fan = noise(8.0, RATE_HZ, 0.05) * (np.arange(8 * RATE_HZ) > 4 * RATE_HZ)
    with ae.VoiceActivityDetector(RATE_HZ) as detector:
        probabilities = detector.process(fan + noise(8.0, RATE_HZ, 0.0005, seed=9))
    assert np.mean(probabilities[550:] >= 0.5) < 0.05


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_blocking_changes_nothing(engine: str, rate_hz: int) -> None:
    signal = half_speech(rate_hz)[2 * rate_hz : 6 * rate_hz]
    rng = np.random.default_rng(3)
    with ae.VoiceActivityDetector(rate_hz, engine=engine) as detector:
        whole = np.concatenate([detector.process(signal), detector.flush()])
        segments = detector.take_segments()
        assert segments
        for sizes in ([480], [1, 17], rng.integers(1, 3000, 50).tolist()):
            detector.reset()
            parts: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
            found, at = list[ae.SpeechSegment](), 0
            while at < len(signal):
                size = sizes[len(parts) % len(sizes)] if sizes != [1, 17] or at < 3000 else 4096
                parts.append(detector.process(signal[at : at + size]))
                found += detector.take_segments()
                at += size
            parts.append(detector.flush())
            found += detector.take_segments()
            assert np.array_equal(np.concatenate(parts), whole)
            assert found == segments
        detector.reset()
        assert detector.segments(signal) == segments


@pytest.mark.parametrize("engine", ENGINES)
def test_two_detectors_do_not_disturb_each_other_and_reset_is_new(engine: str) -> None:
    signal = half_speech()[3 * RATE_HZ : 5 * RATE_HZ]
    with (
        ae.VoiceActivityDetector(RATE_HZ, engine=engine) as one,
        ae.VoiceActivityDetector(RATE_HZ, engine=engine) as other,
    ):
        first = one.process(signal)
        one.reset()
        again = []
        for block in np.split(signal, 10):
            again.append(one.process(block))
            other.process(0.1 * block[::-1].copy())
        assert np.array_equal(np.concatenate(again), first)


@pytest.mark.parametrize("engine", ENGINES)
def test_channels_are_judged_by_their_mean(engine: str) -> None:
    signal = half_speech()
    stereo = np.stack([2.0 * signal, np.zeros_like(signal)], axis=1)
    with (
        ae.VoiceActivityDetector(RATE_HZ, engine=engine) as mono,
        ae.VoiceActivityDetector(RATE_HZ, 2, engine=engine) as two,
    ):
        assert np.array_equal(mono.process(signal), two.process(stereo))


@pytest.mark.parametrize("engine", ENGINES)
def test_bad_weather(engine: str) -> None:
    """Whatever comes, probabilities stay probabilities and a voice is heard again."""
    weather = [
        np.full(RATE_HZ, np.nan), np.full(RATE_HZ, np.inf), np.full(RATE_HZ, 1e-39),
        np.full(RATE_HZ, 3e38), np.ones(RATE_HZ), np.zeros(RATE_HZ),
    ]  # fmt: skip
    with ae.VoiceActivityDetector(RATE_HZ, engine=engine) as detector:
        for signal in weather:
            found = detector.process(signal.astype(np.float32))
            assert np.all((found >= 0.0) & (found <= 1.0))
        assert detector.decide(detector.process(half_speech()))[400:].mean() > 0.6


def test_integers_are_audio_too() -> None:
    pcm = np.round(32767 * half_speech()).astype(np.int16)
    with ae.VoiceActivityDetector(RATE_HZ) as detector:
        from_integers = detector.process(pcm)
        detector.reset()
        assert np.array_equal(from_integers, detector.process(pcm.astype(np.float32) / 32768.0))


# --- decisions and stretches ---------------------------------------------------------------------


def stretches(
    pattern: str, hangover: int = 0, shortest: int = 0, lead: int = 0
) -> list[tuple[int, int]]:
    """Segment a text: ``#`` is a block of speech, anything else is none."""
    segmenter = SpeechSegmenter(0.5, hangover, shortest, lead)
    segmenter.add(np.array([mark == "#" for mark in pattern], np.float32))
    segmenter.finish()
    return segmenter.take()


def test_stretches_follow_the_marks() -> None:
    assert stretches("") == stretches("....") == []
    assert stretches("..##.#") == [(2, 4), (5, 6)]
    assert stretches("####") == [(0, 4)]


def test_the_hangover_bridges_gaps_and_ends_late() -> None:
    assert stretches("#..#......", hangover=2) == [(0, 6)]
    assert stretches("#...#.....", hangover=2) == [(0, 3), (4, 7)]
    assert stretches("..##.", hangover=5) == [(2, 5)]


def test_short_stretches_are_left_out_without_their_hangover() -> None:
    assert stretches("#....###...", hangover=1, shortest=2) == [(5, 9)]
    assert stretches("#.#", hangover=2, shortest=3) == [(0, 3)]


def test_the_lead_never_reaches_into_the_stretch_before() -> None:
    assert stretches("..##....##", lead=3) == [(0, 4), (5, 10)]
    assert stretches("##..##", lead=3) == [(0, 2), (2, 6)]


def test_a_stretch_is_known_when_its_hangover_is_over() -> None:
    segmenter = SpeechSegmenter(0.5, 3, 0, 0)
    segmenter.add(np.array([1, 1, 0, 0, 0], np.float32))
    assert segmenter.speaking
    assert segmenter.take() == []
    segmenter.add(np.zeros(1, np.float32))
    assert not segmenter.speaking
    assert segmenter.take() == [(0, 5)]
    assert segmenter.take() == []


def test_decisions_and_stretches_agree() -> None:
    probabilities = np.random.default_rng(1).random(500).astype(np.float32)
    with ae.VoiceActivityDetector(RATE_HZ, threshold=0.9, hangover_ms=40.0) as detector:
        spoken = detector.decide(probabilities)
    segmenter = SpeechSegmenter(0.9, 4, 0, 0)
    segmenter.add(probabilities)
    segmenter.finish()
    again = np.zeros(500, bool)
    for start, end in segmenter.take():
        again[start:end] = True
    assert np.array_equal(again, spoken)


def test_stretches_of_a_recording_are_in_seconds() -> None:
    with ae.VoiceActivityDetector(RATE_HZ, lead_ms=50.0) as detector:
        found = detector.segments(half_speech())
    assert 3.9 < found[0].start_s < 4.1
    assert found[-1].end_s <= 8.0
    assert all(end > start for start, end in found)


def test_flush_judges_the_rest_once() -> None:
    with ae.VoiceActivityDetector(RATE_HZ) as detector:
        assert detector.process(np.zeros(250, np.float32)).shape == (1,)
        assert detector.flush().shape == (1,)
        with pytest.raises(ae.StreamError, match="flushed"):
            detector.process(np.zeros(160, np.float32))
        detector.reset()
        assert detector.process(np.zeros(320, np.float32)).shape == (2,)
        assert detector.flush().shape == (0,)


def test_stats_are_those_of_the_newest_block() -> None:
    with ae.VoiceActivityDetector(RATE_HZ) as detector:
        assert detector.stats() == ae.SpeechStats(
            speech_probability=0.0, speaking=False, speech_share=0.0
        )
        probabilities = detector.process(half_speech()[: 6 * RATE_HZ])
        stats = detector.stats()
        assert stats.speech_probability == probabilities[-1]
        assert stats.speaking == detector.speaking == detector.decide(probabilities)[-1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"engine": "ear"}, {"threshold": 1.1}, {"threshold": math.nan}, {"hangover_ms": -1.0},
        {"min_speech_ms": 2001.0}, {"lead_ms": 501.0}, {"channels": 9}, {"sample_rate_hz": 7999},
    ],
)  # fmt: skip
def test_wrong_parameters_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ae.ConfigError, match=next(iter(wrong))):
        ae.VoiceActivityDetector(**wrong)  # type: ignore[arg-type]


def test_a_closed_detector_says_so() -> None:
    detector = ae.VoiceActivityDetector(RATE_HZ)
    detector.close()
    detector.close()
    for use in (detector.stats, detector.reset, detector.flush, detector.take_segments):
        with pytest.raises(ae.StreamError, match="closed"):
            use()

"""What an echo canceller has learned: kept, taken up again, refused where it does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import audio_engine as ae
from audio_engine.errors import ConfigError, StateError, StreamError
from signals import Signal, echo_of, noise, speech

RATE_HZ = 16000
SECONDS = 4


def session(seed: int, delay_ms: float = 40.0, seconds: float = SECONDS) -> tuple[Signal, Signal]:
    """A microphone that hears a guest through the room, and that guest; another text per seed."""
    far = np.roll(speech("guest", seconds + 10), -3 * RATE_HZ * seed)[: round(seconds * RATE_HZ)]
    mic = echo_of(far, RATE_HZ, delay_ms=delay_ms) + noise(seconds, RATE_HZ, 2e-4, seed=seed)
    return mic.astype(np.float32), far


def clean_db(near: Signal, out: Signal, seconds: float = 2.0) -> float:
    """How far what is no near end lies below the near end, in the first seconds."""
    part = slice(0, round(seconds * RATE_HZ))
    return float(10.0 * np.log10(np.sum(near[part] ** 2) / np.sum((out - near)[part] ** 2)))


def canceller(channels: int = 1) -> ae.EchoCanceller:
    return ae.EchoCanceller(RATE_HZ, channels)


def engine(channels: int = 1) -> ae.Engine:
    """The chain up to the suppressor, without noise reduction: echo alone is measured."""
    config = ae.EngineConfig(sample_rate_hz=RATE_HZ, channels=channels).with_settings(
        {
            "ns.enabled": "false",
            "agc.enabled": "false",
            "limiter.enabled": "false",
            "highpass.enabled": "false",
        }
    )
    return ae.Engine(config)


Maker = Callable[..., ae.EchoCanceller | ae.Engine]
both = pytest.mark.parametrize("make", [canceller, engine])


@pytest.fixture(scope="module")
def state() -> bytes:
    """What one session leaves."""
    with canceller() as aec:
        aec.process(*session(0))
        return aec.save_state()


@pytest.fixture
def aec() -> Iterator[ae.EchoCanceller]:
    with canceller() as made:
        yield made


@both
def test_a_second_session_starts_where_the_first_ended(make: Maker) -> None:
    with make() as first:
        first.process(*session(0))
        kept = first.save_state()
    mic, far = session(1)
    near = 0.5 * speech("host", SECONDS)
    with make() as cold, make() as warm:
        warm.load_state(kept)
        cold_db = clean_db(near, ae.process_whole(cold, mic + near, far))
        warm_db = clean_db(near, ae.process_whole(warm, mic + near, far))
    print(f"both talk from the start: {cold_db:.1f} dB cold, {warm_db:.1f} dB warm")
    assert warm_db > cold_db + 3.0


def test_canceller_and_engine_share_their_states(state: bytes) -> None:
    with engine() as chain:
        chain.load_state(state)
        again = chain.save_state()
    assert len(again) == len(state)


def test_linear_filter_cancels_from_the_first_moment(state: bytes, aec: ae.EchoCanceller) -> None:
    mic, far = session(2, seconds=0.5)
    aec.process(mic, far)
    cold_db = aec.stats().erle_db
    aec.load_state(state)
    aec.process(mic, far)
    warm_db = aec.stats().erle_db
    print(f"ERLE of the filter after 0.5 s: {cold_db:.1f} dB cold, {warm_db:.1f} dB warm")
    assert warm_db > max(cold_db + 10.0, 20.0)


def test_another_device_delay_is_found_and_the_path_comes_along(state: bytes) -> None:
    mic, far = session(3, delay_ms=75.0, seconds=1.5)
    with canceller() as cold, canceller() as warm:
        warm.load_state(state)
        before_ms = warm.stats().delay_ms
        for each in (cold, warm):
            each.process(mic, far)
        assert warm.stats().delay_ms - before_ms == pytest.approx(35.0, abs=0.5)
        print(f"after 1.5 s: {cold.stats().erle_db:.1f}, {warm.stats().erle_db:.1f} dB")
        assert warm.stats().erle_db > cold.stats().erle_db + 8.0


def test_channels_are_in_one_state() -> None:
    mic, far = session(0)
    pair = np.column_stack([mic, 0.5 * mic])
    with canceller(2) as first, canceller(2) as second, canceller(1) as single:
        first.process(pair, far)
        kept = first.save_state()
        second.load_state(kept)
        assert len(kept) > 1.9 * len(single.save_state())
        with pytest.raises(StateError, match="channels: 2, wanted is 1") as caught:
            single.load_state(kept)
        assert caught.value.reason == "shape"


@pytest.mark.parametrize(
    ("damage", "reason", "words"),
    [
        (lambda b: b[:-1], "damaged", "damaged"),
        (lambda b: b[:30], "damaged", "damaged"),
        (lambda b: b"", "damaged", "0 bytes"),
        (lambda b: b + b"\0", "damaged", "damaged"),
        (lambda b: b[:5000] + bytes([b[5000] ^ 1]) + b[5001:], "damaged", "checksum"),
        (lambda b: b[:8] + b"\2" + b[9:], "version", "layout 2; this release reads 1"),
        (lambda b: b"RIFF" + b[4:], "foreign", "no echo state: it begins with b'RIFF"),
        (lambda b: np.random.default_rng(1).bytes(len(b)), "foreign", "no echo state"),
    ],
)
def test_a_bad_state_is_refused_and_costs_nothing(
    state: bytes, damage: Callable[[bytes], bytes], reason: str, words: str
) -> None:
    mic, far = session(1, seconds=1.5)
    with canceller() as tried, canceller() as spared:
        with pytest.raises(StateError, match=words) as caught:
            tried.load_state(damage(state))
        assert caught.value.reason == reason
        assert "\n" not in str(caught.value)
        np.testing.assert_array_equal(tried.process(mic, far), spared.process(mic, far))


def test_a_state_of_another_canceller_says_what_differs(state: bytes) -> None:
    others = {
        "16000 Hz, wanted is 48000": ae.EchoCanceller(48000),
        "tail of 240 ms, wanted is 200": ae.EchoCanceller(RATE_HZ, tail_ms=200),
        "delays up to 1000 ms, wanted is 500": ae.EchoCanceller(RATE_HZ, max_delay_ms=500),
    }
    for words, other in others.items():
        with other, pytest.raises(StateError, match=words):
            other.load_state(state)


# --- what it measures -----------------------------------------------------------------------------


def test_stats_tell_echo_from_near_end_block_by_block(aec: ae.EchoCanceller) -> None:
    mic, far = session(0, seconds=6)
    near = 0.5 * speech("host", 6)
    near[: 4 * RATE_HZ] = 0.0
    mic = mic + near
    assert aec.stats().near_end_presence == 1.0  # nothing of a far end is heard
    moments = []
    for at in range(0, len(mic) - 159, 160):  # a block is 10 ms
        aec.process(mic[at : at + 160], far[at : at + 160])
        moments.append(aec.stats())
    presence = np.array([moment.near_end_presence for moment in moments])
    assert presence.min() >= 0.0
    assert presence.max() <= 1.0
    assert np.median(presence[200:400]) < 0.5 < np.mean(presence[400:])
    last = moments[-1]
    assert last.no_echo_path is False
    assert abs(last.drift_ppm) < 30.0
    assert set(last.to_dict()) == {
        "erle_db",
        "echo_return_loss_db",
        "delay_ms",
        "delay_confidence",
        "drift_ppm",
        "near_end_presence",
        "no_echo_path",
        "divergence_count",
    }


def test_a_headset_has_no_echo_path(aec: ae.EchoCanceller) -> None:
    _, far = session(0)
    near = (0.5 * speech("host", SECONDS) + noise(SECONDS, RATE_HZ, 2e-4)).astype(np.float32)
    aec.process(near[: RATE_HZ // 5], far[: RATE_HZ // 5])
    assert aec.stats().no_echo_path is False  # it is believed in at first
    aec.process(near[RATE_HZ // 5 :], far[RATE_HZ // 5 :])
    assert aec.stats().no_echo_path is True


def test_the_engine_measures_what_the_canceller_measures() -> None:
    mic, far = session(0)
    with canceller() as aec, engine() as chain:
        aec.process(mic, far)
        chain.process(mic, far)
        assert chain.stats().echo == aec.stats()


def test_reset_forgets_the_state(state: bytes) -> None:
    mic, far = session(1, seconds=1.5)
    with canceller() as used, canceller() as fresh:
        used.load_state(state)
        used.process(mic, far)
        used.reset()
        np.testing.assert_array_equal(used.process(mic, far), fresh.process(mic, far))


def test_no_echo_canceller_no_state(state: bytes) -> None:
    config = ae.EngineConfig(sample_rate_hz=RATE_HZ).with_settings({"echo.enabled": "false"})
    with ae.Engine(config) as chain:
        with pytest.raises(ConfigError, match=r"echo\.enabled"):
            chain.save_state()
        with pytest.raises(ConfigError, match=r"echo\.enabled"):
            chain.load_state(state)
    with pytest.raises(StreamError, match="closed"):
        chain.save_state()

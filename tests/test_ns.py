"""The noise suppressor through its public face: channels together and each for itself, options."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import audio_engine as ae
from audio_engine import _native
from signals import Signal, echo_of, level_db, noise, speech, voice

RATE_HZ = 16000
#: Only what the suppressor does is heard.
NS_ALONE = {f"{name}.enabled": "false" for name in ("highpass", "agc", "limiter", "meter")}


def suppressed(mic: NDArray[Any], **options: Any) -> Signal:
    """Return a whole signal through a suppressor, its latency taken off."""
    channels = 1 if mic.ndim == 1 else mic.shape[1]
    with ae.NoiseSuppressor(RATE_HZ, channels, **options) as ns:
        out = np.concatenate([ns.process(mic), ns.flush()])
        return out[ns.latency_frames :]


def two_people(seconds: float = 8.0) -> Signal:
    """One interface, two microphones: the first hears a talker, the second its noisy place."""
    near = 0.5 * speech("host", seconds) + noise(seconds, RATE_HZ, 2e-4)
    far_away = noise(seconds, RATE_HZ, 0.01, seed=3) + 0.003 * near
    return np.stack([near, far_away], axis=1)


def band_levels_db(signal: Signal) -> NDArray[np.float64]:
    """Levels of 20 bands of 350 Hz from 300 Hz on."""
    power = np.abs(np.fft.rfft(signal.astype(np.float64))) ** 2
    edges = (np.arange(21) * 350 + 300) * len(signal) // RATE_HZ
    return 10 * np.log10(np.add.reduceat(power, edges)[:20])


def test_linked_channels_keep_their_level_difference_at_every_frequency() -> None:
    left = 0.5 * speech("host", 6.0) + noise(6.0, RATE_HZ, 0.005)
    right = np.convolve(left, [0.2, 0.1, 0.05])[: len(left)].astype(np.float32)
    out = suppressed(np.stack([left, right], axis=1))
    assert level_db(out[:, 0]) < level_db(left) - 0.05, "something was taken away"
    before = band_levels_db(left) - band_levels_db(right)
    after = band_levels_db(out[:, 0]) - band_levels_db(out[:, 1])
    assert np.ptp(before) > 6.0, "a colour of its own"
    np.testing.assert_allclose(after, before, atol=0.2)


def test_unlinked_a_silent_channel_is_cleaned_while_the_other_speaks() -> None:
    mic = two_people()
    speaks = np.zeros(len(mic), bool)
    for at in range(2 * RATE_HZ, len(mic) - 160, 160):
        speaks[at : at + 160] = level_db(mic[at : at + 160, 0]) > -40.0
    assert speaks.sum() > RATE_HZ
    removed = {
        link: level_db(mic[speaks, 1]) - level_db(suppressed(mic, link_channels=link)[speaks, 1])
        for link in (True, False)
    }
    assert removed[False] > 12.0
    assert removed[False] > removed[True] + 6.0


@pytest.mark.parametrize("far_end", [False, True])
def test_unlinked_channels_are_those_of_mono_chains(far_end: bool) -> None:
    """With the echo canceller too: each channel has its own filter and its own suppressor."""
    far = voice(4.0, RATE_HZ, pitch_hz=190.0, seed=5) if far_end else None
    mic = two_people(4.0)
    if far is not None:
        mic = mic + np.stack([echo_of(far, RATE_HZ), echo_of(far, RATE_HZ, seed=4)], axis=1)
    settings = NS_ALONE | {"ns.link_channels": "false"}
    config = ae.EngineConfig().with_settings(settings)
    both = ae.enhance(mic, sample_rate_hz=RATE_HZ, far_end=far, config=config)
    for c in range(2):
        one = ae.enhance(mic[:, c], sample_rate_hz=RATE_HZ, far_end=far, config=config)
        first = mic[:, [c, 1 - c]]  # the second channel's comfort noise is another one
        beside = ae.enhance(first, sample_rate_hz=RATE_HZ, far_end=far, config=config)
        assert np.array_equal(beside[:, 0], one)
    linked = replace(config, ns=replace(config.ns, link_channels=True))
    together = ae.enhance(mic, sample_rate_hz=RATE_HZ, far_end=far, config=linked)
    assert not np.array_equal(together, both)


def test_unlinked_channels_have_comfort_noise_of_their_own() -> None:
    """The same noise in both would be a voice in the middle, and 3 dB too loud when mixed."""
    far = voice(6.0, RATE_HZ, pitch_hz=190.0, seed=5)
    mic = echo_of(far, RATE_HZ) + noise(6.0, RATE_HZ, 0.001)
    differences_db = []
    for link in ("true", "false"):
        config = ae.EngineConfig().with_settings(NS_ALONE | {"ns.link_channels": link})
        both = np.stack([mic, mic], axis=1)
        out = ae.enhance(both, sample_rate_hz=RATE_HZ, far_end=far, config=config)[3 * RATE_HZ :]
        differences_db.append(level_db(out[:, 0] - out[:, 1]) - level_db(out[:, 0]))
    assert differences_db[0] > -30.0, "equal but for the comfort noise"
    assert differences_db[1] == pytest.approx(differences_db[0], abs=1.0)


@pytest.mark.parametrize("block", [1, 7, 160, 4800])
def test_blocking_never_changes_unlinked_channels(block: int) -> None:
    mic = two_people(1.0)
    with ae.NoiseSuppressor(RATE_HZ, 2, link_channels=False) as ns:
        whole = ns.process(mic)
        ns.reset()
        parts = [ns.process(mic[at : at + block]) for at in range(0, len(mic), block)]
        assert np.array_equal(np.concatenate(parts), whole)


def test_unlinked_channels_allocate_nothing_and_add_no_latency() -> None:
    mic = two_people(1.0)
    with (
        ae.NoiseSuppressor(RATE_HZ, 2) as linked,
        ae.NoiseSuppressor(RATE_HZ, 2, link_channels=False) as ns,
    ):
        assert ns.latency_frames == linked.latency_frames
        before = _native.allocation_count()
        ns.process(mic)
        ns.reset()
        ns.process(mic)
        ns.stats()
        assert _native.allocation_count() == before


def test_stats_of_unlinked_channels_are_those_of_all() -> None:
    mic = two_people(3.0)
    stats = []
    for channels in (mic, mic[:, 0], mic[:, 1]):
        with ae.NoiseSuppressor(RATE_HZ, channels.ndim, link_channels=False) as ns:
            ns.process(channels)
            stats.append(ns.stats())
    both, near, far_away = stats
    powers = [10 ** (one.noise_level_dbfs / 10) for one in (near, far_away)]
    assert both.noise_level_dbfs == pytest.approx(10 * np.log10(np.mean(powers)), abs=0.01)
    kept = [p * 10 ** (-s.noise_reduction_db / 10) for p, s in zip(powers, stats[1:], strict=True)]
    reduction_db = 10 * np.log10(np.sum(powers) / np.sum(kept))
    assert both.noise_reduction_db == pytest.approx(reduction_db, abs=0.01)
    assert both.speech_probability == max(near.speech_probability, far_away.speech_probability)
    assert both.transient_count == near.transient_count + far_away.transient_count
    assert both.reverb_time_s == max(near.reverb_time_s, far_away.reverb_time_s)


def test_stats_are_typed() -> None:
    with ae.NoiseSuppressor(RATE_HZ) as ns:
        ns.process(two_people(1.0)[:, 0])
        stats = ns.stats()
    assert isinstance(stats.music, bool)
    assert isinstance(stats.transient_count, int)
    assert not stats.music, "the music guard is off"
    assert stats.hum_hz >= 0.0
    assert stats.reverb_time_s >= 0.0
    assert 0.0 <= stats.speech_probability <= 1.0


def test_what_is_off_finds_nothing() -> None:
    mic = two_people(4.0)[:, 0]
    mic[:: RATE_HZ // 4] += 0.2  # clicks
    with ae.NoiseSuppressor(RATE_HZ, transients=False, dereverb=0.0) as ns:
        ns.process(mic)
        assert ns.stats().transient_count == 0
        assert not ns.stats().music


def test_nothing_is_taken_away_without_attenuation() -> None:
    mic = two_people(3.0)
    nothing = suppressed(mic, attenuation_limit_db=0.0, dereverb=0.0, music_guard=True)
    np.testing.assert_allclose(nothing, mic, atol=1e-5)


@pytest.mark.parametrize("option", ["transients", "music_guard"])
@pytest.mark.parametrize("link", ["true", "false"])
def test_an_option_changed_live_is_the_option_of_the_configuration(option: str, link: str) -> None:
    """Before the first block both are the same, and the option outlasts a reset."""
    mic = two_people(2.0)
    mic[::4000] += 0.2  # clicks
    begun = ae.EngineConfig(sample_rate_hz=RATE_HZ, channels=2).with_settings(
        NS_ALONE | {"echo.enabled": "false", "ns.link_channels": link}
    )
    value = not getattr(begun.ns, option)
    wanted = begun.with_settings({f"ns.{option}": str(value).lower()})
    with ae.Engine(begun) as engine, ae.Engine(wanted) as other:
        engine.set(f"ns.{option}", value)
        assert engine.config == wanted
        for _ in range(2):
            assert np.array_equal(engine.process(mic), other.process(mic))
            engine.reset()
            other.reset()
        with pytest.raises(ae.ConfigError, match=f"ns.{option}=0.5 is not a switch; use 0 or 1"):
            engine.set(f"ns.{option}", 0.5)
        with pytest.raises(ae.ConfigError, match="cannot change while"):
            engine.set("ns.link_channels", 0)


def test_a_wrong_option_is_refused() -> None:
    with pytest.raises(ae.ConfigError, match="transients=1 is not a switch"):
        ae.NoiseSuppressor(transients=1)  # type: ignore[arg-type]
    with pytest.raises(ae.ConfigError, match="attenuation_limit_db=41 is outside"):
        ae.NoiseSuppressor(attenuation_limit_db=41)

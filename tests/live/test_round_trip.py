"""`io.live.round_trip`: the delay is right to the sample, and nothing is heard where nothing is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audio_engine.errors import DeviceError
from audio_engine.io.live import round_trip
from audio_engine.io.live.devices import AudioDevice, find_device, list_devices_isolated
from audio_engine.io.live.round_trip import RoundTripStats, analyse, measure_round_trip
from audio_engine.processors.audio import AudioArray
from fake_sounddevice import TWO, install
from signals import noise, voice
from soundcard import JackRoom, SoftwareCard


def recorded(delay_frames: int, gain: float, level: float, rate_hz: int) -> AudioArray:
    """What a microphone gets: the sweeps, late and weaker, with reflections and noise."""
    played = round_trip._signal(rate_hz)
    path = np.zeros(delay_frames + 2001)
    path[delay_frames] = gain
    path[delay_frames + 1 :] = 0.02 * gain * np.random.default_rng(3).standard_normal(2000)
    path[delay_frames + 1 :] *= np.exp(-np.arange(2000) / 500)
    heard = np.convolve(played, path)[: len(played)].astype(np.float32)
    heard += noise(len(played) / rate_hz, rate_hz, level)[: len(heard)]
    return heard.reshape(-1, 1)


@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000])
@pytest.mark.parametrize("delay_ms", [0.0, 12.5, 61.0, 480.0])
def test_the_delay_and_the_levels_are_found(rate_hz: int, delay_ms: float) -> None:
    delay_frames = round(delay_ms * rate_hz / 1000)
    found = analyse(recorded(delay_frames, 0.1, 1e-3, rate_hz), rate_hz)
    assert found["heard"]
    assert found["round_trip_ms"] == pytest.approx(1000 * delay_frames / rate_hz, abs=1e-6)
    assert found["played_dbfs"] == -26.0
    assert found["heard_dbfs"] == pytest.approx(-46.0, abs=1.0)
    assert found["noise_dbfs"] == pytest.approx(-60.0, abs=1.0)


def test_an_echo_10_db_below_the_noise_is_heard() -> None:
    level = 10 ** (-36 / 20)
    found = analyse(recorded(2928, 0.1, level, 48000), 48000)
    assert found["round_trip_ms"] == pytest.approx(61.0, abs=0.05)


def test_the_loudest_channel_counts() -> None:
    quiet = noise(5.0, 48000, 1e-4)[: len(round_trip._signal(48000)), np.newaxis]
    found = analyse(np.hstack([quiet, recorded(960, 0.5, 1e-4, 48000)]), 48000)
    assert found["round_trip_ms"] == pytest.approx(20.0)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_no_sweep_is_not_heard(seed: int) -> None:
    frames = len(round_trip._signal(48000))
    silent = {"heard": False, "round_trip_ms": None, "played_dbfs": -26.0, "heard_dbfs": -120.0}
    for audio in (
        noise(4.0, 48000, 0.05, seed=seed),
        voice(4.0, 48000, seed=seed),
        np.zeros(4 * 48000, np.float32),
        np.full(4 * 48000, 0.3, np.float32),
    ):
        found = analyse(audio[:frames, np.newaxis], 48000)
        assert {name: found[name] for name in silent} == silent


PLAYREC = """
import numpy as np

def playrec(signal, samplerate, channels, device, **_):
    assert device == (1, 1)
    recorded = np.zeros((len(signal), channels), np.float32)
    recorded[2400:] = 0.5 * signal[:-2400, :1]
    return recorded

def get_status():
    return 0
"""


def test_it_is_measured_in_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, PLAYREC)
    found = measure_round_trip(TWO[1], TWO[1])
    assert (found.input_device, found.output_device, found.one_clock) == ("room", "room", True)
    assert found.round_trip_ms == pytest.approx(50.0)
    assert found.heard_dbfs == pytest.approx(-32.0, abs=0.1)
    assert found.noise_dbfs == -120.0
    assert not found.interrupted


def test_devices_that_cannot_be_used_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = "def playrec(*_, **__):\n    raise PortAudioError('Device unavailable')\n"
    install(tmp_path, monkeypatch, busy)
    with pytest.raises(DeviceError, match=r"room .* at 48000 Hz: Device unavailable"):
        measure_round_trip(TWO[1], TWO[1])
    with pytest.raises(DeviceError, match="no device that records is called 'gone, ALSA'"):
        measure_round_trip(AudioDevice(5, "gone", "ALSA", 1, 0, 48000), TWO[1])
    install(tmp_path, monkeypatch, "def playrec(*_, **__):\n    time.sleep(60)\n")
    with pytest.raises(DeviceError, match="did not answer within 1 s"):
        measure_round_trip(TWO[1], TWO[1], timeout_s=1.0)


# --- on devices made of software -----------------------------------------------------------------


def use(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[AudioDevice]:
    """Let the children see a software card or server; return what they list."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return list_devices_isolated(20.0)


def measure(devices: list[AudioDevice], microphone: str, loudspeaker: str) -> RoundTripStats:
    """Measure; again where the machine held the stream up."""
    for _ in range(3):
        found = measure_round_trip(
            find_device(microphone, "input", devices),
            find_device(loudspeaker, "output", devices),
            timeout_s=30.0,
        )
        if not found.interrupted:
            break
    return found


def test_the_software_card_is_heard(
    make_card: Callable[..., SoftwareCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = use(make_card(echo_gain_db=-20, echo_delay_ms=20).env, monkeypatch)
    assert find_device(None, "input", devices).name == "soft_card"
    one, two = measure(devices, "card", "soft_card"), measure(devices, "mic", "speaker")
    assert (one.one_clock, two.one_clock) == (True, False)
    for found in (one, two):
        assert found.heard
        assert found.heard_dbfs == pytest.approx(-46.0, abs=0.2)
        assert found.noise_dbfs == -120.0
        assert found.round_trip_ms is not None
        assert 20.0 < found.round_trip_ms < 120.0


def test_a_software_card_that_hears_nothing(
    make_card: Callable[..., SoftwareCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    card = make_card(echo_gain_db=None, near=voice(3.0, 48000))
    devices = use(card.env, monkeypatch)
    found = measure(devices, "soft_mic", "soft_speaker")
    assert (found.heard, found.round_trip_ms) == (False, None)
    card.unplug("mic")
    with pytest.raises(DeviceError, match="no device that records is called 'soft_mic, ALSA'"):
        measure(devices, "soft_mic", "soft_speaker")


def test_the_jack_room_is_heard(
    make_jack_room: Callable[..., JackRoom], monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_jack_room(echo_gain_db=-20) as room:
        found = measure(use(room.env, monkeypatch), "room", "room")
    assert found.heard
    assert found.one_clock
    assert found.heard_dbfs == pytest.approx(-46.0, abs=0.2)

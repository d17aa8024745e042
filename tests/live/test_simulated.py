"""A live stream without a device: its verbs, settings, recordings and errors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import audio_engine as ae
from audio_engine.errors import ConfigError, InputFileError, StreamError
from waiting import wait_until

RATE_HZ = 48000
SECONDS = 4


@pytest.fixture
def mic(tmp_path: Path) -> Path:
    noise = np.random.default_rng(1).standard_normal(SECONDS * RATE_HZ) * 0.05
    soundfile.write(tmp_path / "mic.wav", noise.astype(np.float32), RATE_HZ, subtype="FLOAT")
    return tmp_path / "mic.wav"


@pytest.fixture
def stream(mic: Path) -> Iterator[ae.SimulatedStream]:
    with ae.SimulatedStream(None, mic, mic) as running:
        yield running


def test_the_whole_file_goes_through_and_is_recorded(mic: Path, tmp_path: Path) -> None:
    with ae.SimulatedStream(None, mic, real_time=False) as stream:
        wait_until(lambda: stream.mic_ended, 10.0)
    with ae.SimulatedStream(None, mic, real_time=False) as stream:
        pass
    stream = ae.SimulatedStream(None, mic, real_time=False)
    stream.record(tmp_path / "take.wav")
    with stream:
        wait_until(lambda: stream.stats().frames >= SECONDS * RATE_HZ, 10.0)
    dry, rate_hz = soundfile.read(tmp_path / "take-dry.wav", dtype="float32", always_2d=True)
    sent, _ = soundfile.read(mic, dtype="float32")
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(dry[: len(sent), 0], sent, atol=2**-23)
    assert len(soundfile.read(tmp_path / "take.wav")[0]) == len(dry)


def test_stats_are_of_a_running_stream(stream: ae.SimulatedStream) -> None:
    wait_until(lambda: stream.stats().input.peak_dbfs > -60.0, 10.0)
    stats = stream.stats()
    assert stats.state == "running"
    assert stats.xruns.total == 0
    assert stats.engine_latency_ms == pytest.approx(15.5, abs=0.1)
    assert stats.latency_ms is None  # nothing is played
    assert stats.realtime_priority == "normal"
    assert stats.far_ring_ms > 1000.0
    wait_until(lambda: stream.stats().load.p50_us > 0.0, 10.0)


def test_settings_and_switches_reach_the_chain(stream: ae.SimulatedStream) -> None:
    stream.set("ns.attenuation_limit_db", 6.0)
    stream.set("agc.enabled", 0)
    stream.set("ns.transients", 0)
    stream.set("ns.music_guard", 1)
    assert stream.config.ns.attenuation_limit_db == 6.0
    assert (stream.config.ns.transients, stream.config.ns.music_guard) == (False, True)
    wait_until(lambda: stream.stats().engine.agc is None, 10.0)
    with pytest.raises(ConfigError, match="tail_ms"):
        stream.set("echo.tail_ms", 100)
    with pytest.raises(ConfigError, match="outside"):
        stream.set("ns.attenuation_limit_db", 75.0)


def test_a_preset_that_only_differs_in_values_needs_no_new_graph(
    stream: ae.SimulatedStream,
) -> None:
    stream.swap(replace(stream.config, limiter=replace(stream.config.limiter, ceiling_dbtp=-3.0)))
    stream.swap(replace(stream.config, limiter=replace(stream.config.limiter, ceiling_dbtp=-2.0)))
    assert stream.config.limiter.ceiling_dbtp == -2.0


def test_another_graph_takes_over_and_two_at_once_are_refused(stream: ae.SimulatedStream) -> None:
    other = replace(stream.config, echo=replace(stream.config.echo, tail_ms=120))
    stream.swap(other)
    with pytest.raises(StreamError, match="last change"):
        stream.swap(replace(other, echo=replace(other.echo, tail_ms=160)))
    assert stream.config == other
    time.sleep(0.3)
    stream.swap(replace(other, echo=replace(other.echo, tail_ms=160)))
    with pytest.raises(ConfigError, match="the stream runs with"):
        stream.swap(replace(other, channels=2))


def test_a_stereo_far_end_reaches_the_echo_filter(tmp_path: Path) -> None:
    frames, late = SECONDS * RATE_HZ, RATE_HZ // 25
    far = np.random.default_rng(2).uniform(-0.2, 0.2, (frames, 2)).astype(np.float32)
    echo = np.zeros(frames, np.float32)
    echo[late:] = far[:-late] @ np.array([0.4, -0.4], np.float32)  # their mean would not do
    for name, audio in (("mic", echo), ("far", far)):
        soundfile.write(tmp_path / f"{name}.wav", audio, RATE_HZ, subtype="FLOAT")
    config = ae.EngineConfig(sample_rate_hz=RATE_HZ, far_channels=2)
    files = tmp_path / "mic.wav", tmp_path / "far.wav"
    with ae.SimulatedStream(config, *files, real_time=False) as stream:
        wait_until(lambda: stream.stats().frames >= frames - RATE_HZ, 20.0)
        echo_stats = stream.stats().engine.echo
    assert echo_stats is not None
    assert echo_stats.erle_db > 20.0


def test_a_graph_of_the_users_own_runs(mic: Path) -> None:
    graph = ae.Graph(RATE_HZ)
    graph.add_input("mic")
    graph.add("ceiling", ae.LimiterConfig(ceiling_dbtp=-20.0), source="mic")
    graph.add_output("ceiling")
    with ae.SimulatedStream(graph, mic) as stream:
        stream.listen()
        block = stream.read(24000, timeout_s=5.0)
    assert block.shape == (24000, 1)
    assert 0.05 < np.abs(block).max() <= 0.1


def test_muting_silences_and_bypass_gives_the_microphone(
    mic: Path, stream: ae.SimulatedStream
) -> None:
    stream.listen()
    stream.muted = True
    time.sleep(0.2)
    stream.listen()
    assert not stream.read(4800).any()
    stream.muted, stream.bypass = False, True
    time.sleep(0.2)
    stream.listen()
    heard = stream.read(4800)[:, 0]
    sent, _ = soundfile.read(mic, dtype="float32")
    match = np.correlate(sent, heard, mode="valid")
    at = int(np.argmax(match))
    gain = match[at] / np.dot(sent[at : at + 4800], sent[at : at + 4800])
    np.testing.assert_allclose(heard, gain * sent[at : at + 4800], atol=1e-4)


def test_one_recording_at_a_time(stream: ae.SimulatedStream, tmp_path: Path) -> None:
    stream.record(tmp_path / "one.wav")
    with pytest.raises(StreamError, match=r"one\.wav is being recorded"):
        stream.record(tmp_path / "two.wav")
    assert stream.stats().recording == str(tmp_path / "one.wav")
    report = stream.stop_recording()
    assert report is not None
    assert report.paths[0].exists()
    assert stream.stop_recording() is None


def test_the_far_end_is_never_overwritten(stream: ae.SimulatedStream, mic: Path) -> None:
    with pytest.raises(ConfigError, match="never overwritten"):
        stream.record(mic)


def test_events_come_once(stream: ae.SimulatedStream) -> None:
    wait_until(lambda: any(event.kind == "audio" for event in stream.events()), 10.0)
    assert not any(event.kind == "audio" for event in stream.events())


def test_a_closed_stream_refuses_work(mic: Path) -> None:
    stream = ae.SimulatedStream(None, mic)
    with stream:
        pass
    stream.close()
    with pytest.raises(StreamError, match="closed"):
        stream.stats()


def test_a_missing_microphone_file_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"nothing\.wav"):
        ae.SimulatedStream(None, tmp_path / "nothing.wav")

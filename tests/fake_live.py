"""A stream that only pretends: what the monitor needs, with every value in the test's hands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine.config import EngineConfig
from audio_engine.errors import ConfigError
from audio_engine.io.live.stats import (
    ClockStats,
    LiveEvent,
    LiveStats,
    LoadStats,
    MeterStats,
    XrunStats,
)
from audio_engine.processors.stats import (
    EchoStats,
    EngineStats,
    LevelStats,
    LimiterStats,
    LoudnessStats,
    NoiseStats,
)

ENGINE = EngineStats(
    frames=480_000,
    non_finite_count=0,
    fault_count=0,
    input_peak_dbfs=-12.0,
    output_peak_dbfs=-6.0,
    echo=EchoStats(
        erle_db=31.0,
        echo_return_loss_db=8.0,
        delay_ms=63.0,
        delay_confidence=0.9,
        drift_ppm=0.0,
        near_end_presence=0.8,
        no_echo_path=False,
        divergence_count=0,
    ),
    noise=NoiseStats(
        noise_level_dbfs=-58.0,
        noise_reduction_db=14.2,
        echo_reduction_db=6.0,
        speech_probability=0.93,
        reverb_time_s=0.4,
        hum_hz=50.0,
        music=False,
        transient_count=12,
    ),
    agc=LevelStats(
        gain_db=6.4, voice_gain_db=6.4, speech_loudness_lufs=-24.5, noise_floor_lufs=-61.0
    ),
    limiter=LimiterStats(reduction_db=0.8, max_reduction_db=3.0),
    loudness=LoudnessStats(
        momentary_lufs=-18.3,
        short_term_lufs=-18.6,
        integrated_lufs=-18.9,
        loudness_range_lu=4.0,
        max_momentary_lufs=-15.0,
        max_short_term_lufs=-17.0,
        true_peak_dbtp=-1.0,
        sample_peak_dbfs=-1.2,
        range_is_stable=False,
    ),
)

STATS = LiveStats(
    state="running",
    state_s=10.0,
    recoveries=0,
    last_recovery_ms=None,
    uptime_s=10.0,
    sample_rate_hz=48000,
    device_block_frames=480,
    input_device="Room microphone",
    output_device="Desk loudspeaker",
    far_source="guest.wav",
    latency_ms=41.6,
    engine_latency_ms=20.0,
    frames=480_000,
    xruns=XrunStats(),
    load=LoadStats(p50_us=610.0, p99_us=890.0, max_us=1430.0, block_us=10_000.0, shed_level=0),
    input=MeterStats(peak_dbfs=-14.0, peak_hold_dbfs=-12.3, momentary_lufs=-24.4),
    output=MeterStats(peak_dbfs=-7.0, peak_hold_dbfs=-5.6, momentary_lufs=-18.3),
    far=MeterStats(peak_dbfs=-16.0, peak_hold_dbfs=-15.1, momentary_lufs=-22.0),
    clock=ClockStats(
        drift_ppm=12.3,
        fill_frames=612.0,
        target_frames=600.0,
        jitter_ms=0.2,
        latency_ms=13.0,
        locked=True,
        underruns=0,
        overruns=0,
    ),
    far_clock=None,
    far_ring_ms=9_800.0,
    engine=ENGINE,
    realtime_priority="SCHED_FIFO 20",
    memory_locked=True,
    monitor=False,
    bypass=False,
    muted=False,
    recording=None,
)


class FakeStream:
    """Keeps what it was asked for; `now` is what it reports, `happens` adds an event."""

    def __init__(self, config: EngineConfig | None = None, now: LiveStats = STATS) -> None:
        self._config = config or EngineConfig()
        self.now = now
        self.monitor = self.bypass = self.muted = False
        self.calls: list[str] = []
        self._events: list[LiveEvent] = []
        self.fails: dict[str, Exception] = {}

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]

    @property
    def config(self) -> EngineConfig:
        return self._config

    def start(self) -> None:
        self._called("start")

    def stop(self) -> None:
        self._called("stop")

    def close(self) -> None:
        self._called("close")

    def set(self, name: str, value: float) -> None:
        self._called("set")
        section = name.partition(".")[0]
        if not name.endswith(".enabled"):
            raise ConfigError(f"{name} cannot change")
        changed = replace(getattr(self._config, section), enabled=bool(value))
        self._config = replace(self._config, **{section: changed})

    def swap(self, config: EngineConfig) -> None:
        self._called("swap")
        self._config = config

    def stats(self) -> LiveStats:
        return replace(self.now, monitor=self.monitor, bypass=self.bypass, muted=self.muted)

    def happens(self, text: str, **fields: Any) -> None:
        given = {"time_s": self.now.uptime_s, "level": "info", "kind": "test", **fields}
        self._events.append(LiveEvent(text=text, **given))

    def events(self) -> list[LiveEvent]:
        new, self._events = self._events, []
        return new

    def record(self, path: Path) -> None:
        self._called("record")
        path.write_bytes(b"RIFF")
        self.happens(f"recording {path}")

    def stop_recording(self) -> None:
        self._called("stop_recording")

    def spectrum(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        slope = np.linspace(-40.0, -90.0, 2049)
        return slope, slope - 20.0

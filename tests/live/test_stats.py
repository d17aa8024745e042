"""`io.live.stats`: the snapshot that the monitor, `--json` and `--stats` are made from."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields
from types import SimpleNamespace

import pytest

from audio_engine.io.live.stats import ClockStats, LiveStats, LoadStats, MeterStats, XrunStats
from audio_engine.processors.stats import EngineStats


def live_stats(xruns: XrunStats) -> LiveStats:
    meter = MeterStats(peak_dbfs=-12.0, peak_hold_dbfs=-6.0, momentary_lufs=-18.0)
    return LiveStats(
        state="running",
        state_s=1.0,
        recoveries=0,
        last_recovery_ms=None,
        uptime_s=1.5,
        sample_rate_hz=48000,
        device_block_frames=480,
        input_device="mic",
        output_device="speakers",
        far_source="-",
        latency_ms=None,
        engine_latency_ms=10.0,
        frames=48000,
        xruns=xruns,
        load=LoadStats(p50_us=300.0, p99_us=600.0, max_us=900.0, block_us=10000.0, shed_level=0),
        input=meter,
        output=meter,
        far=meter,
        clock=None,
        far_clock=None,
        far_ring_ms=0.0,
        engine=EngineStats(
            frames=48000,
            non_finite_count=0,
            fault_count=0,
            input_peak_dbfs=-12.0,
            output_peak_dbfs=-6.0,
        ),
        realtime_priority="normal",
        memory_locked=False,
        monitor=False,
        bypass=False,
        muted=False,
        recording=None,
    )


def test_every_interruption_counts_in_the_total() -> None:
    assert XrunStats().total == 0
    names = [item.name for item in fields(XrunStats)]
    counts = {name: 10**power for power, name in enumerate(names)}
    assert XrunStats(**counts).total == int("1" * len(names))


def test_the_snapshot_becomes_json_with_the_total() -> None:
    found = json.loads(json.dumps(live_stats(XrunStats(output_underflow=2)).to_dict()))
    assert found["xruns"]["output_underflow"] == found["xruns"]["total"] == 2
    assert found["input"]["peak_dbfs"] == -12.0
    assert found["engine"]["frames"] == 48000
    assert found["clock"] is None


def test_a_snapshot_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        live_stats(XrunStats()).state = "lost"  # type: ignore[misc]


def test_switches_of_a_c_report_become_booleans() -> None:
    names = [item.name for item in fields(ClockStats)]
    report = SimpleNamespace(**dict.fromkeys(names, 1), writing=1)
    assert ClockStats.from_report(report).locked is True

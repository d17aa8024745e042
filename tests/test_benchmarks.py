"""The benchmarks run and say what they promise; the figures themselves are no test's business."""

from __future__ import annotations

import numpy as np

from benchmarks import bench_stereo
from benchmarks.bench_chain import measure
from benchmarks.run import missed_goal, table
from benchmarks.scene import double_talk


def test_the_scene_has_two_talkers_and_is_always_the_same() -> None:
    mic, far = double_talk(3.0, 16000)
    again, _ = double_talk(3.0, 16000)
    assert mic.shape == far.shape == (48000,)
    assert mic.dtype == far.dtype == np.float32
    assert np.array_equal(mic, again)
    assert 0.01 < np.std(far) < 0.2
    assert np.max(np.abs(mic)) < 1.0


def test_the_chain_is_measured_whole_by_stage_and_by_block() -> None:
    records = list(measure(16000, 1.0, runs=2))
    cases = [record["case"] for record in records]
    stages = ["highpass", "echo", "ns", "agc", "limiter", "meter"]
    assert cases == ["chain", *(f"chain_stage_{stage}" for stage in stages), "chain_block_10ms"]
    whole, *parts = [record["share_of_core"] for record in records[:-1]]
    assert whole > 0.0
    assert np.isclose(sum(parts), whole, atol=1e-4)
    assert len(table(records).splitlines()) == len(records)


def test_a_second_far_channel_is_priced_and_valued() -> None:
    records = list(bench_stereo.measure(8.0, runs=1))
    assert [r["rate_hz"] for r in records if "ratio" in r] == [16000, 48000]
    gains = {r["case"]: r["erle_db"] - r["peer_erle_db"] for r in records if "erle_db" in r}
    assert len(gains) == 11
    assert gains["stereo_music_late"] > 5.0
    assert gains["stereo_antiphase_late"] > 15.0
    assert len(table(records).splitlines()) == len(records)


def test_a_missed_goal_is_named() -> None:
    fft = {"case": "fft_forward_512", "build": "baseline", "peer": "kissfft", "goal_ratio": 0.6}
    assert missed_goal({**fft, "ratio": 0.5}) is None
    assert missed_goal({**fft, "ratio": 0.7}) == (
        "fft_forward_512 (baseline): 0.7 of kissfft, 0.6 wanted"
    )
    chain = {"case": "chain", "build": "baseline", "goal_share": 0.02}
    assert missed_goal({**chain, "share_of_core": 0.01}) is None
    assert missed_goal({**chain, "share_of_core": 0.03}) == (
        "chain (baseline): 3.00% of a core, 2% wanted"
    )

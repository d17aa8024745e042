"""The benchmarks run and say what they promise; the figures themselves are no test's business."""

from __future__ import annotations

import numpy as np
import pytest

from audio_engine import LoudnessMeter
from benchmarks import (
    batch_cost,
    bench_stereo,
    echo_cost,
    far_end_trouble,
    lip_sync_delay,
    meter_cost,
    music_guard,
    noise_cost,
    room_cost,
    soak_echo,
    soak_loudness,
)
from benchmarks.bench_chain import measure
from benchmarks.echo_scene import EchoPath, longest_run, tile_gains_db, voice
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


def test_the_echo_path_in_pieces_is_the_echo_path_whole() -> None:
    far = voice("guest", 16000)[:32000]
    response = np.array([0.0, 0.5, 0.25])
    whole = EchoPath(16000, response, 30.0).play(far)
    path = EchoPath(16000, response, 30.0)
    pieces = np.concatenate([path.play(far[:5000]), path.play(far[5000:])])
    wanted = np.convolve(np.concatenate([np.zeros(480), far]), response)[:32000]
    assert np.allclose(whole, wanted)
    assert np.allclose(pieces, wanted)


def test_the_tiles_see_the_near_end_and_not_the_rest() -> None:
    near, other = voice("host", 16000)[:64000], voice("guest", 16000)[:64000]
    assert np.allclose(tile_gains_db(near, near, 16000), 0.0, atol=1e-6)
    assert np.allclose(tile_gains_db(near, 0.5 * near, 16000), -6.02, atol=0.01)
    assert abs(np.median(tile_gains_db(near, near + 0.3 * other, 16000))) < 0.5


def test_the_longest_run_is_found() -> None:
    assert longest_run(np.array([0, 1, 1, 0, 1, 1, 1], np.bool_)) == 3
    assert longest_run(np.zeros(0, np.bool_)) == 0


def test_a_soak_has_all_events_and_counts_them_alike_at_both_ends() -> None:
    turns = soak_echo.programme(np.random.default_rng(1), 300.0)
    assert np.isclose(sum(turn.seconds for turn in turns), 300.0, atol=0.2)
    assert {turn.kind for turn in turns} == {"far", "both", "near", "silent"}
    assert {turn.event for turn in turns} == {"", "move", "jump"}
    records = list(soak_echo.measure(16000, 2, seed=1, round_s=30.0, warm_up_s=10.0))
    assert [record["case"] for record in records] == ["soak_round", "soak_round", "soak_echo"]
    whole = records[-1]
    assert whole["minutes"] == 1.0
    assert whole["turns"] > 0
    assert whole["non_finite"] == 0
    assert len(table(records).splitlines()) >= len(records)


def test_a_soak_that_wears_out_is_told() -> None:
    good = {"erle_change_db": 0.4, "louder_ms": 20, "non_finite": 0}
    assert soak_echo.missed(good) == []
    assert len(soak_echo.missed({"erle_change_db": -2.0, "louder_ms": 400, "non_finite": 1})) == 3


def test_a_day_of_levelling_is_the_same_passage_and_all_kinds_of_turns() -> None:
    turns = list(soak_loudness.programme(np.random.default_rng(1), 3600.0))
    assert np.isclose(sum(turn.seconds for turn in turns), 3600.0)
    assert any(turn.speech_dbfs == -np.inf and turn.seconds > 60.0 for turn in turns)
    assert any(turn.noise_dbfs == -np.inf for turn in turns)
    levels = [turn.speech_dbfs for turn in turns if np.isfinite(turn.speech_dbfs)]
    assert max(levels) > -15.0
    assert min(levels) < -45.0
    for one, other in zip(soak_loudness.head(16000), soak_loudness.head(16000), strict=True):
        assert np.array_equal(one, other)
    records = list(soak_loudness.measure(16000, 2, seed=1, hour_s=300.0))
    assert [r["case"] for r in records] == [*["soak_loudness_hour"] * 2, "soak_loudness"]
    assert records[-1]["hours"] == pytest.approx(600.0 / 3600.0, abs=0.01)
    assert records[-1]["missed"] == []
    assert len(table(records).splitlines()) >= len(records)


def test_a_day_that_drifts_is_told() -> None:
    good = {"drift_db": -0.05, "live_error_lu": 0.001, "growth_mb": 1.0, "non_finite": 0}
    assert soak_loudness.missed(good) == []
    bad = {"drift_db": 0.2, "live_error_lu": float("nan"), "growth_mb": 90.0, "non_finite": 3}
    assert len(soak_loudness.missed(bad)) == 4


def test_the_meter_is_measured_beside_its_peer() -> None:
    (record,) = meter_cost.measure(16000, 2, True, seconds=2.0, runs=2)
    assert record["case"] == "meter_16000_2ch_true_peak"
    assert 0.0 < record["share_of_core"] < 0.05
    assert ("ratio" in record) == (meter_cost.load_library() is not None)
    reading = meter_cost.measure_reading(3.0, runs=2)
    assert reading["last_us"] > 0.0
    assert len(table([record, reading]).splitlines()) == 2


def test_the_lip_sync_delay_is_measured() -> None:
    talk = dict(lip_sync_delay.demo_voices(9.0))["host"]
    moves, safety = lip_sync_delay.moves("host", talk), lip_sync_delay.safety("host", talk)
    assert len(moves["seconds"]) == len(lip_sync_delay.MOVES_MS)
    assert moves["seconds"][0] is not None
    assert safety["jumps"] > 0
    assert abs(safety["energy_db"]) < 0.1
    assert safety["loudest_moved_db"] < -15.0
    records = [*lip_sync_delay.cost(1.0, runs=1), lip_sync_delay.purity(1000.0), moves, safety]
    assert records[2]["missed"] == []
    assert len(table(records).splitlines()) == 5


def test_both_meters_read_the_same() -> None:
    library = meter_cost.load_library()
    if library is None:
        pytest.skip("libebur128 is not installed")
    audio = meter_cost.programme(6.0, 48000, 2)
    peer = meter_cost.Peer(library, 48000, 2, true_peak=True)
    with LoudnessMeter(48000, 2) as meter:
        for start in range(0, len(audio), 4800):
            meter.process(audio[start : start + 4800])
            peer(audio[start : start + 4800])
        found, theirs = meter.stats(), peer.readings()
    peer.close()
    assert found.integrated_lufs == pytest.approx(theirs["integrated_lufs"], abs=0.05)
    assert found.momentary_lufs == pytest.approx(theirs["momentary_lufs"], abs=0.05)
    assert found.loudness_range_lu == pytest.approx(theirs["loudness_range_lu"], abs=0.5)
    assert found.true_peak_dbtp == pytest.approx(theirs["true_peak_dbtp"], abs=0.2)


def test_the_cost_of_a_room_is_measured() -> None:
    records = list(room_cost.measure(0.3, runs=2, sizes=(2, 20)))
    sizes = ("2", "20")
    assert [r["case"] for r in records] == [f"{x}_{n}" for n in sizes for x in room_cost.CASES]
    assert all(0.0 < record["share_of_core"] < 0.1 for record in records)
    assert "goal_share" in records[0]
    assert len(table(records).splitlines()) == len(records)


def test_a_far_end_in_trouble_is_measured() -> None:
    records = [
        *far_end_trouble.measure(16000, 1, only="trouble_absent_at_first"),
        *far_end_trouble.measure(16000, 1, only="loop_absent_-12_db"),
    ]
    cases = [record["case"] for record in records]
    assert cases == ["trouble_absent_at_first", "loop_absent_-12_db"]
    assert records[0]["near_alone_db"] > -0.5, "there is no reference yet"
    assert records[1]["bounded"]
    assert len(table(records).splitlines()) >= len(records)


def test_the_cost_of_the_noise_suppressor_and_its_options_is_measured() -> None:
    records = list(noise_cost.measure(16000, 1.0, runs=3))
    assert [record["case"] for record in records] == [f"noise_cost_{x}" for x in noise_cost.CASES]
    assert records[0]["times_default"] == 1.0
    assert all(0.0 < record["share_of_core"] < 0.1 for record in records)
    assert records[-1]["times_default"] > 1.0, "a suppressor for each of two channels"
    assert len(table(records).splitlines()) == len(records)


def test_the_cost_of_the_echo_canceller_is_measured() -> None:
    records = list(echo_cost.measure(16000, 1, rounds=2))
    own = records[0]
    assert own["case"] == "echo_cost_ours"
    assert 0.0 < own["best_us"] < own["best_with_call_us"]
    assert "ratio" in own or "skipped" in own
    assert len(table(records).splitlines()) >= len(records)


def test_a_missed_goal_of_the_echo_canceller_is_named() -> None:
    record = {"case": "trouble_clean", "build": "baseline", "missed": ["a", "b"]}
    assert missed_goal(record) == "trouble_clean (baseline): a; b"


def test_music_through_its_preset_stays() -> None:
    records = list(music_guard.measure(16000, 6.0))
    preset = [r for r in records if r["case"].startswith("preset ")]
    assert len(preset) == 14  # ten pieces, four quiet sounds
    assert [r["missed"] for r in preset] == [[]] * 14
    assert any(r["guard_on"] > 0.5 for r in preset)
    hum = [r["hum_reduction_db"] for r in records if "hum_reduction_db" in r]
    assert len(hum) == 10
    assert min(hum) > 10.0
    assert all(music_guard.row(record) for record in records)


def test_many_files_are_priced() -> None:
    records = list(batch_cost.measure(files=4, seconds=0.5, runs=1))
    assert records[0]["case"] == "batch_overhead"
    assert records[0]["process_file_ms"] > 0.0
    assert all(record["speed_up"] > 0.0 for record in records[1:])
    assert len(table(records).splitlines()) == len(records)

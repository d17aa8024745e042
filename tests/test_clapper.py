"""Flash and beep: imposed offsets come out to 2 ms, what is no clapper is not taken for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy.signal import fftconvolve, resample_poly

pytest.importorskip("av", reason="PyAV (the extra [video]) is not installed")

from audio_engine import ConfigError, InputFileError
from audio_engine.io import clapper, clapper_film
from audio_engine.io.clapper import ClapperMeasurement, find_beeps, find_flashes, measure_clapper
from videos import write_video

RATE_HZ = 48000
HEIGHT, WIDTH = 18, 32
Scene = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def irregular(seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
    times_s = np.cumsum(rng.uniform(1.6, 2.4, 40))
    return times_s[times_s < seconds - 1.5]


def make_scene(
    offset_ms: float,
    *,
    seed: int = 0,
    seconds: float = 16.0,
    fps: float = 30.0,
    gap_s: float | None = None,
    bright: float = 200.0,
    area: tuple[int, int] = (6, 8),
    flash_s: float = 0.1,
    grain: float = 1.0,
    level: float = 0.3,
    hz: float = 1000.0,
    hiss: float = 0.003,
) -> Scene:
    """Return times and pictures of a room in which something flashes, and sound with its beeps."""
    rng = np.random.default_rng(seed)
    events_s = irregular(seconds, rng)
    if gap_s is not None:
        events_s = np.arange(1.0, seconds - 1.5, gap_s)
    times_s = np.arange(round(seconds * fps)) / fps
    luma = np.full((len(times_s), HEIGHT, WIDTH), 40.0) + rng.uniform(0.0, 60.0, (HEIGHT, WIDTH))
    firsts = np.searchsorted(times_s, events_s - 1e-9)
    for first in firsts:
        lit = slice(first, first + max(1, round(flash_s * fps)))
        luma[lit, 4 : 4 + area[0], 10 : 10 + area[1]] += bright
    luma += rng.normal(0.0, grain, luma.shape)
    audio = hiss * rng.standard_normal(round(seconds * RATE_HZ))
    beep_s = np.arange(round(0.06 * RATE_HZ)) / RATE_HZ
    for first in firsts:
        start = round((times_s[first] + offset_ms / 1000.0) * RATE_HZ)
        audio[start : start + len(beep_s)] += level * np.sin(2.0 * np.pi * hz * beep_s)
    return times_s, luma, audio


def measured(scene: Scene) -> ClapperMeasurement:
    times_s, luma, audio = scene
    flashes_s = find_flashes(times_s, np.clip(luma, 0.0, 255.0).astype(np.uint8))
    tones_s = find_beeps(audio, max(3, len(flashes_s)))
    return clapper.pair_up(flashes_s, tones_s, float(np.median(np.diff(times_s))))


def check(scene: Scene, offset_ms: float, tolerance_ms: float = 2.0) -> None:
    found = measured(scene)
    assert found.reason == ""
    assert found.confidence >= 0.5
    assert found.offset_ms == pytest.approx(offset_ms, abs=tolerance_ms)


@pytest.mark.parametrize("fps", [15.0, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0])
def test_any_frame_rate(fps: float) -> None:
    for seed, offset_ms in enumerate((83.0, -700.0)):
        check(make_scene(offset_ms, fps=fps, seed=seed), offset_ms, 0.5)


@pytest.mark.parametrize(
    "conditions",
    [
        {"hiss": 0.3},  # as loud as the beep
        {"level": 0.0003, "hiss": 1e-5},  # -70 dBFS
        {"hz": 440.0},
        {"hz": 3150.0},
        {"bright": 5.0},
        {"bright": 12.0, "grain": 4.0},
        {"area": (1, 2), "bright": 100.0},
        {"area": (HEIGHT, WIDTH)},
        {"flash_s": 0.0},  # one frame
        {"flash_s": 0.5},
        {"gap_s": 2.0},  # alike, but within 1.2 s there is but one beep
    ],
)
def test_hard_conditions(conditions: dict[str, Any]) -> None:
    for seed, offset_ms in enumerate((120.0, -333.0)):
        check(make_scene(offset_ms, seed=seed, **conditions), offset_ms)


def test_cuts_and_exposure_are_no_flashes() -> None:
    rng = np.random.default_rng(4)
    times_s, luma, audio = make_scene(90.0)
    for i, at in enumerate(np.sort(rng.integers(10, len(luma) - 10, 5))):
        luma[at:] *= (0.7, 1.0 / 0.7)[i % 2]
    for at in rng.integers(10, len(luma) - 10, 4):
        luma[at:] = luma[at:] * 0.8 + rng.uniform(0.0, 40.0, (HEIGHT, WIDTH))
    check((times_s, luma, audio), 90.0)


def test_something_bright_that_moves_is_no_flash() -> None:
    times_s, luma, audio = make_scene(90.0)
    for i, picture in enumerate(luma):
        left = int(1.5 * i) % (WIDTH - 6)
        picture[12:, left : left + 6] += 130.0
    check((times_s, luma, audio), 90.0)


def test_a_room_and_a_voice() -> None:
    rng = np.random.default_rng(4)
    times_s, luma, audio = make_scene(90.0)
    decay = rng.standard_normal(RATE_HZ // 2) * np.exp(-np.arange(RATE_HZ // 2) / RATE_HZ * 10.0)
    decay[: RATE_HZ // 300] = 0.0  # the first reflection
    decay /= np.sqrt(np.sum(decay**2))
    decay[0] = 1.0  # as loud as all the reflections together
    audio = fftconvolve(audio, decay)[: len(audio)]
    check((times_s, luma, audio), 90.0)
    voice, _ = soundfile.read(Path(clapper.__file__).parents[1] / "demo_data" / "host.flac")
    voice = np.resize(resample_poly(voice, 3, 1), len(audio))
    audio += 0.05 * voice / np.sqrt(np.mean(voice**2))
    check((times_s, luma, audio), 90.0)


def test_a_flash_within_the_exposure_is_off_by_less_than_stated() -> None:
    fps = 30.0
    errors_ms = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        times_s, luma, audio = make_scene(0.0, seconds=30.0, bright=0.0, level=0.0, seed=seed)
        beep_s = np.arange(round(0.06 * RATE_HZ)) / RATE_HZ
        for event_s in irregular(30.0, rng):
            first = int(event_s * fps)  # sees it only from the event on
            luma[first, 4:10, 10:18] += 200.0 * (1.0 - (event_s * fps - first))
            luma[first + 1 : first + 4, 4:10, 10:18] += 200.0
            start = round(event_s * RATE_HZ)
            audio[start : start + len(beep_s)] += 0.3 * np.sin(2.0 * np.pi * 1000.0 * beep_s)
        found = measured((times_s, luma, audio))
        assert found.offset_ms is not None
        assert found.precision_ms is not None
        assert found.precision_ms == pytest.approx(0.5 / fps * 1000.0 / found.pairs**0.5)
        errors_ms.append(abs(found.offset_ms) / found.precision_ms)
    assert max(errors_ms) < 1.5
    assert np.mean(errors_ms) < 0.8


def test_what_cannot_be_known_has_a_reason() -> None:
    times_s, luma, audio = make_scene(90.0)
    hiss = 0.01 * np.random.default_rng(1).standard_normal(len(audio))
    dark = np.full_like(luma, 40.0) + np.random.default_rng(1).normal(0.0, 2.0, luma.shape)
    reasons = {
        "no flash": (times_s, dark, audio),
        "no beep": (times_s, luma, hiss),
        "too few pairs": make_scene(90.0, seconds=5.5),
        "ambiguous": make_scene(90.0, gap_s=1.0),
    }
    for reason, scene in reasons.items():
        found = measured(scene)
        assert found.reason == reason
        assert found.confidence < 0.5
    assert measured(make_scene(1000.0, gap_s=2.0)).reason == "ambiguous"  # or 1 s early
    assert measured((times_s, dark, hiss)).reason == "no flash"


def test_a_voice_and_a_film_are_no_clapper() -> None:
    rng = np.random.default_rng(2)
    voice, _ = soundfile.read(Path(clapper.__file__).parents[1] / "demo_data" / "host.flac")
    for seed in range(4):
        times_s, luma, audio = make_scene(0.0, bright=0.0, level=0.0, seed=seed)
        for at in rng.integers(10, len(luma) - 10, 8):
            luma[at:] = rng.uniform(0.0, 200.0, (HEIGHT, WIDTH))
            luma[at + 3 : at + 6] += 60.0
        audio += (
            0.1
            * np.resize(resample_poly(voice, 3, 1), len(audio) + 20000)[5000 * seed :][: len(audio)]
        )
        assert measured((times_s, luma, audio)).confidence < 0.5


def test_odd_signals_do_no_harm() -> None:
    times_s, luma, audio = make_scene(90.0, seconds=6.0)
    for odd in (np.zeros(len(audio)), np.full(len(audio), 0.5), audio[:100], np.zeros(0)):
        assert measured((times_s, luma, odd)).offset_ms is None
    for pictures in (np.zeros_like(luma), np.full_like(luma, 255.0)):
        assert measured((times_s, pictures, audio)).reason == "no flash"
    assert measured((times_s[:3], luma[:3], audio)).reason == "no flash"


def test_a_video_is_measured(tmp_path: Path) -> None:
    times_s, luma, audio = make_scene(-140.0, fps=25.0, seconds=12.0)
    grey = np.clip(luma, 0.0, 255.0).astype(np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    frames = [(time_s, np.stack([grey[i]] * 3, axis=-1)) for i, time_s in enumerate(times_s)]
    sound = [(0.0, audio.astype(np.float32))]
    told: list[float] = []
    for name, codec in (("a.mp4", "aac"), ("a.mkv", "flac")):
        path = write_video(tmp_path / name, frames, sound, audio_codec=codec)
        found = measure_clapper(path, progress=told.append)
        assert found.offset_ms == pytest.approx(-140.0, abs=2.0)  # AAC begins a beep early
        assert found.flashes == found.beeps == found.pairs
        assert found.to_dict()["reason"] == ""
    assert max(told) <= 1.0
    with pytest.raises(InputFileError, match="there is no sound stream"):
        measure_clapper(write_video(tmp_path / "b.mp4", frames[:10]))


def test_the_film_is_its_own_clapper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clapper_film, "FLASHES", 5)
    monkeypatch.setattr(clapper_film, "_WIDTH", 160)
    monkeypatch.setattr(clapper_film, "_HEIGHT", 90)
    path = tmp_path / "film.mp4"
    length_s = clapper_film.write_clapper(path)
    found = measure_clapper(path)
    assert found.offset_ms == pytest.approx(0.0, abs=0.5)
    assert (found.flashes, found.beeps, found.pairs) == (5, 5, 5)
    assert clapper_film.flash_times_s()[-1] < length_s
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    with pytest.raises(ConfigError, match="videos of this ending are not written"):
        clapper_film.write_clapper(tmp_path / "film.avi")


def test_the_gaps_of_the_film_are_all_different() -> None:
    gaps_s = np.diff(clapper_film.flash_times_s())
    assert gaps_s.min() >= clapper_film.SHORTEST_GAP_S - 0.02
    assert gaps_s.max() <= clapper_film.LONGEST_GAP_S + 0.02
    assert len(set(np.round(60.0 * gaps_s))) >= len(gaps_s) - 1

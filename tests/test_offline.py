"""`io.offline`, `io.measurement`: whole files equal the engine's samples, in little memory."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

import audio_engine as ae
from audio_engine.errors import ConfigError, FormatError, InputFileError
from audio_engine.io.measurement import JointMeasurement, measure_file
from audio_engine.io.offline import process_file
from audio_engine.processors.loudness import LoudnessMeter
from signals import Signal, echo_of, noise, voice

RATE_HZ = 16000
VOICES = Path(ae.__file__).parent / "demo_data"
COHOST = ae.EngineConfig.preset("cohost")


def save(path: Path, audio: NDArray[np.float32], rate_hz: int = RATE_HZ) -> Path:
    soundfile.write(path, audio, rate_hz, "FLOAT")
    return path


def load(path: Path) -> NDArray[np.float32]:
    audio: NDArray[np.float32] = soundfile.read(path, dtype="float32", always_2d=True)[0]
    return audio


def scene(seconds: float = 3.0, rate_hz: int = RATE_HZ) -> tuple[Signal, Signal]:
    far = voice(seconds, rate_hz, pitch_hz=190.0, seed=5)
    near = voice(seconds, rate_hz, seed=6) + noise(seconds, rate_hz)
    return near + echo_of(far, rate_hz), far


# --- processing ----------------------------------------------------------------------------------


def test_a_file_gives_the_samples_of_the_engine(tmp_path: Path) -> None:
    mic, far = scene()
    source, far_path = save(tmp_path / "mic.wav", mic), save(tmp_path / "far.wav", far)
    report = process_file(source, tmp_path / "out.wav", config=COHOST, far_end=far_path)
    expected = ae.enhance(mic, sample_rate_hz=RATE_HZ, far_end=far, preset="cohost")
    np.testing.assert_array_equal(load(tmp_path / "out.wav")[:, 0], expected)
    assert report.latency_frames > 0
    loudness = ae.measure_loudness(expected, RATE_HZ)
    assert report.loudness_after.integrated_lufs == pytest.approx(loudness.integrated_lufs)
    assert report.loudness_after.true_peak_dbtp == pytest.approx(loudness.true_peak_dbtp)
    assert report.erle_db is not None
    assert report.noise_reduction_db is not None
    assert report.times_real_time > 0


@pytest.mark.parametrize("frames", [0, 1, 159, 160, 161, 479, 8000, 8001])
def test_the_length_stays(tmp_path: Path, frames: int) -> None:
    source = save(tmp_path / "mic.wav", noise(1.0, RATE_HZ)[:frames])
    report = process_file(source, tmp_path / "out.wav", config=COHOST)
    assert report.frames == len(load(tmp_path / "out.wav")) == frames


@pytest.mark.parametrize("rate_hz", [8000, 11025, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [2, 8])
def test_rate_channels_and_format_stay(tmp_path: Path, rate_hz: int, channels: int) -> None:
    mic = np.stack([noise(0.3, rate_hz, seed=c) for c in range(channels)], axis=1)
    soundfile.write(tmp_path / "mic.wav", mic, rate_hz, "PCM_24")
    process_file(tmp_path / "mic.wav", tmp_path / "out.wav", config=COHOST)
    before, after = soundfile.info(tmp_path / "mic.wav"), soundfile.info(tmp_path / "out.wav")
    for name in ("samplerate", "channels", "frames", "subtype", "format"):
        assert getattr(before, name) == getattr(after, name), name


def test_a_stereo_far_end_is_two_references(tmp_path: Path) -> None:
    left, right = (noise(3.0, RATE_HZ, 0.1, seed=seed) for seed in (5, 9))
    far = np.stack([left, right], axis=1)
    mic = echo_of(left, RATE_HZ) + echo_of(right, RATE_HZ, seed=4) + noise(3.0, RATE_HZ, 1e-4)
    source, far_path = save(tmp_path / "mic.wav", mic), save(tmp_path / "far.wav", far)
    report = process_file(source, tmp_path / "out.wav", config=COHOST, far_end=far_path)
    expected = ae.enhance(mic, sample_rate_hz=RATE_HZ, far_end=far, preset="cohost")
    np.testing.assert_array_equal(load(tmp_path / "out.wav")[:, 0], expected)
    assert report.erle_db is not None
    assert report.erle_db > 20.0


@pytest.mark.parametrize("far_rate_hz", [44100, 48000])
def test_a_far_end_of_another_rate_cancels_as_well(tmp_path: Path, far_rate_hz: int) -> None:
    wide = voice(6.0, far_rate_hz, pitch_hz=190.0, seed=5)
    far = ae.resample(wide, far_rate_hz, RATE_HZ)
    mic = echo_of(far, RATE_HZ) + noise(6.0, RATE_HZ, 1e-4)[: len(far)]
    source = save(tmp_path / "mic.wav", mic)
    same = save(tmp_path / "same.wav", far)
    other = save(tmp_path / "other.wav", np.stack([wide, wide], axis=1), far_rate_hz)
    config = replace(COHOST, agc=ae.AgcConfig(enabled=False))
    late, left = slice(3 * RATE_HZ, None), []
    for far_path in (same, other):
        process_file(source, tmp_path / "out.wav", config=config, far_end=far_path)
        left.append(float(np.sum(load(tmp_path / "out.wav")[late] ** 2)))
    assert left[0] < 0.1 * np.sum(mic[late] ** 2)
    assert left[1] < 1.5 * left[0]


def test_a_short_far_end_is_followed_by_silence(tmp_path: Path) -> None:
    mic, far = scene(2.0)
    source = save(tmp_path / "mic.wav", mic)
    short, padded = far[: RATE_HZ // 2], np.pad(far[: RATE_HZ // 2], (0, 3 * RATE_HZ))
    for name, signal in {"short": short, "padded": padded}.items():
        far_path = save(tmp_path / f"{name}.wav", signal)
        process_file(source, tmp_path / f"out_{name}.wav", config=COHOST, far_end=far_path)
    np.testing.assert_array_equal(
        load(tmp_path / "out_short.wav"), load(tmp_path / "out_padded.wav")
    )


def test_a_stage_that_does_not_run_has_no_figure(tmp_path: Path) -> None:
    source = save(tmp_path / "mic.wav", noise(1.0, RATE_HZ))
    report = process_file(source, tmp_path / "out.wav", config=COHOST)
    assert report.erle_db is None
    assert report.echo_delay_ms is None
    assert report.noise_reduction_db is not None
    assert report.to_dict()["loudness_before"]["integrated_lufs"] < 0


def test_bad_samples_are_counted_and_silent(tmp_path: Path) -> None:
    mic = noise(1.0, RATE_HZ)
    mic[100:103] = [np.nan, np.inf, 1e30]
    mic[200:202] = 1.0
    report = process_file(save(tmp_path / "a.wav", mic), tmp_path / "out.wav", config=COHOST)
    assert (report.invalid_count, report.clipped_input_count) == (3, 2)
    assert "3 samples are not numbers" in report.warnings[0]
    assert np.isfinite(load(tmp_path / "out.wav")).all()


def test_failures_leave_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = save(tmp_path / "mic.wav", noise(1.0, RATE_HZ))
    out = tmp_path / "out.wav"
    with pytest.raises(InputFileError, match=r"no\.wav"):
        process_file(source, out, config=COHOST, far_end=tmp_path / "no.wav")
    with pytest.raises(ConfigError, match="input"):
        process_file(source, source, config=COHOST)
    silent = replace(COHOST, echo=ae.EchoConfig(enabled=False))
    with pytest.raises(FormatError, match="far end"):
        process_file(source, out, config=silent, far_end=source)

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ae.Engine, "process", fail)
    with pytest.raises(MemoryError):
        process_file(source, out, config=COHOST)
    assert [path.name for path in tmp_path.iterdir()] == ["mic.wav"]


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    source = save(tmp_path / "mic.wav", noise(2.0, RATE_HZ))
    seen: list[tuple[int, int]] = []
    process_file(
        source, tmp_path / "out.wav", config=COHOST, progress=lambda *now: seen.append(now)
    )
    assert seen[-1] == (2 * RATE_HZ, 2 * RATE_HZ)
    assert len(seen) == 4


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
import numpy as np, soundfile
from audio_engine import EngineConfig
from audio_engine.io.offline import process_file
from audio_engine.cli.process import Stage, only_stage
folder = Path(sys.argv[1])
config = only_stage(EngineConfig(), Stage.LIMITER)
for minutes in (1, 10):
    with soundfile.SoundFile(folder / "in.wav", "w", 8000, 2, "PCM_16") as file:
        for _ in range(minutes):
            file.write(np.zeros((480000, 2), np.int16))
    process_file(folder / "in.wav", folder / "out.wav", config=config, far_end=None)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    short, long = (int(line) for line in done.stdout.split())
    assert long - short < 8 * 1024  # KiB; the file itself is 19 MB, as float 38 MB


# --- measuring -----------------------------------------------------------------------------------


def test_a_tone_measures_as_the_standard_says(tmp_path: Path) -> None:
    """BS.1770-5: a 997 Hz sine of 0 dBFS in one channel reads -3.01 LUFS."""
    time_s = np.arange(10 * 48000) / 48000
    tone = 0.1 * np.sin(2 * np.pi * 997 * time_s)
    soundfile.write(tmp_path / "tone.wav", tone, 48000, "PCM_24")
    found = measure_file(tmp_path / "tone.wav")
    assert found.integrated_lufs == pytest.approx(-23.01, abs=0.1)
    assert found.max_momentary_lufs == pytest.approx(-23.01, abs=0.1)
    assert found.max_short_term_lufs == pytest.approx(-23.01, abs=0.1)
    assert found.true_peak_dbtp == pytest.approx(-20.0, abs=0.2)
    assert found.sample_peak_dbfs == pytest.approx(-20.0, abs=0.01)
    assert found.noise_floor_dbfs == pytest.approx(-23.01, abs=0.1)
    assert (found.clipped_count, found.invalid_count) == (0, 0)
    assert found.series == ()


def test_the_series_follows_the_programme(tmp_path: Path) -> None:
    time_s = np.arange(4 * 48000) / 48000
    tone = np.sin(2 * np.pi * 997 * time_s) * np.where(time_s < 2, 0.1, 0.01)
    soundfile.write(tmp_path / "tone.wav", tone, 48000, "PCM_24")
    series = measure_file(tmp_path / "tone.wav", series=True).series
    assert len(series) == 40
    at = {round(point.time_s, 1): point.momentary_lufs for point in series}
    assert at[1.0] == pytest.approx(-23.01, abs=0.1)
    assert at[3.0] == pytest.approx(-43.01, abs=0.1)


def test_the_noise_floor_is_that_of_the_pauses(tmp_path: Path) -> None:
    hiss = noise(20.0, RATE_HZ, 0.001)
    mic = voice(20.0, RATE_HZ) + hiss
    soundfile.write(tmp_path / "mic.wav", mic, RATE_HZ, "FLOAT")
    assert measure_file(tmp_path / "mic.wav").noise_floor_dbfs == pytest.approx(-60.0, abs=1.0)


@pytest.mark.parametrize(("subtype", "count"), [("PCM_16", 3), ("PCM_U8", 3), ("FLOAT", 3)])
def test_clipping_is_counted_in_every_format(tmp_path: Path, subtype: str, count: int) -> None:
    audio = np.zeros(4800)
    audio[[10, 11, 12]] = [1.0, 1.0, -1.0]
    audio[20] = 0.9
    soundfile.write(tmp_path / "a.wav", audio, 48000, subtype)
    assert measure_file(tmp_path / "a.wav").clipped_count == count


def test_speech_is_found_at_192_khz_too(tmp_path: Path) -> None:
    with soundfile.SoundFile(VOICES / "host.flac") as file:
        speech = np.pad(4.0 * file.read(5 * RATE_HZ, dtype="float32"), (5 * RATE_HZ, 0))
    audio = speech + noise(10.0, RATE_HZ, 0.0005)
    soundfile.write(tmp_path / "low.wav", audio, RATE_HZ, "FLOAT")
    soundfile.write(tmp_path / "master.wav", resample_poly(audio, 12, 1), 192000, "FLOAT")
    low, high = (measure_file(tmp_path / name) for name in ("low.wav", "master.wav"))
    assert high.speech_share == pytest.approx(low.speech_share, abs=0.1)
    assert high.integrated_lufs == pytest.approx(low.integrated_lufs, abs=0.05)


def test_files_join_into_one_programme(tmp_path: Path) -> None:
    """Two files of one programme, cut where nothing is lost: the same as one, but for the seam."""
    parts = [noise(20.0, RATE_HZ, rms) for rms in (0.1, 0.02)]
    for name, audio in (("a", parts[0]), ("b", parts[1]), ("ab", np.concatenate(parts))):
        soundfile.write(tmp_path / f"{name}.wav", audio, RATE_HZ, "FLOAT")
    with LoudnessMeter(exact=True) as meter:
        files = [measure_file(tmp_path / f"{name}.wav", joint=meter) for name in "ab"]
        joint = JointMeasurement.of(files, meter)
    whole = measure_file(tmp_path / "ab.wav")
    assert (joint.files, joint.duration_s) == (2, 40.0)
    assert joint.integrated_lufs == pytest.approx(whole.integrated_lufs, abs=0.1)
    assert joint.loudness_range_lu == pytest.approx(whole.loudness_range_lu, abs=0.1)
    assert joint.max_momentary_lufs == max(each.max_momentary_lufs for each in files)
    assert joint.true_peak_dbtp == max(each.true_peak_dbtp for each in files)
    assert joint.sample_peak_dbfs == whole.sample_peak_dbfs


@pytest.mark.parametrize("frames", [0, 1, 100])
def test_next_to_nothing_can_be_measured(tmp_path: Path, frames: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(frames), 48000)
    found = measure_file(tmp_path / "a.wav")
    assert found.integrated_lufs == -math.inf
    assert found.sample_peak_dbfs == -math.inf
    assert found.speech_share == 0.0
    assert found.frames == frames


def test_speech_share_is_that_of_the_speech(tmp_path: Path) -> None:
    with soundfile.SoundFile(VOICES / "host.flac") as file:
        speech = 4.0 * file.read(10 * RATE_HZ, dtype="float32")
    hiss = noise(20.0, RATE_HZ, 0.0005)
    save(tmp_path / "half.wav", hiss + np.pad(speech, (10 * RATE_HZ, 0)))
    save(tmp_path / "none.wav", hiss)
    assert 0.35 < measure_file(tmp_path / "half.wav").speech_share < 0.65
    assert measure_file(tmp_path / "none.wav").speech_share < 0.05

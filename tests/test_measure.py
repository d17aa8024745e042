"""What changed between two files, and what else a measurement holds: changes that are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from audio_engine import resample
from audio_engine.analysis.comparison import align
from audio_engine.cli.main import app
from audio_engine.io.comparison import FileComparison, compare_files
from audio_engine.io.measurement import measure_file
from signals import Signal, noise, speech

RATE_HZ = 48000
SECONDS = 8.0


@pytest.fixture(scope="module")
def original() -> Signal:
    return resample(0.5 * speech("host", SECONDS), 16000, RATE_HZ) + noise(SECONDS, RATE_HZ, 1e-4)


def compared(folder: Path, a: Signal, b: Signal, b_rate_hz: int = RATE_HZ) -> FileComparison:
    soundfile.write(folder / "a.wav", a, RATE_HZ, "FLOAT")
    soundfile.write(folder / "b.wav", b, b_rate_hz, "FLOAT")
    return compare_files(folder / "a.wav", folder / "b.wav")


def test_a_louder_copy_is_told_by_its_gain(tmp_path: Path, original: Signal) -> None:
    found = compared(tmp_path, original, 2.0 * original)
    assert found.alignment.delay_ms == pytest.approx(0.0, abs=0.005)
    assert found.alignment.gain_db == pytest.approx(6.02, abs=0.01)
    assert found.alignment.si_sdr_db is not None
    assert found.alignment.si_sdr_db > 100.0
    for figure in ("integrated_lufs", "true_peak_dbtp", "speech_level_dbfs"):
        assert found.change[figure] == pytest.approx(6.02, abs=0.15)
    assert found.change["speech_to_noise_db"] == pytest.approx(0.0, abs=0.2)
    assert all(x == pytest.approx(6.02, abs=0.01) for x in found.change["bands_db"].values())
    assert "B is A with a gain of +6.02 dB, and nothing else" in found.words()
    assert not any("Hz" in text for text in found.words()), "the gain explains every band"


@pytest.mark.parametrize("late", [480, 480.5, -12000])
def test_a_delay_is_told_to_a_part_of_a_sample(original: Signal, late: float) -> None:
    whole = int(np.floor(late))
    moved = original[-whole:] if whole < 0 else np.pad(original, (whole, 0))
    if late != whole:  # by the phase of the whole signal
        spectrum = np.fft.rfft(moved)
        turn = np.exp(-2j * np.pi * np.fft.rfftfreq(len(moved)) * (late - whole))
        moved = np.fft.irfft(spectrum * turn, len(moved)).astype(np.float32)
    found = align(original, moved, RATE_HZ)
    assert found.delay_is_constant
    assert found.delay_ms == pytest.approx(1000.0 * late / RATE_HZ, abs=0.002)
    assert found.gain_db == pytest.approx(0.0, abs=0.01)
    assert found.si_sdr_db is not None
    assert found.si_sdr_db > 40.0


@pytest.mark.parametrize("snr_db", [25.0, 10.0, 0.0])
def test_added_noise_is_told_by_its_ratio(tmp_path: Path, original: Signal, snr_db: float) -> None:
    hiss = noise(SECONDS, RATE_HZ, 1.0, seed=8)
    level = np.sqrt(np.mean(original**2)) * 10.0 ** (-snr_db / 20.0)
    found = compared(tmp_path, original, original + np.float32(level) * hiss)
    assert found.alignment.delay_ms == pytest.approx(0.0, abs=0.005)
    assert found.alignment.si_sdr_db == pytest.approx(snr_db, abs=0.15)
    if snr_db <= 10.0:  # else the talker's own pauses are louder
        assert found.b.noise_floor_dbfs == pytest.approx(20.0 * np.log10(level), abs=1.0)
    if snr_db == 10.0:
        assert found.b.speech_to_noise_db == pytest.approx(snr_db + 1.0, abs=1.5)
        assert any("SI-SDR" in text for text in found.words())


def test_a_low_pass_is_told_by_its_bands(tmp_path: Path, original: Signal) -> None:
    spectrum = np.fft.rfft(original)
    spectrum[np.fft.rfftfreq(len(original), 1 / RATE_HZ) > 2000.0] = 0.0
    low = np.fft.irfft(spectrum, len(original)).astype(np.float32)
    bands = compared(tmp_path, original, low).change["bands_db"]
    assert bands["20-250"] == pytest.approx(0.0, abs=0.05)
    assert bands["250-1000"] == pytest.approx(0.0, abs=0.05)
    assert bands["4000-16000"] < -40.0


def test_other_rates_channels_and_polarity_are_no_hindrance(
    tmp_path: Path, original: Signal
) -> None:
    other = resample(-0.5 * original[RATE_HZ:], RATE_HZ, 16000)
    found = compared(tmp_path, original, np.stack([other, other], axis=1), 16000)
    assert found.compared_rate_hz == 16000
    assert found.alignment.delay_ms == pytest.approx(-1000.0, abs=0.05)
    assert found.alignment.inverted
    assert found.alignment.gain_db == pytest.approx(-6.02, abs=0.05)
    assert found.change["duration_s"] == pytest.approx(-1.0)


def test_a_drifting_clock_is_told(original: Signal) -> None:
    found = align(original, resample(original, 48000, 48010), RATE_HZ)
    assert not found.delay_is_constant
    assert found.drift_ppm == pytest.approx(1e6 * 10 / 48000, rel=0.1)
    assert found.si_sdr_db is None


@pytest.mark.parametrize("b", [noise(4.0, RATE_HZ), np.zeros(RATE_HZ, np.float32)])
def test_strangers_have_no_delay(tmp_path: Path, original: Signal, b: Signal) -> None:
    found = compared(tmp_path, original, b)
    assert found.alignment.delay_ms is None
    assert found.alignment.gain_db is None
    assert "nothing in common" in found.words()[0]


def test_a_measurement_tells_the_kinds_of_sound(tmp_path: Path, original: Signal) -> None:
    quiet = np.zeros(4 * RATE_HZ, np.float32)
    soundfile.write(tmp_path / "a.wav", np.concatenate([original, quiet]), RATE_HZ)
    found = measure_file(tmp_path / "a.wav")
    assert [segment.kind for segment in found.segments] == ["speech", "silence"]
    assert found.silence_share == pytest.approx(4.0 / 12.0, abs=0.05)
    assert found.music_share == found.noise_share == 0.0
    assert found.peak_to_loudness_lu == found.true_peak_dbtp - found.integrated_lufs
    assert found.pause_level_dbfs < -60.0 < found.speech_level_dbfs
    tone = 0.1 * np.sin(2 * np.pi * 440.0 * np.arange(RATE_HZ) / RATE_HZ)
    soundfile.write(tmp_path / "tone.wav", tone, RATE_HZ, "FLOAT")
    bands = measure_file(tmp_path / "tone.wav").bands_dbfs
    assert bands["250-1000"] == pytest.approx(20 * np.log10(0.1) - 3.01, abs=0.05)


def test_the_command_compares(tmp_path: Path, original: Signal) -> None:
    compared(tmp_path, original, 2.0 * original)
    a, b = str(tmp_path / "a.wav"), str(tmp_path / "b.wav")
    result = CliRunner().invoke(app, ["measure", "--compare", a, b])
    assert result.exit_code == 0
    assert "B is A with a gain of +6.02 dB" in result.stdout
    document = json.loads(CliRunner().invoke(app, ["measure", "--compare", a, b, "--json"]).stdout)
    assert document["alignment"]["gain_db"] == pytest.approx(6.02, abs=0.01)
    assert document["a"]["segments"][0]["kind"] == "speech"
    for wrong, code in (([a], 2), ([a, b, "--series", "--json"], 2), ([a, "no.wav"], 3)):
        assert CliRunner().invoke(app, ["measure", "--compare", *wrong]).exit_code == code

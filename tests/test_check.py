"""The room check: what it finds in made recordings, what it says, and how the command behaves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from typer.testing import CliRunner, Result

import audio_engine.io.live.devices as live_devices
from audio_engine.analysis.bandwidth import measure_bandwidth
from audio_engine.analysis.channels import compare_channels
from audio_engine.analysis.findings import graded
from audio_engine.analysis.recording import Recording
from audio_engine.analysis.room_check import RoomCheck, check_room
from audio_engine.analysis.sweep import sweep_signal
from audio_engine.cli.check import advice_text, value_text
from audio_engine.cli.main import app
from audio_engine.config import EngineConfig
from audio_engine.errors import DeviceError, FormatError
from audio_engine.io.live.recorder import dry_path
from audio_engine.io.room_check import check_live
from audio_engine.wording import LANGUAGES, Words
from benchmarks import check_faults
from signals import echo_of, noise, speech
from soundcard import SoftwareCard, missing_for_card

RATE_HZ = 16000
SYNTHESISER = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng, which speaks the cases, is not installed"
)


def talk(seconds: float = 6.0, level: float = 2e-4) -> np.ndarray:
    """Return a voice of the demo with a second of quiet before it, and a microphone's hiss."""
    voice = speech("host", seconds)
    voice[:RATE_HZ] = 0.0
    voice *= 0.25 / np.abs(voice).max()
    return voice + noise(seconds, RATE_HZ, level)


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, ["check", "--lang", "en", *map(str, arguments)])
    assert "Traceback" not in result.output
    return result


def written(path: Path, audio: np.ndarray, rate_hz: int = RATE_HZ, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, audio, rate_hz, subtype=subtype)
    return path


# --- what is found --------------------------------------------------------------------------------


@SYNTHESISER
def test_a_slice_of_the_made_faults() -> None:
    total = check_faults.Tally()
    wanted: list[tuple[tuple[str, ...], int]]
    wanted = [((fault,), number % 3) for number, fault in enumerate(check_faults.KIND)]
    wanted += [((), 0)] * 6 + [(("",), 0)]
    for number, (faults, strength) in enumerate(wanted):
        half = ("tune", "judge")[number % 2]
        rng = np.random.default_rng([80, number])
        case = check_faults.made(faults, strength, half, check_faults.Made(half), rng)
        total.add(case, check_faults.judge(case))
    result = total.summary()
    assert result["faults"] == len(check_faults.KIND)
    assert result["found"] >= 15 / 16, total.missed
    assert result["clean_with_false_alarm"] == 0.0, total.missed
    assert result["cases_with_false_alarm"] <= 1 / 23, total.missed


@SYNTHESISER
def test_figures_against_what_was_put_in() -> None:
    for name, errors in check_faults.truth(2, seed=9).items():
        assert np.max(np.abs(errors)) <= check_faults.TRUTH_BARS[name], name


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((1.0, 2.0, 3.0), ["good", "note", "warn", "bad"]),
        ((3.0, 2.0, 1.0), ["bad", "bad", "warn", "note"]),
    ],
)
def test_grades(limits: tuple[float, float, float], expected: list[str]) -> None:
    assert [graded(value, *limits) for value in (0.5, 1.0, 2.0, 3.0)] == expected


def test_a_dull_voice_is_not_a_narrow_one() -> None:
    rng = np.random.default_rng(4)
    spectrum = np.fft.rfft(rng.standard_normal(4 * 48000))
    frequency_hz = np.fft.rfftfreq(4 * 48000, 1 / 48000)
    dull = np.fft.irfft(spectrum / (1 + (frequency_hz / 2000.0) ** 2)).astype(np.float32)
    assert measure_bandwidth(Recording(0.01 * dull[:, np.newaxis], 48000)).edge_hz == 24000.0
    spectrum[frequency_hz > 7500.0] = 0.0
    narrow = np.fft.irfft(spectrum) + 1e-5 * rng.standard_normal(4 * 48000)
    found = measure_bandwidth(Recording((0.01 * narrow[:, np.newaxis]).astype(np.float32), 48000))
    assert found.edge_hz == pytest.approx(7500.0, abs=700.0)
    assert found.cliff_db > 40.0


def test_without_a_voice_the_band_is_left_open() -> None:
    rng = np.random.default_rng(4)
    spectrum = np.fft.rfft(rng.standard_normal(4 * 48000))
    spectrum[np.fft.rfftfreq(4 * 48000, 1 / 48000) > 6500.0] = 0.0
    crickets = (0.01 * np.fft.irfft(spectrum)[:, np.newaxis]).astype(np.float32)
    check = check_room(Recording(crickets, 48000))
    assert "bandwidth" not in {each.kind for each in check.findings}


@pytest.mark.filterwarnings("error")
def test_numbers_too_small_to_hear_are_silence() -> None:
    tiny = np.float32(1e-40) * np.ones((3 * RATE_HZ, 1), np.float32)
    tiny[::2] *= -1.0
    (finding,) = (f for f in check_room(Recording(tiny, RATE_HZ)).findings if f.kind == "signal")
    assert finding.advice == "signal.silent"


def test_channels_apart_are_not_out_of_phase() -> None:
    voice = talk()
    late = np.roll(voice, 12)  # 0.75 ms: 26 cm
    match = compare_channels(Recording(np.stack([voice, 0.5 * late], axis=1), RATE_HZ))
    assert match is not None
    assert match.correlation > 0.9
    assert match.difference_db == pytest.approx(6.0, abs=0.1)
    turned = compare_channels(Recording(np.stack([voice, -0.5 * late], axis=1), RATE_HZ))
    assert turned is not None
    assert turned.correlation < -0.9


def test_a_voice_in_the_room_is_no_echo() -> None:
    played = sweep_signal(RATE_HZ).astype(np.float64)
    for name in ("host", "guest"):
        voice = speech(name, 7.5) + noise(7.5, RATE_HZ, 1e-4)
        check = check_room(Recording(voice[:, np.newaxis], RATE_HZ), played, latest_s=1.5)
        assert check.echo_path is not None
        assert not check.echo_path.heard


def test_an_echo_is_measured_beside_a_voice() -> None:
    played = sweep_signal(RATE_HZ)
    echo = echo_of(played, RATE_HZ, delay_ms=80.0)
    mic = echo + talk(7.5)[: len(echo)]
    check = check_room(
        Recording(mic[:, np.newaxis], RATE_HZ), played.astype(np.float64), latest_s=1.5
    )
    assert check.echo_path is not None
    assert check.echo_path.heard
    assert check.echo_path.delay_ms == pytest.approx(80.0, abs=1.0)
    assert check.echo_path.return_loss_db == pytest.approx(6.0, abs=1.0)
    assert check.preset == "cohost"


def test_short_recordings_are_refused() -> None:
    with pytest.raises(FormatError, match=r"1\.0 s are too short for a check; 2 s at least"):
        check_room(Recording(np.zeros((RATE_HZ, 1), np.float32), RATE_HZ))


@pytest.fixture(scope="module")
def faulty() -> list[RoomCheck]:
    """Return checks that have a finding of every case."""
    silence = np.zeros((3 * RATE_HZ, 1), np.float32)
    voice = talk()
    played = sweep_signal(RATE_HZ).astype(np.float64)
    recordings = [
        silence,
        1e-5 * noise(3, RATE_HZ, 1.0)[:, np.newaxis],
        noise(3, RATE_HZ, 0.01)[:, np.newaxis],
        np.stack([voice, -voice], axis=1),
        np.stack([voice, 0 * voice], axis=1),
        4 * voice[:, np.newaxis] / np.abs(voice).max(),
        0.99 * voice[:, np.newaxis] / np.abs(voice).max(),
        0.01 * voice[:, np.newaxis],
    ]
    checks = [
        check_room(Recording(np.clip(audio, -1, 1).astype(np.float32), RATE_HZ))
        for audio in recordings
    ]
    wire = Recording(played[:, np.newaxis].astype(np.float32), RATE_HZ)
    return [*checks, check_room(wire, played)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_words_for_every_case(language: str, faulty: list[RoomCheck]) -> None:
    words = Words("check", language)
    seen = set()
    for check in faulty:
        for each in check.findings:
            assert advice_text(each, check, words)
            assert value_text(each, check, words)
            seen.add(each.advice)
    for case in ("silent", "muted", "loopback", "unspoken", "good"):
        assert f"signal.{case}" in seen
    assert {"channels.phase", "channels.dead", "level.hot", "level.found"} <= seen
    assert {"clipping.found", "noise.found"} <= seen


# --- the command ----------------------------------------------------------------------------------


def test_a_good_recording(tmp_path: Path) -> None:
    result = run(written(tmp_path / "a b.wav", talk()))
    assert result.exit_code == 0
    assert "All is well." in result.stdout
    last = result.stdout.splitlines()[-1]
    assert (
        last
        == f"Next: audio-engine process '{tmp_path / 'a b.wav'}' --preset solo-host -o clean.wav"
    )


def test_a_bad_recording_in_chinese(tmp_path: Path) -> None:
    voice = talk()
    path = written(tmp_path / "hot.wav", np.clip(8 * voice / np.abs(voice).max(), -1, 1))
    result = CliRunner().invoke(app, ["check", str(path), "--lang", "zh"])
    assert result.exit_code == 1
    assert "还不能开播" in result.stdout
    assert "爆音（削波）" in result.stdout.splitlines()[1]


def test_json_has_everything(tmp_path: Path) -> None:
    result = run(written(tmp_path / "x.wav", talk()), "--json")
    document = json.loads(result.stdout)
    assert document["status"] == "done"
    assert document["preset"] == "solo-host"
    assert document["duration_s"] == 6.0
    assert document["levels"]["noise_dba"] == pytest.approx(-74.0, abs=2.0)
    kinds = {line["kind"]: line for line in document["findings"]}
    assert {"signal", "level", "clipping", "noise", "hum", "bandwidth", "dc"} <= set(kinds)
    for line in document["findings"]:
        assert {"severity", "value", "unit", "threshold", "advice", "reason", "name"} <= set(line)


def test_played_file_at_another_rate(tmp_path: Path) -> None:
    test = tmp_path / "test.wav"
    assert run("--write-test-signal", test).exit_code == 0
    assert soundfile.info(test).samplerate == 48000
    sweep = soxr.resample(sweep_signal(48000), 48000, RATE_HZ)
    echo = echo_of(sweep, RATE_HZ, delay_ms=50.0)
    mic = np.concatenate([echo, 0 * talk()]) + np.concatenate([noise(7.5, RATE_HZ, 2e-4), talk()])
    result = run(written(tmp_path / "mic.wav", mic), "--played", test, "--json")
    document = json.loads(result.stdout)
    assert document["echo_path"]["delay_ms"] == pytest.approx(50.0, abs=1.0)
    assert document["next"].endswith("--preset cohost -o clean.wav")
    assert "--far" in document["next"]


@pytest.mark.parametrize("what", ["short", "absent", "text"])
def test_unreadable_recordings(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x.wav"
    if what == "short":
        written(path, talk()[:RATE_HZ])
    elif what == "text":
        path.write_text("no audio")
    result = run(path)
    assert result.exit_code == 3
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {path}: ")


def test_silence_and_noughts_and_many_channels(tmp_path: Path) -> None:
    silent = run(written(tmp_path / "silent.wav", np.zeros(3 * RATE_HZ)))
    assert silent.exit_code == 1
    assert "Nothing at all comes from this input" in silent.stdout
    broken = talk().astype(np.float64)
    broken[1000:1010] = np.nan
    result = run(written(tmp_path / "nan.wav", broken, subtype="FLOAT"))
    assert result.exit_code == 0
    assert "warning:" in result.stderr
    many = np.tile(talk()[:, np.newaxis], (1, 8))
    assert run(written(tmp_path / "8.wav", many)).exit_code == 0


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    path = written(tmp_path / "x.wav", talk(3.0))
    pairs: list[list[str | Path]] = [
        [path, "--play"],
        ["--played", path],
        [path, "--simulate", path],
    ]
    for arguments in pairs:
        assert run(*arguments).exit_code == 2
    assert run("--lang", "fr", path).exit_code == 2
    assert run("--simulate", path, "--input-device", "2").exit_code == 2


def test_without_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_devices, "list_devices_isolated", list)
    result = run()
    assert result.exit_code == 4
    assert result.stderr.startswith("error: ")


def test_listening_to_a_file_as_to_a_microphone(tmp_path: Path) -> None:
    path = written(tmp_path / "mic.wav", talk(4.0, level=3e-4))
    kept = tmp_path / "kept.wav"
    result = run("--simulate", path, "--seconds", "3", "--keep", kept, "--json")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[:2] == [
        "Please be quiet for 1 s ...",
        "... and now talk as you do on air, 2 s ...",
    ]
    document = json.loads(result.stdout)
    assert document["input"] is None
    assert document["next"] == "audio-engine monitor --preset solo-host"
    assert soundfile.info(kept).duration == pytest.approx(3.0, abs=0.2)


class EchoingStream:
    """A stream that runs a second at every look, and whose microphone hears the loudspeaker."""

    def __init__(self, config: EngineConfig, test: Path | None, state: str = "running") -> None:
        self.config, self.test, self.state = config, test, state
        self.now_s = 0.0
        self.target = Path()

    def start(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def record(self, path: Path) -> None:
        """Keep the name."""
        self.target = path

    def stats(self) -> Any:
        """Let a second pass."""
        self.now_s += 1.0 if self.state == "running" else 0.0
        return SimpleNamespace(
            uptime_s=self.now_s,
            state=self.state,
            input_device="fake",
            xruns=SimpleNamespace(total=round(self.now_s > 4.5)),
        )

    def stop_recording(self) -> None:
        """Write microphone and reference."""
        assert self.test is not None
        played, rate_hz = soundfile.read(self.test, dtype="float32")
        played = np.concatenate([played, np.zeros(rate_hz, np.float32)])
        mic = echo_of(played, rate_hz, delay_ms=120.0)
        voice = soxr.resample(talk(4.0), RATE_HZ, rate_hz)
        mic[: len(voice)] += voice
        mic += noise(len(mic) / rate_hz, rate_hz, 2e-4)[: len(mic)]
        soundfile.write(dry_path(self.target), np.stack([mic, played], axis=1), rate_hz, "PCM_24")


def test_listening_with_the_test_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_engine.io.room_check._LOOK_S", 0.0)
    said: list[tuple[str, float]] = []
    found = check_live(
        EchoingStream,
        seconds=4.0,
        play=True,
        say=lambda phase, s: said.append((phase, round(s, 2))),
    )
    assert said == [("quiet", 1.33), ("speak", 2.67), ("play", 8.0)]
    path = found.check.echo_path
    assert path is not None
    assert path.delay_ms == pytest.approx(120.0, abs=1.0)
    assert path.return_loss_db == pytest.approx(6.0, abs=1.0)
    assert {each.kind: each.severity for each in found.check.findings}["level"] == "good"
    assert found.warnings == (
        "the sound broke once meanwhile; close other programs and check again",
    )


def test_a_device_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_engine.io.room_check._SLACK_S", 0.1)
    with pytest.raises(DeviceError, match="fake: the device is lost; plug it in again"):
        check_live(lambda config, test: EchoingStream(config, test, "lost"))


def test_listening_to_a_sound_card(tmp_path: Path) -> None:
    if missing := missing_for_card():
        pytest.skip(missing)
    voice = soxr.resample(talk(4.0), RATE_HZ, 48000)
    command = [sys.executable, "-m", "audio_engine", "check", "--seconds", "3", "--json"]
    with SoftwareCard(tmp_path, near=voice) as card:
        result = subprocess.run(
            command, env={**os.environ, **card.env}, capture_output=True, text=True, check=False
        )
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["channels"] == 2
    assert document["heard"]["speech_share"] > 0.3

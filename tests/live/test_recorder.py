"""`io.live.recorder`: two files that are whole at any instant, also on a bad day."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_engine.errors import ConfigError, OutputFileError
from audio_engine.io.files import open_reader
from audio_engine.io.live import recorder as module
from audio_engine.io.live.recorder import Recorder, dry_path
from audio_engine.processors.audio import AudioArray

RATE_HZ = 16000
STEP = 2.0**-23
Events = list[tuple[str, str, str]]


def tap(frames: int, channels: int = 3, seed: int = 1) -> AudioArray:
    noise = np.random.default_rng(seed).uniform(-0.9, 0.9, (frames, channels))
    return noise.astype(np.float32)


def read(path: Path) -> tuple[AudioArray, list[str]]:
    with open_reader(path) as reader:
        assert reader.subtype == "PCM_24"
        assert reader.sample_rate_hz == RATE_HZ
        audio = np.concatenate([*reader.blocks(9999), np.zeros((0, reader.channels), np.float32)])
        return audio, reader.warnings


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def files_up_to(limit_bytes: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("block", [1, 160, 4801, 40000])
@pytest.mark.parametrize(("mic", "reference", "out"), [(1, 1, 1), (2, 1, 2), (1, 0, 1)])
def test_the_tap_is_split_into_two_files(
    tmp_path: Path, block: int, mic: int, reference: int, out: int
) -> None:
    audio = tap(9601 if block == 1 else 40001, mic + reference + out)
    with Recorder(tmp_path / "a.wav", RATE_HZ, mic, reference, out) as recorder:
        for start in range(0, len(audio), block):
            recorder.write(audio[start : start + block])
        assert recorder.frames == len(audio)
    report = recorder.close()
    assert (report.frames, report.clipped, report.error) == (len(audio), 0, None)
    assert report.paths == (tmp_path / "a.wav", tmp_path / "a-dry.wav")
    assert names(tmp_path) == ["a-dry.wav", "a.wav"]
    wet, wet_warnings = read(report.paths[0])
    dry, dry_warnings = read(report.paths[1])
    assert wet_warnings == dry_warnings == []
    np.testing.assert_allclose(np.hstack([dry, wet]), audio, rtol=0, atol=0.5001 * STEP)
    for path in report.paths:  # libsndfile by itself, and whole RIFF chunks
        assert soundfile.info(path).frames == len(audio)
        assert path.stat().st_size % 2 == 0


def test_the_files_are_whole_while_they_grow(tmp_path: Path) -> None:
    audio = tap(5 * RATE_HZ)
    with Recorder(tmp_path / "a.wav", RATE_HZ, 1, 1, 1) as recorder:
        for start in range(0, len(audio), 777):
            recorder.write(audio[start : start + 777])
            wet, warnings = read(recorder.partial_paths[0])
            assert not warnings
            behind = min(start + 777, len(audio)) - len(wet)
            assert 0 <= behind < RATE_HZ / 2
            np.testing.assert_allclose(wet, audio[: len(wet), 2:], rtol=0, atol=0.5001 * STEP)
        assert recorder.partial_paths[0].parent == tmp_path
        assert not (tmp_path / "a.wav").exists()


def test_a_killed_program_leaves_files_that_play(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, numpy as np\n"
        "from audio_engine.io.live.recorder import Recorder\n"
        "recorder = Recorder(sys.argv[1], 16000, 1, 1, 1)\n"
        "for _ in range(325):\n"
        "    recorder.write(np.full((160, 3), 0.25, np.float32))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.wav")]
    done = subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = sorted(tmp_path.glob("a*.partial-*.wav"))
    assert len(left) == 2
    for path in left:
        audio, warnings = read(path)
        assert not warnings
        assert len(audio) == 48000  # 3.25 s were given
        assert (audio == 0.25).all()


def test_a_full_disk_ends_the_recording_and_not_the_program(tmp_path: Path) -> None:
    events: Events = []
    audio = tap(10 * RATE_HZ)
    recorder = Recorder(
        tmp_path / "a.wav", RATE_HZ, 1, 1, 1, notify=lambda *event: events.append(event)
    )
    with files_up_to(200_001):  # 2.08 s of the two dry channels
        for start in range(0, len(audio), 1600):
            recorder.write(audio[start : start + 1600])
        assert recorder.failed
        report = recorder.close()
    assert report.frames == 2 * RATE_HZ
    assert [event[:2] for event in events] == [("error", "record")]
    assert events[0][2] == report.error
    assert "a.wav: recording ended after 2.0 s: File too large" in events[0][2]
    assert names(tmp_path) == ["a-dry.wav", "a.wav"]
    wet, dry = read(report.paths[0]), read(report.paths[1])
    assert wet[1] == dry[1] == []
    joined = np.hstack([dry[0], wet[0]])
    np.testing.assert_allclose(joined, audio[: 2 * RATE_HZ], rtol=0, atol=0.5001 * STEP)


def test_a_vanished_folder_is_an_event(tmp_path: Path) -> None:
    events: Events = []
    folder = tmp_path / "usb"
    folder.mkdir()
    recorder = Recorder(
        folder / "a.wav", RATE_HZ, 1, 1, 1, notify=lambda *event: events.append(event)
    )
    recorder.write(tap(RATE_HZ))
    shutil.rmtree(folder)
    recorder.write(tap(RATE_HZ))
    report = recorder.close()
    assert report.error is not None
    assert "cannot be written: No such file" in report.error
    assert [event[1] for event in events] == ["record", "record"]


def test_beyond_full_scale_clips_and_what_is_no_number_is_silent(tmp_path: Path) -> None:
    audio = np.array(
        [[1.5, 0, np.nan], [-2, 0, np.inf], [1, 0, -1], [0, 0, -1.5]], dtype=np.float32
    )
    with Recorder(tmp_path / "a.wav", RATE_HZ, 1, 1, 1) as recorder:
        recorder.write(audio)
    report = recorder.close()
    assert report.clipped == 3
    assert read(report.paths[1])[0][:, 0].tolist() == [1 - STEP, -1, 1 - STEP, 0]
    assert read(report.paths[0])[0][:, 0].tolist() == [0, 0, -1, -1]


def test_the_header_turns_into_rf64_as_the_file_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RIFF_LIMIT_BYTES", 100_000)
    audio = tap(3 * RATE_HZ)
    with Recorder(tmp_path / "a.wav", RATE_HZ, 1, 1, 1) as recorder:
        magics = []
        for start in range(0, len(audio), RATE_HZ):
            recorder.write(audio[start : start + RATE_HZ])
            assert len(read(recorder.partial_paths[0])[0]) == start + RATE_HZ
            magics.append(recorder.partial_paths[0].read_bytes()[:4])
    assert magics == [b"RIFF", b"RIFF", b"RF64"]
    wet, warnings = read(tmp_path / "a.wav")
    assert (len(wet), warnings) == (len(audio), [])
    assert soundfile.info(tmp_path / "a.wav").frames == len(audio)


def test_an_empty_recording_is_a_file_too(tmp_path: Path) -> None:
    report = Recorder(tmp_path / "a.wav", RATE_HZ, 1, 1, 1).close()
    assert report.frames == 0
    assert soundfile.info(report.paths[0]).frames == 0


def test_an_earlier_take_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"old")
    recorder = Recorder(tmp_path / "a.wav", RATE_HZ, 1, 1, 1)
    recorder.write(tap(RATE_HZ))
    assert (tmp_path / "a.wav").read_bytes() == b"old"
    recorder.close()
    recorder.write(tap(RATE_HZ))
    assert recorder.close().frames == RATE_HZ
    assert len(read(tmp_path / "a.wav")[0]) == RATE_HZ


def test_odd_targets_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    far = tmp_path / "far-dry.wav"
    far.write_bytes(b"far")
    (tmp_path / "folder.wav").mkdir()
    for name, complaint in {
        "a.flac": "use the extension .wav",
        "folder.wav": "this is a folder",
        "far.wav": "input file",
    }.items():
        with pytest.raises(ConfigError, match=complaint):
            Recorder(tmp_path / name, RATE_HZ, 1, 1, 1, never=(far,))
    with pytest.raises(OutputFileError, match="No such file"):
        Recorder(tmp_path / "missing" / "a.wav", RATE_HZ, 1, 1, 1)
    with files_up_to(40), pytest.raises(OutputFileError, match="too large"):
        Recorder(tmp_path / "a.wav", RATE_HZ, 1, 1, 1)
    assert names(tmp_path) == ["far-dry.wav", "folder.wav"]


def test_a_failing_second_file_removes_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_open = os.open

    def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
        if "-dry" in os.fspath(path):
            raise PermissionError(13, "Permission denied")
        return real_open(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(OutputFileError, match=r"a-dry\.wav: cannot be written: Permission"):
            Recorder(tmp_path / "a.wav", RATE_HZ, 1, 1, 1)
    assert names(tmp_path) == []


def test_the_dry_file_lies_beside_the_other() -> None:
    assert dry_path("x/take.2.wav") == Path("x/take.2-dry.wav")
    assert dry_path("take") == Path("take-dry")

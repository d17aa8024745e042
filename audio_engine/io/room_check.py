"""The pre-flight check of a room from a file, or from a microphone that is listened to for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, Protocol

import numpy as np

from audio_engine.analysis.recording import Recording, Signal
from audio_engine.analysis.room_check import RoomCheck, check_room
from audio_engine.analysis.sweep import sweep_signal
from audio_engine.config import EngineConfig
from audio_engine.errors import DeviceError, FormatError, InputFileError
from audio_engine.io.converted import ConvertedReader
from audio_engine.io.files import open_reader, open_writer
from audio_engine.io.live.recorder import dry_path
from audio_engine.io.live.stats import LiveStats
from audio_engine.io.offline import file_warnings, full_scale
from audio_engine.processors.audio import AudioArray

LIVE_RATE_HZ = 48000
QUIET_S = 2.0  # before the voice: no pause of a talker is as certain
LONGEST_S = 60.0
_SETTLE_S = 0.2  # a stream begins with a click and with silence
_LATEST_S = 1.5  # echo canceller: 1.0 s; later is worth a word
_LOOK_S = 0.05
_SLACK_S = 5.0

Phase = Literal["quiet", "speak", "play"]
#: Called when a phase begins, with its length in seconds.
Say = Callable[[Phase, float], None]


class Stream(Protocol):
    """What a check needs of a live or a simulated stream."""

    def start(self) -> object:
        """Open the devices."""
        raise NotImplementedError

    def close(self) -> object:
        """Give everything back."""
        raise NotImplementedError

    def record(self, path: Path) -> object:
        """Write the sound to files."""
        raise NotImplementedError

    def stop_recording(self) -> object:
        """Complete the files."""
        raise NotImplementedError

    def stats(self) -> LiveStats:
        """Measure."""
        raise NotImplementedError


#: Makes a stream that is not started yet, from its configuration and what the loudspeaker plays.
OpenStream = Callable[[EngineConfig, Path | None], Stream]


@dataclass(frozen=True, slots=True)
class CheckedRoom:
    """What was found, and what is to be said about the recording itself."""

    check: RoomCheck
    warnings: tuple[str, ...]


def check_file(
    path: str | os.PathLike[str], played: str | os.PathLike[str] | None = None
) -> CheckedRoom:
    """Check a room by a recording.

    Parameters
    ----------
    path : path-like
        Any file that `open_reader` takes, 2 s or more; of a long one the first minute is judged.
    played : path-like, optional
        What the loudspeaker played meanwhile. Where the two files did not begin together, the
        delay means nothing, the rest does.

    Raises
    ------
    InputFileError
        If a file cannot be read or is too short.
    """
    with open_reader(path) as reader:
        audio = reader.read(round(LONGEST_S * reader.sample_rate_hz))
        warnings = [f"{reader.path}: {text}" for text in file_warnings(reader)]
        if reader.frames > len(audio):
            warnings.append(f"{reader.path}: only the first {LONGEST_S:g} s are judged")
        recording = Recording(audio, reader.sample_rate_hz, full_scale(reader.subtype))
    sent = None if played is None else _played(played, recording.sample_rate_hz)
    try:
        return CheckedRoom(check_room(recording, sent), tuple(warnings))
    except FormatError as error:
        raise InputFileError(f"{os.fspath(path)}: {error}") from None


def write_test_signal(
    path: str | os.PathLike[str], sample_rate_hz: int = LIVE_RATE_HZ, *, lead_s: float = 0.0
) -> float:
    """Write the test signal, after silence, as a file; return its length in seconds."""
    signal = sweep_signal(sample_rate_hz)
    frames = np.concatenate([np.zeros(round(lead_s * sample_rate_hz), np.float32), signal])
    with open_writer(path, sample_rate_hz=sample_rate_hz, channels=1, subtype="PCM_16") as writer:
        writer.write(frames[:, np.newaxis])
    return len(frames) / sample_rate_hz


def check_live(
    open_stream: OpenStream,
    *,
    channels: int = 1,
    seconds: float = 8.0,
    play: bool = False,
    say: Say = lambda phase, seconds: None,
    keep: Path | None = None,
) -> CheckedRoom:
    """Listen to a microphone: a moment of quiet, then a voice, then, if wanted, the test signal.

    Parameters
    ----------
    open_stream : callable
        Makes the stream.
    channels : int
        Channels of the microphone, 1 or 2.
    seconds : float
        Quiet and voice together, 3 to 60.
    play : bool
        Play the test signal after that (7.5 s).
    say : callable
        Told when a phase begins.
    keep : Path, optional
        Where the microphone's signal is kept.

    Raises
    ------
    DeviceError
        If a device cannot be opened, or gave no sound.
    """
    quiet_s = min(QUIET_S, seconds / 3.0)
    with TemporaryDirectory(prefix="audio-engine-check-") as folder:
        test, whole_s = None, seconds
        if play:
            test = Path(folder) / "test.wav"
            whole_s = write_test_signal(test, lead_s=seconds) + 0.5
        take = Path(folder) / "take.wav"
        config = EngineConfig(sample_rate_hz=LIVE_RATE_HZ, channels=channels)
        stream = open_stream(config, test)
        try:
            stream.record(take)
            stream.start()
            say("quiet", quiet_s)
            _wait(stream, 0.0)
            broke_before = stream.stats().xruns.total  # while it starts; that piece is not judged
            _wait(stream, quiet_s)
            say("speak", seconds - quiet_s)
            _wait(stream, seconds)
            if play:
                say("play", whole_s - seconds)
                _wait(stream, whole_s)
            stats = stream.stats()
            stream.stop_recording()
        finally:
            stream.close()
        with open_reader(dry_path(take)) as reader:
            tap = reader.read(reader.frames)
    tap = _settled(tap[: round((whole_s + _SETTLE_S) * LIVE_RATE_HZ)])
    if not len(tap):
        raise DeviceError(f"{stats.input_device}: no sound came in {whole_s:.0f} s")
    mic = tap[:, :channels]
    if keep is not None:
        with open_writer(
            keep, sample_rate_hz=LIVE_RATE_HZ, channels=channels, subtype="PCM_24"
        ) as writer:
            writer.write(mic)
    warnings: tuple[str, ...] = ()
    if (broke := stats.xruns.total - broke_before) > 0:
        times = "once" if broke == 1 else f"{broke} times"
        warnings = (f"the sound broke {times} meanwhile; close other programs and check again",)
    sent = tap[:, channels].astype(np.float64) if play else None
    found = check_room(Recording(mic, LIVE_RATE_HZ, 1.0 - 2.0**-15), sent, latest_s=_LATEST_S)
    return CheckedRoom(found, warnings)


def _wait(stream: Stream, until_s: float) -> None:
    """Wait until the stream has run so long.

    Raises
    ------
    DeviceError
        If it stands still.
    """
    moved_s = time.monotonic()
    before = -1.0
    while (now := stream.stats()).uptime_s < until_s + _SETTLE_S:
        if now.state == "running" or now.uptime_s < before:
            moved_s = time.monotonic()
        elif time.monotonic() - moved_s > _SLACK_S:
            raise DeviceError(f"{now.input_device}: the device is {now.state}; plug it in again")
        before = now.uptime_s
        time.sleep(_LOOK_S)


def _settled(tap: AudioArray) -> AudioArray:
    """Return the recording without its beginning: silence of the buffers, and a click."""
    return tap[round(_SETTLE_S * LIVE_RATE_HZ) :]


def _played(path: str | os.PathLike[str], sample_rate_hz: int) -> Signal:
    """Return what was played, in one channel, at a rate."""
    with ConvertedReader(path, sample_rate_hz) as reader:
        frames = min(reader.frames, round(LONGEST_S * sample_rate_hz))
        return np.asarray(reader.read(frames).mean(axis=1), np.float64)

"""Open the samples of a file: with libsndfile, raw where a header lies, else with FFmpeg."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audio_engine.errors import InputFileError
from audio_engine.io.media_sound import open_media_sound
from audio_engine.io.riff import RiffReport
from audio_engine.processors.audio import AudioArray

_CAN_BE_READ = "WAV, RF64, W64, FLAC, OGG, MP3, AIFF and CAF can be read, M4A and videos with PyAV"
_UNKNOWN_FRAMES, _COUNTED_FRAMES = 2**62, 65536


def open_sound(file: io.FileIO, report: RiffReport | None, place: Path) -> Any:
    """Open with libsndfile: by the file's own header, or as raw samples where the header lies.

    What it does not know is left to FFmpeg.
    """
    file.seek(0)
    try:
        if report is None or report.sizes_are_right:
            sound = soundfile.SoundFile(file.fileno(), closefd=False)
            return sound if sound.frames < _UNKNOWN_FRAMES else _Counted(file, sound)
        return soundfile.SoundFile(
            _Window(file, report.data_offset),
            samplerate=report.sample_rate_hz,
            channels=report.channels,
            subtype=report.subtype,
            format="RAW",
            endian="LITTLE",
        )
    except soundfile.LibsndfileError as error:
        said = error.error_string.strip().rstrip(".")
    if not file.seek(0, os.SEEK_END):
        raise InputFileError(f"the file is empty ({said}); {_CAN_BE_READ}")
    file.seek(0)
    media = open_media_sound(place, file.read(16))
    if media is None:
        raise InputFileError(f"no audio was recognised ({said}); {_CAN_BE_READ}")
    return media


def read_frames(sound: Any, frames: int) -> AudioArray:
    """Return the next frames of a sound; where it is damaged, those that could be decoded.

    At the end of a FLAC file without a length, libsndfile reports an error behind the last frame.
    """
    room = np.full((frames, int(sound.channels)), np.nan, np.float32)
    try:
        return np.asarray(sound.read(frames, dtype="float32", always_2d=True, out=room))
    except soundfile.LibsndfileError:
        filled = np.flatnonzero(~np.isnan(room).all(axis=1))
        return room[: filled[-1] + 1 if len(filled) else 0]


class _Counted:
    """A FLAC file that was written into a pipe, and does not say how long it is.

    It is decoded once to count its frames, which takes some ms per minute.
    """

    def __init__(self, file: io.FileIO, sound: Any) -> None:
        self.frames = 0
        with sound:
            while len(block := read_frames(sound, _COUNTED_FRAMES)):
                self.frames += len(block)
        file.seek(0)
        self._sound = soundfile.SoundFile(file.fileno(), closefd=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sound, name)


class _Window(io.RawIOBase):
    """The bytes of a file from `start` on, as a file of their own."""

    def __init__(self, file: io.FileIO, start: int) -> None:
        self._file, self._start = file, start
        file.seek(start)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move as `io.IOBase.seek` does; byte 0 is the window's first."""
        base = self._start if whence == os.SEEK_SET else 0
        return self._file.seek(base + offset, whence) - self._start

    def tell(self) -> int:
        """Return the position in the window."""
        return self._file.tell() - self._start

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on."""
        return self._file.readinto(buffer) or 0

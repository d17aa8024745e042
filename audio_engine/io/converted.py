"""A file of any rate at the rate that is wanted: far ends, participants, voices of the demo."""

from __future__ import annotations

import os
from typing import Self

import numpy as np
import soxr

from audio_engine.io.files import open_reader
from audio_engine.processors.audio import AudioArray


class ConvertedReader:
    """Read a file at another rate than its own, followed by silence for ever or by nothing.

    Parameters
    ----------
    path : path-like
        Any file that `open_reader` takes.
    sample_rate_hz : int
        The rate wanted; another one is converted on the fly (soxr, HQ).
    piece_s : float
        Seconds that are decoded at a time.

    Attributes
    ----------
    path : Path
        The file.
    channels : int
        Channels of the file.
    frames : int
        Length of the file at the rate wanted.
    source : AudioReader
        The file as it is.
    warnings : list of str
        What is wrong with the file though it can be read.
    """

    def __init__(
        self, path: str | os.PathLike[str], sample_rate_hz: int, *, piece_s: float = 0.5
    ) -> None:
        self.source = open_reader(path)
        self.path = self.source.path
        self.channels = self.source.channels
        self.warnings = self.source.warnings
        self.converted = self.source.sample_rate_hz != sample_rate_hz
        self._resampler = (
            soxr.ResampleStream(self.source.sample_rate_hz, sample_rate_hz, self.channels)
            if self.converted
            else None
        )
        self.frames = round(self.source.frames * sample_rate_hz / self.source.sample_rate_hz)
        self._frames_left = self.frames
        self._read_frames = max(1, round(piece_s * self.source.sample_rate_hz))
        self._ready: AudioArray = np.zeros((0, self.channels), np.float32)
        self._ended = False

    @property
    def ended(self) -> bool:
        """True once only silence is left."""
        return self._ended and not len(self._ready)

    def read(self, frames: int) -> AudioArray:
        """Return exactly `frames` frames, shape (frames, channels), silent after the file's end."""
        block = self.take(frames)
        missing = frames - len(block)
        return np.pad(block, ((0, missing), (0, 0))) if missing else block

    def take(self, frames: int) -> AudioArray:
        """Return the next `frames` frames; fewer at the file's end, none after it."""
        while len(self._ready) < frames and not self._ended:
            self._ready = np.concatenate([self._ready, self._next()])
        block, self._ready = self._ready[:frames], self._ready[frames:]
        return block

    def _next(self) -> AudioArray:
        """Read and convert the next piece; a converted file ends after its own duration."""
        block = self.source.read(self._read_frames)
        self._ended = len(block) < self._read_frames
        if self._resampler is not None:
            block = self._resampler.resample_chunk(block, last=self._ended)
            block = block[: self._frames_left]
            self._frames_left -= len(block)
        return block

    def close(self) -> None:
        """Close the file; doing so twice is fine."""
        self.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

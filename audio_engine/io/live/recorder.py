"""Record a live stream: files that can be opened at any instant, whatever happens to the program.

Two WAV files of 24 bits grow side by side: what was processed, and what it was made from. Each
header is kept true while the file grows, so a killed program leaves files that every player
opens; beyond 4 GiB the header turns into RF64 in place (EBU Tech 3306, section 3). Writing to a
full disk ends the recording, not the stream.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from audio_engine.errors import ConfigError, OutputFileError
from audio_engine.io.files import check_target
from audio_engine.io.live.stats import Notify
from audio_engine.processors.audio import AudioArray

_FULL_SCALE = np.float32(2**23)
_SAMPLE_BYTES = 3
_HEADER_BYTES = 80
_RIFF_LIMIT_BYTES = 2**32 - 2**16  # the sizes of RIFF have 32 bits; above, RF64 is written
_SYNC_SECONDS = 0.5  # each system call may cost a wait for the GIL, so not at every block


@dataclass(frozen=True, slots=True)
class RecordingReport:
    """What a recording became.

    Attributes
    ----------
    frames : int
        Length; the same in both files.
    paths : tuple of Path
        The processed signal, and microphone and reference, where they lie now.
    clipped : int
        Samples beyond full scale that were set to full scale, in both files.
    error : str or None
        Why the recording ended early or lies elsewhere.
    """

    frames: int
    paths: tuple[Path, Path]
    clipped: int
    error: str | None = None


def dry_path(path: str | os.PathLike[str]) -> Path:
    """Return the name of the file beside `path` that takes the unprocessed signals.

    Examples
    --------
    >>> dry_path("evening.wav").name
    'evening-dry.wav'
    """
    path = Path(path)
    return path.with_name(f"{path.stem}-dry{path.suffix}")


class Recorder:
    """Write the tap of a live stream to two files.

    While recording they are called ``NAME.partial-XXXX.wav`` beside their targets, at most half a
    second behind the stream; `close` gives them their names. A program that is killed leaves the
    partial files, which play. Used by one thread at a time.

    Parameters
    ----------
    path : path-like
        Takes the processed signal; ``.wav`` or no extension. Microphone and reference go to the
        same name with ``-dry`` before the extension, in this order of channels.
    sample_rate_hz : int
        Rate of the tap.
    mic_channels, reference_channels, out_channels : int
        Channels of the tap, in this order.
    never : tuple of path-like
        Files that must not be overwritten: those that are being played.
    notify : callable, optional
        Takes events (level, kind, text), for example that the disk is full.

    Raises
    ------
    ConfigError
        If the target is one of `never`, a folder, or has another extension.
    OutputFileError
        If a file cannot be created.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate_hz: int,
        mic_channels: int,
        reference_channels: int,
        out_channels: int,
        *,
        never: tuple[str | os.PathLike[str], ...] = (),
        notify: Notify | None = None,
    ) -> None:
        self.path, self.dry_path = Path(path), dry_path(path)
        self.sample_rate_hz = sample_rate_hz
        self._dry_channels = mic_channels + reference_channels
        self._notify = notify or (lambda level, kind, text: None)
        for target in (self.path, self.dry_path):
            if target.suffix.lower() not in ("", ".wav"):
                raise ConfigError(
                    f"{path}: a recording is a WAV file, which can be opened even if the program "
                    "dies; use the extension .wav"
                )
            check_target(target, never)
        self._sync_frames = round(_SYNC_SECONDS * sample_rate_hz)
        self._pending: list[AudioArray] = []
        self._pending_frames = 0
        self._done: RecordingReport | None = None
        self._error: str | None = None
        self._wet = _GrowingWav(self.path, sample_rate_hz, out_channels)
        try:
            self._dry = _GrowingWav(self.dry_path, sample_rate_hz, self._dry_channels)
        except BaseException:
            self._wet.remove()
            raise

    @property
    def partial_paths(self) -> tuple[Path, Path]:
        """Where the growing files lie until `close`: processed, dry."""
        return self._wet.partial, self._dry.partial

    @property
    def frames(self) -> int:
        """Frames recorded so far."""
        return self._wet.frames + self._pending_frames

    @property
    def failed(self) -> bool:
        """True once the recording ended early; further blocks are dropped."""
        return self._error is not None

    def write(self, tap: AudioArray) -> None:
        """Append a piece of the tap; a failing disk becomes an event, never an exception.

        Parameters
        ----------
        tap : ndarray of float32, shape (frames, mic + reference + out channels)
            Kept by copy.
        """
        if self._done or self.failed or not len(tap):
            return
        self._pending.append(np.array(tap, np.float32))
        self._pending_frames += len(tap)
        if self._pending_frames >= self._sync_frames:
            self._flush()

    def close(self) -> RecordingReport:
        """Finish both files and give them their names; doing so twice returns the same report."""
        if self._done is None:
            self._flush()
            clipped = self._wet.clipped_count + self._dry.clipped_count
            frames = min(self._wet.frames, self._dry.frames)
            paths = self._finish(self._wet, frames), self._finish(self._dry, frames)
            self._done = RecordingReport(frames, paths, clipped, self._error)
        return self._done

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        seconds = self.frames / self.sample_rate_hz
        return f"Recorder({str(self.path)!r}, {self.sample_rate_hz} Hz, {seconds:.1f} s)"

    def _flush(self) -> None:
        """Write what is pending; after an error both files keep the frames that both have."""
        if self.failed or not self._pending:
            return
        tap = np.concatenate(self._pending)
        self._pending.clear()
        self._pending_frames = 0
        try:
            self._wet.append(tap[:, self._dry_channels :])
            self._dry.append(tap[:, : self._dry_channels])
        except OSError as error:
            frames = min(self._wet.frames, self._dry.frames)
            for wav in (self._wet, self._dry):
                with contextlib.suppress(OSError):
                    wav.cut(frames)
            self._fail(
                f"{self.path}: recording ended after {frames / self.sample_rate_hz:.1f} s: "
                f"{error.strerror or error}; what was recorded is kept"
            )

    def _finish(self, wav: _GrowingWav, frames: int) -> Path:
        try:
            wav.cut(frames)
        except OSError as error:
            self._fail(f"{wav.partial}: cannot be finished: {error.strerror or error}")
        try:
            return wav.rename()
        except OSError as error:
            self._fail(
                f"{wav.target}: cannot be written: {error.strerror or error}; "
                f"the recording is {wav.partial}"
            )
            return wav.partial

    def _fail(self, text: str) -> None:
        self._error = self._error or text
        self._notify("error", "record", text)


class _GrowingWav:
    """A WAV file of 24 bits whose header is true after each append.

    The header leaves room (a JUNK chunk) for the 64-bit sizes that it may need one day.
    """

    def __init__(self, path: Path, sample_rate_hz: int, channels: int) -> None:
        self.target = Path(os.path.realpath(path))  # a link's target is replaced, not the link
        unique = f"{path.stem}.partial-{secrets.token_hex(4)}.wav"
        self.partial = self.target.with_name(unique)
        self.frames = 0
        self.clipped_count = 0
        self._rate_hz, self._channels = sample_rate_hz, channels
        self._frame_bytes = channels * _SAMPLE_BYTES
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(self.partial, flags, 0o666)
        except OSError as error:
            raise OutputFileError(f"{path}: cannot be written: {error.strerror or error}") from None
        try:
            self._write(self._header(), 0)
        except OSError as error:
            self.remove()
            raise OutputFileError(f"{path}: cannot be written: {error.strerror or error}") from None

    def append(self, block: AudioArray) -> None:
        """Write samples, then the header that counts them: a kill in between loses only these."""
        samples = self._to_bytes(block)
        frames = self.frames + len(block)
        padding = b"\0" * (frames * self._frame_bytes & 1)  # overwritten by the next block
        self._write(samples + padding, _HEADER_BYTES + self.frames * self._frame_bytes)
        self.frames = frames
        self._write(self._header(), 0)

    def cut(self, frames: int) -> None:
        """Shorten the file to `frames` frames and whatever its header then needs."""
        self.frames = min(frames, self.frames)
        data_bytes = self.frames * self._frame_bytes
        self._write(self._header(), 0)
        os.ftruncate(self._descriptor, _HEADER_BYTES + data_bytes + (data_bytes & 1))

    def rename(self) -> Path:
        """Close the file and give it its name."""
        os.close(self._descriptor)
        os.replace(self.partial, self.target)
        return self.target

    def remove(self) -> None:
        """Close the file and delete it."""
        os.close(self._descriptor)
        with contextlib.suppress(OSError):
            self.partial.unlink()

    def _write(self, content: bytes, offset: int) -> None:
        while content:  # a disk that fills up takes a part first, and refuses the next call
            written = os.pwrite(self._descriptor, content, offset)
            content, offset = content[written:], offset + written

    def _to_bytes(self, block: AudioArray) -> bytes:
        """Round to 24 bits without dither, as `io.files` does; what is no number is silence."""
        values = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
        self.clipped_count += int(np.count_nonzero(np.abs(values) > 1.0))
        steps = np.clip(np.rint(values * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
        words = np.ascontiguousarray(steps.astype("<i4"))
        return words.view(np.uint8).reshape(-1, 4)[:, :_SAMPLE_BYTES].tobytes()

    def _header(self) -> bytes:
        data_bytes = self.frames * self._frame_bytes
        riff_bytes = _HEADER_BYTES - 8 + data_bytes + (data_bytes & 1)
        rate_bytes = self._rate_hz * self._frame_bytes
        layout = struct.pack(
            "<4sIHHIIHH",
            *(b"fmt ", 16, 1, self._channels),
            *(self._rate_hz, rate_bytes, self._frame_bytes, 8 * _SAMPLE_BYTES),
        )
        if riff_bytes <= _RIFF_LIMIT_BYTES:
            head = struct.pack("<4sI4s4sI28x", b"RIFF", riff_bytes, b"WAVE", b"JUNK", 28)
            return head + layout + struct.pack("<4sI", b"data", data_bytes)
        unknown = 0xFFFFFFFF  # see the sizes of ds64
        head = struct.pack("<4sI4s4sI", b"RF64", unknown, b"WAVE", b"ds64", 28)
        sizes = struct.pack("<QQQI", riff_bytes, data_bytes, self.frames, 0)
        return head + sizes + layout + struct.pack("<4sI", b"data", unknown)

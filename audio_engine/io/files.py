"""Read and write audio files in blocks: any length in constant memory, never a half-written file.

Reading goes through libsndfile (soundfile), after `riff` has checked a WAV header; what libsndfile
does not know (M4A, the sound of videos ...) through FFmpeg, where PyAV is installed. What is being
written has no name, or a temporary one, until it is complete (`part_file`). ``-`` is standard input
and output (`standard`).
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_engine.config import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ
from audio_engine.errors import AudioEngineError, ConfigError, InputFileError, OutputFileError
from audio_engine.io.encoders import (
    MEDIA_CONTAINERS,
    MEDIA_FORMATS,
    OWN_HEADERS,
    make_encoder,
)
from audio_engine.io.flac_blocks import read_blocks
from audio_engine.io.media_sound import MEDIA_ENDINGS, MediaSound
from audio_engine.io.metadata import Metadata, plain_tags, tags_of, with_loudness
from audio_engine.io.part_file import PartFile
from audio_engine.io.riff import check_riff, read_chunks
from audio_engine.io.sound_source import open_sound, read_frames
from audio_engine.io.standard import (
    StandardPart,
    check_standard_output,
    is_standard,
    kept_input,
    path_of,
)
from audio_engine.io.video_file import VideoFile
from audio_engine.io.wav_file import WAV_SUBTYPES, WavFile
from audio_engine.processors.audio import AudioArray
from audio_engine.processors.stats import LoudnessStats

# Containers that are read; libsndfile's others (RAW, SDS, MAT ...) have no use here and no fuzzing.
_READ_FORMATS = {"WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "CAF"}
_WRITE_FORMATS = {
    ".wav": "WAV",
    ".wave": "WAV",
    ".rf64": "RF64",
    ".w64": "W64",
    ".flac": "FLAC",
    ".ogg": "OGG",
    ".oga": "OGG",
    ".opus": "OGG",
    ".mp3": "MP3",
    ".aif": "AIFF",
    ".aiff": "AIFF",
    ".aifc": "AIFF",
    ".caf": "CAF",
}
#: Endings of files that can be read without PyAV, for looking through folders.
READ_EXTENSIONS = tuple(_WRITE_FORMATS)
# What is read but not written, and what holds the same.
_WRITTEN_AS = dict.fromkeys((".aac", ".wma", ".amr", ".mka", ".weba", ".ac3"), ".m4a")
_WRITTEN_AS |= dict.fromkeys((".avi", ".wmv", ".3gp"), ".mkv")
_OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
_PCM_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_FLOAT_SUBTYPES = {"FLOAT", "DOUBLE"}
_WAV_LIMIT_BYTES = 2**32 - 2**16  # the sizes of RIFF have 32 bits; above, RF64 is written
_SYSTEM_ERROR = 2  # libsndfile's number
_WILD_SAMPLE = 64.0  # +36 dBFS: no signal, but a damaged float file


class AudioReader:
    """An audio file, read in blocks of float32.

    Made by `open_reader`. Samples that are not finite or beyond +36 dBFS become 0.0, counted.

    Attributes
    ----------
    path : Path
        The file; ``-`` for standard input.
    sample_rate_hz, channels : int
        8000 to 96000 Hz, or to the limit given to `open_reader`, and 1 to 8.
    frames : int
        Frames that are expected; a damaged compressed file may end earlier, and the padding of a
        codec may be counted until the end is reached.
    subtype, container : str
        libsndfile's names, for example ``PCM_16`` in ``WAV``; of what FFmpeg reads, its names in
        capitals, ``AAC`` in ``MP4``, and libsndfile's for samples that are whole.
    media : MediaSound or None
        What FFmpeg reads.
    warnings : list of str
        What is wrong with the file though it can be read. Grows while reading.
    invalid_count : int
        Samples replaced by 0.0 so far.
    """

    def __init__(self, path: Path, file: io.FileIO, max_rate_hz: int = MAX_RATE_HZ) -> None:
        self.path = path
        self._file = file
        piped = is_standard(path)
        report = self._riff = check_riff(file, is_piped=piped)
        if report:
            _check_limits(report.sample_rate_hz, report.channels, "WAV", max_rate_hz)
        self.warnings = list(report.warnings) if report else []
        # A file without a name is opened once more by its descriptor.
        place = Path(f"/proc/self/fd/{file.fileno()}") if piped else path
        self._sound = open_sound(file, report, place)
        self.media = self._sound if isinstance(self._sound, MediaSound) else None
        self.sample_rate_hz = int(self._sound.samplerate)
        self.channels = int(self._sound.channels)
        self.subtype = str(self._sound.subtype)
        self.container = "WAV" if report else str(self._sound.format)
        self.frames = report.frames if report else int(self._sound.frames)
        self.invalid_count = 0
        self._position = 0
        known = "WAV" if self.media else self.container
        _check_limits(self.sample_rate_hz, self.channels, known, max_rate_hz)

    @property
    def duration_s(self) -> float:
        """Expected length in seconds."""
        return self.frames / self.sample_rate_hz

    def read(self, frames: int) -> AudioArray:
        """Read the next frames.

        Parameters
        ----------
        frames : int
            At least 1.

        Returns
        -------
        ndarray of float32, shape (frames, channels)
            Fewer frames at the end of the file, none after it.
        """
        wanted = min(frames, self.frames - self._position)
        if wanted <= 0:
            return np.zeros((0, self.channels), np.float32)
        block = read_frames(self._sound, wanted)
        if len(block) < wanted:
            self._stop_early(self._position + len(block))
        self._position += len(block)
        if self.media is not None and self._position == self.frames:
            self.warnings[:] = self.media.warnings()
        return self._without_invalid(np.asarray(block, np.float32))

    def blocks(self, frames: int) -> Iterator[AudioArray]:
        """Yield the rest of the file in blocks of `frames`; the last one may be shorter."""
        while len(block := self.read(frames)):
            yield block

    def close(self) -> None:
        """Close the file; doing so twice is fine."""
        self._sound.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"AudioReader({str(self.path)!r}, {self.sample_rate_hz} Hz, {self.channels} channels, "
            f"{self.duration_s:.3f} s, {self.subtype})"
        )

    def metadata(self) -> Metadata:
        """Return what the file says beside its samples, as far as it can be kept."""
        if self._riff is not None:
            position = self._file.tell()  # libsndfile reads on from there
            chunks, left_out = read_chunks(self._file, self._riff)
            self._file.seek(position)
            return Metadata(
                tags=plain_tags(tags_of(chunks)),
                chunks=tuple(chunks),
                channel_mask=self._riff.channel_mask,
                warnings=tuple(left_out),
            )
        tags = plain_tags(self._sound.copy_metadata())
        if self.container != "FLAC" or self.media is not None:
            return Metadata(tags=tags)
        position = self._file.tell()
        blocks, left_out = read_blocks(self._file)
        self._file.seek(position)
        return Metadata(tags=tags, flac_blocks=tuple(blocks), warnings=tuple(left_out))

    def _stop_early(self, position: int) -> None:
        if self.media is None:
            self.warnings.append(
                f"the samples can be decoded up to frame {position} of {self.frames} only; "
                "the file is cut off or damaged, what is there is used"
            )
        self.frames = position

    def _without_invalid(self, block: AudioArray) -> AudioArray:
        valid = np.abs(block) <= _WILD_SAMPLE  # false for NaN too
        if not valid.all():
            self.invalid_count += int(valid.size - np.count_nonzero(valid))
            block = np.where(valid, block, np.float32(0.0))
        return block


def open_reader(path: str | os.PathLike[str], *, max_rate_hz: int = MAX_RATE_HZ) -> AudioReader:
    """Open an audio file for reading.

    Parameters
    ----------
    path : path-like
        WAV, RF64, W64, FLAC, OGG, MP3, AIFF or CAF; 8000 to 96000 Hz, 1 to 8 channels. With PyAV
        (the extra ``media``) whatever FFmpeg decodes: M4A, AAC, WMA, AMR, and of a video the sound
        that players choose. ``-`` is standard input, of which all is kept on disk first.
    max_rate_hz : int
        Another upper limit of the rate, for who can do with it.

    Raises
    ------
    InputFileError
        If the file is missing or cannot be read as audio; the text is one line and names the file.
    """
    path = path_of(path)
    try:
        file = kept_input() if is_standard(path) else _open_regular(path)
    except InputFileError as error:
        raise InputFileError(f"{path}: {error}") from None
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror or error}") from None
    try:
        return AudioReader(path, file, max_rate_hz)
    except AudioEngineError as error:
        file.close()
        raise type(error)(f"{path}: {error}") from None
    except BaseException:
        file.close()
        raise


def find_audio(folder: str | os.PathLike[str]) -> list[Path]:
    """Return every audio file in a folder and the folders in it, by their endings, sorted.

    Videos and all else that PyAV reads count too: where it is missing, opening them says so. Hidden
    files and folders are left out, and links to folders are not followed.

    Raises
    ------
    InputFileError
        If a folder cannot be read, or none has an audio file.
    """
    endings = READ_EXTENSIONS + MEDIA_ENDINGS
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(place, name)
            for name in names
            if name.lower().endswith(endings) and not name.startswith(".")
        ]
    if not found:
        raise InputFileError(f"{folder}: no audio file in it ({', '.join(endings)})")
    return sorted(found)


def _refuse_folder(error: OSError) -> None:
    raise InputFileError(f"{error.filename}: {error.strerror or error}")


def _open_regular(path: Path) -> io.FileIO:
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise OSError(f"this is {kind}; name an audio file")
    return io.FileIO(path)  # unbuffered: libsndfile reads the same descriptor


def _check_limits(sample_rate_hz: int, channels: int, container: str, max_rate_hz: int) -> None:
    if container not in _READ_FORMATS:
        raise InputFileError(
            f"files of type {container} are not read; convert this one to WAV or FLAC"
        )
    if not MIN_RATE_HZ <= sample_rate_hz <= max_rate_hz:
        raise InputFileError(
            f"the sample rate is {sample_rate_hz} Hz, {MIN_RATE_HZ} to {max_rate_hz} Hz can be "
            "processed; convert the file to 48000 Hz"
        )
    if channels > MAX_CHANNELS:
        raise InputFileError(
            f"the file has {channels} channels, 1 to {MAX_CHANNELS} can be processed; split it"
        )


class AudioWriter:
    """An audio file being written without a name; it appears when complete.

    Made by `open_writer`, used as a context manager: leaving it normally gives the file its name,
    leaving it by any exception (Ctrl-C too) forgets it.

    Attributes
    ----------
    path : Path
        The target; ``-`` for standard output.
    subtype, container : str
        libsndfile's names of what is written; of what FFmpeg writes, its names in capitals.
    clipped_count : int
        Samples beyond full scale that were set to full scale. Float files are not clipped.
    """

    def __init__(
        self,
        path: Path,
        *,
        sample_rate_hz: int,
        channels: int,
        subtype: str,
        container: str,
        like: AudioReader | None = None,
    ) -> None:
        self.path, self.container = path, container
        self.channels = channels
        self.clipped_count = 0
        with _output_errors(path):
            self._part = StandardPart() if is_standard(path) else PartFile(path)
        try:
            with _output_errors(path):
                self._encoder = make_encoder(
                    path,
                    self._part,
                    sample_rate_hz=sample_rate_hz,
                    channels=channels,
                    subtype=subtype,
                    container=container,
                    metadata=Metadata() if like is None else like.metadata(),
                    media=None if like is None else like.media,
                )
        except BaseException:
            self._part.discard()
            raise
        self.subtype = subtype
        if isinstance(self._encoder, VideoFile):
            self.subtype = self._encoder.codec.upper()

    @property
    def warnings(self) -> list[str]:
        """What of the input's metadata has no place in this file."""
        return self._encoder.warnings

    def write(self, block: AudioArray) -> None:
        """Append a block of float32, shape (frames, channels), full scale +-1.0."""
        samples = self._to_samples(block)
        with _output_errors(self.path):
            self._encoder.write(samples)

    def _to_samples(self, block: AudioArray) -> NDArray[Any]:
        """Round to the file's resolution; beyond full scale clips and never wraps.

        Rounding is plain, without dither: a microphone's own noise is far above one step of 16
        bits, and digital silence stays silent.
        """
        if self.subtype in _FLOAT_SUBTYPES:
            return block
        self.clipped_count += int(np.count_nonzero(np.abs(block) > 1.0))
        bits = _PCM_BITS.get(self.subtype)
        if bits is None:
            return np.clip(block, -1.0, 1.0)
        full_scale = 2.0 ** (bits - 1)
        steps = np.rint(np.asarray(block, np.float64) * full_scale)  # float32 lacks the lowest bits
        steps = np.clip(steps, -full_scale, full_scale - 1.0)
        return (steps * 2.0 ** (32 - bits)).astype(np.int32)  # libsndfile takes the upper bits

    def note_loudness(self, loudness: LoudnessStats) -> None:
        """Tell the loudness of what was written to a header that has a place for it."""
        if isinstance(self._encoder, WavFile):
            self._encoder.chunks = [
                with_loudness(chunk, loudness) for chunk in self._encoder.chunks
            ]

    def finish(self) -> None:
        """Write what is still to be written; all that the file lacks then is its name."""
        with _output_errors(self.path):
            self._encoder.close()

    def commit(self) -> None:
        """Finish the file and give it its name."""
        try:
            self.finish()
            with _output_errors(self.path):
                self._part.commit()
        except BaseException:
            self._discard()
            raise

    def _discard(self) -> None:
        with contextlib.suppress(Exception):
            self._encoder.discard()
        self._part.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self._discard()


def open_writer(
    path: str | os.PathLike[str],
    *,
    sample_rate_hz: int,
    channels: int,
    subtype: str = "PCM_16",
    container: str = "WAV",
    expected_frames: int = 0,
    never: tuple[str | os.PathLike[str], ...] = (),
    like: AudioReader | None = None,
) -> AudioWriter:
    """Open an audio file for writing.

    Parameters
    ----------
    path : path-like
        The extension chooses the container; without one it is `container`. ``-`` is standard
        output, as WAV.
    sample_rate_hz, channels : int
        Layout of the blocks that will be written.
    subtype : str
        Wanted sample format, libsndfile's name; the nearest one that the container has is taken.
    container : str
        Container for a path without an extension.
    expected_frames : int
        Decides between WAV and RF64 (more than 4 GiB).
    never : tuple of path-like
        Files that must not be overwritten: the inputs.
    like : AudioReader or None
        Whose metadata goes along, and where the target is a video, the picture and all else.

    Raises
    ------
    ConfigError
        If the target is one of `never`, its extension is unknown, or it is a video and there is no
        picture for it.
    OutputFileError
        If the file cannot be created.
    """
    path = path_of(path)
    container = _container_for(path, container)
    if path.suffix.lower() == ".opus":
        subtype = _opus_for(path, sample_rate_hz)
    elif container not in MEDIA_CONTAINERS:
        subtype = _subtype_for(container, subtype)
    check_target(path, never)
    if container == "WAV":
        frame_bytes = channels * max(1, _PCM_BITS.get(subtype, 64) // 8)
        container = "RF64" if expected_frames * frame_bytes > _WAV_LIMIT_BYTES else "WAV"
    return AudioWriter(
        path,
        sample_rate_hz=sample_rate_hz,
        channels=channels,
        subtype=subtype,
        container=container,
        like=like,
    )


def check_target(path: Path, never: tuple[str | os.PathLike[str], ...] = ()) -> None:
    """Raise `ConfigError` if a file may not be written at `path`: an input, a device, a folder."""
    if is_standard(path):
        check_standard_output()
        return
    with _output_errors(path):
        if not path.exists():
            return
        if any(Path(other).exists() and path.samefile(other) for other in never):
            raise ConfigError(f"{path}: this is an input file, which is never overwritten")
        if path.is_dir():
            raise ConfigError(f"{path}: this is a folder; name a file")
        if not path.is_file():
            raise ConfigError(f"{path}: this is not a regular file; name a file")


def _container_for(path: Path, container: str) -> str:
    if is_standard(path):
        return "WAV"
    extension = path.suffix.lower()
    if extension in MEDIA_FORMATS:
        return MEDIA_FORMATS[extension]
    if extension and extension not in _WRITE_FORMATS:
        known = ", ".join(sorted({*_WRITE_FORMATS, *MEDIA_FORMATS}))
        raise ConfigError(f"{path}: files of type {extension} are not written; use one of {known}")
    return _WRITE_FORMATS.get(extension, container if container in _READ_FORMATS else "WAV")


def written_ending(ending: str) -> str:
    """Return the ending of the output for an input: its own, or that of what holds the same."""
    return _WRITTEN_AS.get(ending.lower(), ending)


def _opus_for(path: Path, sample_rate_hz: int) -> str:
    if sample_rate_hz not in _OPUS_RATES_HZ:
        raise ConfigError(
            f"{path}: Opus has {', '.join(map(str, _OPUS_RATES_HZ))} Hz, this sound has "
            f"{sample_rate_hz} Hz; use .ogg or .flac"
        )
    return "OPUS"


def _subtype_for(container: str, subtype: str) -> str:
    """Return `subtype` where the container has it, else the nearest of at least its resolution."""
    choices = [subtype]
    if subtype in _FLOAT_SUBTYPES or subtype == "PCM_32":
        choices.append("PCM_24")
    choices.append("PCM_16")
    if container in OWN_HEADERS:
        return next(choice for choice in choices if choice in WAV_SUBTYPES)
    for choice in choices:
        if soundfile.check_format(container, choice):
            return choice
    return str(soundfile.default_subtype(container))


@contextlib.contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    """Turn what can go wrong while writing (disk full, no permission) into `OutputFileError`."""
    try:
        yield
    except AudioEngineError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
            why = f"there is no folder {path.parent}"
        raise OutputFileError(f"{path}: cannot be written: {why}") from None
    except (soundfile.LibsndfileError, AssertionError) as error:
        if getattr(error, "code", _SYSTEM_ERROR) == _SYSTEM_ERROR:  # or a short write
            text = "cannot be written completely; is the disk full?"
            raise OutputFileError(f"{path}: {text}") from None
        raise OutputFileError(f"{path}: cannot be written: {error}") from None

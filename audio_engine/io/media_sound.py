"""The sound of what libsndfile does not know: M4A, AAC, WMA, AMR, videos; FFmpeg decodes (PyAV).

Of several sound streams the one that players choose is read, in its own rate and channels, from its
first sample to its last; `sound_line` says what becomes of holes. Memory does not grow with the
length. Opening goes through the packets once, without decoding them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from audio_engine.errors import InputFileError
from audio_engine.io.remux import Survey, packets_of, survey
from audio_engine.io.sound_line import SoundLine, kind_of
from audio_engine.io.video import import_av, open_container, why_not_opened
from audio_engine.processors.audio import AudioArray

#: Endings of files that are read this way, for looking through folders.
MEDIA_ENDINGS = (
    *(".m4a", ".aac", ".wma", ".amr", ".mka", ".weba", ".ac3"),
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".ts", ".flv", ".avi", ".wmv", ".3gp"),
)
# Where a file begins so, it is worth a word that PyAV would read it.
_BEGINNINGS = (b"\x1aE\xdf\xa3", b"0&\xb2u\x8ef\xcf\x11", b"#!AMR", b"FLV\1", b"OggS", b"\x0bw")
_WHOLE_SAMPLES = ("pcm_", "flac", "alac", "wavpack", "tta", "ape", "truehd", "mlp")
_SUBTYPES = {"u8": "PCM_U8", "s16": "PCM_16", "flt": "FLOAT", "dbl": "DOUBLE"}
_TAGS = {"track": "tracknumber"}  # FFmpeg's names where libsndfile has others
_TAGS |= {
    name: name
    for name in ("title", "artist", "album", "date", "genre", "comment", "copyright", "license")
}
_CUT_OFF_S = 0.5  # a file that ends this much before its stated end is told to be cut off


class MediaSound:
    """The sound of a file, read from its beginning to its end; made by `open_media_sound`.

    What it has in common with `soundfile.SoundFile` has the same names there.

    Attributes
    ----------
    survey : Survey
        What the packets say.
    samplerate, channels : int
        Of the first frame; later ones are converted to it.
    frames : int
        How many there are at most: the padding of a codec may be among them.
    subtype, format : str
        ``AAC``, or libsndfile's name where the samples are whole; and the container.
    """

    def __init__(self, av: Any, path: Path) -> None:
        self._av, self.path = av, path
        self.survey: Survey = survey(av, path)
        first = self.survey.first
        self.samplerate = int(first.sample_rate)
        self.channels = int(first.layout.nb_channels)
        self._container = open_container(av, path)
        source = self._container.streams[self.survey.sound_index]
        codec = source.codec_context.codec.canonical_name
        self.subtype = _subtype(codec, first.format.name)
        self.format = str(self._container.format.name).split(",")[0].upper()
        self._line = SoundLine(av, source, first, sound=self.survey.sound, sample_format="fltp")
        self.frames = self._line.end - self._line.start
        self._stretches = self._decoded(source)
        self._rest: AudioArray = np.zeros((0, self.channels), np.float32)
        self._position = 0

    def read(self, frames: int, **_: Any) -> AudioArray:
        """Return the next frames, float32, shape (frames, channels); fewer at the end."""
        parts, count = [self._rest], len(self._rest)
        while count < frames:
            stretch = next(self._stretches, None)
            if stretch is None:
                break
            parts.append(stretch)
            count += len(stretch)
        block = np.concatenate(parts)
        block, self._rest = block[:frames], block[frames:]
        self._position += len(block)
        return block

    def copy_metadata(self) -> dict[str, str]:
        """Return the tags, by libsndfile's names."""
        tags = {**self._container.streams[self.survey.sound_index].metadata}
        tags |= self._container.metadata
        return {_TAGS[key.lower()]: text for key, text in tags.items() if key.lower() in _TAGS}

    def warnings(self) -> list[str]:
        """Say what was wrong with the sound though it could be read; complete at its end."""
        found = self._line.warnings()
        missing_s = (self.frames - self._position) / self.samplerate
        if max(missing_s, self.survey.missing_s) > _CUT_OFF_S:
            found.append(
                f"the sound can be decoded up to {self._position / self.samplerate:.1f} s only; "
                "the file is cut off or damaged, what is there is used"
            )
        return found

    def close(self) -> None:
        """Close the file; doing so twice is fine."""
        self._container.close()

    def _decoded(self, source: Any) -> Iterator[AudioArray]:
        source.thread_type = "AUTO"
        for packet in packets_of(self._av, self._container, source):
            for planes in self._line.push(packet):
                if planes.shape[1]:
                    yield np.ascontiguousarray(planes.T, np.float32)


def open_media_sound(path: Path, head: bytes) -> MediaSound | None:
    """Open a file that libsndfile does not know; None if FFmpeg does not know it either.

    Parameters
    ----------
    path : Path
        The file.
    head : bytes
        Its first 16 bytes.

    Raises
    ------
    InputFileError
        If it is known but cannot be read, or has no sound. The text does not name the file.
    AudioEngineError
        If it looks like one that needs PyAV, and that is missing; the text says what brings it.
    """
    is_known = head[4:8] == b"ftyp" or head.startswith(_BEGINNINGS) or head[8:12] == b"AVI "
    try:
        av = import_av("read", "videos, M4A and AAC")
    except Exception:
        if is_known:
            raise
        return None
    try:
        return MediaSound(av, path)
    except InputFileError as error:
        raise InputFileError(str(error).removeprefix(f"{path}: ")) from None
    except (av.FFmpegError, ValueError, OSError) as error:
        if is_known:
            raise InputFileError(why_not_opened(path, error)) from None
        return None


def _subtype(codec: str, sample_format: str) -> str:
    if not codec.startswith(_WHOLE_SAMPLES):
        return codec.upper()
    is_finer = codec in {"pcm_s32le", "pcm_s32be"}
    return _SUBTYPES.get(kind_of(sample_format), "PCM_32" if is_finer else "PCM_24")

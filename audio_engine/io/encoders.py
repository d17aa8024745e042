"""What turns samples into the bytes of a file, for each kind of container."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import soundfile
from numpy.typing import NDArray

from audio_engine.io.flac_blocks import put_blocks
from audio_engine.io.id3 import mark_as_utf8
from audio_engine.io.media_sound import MediaSound
from audio_engine.io.metadata import Metadata
from audio_engine.io.part_file import PartFile
from audio_engine.io.standard import StandardPart
from audio_engine.io.video_file import VideoFile
from audio_engine.io.video_writing import CONTAINERS, SOUND_CONTAINERS
from audio_engine.io.wav_file import WavFile

#: Containers whose headers are ours.
OWN_HEADERS = {"WAV", "RF64"}
#: What FFmpeg writes, by the ending of the name.
MEDIA_FORMATS = {
    ending: name.upper() for ending, name in {**CONTAINERS, **SOUND_CONTAINERS}.items()
}
MEDIA_CONTAINERS = set(MEDIA_FORMATS.values())


class Encoder(Protocol):
    """What turns samples into the bytes of a file."""

    @property
    def warnings(self) -> list[str]:
        """What of the metadata has no place in the file."""

    def write(self, samples: NDArray[Any]) -> None:
        """Take the next samples."""

    def close(self) -> None:
        """Make the file complete."""

    def discard(self) -> None:
        """Let go; the file will not be used."""


def make_encoder(
    path: Path,
    part: PartFile | StandardPart,
    *,
    sample_rate_hz: int,
    channels: int,
    subtype: str,
    container: str,
    metadata: Metadata,
    media: MediaSound | None,
) -> Encoder:
    """Return what writes a container, with the metadata as far as it has a place."""
    if container in OWN_HEADERS:
        return WavFile(
            part.descriptor,
            sample_rate_hz=sample_rate_hz,
            channels=channels,
            subtype=subtype,
            is_rf64=container == "RF64",
            metadata=metadata,
        )
    if container in MEDIA_CONTAINERS:
        assert isinstance(part, PartFile)
        return VideoFile(
            path,
            part.name,
            container.lower(),
            sample_rate_hz=sample_rate_hz,
            channels=channels,
            source=media,
            metadata=metadata,
        )
    sound = soundfile.SoundFile(
        part.descriptor,
        "w",
        samplerate=sample_rate_hz,
        channels=channels,
        subtype=subtype,
        format=container,
        closefd=False,
    )
    return _Sndfile(sound, part.descriptor, container, metadata)


class _Sndfile:
    """A file that libsndfile writes."""

    def __init__(self, sound: Any, descriptor: int, container: str, metadata: Metadata) -> None:
        self._sound, self._descriptor = sound, descriptor
        self._container = container
        self._flac_blocks = metadata.flac_blocks if container == "FLAC" else ()
        self.warnings = list(metadata.warnings)
        homeless = metadata.without_a_place()
        for tag, text in metadata.tags.items():
            try:
                setattr(sound, tag, text)
            except soundfile.LibsndfileError:
                homeless.append(tag)
        if homeless:
            self.warnings.append(
                f"{container} has no place for some of the input's metadata, which is left out: "
                f"{', '.join(homeless)}"
            )

    def write(self, samples: NDArray[Any]) -> None:
        """Take the next samples."""
        self._sound.write(samples)

    def close(self) -> None:
        """Make the file complete."""
        self._sound.close()
        if self._flac_blocks:
            put_blocks(self._descriptor, self._flac_blocks)
            self._flac_blocks = ()
        if self._container == "MP3":
            mark_as_utf8(self._descriptor)

    def discard(self) -> None:
        """Let go."""
        self._sound.close()

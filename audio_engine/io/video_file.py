"""Write processed sound into a video in place of its own, or into M4A; the picture is copied.

The samples are kept on disk until all are there; then the source is gone through once more, its
packets are copied (`remux`), and the sound is encoded (`sound_encoding`) as far as the packets have
come: the file is interleaved as the source was, in constant memory. The first sample lies where the
source's first sample lay, so that the sound stays in sync to the sample.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine.errors import ConfigError, OutputFileError
from audio_engine.io.media_sound import MediaSound
from audio_engine.io.metadata import Metadata
from audio_engine.io.remux import Remux, options_for, packets_of
from audio_engine.io.scratch import ScratchFile
from audio_engine.io.sound_encoding import SoundEncoder
from audio_engine.io.sound_line import LAYOUTS, Samples, kind_of, plain_layout
from audio_engine.io.video import import_av, open_container
from audio_engine.io.video_writing import SOUND_KINDS
from audio_engine.processors.audio import AudioArray

_BLOCK_S = 0.5
_STALE_TAGS = ("REPLAYGAIN_", "R128_", "ITUNNORM")  # gains for playing the old sound
_NO_PICTURE = "there is no picture to go with this sound; name a sound file: .wav, .flac, .m4a"


class VideoFile:
    """A video, or sound in such a container, being written.

    Parameters
    ----------
    path : Path
        The target, as errors name it; samples are kept on its disk.
    name : Path
        Where to write.
    container : str
        A value of `CONTAINERS` or `SOUND_CONTAINERS`.
    sample_rate_hz, channels : int
        Of the samples.
    source : MediaSound or None
        The file whose packets go along.
    metadata : Metadata
        Tags of a sound that has no such file.

    Attributes
    ----------
    codec : str
        FFmpeg's name of what is written.
    """

    def __init__(
        self,
        path: Path,
        name: Path,
        container: str,
        *,
        sample_rate_hz: int,
        channels: int,
        source: MediaSound | None,
        metadata: Metadata,
    ) -> None:
        if source is None and container not in SOUND_KINDS:
            raise ConfigError(f"{path}: {_NO_PICTURE}")
        self._av = import_av("written", "videos and M4A")
        self._path, self._container, self._rate_hz = path, container, sample_rate_hz
        self._metadata = metadata
        self._source = source
        self._remux: Remux | None = None
        self._scratch = ScratchFile(path, channels)
        self._stack = contextlib.ExitStack()
        self._stack.callback(self._scratch.close)
        try:
            with self._errors():
                self._open(name, container, channels)
        except BaseException:
            self._stack.close()
            raise

    @property
    def warnings(self) -> list[str]:
        """What has no place in the file; complete after `close`."""
        lines = list(self._metadata.warnings)
        homeless = self._metadata.without_a_place()
        if homeless:
            lines.append(f"there is no place here for {', '.join(homeless)}; left out")
        return lines + (self._remux.warnings if self._remux else []) + self._encoder.warnings()

    def write(self, samples: NDArray[Any]) -> None:
        """Take the next samples, float32, shape (frames, channels)."""
        self._scratch.write(samples)

    def close(self) -> None:
        """Put everything together."""
        with self._errors(), self._stack:
            blocks = self._scratch.blocks(max(1, round(_BLOCK_S * self._rate_hz)))
            for packet in self._packets():
                if packet.stream.index != self._sound_index:
                    self._copy(packet)
                elif packet.pts is not None:
                    self._encode(blocks, until_s=packet.pts * packet.time_base)
            self._encode(blocks)
            for each in self._encoder.finish():
                self._target.mux(each)
            self._target.close()

    def discard(self) -> None:
        """Let go."""
        with contextlib.suppress(self._av.FFmpegError, OSError):
            self._stack.close()

    def _open(self, name: Path, container: str, channels: int) -> None:
        source_file = None
        if self._source is not None:
            source_file = self._stack.enter_context(open_container(self._av, self._source.path))
        options = options_for(container, source_file)
        kind = "mp4" if container in SOUND_KINDS else container
        self._target = self._av.open(f"file:{name}", "w", format=kind, options=options)
        self._stack.callback(self._target.close)
        self._source_file = source_file
        self._sound_index = -1
        if self._source is None or source_file is None:
            self._add_sound(None, channels)
            self._target.metadata.update(_media_tags(self._metadata))
            self._target.start_encoding()
            return
        found = self._source.survey
        self._sound_index = found.sound_index
        remux = Remux(
            self._av,
            source_file,
            self._target,
            container=container,
            survey=found,
            output=self._path,
        )
        self._remux = remux
        remux.add_streams(
            lambda stream: self._add_sound(stream, channels),
            copy_sound=False,
            others_were="processed",
        )
        for key in [key for key in self._target.metadata if key.upper().startswith(_STALE_TAGS)]:
            del self._target.metadata[key]
        self._target.start_encoding()  # what the container refuses is known before the work

    def _add_sound(self, stream: Any, channels: int) -> Any:
        """Return the target's stream for the sound, of the codec that the source's has."""
        position, codec, layout = 0, "aac", LAYOUTS.get(channels, "stereo")
        sample_format, source_bps = self._av.AudioFormat("fltp"), 0.0
        if self._source is not None and self._remux is not None:
            first = self._source.survey.first
            start = 0 if first.pts is None else round(first.pts * first.time_base * self._rate_hz)
            position = start - round(self._remux.zero_s * self._rate_hz)
            codec, layout = stream.codec_context.codec.canonical_name, plain_layout(first)
            sample_format = first.format
            source_bps = self._source.survey.sound.bit_rate_bps
        self._next = position  # sample to encode, by the clock of the target
        self._encoder = SoundEncoder(
            self._av,
            self._target,
            container=self._container,
            codec_in=codec,
            sample_format=sample_format,
            layout=layout,
            channels=channels,
            rate_hz=self._rate_hz,
            source_bps=source_bps,
            position=position,
        )
        self.codec = self._encoder.codec
        return self._encoder.stream

    def _copy(self, packet: Any) -> None:
        if self._remux is not None:
            self._remux.copy(packet)

    def _packets(self) -> Iterator[Any]:
        if self._source_file is not None:
            yield from packets_of(self._av, self._source_file)

    def _encode(self, blocks: Iterator[AudioArray], until_s: Fraction | None = None) -> None:
        """Encode up to a time of the source, or all that is left."""
        zero_s = self._remux.zero_s if self._remux else Fraction(0)
        end = None if until_s is None else round((until_s - zero_s) * self._rate_hz)
        while end is None or self._next < end:
            block = next(blocks, None)
            if block is None:
                return
            self._next += len(block)
            samples = _in_format(block, self._encoder.sample_format)
            for each in self._encoder.encode(samples):
                self._target.mux(each)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (self._av.FFmpegError, OSError) as error:
            said = getattr(error, "strerror", None) or error
            raise OutputFileError(f"{self._path}: cannot be written: {said}") from None


def _media_tags(metadata: Metadata) -> dict[str, str]:
    return {{"tracknumber": "track"}.get(name, name): text for name, text in metadata.tags.items()}


def _in_format(block: AudioArray, sample_format: str) -> Samples:
    """Return a block as the encoder takes it; what is whole is rounded, to 24 bits at most."""
    kind = kind_of(sample_format)
    samples: Samples = block.T if sample_format.endswith("p") else block.reshape(1, -1)
    if kind in ("flt", "dbl"):
        return np.ascontiguousarray(samples, np.float32 if kind == "flt" else np.float64)
    bits, dtype, zero = {"u8": (8, np.uint8, 128), "s16": (16, np.int16, 0)}.get(
        kind, (24, np.int32, 0)
    )
    full_scale = 2.0 ** (bits - 1)
    steps = np.clip(np.rint(samples * full_scale), -full_scale, full_scale - 1.0)
    whole = steps.astype(np.int32) + zero
    return np.ascontiguousarray(whole << 8 if bits == 24 else whole, dtype)

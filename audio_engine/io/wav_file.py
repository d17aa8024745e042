"""Write WAV and RF64 with everything that stood beside the samples in the file they come from.

libsndfile writes neither chunks that it does not know nor the loudspeakers of the channels, so the
header is ours: ``fmt`` (WAVE_FORMAT_EXTENSIBLE where the loudspeakers are known), ``fact`` for what
is no PCM, the chunks that stood before the samples, ``data``, the chunks that stood behind.
Formats: Microsoft's RIFF WAVE (1991, 1994), EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import io
import os
import struct
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_engine.errors import OutputFileError
from audio_engine.io.metadata import Metadata
from audio_engine.io.riff import RiffChunk

_TAGS = {"FLOAT": 3, "DOUBLE": 3, "ALAW": 6, "ULAW": 7}  # all others are PCM
_BITS = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}
#: Sample formats that are written, libsndfile's names.
WAV_SUBTYPES = {*_BITS, *_TAGS}
_EXTENSIBLE = 0xFFFE
# Behind the tag of the codec, this makes the GUID that WAVE_FORMAT_EXTENSIBLE names it by.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_LARGEST_32_BITS = 0xFFFFFFFF


class WavFile:
    """A WAV or RF64 file being written, as an open descriptor.

    Parameters
    ----------
    descriptor : int
        Of an empty file; it stays its owner's.
    sample_rate_hz, channels : int
        Of the samples.
    subtype : str
        libsndfile's name of the sample format: ``PCM_16``, ``FLOAT``, ``ALAW`` ...
    is_rf64 : bool
        RF64, whose sizes have 64 bits.
    metadata : Metadata
        What else goes in.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        sample_rate_hz: int,
        channels: int,
        subtype: str,
        is_rf64: bool,
        metadata: Metadata,
    ) -> None:
        self._descriptor, self._rate_hz, self._channels = descriptor, sample_rate_hz, channels
        self._subtype, self._is_rf64, self._mask = subtype, is_rf64, metadata.channel_mask
        self._frame_bytes = channels * _BITS.get(subtype, 8) // 8
        self.chunks = metadata.for_wav(
            sample_rate_hz=sample_rate_hz, channels=channels, subtype=subtype
        )
        """May be changed until `close`, but not their lengths."""
        self.warnings = list(metadata.warnings)
        self._data_bytes = 0
        self._append(self._head(0))

    def write(self, samples: NDArray[Any]) -> None:
        """Append samples: float, or int32 of which the upper bits are taken."""
        data = self._encoded(samples)
        self._append(data)
        self._data_bytes += data.nbytes

    def close(self) -> None:
        """Write what stands behind the samples, and the sizes."""
        behind = b"".join(_chunk(each) for each in self.chunks if each.is_behind)
        padding = b"\0" * (self._data_bytes & 1)
        self._append(padding + behind)
        head = self._head(len(padding) + len(behind))
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._append(head)

    def discard(self) -> None:
        """Let go; there is nothing to let go of."""

    def _encoded(self, samples: NDArray[Any]) -> memoryview:
        if self._subtype in ("FLOAT", "DOUBLE"):
            values = np.ascontiguousarray(samples, "<f4" if self._subtype == "FLOAT" else "<f8")
        elif self._subtype == "PCM_U8":
            values = ((samples >> 24) + 128).astype(np.uint8)
        elif self._subtype in _BITS:
            count = _BITS[self._subtype] // 8
            values = np.ascontiguousarray(samples, "<i4").reshape(-1, 1).view(np.uint8)
            values = np.ascontiguousarray(values[:, 4 - count :])
        else:
            memory = io.BytesIO()
            soundfile.write(memory, samples, self._rate_hz, self._subtype, format="RAW")
            return memory.getbuffer()
        return memoryview(values.tobytes())

    def _append(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:  # the system may take less than it is given
            rest = rest[os.write(self._descriptor, rest) :]

    def _head(self, tail_bytes: int) -> bytes:
        """Return all that stands before the samples; its length never changes."""
        before = b"".join(_chunk(each) for each in self.chunks if not each.is_behind)
        form = b"WAVE" + b"\0" * (36 if self._is_rf64 else 0) + self._format() + before
        riff_bytes = len(form) + 8 + self._data_bytes + tail_bytes
        if not self._is_rf64:
            if riff_bytes > _LARGEST_32_BITS:
                raise OutputFileError("more than 4 GiB do not fit into WAV; name a .rf64 file")
            sizes = (riff_bytes, self._data_bytes)
            return b"RIFF" + struct.pack("<I", sizes[0]) + form + _data(sizes[1])
        frames = self._data_bytes // self._frame_bytes
        ds64 = b"ds64" + struct.pack("<IQQQI", 28, riff_bytes, self._data_bytes, frames, 0)
        unknown = struct.pack("<I", _LARGEST_32_BITS)
        return b"RF64" + unknown + form[:4] + ds64 + form[40:] + _data(_LARGEST_32_BITS)

    def _format(self) -> bytes:
        tag = _TAGS.get(self._subtype, 1)
        bits = 8 * self._frame_bytes // self._channels
        shape = (self._rate_hz, self._rate_hz * self._frame_bytes, self._frame_bytes, bits)
        if self._mask is not None:
            body = struct.pack("<HHIIHH", _EXTENSIBLE, self._channels, *shape)
            body += struct.pack("<HHIH", 22, bits, self._mask, tag) + _GUID_TAIL
        else:
            body = struct.pack("<HHIIHH", tag, self._channels, *shape)
            body += b"" if tag == 1 else b"\0\0"
        if tag == 1:
            return _chunk(RiffChunk(b"fmt ", body, False))
        frames = min(self._data_bytes // self._frame_bytes, _LARGEST_32_BITS)
        fact = RiffChunk(b"fact", struct.pack("<I", frames), False)
        return _chunk(RiffChunk(b"fmt ", body, False)) + _chunk(fact)


def _chunk(chunk: RiffChunk) -> bytes:
    size = struct.pack("<I", len(chunk.body))
    return chunk.name + size + chunk.body + b"\0" * (len(chunk.body) & 1)


def _data(size_bytes: int) -> bytes:
    return b"data" + struct.pack("<I", size_bytes)

"""Check a WAV header before libsndfile sees it: what is really there, and is it sane.

WAV files in the wild are cut off by crashes, streamed with sizes that were never filled in, or
written by broken tools. This module only reads the header: it refuses what cannot be audio, warns
about sizes that do not fit the file, and says how many whole frames lie where. It never allocates
by a size that a file declares. Formats: RIFF and RF64 WAVE, little endian (EBU Tech 3306).
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from audio_engine.errors import InputFileError

_UNKNOWN_SIZE = 0xFFFFFFFF  # "not filled in" of a stream, and "see ds64" of RF64
_MAX_FMT_BYTES = 4096  # a fmt chunk is 16 to 40 bytes; codec extras stay far below this
_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_SUBTYPES = {
    (_PCM, 8): "PCM_U8",
    (_PCM, 16): "PCM_16",
    (_PCM, 24): "PCM_24",
    (_PCM, 32): "PCM_32",
    (_FLOAT, 32): "FLOAT",
    (_FLOAT, 64): "DOUBLE",
    (_ALAW, 8): "ALAW",
    (_ULAW, 8): "ULAW",
}
_ALLOWED = "PCM of 8, 16, 24 or 32 bits, float of 32 or 64 bits, A-law and u-law can be read"


@dataclass(frozen=True, slots=True)
class RiffReport:
    """What a WAV header says, held against the file it heads."""

    sample_rate_hz: int
    channels: int
    subtype: str
    data_offset: int
    frames: int
    """Whole frames that are really in the file."""
    sizes_are_right: bool
    """False: libsndfile may count other frames; read `frames` raw from `data_offset`."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Chunk:
    name: bytes
    declared_bytes: int
    offset: int


def check_riff(file: io.FileIO) -> RiffReport | None:
    """Check the header of an open file.

    Parameters
    ----------
    file : io.FileIO
        Seekable; its position is changed.

    Returns
    -------
    RiffReport or None
        None if the file is not RIFF or RF64 WAVE.

    Raises
    ------
    InputFileError
        If it is WAVE, but cannot be read as audio. The text does not name the file.
    """
    file_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if len(head) < 12 or head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        return None
    riff_bytes = struct.unpack("<I", head[4:8])[0]
    data_bytes_64: int | None = None
    layout: _Format | None = None
    for chunk in _chunks(file, file_bytes):
        if chunk.name == b"ds64" and head[:4] == b"RF64":
            body = file.read(16)
            data_bytes_64 = struct.unpack("<QQ", body)[1] if len(body) == 16 else None
        elif chunk.name == b"fmt ":
            layout = _read_format(file.read(min(chunk.declared_bytes, _MAX_FMT_BYTES)))
        elif chunk.name == b"data":
            if layout is None:
                raise InputFileError(
                    "no fmt chunk comes before the data chunk, so the sample format is not known; "
                    "make the file again"
                )
            declared_bytes = chunk.declared_bytes
            if data_bytes_64 is not None and declared_bytes == _UNKNOWN_SIZE:
                declared_bytes = data_bytes_64
            streamed = head[:4] == b"RIFF" and riff_bytes in (0, _UNKNOWN_SIZE)
            data = _Chunk(chunk.name, declared_bytes, chunk.offset)
            return _measure(file, file_bytes, data, layout, streamed)
    missing = "fmt and data chunks" if layout is None else "data chunk"
    raise InputFileError(
        f"the WAV header leads to no {missing} within the file's {file_bytes} bytes; "
        "the file is damaged, make it again"
    )


def _chunks(file: io.FileIO, file_bytes: int) -> Iterator[_Chunk]:
    offset = 12
    while offset + 8 <= file_bytes:
        file.seek(offset)
        name, declared_bytes = struct.unpack("<4sI", file.read(8))
        yield _Chunk(name, declared_bytes, offset + 8)
        offset += 8 + declared_bytes + (declared_bytes & 1)


@dataclass(frozen=True, slots=True)
class _Format:
    sample_rate_hz: int
    channels: int
    subtype: str
    frame_bytes: int


def _read_format(body: bytes) -> _Format:
    if len(body) < 16:
        raise InputFileError(
            f"the fmt chunk holds {len(body)} bytes, at least 16 are needed; make the file again"
        )
    tag, channels, rate_hz, _, frame_bytes, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == _EXTENSIBLE and len(body) >= 26:
        tag = struct.unpack("<H", body[24:26])[0]
    subtype = _SUBTYPES.get((tag, bits))
    if subtype is None:
        raise InputFileError(
            f"format tag {tag:#06x} with {bits} bits per sample is not supported; {_ALLOWED}; "
            "convert the file to 16-bit PCM"
        )
    if frame_bytes != channels * bits // 8 or not channels:
        raise InputFileError(
            f"the fmt chunk contradicts itself: {channels} channels of {bits} bits in frames of "
            f"{frame_bytes} bytes; the file is damaged, make it again"
        )
    return _Format(rate_hz, channels, subtype, frame_bytes)


def _measure(
    file: io.FileIO, file_bytes: int, data: _Chunk, layout: _Format, streamed: bool
) -> RiffReport:
    """Hold the declared size of the data chunk against the bytes that follow."""
    present_bytes = file_bytes - data.offset
    frame_bytes = layout.frame_bytes
    warnings: list[str] = []
    sizes_are_right = False
    if data.declared_bytes == _UNKNOWN_SIZE or (not data.declared_bytes and streamed):
        frames = present_bytes // frame_bytes
        if present_bytes:
            warnings.append(
                "the header's length was never filled in (a stream?); read to the end of the file"
            )
    elif data.declared_bytes > present_bytes:
        frames = _frames_before_cut(file, present_bytes, frame_bytes)
        warnings.append(
            f"the file is cut off: {frames} frames of the "
            f"{data.declared_bytes // frame_bytes} in the header are there; these are used"
        )
    else:
        frames, left_over = divmod(data.declared_bytes, frame_bytes)
        sizes_are_right = not left_over
        if left_over:
            warnings.append(
                f"the data ends with {left_over} of the {frame_bytes} bytes of a frame; "
                "these are left out"
            )
    return RiffReport(
        layout.sample_rate_hz,
        layout.channels,
        layout.subtype,
        data.offset,
        frames,
        sizes_are_right,
        tuple(warnings),
    )


def _frames_before_cut(file: io.FileIO, present_bytes: int, frame_bytes: int) -> int:
    """Count the frames of cut-off data; a zero at its very end may be padding, not a sample."""
    if present_bytes <= 0:
        return 0
    file.seek(-1, os.SEEK_END)
    return (present_bytes - (file.read(1) == b"\0")) // frame_bytes

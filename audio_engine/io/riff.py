"""Check a WAV header before libsndfile sees it: what is really there, and is it sane.

WAV files in the wild are cut off by crashes, streamed with sizes that were never filled in, or
written by broken tools. This module only reads the header: it refuses what cannot be audio, warns
about sizes that do not fit the file, and says how many whole frames lie where. It never allocates
by a size that a file declares. Formats: RIFF and RF64 WAVE, little endian (EBU Tech 3306).

Chunks beside format and samples (cue points, bext, tags ...) are read as they are, up to a bound.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from audio_engine.errors import InputFileError

_UNKNOWN_SIZE = 0xFFFFFFFF  # "not filled in" of a stream, and "see ds64" of RF64
_INVENTED_SIZE = 0x7FFFE000  # SoX says 0x7FFFF000 or a little less where it cannot know
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
# What only holds for the samples as they were, or holds nothing.
_NOT_KEPT = {b"fmt ", b"data", b"ds64", b"fact", b"PEAK", b"levl", b"MD5 ", b"mext", b"wavl"}
_NOT_KEPT |= {b"slnt", b"JUNK", b"junk", b"PAD ", b"FLLR", b"Fake"}
_MAX_CHUNK_BYTES, _MAX_CHUNKS_BYTES = 1 << 20, 4 << 20
_MAX_CHUNKS = 4096  # that are looked at on each side of the samples
_MAX_NOTES = 10
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
    data_end: int
    """Where the chunk behind the samples begins; beyond the file's end if there is none."""
    channel_mask: int | None
    """The loudspeaker of each channel, in the bits of WAVE_FORMAT_EXTENSIBLE."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RiffChunk:
    """A chunk that is neither format nor samples."""

    name: bytes
    body: bytes
    is_behind: bool
    """Whether it lies behind the samples."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    name: bytes
    declared_bytes: int
    offset: int


def check_riff(file: io.FileIO, *, is_piped: bool = False) -> RiffReport | None:
    """Check the header of an open file.

    Parameters
    ----------
    file : io.FileIO
        Seekable; its position is changed.
    is_piped : bool
        It came through a pipe, where nobody can fill in the length: no reason to warn.

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
    for chunk in _chunks(file, 12, file_bytes):
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
            return _measure(file, file_bytes, data, layout, streamed=streamed, is_piped=is_piped)
    missing = "fmt and data chunks" if layout is None else "data chunk"
    raise InputFileError(
        f"the WAV header leads to no {missing} within the file's {file_bytes} bytes; "
        "the file is damaged, make it again"
    )


def read_chunks(file: io.FileIO, report: RiffReport) -> tuple[list[RiffChunk], list[str]]:
    """Return the chunks beside format and samples, and in words what was left out of them.

    At most 1 MiB of a chunk, 4 MiB in all and 4096 chunks on each side of the samples are read, and
    nothing that only holds for the samples as they were (PEAK, levl, fact, MD5).

    Parameters
    ----------
    file : io.FileIO
        Seekable; its position is changed.
    report : RiffReport
        What `check_riff` found in it.
    """
    file_bytes = file.seek(0, os.SEEK_END)
    found: list[RiffChunk] = []
    left_out: list[str] = []
    for start, end in ((12, report.data_offset - 8), (report.data_end, file_bytes)):
        for count, chunk in enumerate(_chunks(file, start, end)):
            if count == _MAX_CHUNKS:
                left_out.append(f"there are more than {_MAX_CHUNKS} chunks; the rest is left out")
                break
            if chunk.offset + chunk.declared_bytes > end or not _is_kept(chunk.name):
                continue
            room_bytes = _MAX_CHUNKS_BYTES - sum(len(other.body) for other in found)
            if chunk.declared_bytes > min(room_bytes, _MAX_CHUNK_BYTES):
                left_out.append(
                    f"the {chunk.name.decode().strip()} chunk of {chunk.declared_bytes} bytes is "
                    f"left out; {_MAX_CHUNK_BYTES} a chunk and {_MAX_CHUNKS_BYTES} in all are kept"
                )
                continue
            body = file.read(chunk.declared_bytes)
            found.append(RiffChunk(chunk.name, body, start != 12))
    return found, left_out[:_MAX_NOTES]


def _is_kept(name: bytes) -> bool:
    return name not in _NOT_KEPT and all(32 <= byte < 127 for byte in name)


def _chunks(file: io.FileIO, offset: int, file_bytes: int) -> Iterator[_Chunk]:
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
    channel_mask: int | None


def _read_format(body: bytes) -> _Format:
    if len(body) < 16:
        raise InputFileError(
            f"the fmt chunk holds {len(body)} bytes, at least 16 are needed; make the file again"
        )
    tag, channels, rate_hz, _, frame_bytes, bits = struct.unpack("<HHIIHH", body[:16])
    channel_mask: int | None = None
    if tag == _EXTENSIBLE and len(body) >= 26:
        channel_mask, tag = struct.unpack("<IH", body[20:26])
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
    return _Format(rate_hz, channels, subtype, frame_bytes, channel_mask)


def _measure(
    file: io.FileIO,
    file_bytes: int,
    data: _Chunk,
    layout: _Format,
    *,
    streamed: bool,
    is_piped: bool,
) -> RiffReport:
    """Hold the declared size of the data chunk against the bytes that follow."""
    present_bytes = file_bytes - data.offset
    frame_bytes = layout.frame_bytes
    warnings: list[str] = []
    sizes_are_right = False
    data_end = data.offset + data.declared_bytes + (data.declared_bytes & 1)
    is_invented = is_piped and data.declared_bytes > max(present_bytes, _INVENTED_SIZE)
    streamed = streamed and not data.declared_bytes
    if data.declared_bytes == _UNKNOWN_SIZE or streamed or is_invented:
        frames, data_end = present_bytes // frame_bytes, file_bytes
        if present_bytes and not is_piped:
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
        data_end,
        layout.channel_mask,
        tuple(warnings),
    )


def _frames_before_cut(file: io.FileIO, present_bytes: int, frame_bytes: int) -> int:
    """Count the frames of cut-off data; a zero at its very end may be padding, not a sample."""
    if present_bytes <= 0:
        return 0
    file.seek(-1, os.SEEK_END)
    return (present_bytes - (file.read(1) == b"\0")) // frame_bytes

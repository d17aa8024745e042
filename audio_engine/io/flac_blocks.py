"""Carry the metadata blocks of one FLAC file over into another (RFC 9639, section 8).

libsndfile knows ten tags. Here all of them go over, with pictures, cue sheet and the blocks of
applications; not the seek table, which holds for the old stream only, nor gains for playing it.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

_STREAM_INFO, _PADDING = 0, 1
_COMMENT = 4
_KEPT = {2: "application", _COMMENT: "tags", 5: "cue sheet", 6: "picture"}
_LAST = 0x80
_MAX_BLOCK_BYTES, _MAX_BLOCKS_BYTES = 1 << 20, 4 << 20
_MAX_BLOCKS = 1024  # that are looked at
_STALE_TAGS = (b"REPLAYGAIN_", b"R128_")
_PADDING_BYTES = 1024  # room for tag editors
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FlacBlock:
    """A metadata block: its type in the standard, and its content."""

    kind: int
    body: bytes


def read_blocks(file: io.FileIO) -> tuple[list[FlacBlock], list[str]]:
    """Return the blocks that stay true, and in words what was too large; none if it is no FLAC.

    The position of the file is changed.
    """
    file.seek(0)
    found: list[FlacBlock] = []
    left_out: list[str] = []
    is_last = file.read(4) != b"fLaC"
    for _ in range(_MAX_BLOCKS):
        head = file.read(4)
        if is_last or len(head) < 4:
            break
        kind, size, is_last = head[0] & ~_LAST, int.from_bytes(head[1:], "big"), head[0] >= _LAST
        others = [block for block in found if block.kind != _COMMENT]
        room_bytes = _MAX_BLOCKS_BYTES - sum(len(block.body) for block in others)
        if kind == _COMMENT:  # which matters more than pictures
            room_bytes = _MAX_BLOCK_BYTES
        is_second = kind == _COMMENT and len(others) < len(found)  # only one is allowed
        if kind not in _KEPT or is_second:
            file.seek(size, os.SEEK_CUR)
        elif size > min(room_bytes, _MAX_BLOCK_BYTES):
            left_out.append(
                f"the {_KEPT[kind]} of {size} bytes is left out; {_MAX_BLOCK_BYTES} a block and "
                f"{_MAX_BLOCKS_BYTES} in all are kept"
            )
            file.seek(size, os.SEEK_CUR)
        else:
            body = file.read(size)
            found.append(FlacBlock(kind, _true_tags(body) if kind == _COMMENT else body))
    return found, left_out


def put_blocks(descriptor: int, blocks: Sequence[FlacBlock]) -> None:
    """Put blocks into a finished FLAC file in place of its own; the stream behind them moves up."""
    info, stream_start = _own_head(descriptor)
    kept = [FlacBlock(_STREAM_INFO, info), *blocks]
    head = b"fLaC" + b"".join(_packed(block) for block in kept)
    padding = bytes(max(_PADDING_BYTES, stream_start - len(head) - 4))
    head += bytes([_PADDING | _LAST]) + len(padding).to_bytes(3, "big") + padding
    distance, end = len(head) - stream_start, os.lseek(descriptor, 0, os.SEEK_END)
    while end > stream_start:  # from behind, as it moves over itself
        start = max(stream_start, end - _PIECE_BYTES)
        _write_at(descriptor, os.pread(descriptor, end - start, start), start + distance)
        end = start
    _write_at(descriptor, head, 0)


def _own_head(descriptor: int) -> tuple[bytes, int]:
    """Return the body of STREAMINFO, and where the stream begins."""
    info, offset, is_last = b"", 4, False
    while not is_last:
        head = os.pread(descriptor, 4, offset)
        kind, size, is_last = head[0] & ~_LAST, int.from_bytes(head[1:], "big"), head[0] >= _LAST
        if kind == _STREAM_INFO:
            info = os.pread(descriptor, size, offset + 4)
        offset += 4 + size
    return info, offset


def _packed(block: FlacBlock) -> bytes:
    return bytes([block.kind]) + len(block.body).to_bytes(3, "big") + block.body


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:  # the system may take less than it is given
        count = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[count:], offset + count


def _true_tags(body: bytes) -> bytes:
    """Return a block of tags without those that hold for the old samples only."""
    lists = _tag_list(body)
    if lists is None:
        return struct.pack("<II", 0, 0)  # damaged: nobody could read it
    vendor, tags = lists
    true = [tag for tag in tags if not tag.upper().startswith(_STALE_TAGS)]
    parts = [vendor, *true]
    sized = [struct.pack("<I", len(part)) + part for part in parts]
    return sized[0] + struct.pack("<I", len(true)) + b"".join(sized[1:])


def _tag_list(body: bytes) -> tuple[bytes, list[bytes]] | None:
    """Return the vendor and the tags, None where lengths lead out of the block."""
    parts: list[bytes] = []
    offset = 0
    count = 1
    while len(parts) < count:
        if offset + 4 > len(body):
            return None
        size = struct.unpack_from("<I", body, offset)[0]
        offset += 4
        if offset + size > len(body):
            return None
        parts.append(body[offset : offset + size])
        offset += size
        if len(parts) == 1:
            if offset + 4 > len(body):
                return None
            count += struct.unpack_from("<I", body, offset)[0]
            offset += 4
    return parts[0], parts[1:]

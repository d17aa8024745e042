"""Say in the ID3 tag of an MP3 that its texts are UTF-8.

LAME takes texts as ISO 8859-1 and says so in ID3v2.3; libsndfile gives it UTF-8. ID3v2.4 knows
UTF-8 (encoding 3) and writes the sizes of frames with 7 bits a byte: both are changed in place.
Source: id3.org, ID3v2.4.0 structure, sections 4 and 6.2.
"""

from __future__ import annotations

import os

_HEAD, _FRAME_HEAD = 10, 10  # bytes
_UTF_8 = 3


def mark_as_utf8(descriptor: int) -> None:
    """Make an ID3v2.3 tag of texts without an encoding one of version 2.4 in UTF-8."""
    head = os.pread(descriptor, _HEAD, 0)
    if head[:4] != b"ID3\x03":
        return
    frames = bytearray(os.pread(descriptor, _from_7_bits(head[6:10]), _HEAD))
    at = 0
    while at + _FRAME_HEAD < len(frames) and frames[at]:
        size = int.from_bytes(frames[at + 4 : at + 8], "big")
        frames[at + 4 : at + 8] = _in_7_bits(size)
        if frames[at : at + 1] == b"T" or frames[at : at + 4] == b"COMM":
            frames[at + _FRAME_HEAD] = _UTF_8
        at += _FRAME_HEAD + size
    os.pwrite(descriptor, frames, _HEAD)
    os.pwrite(descriptor, b"\x04", 3)


def _from_7_bits(digits: bytes) -> int:
    return sum(digit << 7 * place for place, digit in enumerate(reversed(digits)))


def _in_7_bits(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))

"""What stands in a sound file beside its samples, on its way into another one.

WAV and RF64 keep every chunk as it is, byte for byte: cue points and their names, loops, ``bext``,
``cart``, ``iXML``, tags in any number; the samples stay as many, so that places in them stay right.
Only what is said about the sound itself is brought up to date: the loudness in ``bext`` (EBU Tech
3285, version 2) becomes the new one, and its coding history gets a line (EBU R98). All other
containers share ten tags of text (libsndfile's).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from audio_engine.io.flac_blocks import FlacBlock
from audio_engine.io.riff import RiffChunk
from audio_engine.processors.stats import LoudnessStats

#: The tags that all containers share, and where LIST INFO of WAV has them.
INFO_TAGS = {
    b"INAM": "title",
    b"IART": "artist",
    b"IPRD": "album",
    b"ICRD": "date",
    b"ITRK": "tracknumber",
    b"IGNR": "genre",
    b"ICMT": "comment",
    b"ICOP": "copyright",
    b"ISFT": "software",
}
# FFmpeg writes the track number as IPRT.
_READ_TAGS = INFO_TAGS | {b"IPRT": "tracknumber"}
_MAX_TAG_LETTERS = 65536
_MAX_TAGS = 256  # that are looked at

# Places in bext: EBU Tech 3285, 2.3.
_BEXT_VERSION, _BEXT_LOUDNESS, _BEXT_HISTORY = 346, 412, 602
_NO_LOUDNESS = 0x7FFF
_HISTORY_CODINGS = {"ALAW": "A=ALAW", "ULAW": "A=ULAW", "FLOAT": "A=FLOAT", "DOUBLE": "A=FLOAT"}
_HISTORY_BITS = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}
_HISTORY_MODES = {1: "mono", 2: "stereo"}


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file says beside its samples.

    Attributes
    ----------
    tags : mapping of str to str
        Text by libsndfile's names: title, artist, album, date, tracknumber, genre, comment,
        copyright, license, software.
    chunks : tuple of RiffChunk
        Of a WAV or RF64 file.
    flac_blocks : tuple of FlacBlock
        Of a FLAC file, the tags among them.
    channel_mask : int or None
        The loudspeaker of each channel, in the bits of WAVE_FORMAT_EXTENSIBLE.
    warnings : tuple of str
        What was too large to be kept.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[RiffChunk, ...] = ()
    flac_blocks: tuple[FlacBlock, ...] = ()
    channel_mask: int | None = None
    warnings: tuple[str, ...] = ()

    def for_wav(self, *, sample_rate_hz: int, channels: int, subtype: str) -> list[RiffChunk]:
        """Return the chunks of a WAV file that is made from this one."""
        chunks = [
            replace(each, body=_next_bext(each.body, sample_rate_hz, channels, subtype))
            if each.name == b"bext"
            else each
            for each in self.chunks
        ]
        info = {name: self.tags[tag] for name, tag in INFO_TAGS.items() if self.tags.get(tag)}
        if info and not any(_is_info(chunk) for chunk in chunks):
            chunks.append(RiffChunk(b"LIST", _info(info), False))
        return chunks

    def without_a_place(self) -> list[str]:
        """Return the names of the chunks that only WAV can hold, each once."""
        names = {each.name: None for each in self.chunks if not _is_info(each)}
        return [name.decode().strip() for name in names]


def tags_of(chunks: Iterable[RiffChunk]) -> dict[str, str]:
    """Return the tags in the LIST INFO chunks of a WAV file."""
    found: dict[str, str] = {}
    for chunk in chunks:
        if not _is_info(chunk):
            continue
        offset = 4
        for _ in range(_MAX_TAGS):
            head = chunk.body[offset : offset + 8]
            if len(head) < 8:
                break
            name, size = struct.unpack("<4sI", head)
            text = _text(chunk.body[offset + 8 : offset + 8 + min(size, 4 * _MAX_TAG_LETTERS)])
            if name in _READ_TAGS and text:
                found.setdefault(_READ_TAGS[name], text)
            offset += 8 + size + (size & 1)
    return found


def plain_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags without what no container takes: zeros, half letters, endless text."""
    plain = {}
    for name, text in tags.items():
        whole = text[:_MAX_TAG_LETTERS].replace("\0", " ").encode("utf-8", "replace").decode()
        if whole.strip():
            plain[name] = whole
    return plain


def with_loudness(chunk: RiffChunk, loudness: LoudnessStats) -> RiffChunk:
    """Return a bext chunk with the loudness of the sound; others, and older bext, as they are.

    Notes
    -----
    EBU Tech 3285, 2.3: hundredths of LUFS, LU and dBTP, 0x7FFF where there is none.
    """
    if chunk.name != b"bext" or not _has_loudness(chunk.body):
        return chunk
    values = (
        loudness.integrated_lufs,
        loudness.loudness_range_lu,
        loudness.true_peak_dbtp,
        loudness.max_momentary_lufs,
        loudness.max_short_term_lufs,
    )
    numbers = struct.pack("<5h", *(_hundredths(value) for value in values))
    body = chunk.body[:_BEXT_LOUDNESS] + numbers + chunk.body[_BEXT_LOUDNESS + len(numbers) :]
    return replace(chunk, body=body)


def _next_bext(body: bytes, sample_rate_hz: int, channels: int, subtype: str) -> bytes:
    """Add a line to the coding history, which ends with zeros in many files."""
    if len(body) < _BEXT_HISTORY:
        return body
    coding = _HISTORY_CODINGS.get(subtype, "A=PCM")
    bits = _HISTORY_BITS.get(subtype, 8)
    mode = _HISTORY_MODES.get(channels, "multitrack")
    line = f"{coding},F={sample_rate_hz},W={bits},M={mode},T=audio_engine\r\n".encode()
    history = body[_BEXT_HISTORY:].rstrip(b"\0")
    if history and not history.endswith(b"\n"):
        history += b"\r\n"
    return body[:_BEXT_HISTORY] + history + line


def _has_loudness(body: bytes) -> bool:
    if len(body) < _BEXT_HISTORY:
        return False
    return int(struct.unpack_from("<H", body, _BEXT_VERSION)[0]) >= 2


def _hundredths(value: float) -> int:
    return round(100.0 * value) if math.isfinite(value) and abs(value) < 100.0 else _NO_LOUDNESS


def _is_info(chunk: RiffChunk) -> bool:
    return chunk.name == b"LIST" and chunk.body[:4] == b"INFO"


def _info(texts: Mapping[bytes, str]) -> bytes:
    parts = [b"INFO"]
    for name, text in texts.items():
        body = text.encode() + b"\0"
        parts.append(name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1))
    return b"".join(parts)


def _text(body: bytes) -> str:
    """Return text as it was meant: UTF-8, or what Windows wrote before."""
    body = body.split(b"\0")[0]
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")

"""What stands beside the samples: kept byte for byte in WAV, as tags elsewhere, at no cost."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_engine import EngineConfig
from audio_engine.cli.process import Stage, only_stage
from audio_engine.io.files import open_reader
from audio_engine.io.flac_blocks import read_blocks
from audio_engine.io.offline import FileReport, process_file
from audio_engine.processors.loudness import LoudnessMeter
from test_files import chunk, fmt, wav

UNTOUCHED = only_stage(EngineConfig(), Stage.LIMITER)
RATE_HZ = 48000
TONE = (8000 * np.sin(np.arange(RATE_HZ) / 20)).astype("<i2")
TAGS = {
    "title": "直播 3",
    "artist": "Host",
    "album": "Room",
    "date": "2026-11-28",
    "tracknumber": "4",
    "genre": "Speech",
    "comment": "Ünï",
    "copyright": "(c)",
    "software": "Recorder",
}


def process(source: Path, target: Path) -> FileReport:
    return process_file(source, target, config=UNTOUCHED)


def chunks_of(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return the chunks of a WAV or RF64 file by walking through it, as the standard says."""
    assert content[8:12] == b"WAVE"
    found, offset = [], 12
    sizes: dict[bytes, int] = {}
    while offset < len(content):
        name, size = struct.unpack_from("<4sI", content, offset)
        if name == b"ds64":
            sizes[b"data"] = struct.unpack_from("<Q", content, offset + 16)[0]
        size = sizes.get(name, size) if size == 0xFFFFFFFF else size
        assert offset + 8 + size <= len(content)
        found.append((name, content[offset + 8 : offset + 8 + size]))
        offset += 8 + size + (size & 1)
    return found


def bext(version: int, history: bytes = b"") -> bytes:
    """Return a body as EBU Tech 3285 lays it out."""
    text = (b"Interview", b"Studio 1", b"DEREF0001", b"2026-11-28", b"10:11:12")
    head = struct.pack("<256s32s32s10s8s", *text)
    umid = bytes(range(64))
    loudness = struct.pack("<5h", -2300, 500, -100, -1800, -2000) if version >= 2 else bytes(10)
    body = head + struct.pack("<IIH", 123456789, 1, version) + umid + loudness + bytes(180)
    assert len(body) == 602
    return body + history


def info(**texts: str) -> bytes:
    parts = [chunk(name.encode(), text.encode() + b"\0") for name, text in texts.items()]
    return b"INFO" + b"".join(parts)


CUE = struct.pack("<I", 1) + struct.pack("<II4sIII", 1, 24000, b"data", 0, 0, 24000)
LABELS = b"adtl" + chunk(b"labl", struct.pack("<I", 1) + b"here\0")
SMPL = struct.pack("<9I", 0, 0, 20833, 60, 0, 0, 0, 1, 0) + struct.pack("<6I", 0, 0, 9, 99, 0, 0)
IXML = b'<?xml version="1.0"?><BWFXML><SCENE>4</SCENE></BWFXML>'
BEFORE = [(b"iXML", IXML), (b"LIST", info(INAM="T", IART="A", XYZW="kept"))]
BEHIND = [
    (b"cue ", CUE),
    (b"LIST", LABELS),
    (b"smpl", SMPL),
    (b"inst", bytes(7)),
    (b"cart", b"c" * 9),
]


def everything(version: int = 2, history: bytes = b"", magic: bytes = b"RIFF") -> bytes:
    """Return a second of a tone with all kinds of chunks on both sides of it."""
    data_bytes, is_rf64 = TONE.nbytes, magic == b"RF64"
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, data_bytes, RATE_HZ, 0))
    return wav(
        *([ds64] if is_rf64 else []),
        chunk(b"bext", bext(version, history)),
        chunk(b"JUNK", bytes(11)),
        fmt(),
        *(chunk(*each) for each in BEFORE),
        chunk(b"data", TONE.tobytes(), 0xFFFFFFFF if is_rf64 else None),
        *(chunk(*each) for each in BEHIND),
        chunk(b"PEAK", bytes(16)),
        magic=magic,
        declared_bytes=0xFFFFFFFF if is_rf64 else None,
    )


# --- WAV and RF64 --------------------------------------------------------------------------------


@pytest.mark.parametrize("magic", [b"RIFF", b"RF64"])
@pytest.mark.parametrize("ending", ["wav", "rf64"])
def test_wav_keeps_every_chunk_in_its_place(tmp_path: Path, magic: bytes, ending: str) -> None:
    (tmp_path / "in.wav").write_bytes(everything(magic=magic))
    target = tmp_path / f"out.{ending}"
    assert process(tmp_path / "in.wav", target).warnings == ()
    content = target.read_bytes()
    found = chunks_of(content)
    names = [name for name, _ in found]
    at = names.index(b"data")
    assert [each for each in found[:at] if each[0] not in {b"ds64", b"fmt ", b"bext"}] == BEFORE
    assert found[at + 1 :] == BEHIND
    assert names.count(b"bext") == 1
    assert names.index(b"bext") < at
    assert found[at][1] == TONE.tobytes()
    if ending == "wav":
        assert struct.unpack_from("<I", content, 4)[0] == len(content) - 8
    else:
        assert dict(found)[b"ds64"][:24] == struct.pack(
            "<QQQ", len(content) - 8, TONE.nbytes, RATE_HZ
        )
    with soundfile.SoundFile(target) as file:
        assert (file.frames, file.title, file.artist) == (RATE_HZ, "T", "A")


def test_bext_gets_the_new_loudness_and_a_line_of_history(tmp_path: Path) -> None:
    (tmp_path / "in.wav").write_bytes(everything(2, b"A=PCM,F=48000,W=16,M=mono\0\0\0"))
    report = process(tmp_path / "in.wav", tmp_path / "out.wav")
    body = dict(chunks_of((tmp_path / "out.wav").read_bytes()))[b"bext"]
    assert body[:412] == bext(2)[:412]
    loudness = report.loudness_after
    expected = [
        loudness.integrated_lufs,
        loudness.loudness_range_lu,
        loudness.true_peak_dbtp,
        loudness.max_momentary_lufs,
        loudness.max_short_term_lufs,
    ]
    numbers = struct.unpack_from("<5h", body, 412)
    assert numbers == tuple(round(100 * value) for value in expected)
    assert body[422:602] == bytes(180)
    lines = [b"A=PCM,F=48000,W=16,M=mono", b"A=PCM,F=48000,W=16,M=mono,T=audio_engine", b""]
    assert body[602:].split(b"\r\n") == lines


def test_the_loudness_in_bext_is_that_of_the_file(tmp_path: Path) -> None:
    """A 997 Hz sine of -20 dBFS reads -23.01 LUFS by BS.1770-5, in all windows alike."""
    tone = 0.1 * np.sin(2 * np.pi * 997 * np.arange(4 * RATE_HZ) / RATE_HZ)
    samples = np.rint(tone * 32768).astype("<i2").tobytes()
    (tmp_path / "in.wav").write_bytes(wav(fmt(), chunk(b"bext", bext(2)), chunk(b"data", samples)))
    process(tmp_path / "in.wav", tmp_path / "out.wav")
    body = dict(chunks_of((tmp_path / "out.wav").read_bytes()))[b"bext"]
    integrated, spread, peak, momentary, short_term = struct.unpack_from("<5h", body, 412)
    for number in (integrated, momentary, short_term):
        assert number == pytest.approx(-2301, abs=10)
    assert spread == pytest.approx(0, abs=10)
    assert peak == pytest.approx(-2000, abs=20)


def test_an_older_bext_has_no_place_for_loudness(tmp_path: Path) -> None:
    (tmp_path / "in.wav").write_bytes(everything(1))
    process(tmp_path / "in.wav", tmp_path / "out.wav")
    body = dict(chunks_of((tmp_path / "out.wav").read_bytes()))[b"bext"]
    assert body[:602] == bext(1)


@pytest.mark.parametrize("bits", [16, 24, 32])
def test_the_loudspeakers_of_the_channels_stay(tmp_path: Path, bits: int) -> None:
    """WAVE_FORMAT_EXTENSIBLE with 5.1 (mask 0x3F) and with side instead of rear (0x60F)."""
    for mask in (0x3F, 0x60F):
        tag = 3 if bits == 32 else 1
        numbers = (0xFFFE, 6, RATE_HZ, RATE_HZ * 6 * bits // 8, 6 * bits // 8, bits, 22, bits, mask)
        guid = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
        body = struct.pack("<HHIIHHHHI", *numbers) + guid
        samples = bytes(6 * bits // 8 * 480)
        (tmp_path / "in.wav").write_bytes(wav(chunk(b"fmt ", body), chunk(b"data", samples)))
        process(tmp_path / "in.wav", tmp_path / "out.wav")
        found = dict(chunks_of((tmp_path / "out.wav").read_bytes()))
        assert found[b"fmt "] == body
        assert len(found[b"data"]) == len(samples)
        assert soundfile.info(tmp_path / "out.wav").format == "WAVEX"


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("frames", [0, 1, 1001])
def test_every_sample_format_is_written_as_others_read_it(
    tmp_path: Path, subtype: str, frames: int
) -> None:
    audio = np.random.default_rng(3).uniform(-0.2, 0.2, (frames, 3))
    soundfile.write(tmp_path / "in.wav", audio, RATE_HZ, subtype)
    for ending in ("wav", "rf64"):
        process(tmp_path / "in.wav", tmp_path / f"out.{ending}")
        before, after = (soundfile.SoundFile(tmp_path / n) for n in ("in.wav", f"out.{ending}"))
        assert (after.frames, after.subtype, after.samplerate) == (frames, subtype, RATE_HZ)
        np.testing.assert_allclose(after.read(), before.read(), atol=2.0**-24)


@pytest.mark.parametrize("subtype", ["ALAW", "ULAW"])
def test_the_codes_of_telephony_survive(tmp_path: Path, subtype: str) -> None:
    audio = 0.5 * np.sin(np.arange(8000) / 9)
    soundfile.write(tmp_path / "in.wav", audio, 8000, subtype)
    process(tmp_path / "in.wav", tmp_path / "out.wav")
    before, after = (soundfile.SoundFile(tmp_path / name) for name in ("in.wav", "out.wav"))
    assert after.subtype == subtype
    np.testing.assert_allclose(after.read(), before.read(), atol=2.0**-5)


# --- the other containers ------------------------------------------------------------------------

KEPT = {
    ("wav", "wav"): set(TAGS),
    ("wav", "flac"): set(TAGS),
    ("flac", "flac"): {*TAGS, "license"},
    ("flac", "wav"): set(TAGS),
    ("ogg", "ogg"): {*TAGS, "license"},
    ("ogg", "wav"): set(TAGS),
    ("mp3", "mp3"): {"title", "artist", "album", "date", "tracknumber", "genre", "comment"},
    ("mp3", "wav"): {"title", "artist", "album", "date", "tracknumber", "genre", "comment"},
    ("aiff", "aiff"): {"title", "artist", "comment", "copyright"},
    ("aiff", "wav"): {"title", "artist", "comment", "copyright"},
    ("caf", "caf"): {"title", "artist", "comment", "copyright", "album", "date", "genre"},
}


@pytest.mark.parametrize(("ending", "other"), KEPT)
def test_tags_survive(tmp_path: Path, ending: str, other: str) -> None:
    source, target = tmp_path / f"in.{ending}", tmp_path / f"out.{other}"
    with soundfile.SoundFile(source, "w", RATE_HZ, 1) as file:
        for tag, text in {**TAGS, "license": "CC0"}.items():
            try:
                setattr(file, tag, text)
            except soundfile.LibsndfileError:
                assert tag not in KEPT[ending, other]
        file.write(TONE)
    process(source, target)
    with soundfile.SoundFile(source) as before, soundfile.SoundFile(target) as after:
        for tag in KEPT[ending, other]:
            written = "2026" if (ending, tag) == ("mp3", "date") else TAGS.get(tag, "CC0")
            assert getattr(before, tag).startswith(written), tag
            assert getattr(after, tag) == getattr(before, tag), tag
        assert after.frames == before.frames


@pytest.mark.parametrize("ending", ["flac", "ogg", "aiff"])
def test_what_has_no_place_is_told(tmp_path: Path, ending: str) -> None:
    (tmp_path / "in.wav").write_bytes(everything())
    target = tmp_path / f"out.{ending}"
    warnings = process(tmp_path / "in.wav", target).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{target}: ")
    assert warnings[0].endswith("left out: bext, iXML, cue, LIST, smpl, inst, cart")
    with soundfile.SoundFile(target) as file:
        assert (file.title, file.artist) == ("T", "A")


def flac_with(tmp_path: Path, *blocks: tuple[int, bytes]) -> Path:
    """Return a FLAC file with blocks put behind STREAMINFO, as RFC 9639 lays them out."""
    path = tmp_path / "in.flac"
    soundfile.write(path, np.tile(TONE, 3), RATE_HZ)
    content = path.read_bytes()
    more = b"".join(bytes([kind]) + len(body).to_bytes(3, "big") + body for kind, body in blocks)
    assert content[:8] == b"fLaC\0\0\0\x22"
    path.write_bytes(content[:42] + more + content[42:])
    return path


CUE_SHEET = bytes(395) + struct.pack(">BQB", 1, 3 * RATE_HZ, 255) + bytes(27)


def picture(size: int) -> bytes:
    head = struct.pack(">II9sI", 3, 9, b"image/png", 0) + bytes(16)
    return head + struct.pack(">I", size) + bytes(size)


def comments(*texts: bytes) -> bytes:
    return b"".join(
        struct.pack("<I", len(part)) + part + (struct.pack("<I", len(texts)) if not at else b"")
        for at, part in enumerate((b"vendor", *texts))
    )


def flac_blocks(content: bytes) -> list[tuple[int, bytes]]:
    found, offset, is_last = [], 4, False
    while not is_last:
        size = int.from_bytes(content[offset + 1 : offset + 4], "big")
        found.append((content[offset] & 127, content[offset + 4 : offset + 4 + size]))
        is_last, offset = content[offset] > 127, offset + 4 + size
    assert content[offset] == 0xFF  # where a frame begins
    return found


def test_flac_keeps_its_blocks(tmp_path: Path) -> None:
    tags = (b"ALBUMARTIST=Me", b"TITLE=T", b"TITLE=T2", "MOOD=好".encode())
    stale = (b"replaygain_track_gain=-3 dB", b"R128_TRACK_GAIN=5")
    kept = [(4, comments(*tags)), (6, picture(3)), (2, b"aeng123"), (5, CUE_SHEET), (6, picture(9))]
    source = flac_with(
        tmp_path, (4, comments(*tags[:1], *stale, *tags[1:])), *kept[1:], (3, bytes(18))
    )
    assert process(source, tmp_path / "out.flac").warnings == ()
    found = flac_blocks((tmp_path / "out.flac").read_bytes())
    assert [block for block in found if block[0] not in {0, 1}][: len(kept)] == kept
    with soundfile.SoundFile(tmp_path / "out.flac") as file:
        np.testing.assert_array_equal(file.read(dtype="int16"), np.tile(TONE, 3))
        assert file.copy_metadata()["title"].startswith("T")


def test_large_flac_blocks_are_left_out_and_told(tmp_path: Path) -> None:
    large = [(2, bytes(2 << 20)), *[(6, picture((1 << 20) - 41))] * 5]
    source = flac_with(tmp_path, *large)
    warnings = process(source, tmp_path / "out.flac").warnings
    assert len(warnings) == 2
    assert "the application of 2097152 bytes is left out; 1048576 a block" in warnings[0]
    assert "the picture of 1048576 bytes is left out" in warnings[1]
    found = flac_blocks((tmp_path / "out.flac").read_bytes())
    assert [kind for kind, _ in found].count(6) == 4
    np.testing.assert_array_equal(
        soundfile.read(tmp_path / "out.flac", dtype="int16")[0], np.tile(TONE, 3)
    )


@pytest.mark.parametrize("body", [b"", b"\xff" * 9, comments(b"A=1")[:-1], comments() + b"junk"])
def test_damaged_flac_tags_harm_nothing(tmp_path: Path, body: bytes) -> None:
    with open(flac_with(tmp_path, (4, body)), "rb", buffering=0) as file:  # libsndfile refuses it
        blocks, left_out = read_blocks(file)
    assert blocks[0].body == (comments() if body.endswith(b"junk") else bytes(8))
    assert left_out == []


# --- hostile files -------------------------------------------------------------------------------


def test_huge_chunks_are_left_out_and_told(tmp_path: Path) -> None:
    large = [chunk(b"bigA", bytes(2 << 20)), *[chunk(b"some", bytes(1 << 20))] * 5]
    content = wav(fmt(), *large, chunk(b"data", TONE.tobytes()), chunk(b"lies", b"", 1 << 31))
    (tmp_path / "in.wav").write_bytes(content)
    warnings = process(tmp_path / "in.wav", tmp_path / "out.wav").warnings
    assert len(warnings) == 2
    assert "the bigA chunk of 2097152 bytes is left out; 1048576 a chunk and" in warnings[0]
    names = [name for name, _ in chunks_of((tmp_path / "out.wav").read_bytes())]
    assert names == [b"fmt ", *[b"some"] * 4, b"data"]


def test_a_million_chunks_cost_nothing(tmp_path: Path) -> None:
    tiny = chunk(b"tiny", b"") * 1_000_000
    (tmp_path / "in.wav").write_bytes(wav(fmt(), chunk(b"data", TONE.tobytes()), tiny))
    text = info(**{f"T{i:03d}": "x" for i in range(1000)}) + chunk(b"INAM", b"late\0")
    (tmp_path / "tags.wav").write_bytes(
        wav(fmt(), chunk(b"LIST", text), chunk(b"data", TONE.tobytes()))
    )
    program = (
        "import resource, sys\n"
        "from test_metadata import process, Path\n"
        "folder = Path(sys.argv[1])\n"
        "process(folder / 'tags.wav', folder / 'out.wav')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(process(folder / 'in.wav', folder / 'out.wav').warnings[0])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    told, grown_kib = done.stdout.splitlines()
    assert told.endswith("there are more than 4096 chunks; the rest is left out")
    assert int(grown_kib) < 8192


@pytest.mark.parametrize(
    "body",
    [
        b"INFO",
        b"INFOINAM",
        b"INFOINAM\xff\xff\xff\xff",
        b"INFO" + chunk(b"INAM", b"\xff\xfe\x80 \0\0\0"),
        b"INFO" + chunk(b"INAM", b"x" * 500_000),
        b"INFO" + chunk(b"INAM", b"\r\n\x1b[31m\0"),
    ],
)
@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_damaged_tags_harm_nothing(tmp_path: Path, body: bytes, ending: str) -> None:
    content = wav(
        fmt(), chunk(b"LIST", body), chunk(b"bext", b"short"), chunk(b"data", TONE.tobytes())
    )
    (tmp_path / "in.wav").write_bytes(content)
    process(tmp_path / "in.wav", tmp_path / f"out.{ending}")
    assert soundfile.info(tmp_path / f"out.{ending}").frames == RATE_HZ
    with open_reader(tmp_path / "in.wav") as reader:
        assert len(reader.metadata().tags.get("title", "")) <= 65536


def test_silence_has_no_loudness_in_bext(tmp_path: Path) -> None:
    with LoudnessMeter(RATE_HZ) as meter:
        assert not np.isfinite(meter.stats().integrated_lufs)
    (tmp_path / "in.wav").write_bytes(
        wav(fmt(), chunk(b"bext", bext(2)), chunk(b"data", bytes(2 * RATE_HZ)))
    )
    process(tmp_path / "in.wav", tmp_path / "out.wav")
    body = dict(chunks_of((tmp_path / "out.wav").read_bytes()))[b"bext"]
    assert struct.unpack_from("<h", body, 412) == (0x7FFF,)


def test_the_page_tells_what_survives() -> None:
    page = (Path(__file__).parent.parent / "docs" / "files.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (?:OGG, Opus|(\w+)) \| [\w, ]+ \| (.*) \|$", page, re.M))
    words = {"date": "year", "tracknumber": "track number"}
    for name in ("MP3", "AIFF"):
        kept = KEPT[name.lower(), name.lower()]
        told = set(rows[name].split(", "))
        assert told == {words.get(tag, tag) if name == "MP3" else tag for tag in kept}
    ten = {words["tracknumber"] if tag == "tracknumber" else tag for tag in (*TAGS, "license")}
    assert set(rows[""].split(", ")) == ten
    caf = {words["tracknumber"] if tag == "tracknumber" else tag for tag in KEPT["caf", "caf"]}
    assert ten - caf == {"license", "track number", "software"}
    assert rows["CAF"] == "the ten tags but license, track number and software"


def test_an_mp3_says_that_its_texts_are_utf_8(tmp_path: Path) -> None:
    title, comment = "直播 über", "ß" * 300  # longer than one byte of a size
    with soundfile.SoundFile(tmp_path / "in.flac", "w", 48000, 1) as file:
        file.title, file.comment, file.date = title, comment, "2024"
        file.write(np.zeros(4800))
    for source, target in (("in.flac", "out.mp3"), ("out.mp3", "again.mp3")):
        process_file(tmp_path / source, tmp_path / target, config=EngineConfig())
        with soundfile.SoundFile(tmp_path / target) as file:
            assert (file.title, file.comment, file.date) == (title, comment, "2024")


def test_the_track_number_is_found_where_ffmpeg_puts_it(tmp_path: Path) -> None:
    info = chunk(b"LIST", b"INFO" + chunk(b"IPRT", b"7\0"))
    (tmp_path / "in.wav").write_bytes(wav(fmt(), info, chunk(b"data", bytes(9600))))
    process_file(tmp_path / "in.wav", tmp_path / "out.flac", config=EngineConfig())
    with soundfile.SoundFile(tmp_path / "out.flac") as file:
        assert file.tracknumber == "7"

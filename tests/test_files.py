"""`io.files`, `io.riff`, `io.converted`: what is read is right, what is written is whole."""

from __future__ import annotations

import gc
import os
import resource
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import audio_engine.io.part_file as part_file_module
from audio_engine.errors import ConfigError, InputFileError, OutputFileError
from audio_engine.io.converted import ConvertedReader
from audio_engine.io.files import AudioReader, open_reader, open_writer

RAMP = (np.arange(-24000, 24000, dtype=np.int16)).reshape(-1, 1)


def chunk(name: bytes, body: bytes, declared_bytes: int | None = None) -> bytes:
    size = len(body) if declared_bytes is None else declared_bytes
    return name + struct.pack("<I", size) + body + b"\0" * (len(body) & 1)


def wav(*chunks: bytes, declared_bytes: int | None = None, magic: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack("<I", len(body) if declared_bytes is None else declared_bytes) + body


def fmt(
    tag: int = 1, channels: int = 1, rate_hz: int = 48000, bits: int = 16, frame: int | None = None
) -> bytes:
    frame = channels * bits // 8 if frame is None else frame
    numbers = (tag, channels, rate_hz, rate_hz * frame & 0xFFFFFFFF, frame, bits)
    return chunk(b"fmt ", struct.pack("<HHIIHH", *numbers))


def saved(folder: Path, content: bytes, name: str = "in.wav") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read_all(reader: AudioReader, block: int = 1000) -> NDArray[np.float32]:
    return np.concatenate([*reader.blocks(block), np.zeros((0, reader.channels), np.float32)])


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 17, 480, 100000])
def test_any_block_size_gives_the_same_samples(tmp_path: Path, block: int) -> None:
    with open_reader(saved(tmp_path, wav(fmt(), chunk(b"data", RAMP[:2000].tobytes())))) as reader:
        assert reader.frames == 2000
        np.testing.assert_array_equal(read_all(reader, block), RAMP[:2000] / np.float32(32768.0))


@pytest.mark.parametrize(
    ("content", "frames", "warning"),
    [
        (wav(fmt(), chunk(b"data", RAMP.tobytes())), 48000, None),
        (wav(fmt(), chunk(b"data", b"")), 0, None),
        (wav(fmt(), chunk(b"data", b"\1\2")), 1, None),
        (wav(chunk(b"LIST", b"INFO" * 9), fmt(), chunk(b"data", b"\1\2" * 9)), 9, None),
        (wav(fmt(), chunk(b"data", b"\1\2\3")), 1, "1 of the 2 bytes"),
        (wav(fmt(), chunk(b"data", b"\1\2" * 500, 9000)), 500, "500 frames of the 4500"),
        (wav(fmt(), chunk(b"data", b"\1\2" * 500 + b"\1", 9000)), 500, "cut off"),
        (wav(fmt(), chunk(b"data", b"\1\2" * 7, 0xFFFFFFFF)), 7, "never filled in"),
        (wav(fmt(), chunk(b"data", b"\1\2" * 7, 0), declared_bytes=0), 7, "never filled in"),
        (
            wav(
                chunk(b"ds64", struct.pack("<QQQI", 0, 14, 7, 0)),
                fmt(),
                chunk(b"data", b"\1\2" * 7, 0xFFFFFFFF),
                declared_bytes=0xFFFFFFFF,
                magic=b"RF64",
            ),
            7,
            None,
        ),
    ],
)
def test_wav_lengths(tmp_path: Path, content: bytes, frames: int, warning: str | None) -> None:
    with open_reader(saved(tmp_path, content)) as reader:
        audio = read_all(reader)
        assert reader.frames == len(audio) == frames
        expected = np.frombuffer(content[content.index(b"data") + 8 :][: 2 * frames], "<i2")
        np.testing.assert_array_equal(audio[:, 0], expected / np.float32(32768.0))
        assert len(reader.warnings) == (warning is not None)
        assert (warning or "") in "".join(reader.warnings)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty"),
        (b"RIFF", "no audio was recognised"),
        (b"hello, this is a letter\n" * 20, "no audio was recognised"),
        (wav(chunk(b"data", b"\1\2")), "no fmt chunk"),
        (wav(chunk(b"data", b"\1\2"), fmt()), "no fmt chunk"),
        (wav(fmt()), "no data chunk"),
        (wav(chunk(b"fmt ", b""), chunk(b"data", b"\1\2")), "0 bytes"),
        (wav(fmt(channels=0), chunk(b"data", b"\1\2")), "0 channels"),
        (wav(fmt(channels=65535, frame=65534), chunk(b"data", b"\1\2")), "65535 channels"),
        (wav(fmt(channels=9), chunk(b"data", b"\1\2" * 9)), "9 channels, 1 to 8"),
        (wav(fmt(rate_hz=7), chunk(b"data", b"\1\2")), "7 Hz, 8000 to 96000 Hz"),
        (wav(fmt(bits=0), chunk(b"data", b"\1\2")), "0 bits"),
        (wav(fmt(tag=0x55), chunk(b"data", b"\1\2")), "0x0055"),
        (wav(fmt(), chunk(b"LIST", b"INFO", 0x7FFFFFFF), chunk(b"data", b"\1\2")), "no data chunk"),
    ],
)
def test_what_is_no_audio_is_refused_in_one_line(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = saved(tmp_path, content)
    with pytest.raises(InputFileError) as caught:
        open_reader(path)
    text = str(caught.value)
    assert complaint in text
    assert text.startswith(f"{path}: ")
    assert "\n" not in text


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="No such file"):
        open_reader(tmp_path / "missing.wav")
    with pytest.raises(InputFileError, match="folder"):
        open_reader(tmp_path)
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(InputFileError, match="not a regular file"):
        open_reader(tmp_path / "pipe.wav")
    with pytest.raises(InputFileError, match="too long"):
        open_reader(tmp_path / ("x" * 300))


def test_samples_that_are_no_numbers_become_silence(tmp_path: Path) -> None:
    audio = np.array([0.5, np.nan, np.inf, -np.inf, 1e30, 1e-42, -4.0, 0.25], np.float32)
    soundfile.write(tmp_path / "in.wav", audio, 48000, "FLOAT")
    with open_reader(tmp_path / "in.wav") as reader:
        expected = np.array([0.5, 0, 0, 0, 0, 1e-42, -4.0, 0.25], np.float32)
        np.testing.assert_array_equal(read_all(reader, 3)[:, 0], expected)
        assert reader.invalid_count == 4


@pytest.mark.parametrize("extension", ["flac", "ogg", "mp3"])
def test_cut_off_compressed_file_is_read_as_far_as_it_goes(tmp_path: Path, extension: str) -> None:
    noise = np.random.default_rng(5).uniform(-0.5, 0.5, 96000)
    path = tmp_path / f"in.{extension}"
    soundfile.write(path, noise, 48000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_reader(path) as reader:
        audio = read_all(reader)
        assert 20000 < len(audio) < 76000
        assert len(audio) == reader.frames
        assert np.isfinite(audio).all()


def test_an_odd_file_name_is_no_obstacle(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff -x \xe7\x9b\xb4 raw.raw"
    Path(os.fsdecode(name)).write_bytes(wav(fmt(), chunk(b"data", b"\1\2" * 9)))
    with open_reader(os.fsdecode(name)) as reader:
        assert len(read_all(reader)) == 9


# --- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subtype", "name", "tolerance"),
    [
        ("PCM_U8", "a.wav", 2**-8),
        ("PCM_16", "a.wav", 2**-16),
        ("PCM_24", "a.wav", 2**-24),
        ("PCM_32", "a.wav", 2**-32),
        ("FLOAT", "a.wav", 0.0),
        ("DOUBLE", "a.wav", 0.0),
        ("PCM_16", "a.flac", 2**-16),
        ("PCM_16", "a.aiff", 2**-16),
    ],
)
def test_samples_survive_to_the_resolution_of_the_format(
    tmp_path: Path, subtype: str, name: str, tolerance: float
) -> None:
    audio = np.random.default_rng(1).uniform(-0.99, 0.99, (4800, 2)).astype(np.float32)
    path = tmp_path / name
    with open_writer(path, sample_rate_hz=44100, channels=2, subtype=subtype) as writer:
        writer.write(audio[:1000])
        writer.write(audio[1000:])
    with open_reader(path) as reader:
        assert (reader.sample_rate_hz, reader.channels, reader.subtype) == (44100, 2, subtype)
        assert np.max(np.abs(read_all(reader) - audio)) <= tolerance
    assert left_over(tmp_path) == [name]


def test_integers_pass_unchanged(tmp_path: Path) -> None:
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    everything = np.arange(-32768, 32768, dtype=np.int16)
    soundfile.write(source, everything, 48000)
    with (
        open_reader(source) as reader,
        open_writer(target, sample_rate_hz=48000, channels=1) as writer,
    ):
        for block in reader.blocks(999):
            writer.write(block)
    np.testing.assert_array_equal(soundfile.read(target, dtype="int16")[0], everything)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32"])
def test_beyond_full_scale_clips_and_never_wraps(tmp_path: Path, subtype: str) -> None:
    audio = np.array([[1.5], [-1.5], [1.0], [-1.0], [60.0], [0.0]], np.float32)
    with open_writer(
        tmp_path / "a.wav", sample_rate_hz=8000, channels=1, subtype=subtype
    ) as writer:
        writer.write(audio)
        assert writer.clipped_count == 3
    read = soundfile.read(tmp_path / "a.wav")[0]
    assert np.max(np.abs(read - [1, -1, 1, -1, 1, 0])) <= 2.0**-7


def test_float_is_not_clipped(tmp_path: Path) -> None:
    with open_writer(
        tmp_path / "a.wav", sample_rate_hz=8000, channels=1, subtype="FLOAT"
    ) as writer:
        writer.write(np.array([[3.0], [-3.0]], np.float32))
    assert soundfile.read(tmp_path / "a.wav")[0].tolist() == [3.0, -3.0]


@pytest.mark.parametrize(
    ("name", "subtype", "container", "written"),
    [
        ("a.flac", "FLOAT", "WAV", ("FLAC", "PCM_24")),
        ("a.flac", "PCM_U8", "WAV", ("FLAC", "PCM_16")),
        ("a.wav", "VORBIS", "OGG", ("WAV", "PCM_16")),
        ("a.ogg", "PCM_16", "WAV", ("OGG", "VORBIS")),
        ("no_extension", "PCM_24", "FLAC", ("FLAC", "PCM_24")),
    ],
)
def test_the_extension_chooses_the_container(
    tmp_path: Path, name: str, subtype: str, container: str, written: tuple[str, str]
) -> None:
    with open_writer(
        tmp_path / name, sample_rate_hz=48000, channels=1, subtype=subtype, container=container
    ) as writer:
        writer.write(np.zeros((480, 1), np.float32))
    found = soundfile.info(tmp_path / name)
    assert (found.format, found.subtype) == written


def test_above_4_gib_rf64_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with open_writer(path, sample_rate_hz=48000, channels=2, expected_frames=2**30) as writer:
        writer.write(np.zeros((480, 2), np.float32))
    assert path.read_bytes()[:4] == b"RF64"
    with open_reader(path) as reader:
        assert (reader.frames, reader.warnings) == (480, [])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing_and_the_old_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    old = saved(tmp_path, b"old", "out.wav")

    def fail() -> None:
        with open_writer(old, sample_rate_hz=48000, channels=1) as writer:
            writer.write(np.zeros((48000, 1), np.float32))
            raise error

    with pytest.raises(error):
        fail()
    assert left_over(tmp_path) == ["out.wav"]
    assert old.read_bytes() == b"old"


def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    def fill() -> None:
        with open_writer(tmp_path / "out.wav", sample_rate_hz=48000, channels=1) as writer:
            for _ in range(10):
                writer.write(np.zeros((48000, 1), np.float32))

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OutputFileError, match=r"out\.wav: cannot be written"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert left_over(tmp_path) == []


def test_inputs_and_odd_targets_are_refused(tmp_path: Path) -> None:
    source = saved(tmp_path, wav(fmt(), chunk(b"data", b"\1\2" * 9)))
    (tmp_path / "hard.wav").hardlink_to(source)
    (tmp_path / "soft.wav").symlink_to(source)
    os.mkfifo(tmp_path / "pipe.wav")
    for name, complaint in {
        "in.wav": "input",
        "hard.wav": "input",
        "soft.wav": "input",
        ".": "folder",
        "pipe.wav": "not a regular file",
        "a.xyz": r"\.xyz are not written",
    }.items():
        with pytest.raises(ConfigError, match=complaint):
            open_writer(tmp_path / name, sample_rate_hz=48000, channels=1, never=(source,))
    with pytest.raises(OutputFileError, match="there is no folder"):
        open_writer(tmp_path / "missing" / "a.wav", sample_rate_hz=48000, channels=1)
    assert len(left_over(tmp_path)) == 4


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    real = saved(tmp_path / "folder", b"old", "real.wav")
    link = tmp_path / "link.wav"
    link.symlink_to(real)
    with open_writer(link, sample_rate_hz=48000, channels=1) as writer:
        writer.write(np.zeros((480, 1), np.float32))
    assert link.is_symlink()
    assert soundfile.info(real).frames == 480


def test_a_signal_between_two_lines_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_open = os.open

    def cut_in(*arguments: Any) -> int:
        os.close(real_open(*arguments))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", cut_in)
        with pytest.raises(KeyboardInterrupt):
            open_writer(tmp_path / "a.wav", sample_rate_hz=48000, channels=1)
    gc.collect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("system", ["linux", "no O_TMPFILE", "no /proc"])
def test_other_systems_get_a_temporary_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    if system == "no O_TMPFILE":
        monkeypatch.delattr(os, "O_TMPFILE")
    elif system == "no /proc":
        monkeypatch.setattr(part_file_module, "_name_of", lambda _: tmp_path / "not there")
    for old in (None, b"old"):
        target = tmp_path / "a.wav"
        if old:
            target.write_bytes(old)
        with open_writer(target, sample_rate_hz=48000, channels=1) as writer:
            writer.write(np.zeros((480, 1), np.float32))
            during = [name for name in left_over(tmp_path) if name != "a.wav"]
            assert len(during) == (system != "linux")
            assert target.exists() == bool(old)
        assert left_over(tmp_path) == ["a.wav"]
        assert soundfile.info(target).frames == 480
        target.unlink()

    def fail() -> None:
        with open_writer(tmp_path / "a.wav", sample_rate_hz=48000, channels=1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "-"])
def test_a_killed_program_leaves_nothing(tmp_path: Path, name: str) -> None:
    program = (
        "import os, signal, sys\n"
        "import numpy as np\n"
        "from audio_engine.io.files import open_writer\n"
        "with open_writer(sys.argv[1], sample_rate_hz=48000, channels=1) as writer:\n"
        "    for _ in range(20):\n"
        "        writer.write(np.zeros((48000, 1), np.float32))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, name],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b""), done.stderr
    assert left_over(tmp_path) == []


# --- standard input and output -------------------------------------------------------------------


def piped(
    folder: Path, program: str, stdin: bytes = b"", **options: Any
) -> subprocess.CompletedProcess[bytes]:
    head = (
        "import sys\n"
        "import numpy as np\n"
        "from audio_engine.io.files import open_reader, open_writer\n"
    )
    return subprocess.run(
        [sys.executable, "-c", head + program],
        input=stdin,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        **{"capture_output": True, **options},
    )


COPY = (
    "with open_reader('-') as reader:\n"
    "    print(reader, reader.warnings, file=sys.stderr)\n"
    "    with open_writer('-', sample_rate_hz=reader.sample_rate_hz, channels=reader.channels,\n"
    "                     subtype=reader.subtype, container=reader.container) as writer:\n"
    "        for block in reader.blocks(1000):\n"
    "            writer.write(block)"
)


@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF, 0x7FFFF000 - 44])
def test_wav_passes_through_pipes_whatever_length_it_states(
    tmp_path: Path, size: int | None
) -> None:
    """Sizes as FFmpeg (all ones) and SoX (close to 2 GiB) state them where they cannot know."""
    riff = size if size in (0, 0xFFFFFFFF) else None
    content = wav(fmt(), chunk(b"data", RAMP.tobytes(), size), declared_bytes=riff)
    done = piped(tmp_path, COPY, content)
    assert done.returncode == 0, done.stderr
    assert done.stdout == wav(fmt(), chunk(b"data", RAMP.tobytes()))
    assert b"AudioReader('-', 48000 Hz, 1 channels, 1.000 s, PCM_16) []" in done.stderr
    assert left_over(tmp_path) == []


def test_flac_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    """The total in STREAMINFO (36 bits from bit 108 on) is 0 where FFmpeg wrote into a pipe."""
    path = tmp_path / "in.flac"
    soundfile.write(path, RAMP[:47000], 48000)
    expected = soundfile.read(path, dtype="float32")[0]
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    for block in (480, 24000, 47000, 50000):
        with open_reader(path) as reader:
            assert reader.frames == 47000
            np.testing.assert_array_equal(read_all(reader, block)[:, 0], expected)
            assert reader.warnings == []


@pytest.mark.parametrize("ending", ["flac", "ogg", "mp3", "aiff"])
def test_other_formats_come_in_through_pipes_and_go_out_as_wav(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"in.{ending}"
    soundfile.write(path, 0.5 * np.sin(np.arange(48000) / 20), 48000)
    done = piped(tmp_path, COPY, path.read_bytes())
    (tmp_path / "out.wav").write_bytes(done.stdout)
    with open_reader(path) as reader, open_reader(tmp_path / "out.wav") as copy:
        assert (copy.container, copy.frames) == ("WAV", reader.frames)
        np.testing.assert_allclose(read_all(copy), read_all(reader), atol=2.0**-15)


def test_a_pipe_may_end_early_on_both_sides(tmp_path: Path) -> None:
    cut_off = wav(fmt(), chunk(b"data", RAMP.tobytes()))[:-2000]
    done = piped(tmp_path, COPY, cut_off)
    assert b"cut off: 47000 frames of the 48000" in done.stderr
    assert len(done.stdout) == len(cut_off)
    reader, writer = os.pipe()
    os.close(reader)
    broken = piped(
        tmp_path, COPY, cut_off, capture_output=False, stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert broken.returncode == 0
    assert b"Error" not in broken.stderr


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("open_reader('-')", "-: the file is empty"),
        ("import io; sys.stdin = None; open_reader('-')", "-: nothing is piped in"),
        (
            "sys.stdout = None; open_writer('-', sample_rate_hz=48000, channels=1)",
            "-: standard output is a terminal",
        ),
        ("open_reader('./-')", "/-: No such file"),
    ],
)
def test_what_no_pipe_can_give_is_told(tmp_path: Path, program: str, text: str) -> None:
    done = piped(tmp_path, program)
    assert text in done.stderr.decode().splitlines()[-1]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with open_writer(tmp_path / "a.wav", sample_rate_hz=48000, channels=1):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a.wav").stat().st_mode & 0o777 == 0o640


# --- the far end ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000, 96000])
@pytest.mark.parametrize("block", [480, 7001])
def test_far_end_is_converted_in_time_and_padded(tmp_path: Path, rate_hz: int, block: int) -> None:
    def tone(rate: int) -> NDArray[np.float64]:
        time_s = np.arange(rate) / rate
        return np.sin(2 * np.pi * 440 * time_s) * np.hanning(rate) * 0.5

    soundfile.write(tmp_path / "far.wav", np.stack([tone(rate_hz)] * 2, 1), rate_hz, "FLOAT")
    with ConvertedReader(tmp_path / "far.wav", 48000) as far:
        assert far.channels == 2
        audio = np.concatenate([far.read(block) for _ in range(72000 // block + 1)])
    expected = np.pad(tone(48000), (0, len(audio) - 48000))
    for channel in (0, 1):
        assert np.max(np.abs(audio[:, channel] - expected)) < 1e-4


def test_a_short_or_empty_far_end_is_silence(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "far.wav", np.zeros(0), 44100)
    with ConvertedReader(tmp_path / "far.wav", 48000) as far:
        assert far.read(1000).tolist() == np.zeros((1000, 1)).tolist()


# --- the whole corpus in little memory -----------------------------------------------------------


def test_a_huge_sparse_file_is_opened_without_memory(tmp_path: Path) -> None:
    size = 6 << 30
    path = tmp_path / "in.wav"
    ds64 = chunk(b"ds64", struct.pack("<QQQI", size + 72, size, size // 2, 0))
    head = wav(
        ds64, fmt(), chunk(b"data", b"", 0xFFFFFFFF), declared_bytes=2**32 - 1, magic=b"RF64"
    )
    path.write_bytes(head)
    os.truncate(path, len(head) + size)
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "from audio_engine.io.files import open_reader\n"
        "reader = open_reader(sys.argv[1])\n"
        "print(reader.frames, len(reader.read(48000)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [str(size // 2), "48000"], done.stderr

"""Reading pictures and sound on one clock: what was written at a moment is read at that moment."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("av", reason="PyAV (the extra [video]) is not installed")

from audio_engine import AudioEngineError, InputFileError
from audio_engine.io.video import Picture, Sound, VideoReader, open_video
from videos import RATE_HZ, number_of, picture_number, write_video

STEP_S = 0.04


def pictures(count: int = 50) -> list[tuple[float, NDArray[np.uint8]]]:
    return [(i * STEP_S, picture_number(i)) for i in range(count)]


def noise(seconds: float, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """Band-limited noise: its place can be found to the sample after any codec."""
    white = np.random.default_rng(3).standard_normal(round(seconds * rate_hz))
    return (0.1 * np.convolve(white, np.hanning(12), "same")).astype(np.float32)


def place_of(wanted: NDArray[np.float32], audio: NDArray[np.float32]) -> int:
    """Find where `wanted` lies in `audio`, in samples."""
    size = 1 << (len(audio) + len(wanted)).bit_length()
    product = np.fft.rfft(audio, size) * np.conj(np.fft.rfft(wanted, size))
    place = int(np.fft.irfft(product, size).argmax())
    return place if place < len(audio) else place - size


def read_pictures(reader: VideoReader, short_side: int | None = None) -> list[Picture]:
    return list(reader.pictures(short_side))


def test_pictures_come_at_their_own_uneven_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    times_s = np.cumsum(rng.integers(10, 400, 60)) / 1000.0
    times_s -= times_s[0]
    path = write_video(
        tmp_path / "vfr.mkv",
        [(time_s, picture_number(i)) for i, time_s in enumerate(times_s)],
        [(0.0, noise(times_s[-1]))],
        audio_codec="flac",
    )
    with open_video(path) as reader:
        read = read_pictures(reader)
    assert [number_of(picture.rgb) for picture in read] == list(range(60))
    np.testing.assert_allclose([p.time_s for p in read], times_s, atol=0.00051)  # Matroska: 1 ms


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz"),
    [
        ("a.mp4", "aac", 48000),
        ("a.mp4", "aac", 44100),
        ("a.mov", "aac", 48000),
        ("a.mkv", "aac", 48000),
        ("a.mkv", "libopus", 48000),
        ("a.flv", "aac", 44100),
        ("a.ts", "aac", 48000),
    ],
)
def test_what_the_codec_puts_before_the_sound_is_not_heard(
    tmp_path: Path, name: str, codec: str, rate_hz: int
) -> None:
    # FLV and TS move the whole file by the priming: only sound against picture counts.
    path = write_video(
        tmp_path / name,
        pictures(),
        [(0.0, noise(2.0, rate_hz))],
        audio_codec=codec,
        rate_hz=rate_hz,
    )
    with open_video(path) as reader:
        read = read_pictures(reader)
        sound = reader.collect_sound()
    picture_s = read[10].time_s - number_of(read[10].rgb) * STEP_S
    truth = np.interp(
        np.arange(2 * RATE_HZ) / RATE_HZ, np.arange(2 * rate_hz) / rate_hz, noise(2.0, rate_hz)
    )
    sound_s = sound.time_s + place_of(truth.astype(np.float32), sound.audio) / RATE_HZ
    rounding_s = 0.0011 if name.endswith(("flv", "mkv")) else 0.00003
    assert abs(sound_s - picture_s) < rounding_s
    assert not reader.warnings


def test_sound_that_starts_later_keeps_its_start(tmp_path: Path) -> None:
    for name, start_s in (("a.mp4", 0.0), ("b.mkv", 0.0), ("c.mkv", 7.0)):
        path = write_video(tmp_path / name, pictures(), [(0.5, noise(1.0))], start_s=start_s)
        with open_video(path) as reader:
            sound = reader.collect_sound()
            assert read_pictures(reader)[0].time_s == pytest.approx(0.0, abs=1e-6)
        place_s = sound.time_s + place_of(noise(1.0), sound.audio) / RATE_HZ
        assert place_s == pytest.approx(0.5, abs=0.0011), name


def test_holes_become_silence_and_doubles_are_dropped(tmp_path: Path) -> None:
    before, after, again = np.split(noise(1.2), [24000, 24000 + 23 * 1024])
    path = write_video(
        tmp_path / "holes.mkv",
        pictures(),
        [(0.0, before), (0.8, after), (1.275, again)],  # 300 ms are missing, 16 ms twice
        audio_codec="pcm_s16le",
    )
    with open_video(path) as reader:
        stretches = list(reader.sound())
    audio = np.concatenate([stretch.audio for stretch in stretches])
    ends_s = [stretch.time_s + len(stretch.audio) / RATE_HZ for stretch in stretches]
    np.testing.assert_allclose([s.time_s for s in stretches[1:]], ends_s[:-1], atol=1e-9)
    assert np.abs(audio[24100:38300]).max() == 0.0
    assert abs(place_of(after[2000:20000], audio) - 38400 - 2000) < 50
    again_place = round(1.275 * RATE_HZ)
    assert abs(place_of(again[2000:], audio) - again_place - 2000) < 50
    assert abs(len(audio) - again_place - len(again)) < 50


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_phone_video_is_turned_upright(tmp_path: Path, rotation: int) -> None:
    upright = picture_number(5)
    stored = np.rot90(upright, -rotation // 90)
    path = write_video(tmp_path / "turned.mp4", [(i / 25, stored) for i in range(5)],
                       [(0.0, noise(0.2))], rotation=rotation)  # fmt: skip
    with open_video(path) as reader:
        read = read_pictures(reader)
        assert (reader.width, reader.height) == (96, 64)
    assert read[0].rgb.shape == (64, 96, 3)
    assert np.abs(read[2].rgb.astype(int) - upright).mean() < 6.0


def test_pictures_are_made_smaller_but_never_larger(tmp_path: Path) -> None:
    large = np.kron(picture_number(9), np.ones((4, 4, 1), np.uint8))
    path = write_video(tmp_path / "large.mp4", [(0.0, large), (0.1, large)], [(0.0, noise(0.2))])
    with open_video(path) as reader:
        small = read_pictures(reader, 128)[0].rgb
        assert small.shape == (128, 192, 3)
        assert number_of(small) == 9
        assert read_pictures(reader, 1000)[0].rgb.shape == (256, 384, 3)


def test_both_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(), [(0.0, noise(2.0))])
    with open_video(path) as reader:
        both = list(reader.both())
    times_s = [part.time_s for part in both]
    assert times_s == sorted(times_s)
    assert sum(isinstance(part, Picture) for part in both) == 50
    assert sum(len(part.audio) for part in both if isinstance(part, Sound)) >= 2 * RATE_HZ


def test_a_leap_of_the_clock_is_told_and_not_followed(tmp_path: Path) -> None:
    late = [(2000.0 + time_s, rgb) for time_s, rgb in pictures()]
    path = write_video(
        tmp_path / "leap.mkv",
        pictures() + late,
        [(0.0, noise(2.0)), (2000.0, noise(2.0))],
        audio_codec="pcm_s16le",
    )
    with open_video(path) as reader:
        read, sound = read_pictures(reader), reader.collect_sound()
    assert len(read) == 100
    assert read[50].time_s == pytest.approx(2.0, abs=0.002)
    assert abs(len(sound.audio) - 4 * RATE_HZ) < 100
    assert sum("leap by" in warning for warning in reader.warnings) == 2


def test_a_file_that_is_cut_off_is_used_and_told(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "whole.mkv", pictures(100), [(0.0, noise(4.0))], audio_codec="flac"
    )
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_video(cut) as reader:
        both = list(reader.both())
    assert 1.0 < both[-1].time_s < 3.0
    assert any("cut off or damaged" in warning for warning in reader.warnings)


def test_damaged_packets_are_left_out_and_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "whole.mp4", pictures(100), [(0.0, noise(4.0))])
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(3)
    for place in rng.integers(2000, len(content) - 6000, 10):  # the index is at the end
        content[place : place + 8] = rng.bytes(8)
    path.write_bytes(content)
    with open_video(path) as reader:
        read, sound = read_pictures(reader), reader.collect_sound()
    assert 90 <= len(read) <= 100
    assert read[-1].time_s == pytest.approx(99 * STEP_S, abs=0.001)
    assert len(sound.audio) == pytest.approx(4 * RATE_HZ, abs=2048)
    assert abs(place_of(noise(4.0)[150000:180000], sound.audio) - 150000) < 50
    assert any("damaged packets of the sound" in warning for warning in reader.warnings)


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    text, empty, no_index = (tmp_path / name for name in ("text.mp4", "empty.mp4", "no_index.mp4"))
    text.write_text("not a video at all\n" * 50)
    empty.touch()
    whole = write_video(tmp_path / "whole.mp4", pictures(), [(0.0, noise(2.0))])
    no_index.write_bytes(whole.read_bytes()[:-3000])
    silent = write_video(tmp_path / "silent.mp4", pictures())
    blind = write_video(tmp_path / "blind.m4a", (), [(0.0, noise(1.0))])
    for path, words in (
        (tmp_path / "missing.mp4", "No such file"),
        (tmp_path, "this is a folder"),
        (text, "this is no video that FFmpeg can read"),
        (empty, "the file is empty; MP4, MOV, MKV"),
        (no_index, "the file is not complete: its index is missing or damaged"),
        (silent, "there is no sound stream in this file; name a video with picture and sound"),
        (blind, "there is no picture stream in this file; name a video with picture and sound"),
    ):
        with pytest.raises(InputFileError) as caught:
            open_video(path)
        assert str(caught.value).startswith(f"{path}: {words}")
        assert "\n" not in str(caught.value)
    with open_video(silent, sound=False) as reader:
        assert len(read_pictures(reader)) == 50
    with open_video(blind, pictures=False) as reader:
        assert len(reader.collect_sound().audio) >= RATE_HZ


def test_no_address_in_a_file_is_ever_opened(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        path = tmp_path / "playlist.mp4"
        path.write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{address}\n#EXT-X-ENDLIST\n"
        )
        with pytest.raises(InputFileError):
            open_video(path)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_colon_in_the_name_is_no_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "plain.mp4", pictures(), [(0.0, noise(2.0))])
    (tmp_path / "plain.mp4").rename(tmp_path / "pipe:12.mp4")
    monkeypatch.chdir(tmp_path)
    with open_video("pipe:12.mp4") as reader:
        assert reader.duration_s == pytest.approx(2.0, abs=0.03)
        reader.close()
    assert "96 x 64" in repr(reader)


def test_what_brings_pyav_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(5), [(0.0, noise(0.2))])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioEngineError, match=r"-m pip install av$"):
        open_video(path)

"""Correcting lip sync: the sound is moved to the sample, and all else is the very same."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV (the extra [video]) is not installed")

from audio_engine import AudioEngineError, ConfigError, InputFileError
from audio_engine.errors import OutputFileError
from audio_engine.io.lip_sync_correct import correct_lip_sync
from videos import (
    KINDS,
    LOSSLESS,
    SECONDS,
    add_film,
    decoded,
    duration_s,
    earlier_by,
    noise,
    packets,
    pictures,
    write_video,
)


@pytest.mark.parametrize(("ending", "codec", "picture_codec", "rate_hz"), KINDS)
def test_the_sound_moves_to_the_sample_and_the_picture_not_at_all(
    tmp_path: Path, ending: str, codec: str, picture_codec: str, rate_hz: int
) -> None:
    source = write_video(
        tmp_path / f"in.{ending}",
        pictures(),
        [(0.0, noise(rate_hz=rate_hz))],
        video_codec=picture_codec,
        audio_codec=codec,
        rate_hz=rate_hz,
    )
    start_s, before = decoded(source)
    for offset_ms in (800.0, -800.0, 33.39, -0.52):
        output = tmp_path / f"out.{ending}"
        report = correct_lip_sync(source, output, offset_ms)
        shift = round(offset_ms * rate_hz / 1000.0)
        new_start_s, after = decoded(output)
        assert earlier_by(before, after) == shift == report.shift_samples
        assert new_start_s == start_s
        assert packets(output, "video") == packets(source, "video")
        # Within a packet of sound: what codecs put behind the end has no room of its own.
        assert duration_s(output) == pytest.approx(duration_s(source), abs=0.03)
        lossless = codec in LOSSLESS
        if lossless:
            silence = np.zeros(abs(shift))
            moved = [before[shift:], silence] if shift > 0 else [silence, before[:shift]]
            np.testing.assert_array_equal(after, np.concatenate(moved))
            assert duration_s(output) == pytest.approx(duration_s(source), abs=1e-5)
        elif shift > 2000:
            silent = after[len(before) - shift + 1500 : len(before)]
            assert np.sqrt(np.mean(silent**2)) < 0.02 * np.sqrt(np.mean(before**2))
        assert report.codec_out == report.codec_in == codec.removeprefix("lib").replace("lame", "")
        assert (report.lossless, report.reencoded) == (lossless, True)
        assert report.sample_rate_hz == rate_hz
        assert report.direction == ("earlier" if offset_ms > 0 else "later")
        assert report.warnings == ()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"in.{ending}", f"out.{ending}"]


def test_the_bit_rate_is_not_below_the_source(tmp_path: Path) -> None:
    import av

    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as target:
        add_film(target, bit_rate=320000)
    report = correct_lip_sync(source, tmp_path / "out.mp4", 40.0)
    assert report.bit_rate_bps is not None
    assert report.bit_rate_bps > 150000  # what the source really used; 96000 is the least

    def sound_bytes(path: Path) -> int:
        with av.open(str(path)) as container:
            return sum(packet.size for packet in container.demux(audio=0))

    assert sound_bytes(tmp_path / "out.mp4") > 0.9 * sound_bytes(source)


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_all_else_goes_over(tmp_path: Path, ending: str) -> None:
    import av

    source, output = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    with av.open(str(source), "w") as target:
        add_film(target)
    report = correct_lip_sync(source, output, 120.0)
    assert report.warnings == ("sound stream 2 was kept as it is, not moved",)
    assert packets(output, "video") == packets(source, "video")
    assert packets(output, "subtitle") == packets(source, "subtitle")
    assert len(packets(output, "subtitle")) == (2 if ending == "mkv" else 0)
    assert earlier_by(decoded(source, 0)[1], decoded(output, 0)[1]) == 5760
    np.testing.assert_array_equal(decoded(source, 1)[1], decoded(output, 1)[1])
    with av.open(str(source)) as before, av.open(str(output)) as after:
        assert after.metadata["title"] == "A film"
        times = [(c["start"] * c["time_base"], c["metadata"]["title"]) for c in after.chapters()]
        assert times == [(0, "One"), (1, "Two")]
        sounds = after.streams.audio
        assert [stream.metadata["language"] for stream in sounds] == ["deu", "zho"]
        turned = [next(c.decode(video=0)).rotation for c in (before, after)]
        assert abs(turned[0]) == 90
        assert turned[1] == turned[0]


def test_sound_that_nothing_decodes_is_passed_over(tmp_path: Path) -> None:
    import av

    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    with av.open(str(source), "w") as target:
        add_film(target)
    second = decoded(source, 1)[1]
    source.write_bytes(source.read_bytes().replace(b"A_AAC", b"A_ZZZ", 1))
    correct_lip_sync(source, output, 120.0)
    with av.open(str(output)) as after:
        track = next(
            i for i, stream in enumerate(after.streams.audio) if stream.codec_context is not None
        )
    assert earlier_by(second, decoded(output, track)[1]) == 5760


def test_below_half_a_sample_all_is_copied(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", pictures(), [(0.0, noise())])
    report = correct_lip_sync(source, tmp_path / "out.mp4", 0.0103)
    assert (report.shift_samples, report.direction) == (0, "unmoved")
    assert not report.reencoded
    assert report.lossless
    for kind in ("video", "audio"):
        assert packets(tmp_path / "out.mp4", kind) == packets(source, kind)


def test_sound_that_ends_before_the_picture_is_not_cut(tmp_path: Path) -> None:
    source = write_video(
        tmp_path / "in.mkv", pictures(3.0), [(0.0, noise(2.0))], audio_codec="flac"
    )
    correct_lip_sync(source, tmp_path / "out.mkv", -500.0)
    before, after = decoded(source)[1], decoded(tmp_path / "out.mkv")[1]
    np.testing.assert_array_equal(after, np.concatenate([np.zeros(24000), before]))
    correct_lip_sync(source, tmp_path / "out.mkv", -1500.0)  # now only a part has room
    after = decoded(tmp_path / "out.mkv")[1]
    assert 2.9 < len(after) / 48000 <= 3.0
    np.testing.assert_array_equal(after[72000:], before[: len(after) - 72000])


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_sound_that_starts_after_the_picture_moves_into_the_gap(
    tmp_path: Path, ending: str
) -> None:
    source = write_video(
        tmp_path / f"in.{ending}", pictures(), [(0.6, noise(1.8))], audio_codec="flac"
    )
    output = tmp_path / f"out.{ending}"
    start_s, before = decoded(source)
    assert start_s == pytest.approx(0.6)
    correct_lip_sync(source, output, 250.0)
    start_s, after = decoded(output)
    assert start_s == pytest.approx(0.35)
    np.testing.assert_array_equal(after, np.concatenate([before, np.zeros(12000)]))
    correct_lip_sync(source, output, 800.0)  # 200 ms more than there is room for
    start_s, after = decoded(output)
    assert start_s == pytest.approx(0.0)
    np.testing.assert_array_equal(after[: len(before) - 9600], before[9600:])
    correct_lip_sync(source, output, -250.0)
    start_s, after = decoded(output)
    assert start_s == pytest.approx(0.6)
    np.testing.assert_array_equal(after[12000:], before[:-12000])


def test_after_a_hole_the_sound_is_still_in_its_place(tmp_path: Path) -> None:
    whole = noise()
    source = write_video(
        tmp_path / "in.mkv",
        pictures(),
        [(0.0, whole[:48000]), (1.5, whole[72000:])],
        audio_codec="pcm_s16le",
    )
    report = correct_lip_sync(source, tmp_path / "out.mkv", 100.0)
    _, after = decoded(tmp_path / "out.mkv")
    whole[48000:72000] = 0.0
    np.testing.assert_allclose(after[: len(whole) - 4800], whole[4800:], atol=1e-4)
    assert report.warnings == ("holes in the sound: 1, filled with silence",)


def test_other_containers_are_written(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mkv", pictures(), [(0.0, noise())], audio_codec="flac")
    before = decoded(source)[1]
    for name, codec, lossless in (("a.mp4", "flac", True), ("b.ts", "aac", False)):
        report = correct_lip_sync(source, tmp_path / name, 75.0)
        assert (report.codec_out, report.lossless) == (codec, lossless)
        assert earlier_by(before, decoded(tmp_path / name)[1]) == 3600
    sound = [(0.0, noise())]
    vp8 = write_video(
        tmp_path / "in.webm", pictures(), sound, video_codec="libvpx", audio_codec="libopus"
    )
    with pytest.raises(ConfigError, match=r"cannot hold vp8 pictures; write \.mkv"):
        correct_lip_sync(vp8, tmp_path / "out.mp4", 75.0)


@pytest.mark.parametrize("ending", ["ts", "flv"])
def test_a_stream_that_starts_anywhere_starts_at_zero_in_a_file(
    tmp_path: Path, ending: str
) -> None:
    source = write_video(
        tmp_path / f"in.{ending}", pictures(), [(0.0, noise())], start_s=5000.0, rate_hz=44100
    )
    start_s, before = decoded(source)
    stamps_s = [time_s for time_s, _ in packets(source, "video")]
    for name in ("out.mp4", "out.mkv"):
        for offset_ms in (75.0, -75.0, 0.0):
            correct_lip_sync(source, tmp_path / name, offset_ms)
            assert duration_s(tmp_path / name) == pytest.approx(duration_s(source), abs=0.06)
            new_s = [time_s for time_s, _ in packets(tmp_path / name, "video")]
            moved_s = new_s[0] - stamps_s[0]
            assert moved_s < -4999.0
            np.testing.assert_allclose(np.subtract(new_s, stamps_s), moved_s, atol=0.0011)
            new_start_s, after = decoded(tmp_path / name)
            earlier_s = earlier_by(before, after) / 44100 + start_s + moved_s - new_start_s
            assert earlier_s == pytest.approx(offset_ms / 1000.0, abs=0.0016)


def test_pictures_that_an_edit_list_hides_are_told_where_they_show(tmp_path: Path) -> None:
    source = write_video(
        tmp_path / "in.mp4", [(t - 1.0, rgb) for t, rgb in pictures()], [(0.0, noise(1.4))]
    )
    report = correct_lip_sync(source, tmp_path / "out.mkv", 40.0)
    assert report.warnings == (
        "pictures that come before the start of the video, and are not shown there: 1.0 s; this "
        "kind of file shows them, .mp4 does not",
    )
    assert correct_lip_sync(source, tmp_path / "out.mp4", 40.0).warnings == ()


@pytest.mark.parametrize(
    ("offset_ms", "name", "error", "text"),
    [
        (2000.1, "out.mp4", ConfigError, "offset_ms=2000.1 is outside -2000 .. 2000 ms"),
        (math.nan, "out.mp4", ConfigError, "offset_ms=nan is outside"),
        (math.inf, "out.mp4", ConfigError, "offset_ms=inf is outside"),
        (-600.0, "out.mp4", ConfigError, "0.400 s long, an offset of -600 ms would leave none"),
        (40.0, "out.avi", ConfigError, "use one of .mp4, .m4v, .mov, .mkv, .webm, .ts, .flv"),
        (40.0, "out", ConfigError, "videos of this ending are not written"),
        (40.0, "in.mp4", ConfigError, "this is an input file, which is never overwritten"),
        (40.0, "link.mp4", ConfigError, "this is an input file, which is never overwritten"),
        (40.0, "no/out.mp4", OutputFileError, "cannot be written: No such file"),
    ],
)
def test_what_is_not_possible_is_told(
    tmp_path: Path, offset_ms: float, name: str, error: type[Exception], text: str
) -> None:
    source = write_video(tmp_path / "in.mp4", pictures(0.4), [(0.0, noise(0.4))])
    (tmp_path / "link.mp4").symlink_to(source)
    content = source.read_bytes()
    with pytest.raises(error, match=text) as raised:
        correct_lip_sync(source, tmp_path / name, offset_ms)
    assert "\n" not in str(raised.value)
    assert source.read_bytes() == content
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", "link.mp4"}


def test_a_file_without_picture_or_sound_is_told(tmp_path: Path) -> None:
    silent = write_video(tmp_path / "silent.mp4", pictures(0.4))
    with pytest.raises(InputFileError, match=r"silent.mp4: there is no sound stream"):
        correct_lip_sync(silent, tmp_path / "out.mp4", 40.0)
    blind = write_video(tmp_path / "blind.mp4", (), [(0.0, noise(0.4))])
    with pytest.raises(InputFileError, match=r"blind.mp4: there is no picture stream"):
        correct_lip_sync(blind, tmp_path / "out.mp4", 40.0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_interruption_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    source = write_video(tmp_path / "in.mp4", pictures(), [(0.0, noise())])
    output = tmp_path / "out.mp4"
    output.write_text("an older one")
    told: list[float] = []

    def stop(share: float) -> None:
        told.append(share)
        if share > 0.5:
            raise error

    with pytest.raises(error):
        correct_lip_sync(source, output, 40.0, progress=stop)
    assert told == sorted(told)
    assert output.read_text() == "an older one"
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", "out.mp4"}
    correct_lip_sync(source, output, 40.0)
    assert earlier_by(decoded(source)[1], decoded(output)[1]) == 1920


def test_a_file_that_is_cut_off_is_corrected_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mkv", pictures(), [(0.0, noise())], audio_codec="flac")
    source = tmp_path / "in.mkv"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    report = correct_lip_sync(source, tmp_path / "out.mkv", 100.0)
    assert len(report.warnings) == 1
    assert "s are missing in the video; it is cut off or damaged" in report.warnings[0]
    before, after = decoded(source)[1], decoded(tmp_path / "out.mkv")[1]
    assert len(before) > 48000
    np.testing.assert_array_equal(after[: len(before) - 4800], before[4800:])


def test_hevc_keeps_the_mark_that_apple_asks_for(tmp_path: Path) -> None:
    import av

    if "libx265" not in av.codecs_available:
        pytest.skip("PyAV has no HEVC encoder here")
    source = write_video(
        tmp_path / "in.mp4", pictures(0.8), [(0.0, noise(0.8))], video_codec="libx265"
    )
    correct_lip_sync(source, tmp_path / "out.mov", 40.0)
    with av.open(str(tmp_path / "out.mov")) as container:
        assert container.streams.video[0].codec_tag == "hvc1"
    assert packets(tmp_path / "out.mov", "video") == packets(source, "video")


def test_a_full_disk_is_told_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    source = write_video(tmp_path / "in.mkv", pictures(), [(0.0, noise())], audio_codec="flac")
    output = tmp_path / "out.mkv"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50000, hard))
    try:
        with pytest.raises(OutputFileError, match=r"out.mkv: cannot be written: File too large"):
            correct_lip_sync(source, output, 40.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_what_brings_pyav_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_video(tmp_path / "in.mp4", pictures(0.4), [(0.0, noise(0.4))])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioEngineError, match=r"-m pip install av$"):
        correct_lip_sync(source, tmp_path / "out.mp4", 40.0)


def test_the_report_says_what_was_done(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mkv", pictures(), [(0.0, noise())], audio_codec="flac")
    report = correct_lip_sync(source, tmp_path / "out.mkv", -120.0)
    assert str(report) == (
        f"{tmp_path / 'out.mkv'}: the sound comes 120.000 ms later now (5760 samples at 48000 Hz; "
        "flac to flac, without loss); the picture was copied untouched"
    )
    found = report.to_dict()
    assert (found["shift_samples"], found["shift_ms"], found["warnings"]) == (-5760, -120.0, [])
    assert found["duration_s"] == pytest.approx(SECONDS)

"""Videos and M4A through `process_file`: the sound anew, in its place, all else the very same."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

pytest.importorskip("av", reason="PyAV (the extra [video]) is not installed")

from audio_engine import AudioEngineError, ConfigError, EngineConfig, InputFileError
from audio_engine.cli.process import Stage, only_stage
from audio_engine.errors import OutputFileError
from audio_engine.io.files import find_audio, open_reader
from audio_engine.io.measurement import measure_file
from audio_engine.io.offline import FileReport, process_file
from videos import (
    KINDS,
    LOSSLESS,
    add_film,
    decoded,
    duration_s,
    earlier_by,
    noise,
    packets,
    picture_number,
    pictures,
    write_video,
)

UNTOUCHED = only_stage(EngineConfig(), Stage.LIMITER)  # which has nothing to do below -1 dBTP
TURNED_DOWN = -36.0


def process(source: Path, target: Path, **options: Any) -> FileReport:
    return process_file(source, target, config=UNTOUCHED, **options)


def samples(path: Path) -> NDArray[np.float32]:
    with open_reader(path) as reader:
        return np.concatenate([*reader.blocks(1000), np.zeros((0, reader.channels), np.float32)])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def heard_at(path: Path, stretch: NDArray[np.float32], near_s: float) -> float:
    """Return when a stretch of sound is heard, by the time stamps and the samples behind them."""
    import av

    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    scale = {"s16": 2.0**-15, "flt": 1.0}[frames[0].format.name.removesuffix("p")]
    line = np.zeros(round((near_s + 2.0) * 48000))
    for frame in frames:
        place = round(float(frame.pts * frame.time_base) * 48000)
        found = frame.to_ndarray()[0][: max(0, len(line) - place)]
        line[place : place + len(found)] = found * scale
    start = round(max(0.0, near_s - 0.1) * 48000)
    return (start - earlier_by(stretch.astype(float), line[start:][: len(stretch) + 9600])) / 48000


# --- the picture and all else --------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "codec", "picture_codec", "rate_hz"), KINDS)
def test_the_sound_stays_in_its_place_and_the_picture_is_the_same(
    tmp_path: Path, ending: str, codec: str, picture_codec: str, rate_hz: int
) -> None:
    source, output = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    write_video(
        source,
        pictures(),
        [(0.0, noise(rate_hz=rate_hz))],
        video_codec=picture_codec,
        audio_codec=codec,
        rate_hz=rate_hz,
    )
    report = process(source, output)
    (start_s, before), (new_start_s, after) = decoded(source), decoded(output)
    assert new_start_s == start_s
    assert earlier_by(before, after) == 0
    assert packets(output, "video") == packets(source, "video")
    assert duration_s(output) == pytest.approx(duration_s(source), abs=0.03)
    if codec in LOSSLESS:
        np.testing.assert_array_equal(after, before)
        assert report.frames == len(before)
    assert (report.sample_rate_hz, report.channels) == (rate_hz, 1)
    assert report.warnings == ()
    assert names(tmp_path) == [f"in.{ending}", f"out.{ending}"]


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
@pytest.mark.parametrize("loudness_lufs", [None, TURNED_DOWN])
def test_all_else_goes_over(tmp_path: Path, ending: str, loudness_lufs: float | None) -> None:
    import av

    source, output = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    with av.open(str(source), "w") as target:
        add_film(target)
    report = process(source, output, loudness_lufs=loudness_lufs)
    assert report.warnings == (f"{output}: sound stream 2 was kept as it is, not processed",)
    for kind in ("video", "subtitle"):
        assert packets(output, kind) == packets(source, kind)
    assert earlier_by(decoded(source, 0)[1], decoded(output, 0)[1]) == 0
    np.testing.assert_array_equal(decoded(source, 1)[1], decoded(output, 1)[1])
    if loudness_lufs is not None:
        assert measure_file(output).integrated_lufs == pytest.approx(loudness_lufs, abs=0.2)
    with av.open(str(source)) as before, av.open(str(output)) as after:
        assert after.metadata["title"] == "A film"
        assert [c["metadata"]["title"] for c in after.chapters()] == ["One", "Two"]
        assert [stream.metadata["language"] for stream in after.streams.audio] == ["deu", "zho"]
        turned = [next(c.decode(video=0)).rotation for c in (before, after)]
        assert abs(turned[0]) == 90
        assert turned[1] == turned[0]


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_sound_that_starts_late_and_has_holes_stays_where_it_was(
    tmp_path: Path, ending: str
) -> None:
    codec = "aac" if ending == "mp4" else "pcm_s16le"
    times_s = np.cumsum(np.random.default_rng(2).uniform(0.01, 0.08, 60))  # no steady rate
    film = [(float(time_s), rgb) for time_s, (_, rgb) in zip(times_s, pictures(), strict=True)]
    sound = [(0.6, noise(0.5, seed=1)), (1.4, noise(0.9, seed=2))]
    source = write_video(tmp_path / f"in.{ending}", film, sound, audio_codec=codec)
    output = tmp_path / f"out.{ending}"
    report = process(source, output)
    assert report.warnings == (f"{source}: holes in the sound: 1, filled with silence",)
    assert packets(output, "video") == packets(source, "video")
    for time_s, stretch in sound:
        before_s, after_s = (heard_at(path, stretch, time_s) for path in (source, output))
        assert before_s == pytest.approx(time_s, abs=0.001)  # MP4 starts at whole ms
        assert after_s == pytest.approx(before_s, abs=0.0005)
    assert report.duration_s == pytest.approx(1.7, abs=0.03)


@pytest.mark.parametrize("ending", ["ts", "flv"])
def test_a_stream_that_starts_anywhere_starts_at_zero_in_a_file(
    tmp_path: Path, ending: str
) -> None:
    source = write_video(tmp_path / f"in.{ending}", pictures(), [(0.0, noise())], start_s=5000.0)
    process(source, tmp_path / "out.mp4")
    (start_s, before), (new_start_s, after) = decoded(source), decoded(tmp_path / "out.mp4")
    moved_s = packets(tmp_path / "out.mp4", "video")[0][0] - packets(source, "video")[0][0]
    assert moved_s < -4999.0
    earlier_s = earlier_by(before, after) / 48000 + start_s + moved_s - new_start_s
    assert earlier_s == pytest.approx(0.0, abs=0.001)


def test_the_bit_rate_is_not_below_the_source(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "in.mp4"), "w") as target:
        add_film(target, bit_rate=320000)
    process(tmp_path / "in.mp4", tmp_path / "out.mp4")
    sizes = []
    for name in ("in.mp4", "out.mp4"):
        with av.open(str(tmp_path / name)) as container:
            sizes.append(sum(packet.size for packet in container.demux(container.streams.audio[0])))
    assert sizes[1] > 0.9 * sizes[0]


# --- sound alone ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.wav", "out.flac", "out.m4a", "out.ogg"])
def test_the_sound_of_a_video_alone(tmp_path: Path, name: str) -> None:
    source = write_video(tmp_path / "in.mp4", pictures(), [(0.0, noise())])
    report = process(source, tmp_path / name)
    before, after = samples(source), samples(tmp_path / name)
    assert len(before) == len(after) == report.frames == len(noise())
    assert earlier_by(before[:, 0].astype(float), after[:, 0].astype(float)) == 0
    if name in {"out.wav", "out.flac"}:
        np.testing.assert_allclose(after, before, atol=2.0**-16)


@pytest.mark.parametrize(
    ("ending", "codec"),
    [("m4a", "aac"), ("m4a", "alac"), ("aac", "aac"), ("mka", "libopus"), ("webm", "libopus")],
)
def test_files_without_a_picture_are_read_and_written(
    tmp_path: Path, ending: str, codec: str
) -> None:
    source = write_video(tmp_path / f"in.{ending}", (), [(0.0, noise())], audio_codec=codec)
    assert process(source, tmp_path / "out.wav").warnings == ()
    audio = samples(tmp_path / "out.wav")[:, 0].astype(float)
    late = 1024 if ending == "aac" else 0  # nothing in raw AAC says what the encoder put first
    assert earlier_by(audio, noise().astype(float)) == late
    assert len(audio) >= len(noise()) + late
    target = tmp_path / f"out.{'m4a' if ending == 'aac' else ending.replace('mka', 'mkv')}"
    assert process(source, target).warnings == ()
    assert earlier_by(samples(target)[:, 0].astype(float), audio) == 0


def test_opus_is_written_where_the_rate_allows(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", noise(), 48000)
    assert process(tmp_path / "in.wav", tmp_path / "out.opus").warnings == ()
    after = samples(tmp_path / "out.opus")[:, 0].astype(float)
    assert soundfile.info(tmp_path / "out.opus").subtype == "OPUS"
    assert len(after) == len(noise())
    assert earlier_by(noise().astype(float), after) == 0
    soundfile.write(tmp_path / "cd.wav", noise(0.1, 44100), 44100)
    with pytest.raises(ConfigError, match="this sound has 44100 Hz; use"):
        process(tmp_path / "cd.wav", tmp_path / "cd.opus")


def test_a_recording_becomes_m4a_with_its_tags(tmp_path: Path) -> None:
    import av

    with soundfile.SoundFile(tmp_path / "in.flac", "w", 44100, 2) as file:
        file.title, file.tracknumber = "直播", "7"
        file.write(np.stack([noise(1.0, 44100), noise(1.0, 44100, seed=4)], axis=1))
    report = process(tmp_path / "in.flac", tmp_path / "out.m4a")
    assert (report.channels, report.sample_rate_hz, report.warnings) == (2, 44100, ())
    with av.open(str(tmp_path / "out.m4a")) as container:
        assert (container.metadata["title"], container.metadata["track"]) == ("直播", "7")
    before, after = samples(tmp_path / "in.flac"), samples(tmp_path / "out.m4a")
    assert len(before) == len(after)
    for channel in (0, 1):
        one, other = before[:, channel].astype(float), after[:, channel].astype(float)
        assert earlier_by(one, other) == 0
    process(tmp_path / "out.m4a", tmp_path / "back.flac")
    assert soundfile.SoundFile(tmp_path / "back.flac").title == "直播"


def test_the_far_end_may_be_a_video(tmp_path: Path) -> None:
    far = write_video(tmp_path / "far.mp4", pictures(), [(0.0, noise())])
    mic = np.convolve(noise(), [0.0] * 480 + [0.5], "full")[: len(noise())]
    soundfile.write(tmp_path / "mic.wav", mic, 48000)
    report = process_file(
        tmp_path / "mic.wav",
        tmp_path / "out.wav",
        config=only_stage(EngineConfig(), Stage.AEC),
        far_end=far,
    )
    assert report.far_end == str(far)
    assert report.erle_db is not None
    assert report.erle_db > 10.0


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "error", "text"),
    [
        ("in.wav", "out.mp4", ConfigError, "there is no picture to go with this sound; name a"),
        ("in.webm", "out.mp4", ConfigError, "cannot hold vp8 pictures; write .mkv"),
        ("in.mp4", "in.mp4", ConfigError, "this is an input file, which is never overwritten"),
        ("in.mp4", "link.mp4", ConfigError, "this is an input file, which is never overwritten"),
        ("in.mp4", "out.avi", ConfigError, "files of type .avi are not written"),
        ("in.mp4", "no/out.mp4", OutputFileError, "cannot be written: there is no folder"),
        ("silent.mp4", "out.mp4", InputFileError, "silent.mp4: there is no sound stream"),
        ("half.mp4", "out.mp4", InputFileError, "half.mp4: the file is not complete: its index"),
        ("list.m3u8", "out.wav", InputFileError, "list.m3u8: no audio was recognised"),
    ],
)
def test_what_is_not_possible_is_told_and_leaves_nothing(
    tmp_path: Path, source: str, target: str, error: type[Exception], text: str
) -> None:
    sound = [(0.0, noise(0.4))]
    film = write_video(tmp_path / "in.mp4", pictures(0.4), sound)
    (tmp_path / "link.mp4").symlink_to(film)
    (tmp_path / "half.mp4").write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{film}\n#EXT-X-ENDLIST\n")
    write_video(tmp_path / "silent.mp4", pictures(0.4))
    write_video(
        tmp_path / "in.webm", pictures(0.4), sound, video_codec="libvpx", audio_codec="libopus"
    )
    soundfile.write(tmp_path / "in.wav", noise(0.4), 48000)
    before, content = names(tmp_path), film.read_bytes()
    with pytest.raises(error, match=text) as raised:
        process(tmp_path / source, tmp_path / target)
    assert "\n" not in str(raised.value)
    assert names(tmp_path) == before
    assert film.read_bytes() == content


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_the_older_file(
    tmp_path: Path, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    from audio_engine.io.remux import Remux

    source = write_video(tmp_path / "in.mp4", pictures(), [(0.0, noise())])
    (tmp_path / "out.mp4").write_text("an older one")

    def stop(*_: object) -> None:
        raise error

    with pytest.raises(error):  # in the middle of the sound
        process(source, tmp_path / "out.mp4", progress=stop)
    monkeypatch.setattr(Remux, "copy", stop)
    with pytest.raises(error):  # and in the middle of the copying
        process(source, tmp_path / "out.mp4")
    assert names(tmp_path) == ["in.mp4", "out.mp4"]
    assert (tmp_path / "out.mp4").read_text() == "an older one"


def test_a_video_that_is_cut_off_is_processed_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mkv", pictures(), [(0.0, noise())], audio_codec="flac")
    source = tmp_path / "in.mkv"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    report = process(source, tmp_path / "out.mkv")
    assert "the file is cut off or damaged, what is there is used" in report.warnings[0]
    before, after = decoded(source)[1], decoded(tmp_path / "out.mkv")[1]
    np.testing.assert_array_equal(after[: len(before)], before)


@pytest.mark.parametrize("name", ["in.mp4", "in.m4a"])
def test_what_brings_pyav_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = write_video(tmp_path / name, (), [(0.0, noise(0.4))])
    soundfile.write(tmp_path / "in.wav", noise(0.4), 48000)
    monkeypatch.setitem(sys.modules, "av", None)
    for one, other in ((source, "out.wav"), (tmp_path / "in.wav", "out.m4a")):
        with pytest.raises(AudioEngineError, match=r"-m pip install av$"):
            process(one, tmp_path / other)
    assert names(tmp_path) == sorted([name, "in.wav"])
    with pytest.raises(AudioEngineError, match=f"^{re.escape(str(source))}: videos, M4A and AAC"):
        open_reader(source)
    assert find_audio(tmp_path) == [source, tmp_path / "in.wav"]  # not silently left out


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    """Ten times the length takes no more memory; and a kill leaves no file."""
    program = """
import resource, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[2])
from test_media import UNTOUCHED, process, signal
from videos import picture_number, write_video
import os
folder = Path(sys.argv[1])
for seconds in (20, 200):
    film = [(float(i), picture_number(i % 256)) for i in range(seconds)]
    sound = [(0.0, np.tile(np.sin(np.arange(16000) / 20).astype("f4") / 9, seconds))]
    write_video(folder / "in.mkv", film, sound, audio_codec="flac", rate_hz=16000)
    del sound, film
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    process(folder / "in.mkv", folder / "out.mkv")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.stdout.flush()
os.unlink(folder / "out.mkv")
process(folder / "in.mkv", folder / "out.mkv", progress=lambda done, all: done > all / 2 and
    os.kill(os.getpid(), signal.SIGKILL))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert names(tmp_path) == ["in.mkv"]
    _, short, made, long = (int(line) for line in done.stdout.split())
    assert long - max(short, made) < 8 * 1024  # KiB; the samples are 13 MB as float


def test_a_cover_stays(tmp_path: Path) -> None:
    import av

    source = tmp_path / "in.m4a"
    with av.open(str(source), "w", format="mp4") as target:
        sound = target.add_stream("aac", rate=48000, layout="mono")
        cover = target.add_stream("png")
        cover.width, cover.height, cover.pix_fmt = 96, 64, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(picture_number(5), format="rgb24")
        for packet in [*cover.encode(picture), *cover.encode(None)]:
            target.mux(packet)
        frame = av.AudioFrame.from_ndarray(noise(1.0)[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        for packet in [*sound.encode(frame), *sound.encode(None)]:
            target.mux(packet)
    assert process(source, tmp_path / "out.m4a").warnings == ()
    with av.open(str(source)) as before, av.open(str(tmp_path / "out.m4a")) as after:
        assert after.metadata["major_brand"] == "M4A "
        assert after.streams.video[0].disposition == av.stream.Disposition.attached_pic
        covers = [bytes(next(file.demux(file.streams.video[0]))) for file in (before, after)]
        assert covers[0] == covers[1] != b""

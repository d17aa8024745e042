"""`io.mixdown`: files through the room, aligned, as long as the longest, all of them or none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import audio_engine as ae
from audio_engine.errors import ConfigError, InputFileError, OutputFileError
from audio_engine.io.files import AudioWriter
from audio_engine.io.mixdown import mix_files
from audio_engine.room.mixer import RoomMixer
from signals import Signal, level_db, noise, speech, voice

RATE_HZ = 16000
SECONDS = 8.0


def save(path: Path, audio: NDArray[Any], rate_hz: int = RATE_HZ, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, audio, rate_hz, subtype)
    return path


def load(path: Path) -> NDArray[np.float32]:
    audio: NDArray[np.float32] = soundfile.read(path, dtype="float32", always_2d=True)[0]
    return audio


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def turns(seconds: float = SECONDS) -> tuple[Signal, Signal]:
    """Two who speak in turns; both end in silence, so that nothing is faded."""
    host, guest = speech("host", seconds), 3.0 * speech("guest", seconds)
    half = len(host) // 2
    host[half:] = 0.0
    guest[:half] = 0.0
    guest[-RATE_HZ // 10 :] = 0.0
    hiss = noise(seconds, RATE_HZ, 1e-4)
    hiss[-RATE_HZ // 10 :] = 0.0
    return host + hiss, guest + hiss[::-1] * (hiss != 0.0)


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Return two recordings, in a folder of their own."""
    (tmp_path / "in").mkdir()
    host, guest = turns()
    return [save(tmp_path / "in" / "a.wav", host), save(tmp_path / "in" / "b.wav", guest)]


# --- what comes out ------------------------------------------------------------------------------


def test_it_is_the_room_with_the_latency_taken_off(tmp_path: Path, pair: list[Path]) -> None:
    report = mix_files(pair, tmp_path / "mix.wav", minus_dir=tmp_path, roles=["guest", "host"])
    host, guest = (load(path)[:, 0] for path in pair)
    with RoomMixer(RATE_HZ) as room:
        room.join("a", role="guest")
        room.join("b", role="host")
        parts = [room.process({"a": host, "b": guest}), room.flush()]
        late, frames = room.latency_frames, len(host)
        stats = room.stats().participants
    expected = np.concatenate([part.programme for part in parts])[late:]
    assert len(expected) == frames == report.frames
    np.testing.assert_array_equal(load(tmp_path / "mix.wav")[:, 0], expected)
    for name in "ab":
        expected = np.concatenate([part.minus[name] for part in parts])[late:]
        np.testing.assert_array_equal(load(tmp_path / f"{name}-minus.wav")[:, 0], expected)
    assert report.latency_frames == late
    for each, path in zip(report.participants, pair, strict=True):
        assert each.input == str(path)
        assert each.minus == str(tmp_path / f"{each.name}-minus.wav")
        own = ae.measure_loudness(load(path), RATE_HZ).integrated_lufs
        assert each.loudness_lufs == pytest.approx(own, abs=0.01)
        assert each.gain_db == pytest.approx(stats[each.name].gain_db, abs=0.5)
    found = ae.measure_loudness(expected_mix := load(tmp_path / "mix.wav"), RATE_HZ)
    assert len(expected_mix) == frames
    assert report.loudness.integrated_lufs == pytest.approx(found.integrated_lufs, abs=0.01)
    assert report.loudness.true_peak_dbtp == pytest.approx(found.true_peak_dbtp, abs=0.01)
    assert report.loudness.true_peak_dbtp <= -1.0


def test_both_voices_are_brought_to_one_loudness(tmp_path: Path, pair: list[Path]) -> None:
    report = mix_files(pair, tmp_path / "mix.wav")
    mix, half = load(tmp_path / "mix.wav"), round(SECONDS * RATE_HZ / 2)
    before = [each.loudness_lufs for each in report.participants]
    after = [ae.measure_loudness(x, RATE_HZ).integrated_lufs for x in (mix[:half], mix[half:])]
    assert abs(before[0] - before[1]) > 8.0
    assert abs(after[0] - after[1]) < 4.0  # within 4 s of speech each, the first second included


def test_open_is_the_time_of_the_speech(tmp_path: Path, pair: list[Path]) -> None:
    report = mix_files(pair, tmp_path / "mix.wav")
    first, second = (each.open_share for each in report.participants)
    assert 0.4 < first < 0.75
    assert 0.3 < second < 0.6


def test_nobody_hears_himself(tmp_path: Path, pair: list[Path]) -> None:
    mix_files(pair, tmp_path / "mix.wav", minus_dir=tmp_path / "minus", level_voices=False)
    quarter = round(SECONDS * RATE_HZ / 4)
    minus = load(tmp_path / "minus" / "a-minus.wav")
    assert level_db(load(tmp_path / "mix.wav")[quarter : 2 * quarter]) > -45.0
    assert level_db(minus[quarter : 2 * quarter]) < -70.0  # a speaks alone
    assert level_db(minus[2 * quarter :]) > -40.0  # b speaks


def test_who_ends_earlier_leaves(tmp_path: Path) -> None:
    host, guest = turns()
    half = len(host) // 2
    paths = [save(tmp_path / "a.wav", host[:half]), save(tmp_path / "b.wav", guest)]
    report = mix_files(paths, tmp_path / "mix.wav", minus_dir=tmp_path)
    mix, first, second = (
        load(tmp_path / name) for name in ("mix.wav", "a-minus.wav", "b-minus.wav")
    )
    assert len(mix) == len(first) == len(second) == len(host) == report.frames
    # From then on he hears what everybody hears.
    np.testing.assert_array_equal(first[half + RATE_HZ // 2 :], mix[half + RATE_HZ // 2 :])
    assert level_db(second[half + RATE_HZ :]) < -80.0
    assert [round(each.duration_s, 2) for each in report.participants] == [SECONDS / 2, SECONDS]


def test_a_recording_that_stops_in_a_wave_does_not_click(tmp_path: Path) -> None:
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    song = 0.1 * np.sin(2 * np.pi * 100 * time_s + 0.3)  # ends where the wave is at 0.03
    paths = [save(tmp_path / "a.wav", np.zeros(4 * RATE_HZ)), save(tmp_path / "song.wav", song)]
    mix_files(paths, tmp_path / "mix.wav", roles=["host", "music"])
    mix = load(tmp_path / "mix.wav")[:, 0]
    steps = np.abs(np.diff(mix))
    end = len(song)
    assert steps[end - 800 : end - 400].max() > 1e-4
    assert steps[end - 200 : end + 800].max() <= 1.1 * steps[end - 800 : end - 400].max()
    assert np.abs(mix[end + 800 :]).max() < 1e-6


@pytest.mark.parametrize("rates", [(16000, 48000), (44100, 16000), (8000, 96000)])
def test_rates_may_differ_and_all_stay_in_time(tmp_path: Path, rates: tuple[int, int]) -> None:
    room_hz = max(rates)
    host, guest = turns()
    voices = [ae.resample(x, RATE_HZ, rate) for x, rate in zip((host, guest), rates, strict=True)]
    paths = [save(tmp_path / f"{rate}.wav", x, rate) for x, rate in zip(voices, rates, strict=True)]
    report = mix_files(paths, tmp_path / "mix.wav", level_voices=False)
    assert report.sample_rate_hz == room_hz == soundfile.info(tmp_path / "mix.wav").samplerate
    assert report.frames == pytest.approx(SECONDS * room_hz, abs=1)
    mix = load(tmp_path / "mix.wav")[:, 0]
    for x, rate in zip(voices, rates, strict=True):
        there = ae.resample(x, rate, room_hz)[: len(mix)]
        assert lag_frames(there, mix[: len(there)]) == 0
    assert [each.sample_rate_hz for each in report.participants] == list(rates)


def lag_frames(first: Signal, second: Signal) -> int:
    size = 1 << int(2 * len(first)).bit_length()
    cross = np.fft.irfft(np.fft.rfft(second, size) * np.conj(np.fft.rfft(first, size)), size)
    lag = int(np.argmax(cross))
    return lag if lag < size // 2 else lag - size


def test_the_rate_can_be_chosen(tmp_path: Path, pair: list[Path]) -> None:
    report = mix_files(pair, tmp_path / "mix.wav", minus_dir=tmp_path, sample_rate_hz=44100)
    for name in ("mix.wav", "a-minus.wav", "b-minus.wav"):
        assert soundfile.info(tmp_path / name).samplerate == 44100
        assert soundfile.info(tmp_path / name).frames == round(SECONDS * 44100)
    assert report.sample_rate_hz == 44100


def test_a_mono_voice_is_heard_on_both_sides_of_a_stereo_room(tmp_path: Path) -> None:
    host, guest = turns()
    paths = [
        save(tmp_path / "a.wav", host),
        save(tmp_path / "b.wav", np.stack([guest, np.zeros_like(guest)], axis=1)),
    ]
    report = mix_files(paths, tmp_path / "mix.wav", minus_dir=tmp_path)
    mix, half = load(tmp_path / "mix.wav"), len(host) // 2
    assert report.channels == mix.shape[1] == 2
    np.testing.assert_array_equal(mix[: half - RATE_HZ // 2, 0], mix[: half - RATE_HZ // 2, 1])
    assert level_db(mix[half + RATE_HZ :, 1]) < level_db(mix[half + RATE_HZ :, 0]) - 30.0
    assert load(tmp_path / "b-minus.wav").shape == mix.shape


@pytest.mark.parametrize(
    ("subtypes", "expected"),
    [
        (("PCM_16", "PCM_U8"), "PCM_16"),
        (("PCM_16", "PCM_24"), "PCM_24"),
        (("PCM_32", "PCM_16"), "PCM_24"),
        (("PCM_24", "FLOAT"), "FLOAT"),
    ],
)
def test_the_finest_sample_format_is_kept(
    tmp_path: Path, subtypes: tuple[str, str], expected: str
) -> None:
    paths = [
        save(tmp_path / f"{subtype}.wav", voice(1.0, RATE_HZ), subtype=subtype)
        for subtype in subtypes
    ]
    mix_files(paths, tmp_path / "mix.wav", minus_dir=tmp_path)
    for path in (tmp_path / "mix.wav", tmp_path / f"{subtypes[0]}-minus.wav"):
        assert soundfile.info(path).subtype == expected


def test_music_lies_under_the_voice(tmp_path: Path) -> None:
    song = 0.3 * np.sin(2 * np.pi * 440 * np.arange(20 * RATE_HZ) / RATE_HZ)
    paths = [save(tmp_path / "a.wav", speech("host", 20.0)), save(tmp_path / "song.wav", song)]
    report = mix_files(paths, tmp_path / "mix.wav", roles=["host", "music"], music_below_lu=12.0)
    host, music = report.participants
    assert (host.role, music.role) == ("host", "music")
    # -18 LUFS - 12 LU, and up to 4 dB less while somebody speaks
    assert -36.0 < music.loudness_lufs + music.gain_db < -27.0
    assert music.open_share == 1.0


def test_the_whole_mix_meets_a_target(tmp_path: Path, pair: list[Path]) -> None:
    plain = mix_files(pair, tmp_path / "plain.wav", minus_dir=tmp_path / "plain")
    report = mix_files(
        pair, tmp_path / "mix.wav", minus_dir=tmp_path / "m", loudness_lufs=-23.0, ceiling_dbtp=-2.0
    )
    found = ae.measure_loudness(load(tmp_path / "mix.wav"), RATE_HZ)
    assert found.integrated_lufs == pytest.approx(-23.0, abs=0.02)
    assert found.true_peak_dbtp <= -2.0
    assert report.loudness_target_lufs == -23.0
    assert report.loudness_gain_db is not None
    assert report.loudness_gain_db < 0.0
    assert plain.loudness_target_lufs is None
    assert len(load(tmp_path / "mix.wav")) == report.frames == plain.frames


def test_next_to_nothing_can_be_mixed(tmp_path: Path) -> None:
    for frames in (0, 1, 159, 1600, 1601):
        paths = [save(tmp_path / "a.wav", noise(1.0, RATE_HZ)[:frames])]
        paths += [save(tmp_path / "b.wav", np.zeros(min(frames, 7)))]
        report = mix_files(paths, tmp_path / "mix.wav", minus_dir=tmp_path)
        for name in ("mix.wav", "a-minus.wav", "b-minus.wav"):
            assert len(load(tmp_path / name)) == report.frames == frames


def test_one_alone_hears_silence(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", speech("host", 4.0))
    mix_files([path], tmp_path / "mix.wav", minus_dir=tmp_path)
    assert level_db(load(tmp_path / "mix.wav")) > -40.0
    assert np.abs(load(tmp_path / "a-minus.wav")[RATE_HZ:]).max() < 1e-4


# --- who is who ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ([], ["host", "guest", "guest"]),
        (["music"], ["music", "guest", "guest"]),
        (["teamA", "teamB", "host"], ["teamA", "teamB", "host"]),
    ],
)
def test_roles_go_by_the_order_of_the_inputs(
    tmp_path: Path, roles: list[str], expected: list[str]
) -> None:
    paths = [save(tmp_path / f"{name}.wav", np.zeros(100)) for name in "abc"]
    report = mix_files(paths, tmp_path / "mix.wav", roles=roles)
    assert [each.role for each in report.participants] == expected
    assert [each.name for each in report.participants] == ["a", "b", "c"]


def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    a, b = (save(tmp_path / f"{name}.wav", np.zeros(100)) for name in "ab")
    (tmp_path / "more" / "other").mkdir(parents=True)
    same = save(tmp_path / "other" / "a.wav", np.zeros(100))
    third = save(tmp_path / "more" / "other" / "a.wav", np.zeros(100))
    wide = save(tmp_path / "wide.wav", np.zeros((100, 6)))
    stereo = save(tmp_path / "stereo.wav", np.zeros((100, 2)))
    minus = save(tmp_path / "b-minus.wav", np.zeros(100))
    link = tmp_path / "link.wav"
    link.symlink_to(a)
    mix, folder = tmp_path / "mix.wav", tmp_path / "new"
    before = names(tmp_path)
    refused: list[tuple[Any, dict[str, Any], str]] = [
        ([], {}, "one recording at least"),
        ([a, a], {}, r"a\.wav is given twice"),
        ([a, link], {}, "given twice"),
        ([a, b], {"roles": ["host"] * 3}, "3 roles are too many for 2 inputs"),
        ([a, b], {"roles": ["singer"]}, "role='singer'"),
        ([wide, stereo], {}, "2 channels and another input 6"),
        ([a, same, third], {"minus_dir": folder}, "two inputs would be named other-a"),
        ([a, b], {"minus_dir": a}, "this is a file; name a folder"),
        ([b, minus], {"minus_dir": tmp_path}, r"b-minus\.wav: this is an input"),
        ([a, b], {"target": a}, r"a\.wav: this is an input"),
        ([a, b], {"target": link}, "this is an input"),
        ([a, b], {"target": tmp_path / "a-minus.wav", "minus_dir": tmp_path}, "two outputs"),
        ([a, b], {"target": tmp_path / "mix.xyz", "minus_dir": folder}, r"\.xyz are not written"),
        ([a, b], {"sample_rate_hz": 200000}, "sample_rate_hz=200000"),
        ([a, b], {"target_lufs": 0.0}, "target_lufs=0"),
        ([a, b], {"programme_lufs": -50.0}, "programme_lufs=-50"),
        ([a, b], {"duck_db": 40.0}, "duck_db=40"),
        ([a, b], {"music_below_lu": -1.0}, "music_below_lu=-1"),
        ([a, b], {"ceiling_dbtp": 1.0}, "ceiling_dbtp=1"),
        ([a, b], {"loudness_lufs": -3.0}, "loudness=-3"),
    ]
    for inputs, options, complaint in refused:
        with pytest.raises(ConfigError, match=complaint):
            mix_files(inputs, **{"target": mix, **options})
    with pytest.raises(InputFileError, match=r"no\.wav"):
        mix_files([a, tmp_path / "no.wav"], mix, minus_dir=folder)
    assert names(tmp_path) == before
    assert not folder.exists()


def test_alike_names_get_their_folders(tmp_path: Path) -> None:
    for folder in ("anna", "ben"):
        (tmp_path / folder).mkdir(parents=True)
    paths = [save(tmp_path / name / "mic.wav", np.zeros(9)) for name in ("anna", "ben")]
    report = mix_files(paths, tmp_path / "mix.wav", minus_dir=tmp_path / "minus")
    assert [each.name for each in report.participants] == ["anna-mic", "ben-mic"]
    assert names(tmp_path / "minus") == ["anna-mic-minus.wav", "ben-mic-minus.wav"]


def test_an_empty_recording_is_told(tmp_path: Path) -> None:
    report = mix_files([save(tmp_path / "a.wav", np.zeros(0))], tmp_path / "mix.wav")
    assert report.frames == 0
    assert report.warnings == (f"{tmp_path / 'a.wav'}: there is no audio in it",)


def test_samples_that_the_room_cannot_take_are_told(tmp_path: Path) -> None:
    loud = save(tmp_path / "hot.wav", np.resize(speech("host", 3.0), 3 * RATE_HZ) * 40.0)
    report = mix_files([loud], tmp_path / "mix.wav")
    (hot,) = report.participants
    assert hot.broken_count > 0
    assert report.warnings[-1].startswith(f"{loud}: {hot.broken_count} samples are beyond +18 dBFS")


def test_who_ends_early_goes_over_to_the_mix_without_a_step(tmp_path: Path) -> None:
    """A loud one ends while another speaks: the limiter that he caused is no longer in his mix."""
    rate_hz = 16000
    time_s = np.arange(4 * rate_hz) / rate_hz
    loud = save(tmp_path / "a.wav", 0.9 * np.sin(2000 * time_s[: 2 * rate_hz]))
    soft = save(tmp_path / "b.wav", 0.6 * np.sin(700 * time_s) * (1.1 + np.sin(20 * time_s)) / 2)
    mix_files([loud, soft], tmp_path / "mix.wav", minus_dir=tmp_path / "minus", level_voices=False)
    mix, heard = load(tmp_path / "mix.wav"), load(tmp_path / "minus" / "a-minus.wav")
    size = rate_hz // 100
    power, own = (np.square(x[2 * rate_hz :]).reshape(-1, size).mean(axis=1) for x in (mix, heard))
    apart_db = 10.0 * np.log10((own + 1e-9) / (power + 1e-9))
    assert np.max(np.abs(np.diff(apart_db))) < 1.0
    assert np.max(np.abs(apart_db[-50:])) < 0.01


# --- all or nothing ------------------------------------------------------------------------------


def test_a_damaged_recording_is_used_as_far_as_it_goes(tmp_path: Path, pair: list[Path]) -> None:
    cut = tmp_path / "cut.wav"
    content = save(tmp_path / "whole.wav", speech("host", 8.0), subtype="PCM_16").read_bytes()
    cut.write_bytes(content[: 44 + 2 * RATE_HZ])
    broken = load(pair[1])
    broken[100] = np.nan
    other = save(tmp_path / "broken.wav", broken[: 2 * RATE_HZ])
    report = mix_files([cut, other], tmp_path / "mix.wav")
    assert report.frames == 2 * RATE_HZ
    first, second = report.warnings
    assert first.startswith(f"{cut}: the file is cut off")
    assert second.startswith(f"{other}: 1 samples are not numbers")
    assert np.isfinite(load(tmp_path / "mix.wav")).all()


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("place", ["process", "flush", "leave"])
def test_a_failure_leaves_what_was_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    place: str,
) -> None:
    paths = [save(tmp_path / "a.wav", voice(1.0, RATE_HZ)), save(tmp_path / "b.wav", np.zeros(9))]
    (tmp_path / "mix.wav").write_text("the mix of yesterday")
    before = names(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(RoomMixer, place, fail)
    with pytest.raises(error):
        mix_files(paths, tmp_path / "mix.wav", minus_dir=tmp_path, loudness_lufs=-16.0)
    assert names(tmp_path) == before
    assert (tmp_path / "mix.wav").read_text() == "the mix of yesterday"


def test_no_output_has_its_name_before_all_are_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: list[Path]
) -> None:
    finish = AudioWriter.finish

    def full(writer: AudioWriter) -> None:
        if writer.path.name == "mix.wav":  # the last to be named
            raise OutputFileError("the disk is full")
        finish(writer)

    monkeypatch.setattr(AudioWriter, "finish", full)
    with pytest.raises(OutputFileError):
        mix_files(pair, tmp_path / "mix.wav", minus_dir=tmp_path)
    assert names(tmp_path) == ["in/a.wav", "in/b.wav"]


def test_inputs_are_untouched_and_nothing_else_stays(tmp_path: Path, pair: list[Path]) -> None:
    before = [path.read_bytes() for path in pair]
    mix_files(pair, tmp_path / "mix.flac", minus_dir=tmp_path / "new" / "minus")
    assert [path.read_bytes() for path in pair] == before
    wanted = ["in/a.wav", "in/b.wav", "mix.flac"]
    assert names(tmp_path) == [*wanted, "new/minus/a-minus.wav", "new/minus/b-minus.wav"]


@pytest.mark.parametrize("loudness_lufs", [None, -20.0])
def test_progress_reaches_the_end(
    tmp_path: Path, pair: list[Path], loudness_lufs: float | None
) -> None:
    seen: list[tuple[int, int]] = []
    mix_files(
        pair,
        tmp_path / "mix.wav",
        loudness_lufs=loudness_lufs,
        progress=lambda *now: seen.append(now),
    )
    done = [now for now, _ in seen]
    assert done == sorted(done)
    assert seen[-1][0] == seen[-1][1] >= SECONDS * RATE_HZ


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
import numpy as np, soundfile
from audio_engine.io.mixdown import mix_files
folder = Path(sys.argv[1])
minute = np.random.default_rng(1).normal(0.0, 3000.0, 480000).astype(np.int16)
for minutes in (1, 8):
    for name in ("a.wav", "b.wav"):
        with soundfile.SoundFile(folder / name, "w", 8000, 1, "PCM_16") as file:
            for _ in range(minutes):
                file.write(minute)
    mix_files([folder / "a.wav", folder / "b.wav"], folder / "m.wav", minus_dir=folder,
              sample_rate_hz=16000, loudness_lufs=-23.0)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    short, long = (int(line) for line in done.stdout.split())
    assert long - short < 8 * 1024  # KiB; as float the mix has 31 MB

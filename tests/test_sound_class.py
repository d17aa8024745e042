"""Speech, music, noise and silence: made sounds, any blocking, the tool that fits the weights."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_engine import resample
from audio_engine.analysis import sound_class
from audio_engine.analysis.sound_class import SoundClassifier, SoundSegment, shares
from audio_engine.analysis.sound_features import NAMES
from audio_engine.errors import ConfigError, FormatError, StreamError
from benchmarks.pieces import piece
from benchmarks.sound_class import measure, row
from signals import Signal, noise, speech
from tools.sound_class import scenes, train

RATE_HZ = 16000


def kinds(
    signal: Signal, rate_hz: int = RATE_HZ, blocks: list[int] | None = None
) -> list[SoundSegment]:
    """Return the segments of a signal, given in blocks of these lengths, again and again."""
    channels = 1 if signal.ndim == 1 else signal.shape[1]
    with SoundClassifier(rate_hz, channels) as classifier:
        start, index = 0, 0
        while start < len(signal):
            size = blocks[index % len(blocks)] if blocks else len(signal)
            classifier.add(signal[start : start + size])
            start, index = start + size, index + 1
        return classifier.finish()


def music(name: str, seconds: float, seed: int = 3) -> Signal:
    return piece(name, seconds, RATE_HZ, seed).astype(np.float32)


PROGRAMME = [
    ("speech", 0.5 * speech("host", 8.0) + noise(8.0, RATE_HZ, 0.0005)),
    ("music", music("band", 10.0)),
    ("noise", noise(8.0, RATE_HZ, 0.02)),
    ("silence", np.zeros(3 * RATE_HZ, np.float32)),
    ("speech", 0.3 * speech("guest", 8.0)),
]


def test_a_programme_is_cut_where_it_changes() -> None:
    found = kinds(np.concatenate([sound for _, sound in PROGRAMME]))
    assert [segment.kind for segment in found] == [kind for kind, _ in PROGRAMME]
    ends = np.cumsum([len(sound) / RATE_HZ for _, sound in PROGRAMME])
    assert found[0].start_s == 0.0
    for segment, end in zip(found, ends, strict=True):
        assert segment.end_s == pytest.approx(end, abs=1.0)
    assert [s.start_s for s in found[1:]] == [s.end_s for s in found[:-1]]
    assert sum(shares(found).values()) == pytest.approx(1.0)
    assert shares(found)["silence"] == pytest.approx(3.0 / ends[-1], abs=0.02)


def test_speech_wins_over_music_and_noise() -> None:
    voice = 0.5 * speech("host", 10.0)
    for under in (0.1 * music("piano", 10.0), 0.1 * noise(10.0, RATE_HZ, 0.1)):
        assert shares(kinds(voice + under))["speech"] > 0.8


@pytest.mark.parametrize("name", ["guitar", "song"])
def test_instruments_and_a_song_are_music(name: str) -> None:
    assert shares(kinds(music(name, 12.0, 8)))["music"] > 0.8


def test_any_blocking_gives_the_same_segments() -> None:
    signal = np.concatenate([speech("host", 3.0), music("band", 3.0), noise(2.5, RATE_HZ, 0.02)])
    signal = resample(signal, RATE_HZ, 44100)
    whole = kinds(signal, 44100)
    assert whole[-1].end_s == pytest.approx(8.5)
    assert kinds(signal, 44100, [441]) == kinds(signal, 44100, [7, 10000, 1, 333]) == whole


def test_rates_and_channels_do_not_matter() -> None:
    signal = np.concatenate([speech("host", 5.0), noise(5.0, RATE_HZ, 0.02)])
    wanted = [segment.kind for segment in kinds(signal)]
    wide = resample(signal, RATE_HZ, 96000)
    assert [s.kind for s in kinds(np.stack([wide, wide], axis=1), 96000)] == wanted


def test_little_and_nothing_are_no_trouble() -> None:
    assert kinds(np.zeros(0, np.float32)) == []
    assert kinds(np.zeros(100, np.float32)) == [SoundSegment(0.0, 100 / RATE_HZ, "silence")]
    broken = np.full(RATE_HZ, np.nan, np.float32)
    assert kinds(np.concatenate([broken, noise(3.0, RATE_HZ, 0.02)]))[-1].kind == "noise"
    with SoundClassifier(48000, 2) as classifier:
        with pytest.raises(FormatError):
            classifier.add(np.zeros((10, 3)))
        classifier.finish()
        with pytest.raises(StreamError):
            classifier.add(np.zeros((10, 2)))
    with pytest.raises(ConfigError):
        SoundClassifier(4000)


def test_memory_does_not_grow() -> None:
    with SoundClassifier(RATE_HZ) as classifier:
        held = []
        for _ in range(6):
            classifier.add(noise(10.0, RATE_HZ, 0.01))
            listener = classifier._listener
            held.append((len(listener._history), len(classifier._recent), len(listener._waiting)))
        assert held[1] == held[-1]


def test_the_weights_fit_the_figures_and_the_tool_makes_such(tmp_path: Path) -> None:
    table = tomllib.loads(sound_class._WEIGHTS.read_text(encoding="utf-8"))
    assert len(table["mean"]) == len(table["scale"]) == len(NAMES)
    assert {len(row) for row in table["weights"].values()} == {2 * len(NAMES) + 1}
    (tmp_path / "talker").mkdir()
    soundfile.write(tmp_path / "talker" / "host.wav", speech("host", 8.0), RATE_HZ)
    recordings = scenes.Recordings(tmp_path)
    none = scenes.Recordings(None)
    made = list(scenes.clips(1, recordings, none, none, seed=1))
    assert [clip.kind for clip in made] == [0, 1, 2]
    rows = [train.rows_of(clip.signal)[clip.heard] for clip in made]
    wanted = np.repeat([0, 1, 2], [len(each) for each in rows])
    mean, scale, weights = train.fit(np.concatenate(rows), wanted)
    written = tomllib.loads(train.document(mean, scale, weights))
    assert {len(row) for row in written["weights"].values()} == {2 * len(NAMES) + 1}
    told = np.argmax(sound_class.expanded((np.concatenate(rows) - mean) / scale) @ weights, axis=1)
    assert np.mean(told == wanted) > 0.95


def test_the_benchmark_tells_what_each_kind_was_taken_for(tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    soundfile.write(tmp_path / "host" / "host.wav", speech("host", 8.0), RATE_HZ)
    none = scenes.Recordings(None)
    records = list(measure(1, scenes.Recordings(tmp_path), none, none, seed=2))
    right = {r["case"]: r["right"] for r in records if "right" in r}
    assert {"speech", "music", "noise"} <= set(right)
    assert min(right[kind] for kind in ("speech", "music", "noise")) > 0.7
    assert all(row(record) for record in records)
    assert records[-1]["share_of_core"] > 0.0

"""What is measured on the two files side by side: one pass, memory that does not grow with them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audio_engine.analysis.clipping import ClippingDetector
from audio_engine.analysis.echo_bursts import EchoBurstDetector
from audio_engine.analysis.event import Event
from audio_engine.analysis.howl import HowlDetector
from audio_engine.analysis.hum import HumDetector
from audio_engine.analysis.power import LevelHistogram, PowerMeans
from audio_engine.analysis.stalls import StallDetector
from audio_engine.io.converted import ConvertedReader
from audio_engine.io.files import AudioReader, open_reader
from audio_engine.io.offline import full_scale
from audio_engine.processors.audio import AudioArray
from audio_engine.processors.loudness import LoudnessMeter
from audio_engine.processors.vad import VoiceActivityDetector
from audio_engine.report.series import Series, Thinner
from audio_engine.report.spectrogram import Spectrogram

if TYPE_CHECKING:
    from audio_engine.analysis.sound_class import SoundSegment

_BLOCK_S = 1.0
_READING_S = 0.1  # EBU Tech 3341: a meter is read ten times a second
_PEAK_S = 0.02
_JUDGED_S = 0.01  # blocks of the voice activity
_PAUSE_BLOCKS = 30  # after the last word or echo the room still rings for 0.3 s
_SHORTEST_PAUSE_BLOCKS = 50  # in all; the detector needs some tenths to know a voice
_FAR_ACTIVE_DBFS = -50.0
_LOWEST_DBFS = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFacts:
    """What was found in one file: before or after.

    Levels in dBFS: of the voice where somebody speaks (RMS), and the median of the pauses; None
    where there is neither. `echo_dbfs` is the level where only the loudspeaker is heard.
    """

    sample_format: str
    container: str
    voice_dbfs: float | None
    pause_dbfs: float | None
    echo_dbfs: float | None
    speech_share: float
    events: tuple[Event, ...]
    series: tuple[Series, ...]
    spectrogram: NDArray[np.float32]
    highest_hz: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Both sides, the far end's activity, what webrtcvad says of the result, kinds of sound."""

    before: SideFacts
    after: SideFacts
    webrtcvad_share: float
    series: tuple[Series, ...]
    sounds: tuple[SoundSegment, ...]


def survey(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    far_end: str | os.PathLike[str] | None = None,
) -> Survey:
    """Measure a file before and after, in step.

    Raises
    ------
    InputFileError
        If one of them cannot be read.
    """
    from audio_engine.analysis.sound_class import SoundClassifier

    with ExitStack() as stack:
        readers = [stack.enter_context(open_reader(path)) for path in (source, target)]
        rate_hz = readers[0].sample_rate_hz
        far = stack.enter_context(ConvertedReader(far_end, rate_hz)) if far_end else None
        before, after = (stack.enter_context(_Side(r, far is not None)) for r in readers)
        sounds = SoundClassifier(rate_hz, readers[1].channels)
        other = stack.enter_context(
            VoiceActivityDetector(rate_hz, readers[1].channels, engine="webrtcvad")
        )
        pool = stack.enter_context(ThreadPoolExecutor(3))
        judge = _Judge(rate_hz)
        other_speech, far_active = Thinner(_JUDGED_S), Thinner(_JUDGED_S)
        frames = max(1, round(_BLOCK_S * rate_hz))
        while len(block := readers[0].read(frames)):
            result = _as_long(readers[1].read(len(block)), len(block))
            far_block = None if far is None else far.read(len(block))
            # Most of it is numpy and C, which let go of the interpreter's lock.
            heard = pool.submit(sounds.add, result)
            judged = pool.submit(other.process, result)
            earlier = pool.submit(before.add, block, far_block)
            probabilities = [after.add(result, far_block), earlier.result()][::-1]
            heard.result()
            for value in judged.result().tolist():
                other_speech.add(value)
            active = judge.add(block, result, far_block, probabilities)
            for value in active.tolist() if far is not None else ():
                far_active.add(float(value))
        other.flush()
        speech = other_speech.series("webrtcvad", "", "after")
        levels = judge.levels()
        windows = before.end_echo()
        after.end_echo()
        return Survey(
            before=before.facts(*levels[0], windows),
            after=after.facts(*levels[1], windows),
            webrtcvad_share=other.stats().speech_share,
            series=(speech, far_active.series("far_end_active", "")) if far else (speech,),
            sounds=tuple(sounds.finish()),
        )


def _as_long(block: AudioArray, frames: int) -> AudioArray:
    """Return a block of so many frames: a lossy file may lack its last ones."""
    return np.pad(block, ((0, frames - len(block)), (0, 0)))


class _Side:
    """The meters and detectors of one file."""

    def __init__(self, reader: AudioReader, with_echo: bool) -> None:
        rate_hz, channels = reader.sample_rate_hz, reader.channels
        self._reader = reader
        self._meter = LoudnessMeter(rate_hz, channels, true_peak=False)
        self._speech = VoiceActivityDetector(rate_hz, channels)
        self._spectrogram = Spectrogram(rate_hz, reader.frames)
        self._echo = EchoBurstDetector(rate_hz) if with_echo else None
        self._detectors = (
            ClippingDetector(rate_hz, channels, full_scale(reader.subtype)),
            StallDetector(rate_hz, channels),
            HowlDetector(rate_hz, channels),
            HumDetector(rate_hz, channels),
        )
        self._peaks = Thinner(_PEAK_S, max)
        self._momentary, self._short_term = Thinner(_READING_S, max), Thinner(_READING_S)
        self._reading_frames = max(1, round(_READING_S * rate_hz))
        self._probability = Thinner(_JUDGED_S)
        self._peak_frames = max(1, round(_PEAK_S * rate_hz))
        self._echo_events: list[Event] = []
        self._echo_power: list[float] = []  # mean power of every half second
        self._half_second = PowerMeans(round(0.5 * rate_hz))

    def add(self, block: AudioArray, far_block: AudioArray | None) -> NDArray[np.float32]:
        """Take the next second and return the speech probability of every 10 ms."""
        for start in range(0, len(block), self._reading_frames):
            self._meter.process(block[start : start + self._reading_frames])
            now = self._meter.live_stats()
            self._momentary.add(now.momentary_lufs)
            self._short_term.add(now.short_term_lufs)
        starts = np.arange(0, len(block), self._peak_frames)
        for peak in np.maximum.reduceat(np.abs(block).max(axis=1), starts).tolist():
            self._peaks.add(peak)
        self._spectrogram.add(block)
        for detector in self._detectors:
            detector.add(block)
        if self._echo is not None and far_block is not None:
            self._echo.add(block, far_block)
            self._echo_power += self._half_second.add(block).tolist()
        probabilities = self._speech.process(block)
        for value in probabilities.tolist():
            self._probability.add(value)
        return probabilities

    def end_echo(self) -> list[float]:
        """Find the echo, and return the starts of the half seconds in which it prevails."""
        if self._echo is None:
            return []
        self._echo_events = self._echo.finish()
        return [start_s for start_s, _ in self._echo.windows]

    def facts(
        self, voice_dbfs: float | None, pause_dbfs: float | None, echo_windows_s: list[float]
    ) -> SideFacts:
        """Return what was found; the echo's level is that of the windows given."""
        self._speech.flush()
        events = [event for detector in self._detectors for event in detector.finish()]
        events += self._echo_events
        curves = (
            ("peak", "", self._peaks, 4),
            ("momentary_loudness", "LUFS", self._momentary, 1),
            ("short_term_loudness", "LUFS", self._short_term, 1),
            ("speech", "", self._probability, 2),
        )
        return SideFacts(
            sample_format=self._reader.subtype,
            container=self._reader.container,
            voice_dbfs=voice_dbfs,
            pause_dbfs=pause_dbfs,
            echo_dbfs=self._echo_level(echo_windows_s),
            speech_share=self._speech.stats().speech_share,
            events=tuple(sorted(events, key=lambda event: event.start_s)),
            series=tuple(c.series(name, unit, "", digits) for name, unit, c, digits in curves),
            spectrogram=self._spectrogram.finish(),
            highest_hz=self._spectrogram.highest_hz,
        )

    def _echo_level(self, windows_s: list[float]) -> float | None:
        """Return the median level of the half seconds nearest to the windows.

        The median, because in some of them somebody speaks as well.
        """
        places = {round(start_s / 0.5) for start_s in windows_s}
        powers = [self._echo_power[i] for i in places if i < len(self._echo_power)]
        return _dbfs(float(np.median(powers))) if powers else None

    def __enter__(self) -> _Side:
        return self

    def __exit__(self, *_: object) -> None:
        self._meter.close()
        self._speech.close()


class _Judge:
    """Levels of voice and pauses, by 10 ms blocks: who speaks is decided for both sides together.

    The voice is where the result has speech and the loudspeaker is silent; a pause is where for
    0.3 s neither side has speech and the loudspeaker was silent.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        frames = max(1, round(_JUDGED_S * sample_rate_hz))
        self._means = [PowerMeans(frames) for _ in range(3)]
        # Blocks since the last speech, far end; a file may begin within a word.
        self._since = [0, _PAUSE_BLOCKS]
        self._voice = [[0.0, 0.0], [0.0, 0.0]]  # sum of powers, count
        self._pauses = [LevelHistogram(_LOWEST_DBFS) for _ in range(2)]

    def add(
        self,
        before: AudioArray,
        after: AudioArray,
        far_end: AudioArray | None,
        probabilities: list[NDArray[np.float32]],
    ) -> NDArray[np.bool_]:
        """Take the next block of each and return where the far end is active."""
        powers = [m.add(b) for m, b in zip(self._means, (before, after), strict=False)]
        count = len(powers[0])
        far = np.zeros(count) if far_end is None else self._means[2].add(far_end)
        active = np.asarray(far > 10.0 ** (_FAR_ACTIVE_DBFS / 10.0))
        speech = [np.resize(each, count) >= 0.5 for each in probabilities]
        since_speech = self._elapsed(0, speech[0] | speech[1])
        since_far = self._elapsed(1, active)
        voice = speech[1] & (since_far >= _PAUSE_BLOCKS)
        pause = (since_speech >= _PAUSE_BLOCKS) & (since_far >= _PAUSE_BLOCKS)
        for side, power in enumerate(powers):
            self._voice[side][0] += float(power[voice].sum())
            self._voice[side][1] += int(voice.sum())
            self._pauses[side].add(power[pause])
        return active

    def levels(self) -> list[tuple[float | None, float | None]]:
        """Return (voice, pause) in dBFS of both sides; None: less than 0.1 s, 0.5 s of it."""
        found: list[tuple[float | None, float | None]] = []
        for (total, count), pauses in zip(self._voice, self._pauses, strict=True):
            voice = _dbfs(total / count) if count >= 10 else None
            is_long = pauses.count >= _SHORTEST_PAUSE_BLOCKS
            found.append((voice, pauses.level_dbfs(0.5) if is_long else None))
        return found

    def _elapsed(self, which: int, happens: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return for each block how many blocks ago it happened last."""
        index = np.arange(len(happens))
        last = np.maximum.accumulate(np.where(happens, index, -self._since[which] - 1))
        elapsed = index - last
        if len(elapsed):
            self._since[which] = min(int(elapsed[-1]), 10**6)
        return np.asarray(elapsed)


def _dbfs(power: float) -> float:
    return 10.0 * float(np.log10(power + 1e-12))

"""Measure whole files: loudness, peaks, clipping, noise, speech, music. Streamed in blocks."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from audio_engine.analysis.power import LevelHistogram, PowerMeans
from audio_engine.analysis.sound_class import SoundClassifier, SoundSegment, shares
from audio_engine.config import MAX_RATE_HZ, METER_MAX_RATE_HZ
from audio_engine.io.files import AudioReader, open_reader
from audio_engine.io.offline import Progress, file_warnings, full_scale
from audio_engine.io.part_file import output_file
from audio_engine.processors.audio import AudioArray
from audio_engine.processors.loudness import LoudnessMeter
from audio_engine.processors.resample import Resampler
from audio_engine.processors.vad import VoiceActivityDetector

SERIES_SECONDS = 0.1  # EBU Tech 3341: a meter is read ten times a second
_LEVEL_SECONDS = 0.05  # shorter than the pauses between words
_FLOOR_SHARE = 0.1  # of the stretches are quieter than the noise floor; a talker pauses more often
_LOWEST_DBFS = -120
_NOISE_HEARD = 1.26  # power of speech with noise over noise: 1 dB; less is noise
_PAUSE_BLOCKS = 10  # of 10 ms without speech around what counts as a pause
#: Limits in Hz of the bands whose balance is measured: two octaves each but the first.
BAND_LIMITS_HZ = (20, 250, 1000, 4000, 16000)
_DETECTOR_RATE_HZ = 48000  # for files beyond the rates that the detector takes


@dataclass(frozen=True, slots=True, kw_only=True)
class LoudnessPoint:
    """The meter at one moment."""

    time_s: float
    momentary_lufs: float
    short_term_lufs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeasurement:
    """What `measure_file` found.

    Loudness after ITU-R BS.1770-5 and EBU Tech 3341/3342. `noise_floor_dbfs` is the RMS level that
    a tenth of all 50 ms stretches stay below (-120 at least). `speech_share` is the part of the
    time in which somebody speaks, pauses up to 150 ms included, 0 to 1. `clipped_count` counts
    samples at full scale, `invalid_count` samples that are no numbers or beyond +36 dBFS.

    `music_share`, `noise_share` and `silence_share` come from `segments` (`SoundClassifier`), whose
    speech includes longer pauses; they do not add up with `speech_share`. `speech_level_dbfs` is
    the RMS level where somebody speaks, `pause_level_dbfs` the median level where nobody has for
    0.1 s; `speech_to_noise_db` the level of speech without the noise in it over the noise floor,
    None without speech. `bands_dbfs` has the RMS level of each band, by its limits in Hz.
    `peak_to_loudness_lu` is true peak minus integrated loudness.
    """

    input: str
    sample_rate_hz: int
    channels: int
    frames: int
    duration_s: float
    sample_format: str
    integrated_lufs: float
    max_momentary_lufs: float
    max_short_term_lufs: float
    loudness_range_lu: float
    true_peak_dbtp: float
    sample_peak_dbfs: float
    noise_floor_dbfs: float
    speech_share: float
    music_share: float
    noise_share: float
    silence_share: float
    speech_level_dbfs: float
    pause_level_dbfs: float
    speech_to_noise_db: float | None
    peak_to_loudness_lu: float
    bands_dbfs: dict[str, float]
    clipped_count: int
    invalid_count: int
    warnings: tuple[str, ...]
    segments: tuple[SoundSegment, ...] = field(default=())
    series: tuple[LoudnessPoint, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dictionaries; infinities stay floats."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class JointMeasurement:
    """Several files measured as one programme: see `FileMeasurement`.

    Gates and range go over the blocks of all files; maxima are the largest, counts and times sums.
    """

    files: int
    duration_s: float
    integrated_lufs: float
    max_momentary_lufs: float
    max_short_term_lufs: float
    loudness_range_lu: float
    true_peak_dbtp: float
    sample_peak_dbfs: float
    speech_share: float
    clipped_count: int
    invalid_count: int

    @classmethod
    def of(cls, files: Sequence[FileMeasurement], joint: LoudnessMeter) -> Self:
        """Put together what `measure_file` returned and what it merged into `joint`."""
        stats = joint.stats()
        duration_s = sum(each.duration_s for each in files)
        speech_s = sum(each.speech_share * each.duration_s for each in files)
        return cls(
            files=len(files),
            duration_s=duration_s,
            integrated_lufs=stats.integrated_lufs,
            max_momentary_lufs=stats.max_momentary_lufs,
            max_short_term_lufs=stats.max_short_term_lufs,
            loudness_range_lu=stats.loudness_range_lu,
            true_peak_dbtp=stats.true_peak_dbtp,
            sample_peak_dbfs=max((each.sample_peak_dbfs for each in files), default=-np.inf),
            speech_share=speech_s / duration_s if duration_s else 0.0,
            clipped_count=sum(each.clipped_count for each in files),
            invalid_count=sum(each.invalid_count for each in files),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary; infinities stay floats."""
        return asdict(self)


def measure_file(
    path: str | os.PathLike[str],
    *,
    series: bool = False,
    progress: Progress | None = None,
    joint: LoudnessMeter | None = None,
) -> FileMeasurement:
    """Measure one file. Gates and range are exact: 288 kB an hour are kept for them.

    Parameters
    ----------
    path : path-like
        Any file that `open_reader` takes, up to 192 kHz.
    series : bool
        Keep momentary and short-term loudness ten times a second.
    progress : callable, optional
        Called with (frames done, frames expected) after each block.
    joint : LoudnessMeter, optional
        Takes the file's loudness in when it has been measured, as `LoudnessMeter.merge` does: for
        a programme of many files.

    Raises
    ------
    InputFileError
        If the file cannot be read.
    """
    with open_reader(path, max_rate_hz=METER_MAX_RATE_HZ) as reader:
        levels = _Levels(reader)
        meter = LoudnessMeter(reader.sample_rate_hz, reader.channels, exact=True)
        detector = _Speech(reader.sample_rate_hz, reader.channels)
        classifier = SoundClassifier(reader.sample_rate_hz, reader.channels)
        bands = _Bands(reader.sample_rate_hz)
        points: list[LoudnessPoint] = []
        done = 0
        with meter, detector, classifier:
            for block in reader.blocks(max(1, round(SERIES_SECONDS * reader.sample_rate_hz))):
                meter.process(block)
                levels.add(block)
                detector.add(block)
                classifier.add(block)
                bands.add(block)
                done += len(block)
                if series:
                    now = meter.live_stats()
                    points.append(
                        LoudnessPoint(
                            time_s=done / reader.sample_rate_hz,
                            momentary_lufs=now.momentary_lufs,
                            short_term_lufs=now.short_term_lufs,
                        )
                    )
                if progress is not None:
                    progress(done, reader.frames)
            meter.flush()
            stats = meter.stats()
            if joint is not None:
                joint.merge(meter)
            speech_share = detector.finish()
            segments = classifier.finish()
    share_of = shares(segments)
    speech_dbfs, pause_dbfs = detector.levels_dbfs()
    floor_dbfs = levels.noise_floor_dbfs()
    return FileMeasurement(
        input=str(reader.path),
        sample_rate_hz=reader.sample_rate_hz,
        channels=reader.channels,
        frames=done,
        duration_s=done / reader.sample_rate_hz,
        sample_format=reader.subtype,
        integrated_lufs=stats.integrated_lufs,
        max_momentary_lufs=stats.max_momentary_lufs,
        max_short_term_lufs=stats.max_short_term_lufs,
        loudness_range_lu=stats.loudness_range_lu,
        true_peak_dbtp=stats.true_peak_dbtp,
        sample_peak_dbfs=levels.sample_peak_dbfs(),
        noise_floor_dbfs=floor_dbfs,
        speech_share=speech_share,
        music_share=share_of["music"],
        noise_share=share_of["noise"],
        silence_share=share_of["silence"],
        speech_level_dbfs=speech_dbfs,
        pause_level_dbfs=pause_dbfs,
        speech_to_noise_db=_speech_to_noise_db(speech_dbfs, floor_dbfs),
        peak_to_loudness_lu=stats.true_peak_dbtp - stats.integrated_lufs,
        bands_dbfs=bands.levels_dbfs(),
        clipped_count=levels.clipped_count,
        invalid_count=reader.invalid_count,
        warnings=tuple(f"{reader.path}: {text}" for text in file_warnings(reader)),
        segments=tuple(segments),
        series=tuple(points),
    )


def _dbfs(power: float) -> float:
    return 10.0 * float(np.log10(power)) if power > 0.0 else -np.inf


def _speech_to_noise_db(speech_dbfs: float, floor_dbfs: float) -> float | None:
    """Return how far speech without its noise lies over the noise floor."""
    if not np.isfinite(speech_dbfs):
        return None
    floor = 10.0 ** (max(floor_dbfs, _LOWEST_DBFS) / 10.0)
    own = 10.0 ** (speech_dbfs / 10.0)
    return _dbfs((own - floor) / floor) if own > _NOISE_HEARD * floor else None


def write_series(path: str | os.PathLike[str], files: Sequence[FileMeasurement]) -> None:
    """Write the series of measured files as CSV: file, time in s, momentary and short-term LUFS.

    In digital silence the loudness is ``-inf``. The file appears under its name when complete.

    Raises
    ------
    OutputFileError
        If it cannot be written.
    """
    with (
        output_file(path) as part,
        part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "time_s", "momentary_lufs", "short_term_lufs"])
        for each in files:
            for point in each.series:
                loudness = (point.momentary_lufs, point.short_term_lufs)
                cells = [f"{value:.2f}" for value in loudness]
                writer.writerow([each.input, f"{point.time_s:.3f}", *cells])


class _Speech:
    """Where a file holds speech, and how loud it is there and in the pauses.

    Beyond the detector's rates the sound is converted first.
    """

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        converted = sample_rate_hz > MAX_RATE_HZ
        self._resampler = Resampler(sample_rate_hz, _DETECTOR_RATE_HZ) if converted else None
        self._detector = VoiceActivityDetector(
            _DETECTOR_RATE_HZ if converted else sample_rate_hz, 1 if converted else channels
        )
        self._means = PowerMeans(sample_rate_hz // 100)
        self._powers: list[NDArray[np.float64]] = []  # of blocks that are not judged yet
        self._speech_power, self._speech_blocks = 0.0, 0
        self._pauses = LevelHistogram(_LOWEST_DBFS)
        self._since = _PAUSE_BLOCKS  # blocks without speech

    def add(self, block: AudioArray) -> None:
        """Take the next block of the file."""
        self._powers.append(self._means.add(block))
        if self._resampler is not None:
            block = self._resampler.process(block.mean(axis=1))
        self._note(self._detector.process(block))

    def _note(self, probabilities: NDArray[np.float32]) -> None:
        """Add the power of judged blocks to that of speech or of pauses."""
        powers = np.concatenate([*self._powers, np.zeros(0)])
        for probability, power in zip(probabilities, powers, strict=False):
            speech = bool(probability >= self._detector.threshold)
            self._since = 0 if speech else self._since + 1
            if speech:
                self._speech_power += float(power)
                self._speech_blocks += 1
            elif self._since > _PAUSE_BLOCKS:
                self._pauses.add(np.array([power]))
        self._powers = [powers[len(probabilities) :]]

    def finish(self) -> float:
        """Judge the rest and return the share, 0 to 1."""
        if self._resampler is not None:
            self._note(self._detector.process(self._resampler.flush()))
        self._note(self._detector.flush())
        return self._detector.stats().speech_share

    def levels_dbfs(self) -> tuple[float, float]:
        """Return the level of speech and of pauses; -inf where there is none."""
        speech = self._speech_power / max(1, self._speech_blocks)
        return _dbfs(speech), self._pauses.level_dbfs(0.5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._detector.close()
        if self._resampler is not None:
            self._resampler.close()


class _Bands:
    """Mean power in a few bands, by a spectrum of every 0.1 s."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._power = np.zeros(len(BAND_LIMITS_HZ) - 1)
        self._count = 0

    def add(self, block: AudioArray) -> None:
        """Take the next block; a last one that is much shorter says nothing."""
        size = len(block)
        if size < SERIES_SECONDS * self._rate_hz / 2:
            return
        window = np.hanning(size)
        spectrum = np.fft.rfft(block * window[:, np.newaxis], axis=0)
        power = np.mean(np.abs(spectrum) ** 2, axis=1) * 2.0 / (size * np.sum(window**2))
        edges = np.rint(np.array(BAND_LIMITS_HZ) * size / self._rate_hz).astype(np.int64)
        sums = np.concatenate([[0.0], np.cumsum(power)])
        reach = sums[np.minimum(edges, len(power))]
        self._power += reach[1:] - reach[:-1]
        self._count += 1

    def levels_dbfs(self) -> dict[str, float]:
        """Return the level of each band by its limits in Hz; -inf beyond what the rate holds."""
        pairs = zip(BAND_LIMITS_HZ[:-1], BAND_LIMITS_HZ[1:], self._power, strict=True)
        return {f"{low}-{high}": _dbfs(power / max(1, self._count)) for low, high, power in pairs}


class _Levels:
    """Peak, clipping and a histogram of short levels, whose size does not depend on the file."""

    def __init__(self, reader: AudioReader) -> None:
        self._full_scale = full_scale(reader.subtype)
        self._means = PowerMeans(round(_LEVEL_SECONDS * reader.sample_rate_hz))
        self._histogram = LevelHistogram(_LOWEST_DBFS)
        self._peak = 0.0
        self.clipped_count = 0

    def add(self, block: AudioArray) -> None:
        """Take the next block of the file."""
        magnitude = np.abs(block)
        self._peak = max(self._peak, float(magnitude.max()))
        self.clipped_count += int(np.count_nonzero(magnitude >= self._full_scale))
        self._histogram.add(self._means.add(block))

    def sample_peak_dbfs(self) -> float:
        """Return the largest sample so far."""
        return 20.0 * float(np.log10(self._peak)) if self._peak > 0.0 else -np.inf

    def noise_floor_dbfs(self) -> float:
        """Return the level that few short stretches lie below."""
        return self._histogram.level_dbfs(_FLOOR_SHARE)

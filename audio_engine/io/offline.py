"""Whole files through the engine: streamed in blocks, latency taken off, measured before and after.

The same `Engine` as in a live stream; memory does not grow with the length of the file. With a
loudness target the chain's output is kept on disk and goes through a second pass (`normalise`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from audio_engine.config import EngineConfig
from audio_engine.errors import ConfigError, FormatError
from audio_engine.graph.engine import Engine
from audio_engine.io.converted import ConvertedReader
from audio_engine.io.echo_file import EchoStateFile, Note
from audio_engine.io.files import AudioReader, AudioWriter, check_target, open_reader, open_writer
from audio_engine.io.normalise import check_loudness_target
from audio_engine.io.programme import ProgrammeOutput
from audio_engine.io.standard import path_of
from audio_engine.processors.audio import AudioArray
from audio_engine.processors.loudness import LoudnessMeter
from audio_engine.processors.stats import EngineStats, LoudnessStats

_NO_ECHO_S = 2.0
BLOCK_SECONDS = 0.5  # long enough that Python costs nothing, short enough for a smooth bar
_FAR_END_ACTIVE = 10.0 ** (-50.0 / 20.0)  # RMS above which a block of the far end counts as active

#: Called after each block with the frames done and the frames expected.
Progress = Callable[[int, int], None]
#: Called after each block with the seconds done and what the stages measure now.
Watch = Callable[[float, EngineStats], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What `process_file` did to one file.

    Loudness in LUFS, levels in dB; a figure is None where its stage did not run. `erle_db` is the
    median over the blocks in which the far end was active, `noise_reduction_db` over all blocks.
    Delay and drift of the echo are those at the end; `no_echo_path` says that none was heard in the
    last 2 s and more of active far end. `loudness_target_lufs` and `loudness_gain_db` are None
    without a loudness target; `gain_db` is the leveller's at the end.
    `clipped_input_count` counts samples at full scale, `clipped_output_count` those that had to be
    cut, `invalid_count` input samples that were no numbers (or beyond +36 dBFS).
    """

    input: str
    output: str
    far_end: str | None
    sample_rate_hz: int
    channels: int
    frames: int
    duration_s: float
    latency_frames: int
    latency_ms: float
    times_real_time: float
    loudness_before: LoudnessStats
    loudness_after: LoudnessStats
    erle_db: float | None
    echo_delay_ms: float | None
    echo_drift_ppm: float | None
    no_echo_path: bool | None
    noise_reduction_db: float | None
    gain_db: float | None
    loudness_target_lufs: float | None
    loudness_gain_db: float | None
    limiter_max_reduction_db: float | None
    invalid_count: int
    clipped_input_count: int
    clipped_output_count: int
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dictionaries; infinities stay floats."""
        return asdict(self)


def process_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    config: EngineConfig,
    far_end: str | os.PathLike[str] | None = None,
    echo_state: str | os.PathLike[str] | None = None,
    loudness_lufs: float | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> FileReport:
    """Run one file through the engine.

    Parameters
    ----------
    source, target : path-like
        Input and output. Rate, channels and length stay; the sample format too, where the
        target's container has it, and what the file says beside its samples. With PyAV (the extra
        ``media``) the input may be M4A or a video, and so may the output, if there is a picture to
        go along: that is copied, and the sound stays in its place to the sample. ``-`` is standard
        input or output (WAV).
    config : EngineConfig
        Settings; rate, channels and far channels are taken from the files. Without a far end the
        echo canceller does not run.
    far_end : path-like, optional
        What the loudspeaker played, starting with the input; any rate and length, 1 to 8 channels:
        one reference, two with an echo path each, or more, which are mixed down to two.
    echo_state : path-like, optional
        File that the echo canceller starts from, if it is there and fits, and that its state is
        written to at the end. What is wrong with it is a warning in the report.
    loudness_lufs : float, optional
        Integrated loudness that the whole output is brought to, -36 to -9 LUFS, within 0.02 LU.
        The chain then runs without its limiter, its output is kept in a file without a name beside
        the target (float32), and one gain for all of it is searched, with the limiter behind that:
        peaks are limited once, and whatever ``limiter.enabled`` says. What cannot be reached
        (silence, less than 400 ms, more than 6 LU for the limiter) is a warning in the report.
    progress : callable, optional
        Called with (frames done, frames expected) after each block; each pass of a search counts.
    watch : callable, optional
        Called with the seconds done and an `EngineStats` every 0.5 s: what changes over time.

    Returns
    -------
    FileReport
        Measurements before and after.

    Raises
    ------
    InputFileError
        If an input cannot be read.
    OutputFileError
        If the output cannot be written. Whatever goes wrong, no part of an output is left behind.
    ConfigError
        If the target is one of the inputs, the configuration does not fit the files, or the
        loudness target is out of range.
    """
    if echo_state is not None and far_end is None:
        raise ConfigError("an echo state is of no use without a far end")
    if loudness_lufs is not None:
        check_loudness_target(loudness_lufs)
    started = time.perf_counter()
    never = tuple(path for path in (source, far_end, echo_state) if path is not None)
    with open_reader(source) as reader:
        check_target(path_of(target), never)
        far = None if far_end is None else ConvertedReader(far_end, reader.sample_rate_hz)
        try:
            ready = _fitted(config, reader, far, two_passes=loudness_lufs is not None)
            writer = open_writer(
                target,
                sample_rate_hz=reader.sample_rate_hz,
                channels=reader.channels,
                subtype=reader.subtype,
                container=reader.container,
                expected_frames=reader.frames,
                never=never,
                like=reader,
            )
            with contextlib.ExitStack() as stack:
                stack.enter_context(writer)
                engine = stack.enter_context(Engine(ready))
                output = stack.enter_context(
                    ProgrammeOutput(
                        writer,
                        reader.sample_rate_hz,
                        reader.channels,
                        loudness_lufs=loudness_lufs,
                        limiter=config.limiter,
                    )
                )
                job = _Job(engine, reader, far, writer, output)
                kept = None if echo_state is None else EchoStateFile(echo_state)
                if kept is not None:
                    job.notes.append(kept.load(engine.load_state))
                job.run(progress, watch)
                if kept is not None:
                    learned = engine.has_learned_echo
                    job.notes.append(kept.save(engine.save_state, has_learned=learned))
                output.finish(progress)
                writer.note_loudness(output.loudness)
        finally:
            if far is not None:
                far.close()
    return job.report(time.perf_counter() - started)


def _fitted(
    config: EngineConfig, reader: AudioReader, far: ConvertedReader | None, *, two_passes: bool
) -> EngineConfig:
    """Give a configuration the layout of the files; of two passes the second has the limiter."""
    if far is not None and not config.echo.enabled:
        raise FormatError("a far end was given, but the configuration disables echo cancellation")
    return replace(
        config,
        sample_rate_hz=reader.sample_rate_hz,
        channels=reader.channels,
        far_channels=1 if far is None else far.channels,
        echo=replace(config.echo, enabled=far is not None),
        limiter=replace(config.limiter, enabled=config.limiter.enabled and not two_passes),
        meter=replace(config.meter, enabled=False),  # both sides are measured here, alike
    )


class _Job:
    """One file on its way: the streams, the meters, and what the stages reported."""

    def __init__(
        self,
        engine: Engine,
        reader: AudioReader,
        far: ConvertedReader | None,
        writer: AudioWriter,
        output: ProgrammeOutput,
    ) -> None:
        self.engine, self.reader, self.far = engine, reader, far
        self.writer, self.output = writer, output
        self.before = LoudnessMeter(reader.sample_rate_hz, reader.channels)
        self.full_scale = full_scale(reader.subtype)
        self.clipped_input_count = 0
        self.frames = 0
        self.to_drop = self.latency_frames = engine.latency_frames
        self.erle_db: list[float] = []
        self.noise_reduction_db: list[float] = []
        self.stats: EngineStats | None = None
        self.notes: list[Note] = []
        self.active_without_echo = 0  # blocks of active far end in a row

    def run(self, progress: Progress | None, watch: Watch | None) -> None:
        """Process the whole file: the only pass, or the first."""
        for block in self.reader.blocks(max(1, round(BLOCK_SECONDS * self.reader.sample_rate_hz))):
            self.before.process(block)
            self.clipped_input_count += int(np.count_nonzero(np.abs(block) >= self.full_scale))
            far_block = None if self.far is None else self.far.read(len(block))
            self.write(self.engine.process(block, far_block))
            self.frames += len(block)
            stats = self.note(far_block)
            if watch is not None:
                watch(self.frames / self.reader.sample_rate_hz, stats)
            if progress is not None:
                progress(self.frames, self.output.passes * self.reader.frames)
        self.before.flush()
        self.write(self.engine.flush().reshape(-1, self.reader.channels))

    def write(self, block: AudioArray) -> None:
        """Write all but the first `latency_frames` frames of the engine's output."""
        dropped = min(self.to_drop, len(block))
        self.to_drop -= dropped
        if dropped < len(block):
            self.output.write(block[dropped:])

    def note(self, far_block: AudioArray | None) -> EngineStats:
        """Keep what the stages report after a block, and return it."""
        self.stats = stats = self.engine.stats()
        if stats.noise is not None:
            self.noise_reduction_db.append(stats.noise.noise_reduction_db)
        if stats.echo is not None and far_block is not None:
            far_rms = float(np.sqrt(np.mean(np.square(far_block, dtype=np.float64))))
            if far_rms > _FAR_END_ACTIVE:
                self.erle_db.append(stats.echo.erle_db)
                self.active_without_echo = stats.echo.no_echo_path * (self.active_without_echo + 1)
        return stats

    @property
    def no_echo_path(self) -> bool:
        """Whether the far end has played long enough without being heard."""
        return self.active_without_echo * BLOCK_SECONDS >= _NO_ECHO_S

    def report(self, seconds: float) -> FileReport:
        """Return what was done, in so many seconds of computing."""
        reader, stats, normalised = self.reader, self.stats, self.output.normalised
        limiter = normalised or (stats.limiter if stats else None)
        duration_s = self.frames / reader.sample_rate_hz
        return FileReport(
            input=str(reader.path),
            output=str(self.writer.path),
            far_end=None if self.far is None else str(self.far.path),
            sample_rate_hz=reader.sample_rate_hz,
            channels=reader.channels,
            frames=self.frames,
            duration_s=duration_s,
            latency_frames=self.latency_frames,
            latency_ms=1000.0 * self.latency_frames / reader.sample_rate_hz,
            times_real_time=duration_s / seconds,
            loudness_before=self.before.stats(),
            loudness_after=self.output.loudness,
            erle_db=_median(self.erle_db),
            echo_delay_ms=stats.echo.delay_ms if stats and stats.echo else None,
            echo_drift_ppm=stats.echo.drift_ppm if stats and stats.echo else None,
            no_echo_path=self.no_echo_path if stats and stats.echo else None,
            noise_reduction_db=_median(self.noise_reduction_db),
            gain_db=stats.agc.gain_db if stats and stats.agc else None,
            loudness_target_lufs=normalised.target_lufs if normalised else None,
            loudness_gain_db=normalised.gain_db if normalised else None,
            limiter_max_reduction_db=limiter.max_reduction_db if limiter else None,
            invalid_count=reader.invalid_count,
            clipped_input_count=self.clipped_input_count,
            clipped_output_count=self.writer.clipped_count,
            warnings=self.warnings(),
        )

    def warnings(self) -> tuple[str, ...]:
        """Return what is wrong with the files, with their names."""
        reader, far = self.reader, self.far
        lines = [f"{reader.path}: {text}" for text in file_warnings(reader)]
        lines += [f"{self.writer.path}: {text}" for text in self.writer.warnings]
        if far is not None:
            lines += [f"{far.path}: {text}" for text in far.warnings]
            if self.no_echo_path:
                lines.append(f"{reader.path}: no echo of {far.path} is heard in it")
        lines += [text for level, text in self.notes if level == "warning"]
        return (*lines, *self.output.warnings())


def file_warnings(reader: AudioReader) -> list[str]:
    """Return what is wrong with a file that has been read to its end."""
    lines = list(reader.warnings)
    if reader.invalid_count:
        lines.append(
            f"{reader.invalid_count} samples are not numbers or are beyond +36 dBFS; "
            "silence is used in their place"
        )
    return lines


def full_scale(subtype: str) -> float:
    """Return the largest positive sample of a sample format."""
    bits = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24}.get(subtype)
    return 1.0 - 2.0 ** (1 - bits) if bits else 1.0


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None

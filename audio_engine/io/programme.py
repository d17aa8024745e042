"""The end of a programme's way: into its file and its meter, at once or through a second pass."""

from __future__ import annotations

from audio_engine.config import LimiterConfig
from audio_engine.io.files import AudioWriter
from audio_engine.io.normalise import FEWEST_PASSES, Normalised, Normaliser, Progress
from audio_engine.processors.audio import AudioArray
from audio_engine.processors.closing import Closable
from audio_engine.processors.loudness import LoudnessMeter
from audio_engine.processors.stats import LoudnessStats


class ProgrammeOutput(Closable):
    """Take a programme block by block, measure what goes into the file, and write it.

    Parameters
    ----------
    writer : AudioWriter
        The file; it stays its owner's.
    sample_rate_hz, channels : int
        Of the blocks.
    loudness_lufs : float or None
        Integrated loudness that the whole is brought to when it has ended; None: it is written as
        it comes.
    limiter : LimiterConfig
        Ceiling and release of the limiter of that second pass.

    Attributes
    ----------
    passes : int
        How often the programme will be gone through at least.
    loudness : LoudnessStats
        Of what was written; from `finish` on.
    normalised : Normalised or None
        What the second pass did, if there was one; from `finish` on.
    """

    def __init__(
        self,
        writer: AudioWriter,
        sample_rate_hz: int,
        channels: int,
        *,
        loudness_lufs: float | None,
        limiter: LimiterConfig,
    ) -> None:
        self._writer = writer
        self._normaliser = (
            None
            if loudness_lufs is None
            else Normaliser(
                sample_rate_hz,
                channels,
                target_lufs=loudness_lufs,
                limiter=limiter,
                beside=writer.path,
            )
        )
        self._meter = LoudnessMeter(sample_rate_hz, channels)
        self.passes = 1 if self._normaliser is None else FEWEST_PASSES
        self.loudness: LoudnessStats = self._meter.stats()
        self.normalised: Normalised | None = None

    def write(self, block: AudioArray) -> None:
        """Take the next block, float32, shape (frames, channels)."""
        if self._normaliser is not None:
            self._normaliser.write(block)
        else:
            self._deliver(block)

    def finish(self, progress: Progress | None) -> None:
        """End the programme: after it, all of it is in the file."""
        if self._normaliser is not None:
            self.normalised = self._normaliser.finish(self._deliver, progress)
        self._meter.flush()
        self.loudness = self._meter.stats()

    def warnings(self) -> list[str]:
        """Say, with the file's name, why the loudness was not met; nothing where it was."""
        if self.normalised is None or self.normalised.shortfall is None:
            return []
        return [f"{self._writer.path}: {self.normalised.shortfall}"]

    def _deliver(self, block: AudioArray) -> None:
        self._meter.process(block)
        self._writer.write(block)

    def _release(self) -> None:
        if self._normaliser is not None:
            self._normaliser.close()
        self._meter.close()

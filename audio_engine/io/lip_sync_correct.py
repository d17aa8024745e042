"""Move the sound of a video against its picture: the picture is copied, the sound true to a sample.

All else is copied by `remux`; the sound goes through `sound_shift`. Moving time stamps alone would
spare the encoder, but they are as coarse as the container (Matroska: 1 ms), and players differ in
what they make of an edit list that starts within a packet.

Cost: the file is read twice, the first time for its length and bit rate; decoding and encoding of
the sound is some hundred times faster than real time.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audio_engine.errors import ConfigError
from audio_engine.io.files import check_target
from audio_engine.io.remux import Remux, Survey, options_for, packets_of, survey
from audio_engine.io.sound_shift import SoundShift
from audio_engine.io.video import open_container, open_video
from audio_engine.io.video_writing import container_of, new_video

MAX_OFFSET_MS = 2000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionReport:
    """What `correct_lip_sync` did.

    Attributes
    ----------
    offset_ms : float
        What was asked for; > 0: the audio was late, and now comes earlier.
    shift_samples, shift_ms : int, float
        By how much the sound comes earlier now, to the sample; negative: later.
    direction : str
        ``earlier``, ``later`` or ``unmoved``, of the sound.
    codec_in, codec_out : str
        Of the sound, FFmpeg's names.
    reencoded : bool
        False when the sound was copied: the offset was below half a sample.
    lossless : bool
        Whether the samples have kept their values.
    bit_rate_bps : int or None
        Of an encoder with loss.
    duration_s : float
        Of the file, before and after.
    warnings : tuple of str
        What did not go over, and what is wrong with the file.
    """

    input: str
    output: str
    offset_ms: float
    shift_samples: int
    shift_ms: float
    direction: str
    sample_rate_hz: int
    channels: int
    codec_in: str
    codec_out: str
    reencoded: bool
    lossless: bool
    bit_rate_bps: int | None
    duration_s: float
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as what JSON knows."""
        return asdict(self) | {"warnings": list(self.warnings)}

    def __str__(self) -> str:
        moved = "stays where it is"
        if self.direction != "unmoved":
            moved = f"comes {abs(self.shift_ms):.3f} ms {self.direction} now"
        how = "copied"
        if self.reencoded:
            rate = "" if self.bit_rate_bps is None else f" at {self.bit_rate_bps / 1000:.0f} kbit/s"
            loss = "without loss" if self.lossless else "encoded anew"
            how = f"{self.codec_in} to {self.codec_out}{rate}, {loss}"
        return (
            f"{self.output}: the sound {moved} ({abs(self.shift_samples)} samples at "
            f"{self.sample_rate_hz} Hz; {how}); the picture was copied untouched"
        )


def correct_lip_sync(
    video: str | os.PathLike[str],
    output: str | os.PathLike[str],
    offset_ms: float,
    *,
    progress: Callable[[float], None] | None = None,
) -> CorrectionReport:
    """Write a video whose sound is moved by an offset, and whose picture is the very same.

    The file keeps its length: silence comes in where sound was moved away, and what is moved out
    of the file is cut.

    Parameters
    ----------
    video : path-like
        Never written to. Of several sound streams the one that players choose is moved.
    output : path-like
        ``.mp4``, ``.m4v``, ``.mov``, ``.mkv``, ``.webm``, ``.ts`` or ``.flv``. It appears when it
        is complete, and takes the place of an older one.
    offset_ms : float
        What was measured: > 0 means that the audio is late, and makes it come earlier (ITU-R
        BT.1359 and EBU R37 print the opposite sign). -2000 to 2000, and less than the file's
        length.
    progress : callable or None
        Called with the share that is done, 0 to 1.

    Returns
    -------
    CorrectionReport
        What was done.

    Raises
    ------
    ConfigError
        If the offset or the output is not possible.
    InputFileError
        If the video cannot be read, or has no picture or no sound.
    OutputFileError
        If the output cannot be written. Nothing is left behind, whatever is raised.
    """
    video, output = Path(video), Path(output)
    if not (math.isfinite(offset_ms) and abs(offset_ms) <= MAX_OFFSET_MS):
        raise ConfigError(
            f"offset_ms={offset_ms:g} is outside -{MAX_OFFSET_MS:g} .. {MAX_OFFSET_MS:g} ms"
        )
    container = container_of(output)
    check_target(output, never=(video,))
    open_video(video).close()  # says what is wrong with it, or that PyAV is missing
    import av

    found = survey(av, video)
    if abs(offset_ms) / 1000.0 >= found.duration_s:
        raise ConfigError(
            f"{video}: it is {found.duration_s:.3f} s long, an offset of {offset_ms:g} ms would "
            "leave none of its sound"
        )
    with (
        open_container(av, video) as source,
        new_video(av, output, container, options_for(container, source)) as target,
    ):
        work = _Correction(
            av,
            source,
            target,
            survey=found,
            output=output,
            container=container,
            offset_ms=offset_ms,
        )
        work.run(progress or (lambda share: None))
        return work.report()


class _Correction:
    """One file on its way into another."""

    def __init__(
        self,
        av: Any,
        source: Any,
        target: Any,
        *,
        survey: Survey,
        output: Path,
        container: str,
        offset_ms: float,
    ) -> None:
        self._av, self._source, self._target = av, source, target
        self._survey, self._output, self._offset_ms = survey, output, offset_ms
        self._container = container
        self._rate_hz = int(survey.first.sample_rate)
        self._shift = round(offset_ms * self._rate_hz / 1000.0)
        self._moved: SoundShift | None = None
        self._remux = Remux(av, source, target, container=container, survey=survey, output=output)
        self._remux.add_streams(self._move, copy_sound=not self._shift, others_were="moved")

    def run(self, progress: Callable[[float], None]) -> None:
        """Copy and move, packet by packet."""
        size_bytes = max(1, self._survey.video.stat().st_size)
        for packet in packets_of(self._av, self._source):
            if self._moved is not None and packet.stream.index == self._survey.sound_index:
                for each in self._moved.push(packet):
                    self._target.mux(each)
            else:
                self._remux.copy(packet)
            if packet.pos is not None:
                progress(min(1.0, packet.pos / size_bytes))
        if self._moved is not None:
            for each in self._moved.finish():
                self._target.mux(each)

    def _move(self, stream: Any) -> Any:
        """Return the stream of the moved sound."""
        assert self._survey.picture is not None
        self._moved = SoundShift(
            self._av,
            self._target,
            stream,
            self._survey.first,
            shift_samples=self._shift,
            sound=self._survey.sound,
            picture=self._survey.picture,
            container=self._container,
            zero_s=self._remux.zero_s,
        )
        return self._moved.stream

    def report(self) -> CorrectionReport:
        """Say what was done."""
        moved, sound = self._moved, self._source.streams[self._survey.sound_index]
        codec_in = sound.codec_context.codec.canonical_name
        return CorrectionReport(
            input=str(self._survey.video),
            output=str(self._output),
            offset_ms=float(self._offset_ms),
            shift_samples=self._shift,
            shift_ms=1000.0 * self._shift / self._rate_hz,
            direction=("unmoved", "earlier", "later")[(self._shift > 0) - (self._shift < 0)],
            sample_rate_hz=self._rate_hz,
            channels=int(self._survey.first.layout.nb_channels),
            codec_in=codec_in,
            codec_out=moved.codec if moved else codec_in,
            reencoded=moved is not None,
            lossless=moved.is_lossless if moved else True,
            bit_rate_bps=moved.bit_rate_bps if moved else None,
            duration_s=self._survey.duration_s,
            warnings=tuple(self._remux.warnings + (moved.warnings() if moved else [])),
        )

"""Move the sound of a video against its picture: the picture is copied, the sound true to a sample.

Every packet of the picture, and of all else that the file holds, goes over as it is, bytes and time
stamps (but streams, TS and FLV, start at 0 in other kinds of file); the sound goes through
`sound_shift`. Moving time stamps alone would spare the encoder, but they are as coarse as the
container (Matroska: 1 ms), and players differ in what they make of an edit list that starts within
a packet.

Cost: the file is read twice, the first time for its length and bit rate; decoding and encoding of
the sound is some hundred times faster than real time.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from audio_engine.errors import ConfigError, InputFileError
from audio_engine.io.files import check_target
from audio_engine.io.sound_shift import SoundShift, Span
from audio_engine.io.video import best_stream, is_cover, open_container, open_video
from audio_engine.io.video_writing import container_of, new_video

MAX_OFFSET_MS = 2000.0
_PHONE_TAGS = ("com.apple.", "com.android.")  # dropped by MP4 and MOV unless told otherwise
_CODEC_PADDING_S = Fraction(1, 10)  # packets may reach that far over the end that the file states
_FILE_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder", "ENCODER")
_CUT_OFF_S = 0.5  # a file that ends this much before its stated end is told to be cut off
_STREAMS = ("mpegts", "flv")  # kinds whose clock may start anywhere, with nothing before it
_HIDDEN_S = 0.05  # of pictures: more is no reordering but was cut away by an edit list
_STALE_TAGS = ("BPS", "DURATION", "NUMBER_OF_", "_STATISTICS_", "ENCODER", "encoder")


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

    survey = _survey(av, video)
    if abs(offset_ms) / 1000.0 >= survey.duration_s:
        raise ConfigError(
            f"{video}: it is {survey.duration_s:.3f} s long, an offset of {offset_ms:g} ms would "
            "leave none of its sound"
        )
    with (
        open_container(av, video) as source,
        new_video(av, output, container, _options(container, source)) as target,
    ):
        work = _Correction(av, source, target, survey=survey, output=output, offset_ms=offset_ms)
        work.run(progress or (lambda share: None))
        return work.report()


def _packets(av: Any, source: Any) -> Iterator[Any]:
    """Yield packets up to the end, or up to where a damaged file can be read no further."""
    with contextlib.suppress(av.FFmpegError):
        yield from source.demux()


@dataclass(frozen=True, slots=True)
class _Survey:
    """What has to be known of a file before it is written anew."""

    video: Path
    sound_index: int
    first: Any  # frame of the sound
    sound: Span
    picture: Span
    missing_s: float  # of what the file says that it holds

    @property
    def duration_s(self) -> float:
        """Return the length of the file."""
        start_s = max(Fraction(0), min(self.picture.start_s, self.sound.start_s))
        return float(max(self.picture.end_s, self.sound.end_s) - start_s)


def _survey(av: Any, video: Path) -> _Survey:
    """Go through all packets; of the sound, decode the first frame."""
    spans: dict[str, Span] = {}
    first: Any = None
    end_s = Fraction(0)
    with open_container(av, video) as source:
        sound_index = best_stream(av, source, "audio", video).index
        stated_end_s = Fraction((source.start_time or 0) + (source.duration or 0), av.time_base)
        for packet in _packets(av, source):
            stream = packet.stream
            if first is None and stream.index == sound_index:
                with contextlib.suppress(av.FFmpegError):
                    first = next(iter(packet.decode()), None)
            if packet.pts is None or not packet.size or is_cover(av, stream):
                continue
            packet_s = packet.pts * packet.time_base
            packet_end_s = packet_s + (packet.duration or 0) * packet.time_base
            end_s = max(end_s, packet_end_s)
            if stream.type == "video" or stream.index == sound_index:
                span = spans.setdefault(stream.type, Span(packet_s, packet_end_s))
                span.start_s = min(span.start_s, packet_s)
                span.end_s = max(span.end_s, packet_end_s)
                span.size_bytes += packet.size
    if first is None or len(spans) < 2:
        raise InputFileError(f"{video}: no sound can be decoded; the file is damaged")
    if 0 < spans["audio"].end_s - stated_end_s < _CODEC_PADDING_S:
        spans["audio"].end_s = max(stated_end_s, spans["video"].end_s)
    missing_s = max(0.0, float(stated_end_s - end_s))
    return _Survey(video, sound_index, first, spans["audio"], spans["video"], missing_s)


def _options(container: str, source: Any) -> dict[str, str]:
    """Return what the muxer is told so that no time stamp moves and no tag is lost."""
    if container in ("mp4", "mov"):
        phone = any(key.startswith(_PHONE_TAGS) for key in source.metadata)
        return {"movflags": "+faststart" + ("+use_metadata_tags" if phone else "")}
    if container == "mpegts":
        return {"mpegts_copyts": "1"}
    return {}


def _zero_s(source: Any, target: Any, survey: _Survey) -> Fraction:
    """Return what is taken off all time stamps.

    A stream that is recorded from its middle starts at hours; a file would show nothing until then.
    """
    if source.format.name in _STREAMS and target.format.name not in _STREAMS:
        return min(survey.picture.start_s, survey.sound.start_s)
    return Fraction(0)


class _Correction:
    """One file on its way into another."""

    def __init__(
        self,
        av: Any,
        source: Any,
        target: Any,
        *,
        survey: _Survey,
        output: Path,
        offset_ms: float,
    ) -> None:
        self._av, self._source, self._target = av, source, target
        self._survey, self._output, self._offset_ms = survey, output, offset_ms
        self._rate_hz = int(survey.first.sample_rate)
        self._shift = round(offset_ms * self._rate_hz / 1000.0)
        self._copies: dict[int, Any] = {}  # streams of the target by the source's index
        self._moved: SoundShift | None = None
        self._last_dts: dict[int, int] = {}
        self._zero_s = _zero_s(source, target, survey)
        self._warnings: list[str] = []
        hidden_s = -float(survey.picture.start_s)
        if hidden_s > _HIDDEN_S and target.format.name not in ("mp4", "mov"):
            self._warnings.append(
                "pictures that come before the start of the video, and are not shown there: "
                f"{hidden_s:.1f} s; this kind of file shows them, .mp4 does not"
            )
        if survey.missing_s > _CUT_OFF_S:
            self._warnings.append(
                f"the last {survey.missing_s:.1f} s are missing in the video; it is cut off or "
                "damaged"
            )
        target.metadata.update(
            {key: text for key, text in source.metadata.items() if key not in _FILE_TAGS}
        )
        target.set_chapters(source.chapters())
        for stream in source.streams:
            is_sound = stream.index == survey.sound_index
            if (is_sound and self._shift) or not self._copy(stream):
                self._move(stream) if is_sound else self._leave_out(stream)

    def run(self, progress: Callable[[float], None]) -> None:
        """Copy and move, packet by packet."""
        size_bytes = max(1, self._survey.video.stat().st_size)
        for packet in _packets(self._av, self._source):
            index = packet.stream.index
            if self._moved is not None and index == self._survey.sound_index:
                for each in self._moved.push(packet):
                    self._target.mux(each)
            elif index in self._copies and packet.size and not self._is_run_in(packet):
                self._copy_packet(packet)
            if packet.pos is not None:
                progress(min(1.0, packet.pos / size_bytes))
        if self._moved is not None:
            for each in self._moved.finish():
                self._target.mux(each)

    def _copy_packet(self, packet: Any) -> None:
        """Hand a packet over; only the order of decoding is repaired, which live muxers break."""
        index = packet.stream.index
        if self._zero_s:
            zero = round(self._zero_s / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - zero
            packet.dts = None if packet.dts is None else packet.dts - zero
        if packet.dts is not None:
            packet.dts = max(packet.dts, self._last_dts.get(index, packet.dts - 1) + 1)
            self._last_dts[index] = packet.dts
        packet.stream = self._copies[index]
        self._target.mux(packet)

    def _is_run_in(self, packet: Any) -> bool:
        """Say whether a packet of copied sound lies before zero, where only MP4 and MOV have room.

        Any other container would move everything behind zero.
        """
        if packet.stream.type != "audio" or "mp4" not in self._source.format.name:
            return False
        before_zero = packet.pts is not None and packet.pts + (packet.duration or 0) <= 0
        return before_zero and self._target.format.name not in ("mp4", "mov")

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
            warnings=tuple(self._warnings + (moved.warnings() if moved else [])),
        )

    def _copy(self, stream: Any) -> bool:
        """Add a stream to the target that is the same, if its kind of file can hold it."""
        if stream.type == "data" or (
            stream.type == "attachment" and self._target.format.name != "matroska"
        ):
            return False
        try:
            copy = self._target.add_stream_from_template(stream, opaque=True)
        except ValueError:
            return False
        is_hevc = stream.type == "video" and stream.codec_context.codec.canonical_name == "hevc"
        if is_hevc and self._target.format.name in ("mp4", "mov"):
            copy.codec_context.codec_tag = "hvc1"  # Apple's players know no other
        copy.metadata.update(stream.metadata)
        copy.disposition = int(stream.disposition)
        self._copies[stream.index] = copy
        if stream.type == "audio" and stream.index != self._survey.sound_index and self._shift:
            self._warnings.append(f"sound stream {stream.index} was kept as it is, not moved")
        return True

    def _move(self, stream: Any) -> None:
        """Add the stream of the moved sound."""
        self._moved = SoundShift(
            self._av,
            self._target,
            stream,
            self._survey.first,
            shift_samples=self._shift,
            sound=self._survey.sound,
            picture=self._survey.picture,
            zero_s=self._zero_s,
        )
        tags = stream.metadata.items()
        self._moved.stream.metadata.update(
            {key: text for key, text in tags if not key.startswith(_STALE_TAGS)}
        )
        self._moved.stream.disposition = int(stream.disposition)

    def _leave_out(self, stream: Any) -> None:
        """Go on without a stream that has no place in the target; without the picture, do not."""
        context = stream.codec_context
        codec = context.codec.canonical_name if context is not None else stream.type
        if stream.type == "video" and not is_cover(self._av, stream):
            raise ConfigError(
                f"{self._output}: this kind of file cannot hold {codec} pictures; write .mkv"
            )
        if stream.type == "data" and ("timecode" in stream.metadata or self._source.chapters()):
            return  # the muxer makes the tracks of timecode and chapters itself
        self._warnings.append(
            f"{stream.type} stream {stream.index} ({codec}) was left out: this kind of file does "
            "not hold it"
        )

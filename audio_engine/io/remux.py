"""Copy a video packet by packet into a new file, all but its sound; the time stamps stay.

Every packet of the picture, and of all else that the file holds, goes over as it is, bytes and time
stamps (but streams, TS and FLV, start at 0 in other kinds of file), with chapters, tags, rotation
and the marks of the streams. The file is read twice: the first time for its length and bit rate.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from audio_engine.errors import ConfigError, InputFileError
from audio_engine.io.sound_line import Span
from audio_engine.io.video import best_stream, is_cover, open_container
from audio_engine.io.video_writing import MP4_KINDS, SOUND_KINDS

_PHONE_TAGS = ("com.apple.", "com.android.")  # dropped by MP4 and MOV unless told otherwise
_CODEC_PADDING_S = Fraction(1, 10)  # packets may reach that far over the end that the file states
_FILE_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder", "ENCODER")
_CUT_OFF_S = 0.5  # a file that ends this much before its stated end is told to be cut off
_WITHOUT_LENGTH = ("aac", "ac3", "eac3", "amr", "dts", "mp3")  # whose length FFmpeg guesses
_STREAMS = ("mpegts", "flv")  # kinds whose clock may start anywhere, with nothing before it
_HIDDEN_S = 0.05  # of pictures: more is no reordering but was cut away by an edit list
_STALE_TAGS = ("BPS", "DURATION", "NUMBER_OF_", "_STATISTICS_", "ENCODER", "encoder")


def packets_of(av: Any, source: Any, *streams: Any) -> Iterator[Any]:
    """Yield packets up to the end, or up to where a damaged file can be read no further."""
    with contextlib.suppress(av.FFmpegError):
        yield from source.demux(*streams)


@dataclass(frozen=True, slots=True)
class Survey:
    """What has to be known of a file before it is written anew."""

    video: Path
    sound_index: int
    first: Any  # frame of the sound
    sound: Span
    picture: Span | None
    missing_s: float  # of what the file says that it holds

    @property
    def duration_s(self) -> float:
        """Return the length of the file."""
        start_s = max(Fraction(0), self.start_s)
        return float(max(span.end_s for span in self._spans) - start_s)

    @property
    def start_s(self) -> Fraction:
        """Return when the file starts, by its own clock."""
        return min(span.start_s for span in self._spans)

    @property
    def _spans(self) -> tuple[Span, ...]:
        return (self.sound,) if self.picture is None else (self.picture, self.sound)


def survey(av: Any, video: Path) -> Survey:
    """Go through all packets; of the sound, decode the first frame."""
    spans: dict[str, Span] = {}
    first: Any = None
    end_s = Fraction(0)
    with open_container(av, video) as source:
        sound_index = best_stream(av, source, "audio", video).index
        stated_end_s = Fraction((source.start_time or 0) + (source.duration or 0), av.time_base)
        for packet in packets_of(av, source):
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
    if first is None or "audio" not in spans:
        raise InputFileError(f"{video}: no sound can be decoded; the file is damaged")
    pictures = [span for kind, span in spans.items() if kind == "video"]
    is_guessed = source.format.name in _WITHOUT_LENGTH
    if not is_guessed and 0 < spans["audio"].end_s - stated_end_s < _CODEC_PADDING_S:
        spans["audio"].end_s = max([stated_end_s, *(span.end_s for span in pictures)])
    missing_s = 0.0 if is_guessed else max(0.0, float(stated_end_s - end_s))
    return Survey(video, sound_index, first, spans["audio"], next(iter(pictures), None), missing_s)


def options_for(container: str, source: Any) -> dict[str, str]:
    """Return what the muxer is told so that no time stamp moves and no tag is lost."""
    if container in MP4_KINDS:
        tags = () if source is None else source.metadata
        phone = any(key.startswith(_PHONE_TAGS) for key in tags)
        flags = {"movflags": "+faststart" + ("+use_metadata_tags" if phone else "")}
        return flags | ({"brand": "M4A "} if container == "m4a" else {})
    if container == "mpegts":
        return {"mpegts_copyts": "1"}
    return {}


def _zero_s(source: Any, container: str, survey: Survey) -> Fraction:
    """Return what is taken off all time stamps.

    A stream that is recorded from its middle starts at hours; a file would show nothing until then.
    """
    if source.format.name in _STREAMS and container not in _STREAMS:
        return survey.start_s
    return Fraction(0)


class Remux:
    """A file on its way into another one, all but its sound.

    Parameters
    ----------
    source, target : av.container.Container
        Both open.
    container : str
        Of the target, a value of `CONTAINERS` or `SOUND_CONTAINERS`.
    survey : Survey
        Of the source.
    output : Path
        What the target is called in errors.

    Attributes
    ----------
    zero_s : Fraction
        Time of the source that is 0 in the target.
    warnings : list of str
        What did not go over, and what is wrong with the file.
    """

    def __init__(
        self,
        av: Any,
        source: Any,
        target: Any,
        *,
        container: str,
        survey: Survey,
        output: Path,
    ) -> None:
        self._av, self._source, self._target = av, source, target
        self._kind, self._survey, self._output = container, survey, output
        self._copies: dict[int, Any] = {}  # streams of the target by the source's index
        self._last_dts: dict[int, int] = {}
        self.zero_s = _zero_s(source, container, survey)
        self.warnings: list[str] = []
        hidden_s = -float(survey.picture.start_s) if survey.picture else 0.0
        if hidden_s > _HIDDEN_S and container not in MP4_KINDS:
            self.warnings.append(
                "pictures that come before the start of the video, and are not shown there: "
                f"{hidden_s:.1f} s; this kind of file shows them, .mp4 does not"
            )
        if survey.missing_s > _CUT_OFF_S:
            self.warnings.append(
                f"the last {survey.missing_s:.1f} s are missing in the video; it is cut off or "
                "damaged"
            )

    def add_streams(
        self, make_sound: Callable[[Any], Any], *, copy_sound: bool, others_were: str
    ) -> None:
        """Make the target's streams, in the order of the source, and its tags and chapters.

        Parameters
        ----------
        make_sound : callable
            Called with the stream of the sound, if that is not copied; returns the target's.
        copy_sound : bool
            Copy the sound too, if the target can hold it.
        others_were : str
            What was not done to other sounds: "moved".
        """
        target = self._target
        tags = self._source.metadata.items()
        target.metadata.update({key: text for key, text in tags if key not in _FILE_TAGS})
        target.set_chapters(self._source.chapters())
        for stream in self._source.streams:
            if stream.index != self._survey.sound_index:
                if not self._copy(stream):
                    self._leave_out(stream)
                elif stream.type == "audio" and not copy_sound:
                    self.warnings.append(
                        f"sound stream {stream.index} was kept as it is, not {others_were}"
                    )
            elif not (copy_sound and self._copy(stream)):
                made, tags = make_sound(stream), stream.metadata.items()
                made.metadata.update(
                    {key: text for key, text in tags if not key.startswith(_STALE_TAGS)}
                )
                made.disposition = int(stream.disposition)

    def copy(self, packet: Any) -> None:
        """Hand a packet over, if its stream was; only the order of decoding is repaired.

        Live muxers break that.
        """
        index = packet.stream.index
        if index not in self._copies or not packet.size or self._is_run_in(packet):
            return
        if self.zero_s:
            zero = round(self.zero_s / packet.time_base)
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
        return before_zero and self._kind not in MP4_KINDS

    def _copy(self, stream: Any) -> bool:
        """Add a stream to the target that is the same, if its kind of file can hold it."""
        if stream.type == "data" or (stream.type == "attachment" and self._kind != "matroska"):
            return False
        if self._kind in SOUND_KINDS and stream.type != "audio" and not is_cover(self._av, stream):
            return False
        try:
            copy = self._target.add_stream_from_template(stream, opaque=True)
        except ValueError:
            return False
        is_hevc = stream.type == "video" and stream.codec_context.codec.canonical_name == "hevc"
        if is_hevc and self._kind in ("mp4", "mov"):
            copy.codec_context.codec_tag = "hvc1"  # Apple's players know no other
        copy.metadata.update(stream.metadata)
        copy.disposition = int(stream.disposition)
        self._copies[stream.index] = copy
        return True

    def _leave_out(self, stream: Any) -> None:
        """Go on without a stream that has no place in the target; without the picture, do not."""
        if self._kind in SOUND_KINDS and not is_cover(self._av, stream):
            return
        context = stream.codec_context
        codec = context.codec.canonical_name if context is not None else stream.type
        if stream.type == "video" and not is_cover(self._av, stream):
            raise ConfigError(
                f"{self._output}: this kind of file cannot hold {codec} pictures; write .mkv"
            )
        if stream.type == "data" and ("timecode" in stream.metadata or self._source.chapters()):
            return  # the muxer makes the tracks of timecode and chapters itself
        self.warnings.append(
            f"{stream.type} stream {stream.index} ({codec}) was left out: this kind of file does "
            "not hold it"
        )

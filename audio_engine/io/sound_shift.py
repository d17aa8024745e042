"""Move the sound of a video by whole samples: packets in, packets of the same codec out.

Decoded frames are put on one line by their time stamps (holes become silence), the line is shifted,
and encoded: without loss where the sound was without loss (FLAC, ALAC, PCM), else with at least
its bit rate. The line keeps its place: what is moved over its end is cut, silence comes in behind.
Two exceptions keep sound that would be lost for nothing: a sound that starts later than the picture
may move into the gap, and one that ends before the picture may move over its end.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine.errors import OutputFileError
from audio_engine.io.video import JITTER_S, LONGEST_HOLE_S, LONGEST_RETURN_S

Samples = NDArray[Any]  # (channels, samples), or (1, samples * channels) where they are interleaved

# Encoders by the codec they make; the others carry its name. Vorbis has only an experiment.
_ENCODERS = {"opus": "libopus", "mp3": "libmp3lame", "vorbis": "libopus"}
# For a codec without an encoder, or without a place in the container.
_FALLBACKS = {"matroska": "flac", "webm": "libopus"}
_IN_TRANSPORT_STREAMS = {"aac", "mp2", "mp3", "ac3", "eac3", "opus"}  # others: no player knows
_WITHOUT_LOSS = ("pcm_", "flac", "alac", "wavpack")
# Bit rates per channel: a second generation is not to be heard; more than the most is not taken.
_LEAST_BPS, _MOST_BPS = 96000, {"aac": 256000, "libopus": 256000}
_STEPS_KBPS = {  # encoders that know certain bit rates only
    "libmp3lame": (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    "mp2": (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    "ac3": (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640),
    "eac3": (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640),
}
_LOW_RATE_HZ, _LOW_RATE_KBPS = 32000, 160  # MPEG-2 audio, below this rate, ends there
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_LATE_START_S = 0.1  # more than the run-in of a codec: here a sound really starts late
_FRAME = 4096  # samples per packet for encoders that take any


@dataclass(slots=True)
class Span:
    """When the packets of a stream start and end, and how many bytes they are."""

    start_s: Fraction
    end_s: Fraction
    size_bytes: int = 0


class SoundShift:
    """A sound stream on its way into another file, moved by a number of samples.

    Parameters
    ----------
    target : av.container.OutputContainer
        Gets a stream for the sound; `stream`.
    source : av.stream.Stream
        Whose packets will come.
    first : av.AudioFrame
        The first frame that they decode to.
    shift_samples : int
        > 0: the sound comes earlier.
    sound, picture : Span
        Of the source.
    zero_s : Fraction
        Time of the source that is 0 in the target.

    Attributes
    ----------
    stream : av.stream.Stream
        Of the target; packets from `push` and `finish` belong to it.
    codec : str
        FFmpeg's name of what is written.
    bit_rate_bps : int or None
        Of an encoder with loss.
    is_lossless : bool
        Whether samples keep their values.
    """

    def __init__(
        self,
        av: Any,
        target: Any,
        source: Any,
        first: Any,
        *,
        shift_samples: int,
        sound: Span,
        picture: Span,
        zero_s: Fraction,
    ) -> None:
        self._av = av
        self._run_in = 0  # samples
        self._rate_hz = int(first.sample_rate)
        self._layout = _plain_layout(first)
        self.codec_in = source.codec_context.codec.canonical_name
        seconds = max(sound.end_s - sound.start_s, Fraction(1, 100))
        has_loss = not self.codec_in.startswith(_WITHOUT_LOSS)
        self._add_stream(target, first, has_loss * float(8 * sound.size_bytes / seconds))
        self._planes = _Planes(self._format, int(first.layout.nb_channels))
        start = 0 if first.pts is None else round(first.pts * first.time_base * self._rate_hz)
        # A decoder may give more than its packets say they hold: the padding of the last one.
        end = math.ceil((sound.end_s + 2 * source.time_base) * self._rate_hz)
        self._placing = _Placing(self._rate_hz, self._planes, start, end)
        gap = start - math.ceil(max(picture.start_s, Fraction(0)) * self._rate_hz)
        lead = min(max(0, shift_samples), gap) if gap > _LATE_START_S * self._rate_hz else 0
        self._line = _ShiftedLine(
            self._planes,
            shift_samples,
            lead=lead,
            start=start,
            picture_end=math.floor(picture.end_s * self._rate_hz),
        )
        # of the next sample to encode
        self._position = start - lead - round(zero_s * self._rate_hz)
        self._run_in = self._run_in if _hides_run_in(target.format.name, self._position) else 0
        self._waiting = self._planes.silence(0)
        self._resampler: Any = None
        self._resampled: tuple[str, str, int] = ("", "", 0)  # what it is for
        self._damaged_count = 0

    def push(self, packet: Any) -> Iterator[Any]:
        """Take a packet of the source, or an empty one at its end; yield packets for the target."""
        try:
            frames = packet.decode()
        except self._av.FFmpegError:
            self._damaged_count += 1
            return
        for frame in frames:
            stamp_s = None if frame.pts is None else frame.pts * frame.time_base
            for plain in self._plain(frame):
                for samples in self._placing.place(plain.to_ndarray(), stamp_s):
                    yield from self._encode(self._line.push(samples))
                stamp_s = None

    def finish(self) -> Iterator[Any]:
        """Yield the packets up to the end."""
        yield from self._encode(self._line.finish(), is_last=True)
        yield from self.stream.encode(None)

    def warnings(self) -> list[str]:
        """Say what was wrong with the sound though it could be moved."""
        found = []
        if self._damaged_count:
            found.append(f"damaged packets of the sound: {self._damaged_count}, now silence")
        if self._placing.hole_count:
            found.append(f"holes in the sound: {self._placing.hole_count}, filled with silence")
        if self.stream.codec_context.sample_rate != self._rate_hz:
            found.append(
                f"the sound now has {self.stream.codec_context.sample_rate} Hz instead of "
                f"{self._rate_hz} Hz: {self.codec} knows no other"
            )
        return found

    def _add_stream(self, target: Any, first: Any, source_bps: float) -> None:
        """Take the first encoder that the container holds and that takes this sound."""
        container, own = target.format.name, _ENCODERS.get(self.codec_in, self.codec_in)
        wanted = [own, _FALLBACKS.get(container, "aac")]
        if container == "mp4" and self.codec_in.startswith("pcm_"):
            wanted[0] = "flac"  # PCM in MP4 is younger than many players
        if container == "mpegts" and self.codec_in not in _IN_TRANSPORT_STREAMS:
            del wanted[0]
        for name in wanted:
            with contextlib.suppress(ValueError, self._av.FFmpegError):
                codec = self._av.Codec(name, "w")
                self._format = _nearest_format(codec, first.format)
                bit_rate = _bit_rate(name, source_bps, self._rate_hz, first.layout.nb_channels)
                rate_hz = _nearest_rate_hz(codec, self._rate_hz)
                trial = self._av.CodecContext.create(name, "w")
                self._set_up(trial, rate_hz, bit_rate)
                trial.open()
                self._run_in = self._trial_run_in(trial)
                self.stream = target.add_stream(name, rate=rate_hz)
                self._set_up(self.stream.codec_context, rate_hz, bit_rate)
                self.codec = codec.canonical_name
                same_format = _kind(self._format) == _kind(first.format.name)
                self.is_lossless = self.codec.startswith(_WITHOUT_LOSS) and same_format
                self.bit_rate_bps = bit_rate or None
                return
        raise OutputFileError(
            f"no encoder here makes {self.codec_in} or {wanted[-1]} of {first.layout.nb_channels} "
            f"channels at {self._rate_hz} Hz for this kind of file; write .mkv"
        )

    def _set_up(self, context: Any, rate_hz: int, bit_rate: int) -> None:
        context.sample_rate, context.time_base = rate_hz, Fraction(1, rate_hz)
        context.layout, context.format, context.bit_rate = self._layout, self._format, bit_rate

    def _trial_run_in(self, trial: Any) -> int:
        """Return how many samples the encoder puts before the first one it is given."""
        silence = _Planes(self._format, trial.layout.nb_channels).silence(8 * _FRAME)
        packets = trial.encode(self._frame(silence, 0))
        stamps_s = [packet.pts * packet.time_base for packet in packets]
        return max(0, -round(min(stamps_s, default=Fraction(0)) * self._rate_hz))

    def _frame(self, samples: Samples, position: int) -> Any:
        frame = self._av.AudioFrame.from_ndarray(samples, format=self._format, layout=self._layout)
        frame.sample_rate, frame.time_base = self._rate_hz, Fraction(1, self._rate_hz)
        frame.pts = position
        return frame

    def _plain(self, frame: Any) -> list[Any]:
        """Return the frame as the encoder takes it; as a rule it is that already."""
        layout = (frame.format.name, _plain_layout(frame), int(frame.sample_rate))
        if layout == (self._format, self._layout, self._rate_hz):
            return [frame]
        if self._resampler is None or self._resampled != layout:
            self._resampled = layout
            self._resampler = self._av.AudioResampler(self._format, self._layout, self._rate_hz)
        frame.pts = None  # placing is not the resampler's business
        return list(self._resampler.resample(frame))

    def _encode(self, samples: Samples, is_last: bool = False) -> Iterator[Any]:
        """Encode in the frames that the encoder wants; keep what is left for the next time."""
        if self._run_in:  # it takes the place of the first samples
            count = min(self._run_in, self._planes.count(samples))
            samples = self._planes.split(samples, count)[1]
            self._run_in -= count
            self._position += count
        waiting = self._planes.join(self._waiting, samples)
        size = self.stream.codec_context.frame_size or _FRAME
        while self._planes.count(waiting) >= (1 if is_last else size):
            block, waiting = self._planes.split(waiting, size)
            frame = self._frame(block, self._position)
            self._position += self._planes.count(block)
            yield from self.stream.encode(frame)
        self._waiting = waiting


class _Planes:
    """Samples as FFmpeg lays them out: planes, or all channels in one row."""

    def __init__(self, sample_format: str, channels: int) -> None:
        self._rows, self._step = (channels, 1) if sample_format.endswith("p") else (1, channels)
        self._dtype = np.dtype(
            {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8", "s64": "i8"}[
                _kind(sample_format)
            ]
        )
        self._silence = 128 if self._dtype == np.uint8 else 0

    def silence(self, count: int) -> Samples:
        """Return samples of silence."""
        return np.full((self._rows, count * self._step), self._silence, self._dtype)

    def count(self, samples: Samples) -> int:
        """Return how many samples each channel has."""
        return int(samples.shape[1]) // self._step

    def split(self, samples: Samples, count: int) -> tuple[Samples, Samples]:
        """Return the first `count` samples, or all, and the rest."""
        at = max(0, count) * self._step
        return np.ascontiguousarray(samples[:, :at]), samples[:, at:]

    def join(self, *parts: Samples) -> Samples:
        """Return the parts one after the other."""
        return np.concatenate(parts, axis=1)


class _Placing:
    """Put decoded samples on a line without holes, by their time stamps."""

    def __init__(self, rate_hz: int, planes: _Planes, start: int, end: int) -> None:
        self._rate_hz, self._planes, self._next, self._end = rate_hz, planes, start, end
        self._broken = 0  # samples that a broken clock leapt by
        self.hole_count = 0

    def place(self, samples: Samples, stamp_s: Fraction | None) -> Iterator[Samples]:
        """Yield what follows on the line: silence for a hole, then the samples that are new."""
        if stamp_s is not None:
            leap = round(stamp_s * self._rate_hz) - self._broken - self._next
            if not -LONGEST_RETURN_S <= leap / self._rate_hz <= LONGEST_HOLE_S:
                self._broken += leap
            elif leap > JITTER_S * self._rate_hz:
                self.hole_count += 1
                self._next += leap
                while leap > 0:
                    yield self._planes.silence(min(leap, self._rate_hz))
                    leap -= self._rate_hz
            elif leap < -JITTER_S * self._rate_hz:
                samples = self._planes.split(samples, -leap)[1]
        if self._broken == 0:
            samples = self._planes.split(samples, self._end - self._next)[0]
        self._next += self._planes.count(samples)
        yield samples


class _ShiftedLine:
    """The line of samples, moved; as long as it was."""

    def __init__(
        self, planes: _Planes, shift: int, *, lead: int, start: int, picture_end: int
    ) -> None:
        self._planes, self._picture_end = planes, picture_end
        self._drop, self._pad = max(0, shift) - lead, max(0, shift)
        self._held = planes.silence(max(0, -shift))  # goes in front, and what is held then is cut
        self._hold = max(0, -shift)
        self._end = start  # of the line
        self._next = start - lead  # of the moved one

    def push(self, samples: Samples) -> Samples:
        """Take the next samples of the line, return the next of the moved one."""
        count = min(self._drop, self._planes.count(samples))
        self._drop -= count
        self._end += self._planes.count(samples)
        line = self._planes.join(self._held, self._planes.split(samples, count)[1])
        out, self._held = self._planes.split(line, self._planes.count(line) - self._hold)
        self._next += self._planes.count(out)
        return out

    def finish(self) -> Samples:
        """Return the end: silence, or of what is held as much as the file has room for."""
        if not self._hold:
            return self._planes.silence(self._pad - self._drop)
        return self._planes.split(self._held, max(self._end, self._picture_end) - self._next)[0]


def _hides_run_in(container: str, start: int) -> bool:
    """Say whether nobody learns that an encoder's run-in is no sound: it would only add to it.

    MP4 and MOV tell it by an edit list when it lies before zero, Matroska always does.
    """
    return container in ("mpegts", "flv") or (container in ("mp4", "mov") and start > 0)


def _kind(sample_format: str) -> str:
    return sample_format.removesuffix("p")


def _plain_layout(frame: Any) -> str:
    """Return the layout's name, a usual one for channels without any order."""
    name = str(frame.layout.name)
    return _LAYOUTS.get(frame.layout.nb_channels, name) if name.endswith("channels") else name


def _nearest_format(codec: Any, wanted: Any) -> str:
    """Return the sample format that loses nothing, or least."""
    names = [str(found.name) for found in codec.audio_formats or [wanted]]
    kinds = [_kind(wanted.name), "flt", "s32", "dbl", "s16"]
    return min(names, key=lambda name: kinds.index(_kind(name)) if _kind(name) in kinds else 9)


def _nearest_rate_hz(codec: Any, wanted_hz: int) -> int:
    rates_hz = sorted(int(rate_hz) for rate_hz in codec.audio_rates or [wanted_hz])
    return next((rate_hz for rate_hz in rates_hz if rate_hz >= wanted_hz), rates_hz[-1])


def _bit_rate(encoder: str, source_bps: float, rate_hz: int, channels: int) -> int:
    """Return what the encoder is told: at least what the source had; 0 where it has none."""
    if encoder.startswith(_WITHOUT_LOSS):
        return 0
    least_bps = max(source_bps, _LEAST_BPS * channels)
    steps = [1000 * step for step in _STEPS_KBPS.get(encoder, ())]
    if steps and rate_hz < _LOW_RATE_HZ and encoder != "eac3":
        steps = [step for step in steps if step <= 1000 * _LOW_RATE_KBPS]
    if steps:
        return next((step for step in steps if step >= least_bps), steps[-1])
    return math.ceil(min(least_bps, _MOST_BPS.get(encoder, math.inf) * channels))

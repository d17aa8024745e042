"""Encode a sound into a video or sound file: samples in, packets of the target out.

The codec is the one that the sound had where an encoder and the container allow it: without loss
where the sound was without loss (FLAC, ALAC, PCM), else with at least its bit rate.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from audio_engine.errors import OutputFileError
from audio_engine.io.sound_line import Planes, Samples, kind_of
from audio_engine.io.video_writing import MP4_KINDS

# Encoders by the codec they make; the others carry its name. Vorbis has only an experiment.
_ENCODERS = {"opus": "libopus", "mp3": "libmp3lame", "vorbis": "libopus"}
# For a codec without an encoder, or without a place in the container.
_FALLBACKS = {"matroska": "flac", "webm": "libopus"}
_APPLE = ("mov", "m4a")  # where ALAC is what FLAC is elsewhere
_KNOWN = {  # other codecs no player knows there
    "mpegts": {"aac", "mp2", "mp3", "ac3", "eac3", "opus"},
    "mov": {"aac", "mp3", "ac3", "eac3"},
    "m4a": {"aac", "ac3"},
}
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
_FRAME = 4096  # samples per packet for encoders that take any


class SoundEncoder:
    """The sound stream of a file that is being written.

    Parameters
    ----------
    target : av.container.OutputContainer
        Gets the stream.
    container : str
        Of the target, a value of `CONTAINERS` or `SOUND_CONTAINERS`.
    codec_in : str
        The codec that the sound had, FFmpeg's name.
    sample_format : av.AudioFormat
        That the sound had.
    layout, channels : str, int
        FFmpeg's name of the layout, and how many channels it has.
    rate_hz : int
        Of the samples.
    source_bps : float
        Bit rate that the sound had.
    position : int
        Samples from the time 0 to the first one.

    Attributes
    ----------
    stream : av.stream.Stream
        Packets from `encode` and `finish` belong to it.
    sample_format : str
        In which `encode` takes samples.
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
        *,
        container: str,
        codec_in: str,
        sample_format: Any,
        layout: str,
        channels: int,
        rate_hz: int,
        source_bps: float,
        position: int,
    ) -> None:
        self._av, self._codec_in = av, codec_in
        self._rate_hz, self._layout, self._channels = rate_hz, layout, channels
        self._run_in = 0  # samples
        has_loss = not codec_in.startswith(_WITHOUT_LOSS)
        self._add_stream(target, _wanted(container, codec_in), sample_format, has_loss * source_bps)
        self.planes = Planes(self.sample_format, channels)
        self._position = position  # of the next sample to encode
        self._run_in = self._run_in if _hides_run_in(container, position) else 0
        self._waiting = self.planes.silence(0)

    def encode(self, samples: Samples, is_last: bool = False) -> Iterator[Any]:
        """Encode in the frames that the encoder wants; keep what is left for the next time."""
        if self._run_in:  # it takes the place of the first samples
            count = min(self._run_in, self.planes.count(samples))
            samples = self.planes.split(samples, count)[1]
            self._run_in -= count
            self._position += count
        waiting = self.planes.join(self._waiting, samples)
        size = self.stream.codec_context.frame_size or _FRAME
        while self.planes.count(waiting) >= (1 if is_last else size):
            block, waiting = self.planes.split(waiting, size)
            frame = self._frame(block, self._position)
            self._position += self.planes.count(block)
            yield from self.stream.encode(frame)
        self._waiting = waiting

    def finish(self) -> Iterator[Any]:
        """Yield the packets up to the end."""
        yield from self.encode(self.planes.silence(0), is_last=True)
        yield from self.stream.encode(None)

    def warnings(self) -> list[str]:
        """Say what the codec could not keep."""
        if self.stream.codec_context.sample_rate == self._rate_hz:
            return []
        return [
            f"the sound now has {self.stream.codec_context.sample_rate} Hz instead of "
            f"{self._rate_hz} Hz: {self.codec} knows no other"
        ]

    def _add_stream(
        self, target: Any, wanted: list[str], sample_format: Any, source_bps: float
    ) -> None:
        """Take the first encoder that the container holds and that takes this sound."""
        for name in wanted:
            with contextlib.suppress(ValueError, self._av.FFmpegError):
                codec = self._av.Codec(name, "w")
                self.sample_format = _nearest_format(codec, sample_format)
                bit_rate = _bit_rate(name, source_bps, self._rate_hz, self._channels)
                rate_hz = _nearest_rate_hz(codec, self._rate_hz)
                trial = self._av.CodecContext.create(name, "w")
                self._set_up(trial, rate_hz, bit_rate)
                trial.open()
                self._run_in = self._trial_run_in(trial)
                self.stream = target.add_stream(name, rate=rate_hz)
                self._set_up(self.stream.codec_context, rate_hz, bit_rate)
                self.codec = codec.canonical_name
                same_format = kind_of(self.sample_format) == kind_of(sample_format.name)
                self.is_lossless = self.codec.startswith(_WITHOUT_LOSS) and same_format
                self.bit_rate_bps = bit_rate or None
                return
        raise OutputFileError(
            f"no encoder here makes {self._codec_in} or {wanted[-1]} of {self._channels} "
            f"channels at {self._rate_hz} Hz for this kind of file; write .mkv"
        )

    def _set_up(self, context: Any, rate_hz: int, bit_rate: int) -> None:
        context.sample_rate, context.time_base = rate_hz, Fraction(1, rate_hz)
        context.layout, context.format, context.bit_rate = (
            self._layout,
            self.sample_format,
            bit_rate,
        )

    def _trial_run_in(self, trial: Any) -> int:
        """Return how many samples the encoder puts before the first one it is given."""
        silence = Planes(self.sample_format, trial.layout.nb_channels).silence(8 * _FRAME)
        packets = trial.encode(self._frame(silence, 0))
        stamps_s = [packet.pts * packet.time_base for packet in packets]
        return max(0, -round(min(stamps_s, default=Fraction(0)) * self._rate_hz))

    def _frame(self, samples: Samples, position: int) -> Any:
        frame = self._av.AudioFrame.from_ndarray(
            samples, format=self.sample_format, layout=self._layout
        )
        frame.sample_rate, frame.time_base = self._rate_hz, Fraction(1, self._rate_hz)
        frame.pts = position
        return frame


def _wanted(container: str, codec_in: str) -> list[str]:
    """Return the encoders to try for a sound that had this codec."""
    own, other = _ENCODERS.get(codec_in, codec_in), _FALLBACKS.get(container, "aac")
    is_pcm = codec_in.startswith("pcm_")
    if container in _APPLE and codec_in.startswith(_WITHOUT_LOSS):
        own = own if is_pcm and container == "mov" else "alac"
    elif container == "mp4" and is_pcm:
        own = "flac"  # PCM in MP4 is younger than many players
    elif codec_in not in _KNOWN.get(container, {codec_in}):
        return [other]
    return [own, other]


def _hides_run_in(container: str, start: int) -> bool:
    """Say whether nobody learns that an encoder's run-in is no sound: it would only add to it.

    MP4 and MOV tell it by an edit list when it lies before zero, Matroska always does.
    """
    return container in ("mpegts", "flv") or (container in MP4_KINDS and start > 0)


def _nearest_format(codec: Any, wanted: Any) -> str:
    """Return the sample format that loses nothing, or least."""
    names = [str(found.name) for found in codec.audio_formats or [wanted]]
    kinds = [kind_of(wanted.name), "flt", "s32", "dbl", "s16"]
    return min(names, key=lambda name: kinds.index(kind_of(name)) if kind_of(name) in kinds else 9)


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

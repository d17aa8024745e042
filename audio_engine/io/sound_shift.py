"""Move the sound of a video by whole samples: packets in, packets of the same codec out.

Decoded frames are put on one line by their time stamps (`sound_line`), the line is shifted, and
encoded (`sound_encoding`). The line keeps its place: what is moved over its end is cut, silence
comes in behind. Two exceptions keep sound that would be lost for nothing: a sound that starts later
than the picture may move into the gap, and one that ends before the picture may move over its end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from audio_engine.io.sound_encoding import SoundEncoder
from audio_engine.io.sound_line import Planes, Samples, SoundLine, Span, plain_layout

_LATE_START_S = 0.1  # more than the run-in of a codec: here a sound really starts late


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
    container : str
        Of the target.
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
        container: str,
        zero_s: Fraction,
    ) -> None:
        rate_hz = int(first.sample_rate)
        self.codec_in = source.codec_context.codec.canonical_name
        start = 0 if first.pts is None else round(first.pts * first.time_base * rate_hz)
        gap = start - math.ceil(max(picture.start_s, Fraction(0)) * rate_hz)
        lead = min(max(0, shift_samples), gap) if gap > _LATE_START_S * rate_hz else 0
        self._encoder = SoundEncoder(
            av,
            target,
            container=container,
            codec_in=self.codec_in,
            sample_format=first.format,
            layout=plain_layout(first),
            channels=int(first.layout.nb_channels),
            rate_hz=rate_hz,
            source_bps=sound.bit_rate_bps,
            position=start - lead - round(zero_s * rate_hz),
        )
        self.stream, self.codec = self._encoder.stream, self._encoder.codec
        self.bit_rate_bps = self._encoder.bit_rate_bps
        self.is_lossless = self._encoder.is_lossless
        self._line = SoundLine(
            av, source, first, sound=sound, sample_format=self._encoder.sample_format
        )
        self._shifted = _ShiftedLine(
            self._encoder.planes,
            shift_samples,
            lead=lead,
            start=start,
            picture_end=math.floor(picture.end_s * rate_hz),
        )

    def push(self, packet: Any) -> Iterator[Any]:
        """Take a packet of the source, or an empty one at its end; yield packets for the target."""
        for samples in self._line.push(packet):
            yield from self._encoder.encode(self._shifted.push(samples))

    def finish(self) -> Iterator[Any]:
        """Yield the packets up to the end."""
        yield from self._encoder.encode(self._shifted.finish())
        yield from self._encoder.finish()

    def warnings(self) -> list[str]:
        """Say what was wrong with the sound though it could be moved."""
        return self._line.warnings() + self._encoder.warnings()


class _ShiftedLine:
    """The line of samples, moved; as long as it was."""

    def __init__(
        self, planes: Planes, shift: int, *, lead: int, start: int, picture_end: int
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

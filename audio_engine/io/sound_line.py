"""Decode the sound of a file onto one line without holes, by its time stamps.

What an encoder put before the first sample is cut away by the decoder, holes in the stamps become
silence, doubled stretches are dropped; a clock that leaps by minutes is not followed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine.io.video import JITTER_S, LONGEST_HOLE_S, LONGEST_RETURN_S

Samples = NDArray[Any]  # (channels, samples), or (1, samples * channels) where they are interleaved

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


@dataclass(slots=True)
class Span:
    """When the packets of a stream start and end, and how many bytes they are."""

    start_s: Fraction
    end_s: Fraction
    size_bytes: int = 0

    @property
    def bit_rate_bps(self) -> float:
        """Mean bit rate."""
        return float(8 * self.size_bytes / max(self.end_s - self.start_s, Fraction(1, 100)))


class SoundLine:
    """Packets of a sound stream on their way to samples without holes.

    Parameters
    ----------
    source : av.stream.Stream
        Whose packets will come.
    first : av.AudioFrame
        The first frame that they decode to: its rate and layout are those of the line.
    sound : Span
        Of the source.
    sample_format : str
        Of the samples, FFmpeg's name.

    Attributes
    ----------
    start, end : int
        Samples from the time 0 to the first of the line and behind the last that there can be.
    """

    def __init__(
        self, av: Any, source: Any, first: Any, *, sound: Span, sample_format: str
    ) -> None:
        self._av, self._format = av, sample_format
        self._rate_hz, self._layout = int(first.sample_rate), plain_layout(first)
        self.start = 0 if first.pts is None else round(first.pts * first.time_base * self._rate_hz)
        # A decoder may give more than its packets say they hold: the padding of the last one. Where
        # stamps are coarse (Matroska: 1 ms) they may be off by one at each end.
        coarse_s = 2 * source.time_base if source.time_base * self._rate_hz > 1 else 0
        self.end = math.ceil((sound.end_s + coarse_s) * self._rate_hz)
        planes = Planes(sample_format, int(first.layout.nb_channels))
        self._placing = _Placing(self._rate_hz, planes, self.start, self.end)
        self._resampler: Any = None
        self._resampled: tuple[str, str, int] = ("", "", 0)  # what it is for
        self._damaged_count = 0

    def push(self, packet: Any) -> Iterator[Samples]:
        """Take a packet, or an empty one at the end; yield what follows on the line."""
        try:
            frames = packet.decode()
        except self._av.FFmpegError:
            self._damaged_count += 1
            return
        for frame in frames:
            stamp_s = None if frame.pts is None else frame.pts * frame.time_base
            for plain in self._plain(frame):
                yield from self._placing.place(plain.to_ndarray(), stamp_s)
                stamp_s = None

    def warnings(self) -> list[str]:
        """Say what was wrong with the sound though it could be read."""
        found = []
        if self._damaged_count:
            found.append(f"damaged packets of the sound: {self._damaged_count}, now silence")
        if self._placing.hole_count:
            found.append(f"holes in the sound: {self._placing.hole_count}, filled with silence")
        return found

    def _plain(self, frame: Any) -> list[Any]:
        """Return the frame in the format of the line; as a rule it is that already."""
        layout = (frame.format.name, plain_layout(frame), int(frame.sample_rate))
        if layout == (self._format, self._layout, self._rate_hz):
            return [frame]
        if self._resampler is None or self._resampled != layout:
            self._resampled = layout
            self._resampler = self._av.AudioResampler(self._format, self._layout, self._rate_hz)
        frame.pts = None  # placing is not the resampler's business
        return list(self._resampler.resample(frame))


class Planes:
    """Samples as FFmpeg lays them out: planes, or all channels in one row."""

    def __init__(self, sample_format: str, channels: int) -> None:
        self._rows, self._step = (channels, 1) if sample_format.endswith("p") else (1, channels)
        self._dtype = np.dtype(
            {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8", "s64": "i8"}[
                kind_of(sample_format)
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

    def __init__(self, rate_hz: int, planes: Planes, start: int, end: int) -> None:
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


def kind_of(sample_format: str) -> str:
    """Return a sample format's name without the layout of its channels."""
    return sample_format.removesuffix("p")


def plain_layout(frame: Any) -> str:
    """Return the layout's name, a usual one for channels without any order."""
    name = str(frame.layout.name)
    return LAYOUTS.get(frame.layout.nb_channels, name) if name.endswith("channels") else name

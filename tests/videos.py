"""Small videos made on the spot with PyAV, for the tests of what reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 48000
_TICKS = 12000  # a time base in which 24, 25, 30 and 60 pictures per second are whole
_FRAMES = 1024


def picture_number(index: int, size: tuple[int, int] = (64, 96)) -> NDArray[np.uint8]:
    """Return a picture that shows its number as eight bright or dark fields, and a bright top."""
    rgb = np.full((*size, 3), 40, np.uint8)
    rgb[: size[0] // 4] = 235
    width = size[1] // 8
    for bit in range(8):
        if index >> bit & 1:
            rgb[size[0] // 2 :, bit * width : (bit + 1) * width] = 235
    return rgb


def number_of(rgb: NDArray[np.uint8]) -> int:
    """Read the number of such a picture."""
    row = rgb[rgb.shape[0] * 3 // 4].mean(axis=-1)
    width = rgb.shape[1] / 8
    return sum(1 << bit for bit in range(8) if row[int((bit + 0.5) * width)] > 128)


def write_video(
    path: Path,
    pictures: Iterable[tuple[float, NDArray[np.uint8]]] = (),
    sound: Sequence[tuple[float, NDArray[np.float32]]] = (),
    *,
    video_codec: str = "libx264",
    audio_codec: str = "aac",
    rate_hz: int = RATE_HZ,
    rotation: int = 0,
    start_s: float = 0.0,
) -> Path:
    """Write pictures and stretches of mono sound, each with its time in s; return the path.

    Holes between stretches stay holes. `start_s` is added to every stamp that is written.
    """
    import av

    pictures = list(pictures)
    with av.open(str(path), "w") as container:
        packets: list[tuple[float, Any]] = []
        picture_stream = sound_stream = None
        if pictures:
            height, width = pictures[0][1].shape[:2]
            picture_stream = container.add_stream(video_codec, rate=30)
            picture_stream.width, picture_stream.height = width, height
            picture_stream.pix_fmt = "yuv420p"
            picture_stream.codec_context.time_base = Fraction(1, _TICKS)
            if video_codec == "libx264":
                picture_stream.options = {"preset": "ultrafast", "crf": "18"}
            if rotation:
                picture_stream.set_display_rotation(rotation)
        if sound:
            sound_stream = container.add_stream(audio_codec, rate=rate_hz, layout="mono")
        if picture_stream is not None:
            for time_s, rgb in pictures:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
                frame.pts = round((time_s + start_s) * _TICKS)
                frame.time_base = Fraction(1, _TICKS)
                packets += _timed(picture_stream.encode(frame))
            packets += _timed(picture_stream.encode(None))
        if sound_stream is not None:
            for frame in _sound_frames(av, sound, sound_stream.format.name, rate_hz, start_s):
                packets += _timed(sound_stream.encode(frame))
            packets += _timed(sound_stream.encode(None))
        for _, packet in sorted(packets, key=lambda item: item[0]):
            container.mux(packet)
    return path


def _timed(packets: list[Any]) -> list[tuple[float, Any]]:
    return [(float((p.dts if p.dts is not None else 0) * p.time_base), p) for p in packets]


def _sound_frames(
    av: Any,
    sound: Sequence[tuple[float, NDArray[np.float32]]],
    sample_format: str,
    rate_hz: int,
    start_s: float,
) -> Iterable[Any]:
    for time_s, audio in sound:
        first = round((time_s + start_s) * rate_hz)
        for i in range(0, len(audio), _FRAMES):
            samples = np.clip(audio[i : i + _FRAMES], -1.0, 1.0)[np.newaxis]
            if sample_format.startswith("s16"):
                samples = np.rint(samples * 32767.0).astype(np.int16)
            elif sample_format.startswith("s32"):
                samples = np.rint(samples * 2147483647.0).astype(np.int32)
            frame = av.AudioFrame.from_ndarray(samples, format=sample_format, layout="mono")
            frame.sample_rate, frame.pts = rate_hz, first + i
            frame.time_base = Fraction(1, rate_hz)
            yield frame

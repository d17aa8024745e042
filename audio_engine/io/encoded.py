"""Sound as MP3 in memory, for pages that carry their players with them.

MP3, because every browser plays it: Opus in Ogg is new in Safari 18.4.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence

import numpy as np
import soundfile

from audio_engine.io.converted import ConvertedReader
from audio_engine.io.files import open_reader
from audio_engine.processors.audio import AudioArray

# MPEG-1 and MPEG-2 layer III (ISO 11172-3, 13818-3): rate, and lowest and highest kbit/s. What 56
# kbit/s a channel can carry ends at 15 kHz, so 32 kHz are enough.
_FORMATS = ((32000, 32, 320), (24000, 8, 160), (16000, 8, 160))
_PIECE_S = 1.0


def encode_stretches(
    path: str | os.PathLike[str],
    stretches: Sequence[tuple[float, float]],
    *,
    channels: int,
    kbit_per_s: int,
) -> bytes:
    """Return stretches of a file, one after the other, as one MP3.

    Parameters
    ----------
    path : path-like
        Any file that `open_reader` takes; converted to 32, 24 or 16 kHz.
    stretches : sequence of (float, float)
        Start and end in s, in order.
    channels : int
        1 (the mean of all) or 2 (the first two).
    kbit_per_s : int
        Of the whole; the next that the rate has is taken.

    Raises
    ------
    InputFileError
        If the file cannot be read.
    """
    with open_reader(path) as reader:
        source_rate_hz = reader.sample_rate_hz
    rate_hz, low, high = next((f for f in _FORMATS if f[0] <= source_rate_hz), _FORMATS[-1])
    level = (high - min(max(kbit_per_s, low), high)) / (high - low)
    result = io.BytesIO()
    with (
        ConvertedReader(path, rate_hz, piece_s=_PIECE_S) as source,
        soundfile.SoundFile(
            result,
            "w",
            samplerate=rate_hz,
            channels=channels,
            format="MP3",
            subtype="MPEG_LAYER_III",
            bitrate_mode="CONSTANT",
            compression_level=min(level, 0.99),
        ) as sound,
    ):
        for block in _cut(source, rate_hz, stretches):
            wanted = block.mean(axis=1, keepdims=True) if channels == 1 else block[:, :channels]
            sound.write(np.clip(wanted, -1.0, 1.0))
    return result.getvalue()


def _cut(
    source: ConvertedReader, rate_hz: int, stretches: Sequence[tuple[float, float]]
) -> Iterable[AudioArray]:
    position = 0
    for start_s, end_s in stretches:
        for stop, wanted in ((round(start_s * rate_hz), False), (round(end_s * rate_hz), True)):
            while position < stop:
                block = source.take(min(stop - position, rate_hz))
                if not len(block):
                    return
                position += len(block)
                if wanted:
                    yield block

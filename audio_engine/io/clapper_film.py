"""Make a film of flashes and beeps, to be played on a phone or laptop before a camera.

The gaps are all different (steps of the golden ratio), so that a beep belongs to one flash only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine.io.files import check_target
from audio_engine.io.video import SOUND_RATE_HZ, import_av
from audio_engine.io.video_writing import container_of, new_video

SHORTEST_GAP_S, LONGEST_GAP_S = 1.6, 2.4
FLASHES = 16
_FRAME_RATE_HZ = 60
_WIDTH, _HEIGHT = 640, 360
_DARK, _LIT, _GREY = 32, 235, 128  # of 16 .. 235; no colour
_FLASH_S, _BEEP_S, _BEEP_HZ, _BEEP_LEVEL, _FADE_S = 0.1, 0.06, 1000.0, 0.5, 0.0005
_GOLDEN = 0.5 * (5.0**0.5 - 1.0)


def flash_times_s() -> NDArray[np.float64]:
    """Return when the film flashes and beeps: on frames of 1/60 s, which are whole samples too."""
    steps = (_GOLDEN * np.arange(FLASHES)) % 1.0
    times_s = np.cumsum(SHORTEST_GAP_S + (LONGEST_GAP_S - SHORTEST_GAP_S) * steps)
    return np.round(times_s * _FRAME_RATE_HZ) / _FRAME_RATE_HZ


def write_clapper(output: str | os.PathLike[str]) -> float:
    """Write the film; return its length in s.

    Parameters
    ----------
    output : path-like
        ``.mp4``, ``.mov`` or ``.mkv``: H.264 and AAC, where PyAV has these encoders. It appears
        when it is complete.

    Raises
    ------
    ConfigError, OutputFileError
        If the output is not possible, or cannot be written.
    AudioEngineError
        If PyAV is not installed; the text says what brings it.
    """
    output = Path(output)
    container = container_of(output)
    check_target(output)
    av = import_av("written")
    times_s = flash_times_s()
    length_s = float(times_s[-1]) + 1.0
    with new_video(av, output, container, {}) as target:
        pictures = target.add_stream(_picture_encoder(av), rate=_FRAME_RATE_HZ)
        pictures.width, pictures.height, pictures.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        pictures.options = {"preset": "veryfast"}
        sound = target.add_stream("aac", rate=SOUND_RATE_HZ)
        sound.codec_context.layout, sound.codec_context.bit_rate = "mono", 128000
        for second in range(int(np.ceil(length_s))):
            for frame in _pictures(av, times_s, second):
                target.mux(pictures.encode(frame))
            target.mux(sound.encode(_sound(av, times_s, second)))
        target.mux(pictures.encode(None))
        target.mux(sound.encode(None))
    return float(np.ceil(length_s))


def _picture_encoder(av: Any) -> str:
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"


def _pictures(av: Any, times_s: NDArray[np.float64], second: int) -> Iterator[Any]:
    for i in range(second * _FRAME_RATE_HZ, (second + 1) * _FRAME_RATE_HZ):
        since_s = i / _FRAME_RATE_HZ - times_s
        is_lit = ((since_s > -1e-6) & (since_s < _FLASH_S - 1e-6)).any()
        planes = np.full((_HEIGHT * 3 // 2, _WIDTH), _GREY, np.uint8)  # luma, then colours
        planes[:_HEIGHT] = _LIT if is_lit else _DARK
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = i, Fraction(1, _FRAME_RATE_HZ)
        yield frame


def _sound(av: Any, times_s: NDArray[np.float64], second: int) -> Any:
    at_s = second + np.arange(SOUND_RATE_HZ) / SOUND_RATE_HZ
    sound = np.zeros(SOUND_RATE_HZ)
    for time_s in times_s:
        since_s = at_s - time_s
        swell = np.clip(np.minimum(since_s, _BEEP_S - since_s) / _FADE_S, 0.0, 1.0)
        sound += _BEEP_LEVEL * swell * np.sin(2.0 * np.pi * _BEEP_HZ * since_s)
    frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), "fltp", "mono")
    frame.sample_rate, frame.time_base = SOUND_RATE_HZ, Fraction(1, SOUND_RATE_HZ)
    frame.pts = second * SOUND_RATE_HZ
    return frame

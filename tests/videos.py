"""Small videos made on the spot with PyAV, for the tests of what reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

import audio_engine

RATE_HZ = 48000
_TICKS = 12000  # a time base in which 24, 25, 30 and 60 pictures per second are whole
_FRAMES = 1024
SECONDS = 2.4
STEP_S = 0.04


def voice(name: str) -> NDArray[np.float32]:
    """Return one of the demo's voices, mono at 48 kHz: host (14.9 s) or guest (9.0 s)."""
    path = Path(audio_engine.__file__).parent / "demo_data" / f"{name}.flac"
    audio, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(audio[:, 0], rate_hz, RATE_HZ), np.float32)


def opening_of(audio: NDArray[np.float32], times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far a mouth is open (0 to 1) that would make this sound: its smoothed level."""
    hop = RATE_HZ // 100
    frames = audio[: len(audio) // hop * hop].reshape(-1, hop)
    level_db = 10.0 * np.log10((frames**2).mean(axis=1) + 1e-7)
    smooth = np.convolve(level_db, np.hanning(9) / np.hanning(9).sum(), "same")
    low, high = np.percentile(smooth, [20, 95])
    opening = np.clip((smooth - low) / (high - low), 0.0, 1.0)
    return np.asarray(np.interp(times_s, np.arange(len(opening)) / 100.0 + 0.005, opening))


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


def add_film(target: Any, bit_rate: int = 64000) -> None:
    """Mux a film with one more sound, subtitles, tags and chapters as far as the container goes."""
    import av

    target.metadata["title"] = "A film"
    base = Fraction(1, 1000)
    target.set_chapters(
        [
            {"id": i, "start": t, "end": t + 1000, "time_base": base, "metadata": {"title": title}}
            for i, t, title in ((1, 0, "One"), (2, 1000, "Two"))
        ]
    )
    picture = target.add_stream("libx264", rate=25)
    picture.width, picture.height, picture.pix_fmt = 96, 64, "yuv420p"
    picture.set_display_rotation(90)
    sounds = [target.add_stream("aac", rate=48000) for _ in range(2)]
    for stream, language in zip(sounds, ("deu", "zho"), strict=True):
        stream.codec_context.layout, stream.codec_context.bit_rate = "mono", bit_rate
        stream.metadata["language"] = language
    subtitles = None
    if target.format.name == "matroska":
        subtitles = target.add_mux_stream("subrip")
        subtitles.time_base = Fraction(1, 1000)
    parts: list[tuple[float, Any]] = []
    for i in range(50):
        frame = av.VideoFrame.from_ndarray(picture_number(i), format="rgb24")
        frame.pts, frame.time_base = i, Fraction(1, 25)
        parts += [(float(p.dts * p.time_base), p) for p in picture.encode(frame)]
    parts += [(float(p.dts * p.time_base), p) for p in picture.encode(None)]
    for seed, stream in enumerate(sounds):
        samples = noise(2.0, seed=seed)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        for each in (frame, None):
            parts += [(float(p.pts * p.time_base), p) for p in stream.encode(each)]
    if subtitles is not None:
        for i in range(2):
            packet = av.Packet(f"line {i}".encode())
            packet.stream, packet.time_base = subtitles, Fraction(1, 1000)
            packet.pts = packet.dts = 300 + 800 * i
            packet.duration = 500
            parts.append((packet.pts / 1000.0, packet))
    for _, packet in sorted(parts, key=lambda part: part[0]):
        target.mux(packet)


def noise(seconds: float = SECONDS, rate_hz: int = 48000, seed: int = 3) -> NDArray[np.float32]:
    """Band-limited noise, in steps of 16 bits: its place is found to the sample after any codec."""
    white = np.random.default_rng(seed).standard_normal(round(seconds * rate_hz))
    smooth = 0.1 * np.convolve(white, np.hanning(12), "same")
    return (np.rint(smooth * 32767.0) / 32767.0).astype(np.float32)


def pictures(seconds: float = SECONDS, start_s: float = 0.0) -> list[tuple[float, Any]]:
    return [(start_s + i * STEP_S, picture_number(i)) for i in range(round(seconds / STEP_S))]


def decoded(path: Path, track: int = 0) -> tuple[float, NDArray[np.float64]]:
    """Return when the sound starts and the first channel of all its samples, as PyAV decodes it."""
    import av

    blocks, start_s = [], None
    with av.open(str(path)) as container:
        for frame in container.decode(audio=track):
            if start_s is None:
                start_s = float(frame.pts * frame.time_base)
            plane = frame.to_ndarray()[0]
            whole = float(np.iinfo(plane.dtype).max) if plane.dtype.kind == "i" else 1.0
            blocks.append(plane / whole)
    assert start_s is not None
    return start_s, np.concatenate(blocks)


def packets(path: Path, kind: str) -> list[tuple[float, str]]:
    """Return time stamp and hash of every packet of the streams of a kind."""
    import av

    with av.open(str(path)) as container:
        return [
            (round(float(p.pts * p.time_base), 6), hashlib.sha256(bytes(p)).hexdigest())
            for p in container.demux()
            if p.stream.type == kind and p.size
        ]


def duration_s(path: Path) -> float:
    import av

    with av.open(str(path)) as container:
        return float(container.duration / av.time_base)


def earlier_by(before: NDArray[np.float64], after: NDArray[np.float64]) -> int:
    """Find by how many samples `after` comes earlier, by cross-correlation."""
    size = 1 << (len(before) + len(after)).bit_length()
    product = np.fft.rfft(before, size) * np.conj(np.fft.rfft(after, size))
    place = int(np.fft.irfft(product, size).argmax())
    return place if place < size // 2 else place - size


#: Container, encoders of sound and picture, rate.
KINDS = [
    ("mp4", "aac", "libx264", 48000),
    ("mp4", "aac", "libx264", 44100),
    ("mkv", "flac", "libx264", 44100),
    ("mkv", "aac", "libx264", 48000),
    ("mov", "pcm_s16le", "libx264", 48000),
    ("mov", "alac", "libx264", 48000),
    ("webm", "libopus", "libvpx", 48000),
    ("mp4", "libmp3lame", "libx264", 44100),
    ("mkv", "ac3", "libx264", 48000),
    ("ts", "aac", "libx264", 48000),
    ("flv", "aac", "libx264", 44100),
]
LOSSLESS = {"flac", "pcm_s16le", "alac"}

"""Read the pictures and the sound of a video on one clock, for what is measured between them.

FFmpeg decodes (PyAV). Each stream is read through a door of its own, so that any interleaving in
the file is merged in constant memory. The clock is the one players use: presentation time stamps,
zero at the file's start. Frames are never counted: the rate may vary, and recordings have holes.

Sound comes out mono, 48 kHz, gapless: what an encoder put before the first sample (AAC priming)
is already cut away by the decoder, holes in the time stamps become silence, doubled stretches are
dropped. Stamps that jitter by less than `JITTER_S` are rounding, not holes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from audio_engine.errors import AudioEngineError, InputFileError
from audio_engine.io.extras import install_command
from audio_engine.processors.audio import AudioArray

SOUND_RATE_HZ = 48000
#: Time stamps that are off by less are rounding: Matroska and FLV round to 1 ms, live muxers jitter
#: by some ms; a missing frame of AAC is 21 ms.
JITTER_S = 0.012
LONGEST_HOLE_S = 600.0  # a longer jump of the stamps is no hole but a broken clock,
LONGEST_RETURN_S = 1.0  # and so is a longer jump back
_SILENCE_S = 1.0  # holes are filled in blocks of that
_CUT_OFF_S = 1.0  # a file that ends this much before its stated end is told to be cut off

# What FFmpeg may take a file for: recordings, and no play lists, which name other files.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,mpegts,mpeg,mpegvideo,m4v,h264,hevc,"
    "asf,asf_o,ogg,mxf,dv,nut,rm,gxf,wtv,ivf,mjpeg,gif,apng,aac,amr,amrnb,amrwb,ac3,eac3,dts,"
    "dtshd,truehd,mp3,flac,wav,w64,aiff,caf,au,wv,ape,tta,tak,oma,xwma"
)

Rgb = NDArray[np.uint8]


class Picture(NamedTuple):
    """One picture: when it is shown, in s, and its pixels, shape (height, width, 3), upright."""

    time_s: float
    rgb: Rgb


class Sound(NamedTuple):
    """A stretch of sound: time of its first sample, in s, and samples, mono float32 at 48 kHz."""

    time_s: float
    audio: AudioArray


class VideoReader:
    """A video file whose pictures and sound are read on one clock; made by `open_video`.

    Attributes
    ----------
    path : Path
        The file.
    width, height : int
        Of the upright picture in pixels, after the rotation that phones note; 0 without pictures.
    frame_rate_hz : float
        Mean rate the file states, 0.0 when it does not say.
    duration_s : float
        Stated length, 0.0 when the file does not say.
    warnings : list of str
        What is wrong with the file though it can be read. Grows while reading.
    """

    def __init__(self, path: Path, *, pictures: bool, sound: bool) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._av = import_av("read")
        self._open: list[Any] = []
        self._ends_s: dict[str, float] = {}
        self._wanted = [kind for kind, want in (("video", pictures), ("audio", sound)) if want]
        try:
            container = self._container()
            streams = [best_stream(self._av, container, kind, self.path) for kind in self._wanted]
            self._start_s = (container.start_time or 0) / self._av.time_base
            self.duration_s = _stated_duration_s(container, streams, self._av.time_base)
            self.width = self.height = 0
            self.frame_rate_hz, self._aspect = 0.0, 1.0
            if pictures:
                self.frame_rate_hz = float(streams[0].average_rate or 0.0)
                self._aspect = float(streams[0].sample_aspect_ratio or 1.0)
                self.height, self.width = self._first_picture().shape[:2]
        except BaseException:
            self.close()
            raise

    def pictures(self, short_side: int | None = None) -> Iterator[Picture]:
        """Yield the pictures from the first one on, in the order of their time stamps.

        Parameters
        ----------
        short_side : int or None
            Larger pictures are made smaller until their shorter side has this many pixels.

        Raises
        ------
        InputFileError
            If not one picture can be decoded.
        """
        stamps = _Stamps("pictures", self._start_s, self.warnings)
        upright = _Turner(self._av, self._aspect, short_side)
        last_s, step_s = -np.inf, 1.0 / (self.frame_rate_hz or 25.0)
        for frame in self._frames("video"):
            time_s = stamps.time_s(frame, last_s + step_s)
            if time_s <= last_s:  # two pictures for one moment: the first is shown
                continue
            if 0.0 < time_s - last_s < 1.0:
                step_s = time_s - last_s
            last_s = time_s
            self._ends_s["video"] = time_s + step_s
            yield Picture(time_s, upright(frame))
        self._end("video", "picture")

    def sound(self) -> Iterator[Sound]:
        """Yield the sound without holes, in blocks of any length.

        Raises
        ------
        InputFileError
            If not one sample can be decoded.
        """
        line = _SoundLine(self._av, _Stamps("sound", self._start_s, self.warnings))
        for frame in self._frames("audio"):
            yield from line.push(frame)
            self._ends_s["audio"] = line.next_s
        yield from line.flush()
        self._end("audio", "sound")

    def both(self, short_side: int | None = None) -> Iterator[Picture | Sound]:
        """Yield pictures and stretches of sound in the order of their times."""
        pictures, sound = self.pictures(short_side), self.sound()
        picture, stretch = next(pictures, None), next(sound, None)
        while picture is not None or stretch is not None:
            if stretch is None or (picture is not None and picture.time_s <= stretch.time_s):
                assert picture is not None
                yield picture
                picture = next(pictures, None)
            else:
                yield stretch
                stretch = next(sound, None)

    def collect_sound(self) -> Sound:
        """Return all the sound at once: 11.5 MB per minute."""
        stretches = list(self.sound())
        return Sound(stretches[0].time_s, np.concatenate([part.audio for part in stretches]))

    def close(self) -> None:
        """Close the file; doing so twice is fine."""
        for container in self._open:
            container.close()
        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"VideoReader({str(self.path)!r}, {self.width} x {self.height}, "
            f"{self.frame_rate_hz:.3f} Hz, {self.duration_s:.3f} s)"
        )

    def _container(self) -> Any:
        """Open the file once more."""
        try:
            container = open_container(self._av, self.path)
        except (self._av.FFmpegError, ValueError) as error:
            raise InputFileError(f"{self.path}: {why_not_opened(self.path, error)}") from None
        self._open.append(container)
        return container

    def _shut(self, container: Any) -> None:
        container.close()
        self._open.remove(container)

    def _frames(self, kind: str) -> Iterator[Any]:
        """Decode one stream from its beginning; damaged packets are left out and counted."""
        container = self._container()
        damaged = 0
        try:
            stream = best_stream(self._av, container, kind, self.path)
            stream.thread_type = "AUTO"
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets, None)
                except (self._av.FFmpegError, OSError):  # the file ends within a packet
                    damaged += 1
                    break
                if packet is None:
                    break
                try:
                    frames = packet.decode()
                except self._av.FFmpegError:
                    damaged += 1
                    continue
                yield from frames
        finally:
            if container in self._open:
                self._shut(container)
        if damaged:
            word = "picture" if kind == "video" else "sound"
            self._warn(f"damaged packets of the {word} that were left out: {damaged}")

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _first_picture(self) -> Rgb:
        for frame in self._frames("video"):
            return _Turner(self._av, self._aspect)(frame)
        raise InputFileError(f"{self.path}: no picture can be decoded; the file is damaged")

    def _end(self, kind: str, word: str) -> None:
        """Say so when nothing came, or when the file ends before the time its head states."""
        if kind not in self._ends_s:
            raise InputFileError(f"{self.path}: no {word} can be decoded; the file is damaged")
        if any(kind not in self._ends_s for kind in self._wanted):
            return
        end_s = max(self._ends_s.values())
        if end_s < self.duration_s - _CUT_OFF_S:
            self._warn(
                f"the file ends after {end_s:.1f} of {self.duration_s:.1f} s; it is cut off or "
                "damaged, what is there is used"
            )


class _Turner:
    """Makes pixels as a viewer sees them: square, small enough, turned as the file notes."""

    def __init__(self, av: Any, aspect: float, short_side: int | None = None) -> None:
        self._scaler = av.video.reformatter.VideoReformatter()
        self._aspect, self._short_side = aspect, short_side or np.inf

    def __call__(self, frame: Any) -> Rgb:
        width = round(frame.width * self._aspect)
        scale = min(1.0, self._short_side / max(1, min(width, frame.height)))
        width, height = (max(2, round(side * scale)) for side in (width, frame.height))
        pixels = self._scaler.reformat(frame, width, height, "rgb24", interpolation="AREA")
        return np.ascontiguousarray(np.rot90(pixels.to_ndarray(), round(frame.rotation / 90.0)))


class _Stamps:
    """The time stamps of a stream: the file's start is 0, leaps of a broken clock are taken out."""

    def __init__(self, word: str, start_s: float, warnings: list[str]) -> None:
        self._word, self._warnings = word, warnings
        self._zero_s = start_s
        self._first = True

    def time_s(self, frame: Any, expected_s: float) -> float:
        """Return when a frame is due; a frame without a stamp is due when it is expected."""
        first, self._first = self._first, False
        stamp = frame.pts if frame.pts is not None else frame.dts
        if stamp is None:
            return 0.0 if first else expected_s
        time_s = float(stamp * frame.time_base) - self._zero_s
        if first or -LONGEST_RETURN_S <= time_s - expected_s <= LONGEST_HOLE_S:
            return time_s
        self._zero_s += time_s - expected_s
        self._warnings.append(
            f"the time stamps of the {self._word} leap by {time_s - expected_s:.1f} s at "
            f"{expected_s:.1f} s; this leap is not followed"
        )
        return expected_s


class _SoundLine:
    """Decoded frames on their way to one gapless line of mono samples at 48 kHz."""

    def __init__(self, av: Any, stamps: _Stamps) -> None:
        self._av, self._stamps = av, stamps
        self._resampler: Any = None
        self._layout: tuple[Any, ...] = ()
        self._start_s = 0.0  # of the first sample of all
        self._frames = 0  # that came out since
        self._expected_s: float | None = None  # when the next frame should begin
        self._to_drop = 0  # samples that are there twice

    @property
    def next_s(self) -> float:
        """Time of the next sample to come out."""
        return self._start_s + self._frames / SOUND_RATE_HZ

    def push(self, frame: Any) -> Iterator[Sound]:
        """Take a decoded frame; what is complete comes out."""
        if self._expected_s is None:
            self._start_s = self._expected_s = self._stamps.time_s(frame, 0.0)
            time_s = self._start_s
        else:
            time_s = self._stamps.time_s(frame, self._expected_s)
        leap = abs(time_s - self._expected_s) > JITTER_S
        layout = (frame.format.name, frame.layout.name, frame.sample_rate)
        if leap or layout != self._layout:
            yield from self.flush()
            self._layout = layout
            self._resampler = self._av.AudioResampler("flt", "mono", SOUND_RATE_HZ)
        if leap:
            self._expected_s = time_s
            yield from self._leap_to(time_s)
        self._expected_s += frame.samples / frame.sample_rate
        frame.pts = None  # the resampler must not repair stamps too
        yield from self._take(self._resampler.resample(frame))

    def flush(self) -> Iterator[Sound]:
        """Yield what the resampler still holds."""
        if self._resampler is not None:
            yield from self._take(self._resampler.resample(None))
            self._resampler = None

    def _leap_to(self, time_s: float) -> Iterator[Sound]:
        missing = round((time_s - self.next_s) * SOUND_RATE_HZ)
        self._to_drop = max(0, -missing)
        while missing > 0:
            count = min(missing, int(_SILENCE_S * SOUND_RATE_HZ))
            yield self._sound(np.zeros(count, np.float32))
            missing -= count

    def _take(self, frames: list[Any]) -> Iterator[Sound]:
        for frame in frames:
            audio = np.asarray(frame.to_ndarray(), np.float32).reshape(-1)
            dropped = min(self._to_drop, len(audio))
            self._to_drop -= dropped
            if len(audio) > dropped:
                yield self._sound(audio[dropped:])

    def _sound(self, audio: AudioArray) -> Sound:
        sound = Sound(self.next_s, np.nan_to_num(audio, copy=False, posinf=0.0, neginf=0.0))
        self._frames += len(audio)
        return sound


def open_video(
    path: str | os.PathLike[str], *, pictures: bool = True, sound: bool = True
) -> VideoReader:
    """Open a video file for reading.

    Parameters
    ----------
    path : path-like
        Any container and codec that PyAV's FFmpeg decodes.
    pictures, sound : bool
        What will be read and therefore must be there.

    Raises
    ------
    InputFileError
        If the file is missing, is no video or lacks a wanted stream; one line that names the file.
    AudioEngineError
        If PyAV is not installed; the text says what brings it.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise OSError(f"this is {kind}; name a video file")
        path.open("rb").close()
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror or error}") from None
    return VideoReader(path, pictures=pictures, sound=sound)


def import_av(purpose: str, what: str = "videos") -> Any:
    """Return PyAV, with which videos are "read" and "written", or say what brings it."""
    try:
        import av
    except ImportError:
        raise AudioEngineError(
            f"{what} are {purpose} with PyAV, which is not installed; install it with: "
            f"{install_command('av')}"
        ) from None
    return av


def why_not_opened(path: Path, error: Exception) -> str:
    """Return why a file is not opened, and what can be done."""
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:] == b"ftyp":
        return (
            "the file is not complete: its index is missing or damaged "
            f"({_said(error)}); copy it again, or record to MKV, which needs no end"
        )
    found = "this is no video that FFmpeg can read" if head else "the file is empty"
    said = f" ({_said(error)})" if head else ""
    return f"{found}{said}; MP4, MOV, MKV, WebM, FLV, TS and AVI can be read"


def _said(error: Exception) -> str:
    """Return FFmpeg's own words, without the file's name and the number."""
    return str(getattr(error, "strerror", None) or error)


def open_container(av: Any, path: Path) -> Any:
    """Open a file; nothing but this very file is ever opened, no address in it, no play list."""
    return av.open(
        f"file:{path}",
        container_options={"protocol_whitelist": "file", "format_whitelist": _FORMATS},
        metadata_errors="replace",
    )


def is_cover(av: Any, stream: Any) -> bool:
    """Say whether a stream is the picture on a recording's cover."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def best_stream(av: Any, container: Any, kind: str, path: Path) -> Any:
    """Return a file's best stream of a kind that can be decoded; cover art is no video.

    Parameters
    ----------
    av : module
        PyAV.
    container : av.container.InputContainer
        The open file.
    kind : str
        ``"video"`` or ``"audio"``.
    path : Path
        What the file is called in errors.

    Raises
    ------
    InputFileError
        If there is none.
    """
    best = container.streams.best(kind)
    streams = [best, *(stream for stream in container.streams if stream.type == kind)]
    moving = [stream for stream in streams if stream and not is_cover(av, stream)]
    for stream in moving:
        if stream.codec_context is not None:
            return stream
    word = "picture" if kind == "video" else "sound"
    if moving:
        raise InputFileError(
            f"{path}: FFmpeg here has no decoder for the {word} of this file; "
            "convert it to H.264 and AAC"
        )
    raise InputFileError(
        f"{path}: there is no {word} stream in this file; name a video with picture and sound"
    )


def _stated_duration_s(container: Any, streams: list[Any], time_base: int) -> float:
    """Return the length by the streams' own statements where there are any, else by the file's."""
    own_s = [float(s.duration * s.time_base) for s in streams if s.duration]
    if len(own_s) == len(streams):
        return max(own_s)
    return float(container.duration or 0) / time_base

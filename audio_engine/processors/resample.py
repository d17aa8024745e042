"""Sample rate conversion: a stream that can follow a drifting clock, and a one-shot."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from audio_engine._native import Kernel, PlanarRows, planar_rows
from audio_engine.errors import StreamError
from audio_engine.processors.audio import AudioArray, as_audio, channel_count
from audio_engine.processors.closing import Closable

_MAX_PPM = 1000.0


class Resampler(Closable):
    """Convert a stream from one sample rate to another, block by block.

    Blocking never changes the result. After N input frames exactly
    ``ceil(N * output_rate_hz / input_rate_hz)`` frames have come out, the first `latency_frames`
    of them before the first input sample is centred; `flush` gives the same number at the end.
    Non-finite samples are taken as silence. Not to be shared between threads.

    Parameters
    ----------
    input_rate_hz, output_rate_hz : int
        8000 to 192000, at most a factor of 12 apart.
    channels : int
        1 to 8.

    Raises
    ------
    ConfigError
        If a rate, their ratio or the channel count is out of range.

    Notes
    -----
    Kaiser-windowed sinc interpolation (Smith & Gossett 1984) over 192 periods of the lower rate:
    flat within 0.0002 dB to 0.91 of the lower Nyquist frequency, aliases below -132 dB.

    Examples
    --------
    >>> import numpy as np
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000).astype(np.float32)
    >>> with Resampler(48000, 16000) as resampler:
    ...     out = np.concatenate([resampler.process(tone), resampler.flush()])
    ...     late = resampler.latency_frames
    >>> want = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    >>> bool(np.max(np.abs(out[late : late + 16000] - want)[200:-200]) < 1e-6)
    True
    """

    def __init__(self, input_rate_hz: int, output_rate_hz: int, channels: int = 1) -> None:
        self._kernel = Kernel(
            "resample",
            input_rate_hz=input_rate_hz,
            output_rate_hz=output_rate_hz,
            channels=channels,
        )
        self._input_rate_hz = input_rate_hz
        self._output_rate_hz = output_rate_hz
        self._channels = channels
        self._latency_frames = int(self._kernel.call("latency_frames"))
        self._flushed = False

    @property
    def input_rate_hz(self) -> int:
        """Sample rate of what goes in, in Hz."""
        return self._input_rate_hz

    @property
    def output_rate_hz(self) -> int:
        """Sample rate of what comes out, in Hz."""
        return self._output_rate_hz

    @property
    def channels(self) -> int:
        """Channels of the input and of the output."""
        return self._channels

    @property
    def latency_frames(self) -> int:
        """Output frames by which the output is later than the input, exactly."""
        return self._latency_frames

    @property
    def ppm(self) -> float:
        """Offset of the input clock that is applied now, in millionths; see `set_ppm`."""
        self._check_open()
        return float(self._kernel.call("ppm"))

    def process(self, audio: ArrayLike) -> AudioArray:
        """Convert a block of any length.

        Parameters
        ----------
        audio : array_like, shape (frames,) or (frames, channels)
            float32 or float64 with full scale +-1.0, int16 or int32. Not modified.

        Returns
        -------
        ndarray of float32, shape (output frames,) or (output frames, channels)
            All that the input so far allows; perhaps nothing.

        Raises
        ------
        FormatError
            If shape or dtype do not fit.
        StreamError
            If the resampler is closed, or flushed and not reset.
        """
        self._check_open()
        if self._flushed:
            raise StreamError("the stream was flushed; call reset() before the next one")
        out = self._run(as_audio(audio, self._channels))
        return out[:, 0] if np.ndim(audio) == 1 else out

    def flush(self) -> AudioArray:
        """Return the last `latency_frames` frames; afterwards only `reset` or `close` may follow.

        Returns
        -------
        ndarray of float32, shape (latency_frames,) or (latency_frames, channels)
            One-dimensional for one channel.
        """
        ratio = self._input_rate_hz / self._output_rate_hz
        silent_frames = int(self._latency_frames * ratio * (1 + 2e-6 * _MAX_PPM)) + 1
        tail = self.process(np.zeros((silent_frames, self._channels), np.float32))
        self._flushed = True
        tail = tail[: self._latency_frames]
        return tail[:, 0] if self._channels == 1 else tail

    def set_ppm(self, ppm: float) -> None:
        """Follow an input clock that runs `ppm` millionths fast.

        Parameters
        ----------
        ppm : float
            -1000 to 1000, clamped. Positive: fewer output frames come from the same input. The
            offset moves there by 100 ppm per second, so that no pitch change can be heard.
        """
        self._check_open()
        self._kernel.call("set_ppm", ppm)

    def reset(self) -> None:
        """Return to the state of a new resampler; the clock offset stays, at its target."""
        self._check_open()
        self._kernel.call("reset")
        self._flushed = False

    def _release(self) -> None:
        self._kernel.close()

    def __repr__(self) -> str:
        return (
            f"Resampler(input_rate_hz={self._input_rate_hz}, "
            f"output_rate_hz={self._output_rate_hz}, channels={self._channels}, "
            f"latency_frames={self._latency_frames})"
        )

    def _run(self, audio: AudioArray) -> AudioArray:
        sources = planar_rows(np.where(np.isfinite(audio), audio, np.float32(0.0)))
        capacity = int(self._kernel.call("output_bound", len(audio)))
        targets = PlanarRows(np.empty((self._channels, capacity), np.float32))
        frames = self._kernel.call(
            "process", sources.pointers, len(audio), targets.pointers, capacity
        )
        return np.ascontiguousarray(targets.rows[:, :frames].T)


def resample(audio: ArrayLike, input_rate_hz: int, output_rate_hz: int) -> AudioArray:
    """Convert a whole recording to another sample rate.

    Parameters
    ----------
    audio : array_like, shape (frames,) or (frames, channels)
        float32 or float64 with full scale +-1.0, int16 or int32; 1 to 8 channels. Not modified.
    input_rate_hz, output_rate_hz : int
        8000 to 192000, at most a factor of 12 apart.

    Returns
    -------
    ndarray of float32, shape (output frames,) or (output frames, channels)
        ``frames * output_rate_hz / input_rate_hz`` frames, rounded half up. Output time zero is
        input time zero: the latency is taken off.

    Raises
    ------
    ConfigError
        If a rate, their ratio or the channel count is out of range.
    FormatError
        If shape or dtype do not fit.

    Notes
    -----
    The filter is that of `Resampler`. Equal rates give a copy.

    Examples
    --------
    >>> import numpy as np
    >>> resample(np.zeros((441, 2), np.float32), 44100, 48000).shape
    (480, 2)
    """
    channels = channel_count(audio)
    with Resampler(input_rate_hz, output_rate_hz, channels) as resampler:
        frames_in = as_audio(audio, channels)
        if input_rate_hz == output_rate_hz:
            return np.array(frames_in).reshape(np.shape(audio))
        head = resampler.process(frames_in)
        tail = resampler.flush().reshape(-1, channels)
        frames = (2 * len(frames_in) * output_rate_hz + input_rate_hz) // (2 * input_rate_hz)
        out = np.concatenate([head, tail])[resampler.latency_frames :][:frames]
    return out[:, 0] if np.ndim(audio) == 1 else out

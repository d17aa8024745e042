"""What all processors share: the verbs process, flush, reset, close, and the exact latency."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from audio_engine._native import Plan
from audio_engine.errors import FormatError, StreamError
from audio_engine.processors.audio import AudioArray, as_audio, channel_count, fit_length
from audio_engine.processors.closing import Closable


class Processor(Closable):
    """A compiled plan with one microphone input, perhaps a far end, and one output.

    Blocking never changes the result: any split of the stream gives the same samples. The
    output is `latency_frames` late; `flush` gives the rest. Not to be shared between threads.
    """

    def __init__(self, plan: Plan, sample_rate_hz: int, channels: int, far_channels: int = 0):
        self._plan = plan
        self._channels = channels
        self._far_channels = far_channels
        self._sample_rate_hz = sample_rate_hz
        self._flushed = False

    @property
    def sample_rate_hz(self) -> int:
        """Sample rate of all audio in Hz."""
        return self._sample_rate_hz

    @property
    def channels(self) -> int:
        """Channels of the input and of the output."""
        return self._channels

    @property
    def latency_frames(self) -> int:
        """Frames by which the output is later than the input, exactly."""
        return self._plan.latency_frames

    def process(self, audio: ArrayLike) -> AudioArray:
        """Process a block of any length.

        Parameters
        ----------
        audio : array_like, shape (frames,) or (frames, channels)
            float32 or float64 with full scale +-1.0, int16 or int32. Not modified.

        Returns
        -------
        ndarray of float32, the shape of `audio`
            The output, `latency_frames` late.

        Raises
        ------
        FormatError
            If shape or dtype do not fit.
        StreamError
            If the processor is closed, or flushed and not reset.
        """
        return self._run(audio, None)

    def flush(self) -> AudioArray:
        """Return the last `latency_frames` frames; afterwards only `reset` or `close` may follow.

        Returns
        -------
        ndarray of float32, shape (latency_frames,) or (latency_frames, channels)
            One-dimensional for one channel.
        """
        shape = (self.latency_frames, self._channels)
        tail = self._run(np.zeros(shape, np.float32), None)
        self._flushed = True
        return tail[:, 0] if self._channels == 1 else tail

    def reset(self) -> None:
        """Return to the state of a new processor; parameters stay as they are."""
        self._plan.reset()
        self._flushed = False

    def _release(self) -> None:
        self._plan.close()

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(sample_rate_hz={self._sample_rate_hz}, "
            f"channels={self._channels}, latency_frames={self.latency_frames})"
        )

    def _run(self, audio: ArrayLike, far_end: ArrayLike | None) -> AudioArray:
        self._check_open()
        if self._flushed:
            raise StreamError("the stream was flushed; call reset() before the next one")
        capture = as_audio(audio, self._channels)
        inputs: list[AudioArray | None] = [capture]
        if self._far_channels:
            inputs.append(self._far(far_end, len(capture)))
        elif far_end is not None:
            raise FormatError("a far end was given, but echo cancellation is not enabled")
        out = np.empty_like(capture)
        self._plan.process(inputs, [out, *self._further_outputs(out)])
        return out.reshape(np.shape(audio))

    def _further_outputs(self, out: AudioArray) -> list[AudioArray]:
        """Return arrays for what the plan gives beside `out`."""
        return []

    def _far(self, far_end: ArrayLike | None, frames: int) -> AudioArray | None:
        if far_end is None:
            return None
        far = as_audio(far_end, self._far_channels, "far_end")
        if len(far) != frames:
            raise FormatError(f"far_end has {len(far)} frames, the microphone block has {frames}")
        return far


def process_whole(
    processor: Processor, audio: ArrayLike, far_end: ArrayLike | None = None
) -> AudioArray:
    """Run a whole recording through a new or reset processor, with the latency taken off.

    Parameters
    ----------
    processor : Processor
        Any processor of this package; it is left flushed.
    audio : array_like, shape (frames,) or (frames, channels)
        The recording.
    far_end : array_like, optional
        For processors with an echo canceller; cut or padded with silence to the length of `audio`.

    Returns
    -------
    ndarray of float32, the shape of `audio`
        Sample n belongs to sample n of the input.

    Examples
    --------
    >>> import numpy as np
    >>> from audio_engine import TruePeakLimiter
    >>> tone = 2.0 * np.sin(np.arange(48000, dtype=np.float32) * 0.05)
    >>> with TruePeakLimiter(sample_rate_hz=48000, ceiling_dbtp=-1.0) as limiter:
    ...     held = process_whole(limiter, tone)
    >>> held.shape, bool(np.max(np.abs(held)) <= 10 ** (-1 / 20))
    ((48000,), True)
    """
    frames = len(np.asarray(audio))
    if far_end is not None:
        far_channels = channel_count(far_end, "far_end")
        far_end = fit_length(as_audio(far_end, far_channels, "far_end"), frames)
    out = np.empty((frames + processor.latency_frames, processor.channels), np.float32)
    out[:frames] = processor._run(audio, far_end).reshape(frames, -1)
    out[frames:] = processor.flush().reshape(processor.latency_frames, -1)
    return out[processor.latency_frames :].reshape(np.shape(audio))

"""A short recording and the two views of it that several measures share: frames and spectra."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from audio_engine.processors.audio import AudioArray

Signal = NDArray[np.float64]

_FRAME_S = 0.05


@dataclass(frozen=True)
class Recording:
    """Audio in memory, with what is derived from it once.

    Attributes
    ----------
    audio : ndarray of float32, shape (frames, channels)
        Full scale +-1.0.
    sample_rate_hz : int
        8000 to 96000.
    full_scale : float
        Largest positive sample of the format it came in.
    """

    audio: AudioArray
    sample_rate_hz: int
    full_scale: float = 1.0

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.audio) / self.sample_rate_hz

    @cached_property
    def without_dc(self) -> Signal:
        """The audio about its own mean, shape (frames, channels)."""
        x = self.audio.astype(np.float64)
        return np.asarray(x - x.mean(axis=0))

    @cached_property
    def loudest_channel(self) -> int:
        """The channel with the most power: what hears the talker best."""
        return int(np.argmax(np.mean(self.without_dc**2, axis=0)))

    @cached_property
    def mono(self) -> Signal:
        """The loudest channel about its mean, shape (frames,)."""
        return np.ascontiguousarray(self.without_dc[:, self.loudest_channel])

    @cached_property
    def frame_size(self) -> int:
        """Samples of a frame of 50 ms: 20 Hz from bin to bin."""
        return round(_FRAME_S * self.sample_rate_hz)

    @cached_property
    def spectra(self) -> Signal:
        """Power of each frame and bin, Hann, half overlapped, shape (frames, bins).

        Summed over the bins it is the mean square of the frame.
        """
        size = self.frame_size
        shape = np.hanning(size + 1)[:-1]
        frames = np.lib.stride_tricks.sliding_window_view(self.mono, size)[:: size // 2]
        power = np.abs(np.fft.rfft(frames * shape, axis=1)) ** 2
        power *= 2.0 / (size * np.sum(shape**2))
        power[:, 0] *= 0.5
        if size % 2 == 0:
            power[:, -1] *= 0.5
        return np.asarray(power)

    @cached_property
    def bins_hz(self) -> Signal:
        """Frequency of each bin of `spectra`."""
        return np.asarray(np.fft.rfftfreq(self.frame_size, 1.0 / self.sample_rate_hz))


def a_weighting(frequency_hz: Signal) -> Signal:
    """Return the power gain of the A weighting (IEC 61672-1, annex E) at frequencies in Hz."""
    f2 = np.square(frequency_hz)
    gain = (
        12194.0**2
        * f2**2
        / ((f2 + 20.6**2) * np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)) * (f2 + 12194.0**2))
    )
    return np.asarray(np.square(gain * 10.0 ** (2.0 / 20.0)))


def decibel(power: float, lowest: float = -160.0) -> float:
    """Return a mean square in dB of full scale, `lowest` at least."""
    return max(10.0 * float(np.log10(power)), lowest) if power > 0.0 else lowest

"""Howl: the whistle of a microphone that hears its own loudspeaker (Larsen effect).

Method: of the criteria that van Waterschoot & Moonen 2011 compare ("Fifty years of acoustic
feedback control", section IV), those that need one spectrum: one narrow peak holds nearly all of
the power (peak-to-average and peak-to-harmonic in one), and it stays at its frequency. Voices and
instruments have harmonics, whistling and song waver. A made beep is the same signal as a howl that
has settled: it counts from 1 s on, a growing tone from 0.3 s on.
Cost: one FFT per 21 ms at 48 kHz. Memory: one frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_engine.analysis.event import Event
from audio_engine.processors.audio import AudioArray

_FRAME_S = 0.043
_LOWEST_HZ, _HIGHEST_HZ = 150.0, 10000.0
_PEAK_SHARE = 0.8  # of the power from 150 Hz to 10 kHz lies in the peak
_PEAK_BINS = 2  # to each side: the main lobe of a Hann window
_QUIETEST_DBFS = -45.0
_GROWTH_DB = 6.0
_SHORTEST_GROWING_S = 0.3
_SHORTEST_STEADY_S = 1.0
_VOICE_HZ, _VOICE_FILL = 500.0, 0.9  # pitch of voices: the first harmonic can dominate, with gaps
_GAP_S = 0.25  # a word may cover the tone for so long
_FILL = 0.5  # of a track's frames are dominated by the tone
_MERGE_S = 0.5


class HowlDetector:
    """Find howl in a stream.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.
    channels : int
        1 to 8; their mean is judged.

    Notes
    -----
    Events of kind ``howl`` less than 0.5 s apart are one; `value` is the frequency in Hz. Blocking
    never changes the result.
    """

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        del channels  # any
        from scipy.fft import next_fast_len

        self._size = 2 * next_fast_len(round(_FRAME_S * sample_rate_hz / 2), real=True)
        self._hop_s = self._size / 2 / sample_rate_hz
        self._window = np.hanning(self._size).astype(np.float32)
        self._bin_hz = sample_rate_hz / self._size
        self._low = round(_LOWEST_HZ / self._bin_hz)
        self._high = min(round(_HIGHEST_HZ / self._bin_hz), self._size // 2)
        self._waiting = np.zeros(0, np.float32)
        self._frame = 0  # number of the next frame
        self._gap = round(_GAP_S / self._hop_s)
        # first frame, last frame, bin, first level, top level, frames dominated
        self._track: list[float] = []
        self._found: list[Event] = []

    def add(self, block: AudioArray) -> None:
        """Take the next block, float32 of shape (frames, channels), +-1.0."""
        self._waiting = np.concatenate([self._waiting, block.mean(axis=1)])
        hop = self._size // 2
        count = (len(self._waiting) - self._size) // hop + 1
        if count < 1:
            return
        frames = np.lib.stride_tricks.sliding_window_view(self._waiting, self._size)[::hop][:count]
        for start in range(0, count, 64):
            spectra = np.fft.rfft(frames[start : start + 64] * self._window, axis=1)
            spectra = spectra[:, : self._high]
            self._judge(spectra.real**2 + spectra.imag**2)
        self._waiting = self._waiting[count * hop :]

    def finish(self) -> list[Event]:
        """End the stream and return what was found, in order."""
        self._end_track()
        return self._found

    def _judge(self, powers: NDArray[np.floating]) -> None:
        """Follow the peak through frames that it dominates."""
        peaks = self._low + np.argmax(powers[:, self._low :], axis=1)
        totals = powers[:, self._low :].sum(axis=1) + 1e-30
        around = peaks[:, np.newaxis] + np.arange(-_PEAK_BINS, _PEAK_BINS + 1)
        around = np.clip(around, 0, powers.shape[1] - 1)
        lobes = np.take_along_axis(powers, around, axis=1).sum(axis=1)
        scale = np.sum(self._window) ** 2 / 2.0 * 1.5  # power of a sine over its main lobe
        levels_dbfs = 10.0 * np.log10(lobes / scale + 1e-20)
        dominated = (lobes >= _PEAK_SHARE * totals) & (levels_dbfs > _QUIETEST_DBFS)
        for k in np.flatnonzero(dominated).tolist():
            self._follow(self._frame + k, int(peaks[k]), float(levels_dbfs[k]))
        self._frame += len(powers)

    def _follow(self, frame: int, peak: int, level_dbfs: float) -> None:
        track = self._track
        if not track or frame - track[1] > self._gap or abs(peak - track[2]) > 1:
            self._end_track()
            self._track = [frame, frame, peak, level_dbfs, level_dbfs, 1]
        else:
            track[1] = frame
            track[4] = max(track[4], level_dbfs)
            track[5] += 1

    def _end_track(self) -> None:
        if not self._track:
            return
        first, last, peak, first_db, top_db, count = self._track
        self._track = []
        start_s, end_s = first * self._hop_s, (last + 2) * self._hop_s
        hz = peak * self._bin_hz
        like_voice = hz < _VOICE_HZ
        growing = top_db - first_db >= _GROWTH_DB and not like_voice
        shortest_s = _SHORTEST_GROWING_S if growing else _SHORTEST_STEADY_S
        fill = _VOICE_FILL if like_voice else _FILL
        if end_s - start_s < shortest_s or count < fill * (last - first + 1):
            return
        if self._found and start_s - self._found[-1].end_s < _MERGE_S:
            start_s, hz = self._found[-1].start_s, self._found[-1].value
            del self._found[-1]
        self._found.append(Event(kind="howl", start_s=start_s, end_s=end_s, value=hz, unit="Hz"))

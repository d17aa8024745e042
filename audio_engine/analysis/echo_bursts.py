"""Echo: stretches in which what is heard follows what the loudspeaker plays.

Method: the levels of the two signals in bands of a third of a decade, every 20 ms, are correlated
over a second, for delays up to half a second. Two people who talk at the same time rarely rise and
fall together in all bands; an echo does, whatever room, distortion or suppressor it went through,
and it stays at one delay: two windows in a row have to agree on it.
Cost: one FFT per 20 ms and signal. Memory: two seconds of band levels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_engine.analysis.event import Event
from audio_engine.processors.audio import AudioArray

FRAME_S = 0.02
HOP_S = 0.5  # between two judgements
_WINDOW_FRAMES = 50  # 1 s
_HOP_FRAMES = 25
_LONGEST_LAG_FRAMES = 25
_BANDS_HZ = (200.0, 320.0, 500.0, 800.0, 1250.0, 2000.0, 3150.0, 4000.0)
_FAR_ACTIVE_DBFS = -50.0
_CORRELATION = 0.6  # reached by two voices at once in 1 of 20 windows, but not twice at one delay
_FLOOR_DB = -70.0  # levels under this count as silence
_HEARD_DBFS = -45.0  # 27 dB under a voice at the loudness target: nobody hears it in a live room


class EchoBurstDetector:
    """Find echo of a far end in a stream.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.

    Attributes
    ----------
    windows : list of tuple of float
        Of every half second in which echo prevails, loud or not: its start in s, and the signal's
        level in dBFS. Complete after `finish`.

    Notes
    -----
    Events of kind ``echo`` are those above -45 dBFS; `value` is the level in dBFS. Blocking never
    changes the result.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._size = round(FRAME_S * sample_rate_hz)
        self._window = np.hanning(self._size).astype(np.float32)
        hz = np.fft.rfftfreq(self._size, 1.0 / sample_rate_hz)
        edges = [edge for edge in _BANDS_HZ if edge < 0.48 * sample_rate_hz]
        self._edges = np.searchsorted(hz, edges)
        self._waiting = np.zeros((0, 2), np.float32)  # signal, far end
        self._levels = np.zeros((2, 0, len(edges) - 1))
        self._frame = 0  # number of levels[:, 0]
        self._last: tuple[int, int, float] | None = None  # frame, lag, level of the last candidate
        self.windows: list[tuple[float, float]] = []

    def add(self, block: AudioArray, far_end: AudioArray) -> None:
        """Take the next block of the signal and of the far end, shape (frames, channels) each."""
        pair = np.stack([block.mean(axis=1), far_end.mean(axis=1)], axis=1)
        self._waiting = np.concatenate([self._waiting, pair])
        count = len(self._waiting) // self._size
        if not count:
            return
        frames = self._waiting[: count * self._size].reshape(count, self._size, 2)
        self._waiting = self._waiting[count * self._size :]
        frames = frames.transpose(0, 2, 1) * self._window
        spectra = np.fft.rfft(frames, axis=2)[:, :, : self._edges[-1]]
        power = spectra.real**2 + spectra.imag**2
        bands = np.add.reduceat(power, self._edges[:-1], axis=2) / np.sum(self._window) ** 2
        levels = 10.0 * np.log10(np.maximum(bands, 10.0 ** (_FLOOR_DB / 10.0)))
        self._levels = np.concatenate([self._levels, levels.transpose(1, 0, 2)], axis=1)
        needed = _WINDOW_FRAMES + _LONGEST_LAG_FRAMES
        while self._levels.shape[1] >= needed:
            self._judge(self._levels[:, :needed])
            self._levels = self._levels[:, _HOP_FRAMES:]
            self._frame += _HOP_FRAMES

    def finish(self) -> list[Event]:
        """End the stream and return what was found, in order."""
        events: list[Event] = []
        for start_s, level_dbfs in self.windows:
            if level_dbfs < _HEARD_DBFS:
                continue
            last = events[-1] if events else None
            if last is not None and start_s <= last.end_s + 1e-6:
                events[-1] = _echo(last.start_s, start_s + HOP_S, max(last.value, level_dbfs))
            else:
                events.append(_echo(start_s, start_s + HOP_S, level_dbfs))
        return events

    def _judge(self, levels: NDArray[np.float64]) -> None:
        """Compare the last second of the signal with the far end up to half a second before."""
        signal, far = levels
        near = signal[_LONGEST_LAG_FRAMES:]
        if _sum_dbfs(far) < _FAR_ACTIVE_DBFS or _sum_dbfs(near) < _FLOOR_DB + 10.0:
            return
        near = near - near.mean(axis=0)
        late = np.lib.stride_tricks.sliding_window_view(far, _WINDOW_FRAMES, axis=0)[::-1]
        late = late - late.mean(axis=2, keepdims=True)  # lags, bands, frames
        products = np.einsum("lbf,fb->l", late, near)
        scales = np.sqrt(np.einsum("lbf,lbf->l", late, late) * np.sum(near**2)) + 1e-9
        best_lag = int(np.argmax(products / scales))
        best = float(products[best_lag] / scales[best_lag])
        if best >= _CORRELATION:
            first = _LONGEST_LAG_FRAMES + (_WINDOW_FRAMES - _HOP_FRAMES) // 2
            middle = signal[first : first + _HOP_FRAMES]
            self._keep(self._frame + first, best_lag, _sum_dbfs(middle))

    def _keep(self, frame: int, lag: int, level_dbfs: float) -> None:
        """Count a window, and the one before it, if both have the same delay."""
        last, self._last = self._last, (frame, lag, level_dbfs)
        if last is None or frame - last[0] > _HOP_FRAMES or abs(lag - last[1]) > 1:
            return
        for start, level in ((last[0], last[2]), (frame, level_dbfs)):
            if not self.windows or start * FRAME_S > self.windows[-1][0] + 1e-6:
                self.windows.append((start * FRAME_S, level))


def _sum_dbfs(levels: NDArray[np.float64]) -> float:
    """Return the mean level of frames, all bands together: 200 Hz to 4 kHz."""
    # 1.5: noise bandwidth of the Hann window; 2: both halves of the spectrum
    return 10.0 * float(np.log10(np.mean(np.sum(10.0 ** (levels / 10.0), axis=1)) * 2.0 / 1.5))


def _echo(start_s: float, end_s: float, level_dbfs: float) -> Event:
    return Event(kind="echo", start_s=start_s, end_s=end_s, value=level_dbfs, unit="dBFS")

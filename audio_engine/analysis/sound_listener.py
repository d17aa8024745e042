"""From a stream of any rate to one row of figures every 0.25 s, in constant memory."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audio_engine.analysis.sound_features import (
    HOP_FRAMES,
    RATE_HZ,
    WINDOW_FRAMES,
    Frames,
    figures,
    frames_of,
)
from audio_engine.errors import StreamError
from audio_engine.processors.audio import AudioArray, as_audio
from audio_engine.processors.ns import NoiseSuppressor
from audio_engine.processors.resample import Resampler

STEP_S = 0.25
SILENCE_POWER = 1e-6  # -60 dBFS, of a step: what a quiet room leaves at a well-set microphone
WINDOW_STEPS = 3  # to each side of a step: 1.75 s
AROUND_STEPS = 10  # to each side, 5.25 s: for a pulse of 60 a minute
_SILENT_STEPS = 4
_STEP_HOPS = 25
_WILD_SAMPLE = 64.0  # +36 dBFS and what is no number: silence, as in the C graph
_STEP_FRAMES = _STEP_HOPS * HOP_FRAMES


class Heard(NamedTuple):
    """A step: the figures of the sound around it, and its own mean power (full scale: 1)."""

    figures: NDArray[np.float64]
    power: float


class SoundListener:
    """Turn a stream into steps of 0.25 s; a step comes 2.5 s of sound later.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 192000.
    channels : int
        1 to 8; their mean is heard.

    Notes
    -----
    Blocking never changes the result.
    """

    def __init__(self, sample_rate_hz: int, channels: int = 1) -> None:
        self._rate_hz = sample_rate_hz
        self._channels = channels
        convert = sample_rate_hz != RATE_HZ
        self._resampler = Resampler(sample_rate_hz, RATE_HZ) if convert else None
        self._late = self._resampler.latency_frames if self._resampler is not None else 0
        self._kernel = NoiseSuppressor(
            RATE_HZ, attenuation_limit_db=0.0, dereverb=0.0, transients=False, music_guard=True
        )
        self._waiting = np.zeros(0, np.float32)
        self._spectrum: NDArray[np.float64] | None = None
        self._history: list[Frames] = []  # of the newest steps
        self._powers: list[float] = []  # their mean powers
        self._first = 0  # number of the first step in the history
        self._next = 0  # number of the step that is to be given next
        self._frames = 0
        self._finished = False

    @property
    def duration_s(self) -> float:
        """Seconds heard so far."""
        return self._frames / self._rate_hz

    def add(self, block: ArrayLike) -> list[Heard]:
        """Take the next block and return the steps whose surroundings are known now.

        Parameters
        ----------
        block : array_like, shape (frames,) or (frames, channels)
            Any length; full scale is +-1.0.

        Raises
        ------
        StreamError
            If the stream is finished.
        """
        if self._finished:
            raise StreamError("the stream is finished; make a new object for the next one")
        audio = as_audio(block, self._channels)
        mono = np.where(np.abs(audio) <= _WILD_SAMPLE, audio, np.float32(0.0)).mean(axis=1)
        self._frames += len(mono)
        self._take(mono if self._resampler is None else self._resampler.process(mono))
        return self._given(len(self._history) + self._first - AROUND_STEPS)

    def finish(self) -> list[Heard]:
        """Return the last steps; silence completes the very last one."""
        if self._finished:
            return []
        if self._resampler is not None:
            self._take(self._resampler.flush())
        count = -(-self._frames * RATE_HZ // (self._rate_hz * _STEP_FRAMES))
        missing = count * _STEP_FRAMES + WINDOW_FRAMES
        missing -= (self._first + len(self._history)) * _STEP_FRAMES + len(self._waiting)
        self._take(np.zeros(max(0, missing), np.float32))
        self._finished = True
        return self._given(count)

    def _take(self, signal: AudioArray) -> None:
        """Note every step that is complete, with the spectrum that reaches out of it."""
        skipped = min(self._late, len(signal))
        self._late -= skipped
        self._waiting = np.concatenate([self._waiting, signal[skipped:]])
        while len(self._waiting) >= _STEP_FRAMES + WINDOW_FRAMES:
            piece = self._waiting[: _STEP_FRAMES + WINDOW_FRAMES - HOP_FRAMES]
            judged = self._listen(piece[:_STEP_FRAMES])
            frames, self._spectrum = frames_of(piece, self._spectrum, *judged)
            self._history.append(frames)
            self._powers.append(float(frames.power.mean()))
            self._waiting = self._waiting[_STEP_FRAMES:]

    def _listen(self, signal: AudioArray) -> NDArray[np.float64]:
        """Return what the kernels think of every 10 ms: speech probability, notes heard."""
        judged = []
        for hop in signal.reshape(_STEP_HOPS, HOP_FRAMES):
            self._kernel.process(hop)
            stats = self._kernel.stats()
            judged.append((stats.speech_probability, float(stats.music)))
        return np.array(judged).T

    def _given(self, end: int) -> list[Heard]:
        """Return the steps before `end` that were not given yet; forget what no later one needs."""
        found = []
        for step in range(self._next, end):
            near = Frames.joined(self._span(step, WINDOW_STEPS))
            bands = np.concatenate([each.bands for each in self._span(step, AROUND_STEPS)])
            found.append(Heard(figures(near, bands), self._powers[step - self._first]))
            past = max(0, step + 1 - AROUND_STEPS - self._first)
            del self._history[:past], self._powers[:past]
            self._first += past
        self._next = max(self._next, end)
        return found

    def _span(self, step: int, reach: int) -> list[Frames]:
        """Return a step with what is around it, up to a second of silence: there it ends."""
        own = step - self._first
        first, end = max(own - reach, 0), min(own + reach + 1, len(self._history))
        quiet = [power < SILENCE_POWER for power in self._powers]
        for start in range(first, end - _SILENT_STEPS + 1):
            if not all(quiet[start : start + _SILENT_STEPS]):
                continue
            if start > own:
                end = start
                break
            first = start + _SILENT_STEPS if start + _SILENT_STEPS <= own else first
        return self._history[first:end]

    def close(self) -> None:
        """Free the kernels; doing so twice is fine."""
        self._kernel.close()
        if self._resampler is not None:
            self._resampler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

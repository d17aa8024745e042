"""What is made of the live signals off the audio thread: recordings, spectra, a stream to read."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audio_engine.io.live.recorder import Recorder
from audio_engine.processors.audio import AudioArray

_WAIT_S = 0.02
_CHUNK_SECONDS = 0.5
_HEARD_SECONDS = 10.0  # what the application may leave waiting
SPECTRUM_FRAMES = 4096


class Tap:
    """A thread that takes the tap queue's frames to whoever wants them.

    Parameters
    ----------
    read : callable
        Fills an array of shape (frames, channels) and returns the frames.
    sample_rate_hz, mic_channels, reference_channels, out_channels : int
        Layout of a frame: microphone, reference, processed signal.
    """

    def __init__(
        self,
        read: Callable[[AudioArray], int],
        sample_rate_hz: int,
        mic_channels: int,
        reference_channels: int,
        out_channels: int,
    ) -> None:
        self._read_queue = read
        self._channels = (mic_channels, reference_channels, out_channels)
        self._chunk = np.zeros((round(_CHUNK_SECONDS * sample_rate_hz), sum(self._channels)), "f4")
        self._window = np.zeros((SPECTRUM_FRAMES, 2), np.float32)
        self._heard: deque[AudioArray] = deque()
        self._heard_frames = 0
        self._most_heard_frames = round(_HEARD_SECONDS * sample_rate_hz)
        self._listening = False
        self._recorder: Recorder | None = None
        self._changed = threading.Condition()
        self._queue = threading.Lock()  # held around each use of the queue: see stop()
        self._is_over = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-tap", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 0.5) -> None:
        """Take what is left in the queue, and end; a disk that hangs is not waited for."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        with self._queue:  # from here on the thread does not touch the queue, which may be freed
            self._is_over = True

    @property
    def recorder(self) -> Recorder | None:
        """The recording that runs."""
        return self._recorder

    def set_recorder(self, recorder: Recorder | None) -> Recorder | None:
        """Begin or end a recording; returns the one before, which the caller closes."""
        with self._changed:
            earlier, self._recorder = self._recorder, recorder
        return earlier

    def listen(self, on: bool) -> None:
        """Keep the processed signal for `read`, or do not."""
        with self._changed:
            self._listening = on
            self._heard.clear()
            self._heard_frames = 0

    def read(self, frames: int, timeout_s: float) -> AudioArray:
        """Return processed audio, shape (frames, channels); fewer frames after the time-out."""
        with self._changed:
            self._changed.wait_for(lambda: self._heard_frames >= frames, timeout_s)
            heard = list(self._heard)
            everything = np.concatenate(heard) if heard else np.zeros((0, self._channels[2]), "f4")
            self._heard.clear()
            if len(everything) > frames:
                self._heard.append(everything[frames:])
            self._heard_frames = max(len(everything) - frames, 0)
            return everything[:frames]

    def spectrum(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the spectra of microphone and processed signal.

        Returns
        -------
        tuple of two ndarrays of float64, shape (SPECTRUM_FRAMES // 2 + 1,)
            dBFS in bins from 0 Hz to half the sample rate; a full-scale sine shows 0 dB. Hann
            window over the newest `SPECTRUM_FRAMES` frames of the first channel.
        """
        with self._changed:
            window = self._window.copy()
        hann = np.hanning(SPECTRUM_FRAMES)
        magnitude = np.abs(np.fft.rfft(window * hann[:, np.newaxis], axis=0)) / (hann.sum() / 2.0)
        level_db = 20.0 * np.log10(np.maximum(magnitude, 1e-10))
        return level_db[:, 0], level_db[:, 1]

    def _run(self) -> None:
        while True:
            is_last = self._stopping.is_set()  # what came before the end is still taken
            while frames := self._read_chunk():
                self._take(self._chunk[:frames])
            if is_last:
                return
            time.sleep(_WAIT_S)

    def _read_chunk(self) -> int:
        with self._queue:
            return 0 if self._is_over else self._read_queue(self._chunk)

    def _take(self, chunk: AudioArray) -> None:
        mic, reference, _ = self._channels
        processed = chunk[:, mic + reference :]
        with self._changed:
            newest = chunk[-SPECTRUM_FRAMES:][:, [0, mic + reference]]
            self._window = np.concatenate([self._window[len(newest) :], newest])
            if self._recorder is not None:
                self._recorder.write(chunk)
            if self._listening:
                self._heard.append(processed.copy())
                self._heard_frames += len(processed)
                while self._heard_frames > self._most_heard_frames:
                    self._heard_frames -= len(self._heard.popleft())
                self._changed.notify_all()

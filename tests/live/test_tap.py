"""The tap: each frame goes to recording, listener and spectrum, and none after stop."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from audio_engine.io.live.tap import SPECTRUM_FRAMES, Tap
from audio_engine.processors.audio import AudioArray
from waiting import wait_until

RATE_HZ = 48000


class Queue:
    """Gives the frames that were put in, at most a chunk at a time."""

    def __init__(self) -> None:
        self.frames = np.zeros((0, 3), np.float32)
        self.reads = 0
        self.lock = threading.Lock()

    def put(self, frames: AudioArray) -> None:
        with self.lock:
            self.frames = np.concatenate([self.frames, frames])

    def read(self, out: AudioArray) -> int:
        with self.lock:
            self.reads += 1
            count = min(len(out), len(self.frames))
            out[:count] = self.frames[:count]
            self.frames = self.frames[count:]
            return count


def tone(frames: int) -> AudioArray:
    """Microphone: 1 kHz at full scale; reference: silence; processed: a tenth of it."""
    wave = np.sin(2 * np.pi * 1000 / RATE_HZ * np.arange(frames)).astype(np.float32)
    return np.stack([wave, 0 * wave, 0.1 * wave], axis=1)


def test_the_application_hears_every_processed_frame() -> None:
    queue = Queue()
    tap = Tap(queue.read, RATE_HZ, 1, 1, 1)
    tap.listen(True)
    sent = tone(10000)
    queue.put(sent)
    tap.start()
    first, rest = tap.read(3000, 5.0), tap.read(7000, 5.0)
    tap.stop()
    np.testing.assert_array_equal(np.concatenate([first, rest]), sent[:, 2:])


def test_a_read_that_waits_in_vain_gives_what_there_is() -> None:
    queue = Queue()
    tap = Tap(queue.read, RATE_HZ, 1, 1, 1)
    tap.start()
    assert tap.read(100, 0.01).shape == (0, 1)
    tap.stop()


def test_the_spectrum_shows_a_full_scale_tone_at_0_db() -> None:
    queue = Queue()
    tap = Tap(queue.read, RATE_HZ, 1, 1, 1)
    queue.put(tone(2 * SPECTRUM_FRAMES))
    tap.start()
    wait_until(lambda: tap.spectrum()[0].max() > -3.0, 5.0)
    tap.stop()
    mic_db, out_db = tap.spectrum()
    peak = int(np.argmax(mic_db))
    assert peak == round(1000 * SPECTRUM_FRAMES / RATE_HZ)
    assert mic_db[peak] == pytest.approx(0.0, abs=1.5)  # a Hann window between bins: -1.4 dB
    assert mic_db[peak] - out_db[peak] == pytest.approx(20.0, abs=0.01)


def test_what_came_before_the_stop_is_taken_and_nothing_is_read_after_it() -> None:
    queue = Queue()
    tap = Tap(queue.read, RATE_HZ, 1, 1, 1)
    tap.listen(True)
    tap.start()
    queue.put(tone(5000))
    tap.stop()
    assert len(tap.read(5000, 0.0)) == 5000
    reads = queue.reads
    time.sleep(0.05)
    assert queue.reads == reads


def test_stop_does_not_wait_for_a_recording_that_hangs() -> None:
    queue = Queue()
    tap = Tap(queue.read, RATE_HZ, 1, 1, 1)
    hangs, entered = threading.Event(), threading.Event()

    class Hanging:
        def write(self, _: AudioArray) -> None:
            entered.set()
            hangs.wait(10.0)

    tap.set_recorder(Hanging())  # type: ignore[arg-type]
    queue.put(tone(100))
    tap.start()
    assert entered.wait(5.0)
    start_s = time.monotonic()
    tap.stop(0.1)
    assert time.monotonic() - start_s < 1.0
    reads = queue.reads
    queue.put(tone(100))
    hangs.set()
    time.sleep(0.05)
    assert queue.reads == reads

"""`io.live.sources`: the far end's ring stays full, whatever the source does."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import ArrayLike

from audio_engine.errors import ConfigError, InputFileError
from audio_engine.io.live import sources as module
from audio_engine.io.live.sources import (
    CallableSource,
    EndOfSource,
    FarFeeder,
    FarSource,
    FileSource,
    SilenceSource,
    fit_channels,
    open_source,
)
from audio_engine.processors.audio import AudioArray

RATE_HZ = 16000
CAPACITY = 10 * RATE_HZ


class Ring:
    """A ring as the feeder sees it; whoever uses it once it is freed is caught."""

    def __init__(self, capacity: int = CAPACITY, channels: int = 1) -> None:
        self.capacity = capacity
        self.audio: AudioArray = np.zeros((0, channels), np.float32)
        self.freed = False
        self.crashed = False
        self._lock = threading.Lock()

    def write(self, audio: AudioArray) -> int:
        self.crashed |= self.freed
        with self._lock:
            fits = min(len(audio), self.capacity - len(self.audio))
            self.audio = np.concatenate([self.audio, audio[:fits]])
            return fits

    def space(self) -> int:
        self.crashed |= self.freed
        return self.capacity - len(self.audio)

    def play(self, frames: int) -> AudioArray:
        with self._lock:
            played, self.audio = self.audio[:frames], self.audio[frames:]
            return played


Events = list[tuple[str, str, str]]


def make(source: FarSource, ring: Ring, events: Events | None = None) -> FarFeeder:
    seen = [] if events is None else events
    return FarFeeder(
        source,
        ring.write,
        ring.space,
        RATE_HZ,
        ring.audio.shape[1],
        capacity_frames=ring.capacity,
        notify=lambda *event: seen.append(event),
    )


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.005)


def ramp(frames: int) -> AudioArray:
    return np.float32(0.001) * (np.arange(frames, dtype=np.float32) % 1000).reshape(-1, 1)


# --- files ---------------------------------------------------------------------------------------


def test_a_file_arrives_whole_and_once(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "far.wav", ramp(25 * RATE_HZ + 77), RATE_HZ, "FLOAT")
    ring, events, played = Ring(), Events(), []
    feeder = make(FileSource(tmp_path / "far.wav", RATE_HZ, 1), ring, events)
    assert feeder.name == "far.wav"
    with feeder:
        assert feeder.prefill(5.0)
        assert ring.space() == 0
        while not feeder.ended:
            played.append(ring.play(4 * RATE_HZ))
            time.sleep(0.01)
    np.testing.assert_array_equal(np.concatenate(played), ramp(25 * RATE_HZ + 77))
    assert [event[:2] for event in events] == [("info", "far_end")]
    assert "far.wav: the far end has ended" in events[0][2]


def test_a_file_of_another_layout_is_converted(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "far.wav", np.full((44100, 2), 0.25), 44100, "FLOAT")
    ring = Ring(channels=1)
    with make(FileSource(tmp_path / "far.wav", RATE_HZ, 1), ring) as feeder:
        assert feeder.prefill(5.0)
        until(lambda: len(ring.audio) == RATE_HZ)
    np.testing.assert_allclose(ring.audio[200:-200], 0.25, atol=1e-4)


def test_a_missing_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="No such file"):
        open_source(tmp_path / "missing.wav", RATE_HZ, 1)


def test_the_sources_a_user_means(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "far.wav", ramp(100), RATE_HZ)
    assert isinstance(open_source(None, RATE_HZ, 1), SilenceSource)
    for path in (tmp_path / "far.wav", str(tmp_path / "far.wav")):
        source = open_source(path, RATE_HZ, 2)
        assert source.read(60).shape == (60, 2)
        assert source.read(60).shape == (40, 2)
        with pytest.raises(EndOfSource):
            source.read(60)
        source.close()
        source.close()
    assert isinstance(open_source(lambda frames: None, RATE_HZ, 1), CallableSource)
    with pytest.raises(ConfigError, match="a function of the frames is expected"):
        open_source(7, RATE_HZ, 1)  # type: ignore[arg-type]


def test_silence_leaves_the_ring_alone() -> None:
    ring, events = Ring(), Events()
    with make(SilenceSource(), ring, events) as feeder:
        assert feeder.prefill()
        until(lambda: feeder.ended)
    assert not len(ring.audio)
    assert not events


# --- functions -----------------------------------------------------------------------------------


def test_a_function_is_asked_half_a_second_ahead() -> None:
    ring, asked = Ring(), []

    def tone(frames: int) -> AudioArray:
        asked.append(frames)
        return np.full((frames, 1), 0.5, np.float32)

    with make(CallableSource(tone, 1), ring) as feeder:
        assert feeder.prefill()
        assert len(ring.audio) == RATE_HZ // 2
        ring.play(1000)
        until(lambda: len(ring.audio) == RATE_HZ // 2)
    assert sum(asked) == RATE_HZ // 2 + 1000


@pytest.mark.parametrize("give", [0.3, 3.0])
def test_it_may_return_fewer_or_more_or_nothing(give: float) -> None:
    ring, calls, total = Ring(), [0], 5 * RATE_HZ
    whole = ramp(total)

    position, played = 0, []

    def some(frames: int) -> ArrayLike | None:
        calls[0] += 1
        if calls[0] % 3 == 0:
            return None if calls[0] % 2 else []
        nonlocal position
        if position == total:
            raise EndOfSource
        block = whole[position : position + max(1, int(give * frames)), 0]
        position += len(block)
        return block

    with make(CallableSource(some, 1, lead_s=0.1), ring) as feeder:
        while not feeder.ended:
            played.append(ring.play(RATE_HZ))
            time.sleep(0.001)
    played.append(ring.play(RATE_HZ))
    np.testing.assert_array_equal(np.concatenate(played), whole)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.array([16384, -32768], np.int16), [[0.5, 0.5], [-1.0, -1.0]]),
        ([[0.25], [np.nan]], [[0.25, 0.25], [0.0, 0.0]]),
        (np.array([[0.5, 1.0], [np.inf, 1e9]]), [[0.5, 1.0], [0.0, 0.0]]),
        (np.array([[0.2, 0.4, 0.6]], np.float32), [[0.4, 0.4]]),
    ],
)
def test_what_it_returns_is_made_to_fit(given: ArrayLike, expected: ArrayLike) -> None:
    audio = CallableSource(lambda frames: given, 2).read(480)
    assert audio.dtype == np.float32
    np.testing.assert_allclose(audio, np.asarray(expected, np.float32), rtol=1e-6)


def test_channels_are_mixed_and_spread() -> None:
    audio = np.array([[1.0, 2.0, 3.0]], np.float32)
    assert fit_channels(audio, 3) is audio
    assert fit_channels(audio, 1).tolist() == [[2.0]]
    assert fit_channels(audio, 2).tolist() == [[2.0, 2.0]]
    assert fit_channels(audio[:, :2], 5).tolist() == [[1.0, 2.0, 1.0, 2.0, 1.0]]


# --- bad weather ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["raises", "shape", "type"])
def test_a_failing_function_is_one_event_and_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(module, "_GOOD_AGAIN_SECONDS", 0.05)
    ring, events, good = Ring(), Events(), threading.Event()

    def sometimes(frames: int) -> ArrayLike:
        if good.is_set():
            return np.full(frames, 0.5)
        if fault == "raises":
            raise ValueError("no line\nto the guest")
        return np.zeros((3, 3, 3)) if fault == "shape" else np.array(["a", "b"])

    with make(CallableSource(sometimes, 1), ring, events) as feeder:
        until(lambda: events)
        time.sleep(0.1)
        assert len(events) == 1
        level, kind, text = events[0]
        assert (level, kind) == ("error", "far_end")
        assert text.startswith("sometimes: ")
        assert "\n" not in text
        assert not feeder.ended
        good.set()
        until(lambda: len(events) == 2)
    assert events[1][0] == "info"
    assert len(ring.audio)
    assert (ring.audio == 0.5).all()


def test_a_function_that_exits_ends_only_itself(capfd: pytest.CaptureFixture[str]) -> None:
    events = Events()
    with make(CallableSource(lambda frames: sys.exit(1), 1), Ring(), events) as feeder:
        until(lambda: feeder.ended)
    assert [event[0] for event in events] == ["error"]
    assert capfd.readouterr() == ("", "")


def test_a_blocked_function_holds_nobody_up_and_writes_nothing_later() -> None:
    ring, blocked, go_on = Ring(), threading.Event(), threading.Event()

    def hang(frames: int) -> AudioArray:
        blocked.set()
        go_on.wait(20)
        return np.ones((frames, 1), np.float32)

    feeder = make(CallableSource(hang, 1), ring)
    start_s = time.monotonic()
    assert not feeder.prefill(0.1)
    assert blocked.wait(5)
    feeder.stop()
    assert time.monotonic() - start_s < 1.0
    ring.freed = True
    go_on.set()
    until(lambda: feeder.ended)
    assert not ring.crashed
    assert not len(ring.audio)


def test_stopping_is_quick_at_any_time(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "far.wav", ramp(60 * RATE_HZ), RATE_HZ)
    for delay_s in (0.0, 0.001, 0.01, 0.1):
        ring = Ring()
        feeder = make(FileSource(tmp_path / "far.wav", RATE_HZ, 1), ring)
        feeder.start()
        time.sleep(delay_s)
        start_s = time.monotonic()
        feeder.stop()
        assert time.monotonic() - start_s < 0.5
        ring.freed = True
        feeder.stop()
        feeder.start()  # nothing: a stopped feeder stays stopped
        assert not ring.crashed


def test_a_feeder_that_never_started_closes_its_source() -> None:
    closed = []

    class Source(SilenceSource):
        def close(self) -> None:
            closed.append(True)

    make(Source(), Ring()).stop()
    with make(Source(), Ring()) as feeder:
        until(lambda: feeder.ended)
    assert len(closed) == 2


@contextmanager
def gil_hog() -> Iterator[None]:
    """Keep the GIL for about 100 ms at a time, as a C extension does that never gives it away."""
    stop = threading.Event()
    numbers = list(range(400_000))

    def hog() -> None:
        while not stop.is_set():
            sorted(numbers, key=int.__neg__)

    thread = threading.Thread(target=hog, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_the_ring_never_runs_dry_beside_a_gil_hog(tmp_path: Path) -> None:
    rate_hz, seconds = 48000, 5.0
    tone = np.random.default_rng(1).uniform(-0.5, 0.5, (44100 * 20, 2))
    soundfile.write(tmp_path / "far.flac", tone, 44100)
    ring = Ring(3 * rate_hz, channels=2)  # less than the real one, to see a shortage sooner
    source = FileSource(tmp_path / "far.flac", rate_hz, 2)
    feeder = FarFeeder(source, ring.write, ring.space, rate_hz, 2, capacity_frames=ring.capacity)
    lowest = ring.capacity
    with feeder:
        assert feeder.prefill(5.0)
        with gil_hog():
            start_s = time.monotonic()
            played = 0
            while (now_s := time.monotonic() - start_s) < seconds:
                played += len(ring.play(int(now_s * rate_hz) - played))
                lowest = min(lowest, len(ring.audio))
                time.sleep(0.01)
    assert played >= 0.9 * seconds * rate_hz
    assert lowest > rate_hz


def test_a_stream_refuses_a_lead_that_cannot_be_kept() -> None:
    from audio_engine import LiveStream

    for lead_s in (0.0, 11.0, float("nan")):
        with pytest.raises(ConfigError, match="far_lead_s"):
            LiveStream(far_end=lambda _: None, far_lead_s=lead_s)


def test_a_function_is_asked_as_far_ahead_as_was_wanted() -> None:
    source = open_source(lambda _: None, 48000, 1, lead_s=0.1)
    assert source.lead_s == 0.1

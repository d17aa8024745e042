"""Where the far end of a live stream comes from, and the thread that keeps its ring full.

The audio thread only reads the ring; everything slow, blocking or faulty stays on this side of it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from audio_engine.errors import ConfigError
from audio_engine.io.converted import ConvertedReader
from audio_engine.io.live.stats import Notify
from audio_engine.processors.audio import AudioArray, as_audio, channel_count

FarFunction: TypeAlias = Callable[[int], ArrayLike | None]

# A file is decoded in pieces this long: each call into a library gives the GIL away and may wait
# 100 ms for it beside a busy C extension, about ten times a piece.
_FILE_PIECE_SECONDS = 4.0
_FUNCTION_LEAD_S = 0.5  # Python may be busy for so long
_RETRY_SECONDS = 0.5
_GOOD_AGAIN_SECONDS = 5.0  # without a failure, before the next one is news
_DRAINED_SECONDS = 0.05  # what a ring that was played may keep: less than a block or two
_WILD_SAMPLE = 64.0  # +36 dBFS: no signal, but a fault


class EndOfSource(Exception):
    """A far-end source has nothing left and never will."""


class FarSource(Protocol):
    """Something that gives far-end audio.

    Attributes
    ----------
    name : str
        As shown to people.
    lead_s : float
        How far ahead of the loudspeaker it is asked. A file can be far ahead; what is made on the
        spot is heard as much later.
    """

    name: str
    lead_s: float

    def read(self, frames: int) -> AudioArray:
        """Return audio of shape (frames, channels); fewer frames where no more is ready yet.

        Raises
        ------
        EndOfSource
            When nothing is left.
        """
        ...

    def close(self) -> None:
        """Release what is held."""
        ...


class SilenceSource:
    """A far end that never says a word; the ring stays empty, which is heard as silence."""

    name = "-"
    lead_s = 0.1

    def read(self, frames: int) -> AudioArray:
        """Raise `EndOfSource` at once."""
        raise EndOfSource

    def close(self) -> None:
        """Do nothing."""


class FileSource:
    """A file, once from its beginning to its end.

    Parameters
    ----------
    path : path-like
        Any file that `open_reader` takes.
    sample_rate_hz, channels : int
        Wanted layout; the file is converted, its channels are mixed or spread.

    Raises
    ------
    InputFileError
        If the file is missing or cannot be read as audio.
    """

    lead_s = 3600.0  # as far ahead as the ring holds

    def __init__(self, path: str | os.PathLike[str], sample_rate_hz: int, channels: int) -> None:
        self._reader = ConvertedReader(path, sample_rate_hz, piece_s=_FILE_PIECE_SECONDS)
        self._channels = channels
        self._frames_left = self._reader.frames
        self.name = self._reader.path.name
        self.warnings = self._reader.warnings

    def read(self, frames: int) -> AudioArray:
        """Return `frames` frames, fewer only at the end."""
        frames = min(frames, self._frames_left)
        if not frames or self._reader.ended:
            raise EndOfSource
        self._frames_left -= frames
        return fit_channels(self._reader.read(frames), self._channels)

    def close(self) -> None:
        """Close the file; doing so twice is fine."""
        self._reader.close()


class CallableSource:
    """A function that gives audio when asked.

    Parameters
    ----------
    function : callable
        Takes the wanted frames; returns that many, fewer, more, or None while it has nothing.
        Shape (frames,) or (frames, channels), any dtype that the engine takes. It raises
        `EndOfSource` when it is done. It runs in a thread of its own and may block.
    channels : int
        Wanted layout; what it returns is mixed or spread.
    lead_s : float
        How far ahead of the loudspeaker it is asked.
    """

    def __init__(
        self, function: FarFunction, channels: int, *, lead_s: float = _FUNCTION_LEAD_S
    ) -> None:
        if not callable(function):
            raise ConfigError(f"the far end is {function!r}; a function of the frames is expected")
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self.lead_s = lead_s
        self._function, self._channels = function, channels

    def read(self, frames: int) -> AudioArray:
        """Ask the function; samples that are no numbers become silence."""
        given = self._function(frames)
        if given is None or not np.size(given):
            return np.zeros((0, self._channels), np.float32)
        audio = as_audio(given, channel_count(given, "the far end"), "the far end")
        valid = np.abs(audio) <= _WILD_SAMPLE  # false for NaN too
        return fit_channels(np.where(valid, audio, np.float32(0.0)), self._channels)

    def close(self) -> None:
        """Do nothing; the function is the caller's."""


def fit_channels(audio: AudioArray, channels: int) -> AudioArray:
    """Mix or spread audio to a number of channels.

    Fewer channels than wanted are repeated; more are averaged, each into the channel that it
    falls on when counted off.

    Examples
    --------
    >>> fit_channels(np.array([[0.5, 0.25]], np.float32), 1).tolist()
    [[0.375]]
    >>> fit_channels(np.array([[0.5]], np.float32), 2).tolist()
    [[0.5, 0.5]]
    """
    found = audio.shape[1]
    if found == channels:
        return audio
    if found < channels:
        return np.ascontiguousarray(audio[:, np.arange(channels) % found])
    mixed = [audio[:, first::channels].mean(axis=1) for first in range(channels)]
    return np.stack(mixed, axis=1).astype(np.float32, copy=False)


def open_source(
    far_end: str | os.PathLike[str] | FarFunction | None,
    sample_rate_hz: int,
    channels: int,
    *,
    lead_s: float = _FUNCTION_LEAD_S,
) -> FarSource:
    """Return the source that a user means: None is silence, a path a file, else a function.

    A function is asked `lead_s` ahead of the loudspeaker.

    Raises
    ------
    ConfigError
        If it is none of these.
    InputFileError
        If the file cannot be read.
    """
    if far_end is None:
        return SilenceSource()
    if isinstance(far_end, str | os.PathLike):
        return FileSource(far_end, sample_rate_hz, channels)
    return CallableSource(far_end, channels, lead_s=lead_s)


class FarFeeder:
    """Keep a far-end ring full from a source, in a thread that cannot hold up its owner.

    A source that fails is an event and silence; it is asked again twice a second. A source that
    blocks is left behind by `stop`: whatever it returns later goes nowhere.

    Parameters
    ----------
    source : FarSource
        Closed by the feeder's thread, or by `stop` where it never started.
    write : callable
        Takes audio of shape (frames, channels), returns the frames that fitted. Never called
        after `stop` has returned.
    space : callable
        Returns the frames that fit. Never called after `stop` has returned.
    sample_rate_hz, channels : int
        Layout of the ring.
    capacity_frames : int
        What the empty ring holds.
    notify : callable, optional
        Takes events (level, kind, text); called in the feeder's thread.
    """

    def __init__(
        self,
        source: FarSource,
        write: Callable[[AudioArray], int],
        space: Callable[[], int],
        sample_rate_hz: int,
        channels: int,
        *,
        capacity_frames: int,
        notify: Notify | None = None,
    ) -> None:
        self._source, self._write, self._space = source, write, space
        self._channels = channels
        self._lead_frames = min(capacity_frames, round(source.lead_s * sample_rate_hz))
        self._capacity_frames = capacity_frames
        self._drained_frames = round(_DRAINED_SECONDS * sample_rate_hz)
        self._piece_frames = round(_FILE_PIECE_SECONDS * sample_rate_hz)
        # Ten looks while the lead runs out; asking more often costs a CPU for nothing.
        self._wait_s = min(max(0.1 * self._lead_frames / sample_rate_hz, 0.01), 0.25)
        self._notify = notify or (lambda level, kind, text: None)
        self._pending: AudioArray = np.zeros((0, channels), np.float32)
        self._thread: threading.Thread | None = None
        self._ring = threading.Lock()  # held around each use of the ring: see stop()
        self._stopping = threading.Event()
        self._filled = threading.Event()
        self._ended = False
        self._failed_at_s: float | None = None

    @property
    def name(self) -> str:
        """The source's name."""
        return self._source.name

    @property
    def ended(self) -> bool:
        """True once the source has nothing left and the ring was played to its end."""
        return self._ended

    def start(self) -> None:
        """Start feeding; doing so twice is fine."""
        if self._thread is None and not self._stopping.is_set():
            # A daemon: a blocked source must not keep the program from ending.
            self._thread = threading.Thread(target=self._run, name="far-feeder", daemon=True)
            self._thread.start()

    def prefill(self, timeout_s: float = 0.5) -> bool:
        """Start, and wait until the ring is full for the first time or the source has no more.

        Returns
        -------
        bool
            False if the source was not that quick; it goes on all the same.
        """
        self.start()
        return self._filled.wait(timeout_s)

    def stop(self, timeout_s: float = 0.4) -> None:
        """Stop feeding; doing so twice is fine. A source that blocks is left to itself."""
        self._stopping.set()
        with self._ring:  # from here on no thread touches the ring, which may now be freed
            pass
        if self._thread is None:
            self._source.close()
        elif self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"FarFeeder({self.name!r}, {self._channels} channels)"

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                wait_s = self._wait_s
                try:
                    self._fill()
                    self._succeed()
                except EndOfSource:
                    self._end()
                    return
                except Exception as error:
                    self._fail(error)
                    wait_s = _RETRY_SECONDS
                self._filled.set()
                self._stopping.wait(wait_s)
        except BaseException as error:  # sys.exit() in a user's function must not print here
            self._fail(error)
        finally:
            self._ended = True
            self._filled.set()
            with contextlib.suppress(Exception):
                self._source.close()

    def _fill(self) -> None:
        """Fill up to the lead, as long as the source gives."""
        while True:
            self._flush()
            wanted = self._lead_frames - (self._capacity_frames - self._free_frames())
            if wanted <= 0 or len(self._pending):
                return
            block = self._source.read(min(wanted, self._piece_frames))
            if not len(block):
                return
            self._pending = block

    def _flush(self) -> None:
        with self._ring:
            if len(self._pending) and not self._stopping.is_set():
                self._pending = self._pending[self._write(self._pending) :]

    def _free_frames(self) -> int:
        with self._ring:
            return 0 if self._stopping.is_set() else self._space()

    def _end(self) -> None:
        """Write out what is left and wait until it was played."""
        self._filled.set()
        while not self._stopping.is_set():
            self._flush()
            fill_frames = self._capacity_frames - self._free_frames()
            if not len(self._pending) and fill_frames <= self._drained_frames:
                break
            self._stopping.wait(self._wait_s)
        if not self._stopping.is_set() and not isinstance(self._source, SilenceSource):
            self._notify("info", "far_end", f"{self.name}: the far end has ended; silence follows")
        self._ended = True

    def _succeed(self) -> None:
        if self._failed_at_s is None:
            return
        if time.monotonic() - self._failed_at_s > _GOOD_AGAIN_SECONDS:
            self._failed_at_s = None
            self._notify("info", "far_end", f"{self.name}: the far end is back")

    def _fail(self, error: BaseException) -> None:
        is_news = self._failed_at_s is None
        self._failed_at_s = time.monotonic()
        if is_news:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            self._notify("error", "far_end", f"{self.name}: {text}; silence is played meanwhile")

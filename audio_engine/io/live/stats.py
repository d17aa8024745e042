"""What a live stream measures and reports: typed snapshots and events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

from audio_engine.processors.stats import EngineStats, Stats

LiveState = Literal["stopped", "starting", "running", "lost", "recovering"]
EventLevel = Literal["info", "warning", "error"]
Notify = Callable[[EventLevel, str, str], None]
"""Takes an event as it happens: level, short kind, one line of text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterStats(Stats):
    """A level meter: decaying peak, the peak held for 1.5 s, loudness over 400 ms (BS.1770-5).

    ``-inf`` where nothing was heard.
    """

    peak_dbfs: float
    peak_hold_dbfs: float
    momentary_lufs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStats(Stats):
    """Computing time of a device's callback in microseconds, and what was shed to keep up.

    `block_us` is what there is: the time that the callback's frames last, 10 ms by default.

    Shed level: 0 nothing, 1 the large net (the small one takes its place), 2 both nets, 3 meters
    too, 4 the leveller too (its gain is held), 5 the suppressor too.
    """

    p50_us: float
    p99_us: float
    max_us: float
    block_us: float
    shed_level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStats(Stats):
    """The bridge from an input card's clock to the output card's.

    Drift in ppm, > 0 when the input card is fast; the ring's fill and target in input frames;
    jitter is one sigma of the arrival of blocks; latency is that of ring and resampler.
    """

    drift_ppm: float
    fill_frames: float
    target_frames: float
    jitter_ms: float
    latency_ms: float
    locked: bool
    underruns: int
    overruns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class XrunStats(Stats):
    """Interruptions since the start, by who noticed them.

    The first four are PortAudio's flags; the rest the engine counts itself, because PortAudio
    misses some. One interruption may be noticed by several.
    """

    input_underflow: int = 0
    input_overflow: int = 0
    output_underflow: int = 0
    output_overflow: int = 0
    late_callbacks: int = 0
    capture_underruns: int = 0
    far_underruns: int = 0
    record_overruns: int = 0
    starved_frames: int = 0

    @property
    def total(self) -> int:
        """Sum of all counters; 0 when nobody noticed anything."""
        return sum(getattr(self, item.name) for item in fields(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStats(Stats):
    """A live stream at one moment.

    Attributes
    ----------
    state : str
        ``running``; ``lost`` when the device stopped calling; ``recovering`` while it is opened
        again; ``starting`` and ``stopped`` before and after.
    state_s, uptime_s : float
        Seconds in that state, and since the start.
    recoveries : int
        Lost devices that came back; the last one took `last_recovery_ms`.
    input_device, output_device, far_source : str
        Names as shown; ``-`` where there is none.
    latency_ms : float or None
        Microphone to loudspeaker as estimated from the devices' times; None while not known.
    engine_latency_ms : float
        The engine's own share of it, without the delay of a lip-sync correction.
    frames : int
        Frames processed at `sample_rate_hz`.
    input, output, far : MeterStats
        Microphone, processed signal, far end.
    clock, far_clock : ClockStats or None
        Where microphone (far end) and loudspeaker are different cards.
    far_ring_ms : float
        Far-end audio that waits to be played.
    engine : EngineStats
        Every stage of the chain.
    realtime_priority : str
        What the audio thread was granted: ``SCHED_FIFO 20``, ``normal`` ...
    recording : str or None
        The file that is being recorded.
    """

    state: LiveState
    state_s: float
    recoveries: int
    last_recovery_ms: float | None
    uptime_s: float
    sample_rate_hz: int
    device_block_frames: int
    input_device: str
    output_device: str
    far_source: str
    latency_ms: float | None
    engine_latency_ms: float
    frames: int
    xruns: XrunStats
    load: LoadStats
    input: MeterStats
    output: MeterStats
    far: MeterStats
    clock: ClockStats | None
    far_clock: ClockStats | None
    far_ring_ms: float
    engine: EngineStats
    realtime_priority: str
    memory_locked: bool
    monitor: bool
    bypass: bool
    muted: bool
    recording: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dictionaries, with ``xruns.total``; infinities stay floats."""
        # By name: a dataclass with slots is made anew, which breaks the short form of super().
        values = Stats.to_dict(self)
        values["xruns"]["total"] = self.xruns.total
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEvent:
    """Something that happened: seconds since the start, how bad, a short kind, one line of text."""

    time_s: float
    level: EventLevel
    kind: str
    text: str

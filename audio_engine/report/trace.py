"""What the stages of the chain report while a file runs: curves in bounded memory, and jumps.

The readings are those at the end of every block of half a second, as `process_file` hands them on.
"""

from __future__ import annotations

import statistics

from audio_engine.analysis.event import Event
from audio_engine.io.offline import BLOCK_SECONDS
from audio_engine.processors.stats import EngineStats
from audio_engine.report.series import Series, Thinner

_SURE = 0.5  # of a delay
_JUMP_MS = 20.0  # of the echo's delay: more than a canceller's alignment wanders
_KEPT = 7200  # readings of the room's reverberation time: an hour

#: Name of every curve, with its unit.
CURVES = {
    "gain": "dB",
    "voice_loudness": "LUFS",
    "limiter_reduction": "dB",
    "noise_level": "dBFS",
    "noise_reduction": "dB",
    "echo_reduction": "dB",
    "erle": "dB",
    "echo_delay": "ms",
    "echo_drift": "ppm",
    "speech_probability": "",
    "hum": "Hz",
    "music": "",
    "lip_sync_delay": "ms",
}
_HIGHEST_COUNTS = {"limiter_reduction", "speech_probability", "hum", "music"}
_NOT_KNOWN_LUFS = -199.0  # below: the leveller has not heard a word yet


class Trace:
    """Keep what the stages measure over time: a `watch` for `process_file`.

    Examples
    --------
    >>> from audio_engine import EngineConfig
    >>> from audio_engine.graph.engine import Engine
    >>> import numpy as np
    >>> trace = Trace()
    >>> with Engine(EngineConfig()) as engine:
    ...     _ = engine.process(np.zeros(24000, np.float32))
    ...     trace(0.5, engine.stats())
    >>> [series.name for series in trace.series()][:2]
    ['gain', 'limiter_reduction']
    """

    def __init__(self) -> None:
        self._curves = {
            name: Thinner(BLOCK_SECONDS, max if name in _HIGHEST_COUNTS else None)
            for name in CURVES
        }
        self._delay_ms: float | None = None
        self._reverb_s: list[float] = []
        self._events: list[Event] = []
        self.transient_count = 0

    def __call__(self, seconds: float, stats: EngineStats) -> None:
        """Take the readings of now."""
        now = _readings(stats)
        for name, curve in self._curves.items():
            curve.add(now.get(name))
        if stats.noise is not None:
            self.transient_count = stats.noise.transient_count
            if stats.noise.reverb_time_s > 0.0:
                self._reverb_s = [*self._reverb_s[1 - _KEPT :], stats.noise.reverb_time_s]
        delay_ms = now.get("echo_delay")
        if delay_ms is not None:
            jump = 0.0 if self._delay_ms is None else delay_ms - self._delay_ms
            if abs(jump) >= _JUMP_MS:
                start_s = max(0.0, seconds - BLOCK_SECONDS)
                self._events.append(
                    Event(kind="desync", start_s=start_s, end_s=seconds, value=jump, unit="ms")
                )
            self._delay_ms = delay_ms

    def series(self) -> list[Series]:
        """Return every curve of a stage that ran."""
        return [
            curve.series(name, CURVES[name]) for name, curve in self._curves.items() if curve.known
        ]

    def events(self) -> list[Event]:
        """Return the jumps of the echo's delay: the far end and the microphone lost each other."""
        return list(self._events)

    @property
    def reverb_time_s(self) -> float | None:
        """Median of the reverberation time (T60) that the suppressor saw; None: never any."""
        return statistics.median(self._reverb_s) if self._reverb_s else None


def _readings(stats: EngineStats) -> dict[str, float | None]:
    """Return the value of each curve; a stage that does not run has none."""
    now: dict[str, float | None] = {}
    if stats.agc is not None:
        now["gain"] = stats.agc.gain_db
        loudness = stats.agc.speech_loudness_lufs
        now["voice_loudness"] = loudness if loudness > _NOT_KNOWN_LUFS else None
    if stats.limiter is not None:
        now["limiter_reduction"] = stats.limiter.reduction_db
    if stats.noise is not None:
        now["noise_level"] = stats.noise.noise_level_dbfs
        now["noise_reduction"] = stats.noise.noise_reduction_db
        now["speech_probability"] = stats.noise.speech_probability
        now["hum"] = stats.noise.hum_hz
        now["music"] = float(stats.noise.music)
    if stats.echo is not None:
        now["echo_reduction"] = stats.noise.echo_reduction_db if stats.noise else None
        now["erle"] = stats.echo.erle_db
        sure = stats.echo.delay_confidence >= _SURE and not stats.echo.no_echo_path
        now["echo_delay"] = stats.echo.delay_ms if sure else None
        now["echo_drift"] = stats.echo.drift_ppm if sure else None
    if stats.lip_sync is not None:
        now["lip_sync_delay"] = stats.lip_sync.delay_ms
    return now

"""One sentence for the host: is all well, and if not, what to do."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from audio_engine.config import EngineConfig
from audio_engine.io.live.stats import LiveStats

CLIPPING_DBFS = -0.3
SILENT_DBFS = -80.0  # below the noise of any open microphone
SILENT_AFTER_S = 3.0
STAYS_S = 4.0  # advice on a passing event stays readable
XRUNS_SEEN_S = 10.0
NEARLY_DB = 0.5

SHED = {
    1: "the small net takes noise away",
    2: "noise is taken away without a net",
    3: "the loudness meters are off",
    4: "the level is held",
    5: "noise is not removed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What to tell the host, and how urgent it is."""

    level: Literal["good", "info", "warn", "bad"]
    text: str


class Adviser:
    """Watches a stream and knows the most useful sentence at any moment."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._heard_s = 0.0
        self._clipped_s = -STAYS_S
        self._xruns: deque[tuple[float, int]] = deque()  # when a new total was seen

    def advise(self, stats: LiveStats, config: EngineConfig) -> Advice:
        """Return the advice that fits the newest statistics."""
        now_s = stats.uptime_s
        if now_s < self._heard_s:  # the stream is a new one
            self._forget()
        xruns = self._recent_xruns(now_s, stats.xruns.total)
        if stats.state != "running" or stats.input.peak_dbfs > SILENT_DBFS:
            self._heard_s = now_s
        if stats.input.peak_dbfs >= CLIPPING_DBFS:
            self._clipped_s = now_s
        return (
            _on_state(stats)
            or _on_switches(stats)
            or self._on_signal(now_s, xruns)
            or _on_load(stats)
            or _on_gain(stats, config)
            or Advice(level="good", text="All is well.")
        )

    def _recent_xruns(self, now_s: float, total: int) -> int:
        if not self._xruns or self._xruns[-1][1] != total:
            self._xruns.append((now_s, total))
        while len(self._xruns) > 1 and self._xruns[1][0] < now_s - XRUNS_SEEN_S:
            self._xruns.popleft()
        return total - self._xruns[0][1]

    def _on_signal(self, now_s: float, xruns: int) -> Advice | None:
        if now_s - self._clipped_s < STAYS_S:
            return Advice(level="bad", text="Too loud: turn the microphone's level down.")
        if now_s - self._heard_s >= SILENT_AFTER_S:
            return Advice(level="warn", text="Nothing comes from the microphone. Is it on?")
        if xruns:
            times = "once" if xruns == 1 else f"{xruns} times"
            return Advice(
                level="warn",
                text=f"Sound broke {times} in 10 s: close programs or raise --latency-ms.",
            )
        return None


def _on_state(stats: LiveStats) -> Advice | None:
    match stats.state:
        case "starting":
            return Advice(level="info", text="Opening the devices ...")
        case "lost":
            return Advice(level="bad", text="The device is gone. Plug it in; it goes on by itself.")
        case "recovering":
            return Advice(level="warn", text="Opening the device again ...")
        case "stopped":
            return Advice(level="info", text="The stream has ended.")
    return None


def _on_switches(stats: LiveStats) -> Advice | None:
    if stats.muted:
        return Advice(level="warn", text="Muted: nobody hears you. m opens the microphone.")
    if stats.bypass:
        return Advice(level="warn", text="Bypassed: this is the raw microphone. b ends it.")
    return None


def _on_load(stats: LiveStats) -> Advice | None:
    if stats.load.shed_level:
        what = SHED.get(stats.load.shed_level, "stages are off")
        return Advice(level="warn", text=f"The computer is too slow: {what}.")
    return None


def _on_gain(stats: LiveStats, config: EngineConfig) -> Advice | None:
    agc = stats.engine.agc
    if agc is None or not config.agc.enabled:
        return None
    if agc.gain_db > config.agc.max_gain_db - NEARLY_DB:
        return Advice(level="warn", text="The voice is very quiet: come closer to the microphone.")
    return None

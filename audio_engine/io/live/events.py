"""What the audio thread notes, as codes, in words."""

from __future__ import annotations

from collections.abc import Callable

from audio_engine._native import lib
from audio_engine.io.live.stats import EventLevel

_FLAGS = {
    1: "the microphone gave too little",
    2: "the microphone's buffer ran over",
    4: "the loudspeaker's buffer ran dry",
    8: "the loudspeaker's buffer ran over",
}
_SHED = (
    "everything runs again",
    "the small net takes the large one's place",
    "noise is taken away without a net",
    "the meters pause",
    "the meters pause and the leveller holds its gain",
    "noise suppression pauses too",
)


def describe(code: int, value: float) -> tuple[EventLevel, str, str] | None:
    """Return level, kind and text of a C log entry; None for what needs no words."""
    words: dict[int, Callable[[float], tuple[EventLevel, str, str]]] = {
        lib.AE_RT_LOG_STARTED: _started,
        lib.AE_RT_LOG_XRUN: _xrun,
        lib.AE_RT_LOG_LATE: lambda gap_ms: (
            "warning",
            "xrun",
            f"the device was not served for {gap_ms:.0f} ms",
        ),
        lib.AE_RT_LOG_FAR_GAP: lambda _: (
            "warning",
            "far_end",
            "the far end came too late: a gap was faded over",
        ),
        lib.AE_RT_LOG_SHED: _shed,
        lib.AE_RT_LOG_RECORD_FULL: lambda _: (
            "error",
            "record",
            "recording cannot keep up: frames are missing",
        ),
    }
    return words[code](value) if code in words else None


def _started(priority: float) -> tuple[EventLevel, str, str]:
    if priority < 0:
        return "info", "audio", "the audio thread runs"
    granted = f"SCHED_FIFO {priority:.0f}" if priority else "ordinary, not real-time"
    return "info", "audio", f"the audio thread runs, priority {granted}"


def _xrun(flags: float) -> tuple[EventLevel, str, str]:
    said = " and ".join(text for bit, text in _FLAGS.items() if int(flags) & bit)
    return "warning", "xrun", said or "an xrun"


def _shed(level: float) -> tuple[EventLevel, str, str]:
    if not level:
        return "info", "load", _SHED[0]
    return "warning", "load", f"computing time is short: {_SHED[int(level)]}"

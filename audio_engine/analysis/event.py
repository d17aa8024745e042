"""A thing that happened in a recording, and when."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A stretch of a recording with something wrong in it.

    Attributes
    ----------
    kind : str
        What: ``clipping``, ``stall``, ``hum``, ``howl``, ``echo``, ``desync``.
    start_s, end_s : float
        From when to when, in seconds from the beginning of the recording.
    value : float
        How much, in the unit that belongs to the kind.
    unit : str
        That unit; empty for a count.
    """

    kind: str
    start_s: float
    end_s: float
    value: float
    unit: str

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return asdict(self)

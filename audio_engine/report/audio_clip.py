"""The sound that a report carries: both files whole where they are short, else their worst places.

MP3, 56 kbit/s a channel: every browser plays it, and two players of two minutes with the pictures
stay under 3 MB. A quarter of a minute is the unit: the beginning, then the events by turns of their
kinds, then places spread over the rest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from audio_engine.io.encoded import encode_stretches
from audio_engine.report.document import Excerpt, ReportEvent

MIME = "audio/mpeg"
_KBIT_PER_S = 56  # per channel
_SECONDS = {1: 120.0, 2: 60.0}  # by channels: what a player holds at most
_SLOT_S = 15.0
_LEAD_S = 3.0  # of an excerpt before its event


def choose_excerpts(
    duration_s: float, channels: int, events: Sequence[ReportEvent]
) -> tuple[Excerpt, ...]:
    """Return what the players hold; one excerpt from 0 to the end: all of it."""
    budget_s = _SECONDS[min(channels, 2)]
    if duration_s <= budget_s:
        return (Excerpt(start_s=0.0, end_s=round(duration_s, 3), player_s=0.0),)
    last = int((duration_s - 1.0) // _SLOT_S)
    wanted = round(budget_s / _SLOT_S)
    by_turns = [int(max(0.0, e.start_s - _LEAD_S) // _SLOT_S) for e in _by_turns(events)]
    spread = [round(k * last / (wanted - 1)) for k in range(wanted)]
    slots = sorted(list(dict.fromkeys(min(s, last) for s in (0, *by_turns, *spread)))[:wanted])
    excerpts: list[Excerpt] = []
    for slot in slots:
        start_s, end_s = slot * _SLOT_S, min((slot + 1) * _SLOT_S, duration_s)
        if excerpts and excerpts[-1].end_s == start_s:
            before = excerpts.pop()
            start_s, player_s = before.start_s, before.player_s
        else:
            player_s = excerpts[-1].player_s + _length(excerpts[-1]) if excerpts else 0.0
        excerpts.append(Excerpt(start_s=start_s, end_s=round(end_s, 3), player_s=player_s))
    return tuple(excerpts)


def encode(path: str | os.PathLike[str], excerpts: Sequence[Excerpt], channels: int) -> bytes:
    """Return the excerpts of a file as one MP3, mono or stereo."""
    kept = min(channels, 2)
    return encode_stretches(
        path,
        [(each.start_s, each.end_s) for each in excerpts],
        channels=kept,
        kbit_per_s=kept * _KBIT_PER_S,
    )


def _length(excerpt: Excerpt) -> float:
    return excerpt.end_s - excerpt.start_s


def _by_turns(events: Sequence[ReportEvent]) -> list[ReportEvent]:
    """Order events so that each kind has its longest first, and the kinds take turns."""
    kinds: dict[str, list[ReportEvent]] = {}
    for event in sorted(events, key=lambda e: e.start_s - e.end_s):
        kinds.setdefault(event.kind, []).append(event)
    turns = [(turn, event) for each in kinds.values() for turn, event in enumerate(each)]
    return [event for _, event in sorted(turns, key=lambda pair: pair[0])]

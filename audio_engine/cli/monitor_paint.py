"""Paint of the monitor's screen: colours, lines of coloured text, bars in eighths of a cell."""

from __future__ import annotations

import math
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

#: Every colour has its own lightness, so that the screen reads the same without colour.
INKS = {
    "paper": "#10151b",
    "track": "#1b232c",
    "rule": "#35414e",
    "faint": "#5a6877",
    "dim": "#8b98a7",
    "text": "#d5dde6",
    "bright": "#ffffff",
    "mic": "#a9bfd6",
    "mic-ghost": "#43566b",
    "out": "#63d3ac",
    "out-ghost": "#2a6351",
    "far": "#7db2ff",
    "far-ghost": "#31537f",
    "good": "#63d3ac",
    "warn": "#f0c05a",
    "bad": "#ff7b72",
}

#: A line of the screen: pieces of text, each with its ink ("text", "bold dim", "out on track").
Line = list[tuple[str, str]]

EIGHTHS = " ▏▎▍▌▋▊▉"


@lru_cache(maxsize=256)
def style(ink: str) -> Style:
    """Return the style of an ink: ``[bold] COLOUR [on COLOUR]``; paper is the ground.

    A colour is a name of `INKS` or of the form ``#rrggbb``.
    """
    front, _, ground = ink.partition(" on ")
    bold = front.startswith("bold ")
    name, ground = front.removeprefix("bold "), ground or "paper"
    return Style(color=INKS.get(name, name), bgcolor=INKS.get(ground, ground), bold=bold)


def strip(line: Line, width: int) -> Strip:
    """Return a line as what Textual draws, cut or filled to `width` cells."""
    segments = [Segment(text, style(ink)) for text, ink in line if text]
    return Strip(segments).adjust_cell_length(width, style("text"))


def width_of(line: Line) -> int:
    """Return how many cells a line takes."""
    return sum(cell_len(text) for text, _ in line)


def fit(text: str, width: int) -> str:
    """Return text in exactly `width` cells; an ellipsis says that something is missing."""
    text = "".join(c if c.isprintable() else " " for c in text)
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(width - 1, 0)) + "…"[:width]


def spread(left: Line, right: Line, width: int) -> Line:
    """Return a line with one part at each edge; the right one goes first where room is short."""
    gap = width - width_of(left) - width_of(right)
    return [*left, (" " * gap, "text"), *right] if gap > 0 else left


def rule(title: str, width: int, right: Line | None = None) -> Line:
    """Return a thin rule with a title, and words at its right end."""
    head: Line = [("── ", "rule"), (title, "bold dim"), (" ", "rule")]
    tail: Line = [(" ", "rule"), *right, (" ──", "rule")] if right else []
    gap = width - width_of(head) - width_of(tail)
    if gap < 1:
        tail, gap = [], max(width - width_of(head), 0)
    return [*head, ("─" * gap, "rule"), *tail]


def share(value: float, low: float, high: float) -> float:
    """Return where a value lies between two others, 0 to 1; 0 for NaN and minus infinity."""
    if math.isnan(value):
        return 0.0
    return min(max((value - low) / (high - low), 0.0), 1.0)


def bar(parts: float, width: int, ink: str, ghost: float = 0.0, ghost_ink: str = "track") -> Line:
    """Return a bar of `width` cells filled to `parts` (0 to 1), and faintly on to `ghost`.

    The line has one piece per cell, so that marks can be set into it.
    """
    return [
        _cell(parts * width - cell, ink, ghost * width - cell, ghost_ink) for cell in range(width)
    ]


def _cell(solid: float, ink: str, ghost: float, ghost_ink: str) -> tuple[str, str]:
    ground = ghost_ink if ghost >= 1.0 else "track"
    if solid >= 1.0:
        return " ", f"text on {ink}"  # ground, not a block: fonts leave gaps between blocks
    if solid >= 0.125:
        return EIGHTHS[int(solid * 8)], f"{ink} on {ground}"
    if ghost >= 1.0:
        return " ", f"text on {ghost_ink}"
    if ghost >= 0.125:
        return EIGHTHS[int(ghost * 8)], f"{ghost_ink} on track"
    return " ", "text on track"


def thread(parts: float, width: int, ink: str, ghost: float = 0.0, ghost_ink: str = "") -> Line:
    """Return a thin bar of `width` cells, in steps of half a cell."""
    return [
        _thread_cell(parts * width - cell, ink, ghost * width - cell, ghost_ink)
        for cell in range(width)
    ]


def centred_thread(value: float, width: int, ink: str) -> Line:
    """Return a thin bar that grows from its middle: right for 0 to 1, left for -1 to 0.

    The width is odd; the middle cell marks zero.
    """
    half = width // 2
    reach = value * half
    left = [_thread_cell(-reach - cell, ink, 0.0, ink, "╺") for cell in reversed(range(half))]
    right = [_thread_cell(reach - cell, ink, 0.0, ink) for cell in range(half)]
    return [*left, ("┿", "dim"), *right]


def _thread_cell(
    solid: float, ink: str, ghost: float, ghost_ink: str, half: str = "╸"
) -> tuple[str, str]:
    if solid >= 0.25:
        return "━" if solid >= 0.75 else half, ink
    if ghost >= 0.25:
        return "━" if ghost >= 0.75 else half, ghost_ink
    return "─", "rule"


def mark(cells: Line, place: float, sign: str, ink: str) -> None:
    """Set a sign into a bar at `place` (0 to 1), on the ground of the cell it falls on."""
    if not cells:
        return
    cell = min(int(place * len(cells)), len(cells) - 1)
    cells[cell] = (sign, f"{ink} on {cells[cell][1].partition(' on ')[2]}")


def joined(line: Line) -> Line:
    """Return the same line with neighbours of one ink put together."""
    result: Line = []
    for text, ink in line:
        if result and result[-1][1] == ink:
            result[-1] = (result[-1][0] + text, ink)
        else:
            result.append((text, ink))
    return result

"""Figures and sentences of the page, each made in one place."""

from __future__ import annotations

from html import escape
from typing import Any

from audio_engine.wording import Words


class Writer:
    """Writes what stands in a document, in its language.

    Parameters
    ----------
    values : dict
        The document.
    words : Words
        The sentences of the report.
    """

    def __init__(self, values: dict[str, Any], words: Words) -> None:
        self.values = values
        self.words = words

    def say(self, key: str, **places: object) -> str:
        """Return a sentence, escaped."""
        return escape(self.words(key, **places))

    def figure(
        self, pointer: str, digits: int, missing: str = "page.unknown", *, percent: bool = False
    ) -> str:
        """Return the figure at a place of the document (RFC 6901) as an element that names it."""
        value: Any = self.values
        for part in pointer[1:].split("/"):
            value = value[int(part)] if isinstance(value, list) else value[part]
        if value is None:
            return f'<span class="missing">{self.say(missing)}</span>'
        text = number(100.0 * value if percent else value, digits)
        return f'<data value="{value}" data-from="{pointer}">{text}</data>'


def number(value: float | None, digits: int | None = None) -> str:
    """Return a figure with so many digits, or as many as it has, and a true minus sign."""
    if value is None:
        return ""
    text = f"{value:.10g}" if digits is None else f"{value:.{digits}f}"
    return text.replace("-", "−")


def clock(seconds: float, digits: int = 0) -> str:
    """Return a time as 0:07, 0:07.5 or 1:02:07."""
    scale = 10**digits
    total = round(seconds * scale)
    whole, part = divmod(total, scale)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    text = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{text}.{part:0{digits}}" if digits else text

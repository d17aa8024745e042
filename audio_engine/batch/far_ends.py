"""Which far end belongs to which input: one file for all, or a pattern such as ``{stem}_far.wav``.

``{stem}`` is the input's name without its ending, ``{name}`` with it, ``{dir}`` its folder. A
pattern is relative to the input's folder; one with ``{dir}`` says itself where it begins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from audio_engine.batch.find import Found
from audio_engine.errors import ConfigError

_PLACE = re.compile(r"\{(\w*)\}")
PLACES = ("stem", "name", "dir")


class FarEnds:
    """The far ends that ``--far`` names.

    Parameters
    ----------
    text : str
        A file, or a pattern.

    Raises
    ------
    ConfigError
        If the pattern has a place that is not known.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        places = [] if os.path.exists(text) else _PLACE.findall(text)
        for place in places:
            if place not in PLACES:
                known = ", ".join(f"{{{name}}}" for name in PLACES)
                raise ConfigError(f"--far {text}: {{{place}}} is not known; use {known}")
        self.is_pattern = bool(places)

    def of(self, path: str) -> str:
        """Return the far end of an input, whether it is there or not."""
        if not self.is_pattern:
            return self.text
        folder, name = os.path.split(path)
        values = {"stem": os.path.splitext(name)[0], "name": name, "dir": folder or os.curdir}
        filled = _PLACE.sub(lambda match: values[match[1]], self.text)
        place = filled if "{dir}" in self.text else os.path.join(folder, filled)
        return os.path.normpath(place)

    def among(self, found: Sequence[Found]) -> set[str]:
        """Return the paths of those that are a far end of another one, and so no inputs.

        Of what a folder or pattern found, also those that look like one whose input is missing.
        """
        if not self.is_pattern:
            far_end = os.path.realpath(self.text)
            alike = (item.path for item in found if not item.named)
            return {path for path in alike if os.path.realpath(path) == far_end}
        far_ends = {os.path.realpath(self.of(item.path)) for item in found}
        shape = None
        if os.sep not in self.text and "{dir}" not in self.text:
            parts = (re.escape(part) for part in re.split(r"\{\w*\}", self.text))
            shape = re.compile(".+".join(parts) + r"\Z", re.DOTALL)
        own = {item.path for item in found if self._is_own(item.path)}
        return {
            item.path
            for item in found
            if item.path not in own
            and (
                os.path.realpath(item.path) in far_ends
                or (not item.named and shape and shape.match(os.path.basename(item.path)))
            )
        }

    def _is_own(self, path: str) -> bool:
        return os.path.realpath(self.of(path)) == os.path.realpath(path)

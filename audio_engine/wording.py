"""What is said to people, in their language: sentences as data, one file per topic and language.

``words/<topic>.<language>.toml`` holds flat tables of sentences with named places for figures. A
sentence that one language has, every language has: a test compares them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from audio_engine.errors import ConfigError

LANGUAGES = ("en", "zh")
_FOLDER = Path(__file__).parent / "words"


class Words:
    """The sentences of one topic in one language.

    Parameters
    ----------
    topic : str
        Name of the files without language and ending, for example ``report``.
    language : {"en", "zh"}
        Which language.

    Raises
    ------
    ConfigError
        If the language is not known.
    """

    def __init__(self, topic: str, language: str = "en") -> None:
        if language not in LANGUAGES:
            raise ConfigError(
                f"language {language!r} is not known; there are: {', '.join(LANGUAGES)}"
            )
        self.language = language
        text = (_FOLDER / f"{topic}.{language}.toml").read_text(encoding="utf-8")
        self._sentences = dict(_flat(tomllib.loads(text), ""))

    def __call__(self, key: str, **values: object) -> str:
        """Return the sentence of a dotted key, with its places filled."""
        return self._sentences[key].format(**values)

    def __contains__(self, key: str) -> bool:
        return key in self._sentences

    def keys(self) -> list[str]:
        """Return every dotted key."""
        return list(self._sentences)


def default_language(environment: Mapping[str, str] = os.environ) -> str:
    """Return the language that the environment asks for, where we speak it; else English."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environment.get(name):
            return next((each for each in LANGUAGES if environment[name].startswith(each)), "en")
    return "en"


def _flat(table: Mapping[str, object], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, str(value)))
    return found

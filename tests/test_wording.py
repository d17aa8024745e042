"""Every sentence exists in every language, with the same places for figures."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

from audio_engine.cli.common import Language
from audio_engine.errors import ConfigError
from audio_engine.wording import LANGUAGES, Words, default_language

WORDS = Path(__file__).resolve().parent.parent / "audio_engine" / "words"
TOPICS = sorted({path.name.split(".")[0] for path in WORDS.glob("*.toml")})


@pytest.mark.parametrize("topic", TOPICS)
def test_languages_say_the_same_things(topic: str) -> None:
    english = Words(topic, "en")
    for language in LANGUAGES:
        other = Words(topic, language)
        assert other.keys() == english.keys()
        for key in english.keys():  # noqa: SIM118 - no dict
            assert _places(other, key) == _places(english, key), key


def _places(words: Words, key: str) -> set[str]:
    sentence = words._sentences[key]
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def test_the_command_line_offers_every_language() -> None:
    assert tuple(Language) == LANGUAGES


def test_unknown_language_is_named() -> None:
    with pytest.raises(ConfigError, match="'fr' is not known; there are: en, zh"):
        Words("report", "fr")


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LC_ALL": "", "LANG": "zh_TW"}, "zh"),
        ({"LANG": "de_DE"}, "en"),
    ],
)
def test_default_language(environment: dict[str, str], language: str) -> None:
    assert default_language(environment) == language

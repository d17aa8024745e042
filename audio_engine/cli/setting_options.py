"""The options ``--preset`` and ``--set``, and what the shell offers there when TAB is pressed."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import Annotated, Any

import typer

from audio_engine.config import EngineConfig, setting_names, setting_text
from audio_engine.errors import ConfigError
from audio_engine.preset_files import preset_description, preset_names


def complete_preset(incomplete: str) -> list[tuple[str, str]]:
    """Return the presets that begin so, each with the sentence that says whom it is for."""
    found = []
    for name in [*preset_names(), *preset_names(own=True)]:
        if name.startswith(incomplete):
            with contextlib.suppress(ConfigError):  # an own one may be no TOML
                found.append((name, preset_description(name)))
    return found


def complete_setting(incomplete: str) -> list[str]:
    """Return NAME=VALUE of every setting that begins so, with its default to be edited."""
    config = EngineConfig()
    found = []
    for name in setting_names():
        found.append(f"{name}={setting_text(setting_value(config, name))}")
    return [each for each in found if each.startswith(incomplete)]


PresetOption = Annotated[
    str,
    typer.Option(metavar="NAME", help="See audio-engine presets.", autocompletion=complete_preset),
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change one setting; may be repeated.",
        autocompletion=complete_setting,
    ),
]


class NoiseModel(StrEnum):
    """What the noise suppressor can work with: `NOISE_MODELS`."""

    CLASSICAL = "classical"
    SMALL = "small"
    LARGE = "large"


ModelOption = Annotated[
    NoiseModel | None,
    typer.Option(help="What takes noise away: formulas, or a small or large net behind them."),
]


def model_setting(model: NoiseModel | None) -> list[str]:
    """Return what ``--model`` says as ``--set`` would."""
    return [] if model is None else [f"ns.model={model.value}"]


def setting_value(config: EngineConfig, name: str) -> Any:
    """Return the value of a setting by its dotted name."""
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def setting_pairs(settings: list[str]) -> dict[str, str]:
    """Return names and values of texts like ``ns.dereverb=0``.

    Raises
    ------
    ConfigError
        If a text is no pair.
    """
    pairs = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text}: write NAME=VALUE, as in ns.attenuation_limit_db=12")
        pairs[name.strip()] = value.strip()
    return pairs

"""The options ``--preset`` and ``--set``, and what the shell offers there when TAB is pressed."""

from __future__ import annotations

from typing import Annotated

import typer

from audio_engine.config import EngineConfig, preset_description, preset_names, setting_names


def complete_preset(incomplete: str) -> list[tuple[str, str]]:
    """Return the presets that begin so, each with the sentence that says whom it is for."""
    names = (name for name in preset_names() if name.startswith(incomplete))
    return [(name, preset_description(name)) for name in names]


def complete_setting(incomplete: str) -> list[str]:
    """Return NAME=VALUE of every setting that begins so, with its default to be edited."""
    config = EngineConfig()
    found = []
    for name in setting_names():
        value = config
        for part in name.split("."):
            value = getattr(value, part)
        shown = str(value).lower() if isinstance(value, bool) else f"{value:g}"
        found.append(f"{name}={shown}")
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

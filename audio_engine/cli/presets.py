"""``audio-engine presets``: which there are, and what is in them."""

from __future__ import annotations

from typing import Annotated

import typer

from audio_engine.cli.common import DebugOption, JsonOption, Talk, print_json, print_table
from audio_engine.config import EngineConfig, preset_description, preset_names, preset_text

EPILOG = """\b
Examples:
  audio-engine presets
  audio-engine presets --show cohost
  audio-engine presets --json
"""


def presets(
    show: Annotated[
        str | None, typer.Option(metavar="NAME", help="Print one preset as TOML, with reasons.")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the presets, or show what one sets and why."""
    with Talk(debug=debug).errors():
        names = preset_names() if show is None else [show]
        if as_json:
            print_json(
                {
                    name: {
                        "description": preset_description(name),
                        **EngineConfig.preset(name).to_dict(),
                    }
                    for name in names
                }
            )
        elif show is not None:
            print(preset_text(show).rstrip())
        else:
            print_table(
                ("preset", "for"),
                [(name, preset_description(name)) for name in names],
                text_columns=2,
            )

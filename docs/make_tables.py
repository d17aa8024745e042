"""Write parameters.md and presets.md from the configuration classes and the preset files.

    python docs/make_tables.py

`tests/test_docs.py` fails when the two pages are not what this script writes.
"""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from drawing import table

from audio_engine.config import (
    AUTO,
    SECTIONS,
    EngineConfig,
    setting_text,
)
from audio_engine.preset_files import preset_description, preset_names, preset_text

HERE = Path(__file__).parent
_SETTING = re.compile(r"^(\w+)\s*=\s*(\S+)\s*(?:#\s*(.*))?$")

PARAMETERS_HEAD = """\
# Parameters

Made by `docs/make_tables.py` from `audio_engine/config.py`; edit the text there.

Every parameter can be given in Python (`EngineConfig(ns=NoiseConfig(attenuation_limit_db=12))`),
in a TOML or JSON file (`EngineConfig.from_toml(text)`), and on the command line
(`audio-engine process --set ns.attenuation_limit_db=12`). A value outside its range is refused with
a message that names the field, the value and the range.
"""

PRESETS_HEAD = """\
# Presets

Made by `docs/make_tables.py` from the files in `audio_engine/presets/`; edit the text there.

A preset is a set of parameters and nothing else: what it does not name has the default of
[parameters.md](parameters.md). `audio-engine presets` lists them, `EngineConfig.preset("cohost")`
loads one, `audio-engine process --preset cohost` uses one.

## What they are for, measured

Each preset has a scene that is the room it is for, and bars for what it is meant to do there:
[golden scenes](golden-scenes.md).

## Presets of your own

```sh
audio-engine presets --save kitchen --from product-demo --set ns.attenuation_limit_db=12
audio-engine presets --show kitchen
audio-engine process demo-output/mic.wav -o clean.wav --preset kitchen
```

`--save` writes `~/.config/audio-engine/presets/kitchen.toml` (in `$XDG_CONFIG_HOME` where it is
set): what differs from the built-in preset beneath, and the rest as comments with their reasons. It
is used by its name, in Python too (`EngineConfig.preset("kitchen")`); a file anywhere else by its
path, `--preset ./kitchen.toml`: what ends with `.toml` or has a slash in it is a path. Edit it as
you like:

```toml
description = "Kitchen tools, a loud hall."
base = "product-demo"  # a built-in name or one of your own; without it the defaults are beneath

[ns]
attenuation_limit_db = 12.0
```

Built-in names always mean the built-in presets, whatever lies in the folder, so a program that uses
them does the same on every machine; `preset_names()` lists these. Saving over an own preset needs
`--force`.
"""


def parameter_row(prefix: str, item: Any) -> tuple[str, ...]:
    """Return name, default, range with unit, and meaning of one configuration field."""
    limits = item.metadata
    allowed = "true, false"
    if "low" in limits:
        allowed = f"{limits['low']:g} .. {limits['high']:g} {limits['unit']}".rstrip()
        allowed += f", {AUTO}" if "auto" in limits else ""
    allowed = ", ".join(limits.get("choices", [allowed]))
    return f"`{prefix}{item.name}`", setting_text(item.default), allowed, limits["text"]


def parameters_page() -> str:
    """Return the text of parameters.md."""
    head = ("parameter", "default", "range", "meaning")
    top = [parameter_row("", item) for item in fields(EngineConfig) if item.name not in SECTIONS]
    page = [PARAMETERS_HEAD, "## The whole engine\n", table([head, *top])]
    for name, section in SECTIONS.items():
        summary = (section.__doc__ or "").splitlines()[0]
        rows = [parameter_row(f"{name}.", item) for item in fields(section)]
        page += [f"## {name}\n", f"{summary}\n", table([head, *rows])]
    return "\n".join(page)


def preset_rows(text: str) -> list[tuple[str, ...]]:
    """Return dotted name, value and reason of each setting in a preset file."""
    rows: list[tuple[str, ...]] = []
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]") + "."
        elif (match := _SETTING.match(line)) and section:
            name, value, reason = match.groups()
            rows.append((f"`{section}{name}`", value, reason or ""))
    return rows


def presets_page() -> str:
    """Return the text of presets.md."""
    page = [PRESETS_HEAD]
    for name in preset_names():
        rows = preset_rows(preset_text(name))
        page += [f"## {name}\n", f"{preset_description(name)}\n"]
        page.append(table([("parameter", "value", "reason"), *rows]))
    return "\n".join(page)


PAGES = {"parameters.md": parameters_page, "presets.md": presets_page}

if __name__ == "__main__":
    for file_name, make in PAGES.items():
        (HERE / file_name).write_text(make(), encoding="utf-8")

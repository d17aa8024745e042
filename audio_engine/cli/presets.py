"""``audio-engine presets``: which there are, what is in them, and saving one of one's own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from audio_engine.cli.common import (
    DebugOption,
    JsonOption,
    QuietOption,
    Talk,
    print_json,
    print_table,
)
from audio_engine.cli.setting_options import (
    SettingsOption,
    complete_preset,
    setting_pairs,
    setting_value,
)
from audio_engine.config import EngineConfig, setting_names, setting_text
from audio_engine.errors import ConfigError, OutputFileError
from audio_engine.preset_files import (
    built_in_base,
    check_own_name,
    preset_description,
    preset_names,
    preset_path,
    preset_text,
    user_presets,
)

EPILOG = """\b
Examples:
  audio-engine presets
  audio-engine presets --show cohost
  audio-engine presets --save shop --from product-demo --set ns.attenuation_limit_db=8

\b
A saved preset lies in ~/.config/audio-engine/presets and is used by its name;
process and monitor also take a path: --preset ./shop.toml
"""
DEFAULT_BASE = "cohost"
_SETTING = re.compile(r"^#?\s*(\w+)\s*=\s*([^#\s]+)\s*#\s*(.+)$")


def presets(
    show: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Print one preset as TOML, with reasons.",
            autocompletion=complete_preset,
        ),
    ] = None,
    *,
    save: Annotated[
        str | None, typer.Option(metavar="NAME", help="Save a preset of your own.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PRESET",
            help=f"What it starts from ({DEFAULT_BASE}).",
            autocompletion=complete_preset,
        ),
    ] = None,
    settings: SettingsOption = None,
    description: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Whom it is for, in a sentence.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Save over one of that name.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """List the presets, show what one sets and why, or save one of your own.

    --show and --from also take the path of a TOML file. --save writes what differs from the
    built-in preset beneath, and the rest as comments with their reasons.
    """
    talk = Talk(quiet=quiet, debug=debug)
    with talk.errors():
        if save is not None:
            if show is not None:
                raise ConfigError("--show and --save are two things; use one at a time")
            path = _save(save, source or DEFAULT_BASE, settings or [], description, force=force)
            if as_json:
                print_json({save: _document(save), "saved": str(path)})
            else:
                talk.note(f"{path} is saved; use it with --preset {save}")
            return
        needless = {"--from": source, "--set": settings, "--description": description}
        for option in [name for name, value in needless.items() if value] + ["--force"] * force:
            raise ConfigError(f"{option} has no use without --save NAME")
        if as_json:
            names = [*preset_names(), *preset_names(own=True)] if show is None else [show]
            print_json({name: _document(name, strict=show is not None) for name in names})
        elif show is not None:
            EngineConfig.preset(show)  # says what is wrong with it
            print(preset_text(show).rstrip())
        else:
            rows = [(name, preset_description(name), "built in") for name in preset_names()]
            rows += [(name, _what_for(name), "own") for name in preset_names(own=True)]
            print_table(("preset", "for", ""), rows, text_columns=3)


def _what_for(name: str) -> str:
    """Return what a preset of the user's own is for, or what is wrong with it."""
    try:
        EngineConfig.preset(name)
        return preset_description(name)
    except ConfigError as error:
        return f"cannot be used: {error}"


def _document(preset: str, *, strict: bool = True) -> dict[str, Any]:
    """Return a preset as a JSON object."""
    own = preset not in preset_names()
    where = {"own": own, "path": str(preset_path(preset))} if own else {"own": own}
    try:
        config = EngineConfig.preset(preset).to_dict()
        return {"description": preset_description(preset), **where, **config}
    except ConfigError as error:
        if strict:
            raise
        return {**where, "error": str(error)}


# --- saving ---------------------------------------------------------------------------------------


def _save(
    name: str, source: str, settings: list[str], description: str | None, *, force: bool
) -> Path:
    """Write a preset into the user's folder and return its path."""
    from audio_engine.io.part_file import part_file

    check_own_name(name)
    config = EngineConfig.preset(source).with_settings(setting_pairs(settings))
    path = user_presets() / f"{name}.toml"
    if path.exists() and not force:
        raise ConfigError(f"{path} exists; choose another name, or save over it with --force")
    text = own_text(config, source, description)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part_file(path) as part:
            part.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise OutputFileError(f"{path}: cannot be written: {error.strerror or error}") from None
    return path


def own_text(config: EngineConfig, source: str, description: str | None = None) -> str:
    """Return a configuration as the text of a preset that stands on a built-in one.

    Parameters
    ----------
    config : EngineConfig
        What the preset is to give.
    source : str
        The preset it was made from: its reasons are kept.
    description : str, optional
        Whom it is for.
    """
    base = built_in_base(source)
    under = EngineConfig() if base is None else EngineConfig.preset(base)
    beneath = "the defaults" if base is None else base
    reasons = _reasons(source) if base is None else _reasons(base) | _reasons(source)
    said = description or preset_description(source) or f"Own preset, from {beneath}."
    lines = [
        f"# What is not set here is as in {beneath}; a line that begins with # says how that is.",
        f"description = {_string(said)}",
    ]
    lines += [] if base is None else [f"base = {_string(base)}"]
    section = ""
    for name in setting_names():
        value, before = (setting_value(each, name) for each in (config, under))
        head, _, field = name.rpartition(".")
        if value == before and name not in reasons:
            continue
        if head != section:
            section = head
            lines += ["", f"[{section}]"]
        reason = f"; {reasons[name]}" if name in reasons else ""
        if value == before:
            lines.append(f"# {field} = {_shown(value)}  # {reasons[name]}")
        else:
            lines.append(f"{field} = {_shown(value)}  # {beneath}: {_shown(before)}{reason}")
    return "\n".join(lines) + "\n"


def _reasons(preset: str) -> dict[str, str]:
    """Return what a preset's text says about its values, by dotted name."""
    found = {}
    section = ""
    for line in preset_text(preset).splitlines():
        if line.startswith("["):
            section = line.strip("[] ") + "."
        elif match := _SETTING.match(line):
            before, _, reason = match[3].partition("; ")  # of a saved one: without the old value
            own = before.partition(": ")[0] in (*preset_names(), "the defaults")
            if not own or reason:
                found[section + match[1]] = reason if own else match[3]
    return found


def _shown(value: object) -> str:
    if value is None or isinstance(value, str):
        return _string(setting_text(value))
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def _string(text: str) -> str:
    """Return text as a TOML string: that of JSON, which lets one control character pass."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")

"""Where presets lie and what is in them: the built-in ones, and those of the user's own.

A preset is a TOML file of settings. Built-in ones are beside this module; a user's own lie in
``$XDG_CONFIG_HOME/audio-engine/presets`` (``~/.config`` without that variable) and are named as
their file, or are given by their path. An own preset may name another as its `base` and then says
only what differs. A built-in name always means the built-in preset, so what it gives never depends
on the machine.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from audio_engine.errors import ConfigError

PRESETS = Path(__file__).parent / "presets"
_ENDING = ".toml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MOST_BYTES = 1 << 20  # a preset is a page of text; a video is not read to its end
_DEEPEST = 8  # presets that stand on presets


def user_presets() -> Path:
    """Return the folder of the user's own presets; it need not exist."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # the XDG specification: a relative path is ignored
        base = os.path.expanduser("~/.config")
    return Path(base) / "audio-engine" / "presets"


def preset_names(*, own: bool = False) -> list[str]:
    """Return the names of the built-in presets, in alphabetical order.

    Parameters
    ----------
    own : bool
        True: the names in the user's folder instead. A file that has a built-in's name, or none
        that a preset can have, is left out.
    """
    folder = user_presets() if own else PRESETS
    try:
        found = sorted(path.stem for path in folder.glob(f"*{_ENDING}"))
    except OSError:
        found = []
    built_in = preset_names() if own else []
    return [name for name in found if not own or (_NAME.fullmatch(name) and name not in built_in)]


def check_own_name(name: str) -> None:
    """Raise `ConfigError` unless an own preset may have this name."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name for a preset; use 1 to 64 letters, digits, - and _, beginning "
            "with a letter or a digit"
        )
    if name in preset_names():
        raise ConfigError(f"{name} is a built-in preset and stays as it is; choose another name")


def preset_path(preset: str | os.PathLike[str]) -> Path:
    """Return the file of a preset.

    Parameters
    ----------
    preset : str or path-like
        A built-in name, a name in the user's folder, or a path: that is what ends with ``.toml`` or
        has a slash in it.

    Raises
    ------
    ConfigError
        If there is no such preset.
    """
    name = os.fspath(preset)
    if isinstance(preset, os.PathLike) or name.endswith(_ENDING) or os.sep in name:
        return Path(name)
    if name in preset_names():
        return PRESETS / f"{name}{_ENDING}"
    if name in preset_names(own=True):
        return user_presets() / f"{name}{_ENDING}"
    there_are = ", ".join([*preset_names(), *preset_names(own=True)])
    raise ConfigError(f"preset {name!r} does not exist; there are: {there_are}")


def preset_text(preset: str | os.PathLike[str]) -> str:
    """Return a preset's TOML text, with the reason of each value.

    Raises
    ------
    ConfigError
        If there is no such preset, or it cannot be read.
    """
    path = preset_path(preset)
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise ConfigError(f"{path}: more than 1 MB is no preset; a TOML file is expected")
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: this is no text; a TOML file in UTF-8 is expected") from None


def preset_description(preset: str | os.PathLike[str]) -> str:
    """Return the sentence that says whom a preset is for; empty where it has none."""
    return str(_parsed(preset).get("description", ""))


def preset_values(preset: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the settings of a preset with those of what it stands on, as nested dictionaries.

    Raises
    ------
    ConfigError
        If it, or a base of it, does not exist or is no TOML.
    """
    chain: list[dict[str, Any]] = []
    next_one: str | os.PathLike[str] | None = preset
    while next_one is not None:
        values = _parsed(next_one)
        base = values.pop("base", None)
        if base is not None and not isinstance(base, str):
            raise ConfigError(f"{preset_path(next_one)}: base={base!r} is not the name of a preset")
        chain.append(values)
        if len(chain) > _DEEPEST:
            raise ConfigError(
                f"{preset_path(preset)}: base leads through more than {_DEEPEST} presets; a loop?"
            )
        next_one = base
    merged: dict[str, Any] = {}
    for values in reversed(chain):
        for name, value in values.items():
            under = merged.get(name)
            tables = isinstance(value, dict) and isinstance(under, dict)
            merged[name] = dict(under or {}, **value) if tables else value
    return merged


def built_in_base(preset: str | os.PathLike[str]) -> str | None:
    """Return the built-in preset that a preset is, or stands on; None where it has none."""
    next_one: str | os.PathLike[str] | None = preset
    for _ in range(_DEEPEST):
        if next_one is None or str(next_one) in preset_names():
            break
        next_one = _parsed(next_one).get("base")
    return None if next_one is None else str(next_one)


def _parsed(preset: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(preset_text(preset))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{preset_path(preset)}: this is not valid TOML: {error}") from None

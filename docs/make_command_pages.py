"""Write command-line.md and the man page from the text that ``--help`` shows.

    python docs/make_command_pages.py

`tests/test_command_pages.py` fails when the two are not what this script writes.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from audio_engine.cli import main

HERE = Path(__file__).parent
NAME = "audio-engine"

PAGE_HEAD = """\
# Command line

Made by `docs/make_command_pages.py` from the texts of `audio-engine --help`; edit them in
`audio_engine/cli/`. `man audio-engine` shows the same where the package is installed.

`audio-engine --install-completion` teaches your shell (bash, zsh, fish, PowerShell) to complete
commands, options, presets and settings.
"""
HELP_OPTION = ("-h, --help", "Show this message and exit.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command as its help tells it; each term with what it means."""

    name: str
    paragraphs: list[str]
    arguments: list[tuple[str, str]]
    options: list[tuple[str, str]]
    examples: list[str]
    remarks: list[str]

    @property
    def usage(self) -> str:
        """Return the line that shows the order of things."""
        inputs = [f"{term}..." for term, _ in self.arguments]
        return " ".join([NAME, self.name, "[OPTIONS]", *inputs])


def commands() -> list[Command]:
    """Return all commands in the order of the help."""
    return [
        read_command(str(info.name or _function(info).__name__), _function(info), str(info.epilog))
        for info in main.app.registered_commands
    ]


def _function(info: Any) -> Callable[..., Any]:
    function: Callable[..., Any] = info.callback
    return function


def read_command(name: str, function: Callable[..., Any], epilog: str) -> Command:
    """Read a command from its function and the text that ends its help."""
    hints = typing.get_type_hints(function, include_extras=True)
    arguments: list[tuple[str, str]] = []
    options: list[tuple[str, str]] = []
    for parameter in inspect.signature(function).parameters.values():
        kind, info = typing.get_args(hints[parameter.name])
        if isinstance(info, typer.models.ArgumentInfo):
            arguments.append((str(info.metavar or parameter.name.upper()), str(info.help)))
        elif not info.hidden:
            options.append(_option(parameter, kind, info))
    examples, remarks = _epilog(epilog)
    return Command(
        name=name,
        paragraphs=_paragraphs(function),
        arguments=arguments,
        options=[*options, HELP_OPTION],
        examples=examples,
        remarks=remarks,
    )


def _option(parameter: inspect.Parameter, kind: Any, info: Any) -> tuple[str, str]:
    declared = (info.default, *(info.param_decls or ()))  # in Annotated the first stands there
    names = [each for each in declared if isinstance(each, str) and each.startswith("-")]
    names = sorted(names or ["--" + parameter.name.replace("_", "-")], key=len)
    default = parameter.default
    if isinstance(default, Enum):
        default = default.value
    shown = default not in (None, False, "", ()) and info.show_default is not False
    required = default is inspect.Parameter.empty
    ending = " Required." if required else f" Default: {default}." if shown else ""
    return f"{', '.join(names)} {_value(kind, info)}".rstrip(), f"{info.help}{ending}"


def _value(kind: Any, info: Any) -> str:
    """Return what stands for an option's value; nothing for a switch."""
    if info.metavar:
        return str(info.metavar)
    kinds = [each for each in typing.get_args(kind) if each is not type(None)] or [kind]
    if isinstance(kinds[0], type) and issubclass(kinds[0], Enum):
        return "|".join(str(each.value) for each in kinds[0])
    return {bool: "", int: "N", float: "X"}.get(kinds[0], "TEXT")


def _paragraphs(function: Callable[..., Any]) -> list[str]:
    return [" ".join(part.split()) for part in inspect.getdoc(function).split("\n\n")]  # type: ignore[union-attr]


def _epilog(text: str) -> tuple[list[str], list[str]]:
    """Cut the end of a help into the examples and the sentences after them."""
    lines = [line for line in text.replace("\b", "").splitlines() if line.strip()]
    examples = [line.strip() for line in lines if line.startswith("  ")]
    remarks = [line.strip() for line in lines if not line.startswith(("  ", "Examples:"))]
    return examples, [" ".join(remarks)] if remarks else []


# --- Markdown ------------------------------------------------------------------------------------


def markdown() -> str:
    """Return the page of all commands."""
    found = commands()
    index = [f"- [`{each.name}`](#{each.name}) {each.paragraphs[0]}" for each in found]
    ending = f"## Exit status\n\n{_exit_status()}\n"
    return "\n".join([PAGE_HEAD, *index, "", *map(_markdown_command, found), ending])


def _markdown_command(command: Command) -> str:
    parts = [f"## {command.name}", f"```text\n{command.usage}\n```", *command.paragraphs]
    for title, terms in (("argument", command.arguments), ("option", command.options)):
        if terms:
            rows = [f"| `{_cell(term)}` | {_cell(text)} |" for term, text in terms]
            parts.append("\n".join([f"| {title} | |", "| --- | --- |", *rows]))
    parts += ["```sh\n" + "\n".join(command.examples) + "\n```", *command.remarks]
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _exit_status() -> str:
    return _epilog(main.EPILOG)[1][0].removeprefix("Exit codes: ")


# --- The manual page (man(7)) --------------------------------------------------------------------


def manual() -> str:
    """Return the same as a page for man(1)."""
    found = commands()
    about = _paragraphs(main.audio_engine)[0]
    lines = [
        f'.\\" Made by docs/make_command_pages.py from the texts of {NAME} --help.',
        f'.TH {NAME.upper()} 1 "" "" "User Commands"',
        ".SH NAME",
        f"{_roff(NAME)} \\- {_roff(about[0].lower() + about[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_roff(NAME)}",
        "COMMAND [OPTIONS] ...",
        ".SH COMMANDS",
    ]
    for each in found:
        lines += _manual_command(each)
    lines += [".SH EXIT STATUS", _roff(_exit_status()), ".SH EXAMPLES"]
    lines += [*_example_block(_epilog(main.EPILOG)[0])]
    return "\n".join(lines) + "\n"


def _manual_command(command: Command) -> Iterator[str]:
    yield f".SS {_roff(command.usage)}"
    for text in command.paragraphs:
        yield from (".PP", _roff(text))
    for term, text in [*command.arguments, *command.options]:
        yield from (".TP", f".B {_roff(term)}", _roff(text))
    yield from (".PP", "Examples:", *_example_block(command.examples))
    for text in command.remarks:
        yield from (".PP", _roff(text))


def _example_block(examples: list[str]) -> list[str]:
    return [".PP", ".nf", ".RS", *map(_roff, examples), ".RE", ".fi"]


def _roff(text: str) -> str:
    """Escape what troff would take as its own, at the beginning of a line too."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", text)


PAGES = {"command-line.md": markdown, "audio-engine.1": manual}

if __name__ == "__main__":
    for file_name, make in PAGES.items():
        (HERE / file_name).write_text(make(), encoding="utf-8")

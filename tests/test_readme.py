"""The README's examples run as they are typed, in a folder that holds what `make demo` makes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import audio_engine as ae

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


LINES = [line.split("#")[0].strip() for block in fenced("sh") for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("audio-engine ")]
TARGETS = [line.removeprefix("make ") for line in LINES if line.startswith("make ")]


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would, with the environment's own programs found first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with demo-output/ in it, as `make demo` leaves it."""
    folder = tmp_path_factory.mktemp("readme")
    result = run("audio-engine", "demo", "demo-output", folder=folder)
    assert result.returncode == 0, result.stderr
    return folder


def needs_sound_card(command: str) -> bool:
    return "devices" in command or ("monitor" in command and "--simulate" not in command)


def test_every_line_of_the_shell_examples_is_known() -> None:
    assert COMMANDS
    shell = ["cd demo-output", ". .venv/bin/activate"]
    assert set(shell) <= set(LINES)
    assert len(COMMANDS + TARGETS + shell) == len([line for line in LINES if line])


def test_the_shell_examples_run(folder: Path) -> None:
    for command in COMMANDS:  # in order: a later one may read what an earlier one wrote
        # Without a sound card the help must do: it comes only if the options are known.
        help_only = ["--help"] if needs_sound_card(command) else []
        result = run(*command.split(), *help_only, folder=folder / "demo-output")
        assert result.returncode == 0, f"{command}\n{result.stderr}"
        assert result.stdout, command


@pytest.mark.parametrize("target", TARGETS)
def test_the_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("number", range(len(fenced("python"))))
def test_the_python_examples_run(number: int, folder: Path) -> None:
    result = run(sys.executable, "-c", fenced("python")[number], folder=folder)
    assert result.returncode == 0, result.stderr
    assert " late, " in result.stdout


def test_the_first_python_example_has_about_ten_lines() -> None:
    example = fenced("python")[0]
    assert 8 <= len([line for line in example.splitlines() if line.strip()]) <= 12


def test_the_latency_is_what_is_said() -> None:
    with ae.Engine(ae.EngineConfig(sample_rate_hz=48000)) as engine:
        assert f"{engine.latency_frames / 48:.1f} ms late at 48 kHz" in " ".join(TEXT.split())

"""The page and the manual of the command line say what the help says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import make_command_pages
import pytest
from typer.testing import CliRunner

from audio_engine.cli.main import app

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.mark.parametrize("page", sorted(make_command_pages.PAGES))
def test_made_page_is_current(page: str) -> None:
    written = (DOCS / page).read_text(encoding="utf-8")
    why = "run: .venv/bin/python docs/make_command_pages.py"
    assert written == make_command_pages.PAGES[page](), why


@pytest.mark.parametrize("command", make_command_pages.commands(), ids=lambda each: each.name)
def test_the_help_has_every_option_and_example(command: make_command_pages.Command) -> None:
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, [command.name, "--help"]).stdout
    words = " ".join(shown.split())
    for names in (term for term, _ in command.options):
        assert all(name in words for name in names.split(" ")[0].rstrip(",").split(", "))
    for example in command.examples:
        assert example in shown
    for _, text in command.arguments:
        assert text in words


def test_the_manual_has_no_errors() -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is not installed")
    result = subprocess.run(
        [groff, "-man", "-ww", "-Tutf8", "-P-cbou", str(DOCS / "audio-engine.1")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""
    assert "--preset" in result.stdout

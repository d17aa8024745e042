"""TAB after a preset or a setting: through the shell's own door."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from audio_engine.config import EngineConfig, setting_names
from audio_engine.preset_files import preset_names


def offered(line: str) -> list[str]:
    """Return what bash is offered at the end of a line."""
    words = line.split(" ")
    asked = {
        "_AUDIO_ENGINE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    result = subprocess.run(
        [sys.executable, "-c", "from audio_engine.cli.main import main; main()"],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.split()


@pytest.mark.parametrize("command", ["process mic.wav", "monitor"])
def test_presets_are_offered(command: str) -> None:
    assert set(preset_names()) <= set(offered(f"audio-engine {command} --preset "))
    assert offered(f"audio-engine {command} --preset music") == ["music-asmr"]


@pytest.mark.parametrize("command", ["process mic.wav", "monitor"])
def test_settings_are_offered_with_their_defaults(command: str) -> None:
    found = offered(f"audio-engine {command} --set ")
    assert [each.partition("=")[0] for each in found] == setting_names()
    pairs = dict(each.split("=", 1) for each in found)
    assert EngineConfig().with_settings(pairs) == EngineConfig()
    assert offered(f"audio-engine {command} --set ns.att") == ["ns.attenuation_limit_db=auto"]


def test_commands_are_offered() -> None:
    assert offered("audio-engine pro") == ["process"]

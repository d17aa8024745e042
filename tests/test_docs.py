"""Pages that a script makes are current, examples run, and no link in the Markdown is dead."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import soundfile
from typer.testing import CliRunner

from audio_engine.cli.main import app
from signals import noise, voice
from soundcard import SoftwareCard, missing_for_card

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LIVE = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
LIVE_EXAMPLES = re.findall(r"^```python\n(.*?)^```", LIVE, re.MULTILINE | re.DOTALL)
CHECK = ["audio-engine", "check"]
#: What an example on a real device waits for, it does not wait for here.
HURRY = """
import time
import audio_engine as ae

def wait(self, seconds=None):
    time.sleep(0.3)
    return True

ae.LiveStream.wait = wait
"""


def make_tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "docs" / "make_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["parameters.md", "presets.md"])
def test_made_page_is_current(page: str) -> None:
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == make_tables().PAGES[page](), "run: .venv/bin/python docs/make_tables.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    dead = [link for link in links if not (page.parent / link).exists()]
    assert not dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_named_in_the_text_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = re.findall(
        r"`((?:csrc|audio_engine|tests|fixtures|benchmarks|docs|tools)/[\w./-]*)`", text
    )
    missing = [name for name in names if "ae_x" not in name and not (ROOT / name).exists()]
    assert not missing


def test_the_noise_examples_are_made_and_the_page_shows_them(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "noise.md").read_text(encoding="utf-8")
    script = str(ROOT / "docs" / "make_noise_examples.py")
    result = subprocess.run(
        [sys.executable, script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    written = {path.name for path in tmp_path.glob("*.wav")}
    shown, told = (
        set(re.findall(r"^\| ([\w.-]+\.wav) \|", text, re.MULTILINE))
        for text in (page, result.stdout)
    )
    assert shown == told, "run: .venv/bin/python docs/make_noise_examples.py DIR --pages"
    assert {name for name in written if not name.endswith("-before.wav")} == told
    for name in told:
        assert soundfile.info(tmp_path / name).duration == 20.0
    pictures = re.findall(r"\]\((noise-\w+\.svg)\)", page)
    assert len(pictures) == 4
    assert all((ROOT / "docs" / name).stat().st_size < 150_000 for name in pictures)


def test_the_loudness_scenes_are_made_and_the_page_shows_them(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "loudness.md").read_text(encoding="utf-8")
    script = str(ROOT / "docs" / "make_loudness_pictures.py")
    result = subprocess.run(
        [sys.executable, script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    pattern = r"^\| (\w+) \| ([\w ]+) \| (-[\d.]+) \| (-[\d.]+) \|$"
    shown, told = (re.findall(pattern, text, re.MULTILINE) for text in (page, result.stdout))
    why = "run: .venv/bin/python docs/make_loudness_pictures.py DIR --pages"
    assert [row[:2] for row in shown] == [row[:2] for row in told], why
    for before, after in zip(shown, told, strict=True):
        assert float(before[3]) == pytest.approx(float(after[3]), abs=0.15), why
    for name in {row[0] for row in told}:
        assert soundfile.info(tmp_path / f"{name}-after.wav").duration == 24.0
        assert f"(loudness-{name}.svg)" in page


@pytest.mark.parametrize("name", ["noise.md", "loudness.md", "lip-sync.md"])
def test_the_page_has_an_example_that_runs(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert examples
    for code in examples:
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with demo-output/ in it, as far as the examples need it."""
    (tmp_path / "demo-output").mkdir()
    for name in ("mic", "out"):
        soundfile.write(tmp_path / f"demo-output/{name}.wav", voice(2.0, 48000), 48000)
    soundfile.write(tmp_path / "demo-output/far.wav", noise(2.0, 48000), 48000)
    return tmp_path


def test_the_voice_activity_example_runs(folder: Path) -> None:
    page = (ROOT / "docs" / "voice-activity.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "% speech" in done.stdout


@pytest.mark.parametrize("number", range(len(LIVE_EXAMPLES)))
def test_the_live_examples_run(number: int, folder: Path) -> None:
    code, env = LIVE_EXAMPLES[number], None
    if "LiveStream" in code:
        reason = missing_for_card()
        if reason is not None:
            pytest.skip(reason)
        code = HURRY + code.replace("what_is_heard", "soft_loopback")
    with contextlib.ExitStack() as stack:
        if "LiveStream" in code:
            env = stack.enter_context(SoftwareCard(folder)).env
        result = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["check.md", "files.md", "measure.md", "presets.md"])
def test_the_shell_examples_of_the_page_run(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but what waits for a sound card or for FFmpeg's program; in order, as they are typed."""
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))  # an example saves a preset
    monkeypatch.chdir(folder)
    if name == "check.md":
        soundfile.write("take.wav", voice(5.0, 48000), 48000)
    if name == "files.md":
        pytest.importorskip("av", reason="PyAV (the extra [video]) is not installed")
        from videos import picture_number, write_video

        pictures = [(i / 25.0, picture_number(i)) for i in range(25)]
        sound = [(0.0, voice(1.0, 48000))]
        write_video(Path("talk.mp4"), pictures, sound)
        write_video(Path("talk.m4a"), (), sound)
        soundfile.write("talk.wav", voice(1.0, 48000), 48000)
    commands = 0
    for block in re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if "ffmpeg" in words or words in (CHECK, [*CHECK, "--play"]):
                continue
            commands += 1
            result = CliRunner().invoke(app, words[1:])
            assert result.exit_code == 0, f"{line}\n{result.output}"
    assert commands >= 3


@pytest.mark.parametrize("name", ["live.md", "loudness.md", "lip-sync.md", "report.md"])
def test_the_page_knows_the_command_line(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    lines = re.findall(r"^audio-engine [^#\n]*", page, re.MULTILINE)
    assert lines
    for line in lines:  # the help comes only if the options are known
        result = CliRunner().invoke(app, [*line.split()[1:], "--help"])
        assert result.exit_code == 0, f"{line}\n{result.output}"

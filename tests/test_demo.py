"""The demo: its scene is what it says, its figures are good, every example in the help works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from audio_engine.cli import (
    check,
    demo,
    devices,
    measure,
    mix,
    monitor,
    presets,
    process,
    sync,
)
from audio_engine.cli import main as cli
from audio_engine.cli.common import Talk
from audio_engine.cli.demo_scene import SAMPLE_RATE_HZ, VOICES, Scene, build_scene

MODULES = (cli, process, measure, check, mix, sync, monitor, devices, presets, demo)
FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in, after ``audio-engine demo --json > report.json``."""
    folder = tmp_path_factory.mktemp("demo")
    before, home = Path.cwd(), os.environ.get("XDG_CONFIG_HOME")
    os.chdir(folder)
    os.environ["XDG_CONFIG_HOME"] = str(folder / "config")  # an example saves a preset
    result = CliRunner().invoke(cli.app, ["demo", "--json"])
    assert result.exit_code == 0, result.output
    (folder / "report.json").write_text(result.stdout)
    yield folder
    os.chdir(before)
    del os.environ["XDG_CONFIG_HOME"]
    if home is not None:
        os.environ["XDG_CONFIG_HOME"] = home


@pytest.fixture(scope="module")
def scene() -> Scene:
    return build_scene()


def test_the_demo_writes_what_it_says(folder: Path) -> None:
    names = {path.name for path in (folder / "demo-output").iterdir()}
    sounds = {"mic.wav", "far.wav", "clean_near.wav", "out.wav"}
    assert names == sounds | {"report.html", "report.json"}
    lengths = {soundfile.info(folder / "demo-output" / name).frames for name in sounds}
    assert len(lengths) == 1


def test_the_chain_repairs_the_scene(folder: Path) -> None:
    """Floors, well below what is reached; the benchmarks hold the figures themselves."""
    found = json.loads((folder / "report.json").read_text())
    assert found["erle_db"] > 20
    assert found["echo_to_voice_before_db"] > 3
    assert found["echo_to_voice_after_db"] < -8
    assert found["noise_reduction_db"] > 12
    jump_before = found["loud_before_lufs"] - found["quiet_before_lufs"]
    jump_after = found["loud_after_lufs"] - found["quiet_after_lufs"]
    assert 10 < jump_before < 14
    assert abs(jump_after) < 4
    assert -21 < found["loudness_after_lufs"] < -15
    assert found["true_peak_after_dbtp"] <= -0.9
    assert 0 < found["latency_ms"] < 50
    assert found["times_real_time"] > 1


def test_the_table_and_the_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = demo.DemoReport(**json.loads((folder / "report.json").read_text()))
    demo.tell(report, Talk())
    said = capsys.readouterr()
    for word in ("echo", "noise", "true peak", "latency", "real time"):
        assert word in said.out
    for word in ("Echo canceller", "Noise suppressor", "Leveller", "Limiter"):
        assert word in said.err


def on_any_machine(example: list[str]) -> list[str]:
    """Return an example; for what waits for a sound card or a face, its help.

    The help comes only if the options are known.
    """
    if "--simulate" in example:
        return [*example, "--seconds", "0.5"]
    needs = {"check": not any("mic.wav" in each for each in example)}
    needs |= dict.fromkeys(("monitor", "devices", "sync"), True)
    return [*example, "--help"] if needs.get(example[0], False) else example


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_work_as_typed(folder: Path, module: object) -> None:
    """Of the demo's own examples all but the first run: that one the fixture has run."""
    lines = [line.strip() for line in str(module.EPILOG).splitlines()]  # type: ignore[attr-defined]
    examples = [line.split()[1:] for line in lines if line.startswith("audio-engine ")]
    examples = examples[1:] if module in (cli, demo) else examples
    for example in examples:
        result = CliRunner().invoke(cli.app, on_any_machine(example))
        assert result.exit_code == 0, (example, result.output)


def test_every_command_has_its_examples_tested() -> None:
    names = {str(command.callback.__module__) for command in cli.app.registered_commands}
    assert names == {module.__name__ for module in MODULES[1:]}


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo-output").write_text("mine")
    result = CliRunner().invoke(cli.app, ["demo", str(tmp_path / "demo-output")])
    assert result.exit_code == 2
    assert result.stderr == f"error: {tmp_path / 'demo-output'}: this is a file; name a folder\n"


def test_the_scene_is_the_sum_of_its_parts(scene: Scene) -> None:
    assert build_scene().mic.tobytes() == scene.mic.tobytes()
    assert np.abs(scene.mic).max() < 1.0
    np.testing.assert_allclose(
        scene.cut(scene.mic, "guest settled"),
        scene.cut(scene.echo + scene.noise, "guest settled"),
        atol=1e-3,  # the reverberation of the near end and nothing else
    )
    quiet, loud = (
        np.sqrt(np.mean(scene.cut(scene.clean_near, part) ** 2))
        for part in ("host quiet", "host loud")
    )
    assert 20 * np.log10(loud / quiet) == pytest.approx(12.0, abs=0.1)
    assert not scene.cut(scene.far, "host quiet").any()


def test_the_far_end_leads_to_the_echo_after_60_ms(scene: Scene) -> None:
    far, echo = scene.cut(scene.far, "guest alone"), scene.cut(scene.echo, "guest alone")
    size = 1 << (2 * len(far)).bit_length()
    cross = np.fft.irfft(np.fft.rfft(echo, size) * np.conj(np.fft.rfft(far, size)), size)
    delay_ms = 1000 * int(np.argmax(np.abs(cross))) / SAMPLE_RATE_HZ
    assert 60 < delay_ms < 65  # 60 ms of buffers and a metre of air


def test_the_voices_are_small() -> None:
    sizes = [path.stat().st_size for path in VOICES.glob("*.flac")]
    assert len(sizes) == 2
    assert sum(sizes) < 400_000


def test_the_voices_are_what_the_script_makes() -> None:
    version = (
        shutil.which("espeak-ng")
        and subprocess.run(
            ["espeak-ng", "--version"], capture_output=True, text=True, check=True
        ).stdout
    )
    if not version or "1.51" not in version:
        pytest.skip("espeak-ng 1.51, which made the voices, is not installed")
    done = subprocess.run(
        [sys.executable, FIXTURES / "make_fixtures.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["host.flac:", "same", "guest.flac:", "same"], done.stderr

"""Presets: a reason for each value, a golden scene for each, and those of the user's own."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import audio_engine as ae
from audio_engine.cli.main import app
from audio_engine.errors import ConfigError
from audio_engine.preset_files import preset_names, preset_text, preset_values
from benchmarks import preset_scenes
from benchmarks.golden_scenes import SCENES, Material, Scene
from benchmarks.preset_scenes import BARS, JUDGES, Bar, behind, outputs

SEED = 1  # of the scenes; benchmarks/preset_scenes.py runs more
_VALUE = re.compile(r"^(\w+)\s*=\s*[^#]+(?:#\s*(\S.*))?$")


@pytest.mark.parametrize("name", preset_names())
def test_every_value_has_a_reason(name: str) -> None:
    head, _, sections = preset_text(name).partition("\n[")
    assert head.startswith('description = "')
    given = [match for line in sections.splitlines() if (match := _VALUE.match(line))]
    assert len(given) == sum(map(len, (v for v in preset_values(name).values() if v is not str(v))))
    for match in given:
        assert match[2], f"{name}: {match[1]} has no reason"


# --- golden scenes --------------------------------------------------------------------------------


@cache
def scene(name: str) -> Scene:
    return SCENES[name](Material(), SEED)


def figures(name: str, preset: str) -> dict[str, float]:
    return JUDGES[name](scene(name), outputs(scene(name), ae.EngineConfig.preset(preset)))


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_meets_the_bars_of_its_own_scene(name: str) -> None:
    found = figures(name, name)
    missed = [
        f"{judged}: {found[judged]:.2f}, wanted {bar}"
        for judged, bar in BARS[name].items()
        if bar.missed_by(found[judged])
    ]
    assert not missed


@pytest.mark.parametrize(
    ("name", "preset", "judged"),
    [
        ("music-asmr", "solo-host", "music SI-SDR"),
        ("product-demo", "solo-host", "knocks moved"),
    ],
)
def test_the_wrong_preset_misses_them(name: str, preset: str, judged: str) -> None:
    found = figures(name, preset)
    assert BARS[name][judged].missed_by(found[judged]) > 0.0
    assert behind(name, found) > 1.0


def test_a_bar_knows_its_side() -> None:
    assert Bar(3.0, "dB", 2.0).missed_by(3.0) == 0.0
    assert Bar(3.0, "dB", 2.0).missed_by(-1.0) == 2.0
    assert Bar(1.0, "LU", 1.0, at_most=True).missed_by(0.5) == 0.0
    assert Bar(1.0, "LU", 1.0, at_most=True).missed_by(float("nan")) > 0.0
    record = next(preset_scenes.table({"many": [dict.fromkeys(BARS["many"], 40.0)]}))
    assert record["bar"].startswith(">= ")
    assert record["met"] == record["runs"] == 1


# --- presets of one's own -------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the user's folder of presets, empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    own = tmp_path / "audio-engine" / "presets"
    own.mkdir(parents=True)
    return own


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["presets", *arguments])


def test_a_preset_is_found_by_name_and_by_path(folder: Path, tmp_path: Path) -> None:
    (folder / "shop.toml").write_text('base = "cohost"\n[ns]\nattenuation_limit_db = 9\n')
    by_name = ae.EngineConfig.preset("shop", sample_rate_hz=16000)
    wanted = ae.EngineConfig.preset("cohost", sample_rate_hz=16000)
    assert by_name == wanted.with_settings({"ns.attenuation_limit_db": "9"})
    (tmp_path / "deeper.toml").write_text('base = "shop"\n[agc]\ntarget_lufs = -20\n')
    deeper = ae.EngineConfig.preset(tmp_path / "deeper.toml")
    assert deeper == ae.EngineConfig.preset(str(tmp_path / "deeper.toml"))
    assert (deeper.ns.attenuation_limit_db, deeper.agc.target_lufs) == (9.0, -20.0)
    assert preset_names(own=True) == ["shop"]
    assert "shop" not in ae.preset_names()


def test_a_built_in_is_never_shadowed(folder: Path) -> None:
    (folder / "pk.toml").write_text("[ns]\nattenuation_limit_db = 1\n")
    assert ae.EngineConfig.preset("pk").ns.attenuation_limit_db != 1.0
    assert preset_names(own=True) == []


def test_without_a_folder_there_are_the_built_in_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    assert preset_names(own=True) == []
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert preset_names(own=True) == []
    with pytest.raises(ConfigError, match="'karaoke' does not exist; there are: cohost"):
        ae.EngineConfig.preset("karaoke")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[ns]\nattenuation_limit_db = 75\n", r"attenuation_limit_db=75 is outside 0 \.\. 40 dB"),
        (b"[ns\n", r"not valid TOML.*line 1"),
        (b"[ns]\natenuation_limit_db = 7\n", "did you mean ns.attenuation_limit_db"),
        (b'base = "nobody"\n', "'nobody' does not exist"),
        (b"base = 3\n", "base=3 is not the name"),
        (b'base = "bad"\n', "a loop"),
        (b"ns = 3\n", "a table of fields is expected"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"#" * 2_000_000, "more than 1 MB"),
    ],
)
def test_a_bad_preset_says_where_and_why(folder: Path, text: bytes, words: str) -> None:
    (folder / "bad.toml").write_bytes(text)
    with pytest.raises(ConfigError, match=words) as caught:
        ae.EngineConfig.preset("bad")
    assert "bad.toml" in str(caught.value)
    shown = run("--show", "bad")
    assert shown.exit_code == 2
    assert len(shown.stderr.splitlines()) == 1
    assert "cannot be used" in run().stdout, "the list goes on"
    assert "bad.toml" in json.loads(run("--json").stdout)["bad"]["error"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        ae.EngineConfig.preset(tmp_path / "none.toml")


def test_a_saved_preset_gives_what_was_set_and_says_what_differs(folder: Path) -> None:
    name, settings = "shop", ["--set", "ns.attenuation_limit_db=12", "--set", "agc.enabled=false"]
    saved = run("--save", name, "--from", "product-demo", *settings, "--description", 'Mina\'s "A"')
    assert saved.exit_code == 0, saved.output
    wanted = {"ns.attenuation_limit_db": "12", "agc.enabled": "false"}
    base = ae.EngineConfig.preset("product-demo")
    assert ae.EngineConfig.preset(name) == base.with_settings(wanted)
    text = run("--show", name).stdout
    assert 'base = "product-demo"' in text
    assert re.search(r"^attenuation_limit_db = 12.0  # product-demo: 8.0; \w", text, re.MULTILINE)
    assert re.search(r"^# transients = false  # \w", text, re.MULTILINE)
    document = json.loads(run("--json").stdout)
    assert document[name]["description"] == 'Mina\'s "A"'
    assert document[name]["own"]
    assert not document["pk"]["own"]
    assert "own" in run().stdout

    again = run("--save", "shop2", "--from", name, "--set", "sample_rate_hz=44100")
    assert again.exit_code == 0
    second = ae.EngineConfig.preset("shop2")
    assert second == ae.EngineConfig.preset(name, sample_rate_hz=44100)
    assert 'base = "product-demo"' in run("--show", "shop2").stdout


def test_saving_is_careful(folder: Path) -> None:
    assert run("--save", "mine").exit_code == 0
    before = (folder / "mine.toml").read_bytes()
    there = run("--save", "mine", "--set", "ns.dereverb=0")
    assert there.exit_code == 2
    assert "--force" in there.stderr
    assert (folder / "mine.toml").read_bytes() == before
    assert run("--save", "mine", "--set", "ns.dereverb=0", "--force").exit_code == 0
    assert ae.EngineConfig.preset("mine").ns.dereverb == 0.0
    for wrong, words in (
        (["--save", "pk"], "built-in"),
        (["--save", "../x"], "no name for a preset"),
        (["--save", "a", "--from", "nobody"], "does not exist"),
        (["--save", "a", "--set", "ns.dereverb=7"], "outside 0 .. 1"),
        (["--save", "a", "--set", "ns.dereverb"], "NAME=VALUE"),
        (["--set", "ns.dereverb=1"], "no use without --save"),
        (["--save", "a", "--show", "pk"], "one at a time"),
    ):
        result = run(*wrong)
        assert result.exit_code == 2
        assert words in result.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["mine.toml"]


def test_process_takes_an_own_preset(folder: Path, tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "mic.wav", np.zeros(4800), 48000)
    (folder / "shop.toml").write_text('base = "cohost"\n')
    for preset in ("shop", str(folder / "shop.toml")):
        line = ["process", str(tmp_path / "mic.wav"), "-o", str(tmp_path / "out.wav")]
        result = CliRunner().invoke(app, [*line, "--preset", preset])
        assert result.exit_code == 0, result.output

"""Configuration: ranges, settings, presets and round trips."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audio_engine.config import (
    AgcConfig,
    EngineConfig,
    NoiseConfig,
    setting_names,
    setting_text,
)
from audio_engine.errors import ConfigError
from audio_engine.preset_files import preset_description, preset_names, preset_text

PRESETS = ["cohost", "many", "music-asmr", "outdoor", "pk", "product-demo", "solo-host"]


def test_the_presets_of_the_contract_exist() -> None:
    assert preset_names() == PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_preset_survives_toml_and_json(name: str) -> None:
    config = EngineConfig.preset(name, sample_rate_hz=16000)
    assert config.sample_rate_hz == 16000
    assert EngineConfig.from_toml(config.to_toml()) == config
    assert EngineConfig.from_json(config.to_json()) == config
    assert EngineConfig.from_dict(config.to_dict()) == config
    assert preset_description(name)
    assert "#" in preset_text(name), "a preset gives the reason of its values"


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("ns.attenuation_limit_db", "75", "ns.attenuation_limit_db=75 is outside 0 .. 40 dB"),
        ("ns.attenuation_limit_db", "nan", "not a number"),
        ("ns.attenuation_limit_db", "loud", "use a number"),
        ("ns.attenuation_db", "7", "did you mean ns.attenuation_limit_db?"),
        ("agc.enabled", "perhaps", "use true or false"),
        ("echo.tail_ms", "12.5", "use a whole number"),
        ("sample_rate_hz", "7000", "outside 8000 .. 96000 Hz"),
        ("colour", "red", "is not a setting"),
    ],
)
def test_wrong_setting_says_what_is_allowed(setting: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("?", r"\?").replace("..", r"\.\.")):
        EngineConfig().with_settings({setting: value})


def test_every_setting_can_be_set_to_its_default() -> None:
    config = EngineConfig()
    for name in setting_names():
        section, _, field = name.rpartition(".")
        value = getattr(getattr(config, section) if section else config, field)
        assert config.with_settings({name: setting_text(value)}) == config


@pytest.mark.parametrize(
    "values",
    [
        {"ns": {"dereverb": "x"}},
        {"ns": 3},
        {"loudness": 1},
        {"schema_version": 9},
        {"agc": {"enabled": 1}},
        {"channels": 9},
        {"channels": True},
    ],
)
def test_wrong_dict_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        EngineConfig.from_dict(values)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_broken_json_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        EngineConfig.from_json(text)


def test_broken_toml_and_unknown_preset_are_refused() -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        EngineConfig.from_toml("= 3")
    with pytest.raises(ConfigError, match="there are: cohost"):
        EngineConfig.preset("karaoke")


def test_whole_numbers_are_fine_for_real_fields() -> None:
    assert EngineConfig.from_dict({"agc": {"target_lufs": -20}}).agc.target_lufs == -20.0
    assert replace(NoiseConfig(), attenuation_limit_db=12).attenuation_limit_db == 12


def test_direct_construction_checks_ranges() -> None:
    with pytest.raises(ConfigError, match=r"target_lufs=-3 is outside -36 \.\. -9 LUFS"):
        AgcConfig(target_lufs=-3.0)

"""Configuration: one frozen dataclass per stage, with ranges, presets and TOML/JSON round trips.

Every field carries its unit in its name and its range in its metadata; the range is checked when an
instance is made, so a configuration that exists is valid. Presets are TOML files (`preset_files`):
data with the reason of each value, not code paths.
"""

from __future__ import annotations

import json
import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from audio_engine.errors import ConfigError
from audio_engine.preset_files import preset_path, preset_values

SCHEMA_VERSION = 1
MIN_RATE_HZ, MAX_RATE_HZ = 8000, 96000
METER_MAX_RATE_HZ = 192000  # what is only measured may be a studio's master
MAX_CHANNELS = 8
MAX_SYNC_DELAY_MS = 2000
FAR_CHANNELS_TEXT = "channels of the far end; two have an echo path each, more are mixed to two"


def _number(default: float, low: float, high: float, unit: str, text: str) -> Any:
    """Declare a numeric field with its range, unit and one-line meaning."""
    return field(default=default, metadata={"low": low, "high": high, "unit": unit, "text": text})


def _number_or_auto(low: float, high: float, unit: str, text: str) -> Any:
    """Declare a numeric field that is None, written ``auto``, where other fields choose it."""
    limits = {"low": low, "high": high, "unit": unit, "text": text, "auto": True}
    return field(default=None, metadata=limits)


def _choice(default: str, choices: tuple[str, ...], text: str) -> Any:
    return field(default=default, metadata={"choices": choices, "unit": "", "text": text})


def _switch(default: bool, text: str) -> Any:
    return field(default=default, metadata={"unit": "", "text": text})


class _Checked:
    """Range checks and value parsing shared by the configuration classes."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if value is None and "auto" in item.metadata:
                continue
            if "low" in item.metadata:
                _check_number(item.name, value, item.metadata, item.type)
            elif item.type == "bool" and not isinstance(value, bool):
                raise ConfigError(f"{item.name}={value!r} is not a switch; use true or false")
            elif value not in item.metadata.get("choices", (value,)):
                choices = ", ".join(item.metadata["choices"])
                raise ConfigError(f"{item.name}={value!r} is not known; use {choices}")


def _check_number(name: str, value: object, limits: Mapping[str, Any], kind: object) -> None:
    whole = kind == "int"
    fits = isinstance(value, int) or (isinstance(value, float) and not whole)
    if isinstance(value, bool) or not fits or not math.isfinite(value):  # type: ignore[arg-type]
        raise ConfigError(f"{name}={value!r} is not {'a whole' if whole else 'a'} number")
    if not limits["low"] <= value <= limits["high"]:
        allowed = f"{limits['low']:g} .. {limits['high']:g} {limits['unit']}".rstrip()
        raise ConfigError(f"{name}={value:g} is outside {allowed}")


def check_format(sample_rate_hz: int, *channel_counts: int, max_rate_hz: int = MAX_RATE_HZ) -> None:
    """Raise `ConfigError` unless the rate and every channel count can be processed.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.
    *channel_counts : int
        1 to 8 each.
    max_rate_hz : int
        Another upper limit of the rate.
    """
    if not MIN_RATE_HZ <= sample_rate_hz <= max_rate_hz:
        raise ConfigError(
            f"sample_rate_hz={sample_rate_hz} is outside {MIN_RATE_HZ} .. {max_rate_hz} Hz"
        )
    for channels in channel_counts:
        if not 1 <= channels <= MAX_CHANNELS:
            raise ConfigError(f"channels={channels} is outside 1 .. {MAX_CHANNELS}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HighPassConfig(_Checked):
    """High-pass at the door: takes away rumble, handling noise and DC."""

    enabled: bool = _switch(True, "run the high-pass filter")
    cutoff_hz: float = _number(80.0, 20.0, 300.0, "Hz", "frequency at which the level is -3 dB")


#: What can take the echo that the filter leaves.
RESIDUALS = ("classical", "net")


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoConfig(_Checked):
    """Echo canceller: removes the loudspeaker from the microphone when a far end is given."""

    enabled: bool = _switch(True, "cancel echo when a far end is present")
    tail_ms: int = _number(
        240, 40, 480, "ms", "length of the modelled echo path; half more in a ringing room"
    )
    max_delay_ms: int = _number(1000, 0, 1000, "ms", "longest loudspeaker-to-microphone delay")
    residual: str = _choice(
        RESIDUALS[1],
        RESIDUALS,
        "what takes the echo that the filter leaves: the echo stage alone, or half of it the noise "
        "suppressor's net, where that has one",
    )


#: What the noise suppressor can work with; a number elsewhere is the place in this row.
NOISE_MODELS = ("classical", "small", "large")
AUTO = "auto"  # how None is written where there is no None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseConfig(_Checked):
    """Noise suppressor: steady noise, hum, key strokes, late reverberation; with a net, all noise.

    The model is one of `NOISE_MODELS`: what is worked out by formulas alone, or that and a small
    or large net behind it.
    """

    enabled: bool = _switch(True, "suppress noise and late reverberation")
    model: str = _choice(
        NOISE_MODELS[0], NOISE_MODELS, "formulas alone, or a small or large net behind them"
    )
    attenuation_limit_db: float | None = _number_or_auto(
        0.0,
        40.0,
        "dB",
        "how far noise may be turned down; 0 leaves it alone; auto: 20, with a net 30; with a net "
        "30 to 40 stand for 30 to 60",
    )
    dereverb: float = _number(1.0, 0.0, 1.0, "", "strength of late-reverberation removal")
    transients: bool = _switch(True, "take key strokes, clicks and taps away")
    music_guard: bool = _switch(False, "where music plays, turn it down by 6 dB at most")
    link_channels: bool = _switch(
        True,
        "all channels share one gain per frequency, so the stereo picture stays; false: each "
        "channel is cleaned by itself, for microphones of different people on one interface",
    )

    @property
    def limit_db(self) -> float:
        """`attenuation_limit_db`, or what stands for None there."""
        if self.attenuation_limit_db is not None:
            return self.attenuation_limit_db
        return 20.0 if self.model == NOISE_MODELS[0] else 30.0

    @property
    def unaided_limit_db(self) -> float:
        """The same where the net rests because computing time is short."""
        return 20.0 if self.attenuation_limit_db is None else self.attenuation_limit_db


@dataclass(frozen=True, slots=True, kw_only=True)
class AgcConfig(_Checked):
    """Loudness leveller: brings speech to one loudness without pumping."""

    enabled: bool = _switch(True, "level the speech loudness")
    target_lufs: float = _number(-18.0, -36.0, -9.0, "LUFS", "loudness that speech is brought to")
    max_gain_db: float = _number(36.0, 0.0, 40.0, "dB", "most gain for a quiet talker")
    min_gain_db: float = _number(-26.0, -40.0, 0.0, "dB", "most attenuation for a loud talker")
    start_gain_db: float = _number(
        0.0,
        -26.0,
        36.0,
        "dB",
        "gain before the first word, from the talker's last session, within min_gain_db .. "
        "max_gain_db; 0: not known",
    )

    def __post_init__(self) -> None:
        _Checked.__post_init__(self)
        if not self.min_gain_db <= self.start_gain_db <= self.max_gain_db:
            raise ConfigError(
                f"start_gain_db={self.start_gain_db:g} is outside min_gain_db .. max_gain_db, "
                f"{self.min_gain_db:g} .. {self.max_gain_db:g} dB"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimiterConfig(_Checked):
    """Look-ahead true-peak limiter."""

    enabled: bool = _switch(True, "hold the true-peak ceiling")
    ceiling_dbtp: float = _number(-1.0, -20.0, 0.0, "dBTP", "true peak that is never exceeded")
    release_ms: float = _number(80.0, 10.0, 1000.0, "ms", "time constant of the gain's return")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterConfig(_Checked):
    """Loudness meter on the output (ITU-R BS.1770, EBU Tech 3341/3342)."""

    enabled: bool = _switch(True, "measure the output's loudness")
    true_peak: bool = _switch(True, "measure the output's true peak too")


@dataclass(frozen=True, slots=True, kw_only=True)
class LipSyncConfig(_Checked):
    """Lip-sync correction: delays the repaired signal, after all else, and changes that unheard.

    The delay is wanted, so it is no part of `latency_frames`, and nothing takes it off again: a
    file that is processed with it has its sound so much later, and loses as much at its end.
    """

    enabled: bool = _switch(False, "have the delay in the chain; its latency is 32 frames")
    delay_ms: float = _number(
        0.0,
        -MAX_SYNC_DELAY_MS,
        MAX_SYNC_DELAY_MS,
        "ms",
        "how much later the audio is made; below 0 the picture is to be delayed by so much, "
        "by whoever shows it",
    )
    max_delay_ms: int = _number(
        MAX_SYNC_DELAY_MS, 0, MAX_SYNC_DELAY_MS, "ms", "longest delay that there is memory for"
    )

    def __post_init__(self) -> None:
        _Checked.__post_init__(self)
        if self.delay_ms > self.max_delay_ms:
            raise ConfigError(
                f"delay_ms={self.delay_ms:g} is more than max_delay_ms={self.max_delay_ms}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig(_Checked):
    """The whole chain: rate, channels, and one section per stage.

    Examples
    --------
    >>> config = EngineConfig.preset("cohost", sample_rate_hz=16000)
    >>> config.sample_rate_hz, config.limiter.ceiling_dbtp
    (16000, -1.0)
    >>> config.with_settings({"ns.attenuation_limit_db": "12"}).ns.attenuation_limit_db
    12.0
    """

    sample_rate_hz: int = _number(48000, MIN_RATE_HZ, MAX_RATE_HZ, "Hz", "sample rate of all audio")
    channels: int = _number(1, 1, MAX_CHANNELS, "channels", "channels of the microphone signal")
    far_channels: int = _number(1, 1, MAX_CHANNELS, "channels", FAR_CHANNELS_TEXT)
    highpass: HighPassConfig = field(default_factory=HighPassConfig)
    echo: EchoConfig = field(default_factory=EchoConfig)
    ns: NoiseConfig = field(default_factory=NoiseConfig)
    agc: AgcConfig = field(default_factory=AgcConfig)
    limiter: LimiterConfig = field(default_factory=LimiterConfig)
    meter: MeterConfig = field(default_factory=MeterConfig)
    lip_sync: LipSyncConfig = field(default_factory=LipSyncConfig)

    @classmethod
    def preset(cls, preset: str | os.PathLike[str], **changes: Any) -> Self:
        """Return a preset, with top-level fields replaced by `changes`.

        Parameters
        ----------
        preset : str or path-like
            A built-in name (`preset_names`), which always means the same; else the name of a file
            in the user's folder (``~/.config/audio-engine/presets``), or the path of a TOML file:
            what ends with ``.toml`` or has a slash in it.
        **changes
            Fields of this class, for example ``sample_rate_hz=16000``.

        Raises
        ------
        ConfigError
            If there is no such preset, it cannot be read, or a value is outside its range.
        """
        try:
            config = cls.from_dict(preset_values(preset))
        except ConfigError as error:
            where = str(preset_path(preset))
            text = str(error)
            raise ConfigError(text if text.startswith(where) else f"{where}: {text}") from None
        return replace(config, **changes)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration that `to_dict` described; missing fields keep their defaults."""
        values = dict(values)
        version = values.pop("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise ConfigError(
                f"schema_version={version!r} is not known; this version reads {SCHEMA_VERSION}"
            )
        values.pop("description", None)
        config: Self = _build(cls, values, "")
        return config

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dictionaries, with the schema version."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"the configuration is not valid JSON: {error}") from None
        return cls.from_dict(_table(values, "the configuration"))

    def to_json(self) -> str:
        """Return the configuration as a JSON document."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Read what `to_toml` wrote, or a preset file."""
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"the configuration is not valid TOML: {error}") from None
        return cls.from_dict(values)

    def to_toml(self) -> str:
        """Return the configuration as a TOML document."""
        import tomli_w

        return tomli_w.dumps(_without_none(self.to_dict()))

    def with_settings(self, settings: Mapping[str, str]) -> Self:
        """Return a copy with dotted fields replaced by parsed text.

        Parameters
        ----------
        settings : mapping of str to str
            For example ``{"ns.attenuation_limit_db": "12", "agc.enabled": "false"}``.

        Raises
        ------
        ConfigError
            If a name is unknown, a value cannot be read, or it is outside its range.
        """
        changed = self
        for name, text in settings.items():
            changed = _with_setting(changed, name, text)
        return changed


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_none(each) if isinstance(each, dict) else AUTO if each is None else each
        for name, each in values.items()
    }


def _table(values: object, where: str) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} is {values!r}; a table of fields is expected")
    return values


def _build(cls: type[Any], values: Mapping[str, Any], prefix: str) -> Any:
    known = {item.name: item for item in fields(cls)}
    ready: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(_unknown(prefix + name, [prefix + other for other in known]))
        section = None if prefix else SECTIONS.get(name)
        if section is not None:
            ready[name] = _build(section, _table(value, name), f"{name}.")
        elif value == AUTO and "auto" in known[name].metadata:
            ready[name] = None
        else:
            ready[name] = float(value) if _whole_for_float(known[name].type, value) else value
    try:
        return cls(**ready)
    except ConfigError as error:
        raise ConfigError(f"{prefix}{error}") from None


def _whole_for_float(kind: object, value: object) -> bool:
    return str(kind).startswith("float") and isinstance(value, int) and not isinstance(value, bool)


def _unknown(name: str, known: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    return f"{name} is not a setting; {hint}"


def setting_names() -> list[str]:
    """Return every dotted name that `EngineConfig.with_settings` accepts."""
    names = []
    for item in fields(EngineConfig):
        section = SECTIONS.get(item.name)
        names += [f"{item.name}.{f.name}" for f in fields(section)] if section else [item.name]
    return names


def setting_text(value: object) -> str:
    """Return a setting's value as `EngineConfig.with_settings` reads it."""
    if value is None:
        return AUTO
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:g}"


def _with_setting(config: Any, name: str, text: str) -> Any:
    if name not in setting_names():
        raise ConfigError(_unknown(name, setting_names()))
    section_name, _, field_name = name.rpartition(".")
    target = getattr(config, section_name) if section_name else config
    kind = next(item.type for item in fields(target) if item.name == field_name)
    try:
        changed = replace(target, **{field_name: _parse(text, str(kind))})
    except ConfigError as error:
        raise ConfigError(f"{section_name}.{error}" if section_name else str(error)) from None
    except (ValueError, KeyError):
        wanted = _WANTED.get(str(kind), "a number")
        raise ConfigError(f"{name}={text!r} cannot be read; use {wanted}") from None
    return replace(config, **{section_name: changed}) if section_name else changed


_OPTIONAL = "float | None"
_WANTED = {"bool": "true or false", "int": "a whole number", _OPTIONAL: f"a number or {AUTO}"}


def _parse(text: str, kind: str) -> bool | int | float | str | None:
    if kind == "str":
        return text.strip()
    if kind == _OPTIONAL and text.strip().lower() == AUTO:
        return None
    if kind == "bool":
        return {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}[
            text.strip().lower()
        ]
    return int(text) if kind == "int" else float(text)


SECTIONS: dict[str, type[Any]] = {
    "highpass": HighPassConfig,
    "echo": EchoConfig,
    "ns": NoiseConfig,
    "agc": AgcConfig,
    "limiter": LimiterConfig,
    "meter": MeterConfig,
    "lip_sync": LipSyncConfig,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LipSyncCorrectorConfig(_Checked):
    """When a measured lip-sync offset is acted on, and how far."""

    dead_band_ms: float = _number(
        25.0, 5.0, 200.0, "ms", "a smaller error is left alone: no eye sees it"
    )
    turn_band_ms: float = _number(
        40.0, 5.0, 400.0, "ms", "the same for a change that takes back a part of the last one"
    )
    least_confidence: float = _number(
        0.9,
        0.0,
        1.0,
        "",
        "of an estimate that counts: estimates a second apart share most of a window",
    )
    agreeing: int = _number(3, 1, 20, "estimates", "in a row that must agree before a change")
    agreement_ms: float = _number(40.0, 1.0, 200.0, "ms", "how far they may lie apart")
    window_s: float = _number(
        20.0, 0.0, 120.0, "s", "signal that an estimate is made of, LipSyncEstimator's window_s"
    )
    least_drift_ms_per_s: float = _number(
        2.0, 0.1, 100.0, "ms/s", "a faster drift is followed all the time, a slower one in steps"
    )
    limit_ms: float = _number(
        MAX_SYNC_DELAY_MS, 0.0, MAX_SYNC_DELAY_MS, "ms", "most delay of audio or video"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomConfig(_Checked):
    """Room mixer: how loud voices, music and the whole mix are."""

    level_voices: bool = _switch(True, "level every voice; false: the voices come at target_lufs")
    target_lufs: float = _number(-18.0, -36.0, -9.0, "LUFS", "loudness of every voice and team")
    trim_programme: bool = _switch(False, "keep the whole mix at programme_lufs, slowly")
    programme_lufs: float = _number(-16.0, -36.0, -9.0, "LUFS", "where the mix is kept, +-3 dB")
    music_below_lu: float = _number(9.0, 0.0, 24.0, "LU", "how far music lies under the voices")
    duck_db: float = _number(4.0, 0.0, 24.0, "dB", "how far speech turns the music down")
    ceiling_dbtp: float = _number(-1.0, -20.0, 0.0, "dBTP", "true peak that no mix exceeds")


#: What a participant of a room can be.
ROLES = ("host", "guest", "music", "teamA", "teamB")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantConfig(_Checked):
    """One participant of a room."""

    role: str = "guest"
    trim_db: float = _number(0.0, -24.0, 12.0, "dB", "own gain in the mix, on top of all")
    start_gain_db: float = _number(
        0.0, -26.0, 36.0, "dB", "gain of the leveller before the first speech"
    )

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ConfigError(f"role={self.role!r} is not known; there are: {', '.join(ROLES)}")
        _Checked.__post_init__(self)

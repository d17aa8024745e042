"""Settings that may change while audio runs: from a name and a value to commands for the plan."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from audio_engine._native import LIVE_FIELDS
from audio_engine.config import EngineConfig
from audio_engine.errors import ConfigError
from audio_engine.processors.steps import suppressor_values

#: Values and options that may change while audio runs, with the C core's name for each.
LIVE_PARAMETERS = {
    "highpass.cutoff_hz": "CUTOFF_HZ",
    "ns.attenuation_limit_db": "ATTENUATION_LIMIT_DB",
    "ns.dereverb": "DEREVERB",
    "ns.transients": "TRANSIENTS",
    "ns.music_guard": "MUSIC_GUARD",
    "agc.target_lufs": "TARGET_LUFS",
    "limiter.ceiling_dbtp": "CEILING_DBTP",
    "lip_sync.delay_ms": "DELAY_MS",
}

#: Stages that may be switched off and on while audio runs (0 or 1).
LIVE_SWITCHES = ("highpass.enabled", "echo.enabled", "ns.enabled", "agc.enabled")


@dataclass(frozen=True, slots=True)
class LiveCommand:
    """One parameter of one stage, as `Plan.post` takes it."""

    stage: str
    parameter: str
    value: float


def change_live(
    config: EngineConfig, name: str, value: float, stages: Collection[str]
) -> tuple[EngineConfig, list[LiveCommand]]:
    """Return the configuration with a setting changed, and the commands that bring it about.

    Parameters
    ----------
    config : EngineConfig
        What runs now.
    name : str
        One of `LIVE_PARAMETERS` or `LIVE_SWITCHES`.
    value : float
        In the unit of the name; 0 or 1 for a switch or an option.
    stages : collection of str
        Names of the stages in the running graph. A stage that is in it, but switched off, takes
        changes too: they are heard when it is on again.

    Raises
    ------
    ConfigError
        If the setting cannot change live, its stage is not in the graph, or the value is out of
        range.

    Notes
    -----
    Noise and residual echo are removed by one suppressor, so switching ``ns`` off in a graph with
    an echo filter takes its noise and reverberation gain to nothing, and leaves echo to it.
    """
    stage = name.partition(".")[0]
    if name not in LIVE_PARAMETERS and name not in LIVE_SWITCHES:
        known = ", ".join([*LIVE_PARAMETERS, *LIVE_SWITCHES])
        raise ConfigError(f"{name} cannot change while audio runs; these can: {known}")
    if stage not in stages:
        raise ConfigError(f"{name} cannot change: {stage} is not enabled in this engine")
    changed = config.with_settings({name: _as_text(config, name, value)})
    if stage != "ns":
        return changed, [LiveCommand(stage, LIVE_PARAMETERS.get(name, "ACTIVE"), float(value))]
    before = suppressor_values(config.ns)
    commands = [
        LiveCommand("ns", LIVE_FIELDS["suppressor"][field], float(each))
        for field, each in suppressor_values(changed.ns).items()
        if name in ("ns.enabled", f"ns.{field}") or each != before[field]
    ]
    if name == "ns.enabled" and "echo" not in stages:
        commands.append(LiveCommand("ns", "ACTIVE", float(value)))
    return changed, commands


def _as_text(config: EngineConfig, name: str, value: float) -> str:
    stage, _, field = name.partition(".")
    if not isinstance(getattr(getattr(config, stage), field), bool):
        return repr(float(value))
    if value not in (0, 1):
        raise ConfigError(f"{name}={value!r} is not a switch; use 0 or 1")
    return "true" if value else "false"


def live_changes(old: EngineConfig, new: EngineConfig) -> dict[str, float] | None:
    """Return what `change_live` takes to lead from one configuration to another.

    Returns
    -------
    dict of str to float, or None
        Names and values; None where something differs that cannot change live.
    """
    changes: dict[str, float] = {}
    then, wanted = old.to_dict(), new.to_dict()
    for name in (*LIVE_PARAMETERS, *LIVE_SWITCHES):
        stage, _, field = name.partition(".")
        if wanted[stage][field] is not None and then[stage][field] != wanted[stage][field]:
            then[stage][field] = wanted[stage][field]
            changes[name] = float(wanted[stage][field])
    return changes if then == wanted else None

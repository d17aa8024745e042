"""``audio-engine process``: repair recordings, in place of a live stream."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audio_engine.cli.common import (
    DebugOption,
    JsonOption,
    QuietOption,
    Talk,
    VerboseOption,
    figure,
    print_json,
    print_table,
    run_each,
)
from audio_engine.cli.setting_options import PresetOption, SettingsOption
from audio_engine.config import EngineConfig
from audio_engine.errors import ConfigError

if TYPE_CHECKING:
    from audio_engine.io.offline import FileReport, Progress

DEFAULT_PRESET = "cohost"
EPILOG = """\b
Examples:
  audio-engine process demo-output/mic.wav -o clean.wav --set ns.dereverb=0.5
  audio-engine process demo-output/mic.wav --far demo-output/far.wav -o clean.wav
  audio-engine process demo-output/mic.wav demo-output/far.wav -o loud --loudness -16
\b
demo-output is what audio-engine demo writes.
"""


class Stage(StrEnum):
    """A stage that can run alone."""

    AEC = "aec"
    NS = "ns"
    AGC = "agc"
    LIMITER = "limiter"


SECTION_OF = {Stage.AEC: "echo", Stage.NS: "ns", Stage.AGC: "agc", Stage.LIMITER: "limiter"}


def process(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN", help="Recordings to repair.")],
    *,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="OUT|DIR", help="File, or folder for many inputs."),
    ],
    far: Annotated[
        Path | None,
        typer.Option(
            metavar="FAR", help="What the loudspeaker played, mono or stereo: the echo to remove."
        ),
    ] = None,
    echo_state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Start from the echo path kept here, and keep it here."),
    ] = None,
    preset: PresetOption = DEFAULT_PRESET,
    settings: SettingsOption = None,
    only: Annotated[Stage | None, typer.Option(help="Run this stage alone.")] = None,
    loudness: Annotated[
        float | None,
        typer.Option(
            metavar="LUFS",
            help="Bring the whole file to this integrated loudness, -36 to -9, in a second pass.",
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    debug: DebugOption = False,
) -> None:
    """Repair recordings: echo, noise, loudness, true peak.

    Length, sample rate and channels stay as they are; the engine's latency is taken off. An output
    appears when it is complete, and an input is never overwritten.

    --loudness is for the target of a platform: what the chain made gets one gain that brings it to
    this loudness, and the limiter works behind that gain only. --only limiter --loudness -16 does
    nothing else. It needs room for the file as 32-bit float on the output's disk.
    """
    talk = Talk(quiet=quiet, verbose=verbose, debug=debug)
    with talk.errors():
        config = make_config(preset, settings or [], only, far)
        if loudness is not None:
            from audio_engine.io.normalise import check_loudness_target

            check_loudness_target(loudness)
        if echo_state is not None and far is None:
            raise ConfigError("--echo-state has no use without --far; leave it out")
        targets = output_paths(inputs, output)
        talk.detail(f"preset {preset}: {config!r}")
        target_of = dict(zip(inputs, targets, strict=True))
        reports, failures, code = run_each(
            talk,
            inputs,
            lambda path, bar: _process_one(
                talk,
                path,
                target_of[path],
                far=far,
                echo_state=echo_state,
                config=config,
                loudness_lufs=loudness,
                progress=bar,
            ),
        )
        if as_json:
            files = [{"status": "done", **report.to_dict()} for report in reports]
            print_json({"files": files + failures})
        elif reports:
            print_reports(reports)
        if code:
            raise typer.Exit(code)


def _process_one(
    talk: Talk,
    source: Path,
    target: Path,
    *,
    far: Path | None,
    echo_state: Path | None,
    config: EngineConfig,
    loudness_lufs: float | None,
    progress: Progress,
) -> FileReport:
    from audio_engine.io.offline import process_file

    report = process_file(
        source,
        target,
        config=config,
        far_end=far,
        echo_state=echo_state,
        loudness_lufs=loudness_lufs,
        progress=progress,
    )
    for text in report.warnings:
        talk.warn(text)
    if report.clipped_output_count:
        talk.warn(f"{target}: {report.clipped_output_count} samples were cut at full scale")
    talk.detail(
        f"{target}: {report.frames} frames at {report.sample_rate_hz} Hz, {report.channels} "
        f"channels, latency of {report.latency_frames} frames taken off"
    )
    return report


def make_config(
    preset: str, settings: list[str], only: Stage | None, far: Path | None
) -> EngineConfig:
    """Return the configuration that the options ask for.

    Raises
    ------
    ConfigError
        If an option is wrong, or the stages and the far end do not fit together.
    """
    pairs = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text}: write NAME=VALUE, as in ns.attenuation_limit_db=12")
        pairs[name.strip()] = value.strip()
    config = EngineConfig.preset(preset).with_settings(pairs)
    if only is not None:
        config = only_stage(config, only)
    if only is Stage.AEC and far is None:
        raise ConfigError("--only aec needs --far FAR: the sound that the loudspeaker played")
    if far is not None and not config.echo.enabled:
        why = f"--only {only.value}" if only else "echo.enabled=false"
        raise ConfigError(f"--far has no use with {why}; leave one of them out")
    return config


def only_stage(config: EngineConfig, only: Stage) -> EngineConfig:
    """Return the configuration with every stage but one disabled."""
    sections = ("highpass", "echo", "ns", "agc", "limiter")
    switched = {
        name: replace(getattr(config, name), enabled=name == SECTION_OF[only]) for name in sections
    }
    return replace(config, **switched)


def output_paths(inputs: list[Path], target: str) -> list[Path]:
    """Return where each input's result goes; a folder is made where one is needed.

    A target is a folder if there is one of that name, if it ends with a slash, or if there are
    many inputs.

    Raises
    ------
    ConfigError
        If many inputs are to go into one file, or two into the same one.
    """
    output = Path(target)
    if len(inputs) == 1 and not output.is_dir() and not target.endswith(os.sep):
        return [output]
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output}: this is a file; a folder is needed for {len(inputs)} inputs")
    doubled = [name for name, count in Counter(path.name for path in inputs).items() if count > 1]
    if doubled:
        raise ConfigError(f"two inputs are named {doubled[0]}; process them into different folders")
    output.mkdir(parents=True, exist_ok=True)
    return [output / path.name for path in inputs]


def print_reports(reports: list[FileReport]) -> None:
    """Print what was done to each file, one line per file."""
    columns = ["output", "s", "LUFS in", "out"]
    columns += ["dBTP in", "out", "echo dB", "noise dB", "speed"]
    two_passes = any(report.loudness_target_lufs is not None for report in reports)
    if two_passes:
        columns[4:4] = ["target", "gain dB"]
    rows = []
    for report in reports:
        row = [
            report.output,
            figure(report.duration_s),
            figure(report.loudness_before.integrated_lufs),
            figure(report.loudness_after.integrated_lufs),
            figure(report.loudness_before.true_peak_dbtp),
            figure(report.loudness_after.true_peak_dbtp),
            figure(_negative(report.erle_db)),
            figure(_negative(report.noise_reduction_db)),
            f"{figure(report.times_real_time, decimals=0)}x",
        ]
        if two_passes:
            row[4:4] = [figure(report.loudness_target_lufs), figure(report.loudness_gain_db)]
        rows.append(row)
    print_table(columns, rows)


def _negative(reduction_db: float | None) -> float | None:
    return None if reduction_db is None else -reduction_db

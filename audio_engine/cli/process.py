"""``audio-engine process``: repair recordings, in place of a live stream."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audio_engine.cli.batch_view import BatchView, print_outcomes, print_plan, tell_left_out
from audio_engine.cli.common import (
    DebugOption,
    JsonOption,
    LanguageOption,
    QuietOption,
    Talk,
    VerboseOption,
)
from audio_engine.cli.setting_options import (
    ModelOption,
    PresetOption,
    SettingsOption,
    model_setting,
    setting_pairs,
)
from audio_engine.config import EngineConfig
from audio_engine.errors import ConfigError, InputFileError
from audio_engine.processors.steps import with_usable_models
from audio_engine.wording import default_language

if TYPE_CHECKING:
    from audio_engine.batch.plan import Plan
    from audio_engine.batch.run import Executor

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


class ClusterFiles(StrEnum):
    """How files come to the workers of a cluster."""

    AUTO = "auto"
    SHARED = "shared"
    SEND = "send"


def process(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="IN", help="Recordings to repair: files, folders, quoted patterns."),
    ],
    *,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="OUT|DIR", help="File, or folder for many inputs."),
    ],
    suffix: Annotated[
        str, typer.Option(metavar="TEXT", help="Put behind the name of each output in DIR.")
    ] = "",
    far: Annotated[
        str | None,
        typer.Option(
            metavar="FAR",
            help="What the loudspeaker played, mono or stereo: the echo to remove. A file, or a "
            "pattern such as '{stem}_far.wav' beside each input.",
        ),
    ] = None,
    echo_state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Start from the echo path kept here, and keep it here."),
    ] = None,
    preset: PresetOption = DEFAULT_PRESET,
    model: ModelOption = None,
    settings: SettingsOption = None,
    only: Annotated[Stage | None, typer.Option(help="Run this stage alone.")] = None,
    loudness: Annotated[
        float | None,
        typer.Option(
            metavar="LUFS",
            help="Bring the whole file to this integrated loudness, -36 to -9, in a second pass.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Files at a time; all cores where not given."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip what an earlier run into DIR has finished.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="dask://HOST:PORT", help="Use the workers of this Dask scheduler."),
    ] = None,
    cluster_files: Annotated[
        ClusterFiles, typer.Option(help="How the workers get the files.")
    ] = ClusterFiles.AUTO,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|DIR", help="Write an HTML report; a folder of them for many inputs."
        ),
    ] = None,
    language: LanguageOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    debug: DebugOption = False,
) -> None:
    """Repair recordings: echo, noise, loudness, true peak.

    Length, sample rate and channels stay as they are; the engine's latency is taken off. An output
    appears when it is complete, and an input is never overwritten. - is standard input or output.

    Many inputs are noted in a manifest in DIR as they are finished, and --resume goes on after
    whatever stopped a run: what is finished, and still is what it was, is skipped.

    --loudness is for the target of a platform: what the chain made gets one gain that brings it to
    this loudness, and the limiter works behind that gain only. --only limiter --loudness -16 does
    nothing else. It needs room for the file as 32-bit float on the output's disk.
    """
    talk = Talk(quiet=quiet, verbose=verbose, debug=debug)
    with talk.errors():
        config = make_config(preset, model_setting(model) + (settings or []), only, far)
        if loudness is not None:
            from audio_engine.io.normalise import check_loudness_target

            check_loudness_target(loudness)
        if echo_state is not None and far is None:
            raise ConfigError("--echo-state has no use without --far; leave it out")
        if language is not None and report is None:
            raise ConfigError("--lang is the language of the report; add --report FILE")
        from audio_engine.batch.job import Job
        from audio_engine.batch.plan import make_plan

        job = Job(
            source="",
            target="",
            config=config,
            preset=preset,
            loudness_lufs=loudness,
            echo_state=None if echo_state is None else str(echo_state),
            language=language or default_language(),
        )
        plan = make_plan(inputs, output, job, suffix=suffix, far=far, report=report)
        ways = Ways(jobs=jobs, resume=resume, cluster=cluster, cluster_files=cluster_files.value)
        ways.check(plan, echo_state=echo_state is not None, as_json=as_json)
        talk.detail(f"preset {preset}: {config!r}")
        if dry_run:
            code = show_plan(talk, plan, resume=resume, as_json=as_json)
        else:
            code = do_plan(talk, plan, ways, language=job.language, as_json=as_json)
        if code:
            raise typer.Exit(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How a plan is to be carried out."""

    jobs: int | None
    resume: bool
    cluster: str | None
    cluster_files: str

    def check(self, plan: Plan, *, echo_state: bool, as_json: bool) -> None:
        """Raise `ConfigError` if a plan cannot be carried out in this way."""
        streams = {"-"} & {path for job in plan.jobs for path in (job.source, job.target)}
        if streams and (self.resume or self.cluster):
            option = "--resume" if self.resume else "--cluster"
            raise ConfigError(f"{option} has no use with a stream; leave it out")
        if as_json and any(job.target == "-" for job in plan.jobs):
            raise ConfigError("--json has no place: the sound goes to standard output")
        if echo_state and (self.resume or self.cluster or (self.jobs or 1) > 1):
            raise ConfigError(
                "--echo-state: each file starts from what the one before has learned, one at a "
                "time; leave out --jobs, --resume and --cluster"
            )
        if self.cluster is not None and self.jobs is not None:
            raise ConfigError("--jobs is for this machine; dask worker --nthreads is for a cluster")

    def executor(self, plan: Plan, *, noted: bool) -> Executor:
        """Return who does the work; `noted`: with a manifest."""
        if self.cluster is not None:
            from audio_engine.batch.cluster import DaskCluster

            return DaskCluster(self.cluster, self.cluster_files)
        if len(plan.jobs) == 1 or any(job.echo_state for job in plan.jobs):
            from audio_engine.batch.run import InThisProcess

            return InThisProcess(hashes=noted)
        from audio_engine.batch.local import LocalPool, usable_cores

        return LocalPool(self.jobs or usable_cores())


def do_plan(talk: Talk, plan: Plan, ways: Ways, *, language: str, as_json: bool) -> int:
    """Carry out a plan, print what was done, and return the exit code."""
    from audio_engine.batch.manifest import Manifest
    from audio_engine.batch.run import run_plan

    view = BatchView(talk, len(plan.jobs))
    noted = plan.folder is not None and (len(plan.jobs) > 1 or ways.resume)
    tell_left_out(talk, plan)
    for problem in plan.problems:
        view.failed(problem.error)
    try:
        with contextlib.ExitStack() as stack:
            executor = ways.executor(plan, noted=noted)
            stack.callback(executor.close)
            manifest = None
            if noted and plan.folder is not None:
                manifest = stack.enter_context(Manifest(plan.folder))
            stack.enter_context(view)
            outcomes = run_plan(plan, executor, view, manifest=manifest, resume=ways.resume)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(view.farewell() if noted else "") from None
    pages = [item.job.report for item in outcomes if item.done is not None and item.job.report]
    if plan.report_folder is not None:
        from audio_engine.batch.report_page import write_report_page

        pages = [str(write_report_page(plan.report_folder, outcomes, plan.problems, language))]
    for page in pages[:1]:
        talk.note(f"Look: {page} in a browser, with players and curves.")
    if not any(job.target == "-" for job in plan.jobs):
        print_outcomes(outcomes, plan.problems, view.seconds, as_json=as_json)
    return view.code(single=len(plan.jobs) + len(plan.problems) == 1)


def show_plan(talk: Talk, plan: Plan, *, resume: bool, as_json: bool) -> int:
    """Print what would be done, touching nothing, and return the exit code."""
    from audio_engine.batch.manifest import read_entries
    from audio_engine.batch.run import reasons_to_do

    view = BatchView(talk, len(plan.jobs))
    reasons: dict[str, str | None] = {job.target: "" for job in plan.jobs}
    if resume and plan.folder is not None:
        with view:
            reasons = reasons_to_do(plan, read_entries(plan.folder), view.checked)
    for problem in plan.problems:
        view.failed(problem.error)
    for job in plan.jobs:
        if job.source != "-" and not Path(job.source).exists():
            view.failed(InputFileError(f"{job.source}: No such file or directory"))
    print_plan(plan, reasons, as_json=as_json)
    return view.code(single=len(plan.jobs) + len(plan.problems) == 1)


def make_config(
    preset: str, settings: list[str], only: Stage | None, far: str | None
) -> EngineConfig:
    """Return the configuration that the options ask for, with a model that can be used.

    Raises
    ------
    ConfigError
        If an option is wrong, or the stages and the far end do not fit together.
    """
    config = EngineConfig.preset(preset).with_settings(setting_pairs(settings))
    if only is not None:
        config = only_stage(config, only)
    if only is Stage.AEC and far is None:
        raise ConfigError("--only aec needs --far FAR: the sound that the loudspeaker played")
    if far is not None and not config.echo.enabled:
        why = f"--only {only.value}" if only else "echo.enabled=false"
        raise ConfigError(f"--far has no use with {why}; leave one of them out")
    return with_usable_models(config)


def only_stage(config: EngineConfig, only: Stage) -> EngineConfig:
    """Return the configuration with every stage but one disabled."""
    sections = ("highpass", "echo", "ns", "agc", "limiter")
    switched = {
        name: replace(getattr(config, name), enabled=name == SECTION_OF[only]) for name in sections
    }
    return replace(config, **switched)

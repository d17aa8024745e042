"""What is to be done: inputs become jobs, each with its own output, far end and report.

Nothing is read or written here; what a plan refuses has not cost any work yet.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audio_engine.batch.far_ends import FarEnds
from audio_engine.batch.find import Found, Problem, find_inputs
from audio_engine.batch.job import Job
from audio_engine.batch.manifest import read_entries
from audio_engine.errors import ConfigError, InputFileError
from audio_engine.io.files import written_ending

STREAM = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done.

    Attributes
    ----------
    jobs : tuple of Job
        In the order of the inputs.
    problems : tuple of Problem
        Inputs that cannot be processed; the others are.
    left_out : dict of str to str
        Files that a folder or pattern holds but that are no inputs, and why.
    folder : Path or None
        Where the outputs lie, the manifest too; None for standard output.
    into_folder : bool
        The outputs have the names of the inputs, in a folder that is made where it is missing.
    is_single : bool
        One file was named, and nothing that could be more.
    report_folder : Path or None
        Where the reports of many files lie, if they are wanted.
    """

    jobs: tuple[Job, ...]
    problems: tuple[Problem, ...]
    left_out: dict[str, str]
    folder: Path | None
    into_folder: bool
    is_single: bool
    report_folder: Path | None = None


def make_plan(
    inputs: Sequence[str],
    output: str,
    model: Job,
    *,
    suffix: str = "",
    far: str | None = None,
    report: str | None = None,
) -> Plan:
    """Find the inputs and decide where everything goes.

    Parameters
    ----------
    inputs : sequence of str
        Files, folders, patterns; or ``-``, standard input, alone.
    output : str
        A file for a single input; a folder if there is one of that name, if it ends with a slash,
        or if there may be many inputs. ``-`` is standard output.
    model : Job
        What all jobs have in common; its paths are not used.
    suffix : str
        Put behind each output's name, before its ending.
    far : str, optional
        The far end: a file, or a pattern (`FarEnds`).
    report : str, optional
        The HTML report of a single input, or a folder for a report of each.

    Raises
    ------
    ConfigError
        If two outputs would be one file, an output would be an input, or the options contradict
        each other.
    """
    if STREAM in (*inputs, output):
        return _stream_plan(inputs, output, model, suffix=suffix, far=far, report=report)
    found, problems = find_inputs(inputs)
    is_single = len(inputs) == 1 and len(found) == 1 and found[0].named
    folder = _output_folder(output, single=is_single, suffix=suffix, count=len(found))
    far_ends = None if far is None else FarEnds(far)
    found, left_out = _without_far_ends(found, far_ends)
    if folder is not None:
        found, left_out_too = _without_outputs(found, folder, suffix)
        left_out |= left_out_too
    jobs = []
    for item in found:
        target = output if folder is None else os.path.join(folder, _with_suffix(item.name, suffix))
        job = replace(model, source=item.path, target=target)
        far_end = None if far_ends is None else far_ends.of(item.path)
        if far_ends is not None and far_end is not None and far_ends.is_pattern:
            if os.path.realpath(far_end) == os.path.realpath(item.path):
                raise ConfigError(f"--far {far}: {item.path} would be its own far end")
            if not os.path.isfile(far_end):
                text = f"{item.path}: its far end {far_end} is missing (--far {far})"
                problems.append(Problem(item.path, InputFileError(text)))
                continue
        jobs.append(replace(job, far_end=far_end))
    _refuse_twins(jobs)
    _refuse_inputs_as_outputs(jobs)
    return Plan(
        jobs=tuple(_with_reports(jobs, report, folder, single=is_single)),
        problems=tuple(problems),
        left_out=left_out,
        folder=Path(output).parent if folder is None else folder,
        into_folder=folder is not None,
        is_single=is_single,
        report_folder=None if report is None or is_single else Path(report),
    )


def _stream_plan(
    inputs: Sequence[str],
    output: str,
    model: Job,
    *,
    suffix: str,
    far: str | None,
    report: str | None,
) -> Plan:
    if len(inputs) != 1:
        raise ConfigError("- is one stream: it cannot be mixed with other inputs")
    if suffix:
        raise ConfigError("--suffix has no use with a stream; leave it out")
    if output != STREAM and (os.path.isdir(output) or output.endswith(os.sep)):
        raise ConfigError(f"-o {output}: a stream has no name; name the output file")
    if report is not None:
        raise ConfigError("--report needs files: a stream cannot be read again")
    far_ends = None if far is None else FarEnds(far)
    if far_ends is not None and far_ends.is_pattern and inputs[0] == STREAM:
        raise ConfigError(f"--far {far}: a stream has no name to fill in; name a file")
    job = replace(
        model,
        source=inputs[0],
        target=output,
        far_end=None if far_ends is None else far_ends.of(inputs[0]),
    )
    return Plan(
        jobs=(job,),
        problems=(),
        left_out={},
        folder=None if output == STREAM else Path(output).parent,
        into_folder=False,
        is_single=True,
    )


def _output_folder(output: str, *, single: bool, suffix: str, count: int) -> Path | None:
    """Return the folder that an output option means; None if it means a file."""
    path = Path(output)
    if path.exists() and not path.is_dir():
        if suffix:
            raise ConfigError(f"{path}: this is a file; --suffix goes with a folder")
        if not single:
            raise ConfigError(f"{path}: this is a file; a folder is needed for {count} inputs")
    if single and not suffix and not path.is_dir() and not output.endswith(os.sep):
        return None
    return path


def _without_far_ends(
    found: list[Found], far_ends: FarEnds | None
) -> tuple[list[Found], dict[str, str]]:
    if far_ends is None:
        return found, {}
    others = far_ends.among(found)
    left_out = {path: "a far end" for path in others}
    return [item for item in found if item.path not in others], left_out


def _without_outputs(
    found: list[Found], folder: Path, suffix: str
) -> tuple[list[Found], dict[str, str]]:
    """Leave out what a run like this one has made: a second run must not process it again.

    That is what lies in an output folder within an input folder, what a manifest says is the result
    of a file beside it, and what is called as the output of another input would be.
    """
    place = os.path.realpath(folder)
    made = _results(folder, {item.base for item in found if item.base is not None})
    own = {item.path: os.path.realpath(folder / _with_suffix(item.name, suffix)) for item in found}
    targets = set(own.values())
    kept, left_out = [], {}
    for item in found:
        real = os.path.realpath(item.path)
        if (item.named and len(found) == 1) or real == own[item.path]:
            kept.append(item)  # its own output: refused later
        elif real in made:
            left_out[item.path] = "an output of an earlier run"
        elif item.base is None:
            kept.append(item)
        elif _is_in(real, place) and not _is_in(os.path.realpath(item.base), place):
            left_out[item.path] = "in the output folder"
        elif real in targets:
            left_out[item.path] = "named like the output of another input"
        else:
            kept.append(item)
    return kept, left_out


def _results(folder: Path, searched: set[str]) -> set[str]:
    """Return the outputs of earlier runs: those in the output folder, and those beside inputs.

    A searched folder that holds nothing but results is one that is to be processed further.
    """
    made = set()
    for base in (str(folder), *searched):
        home = os.path.realpath(base)
        for name, entry in read_entries(base).items():
            of_here = base == str(folder) or _is_in(os.path.realpath(entry.input), home)
            if entry.status == "done" and of_here:
                made.add(os.path.realpath(os.path.join(base, name)))
    return made


def _is_in(path: str, folder: str) -> bool:
    """Whether a real path is a folder, or lies in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _with_suffix(name: str, suffix: str) -> str:
    stem, ending = os.path.splitext(name)
    return f"{stem}{suffix}{written_ending(ending)}"


def _refuse_twins(jobs: list[Job]) -> None:
    """Raise if two inputs would go to one output."""
    first: dict[str, str] = {}
    for job in jobs:
        other = first.setdefault(job.target, job.source)
        if other != job.source:
            raise ConfigError(
                f"two inputs would become {job.target}: {other} and {job.source}; process them "
                "into different folders"
            )


def _refuse_inputs_as_outputs(jobs: list[Job]) -> None:
    """Raise if an output would take the place of an input or far end."""
    if len(jobs) == 1 and not os.path.exists(jobs[0].target):
        return
    sources = {os.path.realpath(job.source) for job in jobs}
    sources |= {os.path.realpath(job.far_end) for job in jobs if job.far_end is not None}
    for job in jobs:
        if os.path.realpath(job.target) in sources:
            raise ConfigError(
                f"{job.target}: this is an input file, which is never overwritten; add --suffix "
                "_clean, or name another folder"
            )


def _with_reports(
    jobs: list[Job], report: str | None, folder: Path | None, *, single: bool
) -> list[Job]:
    """Give each job its report."""
    if report is None:
        return jobs
    is_file = report.lower().endswith((".html", ".htm"))
    if single:
        if not is_file:
            raise ConfigError(f"--report {report}: name a file that ends with .html")
        return [replace(job, report=report) for job in jobs]
    if is_file:
        raise ConfigError(f"--report {report}: there may be many inputs; name a folder")
    assert folder is not None
    return [
        replace(job, report=os.path.join(report, f"{os.path.relpath(job.target, folder)}.html"))
        for job in jobs
    ]

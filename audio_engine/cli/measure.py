"""``audio-engine measure``: loudness, peaks, noise, speech and music of files; two compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audio_engine.cli.common import (
    EXIT_FAILED,
    DebugOption,
    JsonOption,
    QuietOption,
    Talk,
    figure,
    print_json,
    print_table,
    progress_bar,
    run_each,
)
from audio_engine.errors import AudioEngineError, InputFileError, OutputFileError

if TYPE_CHECKING:
    from audio_engine.io.measurement import FileMeasurement, JointMeasurement
    from audio_engine.io.offline import Progress

EPILOG = """\b
Examples:
  audio-engine measure demo-output --csv loudness.csv
  audio-engine measure demo-output/out.wav --json --series --max-true-peak-dbtp -1
  audio-engine measure --compare demo-output/mic.wav demo-output/out.wav
\b
demo-output is what audio-engine demo writes. Exit code 1: a file misses
--target-lufs or --max-true-peak-dbtp; 3: a file cannot be read.
"""


def measure(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="IN", help="Files, and folders: every audio file in them."),
    ],
    *,
    compare: Annotated[
        bool, typer.Option("--compare", help="Say what changed from the first file to the second.")
    ] = False,
    as_json: JsonOption = False,
    series: Annotated[
        bool, typer.Option("--series", help="With --json: loudness ten times a second too.")
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write loudness ten times a second to a table."),
    ] = None,
    target_lufs: Annotated[
        float | None,
        typer.Option(metavar="LUFS", help="Integrated loudness that every file must have."),
    ] = None,
    tolerance_lu: Annotated[
        float,
        typer.Option(metavar="LU", min=0.0, help="How far it may be off that (EBU R 128: 0.5)."),
    ] = 0.5,
    max_true_peak_dbtp: Annotated[
        float | None, typer.Option(metavar="DBTP", help="True peak that no file may exceed.")
    ] = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure files: loudness, peaks, clipping, noise, speech.

    The columns: integrated loudness; its momentary (0.4 s) and short-term (3 s) maximum; loudness
    range; true peak; sample peak; samples at full scale; noise floor in dBFS; share of the time
    with speech. After ITU-R BS.1770 and EBU Tech 3341 and 3342. The last line of several files is
    that of all of them as one programme. --json has more: music, noise and silence with their
    times, the levels of speech and of pauses, bands.

    --compare A B tells B's delay and gain against A, how much of it is not A, and how the figures
    changed; the two may differ in length, rate and channels.
    """
    talk = Talk(quiet=quiet, debug=debug)
    if series and not as_json:
        raise typer.BadParameter("--series needs --json; --csv FILE writes a table")
    limits = _Limits(target_lufs, tolerance_lu, max_true_peak_dbtp)
    if compare:
        if series or csv is not None or target_lufs is not None or max_true_peak_dbtp is not None:
            raise typer.BadParameter("--compare goes with --json only; leave the others out")
        if len(inputs) != 2:
            raise typer.BadParameter(f"--compare takes two files, A and B; {len(inputs)} are given")
        _compare(talk, inputs[0], inputs[1], as_json)
        return
    with talk.errors():
        from audio_engine.io.files import check_target, find_audio
        from audio_engine.io.measurement import JointMeasurement, measure_file, write_series
        from audio_engine.processors.loudness import LoudnessMeter

        def work(path: Path, progress: Progress) -> FileMeasurement:
            """Measure one file, into the programme of all."""
            if path.is_dir():
                find_audio(path)  # says what is wrong with it
            return measure_file(
                path, series=series or csv is not None, progress=progress, joint=joint
            )

        files = _files(inputs)
        if csv is not None:
            check_target(csv, never=tuple(files))
            if not csv.parent.is_dir():
                raise OutputFileError(f"{csv} cannot be written: there is no folder {csv.parent}")
        with LoudnessMeter(exact=True) as joint:
            found, failures, code = run_each(talk, files, work)
            together = JointMeasurement.of(found, joint) if len(found) > 1 else None
        for text in (text for item in found for text in item.warnings):
            talk.warn(text)
        missed = {item.input: limits.missed(item) for item in found}
        for text in (f"{name}: {text}" for name, texts in missed.items() for text in texts):
            talk.error(AudioEngineError(text))
        if csv is not None and found:
            write_series(csv, found)
        if as_json:
            done = [_document(item, series, missed[item.input]) for item in found]
            whole = {"together": together.to_dict()} if together else {}
            print_json({"files": done + failures} | whole)
        elif found:
            _print(found, together)
        if code or any(missed.values()):
            raise typer.Exit(code or EXIT_FAILED)


def _compare(talk: Talk, a: Path, b: Path, as_json: bool) -> None:
    """Print what changed from one file to another."""
    with talk.errors():
        from audio_engine.io.comparison import FIGURES, SHARES, compare_files

        with progress_bar(talk, f"{a.name}, {b.name}") as progress:
            found = compare_files(a, b, progress=progress)
        for text in (*found.a.warnings, *found.b.warnings):
            talk.warn(text)
        if as_json:
            print_json(found.to_dict())
            return
        rows = []
        for name, unit, words, _ in FIGURES:
            values = (getattr(found.a, name), getattr(found.b, name), found.change[name])
            rows.append((f"{words}, {unit}", *map(figure, values)))
        for name in SHARES:
            values = (getattr(found.a, name), getattr(found.b, name), found.change[name])
            percent = (figure(100.0 * value, decimals=0) for value in values)
            rows.append((f"{name.removesuffix('_share')}, % of the time", *percent))
        counts = (found.a.clipped_count, found.b.clipped_count, found.change["clipped_count"])
        rows.append(("samples at full scale", *map(str, counts)))
        for band, change in found.change["bands_db"].items():
            levels = (found.a.bands_dbfs[band], found.b.bands_dbfs[band], change)
            rows.append((f"{band} Hz, dB", *map(figure, levels)))
        print_table(("", "A", "B", "change"), rows)
        print()
        for text in found.words():
            print(text)


def _files(inputs: Sequence[Path]) -> list[Path]:
    """Put the audio files of a folder in its place; one without any stays, and fails later."""
    from audio_engine.io.files import find_audio

    files: dict[Path, Path] = {}  # each once, by where it really is
    for path in inputs:
        try:
            found = find_audio(path) if path.is_dir() else [path]
        except InputFileError:
            found = [path]
        for each in found:
            files.setdefault(each.resolve(), each)
    return list(files.values())


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a file is checked against."""

    target_lufs: float | None
    tolerance_lu: float
    max_true_peak_dbtp: float | None

    def missed(self, found: FileMeasurement) -> list[str]:
        """Say what a file misses, in the figures' own precision."""
        texts = []
        if self.target_lufs is not None:
            wanted = f"{self.target_lufs:g} +-{self.tolerance_lu:g} LUFS is wanted"
            if not abs(round(found.integrated_lufs - self.target_lufs, 2)) <= self.tolerance_lu:
                loudness = figure(found.integrated_lufs, "LUFS", 2)
                texts.append(f"{loudness if loudness != '-' else 'no loudness'}; {wanted}")
        if self.max_true_peak_dbtp is not None:
            wanted = f"{self.max_true_peak_dbtp:g} dBTP at most is wanted"
            if round(found.true_peak_dbtp - self.max_true_peak_dbtp, 2) > 0.0:
                texts.append(f"{figure(found.true_peak_dbtp, 'dBTP', 2)}; {wanted}")
        return texts


def _document(found: FileMeasurement, series: bool, missed: list[str]) -> dict[str, Any]:
    document = {"status": "done", **found.to_dict(), "missed": missed}
    if not series:
        del document["series"]
    return document


def _print(found: Sequence[FileMeasurement], together: JointMeasurement | None) -> None:
    columns = (
        "file",
        "s",
        "LUFS",
        "max M",
        "max S",
        "LRA",
        "dBTP",
        "dBFS",
        "clips",
        "floor",
        "speech",
    )
    rows = [_row(item.input, item, item.noise_floor_dbfs) for item in found]
    if together is not None:
        rows.append(_row(f"all {together.files} files", together, None))
    print_table(columns, rows)


def _row(
    name: str, item: FileMeasurement | JointMeasurement, noise_floor_dbfs: float | None
) -> tuple[str, ...]:
    return (
        name,
        figure(item.duration_s),
        figure(item.integrated_lufs),
        figure(item.max_momentary_lufs),
        figure(item.max_short_term_lufs),
        figure(item.loudness_range_lu),
        figure(item.true_peak_dbtp),
        figure(item.sample_peak_dbfs),
        str(item.clipped_count),
        figure(noise_floor_dbfs),
        f"{figure(100.0 * item.speech_share, decimals=0)}%",
    )

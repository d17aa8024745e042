"""``audio-engine measure``: loudness, peaks, clipping and noise floor of files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audio_engine.cli.common import (
    DebugOption,
    JsonOption,
    QuietOption,
    Talk,
    figure,
    print_json,
    print_table,
    run_each,
)

if TYPE_CHECKING:
    from audio_engine.io.measurement import FileMeasurement

EPILOG = """\b
Examples:
  audio-engine measure demo-output/mic.wav
  audio-engine measure demo-output/mic.wav demo-output/out.wav --json
  audio-engine measure demo-output/out.wav --json --series
\b
demo-output is what audio-engine demo writes.
"""


def measure(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN", help="Files to measure.")],
    *,
    as_json: JsonOption = False,
    series: Annotated[
        bool, typer.Option("--series", help="With --json: loudness ten times a second too.")
    ] = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure files: loudness, peaks, clipping, noise, speech.

    The columns: integrated loudness; its momentary (0.4 s) and short-term (3 s) maximum; loudness
    range; true peak; sample peak; samples at full scale; noise floor in dBFS; share of the time
    with speech. After ITU-R BS.1770 and EBU Tech 3341 and 3342.
    """
    talk = Talk(quiet=quiet, debug=debug)
    if series and not as_json:
        raise typer.BadParameter("--series needs --json")
    with talk.errors():
        from audio_engine.io.measurement import measure_file

        found, failures, code = run_each(
            talk, inputs, lambda path, bar: measure_file(path, series=series, progress=bar)
        )
        for text in (text for item in found for text in item.warnings):
            talk.warn(text)
        if as_json:
            files = [{"status": "done", **_document(item, series)} for item in found]
            print_json({"files": files + failures})
        elif found:
            _print(found)
        if code:
            raise typer.Exit(code)


def _document(found: FileMeasurement, series: bool) -> dict[str, Any]:
    document = found.to_dict()
    if not series:
        del document["series"]
    return document


def _print(found: list[FileMeasurement]) -> None:
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
    rows = [
        (
            item.input,
            figure(item.duration_s),
            figure(item.integrated_lufs),
            figure(item.max_momentary_lufs),
            figure(item.max_short_term_lufs),
            figure(item.loudness_range_lu),
            figure(item.true_peak_dbtp),
            figure(item.sample_peak_dbfs),
            str(item.clipped_count),
            figure(item.noise_floor_dbfs),
            f"{figure(100.0 * item.speech_share, decimals=0)}%",
        )
        for item in found
    ]
    print_table(columns, rows)

"""``audio-engine mix``: a room from recordings, one per participant."""

from __future__ import annotations

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
    progress_bar,
)

if TYPE_CHECKING:
    from audio_engine.io.mixdown import MixReport

EPILOG = """\b
Examples:
  audio-engine mix demo-output/clean_near.wav demo-output/far.wav -o mix.wav
  audio-engine mix demo-output/out.wav demo-output/far.wav -o mix.wav --minus-dir minus
  audio-engine mix --role music demo-output/far.wav --role host demo-output/out.wav -o mix.wav
\b
demo-output is what audio-engine demo writes.
"""


class Role(StrEnum):
    """What a participant is."""

    HOST = "host"
    GUEST = "guest"
    MUSIC = "music"
    TEAM_A = "teamA"
    TEAM_B = "teamB"


def mix(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="IN", help="One recording per participant.")
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="MIX", help="Where the mix goes.")
    ],
    minus_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write NAME-minus.wav there: the mix without NAME."),
    ] = None,
    roles: Annotated[
        list[Role] | None,
        typer.Option(
            "--role",
            metavar="|".join(Role),
            help="The first --role is the first IN's, and so on; the rest are guests.",
        ),
    ] = None,
    rate_hz: Annotated[
        int | None,
        typer.Option("--rate", metavar="HZ", help="Sample rate; the highest of the inputs'."),
    ] = None,
    target_lufs: Annotated[
        float, typer.Option(metavar="LUFS", help="Loudness that every voice is brought to.")
    ] = -18.0,
    no_level: Annotated[
        bool, typer.Option("--no-level", help="The voices come at --target-lufs; leave them so.")
    ] = False,
    programme_lufs: Annotated[
        float | None,
        typer.Option(metavar="LUFS", help="While voices speak, keep the mix here, within 3 dB."),
    ] = None,
    music_below_lu: Annotated[
        float, typer.Option(metavar="LU", help="How far music lies under the voices.")
    ] = 9.0,
    duck_db: Annotated[
        float, typer.Option(metavar="DB", help="How far speech turns the music down.")
    ] = 4.0,
    ceiling_dbtp: Annotated[
        float, typer.Option(metavar="DBTP", help="True peak that nothing exceeds.")
    ] = -1.0,
    loudness: Annotated[
        float | None,
        typer.Option(
            metavar="LUFS",
            help="Bring the whole mix to this integrated loudness, -36 to -9, in a second pass.",
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    debug: DebugOption = False,
) -> None:
    """Mix a room: one recording per participant, which start together.

    Every voice is brought to one loudness, only who speaks is in the mix, music lies under the
    voices, two teams are equally loud. Without any --role the first is the host. Recordings may
    differ in rate and length: who ends earlier leaves. Outputs are as long as the longest; they
    appear when all are complete, and an input is never overwritten.

    The columns: integrated loudness of each input, gain at its end, share of its time in the mix;
    then loudness and true peak of the mix.
    """
    talk = Talk(quiet=quiet, verbose=verbose, debug=debug)
    with talk.errors():
        from audio_engine.io.mixdown import mix_files

        with progress_bar(talk, output.name) as progress:
            report = mix_files(
                inputs,
                output,
                roles=[role.value for role in roles or []],
                minus_dir=minus_dir,
                sample_rate_hz=rate_hz,
                target_lufs=target_lufs,
                level_voices=not no_level,
                programme_lufs=programme_lufs,
                music_below_lu=music_below_lu,
                duck_db=duck_db,
                ceiling_dbtp=ceiling_dbtp,
                loudness_lufs=loudness,
                progress=progress,
            )
        for text in report.warnings:
            talk.warn(text)
        talk.detail(
            f"{report.output}: {report.frames} frames at {report.sample_rate_hz} Hz, "
            f"{report.channels} channels, latency of {report.latency_frames} frames taken off"
        )
        if as_json:
            print_json(report.to_dict())
        else:
            print_report(report)


def print_report(report: MixReport) -> None:
    """Print what the participants brought, and what the mix is."""
    rows = [
        (
            each.input,
            each.role,
            figure(each.duration_s),
            figure(each.loudness_lufs),
            figure(each.gain_db),
            f"{figure(100.0 * each.open_share, decimals=0)}%",
        )
        for each in report.participants
    ]
    print_table(("input", "role", "s", "LUFS in", "gain dB", "open"), rows, text_columns=2)
    columns = ["mix", "s", "LUFS", "max S", "dBTP", "speed"]
    row = [
        report.output,
        figure(report.duration_s),
        figure(report.loudness.integrated_lufs),
        figure(report.loudness.max_short_term_lufs),
        figure(report.loudness.true_peak_dbtp),
        f"{figure(report.times_real_time, decimals=0)}x",
    ]
    if report.loudness_target_lufs is not None:
        columns[3:3] = ["target", "gain dB"]
        row[3:3] = [figure(report.loudness_target_lufs), figure(report.loudness_gain_db)]
    print()
    print_table(columns, [row])

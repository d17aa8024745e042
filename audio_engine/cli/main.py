"""The command ``audio-engine``: its sub-commands and ``--version``."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from audio_engine.cli import check, demo, devices, measure, mix, monitor, presets, process, sync

EPILOG = """\b
Examples:
  audio-engine demo
  audio-engine process demo-output/mic.wav --far demo-output/far.wav -o clean.wav
  audio-engine measure demo-output/mic.wav clean.wav

\b
Exit codes: 0 done, 1 failed, 2 usage, 3 unreadable input, 4 device,
130 interrupted.
"""

# Plain help: it reads the same in a pipe, and rich is loaded only where there is a table to draw.
app = typer.Typer(
    name="audio-engine",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=process.EPILOG)(process.process)
app.command(epilog=measure.EPILOG)(measure.measure)
app.command(epilog=check.EPILOG)(check.check)
app.command(epilog=mix.EPILOG)(mix.mix)
app.command(epilog=sync.EPILOG)(sync.sync)
app.command(epilog=monitor.EPILOG)(monitor.monitor)
app.command(epilog=devices.EPILOG)(devices.devices)
app.command(epilog=presets.EPILOG)(presets.presets)
app.command(epilog=demo.EPILOG)(demo.demo)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from audio_engine.io.versions import versions

    found = versions()
    print(f"audio-engine {found['audio-engine']}")
    print(f"kernels {found['kernels']}")
    print(found["portaudio"] or "PortAudio not found (needed for live audio only)")
    raise typer.Exit


@app.callback(epilog=EPILOG)
def audio_engine(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print versions."),
    ] = False,
) -> None:
    """Repair the sound of live rooms: echo, noise, loudness, true peak."""


def _terminated(number: int, _: object) -> None:
    raise SystemExit(128 + number)  # through the writers, so that no part of a file stays behind


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):  # a file name may hold any bytes
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _terminated)
    app(prog_name="audio-engine")

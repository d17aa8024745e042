"""``audio-engine devices``: which sound devices there are, and whether they hear each other."""

from __future__ import annotations

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
)
from audio_engine.errors import ConfigError

if TYPE_CHECKING:
    from audio_engine.io.live.devices import AudioDevice
    from audio_engine.io.live.round_trip import RoundTripStats

EPILOG = """\b
Examples:
  audio-engine devices
  audio-engine devices --test
  audio-engine devices --test --input-device USB --json
\b
The marked devices are what audio-engine monitor takes by default.
"""
SILENT_DBFS = -110.0  # no microphone that is open is as quiet


def devices(
    *,
    test: Annotated[
        bool,
        typer.Option("--test", help="Play a quiet sweep; does the microphone hear it?"),
    ] = False,
    input_device: Annotated[
        str | None, typer.Option(metavar="NAME|N", help="With --test: this microphone.")
    ] = None,
    output_device: Annotated[
        str | None, typer.Option(metavar="NAME|N", help="With --test: this loudspeaker.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """List the sound devices, with the defaults marked.

    --test takes four seconds; the exit code is 1 if the microphone did not hear the loudspeaker,
    which is as it should be with headphones.
    """
    talk = Talk(quiet=quiet, debug=debug)
    with talk.errors():
        from audio_engine.io.live.devices import find_device, list_devices_isolated

        if not test and (input_device, output_device) != (None, None):
            raise ConfigError("--input-device and --output-device need --test here")
        found = list_devices_isolated()
        document: dict[str, Any] = {"devices": [device.to_dict() for device in found]}
        heard = True
        if test:
            from audio_engine.io.live.round_trip import measure_round_trip

            capture = find_device(input_device, "input", found)
            render = find_device(output_device, "output", found)
            talk.note(f"playing two quiet sweeps on {render.name}, listening on {capture.name}")
            result = measure_round_trip(capture, render)
            document["test"] = result.to_dict()
            heard = result.heard
            if result.interrupted:
                talk.warn("the sound was interrupted meanwhile; test again")
        if as_json:
            print_json(document)
        elif test:
            print("\n".join(told(result)))
        else:
            _print(found)
        if not heard:
            raise typer.Exit(EXIT_FAILED)


def told(result: RoundTripStats) -> list[str]:
    """Return what a test found, in sentences."""
    if result.heard:
        quieter = result.played_dbfs - result.heard_dbfs
        sentences = [
            f"The microphone hears the loudspeaker after {figure(result.round_trip_ms, 'ms')}, at "
            f"{figure(result.heard_dbfs, 'dBFS')} ({figure(abs(quieter), 'dB')} "
            f"{'quieter' if quieter >= 0 else 'louder'} than it was played).",
            "Others would hear themselves: the echo canceller is needed, and takes this away.",
        ]
    elif result.noise_dbfs < SILENT_DBFS:
        sentences = [
            "The microphone gives nothing at all, not even noise: it is muted, switched off, or "
            "not allowed to be used."
        ]
    else:
        sentences = [
            "The microphone does not hear the loudspeaker. With headphones that is right; else "
            "turn the loudspeaker up and see that the right devices are chosen."
        ]
    sentences.append(f"Noise at the microphone: {figure(result.noise_dbfs, 'dBFS')}.")
    if not result.one_clock:
        sentences.append(
            "These are two cards with two clocks; the monitor measures their drift and removes it."
        )
    return sentences


def _print(found: list[AudioDevice]) -> None:
    columns = ("default", "device", "interface", "number", "in", "out", "kHz")
    print_table(
        columns,
        [
            (
                _default(device),
                device.name,
                device.host_api,
                str(device.index),
                str(device.input_channels or "-"),
                str(device.output_channels or "-"),
                f"{device.default_sample_rate_hz / 1000:g}",
            )
            for device in found
        ],
        text_columns=3,
    )


def _default(device: AudioDevice) -> str:
    words = [
        word
        for word, marked in (
            ("mic", device.is_default_input),
            ("speaker", device.is_default_output),
        )
        if marked
    ]
    return " ".join(words)

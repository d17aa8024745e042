"""``audio-engine check``: whether room and microphone are ready to go live, and which preset."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audio_engine.cli.common import (
    EXIT_FAILED,
    DebugOption,
    JsonOption,
    LanguageOption,
    QuietOption,
    Talk,
    VerboseOption,
    figure,
    print_json,
    print_table,
)
from audio_engine.cli.device_options import check_simulated, device_choice
from audio_engine.errors import ConfigError

if TYPE_CHECKING:
    from audio_engine.analysis.findings import Finding
    from audio_engine.analysis.room_check import RoomCheck
    from audio_engine.io.room_check import CheckedRoom
    from audio_engine.wording import Words

EPILOG = """\b
Examples:
  audio-engine check
  audio-engine check --play
  audio-engine check demo-output/mic.wav --played demo-output/far.wav
\b
demo-output is what audio-engine demo writes. Exit code 1: something is bad;
3: the recording cannot be read; 4: no device.
"""


def check(
    recording: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A recording of 5 to 10 s; without it: listen."),
    ] = None,
    *,
    played: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What the loudspeaker played while it was recorded."),
    ] = None,
    play: Annotated[
        bool,
        typer.Option("--play", help="Play a quiet sweep too: finds echo, its delay, and the room."),
    ] = False,
    input_device: Annotated[
        str | None, typer.Option(metavar="NAME|N", help="Microphone: number or part of its name.")
    ] = None,
    output_device: Annotated[
        str | None, typer.Option(metavar="NAME|N", help="Loudspeaker for --play, in the same way.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="N", min=3.0, max=60.0, help="How long to listen.")
    ] = 8.0,
    keep: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep what was listened to.")
    ] = None,
    simulate: Annotated[
        Path | None,
        typer.Option(metavar="MIC", help="No sound card: this file is the microphone."),
    ] = None,
    write_test_signal: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the sweep to a file to play elsewhere, and end."),
    ] = None,
    language: LanguageOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    debug: DebugOption = False,
) -> None:
    """Check room and microphone before going live.

    Listens for 8 s (first be quiet for 2 s, then talk), or judges a recording: is it the right
    microphone, too quiet, clipped; noise, hum, rumble, bandwidth, the room's echo, DC. With --play
    also whether the microphone hears the loudspeaker. Says what to do, and the preset to use.
    """
    talk = Talk(quiet=quiet, verbose=verbose, debug=debug)
    with talk.errors():
        from audio_engine.io.room_check import check_file
        from audio_engine.io.room_check import write_test_signal as write_signal
        from audio_engine.wording import Words, default_language

        words = Words("check", language or default_language())
        if write_test_signal is not None:
            length_s = write_signal(write_test_signal)
            talk.note(f"{write_test_signal}: {length_s:.1f} s")
            return
        listening: dict[str, object] = {
            "--play": play,
            "--keep": keep,
            "--simulate": simulate,
            "--input-device": input_device,
            "--output-device": output_device,
        }
        if recording is not None and any(listening.values()):
            given = next(name for name, value in listening.items() if value)
            raise ConfigError(f"{given} is for listening; leave it or {recording} out")
        if recording is None and played is not None:
            raise ConfigError("--played belongs to a recording; to play something now use --play")
        if recording is not None:
            found = check_file(recording, played)
        else:
            say = _say(talk, words)
            found = _listen(
                input_device,
                output_device,
                simulate,
                seconds=seconds,
                play=play,
                say=say,
                keep=keep,
            )
        for text in found.warnings:
            talk.warn(text)
        command = _next(found.check, recording, played)
        if as_json:
            print_json(_document(found, words, recording, command))
        else:
            _print(found.check, words, command, verbose=verbose)
        if found.check.worst == "bad":
            raise typer.Exit(EXIT_FAILED)


def _listen(
    input_device: str | None,
    output_device: str | None,
    simulate: Path | None,
    *,
    seconds: float,
    play: bool,
    say: Callable[[Any, float], None],
    keep: Path | None,
) -> CheckedRoom:
    from audio_engine.config import EngineConfig
    from audio_engine.io.files import check_target, open_reader
    from audio_engine.io.room_check import Stream, check_live

    check_simulated(simulate, input_device, output_device)
    if keep is not None:
        check_target(keep, never=() if simulate is None else (simulate,))

    def open_stream(config: EngineConfig, test: Path | None) -> Stream:
        """Open what the options ask for."""
        if simulate is not None:
            from audio_engine.io.live.simulated import SimulatedStream

            return SimulatedStream(config, simulate, test)
        from audio_engine.io.live.stream import LiveStream

        return LiveStream(
            config,
            input_device=capture.index,
            output_device=device_choice(output_device) if play else "none",
            far_end=test,
        )

    if simulate is not None:
        with open_reader(simulate) as reader:
            channels = reader.channels
    else:
        from audio_engine.io.live.devices import find_device, list_devices_isolated

        capture = find_device(device_choice(input_device), "input", list_devices_isolated())
        channels = capture.input_channels
    return check_live(
        open_stream, channels=min(2, channels), seconds=seconds, play=play, say=say, keep=keep
    )


def _say(talk: Talk, words: Words) -> Callable[[Any, float], None]:
    return lambda phase, seconds: talk.note(words(f"say.{phase}", seconds=seconds))


def _next(found: RoomCheck, recording: Path | None, played: Path | None) -> str:
    """Return the command to run next."""
    if recording is None:
        return f"audio-engine monitor --preset {found.preset}"
    far = [] if played is None else ["--far", str(played)]
    words = ["process", str(recording), *far, "--preset", found.preset, "-o", "clean.wav"]
    return shlex.join(["audio-engine", *words])


def _print(found: RoomCheck, words: Words, command: str, *, verbose: bool) -> None:
    from audio_engine.analysis.findings import SEVERITIES

    ordered = sorted(found.findings, key=lambda each: -SEVERITIES.index(each.severity))
    rows = [
        (
            words(f"name.{each.kind}"),
            value_text(each, found, words),
            words(f"verdict.{each.severity}"),
            advice_text(each, found, words),
            *([words(f"reason.{each.kind}")] if verbose else []),
        )
        for each in ordered
    ]
    columns = [words(f"column.{name}") for name in ("what", "value", "verdict", "todo")]
    print_table([*columns, *([""] if verbose else [])], rows, text_columns=5)
    print()
    print(summary(found, words))
    print(words("say.why", preset=found.preset, reason=words(f"preset.{found.reason}")))
    print(words("say.next", command=command))


def summary(found: RoomCheck, words: Words) -> str:
    """Return the check in one sentence."""
    comma = "、" if words.language == "zh" else ", "
    for severity, sentence in (("bad", "say.bad"), ("warn", "say.mend")):
        kinds = [each.kind for each in found.findings if each.severity == severity]
        if kinds:
            return words(sentence, names=comma.join(words(f"name.{kind}") for kind in kinds))
    return words("say.good")


def advice_text(each: Finding, found: RoomCheck, words: Words) -> str:
    """Return what was found and what to do about it."""
    edge_khz = found.bandwidth.edge_hz / 1000.0 if found.bandwidth is not None else 0.0
    return words(f"advice.{each.advice}", edge=edge_khz)


def value_text(each: Finding, found: RoomCheck, words: Words) -> str:
    """Return the figure of a finding, in words where that says more."""
    value = each.value
    if value is None or (each.kind == "clipping" and not value):
        return words("value.none")
    sentences: dict[str, tuple[str, dict[str, float]]] = {
        "signal.silent": ("silent", {}),
        "signal.muted": ("dba", {"level": value}),
        "signal.loopback": ("loopback", {"level": value}),
        "signal": ("speech", {"share": 100.0 * value}),
        "channels.dead": ("quieter", {"level": value}),
        "channels": ("correlation", {"value": value}),
        "clipping": ("samples", {"count": value}),
        "noise": ("over" if each.unit == "dB" else "dba", {"level": value}),
        "echo": ("echo" if value >= 0.0 else "louder", {"level": abs(value)}),
        "reverb": ("about", {"value": value}),
    }
    if found.hum is not None:
        sentences["hum"] = ("hum", {"base": found.hum.base_hz, "level": value})
    sentence = sentences.get(each.advice) or sentences.get(each.kind)
    if sentence is not None:
        return words(f"value.{sentence[0]}", **sentence[1])
    decimals = {"dc": 2, "delay": 0}.get(each.kind, 1)
    return figure(value, each.unit, decimals)


def _document(
    found: CheckedRoom, words: Words, recording: Path | None, command: str
) -> dict[str, Any]:
    document = found.check.to_dict()
    for line, each in zip(document["findings"], found.check.findings, strict=True):
        line["name"] = words(f"name.{each.kind}")
        line["verdict"] = words(f"verdict.{each.severity}")
        line["advice"] = advice_text(each, found.check, words)
        line["reason"] = words(f"reason.{each.kind}")
    return {
        "status": "done",
        "input": None if recording is None else str(recording),
        "worst": found.check.worst,
        "summary": summary(found.check, words),
        **document,
        "preset_reason": words(f"preset.{found.check.reason}"),
        "next": command,
        "warnings": list(found.warnings),
    }

"""``audio-engine monitor``: repair a live microphone, see what is done to it, record it."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audio_engine.cli.common import EXIT_FAILED, DebugOption, QuietOption, Talk, figure, finite
from audio_engine.cli.device_options import check_simulated, device_choice
from audio_engine.cli.process import DEFAULT_PRESET, make_config
from audio_engine.cli.setting_options import (
    ModelOption,
    PresetOption,
    SettingsOption,
    model_setting,
    setting_pairs,
)
from audio_engine.errors import OutputFileError

if TYPE_CHECKING:
    from audio_engine.cli.monitor_session import Choice, Session, Stream
    from audio_engine.io.live.stats import LiveEvent, LiveStats

PERIOD_S = 0.25  # of the JSON lines
EPILOG = """\b
Examples:
  audio-engine monitor
  audio-engine monitor --simulate demo-output/mic.wav --far demo-output/far.wav
  audio-engine monitor --input-device USB --seconds 60 --record take.wav --json
\b
demo-output is what audio-engine demo writes. On a terminal: a screen; ? lists its keys.
"""


def monitor(
    *,
    input_device: Annotated[
        str | None, typer.Option(metavar="NAME|N", help="Microphone: number or part of its name.")
    ] = None,
    output_device: Annotated[
        str | None,
        typer.Option(metavar="NAME|N", help="Loudspeaker, in the same way; none: no loudspeaker."),
    ] = None,
    far: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Play this, and take its echo off the microphone."),
    ] = None,
    hear: Annotated[
        bool, typer.Option("--monitor", help="Hear yourself (use headphones).")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Record the result; the raw signals go beside it."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="N", min=0.0, help="Stop after so long.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line; no screen.")
    ] = False,
    stats: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the statistics at the end, as JSON.")
    ] = None,
    simulate: Annotated[
        Path | None,
        typer.Option(
            metavar="MIC",
            help="No sound card: this file is the microphone, again and again with --seconds.",
        ),
    ] = None,
    echo_state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Start from the echo path that the last session with these devices left here.",
        ),
    ] = None,
    preset: PresetOption = DEFAULT_PRESET,
    model: ModelOption = None,
    settings: SettingsOption = None,
    latency_ms: Annotated[
        float,
        typer.Option(
            metavar="MS", min=1.0, max=1000.0, help="Buffer asked of the sound card; more is safer."
        ),
    ] = 30.0,
    block_frames: Annotated[
        int | None,
        typer.Option(metavar="N", min=16, max=8192, help="Block of the sound card; default 10 ms."),
    ] = None,
    in_process: Annotated[
        bool,
        typer.Option("--in-process", help="No own process for the sound card: no recovery."),
    ] = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Repair a live microphone and watch it.

    The microphone goes through echo canceller, noise suppressor, leveller and limiter, in a
    process of its own. A sound card that disappears is waited for. Ends with q, Ctrl-C or
    --seconds; recordings and statistics are complete in every case.
    """
    talk = Talk(quiet=quiet, debug=debug)
    with talk.errors():
        from audio_engine.cli.monitor_session import Choice, Session

        check_simulated(simulate, input_device, output_device)
        for path in (stats, echo_state):
            if path is not None and not path.absolute().parent.is_dir():
                raise OutputFileError(f"{path}: there is no such folder")
        asked = model_setting(model) + (settings or [])
        choice = Choice(
            config=make_config(preset, asked, None, None),
            preset=preset,
            settings=setting_pairs(asked),
            input_device=device_choice(input_device),
            output_device=device_choice(output_device),
            monitor=hear,
            can_choose_devices=simulate is None,
            ends_with_microphone=simulate is not None and seconds is None,
            echo_state=echo_state,
        )

        def open_stream(choice: Choice) -> Stream:
            """Open what the options ask for."""
            if simulate is not None:
                return _simulated(choice, simulate, far)
            return _live(choice, far, latency_ms / 1e3, block_frames, in_process)

        session = Session(open_stream, choice, record)
        tell = tell_json if as_json else Teller(talk)
        run: Runner = partial(run_without_screen, session, seconds, tell)
        if not as_json and _on_terminal():
            run = partial(_run_screen, session, seconds)
        code = run_session(session, run, stats)
        for event in session.events():
            tell(event)
        if not as_json and not quiet:
            print_summary(session)
        if code or session.recording_failed:
            raise typer.Exit(code or EXIT_FAILED)


Runner = Callable[["Stop"], int]


class Stop:
    """Signals as a wish to stop: Ctrl-C, SIGTERM, a closed terminal. The second one acts at once.

    `code` is the exit code that belongs to the signal, 0 as long as there was none.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.code = 0
        self._event = threading.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        for number in self.SIGNALS:
            self._before[number] = signal.signal(number, self._received)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _received(self, number: int, _: FrameType | None) -> None:
        self.code = 128 + number
        self._event.set()
        signal.signal(number, self._before[number])

    def wait(self, seconds: float) -> bool:
        """Wait so long, or shorter if a signal comes; say whether one came."""
        return self._event.wait(max(seconds, 0.0))


def run_session(session: Session, run: Runner, stats: Path | None) -> int:
    """Start a session, run it, and end it in order; return the exit code."""
    from audio_engine.cli.monitor_session import stats_document, write_json

    with Stop() as stop:
        try:
            session.start()
            return run(stop)
        finally:
            last = session.finish()
            if stats is not None and last is not None:
                write_json(stats, stats_document(last))


def run_without_screen(
    session: Session,
    seconds: float | None,
    tell: Callable[[LiveEvent | LiveStats], None],
    stop: Stop,
) -> int:
    """Tell events and statistics until the time is over, a signal comes or the stream ends."""
    began_s = time.monotonic()
    next_s = began_s
    while True:
        stats = session.stats()
        for event in session.events():
            tell(event)
        tell(stats)
        next_s += PERIOD_S
        now_s = time.monotonic()
        next_s = max(next_s, now_s)  # after a pause of the machine: no burst
        left_s = seconds - (now_s - began_s) if seconds is not None else PERIOD_S
        if left_s <= 0.0 or session.ended:
            return 0
        if stop.wait(min(next_s - now_s, left_s)):
            return stop.code


def tell_json(news: LiveEvent | LiveStats) -> None:
    """Print an event or statistics as one line of JSON, at once."""
    from audio_engine.cli.monitor_session import event_document, stats_document
    from audio_engine.io.live.stats import LiveEvent

    if isinstance(news, LiveEvent):
        document = {"type": "event", **event_document(news)}
    else:
        document = {"type": "stats", **stats_document(news)}
    print(json.dumps(finite(document), ensure_ascii=False), flush=True)


class Teller:
    """Says events in words on stderr; statistics only where the state changes."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._state = ""

    def __call__(self, news: LiveEvent | LiveStats) -> None:
        """Tell an event or statistics."""
        from audio_engine.io.live.stats import LiveEvent

        if isinstance(news, LiveEvent):
            word = "" if news.level == "info" else f"{news.level}: "
            self._talk.note(f"{news.time_s:8.2f} s  {word}{news.text}")
        elif news.state != self._state:
            self._state = news.state
            self._talk.note(
                f"{news.uptime_s:8.2f} s  {news.state}: {news.input_device} to {news.output_device}"
            )


def print_summary(session: Session) -> None:
    """Print how it went, in a few lines."""
    stats = session.last
    if stats is None:
        return
    load, block_us = stats.load, max(stats.load.block_us, 1.0)
    loudness = stats.engine.loudness
    rows = [
        ("time", f"{stats.uptime_s:.1f} s, {stats.state}, {stats.recoveries} recoveries"),
        ("xruns", str(stats.xruns.total)),
        (
            "load",
            f"p50 {load.p50_us / block_us:.0%}, p99 {load.p99_us / block_us:.0%}, "
            f"max {load.max_us / block_us:.0%} of {block_us / 1e3:g} ms",
        ),
        ("latency", f"{figure(stats.latency_ms, 'ms')}, engine {stats.engine_latency_ms:.1f} ms"),
    ]
    if stats.clock is not None:
        rows.append(("drift", f"{stats.clock.drift_ppm:+.1f} ppm"))
    if (echo := stats.engine.echo) is not None and stats.far_source != "-":
        found = f"ERLE {echo.erle_db:.0f} dB, delay {echo.delay_ms:.0f} ms"
        skew = f", drift {echo.drift_ppm:+.1f} ppm" if abs(echo.drift_ppm) >= 0.1 else ""
        rows.append(("echo", "none heard" if echo.no_echo_path else found + skew))
    if loudness is not None:
        rows.append(("loudness", figure(loudness.integrated_lufs, "LUFS")))
    rows += [("recorded", str(path)) for path in session.recordings]
    for name, value in rows:
        print(f"{name:10}{value}")


def _run_screen(session: Session, seconds: float | None, stop: Stop) -> int:
    from audio_engine.cli.monitor_screen import MonitorApp
    from audio_engine.io.live.devices import list_devices_isolated

    app = MonitorApp(session, seconds=seconds, stop=stop, list_devices=list_devices_isolated)
    return app.run(mouse=False) or 0


def _on_terminal() -> bool:
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(stream.isatty() for stream in streams) and os.environ.get("TERM") != "dumb"


def _live(
    choice: Choice, far: Path | None, latency_s: float, block_frames: int | None, in_process: bool
) -> Stream:
    from audio_engine.io.live.stream import LiveStream

    return LiveStream(
        choice.config,
        input_device=choice.input_device,
        output_device=choice.output_device,
        far_end=far,
        monitor=choice.monitor,
        block_frames=block_frames,
        latency_s=latency_s,
        in_process=in_process,
        echo_state=choice.echo_state,
    )


def _simulated(choice: Choice, mic: Path, far: Path | None) -> Stream:
    from audio_engine.io.live.simulated import SimulatedStream

    return SimulatedStream(
        choice.config,
        mic_path=mic,
        far_path=far,
        monitor=choice.monitor,
        loop=not choice.ends_with_microphone,
        echo_state=choice.echo_state,
    )

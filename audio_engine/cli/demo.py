"""``audio-engine demo``: a live room made from nothing, repaired, measured and told."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audio_engine.cli.common import (
    DebugOption,
    JsonOption,
    LanguageOption,
    QuietOption,
    Talk,
    figure,
    print_json,
    print_table,
    progress_bar,
)
from audio_engine.cli.process import DEFAULT_PRESET
from audio_engine.config import EngineConfig
from audio_engine.errors import ConfigError

if TYPE_CHECKING:
    from audio_engine.cli.demo_scene import Scene
    from audio_engine.processors.audio import AudioArray

EPILOG = """\b
Examples:
  audio-engine demo
  audio-engine demo demo-output --lang zh
  audio-engine measure demo-output/mic.wav demo-output/out.wav
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What the chain did to the scene, measured on its signals; in dB, LUFS and dBTP.

    Echo and noise are compared in front of the leveller, `echo_to_voice` at the very end: how loud
    what the guest leaves behind is beside the host's voice, while the one and the other speaks.
    """

    files: dict[str, str]
    preset: str
    duration_s: float
    echo_before_dbfs: float
    echo_after_dbfs: float
    erle_db: float
    echo_to_voice_before_db: float
    echo_to_voice_after_db: float
    noise_before_dbfs: float
    noise_after_dbfs: float
    noise_reduction_db: float
    quiet_before_lufs: float
    quiet_after_lufs: float
    loud_before_lufs: float
    loud_after_lufs: float
    loudness_before_lufs: float
    loudness_after_lufs: float
    true_peak_before_dbtp: float
    true_peak_after_dbtp: float
    latency_ms: float
    times_real_time: float


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the WAV files and the report go.")
    ] = Path("demo-output"),
    language: LanguageOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Make a noisy live room, repair it, say what was done.

    The whole chain runs on a scene with two voices, an echo, a fan and a jump of level. Written
    are mic.wav (what the microphone hears), far.wav (what the loudspeaker plays), clean_near.wav
    (the host alone), out.wav (the result), and report.html: figures, curves and players, to be
    opened in a browser, with the same as data in report.json.
    """
    talk = Talk(quiet=quiet, debug=debug)
    with talk.errors():
        from audio_engine.wording import default_language

        report = run_demo(folder, talk, language or default_language())
        if as_json:
            print_json(asdict(report))
        else:
            tell(report, talk)


def run_demo(folder: Path, talk: Talk, language: str = "en") -> DemoReport:
    """Make the scene in a folder, process it, measure, and write the report."""
    from audio_engine.cli.demo_scene import SAMPLE_RATE_HZ, build_scene
    from audio_engine.io.files import open_reader, open_writer
    from audio_engine.io.offline import process_file
    from audio_engine.report.trace import Trace
    from audio_engine.report.write import write_report

    trace, page = Trace(), folder / "report.html"
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: this is a file; name a folder")
    scene = build_scene()
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.wav" for name in ("mic", "far", "clean_near", "out")}
    for name in ("mic", "far", "clean_near"):
        with open_writer(paths[name], sample_rate_hz=SAMPLE_RATE_HZ, channels=1) as writer:
            writer.write(getattr(scene, name)[:, None])
    config = EngineConfig.preset(DEFAULT_PRESET, sample_rate_hz=SAMPLE_RATE_HZ)
    with progress_bar(talk, "demo") as progress:
        done = process_file(
            paths["mic"],
            paths["out"],
            config=config,
            far_end=paths["far"],
            progress=progress,
            watch=trace,
        )
    write_report(page, done, trace, config=config, preset=DEFAULT_PRESET, language=language)
    with open_reader(paths["out"]) as reader:
        out = reader.read(reader.frames)[:, 0]
    # The leveller turns everything up together, so echo and noise are compared in front of it.
    unlevelled = _without_levelling(scene, config)
    echo = [_level_dbfs(scene.cut(x, "guest settled")) for x in (scene.echo, unlevelled)]
    noise = [_level_dbfs(scene.cut(x, "noise")) for x in (scene.noise, unlevelled)]
    far_away = [_loudness_lufs(scene.cut(x, "host quiet")) for x in (scene.mic, out)]
    close = [_loudness_lufs(scene.cut(x, "host loud")) for x in (scene.mic, out)]
    return DemoReport(
        files={name: str(path) for name, path in (paths | {"report": page}).items()},
        preset=DEFAULT_PRESET,
        duration_s=done.duration_s,
        echo_before_dbfs=echo[0],
        echo_after_dbfs=echo[1],
        erle_db=echo[0] - echo[1],
        echo_to_voice_before_db=echo[0] - _level_dbfs(scene.cut(scene.mic, "host quiet")),
        echo_to_voice_after_db=_level_dbfs(scene.cut(out, "guest settled"))
        - _level_dbfs(scene.cut(out, "host quiet")),
        noise_before_dbfs=noise[0],
        noise_after_dbfs=noise[1],
        noise_reduction_db=noise[0] - noise[1],
        quiet_before_lufs=far_away[0],
        quiet_after_lufs=far_away[1],
        loud_before_lufs=close[0],
        loud_after_lufs=close[1],
        loudness_before_lufs=done.loudness_before.integrated_lufs,
        loudness_after_lufs=done.loudness_after.integrated_lufs,
        true_peak_before_dbtp=done.loudness_before.true_peak_dbtp,
        true_peak_after_dbtp=done.loudness_after.true_peak_dbtp,
        latency_ms=done.latency_ms,
        times_real_time=done.times_real_time,
    )


def _without_levelling(scene: Scene, config: EngineConfig) -> AudioArray:
    from audio_engine.graph.engine import enhance

    config = replace(
        config,
        agc=replace(config.agc, enabled=False),
        limiter=replace(config.limiter, enabled=False),
    )
    return enhance(
        scene.mic, sample_rate_hz=config.sample_rate_hz, far_end=scene.far, config=config
    )


def _level_dbfs(signal: AudioArray) -> float:
    import numpy as np

    power = float(np.mean(np.square(signal, dtype=np.float64)))
    return 10.0 * float(np.log10(power + 1e-20))


def _loudness_lufs(signal: AudioArray) -> float:
    from audio_engine.cli.demo_scene import SAMPLE_RATE_HZ
    from audio_engine.processors.loudness import measure_loudness

    return measure_loudness(signal, SAMPLE_RATE_HZ).integrated_lufs


def tell(report: DemoReport, talk: Talk) -> None:
    """Print the figures as a table on stdout, and what they mean on stderr."""
    rows = [
        _row("echo of the guest", report.echo_before_dbfs, report.echo_after_dbfs, "dBFS"),
        _row(
            "  beside the host's voice",
            report.echo_to_voice_before_db,
            report.echo_to_voice_after_db,
            "dB",
        ),
        _row("noise of the fan", report.noise_before_dbfs, report.noise_after_dbfs, "dBFS"),
        _row("host, far from the mic", report.quiet_before_lufs, report.quiet_after_lufs, "LUFS"),
        _row("host, close to the mic", report.loud_before_lufs, report.loud_after_lufs, "LUFS"),
        _row("whole recording", report.loudness_before_lufs, report.loudness_after_lufs, "LUFS"),
        _row("true peak", report.true_peak_before_dbtp, report.true_peak_after_dbtp, "dBTP"),
        ("latency (taken off in the file)", "", "", figure(report.latency_ms, "ms")),
        ("speed", "", "", f"{figure(report.times_real_time, decimals=0)}x real time"),
    ]
    print_table(("", "before", "after", "change"), rows)
    talk.note("\n" + "\n".join(_story(report)))


def _row(name: str, before: float, after: float, unit: str) -> tuple[str, str, str, str]:
    change = f"{after - before:+.1f} {'LU' if unit == 'LUFS' else 'dB'}"
    return name, figure(before, unit), figure(after, unit), change


def _story(report: DemoReport) -> list[str]:
    """Say in plain words what each stage did."""
    jump_before = report.loud_before_lufs - report.quiet_before_lufs
    jump_after = report.loud_after_lufs - report.quiet_after_lufs
    return [
        "Echo canceller: while only the guest speaks, the echo is "
        f"{figure(report.erle_db, 'dB', 0)} quieter.",
        f"Noise suppressor: the fan is {figure(report.noise_reduction_db, 'dB', 0)} quieter.",
        f"Leveller: the host comes closer and {figure(jump_before, 'LU')} louder; "
        f"in the output that jump is {figure(jump_after, 'LU')}.",
        f"Limiter: no true peak is above {report.true_peak_after_dbtp:.1f} dBTP.",
        f"Listen: {report.files['mic']} (before), {report.files['out']} (after).",
        f"Look: {report.files['report']} in a browser, with players and curves.",
    ]

"""From a processed file to its report: measured, judged, drawn, written as HTML and JSON."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from audio_engine.analysis.event import Event
from audio_engine.config import EngineConfig
from audio_engine.errors import ConfigError, OutputFileError
from audio_engine.io.files import check_target
from audio_engine.io.offline import FileReport
from audio_engine.io.part_file import output_file
from audio_engine.io.versions import versions
from audio_engine.processors.stats import LoudnessStats
from audio_engine.report import audio_clip, spectrogram
from audio_engine.report.document import (
    SCHEMA_VERSION,
    Document,
    FileFacts,
    Players,
    ReportEvent,
    Sound,
    SpectrogramScale,
    Stages,
    rounded,
)
from audio_engine.report.html import Pictures, html
from audio_engine.report.score import same_event, score_card, target_lufs, verdict
from audio_engine.report.series import Series
from audio_engine.report.survey import SideFacts, Survey, survey
from audio_engine.report.trace import Trace
from audio_engine.wording import Words

_MOST_EVENTS = 200
_LOST = {"clipping", "stall"}  # what is gone stays gone, though its edges may no longer show


def write_report(
    path: str | os.PathLike[str],
    done: FileReport,
    trace: Trace,
    *,
    config: EngineConfig,
    preset: str,
    language: str = "en",
) -> None:
    """Write the report of a processed file: `path` as HTML, and the same beside it as JSON.

    Parameters
    ----------
    path : path-like
        Ends with ``.html``; the data get the same name with ``.json``.
    done : FileReport
        What `process_file` returned; its files are read once more.
    trace : Trace
        Was the ``watch`` of `process_file`.
    config : EngineConfig
        The settings that were used.
    preset : str
        Name of the preset that they started from.
    language : {"en", "zh"}
        Of the page and of the sentences in the data.

    Raises
    ------
    ConfigError
        If the path has another ending or would replace one of the files, or a file has no name.
    InputFileError
        If one of the files cannot be read any more.
    OutputFileError
        If the report cannot be written. No part of it is left behind then.

    Examples
    --------
    >>> from audio_engine import EngineConfig
    >>> from audio_engine.io.offline import process_file
    >>> def repair(source: str, target: str) -> None:
    ...     trace, config = Trace(), EngineConfig.preset("solo-host")
    ...     done = process_file(source, target, config=config, watch=trace)
    ...     write_report("report.html", done, trace, config=config, preset="solo-host")
    """
    page = Path(path)
    data = page.with_suffix(".json")
    check_report_path(page, done)
    document, pictures = make_report(done, trace, config=config, preset=preset, language=language)
    with output_file(page) as page_part, output_file(data) as data_part:
        page_part.write_text(html(document, pictures, data.name), encoding="utf-8")
        data_part.write_text(document.to_json(), encoding="utf-8")


def check_report_path(path: Path, done: FileReport | None = None) -> None:
    """Raise `ConfigError` or `OutputFileError` if no report can be written there."""
    if path.suffix.lower() not in {".html", ".htm"}:
        raise ConfigError(f"{path}: a report is an HTML file; let its name end with .html")
    if not path.parent.is_dir():
        raise OutputFileError(f"{path}: cannot be written: there is no folder {path.parent}")
    files = (done.input, done.output, done.far_end) if done else ()
    if "-" in files:
        raise ConfigError(f"{path}: a report needs files; a pipe cannot be read again")
    for each in (path, path.with_suffix(".json")):
        check_target(each, tuple(file for file in files if file is not None))


def make_report(
    done: FileReport,
    trace: Trace,
    *,
    config: EngineConfig,
    preset: str,
    language: str = "en",
) -> tuple[Document, Pictures]:
    """Measure a processed file and return its report as data, and its pictures and sound.

    See `write_report`.
    """
    words = Words("report", language)
    found = survey(done.input, done.output, done.far_end)
    rows = score_card(found, done, trace, config, words)
    grade = verdict(rows, found)
    all_events = _events(found, trace)
    events = sorted(all_events, key=lambda e: e.start_s - e.end_s)[:_MOST_EVENTS]
    sides = (found.before, found.after)
    top_db = spectrogram.colour_top_db(*(side.spectrogram for side in sides))
    excerpts = audio_clip.choose_excerpts(done.duration_s, done.channels, events)
    packages = versions()
    document = Document(
        schema_version=SCHEMA_VERSION,
        generator={
            "name": "audio_engine",
            "version": str(packages["audio-engine"]),
            "kernels": str(packages["kernels"]),
        },
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        language=language,
        duration_s=round(done.duration_s, 3),
        sample_rate_hz=done.sample_rate_hz,
        channels=done.channels,
        before=_facts(done.input, found.before, done.loudness_before),
        after=_facts(done.output, found.after, done.loudness_after),
        far_end=None if done.far_end is None else _name(done.far_end),
        preset=preset,
        settings=config.to_dict(),
        target_lufs=target_lufs(done, config),
        verdict=grade,
        headline=words(f"verdict.{grade}"),
        score=rows,
        events=tuple(sorted(events, key=lambda event: event.start_s)),
        event_counts=_counts(all_events),
        sounds=tuple(
            Sound(kind=each.kind, start_s=round(each.start_s, 3), end_s=round(each.end_s, 3))
            for each in found.sounds
        ),
        series=_series(found, trace),
        spectrogram=SpectrogramScale(
            low_hz=spectrogram.LOWEST_HZ,
            high_hz=found.before.highest_hz,
            top_db=top_db,
            range_db=spectrogram.RANGE_DB,
        ),
        players=Players(
            whole=len(excerpts) == 1 and excerpts[0].end_s >= round(done.duration_s, 3),
            seconds=round(sum(each.end_s - each.start_s for each in excerpts), 1),
            channels=min(done.channels, 2),
            excerpts=excerpts,
            louder_db=_louder_db(done),
        ),
        stages=_stages(done, trace, found),
        warnings=tuple(_without_folders(text, done) for text in done.warnings),
    )
    with ThreadPoolExecutor(2) as pool:  # encoding runs outside the interpreter's lock
        sounds = list(
            pool.map(
                lambda path: audio_clip.encode(path, excerpts, done.channels),
                (done.input, done.output),
            )
        )
    pictures = Pictures(
        spectrograms=tuple(spectrogram.picture(side.spectrogram, top_db) for side in sides),
        sounds=tuple(sounds),
        sound_type=audio_clip.MIME,
    )
    return document, pictures


def _name(path: str) -> str:
    """Return a file's name; bytes that are no UTF-8 become question marks in boxes."""
    return Path(path).name.encode("utf-8", "replace").decode("utf-8")


def _without_folders(text: str, done: FileReport) -> str:
    for path in (done.input, done.output, done.far_end):
        text = text if path is None else text.replace(path, Path(path).name)
    return text.encode("utf-8", "replace").decode("utf-8")


def _facts(path: str, side: SideFacts, loudness: LoudnessStats) -> FileFacts:
    return FileFacts(
        name=_name(path),
        container=side.container,
        sample_format=side.sample_format,
        integrated_lufs=rounded(loudness.integrated_lufs),
        max_short_term_lufs=rounded(loudness.max_short_term_lufs),
        loudness_range_lu=rounded(loudness.loudness_range_lu),
        true_peak_dbtp=rounded(loudness.true_peak_dbtp),
        voice_dbfs=rounded(side.voice_dbfs),
        pause_dbfs=rounded(side.pause_dbfs),
        echo_dbfs=rounded(side.echo_dbfs),
        speech_share=round(side.speech_share, 3),
    )


def _events(found: Survey, trace: Trace) -> list[ReportEvent]:
    """Join what both sides have; what only the recording has was cured, or cannot be."""
    events = [_event(each, "stage") for each in trace.events()]
    left = list(found.after.events)
    for event in found.before.events:
        same = next((other for other in left if same_event(event, other)), None)
        if same is not None:
            left.remove(same)
        stays = same is not None or event.kind in _LOST
        events.append(_event(event, "both" if stays else "before"))
    return events + [_event(event, "after") for event in left]


def _event(event: Event, side: str) -> ReportEvent:
    return ReportEvent(
        kind=event.kind,
        side=side,
        start_s=round(event.start_s, 3),
        end_s=round(event.end_s, 3),
        value=rounded(event.value) or 0.0,
        unit=event.unit,
    )


def _counts(events: Iterable[ReportEvent]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for event in events:
        counts[event.kind] = counts.get(event.kind, 0) + 1
    return counts


def _series(found: Survey, trace: Trace) -> tuple[Series, ...]:
    named = ((found.before, "before"), (found.after, "after"))
    both = [replace(each, side=name) for side, name in named for each in side.series]
    return (*both, *found.series, *trace.series())


def _louder_db(done: FileReport) -> float | None:
    before, after = done.loudness_before.integrated_lufs, done.loudness_after.integrated_lufs
    return rounded(after - before)


def _stages(done: FileReport, trace: Trace, found: Survey) -> Stages:
    return Stages(
        latency_ms=round(done.latency_ms, 1),
        times_real_time=round(done.times_real_time, 1),
        erle_db=rounded(done.erle_db),
        echo_delay_ms=rounded(done.echo_delay_ms),
        echo_drift_ppm=rounded(done.echo_drift_ppm),
        noise_reduction_db=rounded(done.noise_reduction_db),
        gain_db=rounded(done.gain_db),
        loudness_target_lufs=rounded(done.loudness_target_lufs),
        loudness_gain_db=rounded(done.loudness_gain_db),
        limiter_max_reduction_db=rounded(done.limiter_max_reduction_db),
        reverb_time_s=rounded(trace.reverb_time_s, 2),
        transient_count=trace.transient_count,
        invalid_count=done.invalid_count,
        clipped_output_count=done.clipped_output_count,
        webrtcvad_speech_share=round(found.webrtcvad_share, 3),
    )

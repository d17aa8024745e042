"""``audio-engine sync``: how far the sound of a video is off its picture, and put it right."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audio_engine.cli.common import (
    DebugOption,
    QuietOption,
    Talk,
    VerboseOption,
    figure,
    finite,
    progress_bar,
)
from audio_engine.errors import AudioEngineError, ConfigError, OutputFileError
from audio_engine.io.lip_sync_series import ANSWER

if TYPE_CHECKING:
    from audio_engine.io.clapper import ClapperMeasurement
    from audio_engine.io.lip_sync import FaceLipSync, LipSyncMeasurement
    from audio_engine.io.lip_sync_correct import CorrectionReport

EPILOG = """\b
Examples:
  audio-engine sync talk.mp4
  audio-engine sync talk.mp4 --correct fixed.mp4 --plot sync.png
  audio-engine sync talk.mp4 --correct fixed.mp4 --offset-ms 120
  audio-engine sync --make-clapper clapper.mp4
  audio-engine sync recording.mp4 --clapper --correct fixed.mp4
\b
It needs PyAV, MediaPipe for faces, Matplotlib for --plot; if one is missing, the
command that installs it is printed.
\b
Offsets > 0: the audio is late. ITU-R BT.1359 and EBU R37 print the opposite
sign. Exit code 1: --correct was asked for, but the offset is not sure;
3: the video cannot be read.
"""

# What viewers notice, in our sign: (late, early) in ms.
R37_MS = (60.0, 40.0)  # EBU R37: what a programme may have when it is handed over
NOTICED_MS = (125.0, 45.0)  # ITU-R BT.1359: detectability
ACCEPTED_MS = (185.0, 90.0)  # ITU-R BT.1359: acceptability
DRIFT_MS = 40.0  # over the whole file: more than one correction can put right

ADVICE = {
    "too short": "5 s of speech with a visible face are needed at least, 10 s are better",
    "no speech": "there is too little speech in the sound; 5 s are needed at least",
    "no face": "no face is visible long enough; the mouth has to be seen while it speaks",
    "frozen": "the picture stands still, or the mouth does not move",
    "dubbed": "sound and mouth do not belong together: dubbed, narrated, music, or more than 1.3 s "
    "apart",
    "ambiguous": "several offsets or faces explain it equally well; a longer part may decide",
}
CLAPPER_ADVICE = {
    "no flash": "nothing in the picture lights up for a moment again and again",
    "no beep": "no tone sets in again and again; is the microphone near enough?",
    "too few pairs": "three flashes with their beeps are needed at least, eight are better",
    "ambiguous": "the gaps between the flashes are all alike; --make-clapper makes a film whose "
    "gaps are not",
    "scattered": "too few of the flashes have a beep at the same distance",
}
# Of one face among several; the word for a whole film would say too much.
FACE_REASONS = {"dubbed": "does not go with the sound"}


def sync(
    video: Annotated[
        Path | None, typer.Argument(metavar="VIDEO", help="Video with sound.", show_default=False)
    ] = None,
    *,
    correct: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Write the video with its sound moved by the offset."),
    ] = None,
    offset_ms: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Correct by this, -2000 to 2000, without measuring; > 0: audio late."
        ),
    ] = None,
    clapper: Annotated[
        bool, typer.Option("--clapper", help="Measure flashes and beeps in place of a face.")
    ] = False,
    make_clapper: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Write a film of flashes and beeps, for --clapper."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.png", help="Draw the score over the offset, and the offset over time."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE.task", help="Face landmarker model for a newer MediaPipe."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, on one line.")
    ] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure whether the sound of a video is in sync with the lips, and correct it.

    The offset is > 0 when the audio is late. A speaking face that is seen for some 10 s gives it to
    about one picture; when there is nothing to go by, that is said, with the reason.

    --correct copies the picture bit by bit and moves the sound, exact to the sample: late sound is
    cut at its start, early sound gets silence there, and the length stays. The sound is encoded as
    it was, FLAC, ALAC and PCM without loss. An output appears when it is complete, and the input is
    never overwritten. An offset that is not sure is not applied.

    --clapper wants a phone with the film of --make-clapper before the camera, some 15 s of it: good
    to a few ms. A phone's own screen and loudspeaker may be some 10 ms apart.
    """
    talk = Talk(quiet=quiet, verbose=verbose, debug=debug)
    _check_options(
        video=video,
        correct=correct,
        offset_ms=offset_ms,
        clapper=clapper,
        make_clapper=make_clapper,
        looks_at_faces=plot is not None or model is not None,
    )
    with talk.errors():
        if make_clapper is not None:
            _make_clapper(talk, make_clapper)
            return
        assert video is not None  # _check_options has refused that
        _check_outputs(video, correct, plot)
        words: list[str] = []
        found: LipSyncMeasurement | None = None
        if offset_ms is not None:
            document = _given(video, offset_ms)
        elif clapper:
            document, words = _measure_clapper(talk, video)
        else:
            found = _measure_face(talk, video, model)
            document, words = {**_head(video, "face"), **face_document(found)}, face_words(found)
        document["correction"] = None
        if not as_json:
            print("".join(f"{line}\n" for line in words), end="")
        try:
            if plot is not None and found is not None:
                _plot(plot, found, video)
            if correct is not None:
                report = _correct(talk, video, correct, document)
                document["correction"] = report.to_dict()
                if not as_json:
                    print(report)
        finally:  # what was measured is told, whether it could be applied or not
            if as_json:
                print(json.dumps(finite(document), ensure_ascii=False))


def _check_options(
    *,
    video: Path | None,
    correct: Path | None,
    offset_ms: float | None,
    clapper: bool,
    make_clapper: Path | None,
    looks_at_faces: bool,
) -> None:
    needs_video = clapper or looks_at_faces or correct is not None or offset_ms is not None
    if make_clapper is not None and (video is not None or needs_video):
        raise typer.BadParameter(
            "--make-clapper OUT stands alone: film it with the camera, then measure the recording"
        )
    if video is None and make_clapper is None:
        raise typer.BadParameter("name a video, or --make-clapper OUT alone")
    if offset_ms is not None and (correct is None or clapper or looks_at_faces):
        raise typer.BadParameter("--offset-ms goes with --correct OUT alone: nothing is measured")
    if clapper and looks_at_faces:
        raise typer.BadParameter("--clapper looks at no face; leave out --plot and --model")


def _check_outputs(video: Path, correct: Path | None, plot: Path | None) -> None:
    """Say what is wrong with the outputs now, not after minutes of measuring."""
    from audio_engine.io.files import check_target
    from audio_engine.io.video_writing import container_of

    if correct is not None:
        container_of(correct)
    if plot is not None:
        from audio_engine.cli.sync_plot import import_figure

        if plot.suffix.lower() != ".png":
            raise ConfigError(f"{plot}: the plot is a PNG; name a file that ends in .png")
        import_figure()
    for path in (path for path in (correct, plot) if path is not None):
        check_target(path, never=(video,))
        if not path.parent.is_dir():
            raise OutputFileError(f"{path} cannot be written: there is no folder {path.parent}")
        if not os.access(path.parent, os.W_OK):
            raise OutputFileError(
                f"{path} cannot be written: the folder {path.parent} is read-only"
            )


def _head(video: Path, method: str) -> dict[str, Any]:
    return {"input": str(video), "method": method}


def _given(video: Path, offset_ms: float) -> dict[str, Any]:
    """Return the JSON document of an offset that was not measured."""
    return {**_head(video, "given"), "offset_ms": offset_ms, "confidence": 1.0, "reason": ""}


def _measure_clapper(talk: Talk, video: Path) -> tuple[dict[str, Any], list[str]]:
    from audio_engine.io.clapper import measure_clapper

    with progress_bar(talk, video.name) as bar:
        found = measure_clapper(video, progress=_share(bar))
    return {**_head(video, "clapper"), **found.to_dict()}, clapper_words(found)


def _measure_face(talk: Talk, video: Path, model: Path | None) -> LipSyncMeasurement:
    from audio_engine.io.lip_sync import measure_lip_sync

    with progress_bar(talk, video.name) as bar:
        found = measure_lip_sync(video, model=model, progress=_share(bar))
    for text in found.warnings:
        talk.warn(f"{video}: {text}")
    talk.detail(
        f"{video}: {found.duration_s:.1f} s, {found.frame_rate_hz:.2f} pictures per second, "
        f"faces: {len(found.faces)}, offset {figure(found.offset_ms, 'ms')}, drift "
        f"{figure(found.drift_ms_per_s, 'ms/s', 3)}"
    )
    return found


def _plot(plot: Path, found: LipSyncMeasurement, video: Path) -> None:
    from audio_engine.cli.sync_plot import write_plot

    write_plot(plot, found, video.name)


def _share(bar: Any) -> Callable[[float], None]:
    return lambda share: bar(share, 1.0)


def _make_clapper(talk: Talk, output: Path) -> None:
    from audio_engine.io.clapper_film import write_clapper

    length_s = write_clapper(output)
    talk.note(
        f"{output}: {length_s:.0f} s of flashes and beeps. Play it on a phone before the camera, "
        "with the loudspeaker on, then: audio-engine sync RECORDING --clapper"
    )


def _correct(talk: Talk, video: Path, output: Path, document: dict[str, Any]) -> CorrectionReport:
    """Write the corrected video, unless the offset is anybody's guess."""
    from audio_engine.io.lip_sync_correct import correct_lip_sync

    offset_ms, confidence = document["offset_ms"], document["confidence"]
    if offset_ms is None or confidence < ANSWER:
        guess = "" if offset_ms is None else f"; the guess is {offset_ms:.0f} ms"
        raise AudioEngineError(
            f"{output} is not written: the offset is not sure ({document['reason']}{guess}); "
            "--offset-ms X corrects by a value of your own"
        )
    with progress_bar(talk, output.name) as bar:
        report = correct_lip_sync(video, output, offset_ms, progress=_share(bar))
    for text in report.warnings:
        talk.warn(f"{output}: {text}")
    return report


def face_document(found: LipSyncMeasurement) -> dict[str, Any]:
    """Return a measurement as what JSON knows, without the curves."""
    return {
        "offset_ms": found.offset_ms,
        "confidence": found.confidence,
        "reason": found.reason,
        "drift_ms_per_s": found.drift_ms_per_s,
        "duration_s": found.duration_s,
        "frame_rate_hz": found.frame_rate_hz,
        "face": found.face,
        "faces": [
            {
                "box": list(face.box),
                "visible": face.visible,
                "offset_ms": face.offset_ms,
                "confidence": face.confidence,
                "reason": face.reason,
            }
            for face in found.faces
        ],
        "warnings": list(found.warnings),
    }


def face_words(found: LipSyncMeasurement) -> list[str]:
    """Say what was found with a face."""
    words = answer_words(found.offset_ms, found.confidence, found.reason, ADVICE)
    drift_ms = (found.drift_ms_per_s or 0.0) * found.duration_s
    if not found.reason and abs(drift_ms) > DRIFT_MS:
        words.append(
            f"The offset drifts by {drift_ms:+.0f} ms from start to end: a clock is off, and one "
            "correction cannot put all of it right."
        )
    if len(found.faces) > 1:
        for i, face in enumerate(found.faces):
            words.append(_one_of_the_faces(i + 1, face, speaks=i == found.face))
    if found.reason:
        words.append(
            "What can be done: --offset-ms X --correct OUT corrects by a value of your own; "
            "--clapper measures a flash and a beep."
        )
    return words


def _one_of_the_faces(number: int, face: FaceLipSync, *, speaks: bool) -> str:
    """Say where a face is and whether it goes with the sound; a guess of one is of no use."""
    says = FACE_REASONS.get(face.reason, face.reason)
    if face.confidence >= ANSWER:
        verb = "speaks" if speaks else "goes with the sound"
        says = f"{verb}, {figure(face.offset_ms, 'ms', 0)}, sure: {face.confidence:.2f}"
    left, _, width, _ = face.box
    return (
        f"  face {number}, {100.0 * (left + 0.5 * width):.0f}% from the left, seen "
        f"{100.0 * face.visible:.0f}% of the time: {says}"
    )


def clapper_words(found: ClapperMeasurement) -> list[str]:
    """Say what was found with flashes and beeps."""
    words = answer_words(found.offset_ms, found.confidence, found.reason, CLAPPER_ADVICE)
    counts = f"{found.flashes} flashes, {found.beeps} beeps, {found.pairs} pairs"
    if found.precision_ms is not None and found.spread_ms is not None:
        counts += (
            f", spread {found.spread_ms:.1f} ms; good to +-{found.precision_ms:.1f} ms (half a "
            "picture / sqrt(pairs))"
        )
    return [*words, f"{counts}."]


def answer_words(
    offset_ms: float | None, confidence: float, reason: str, advice: dict[str, str]
) -> list[str]:
    """Say the offset and what it means to viewers, or why there is none."""
    sure = f"sure: {confidence:.2f}"
    if reason or offset_ms is None or confidence < ANSWER:
        guess = "" if offset_ms is None else f"; the best guess: {offset_words(offset_ms)}"
        return [
            f"The offset is not known: {reason or 'not sure'} ({sure}{guess}).",
            _sentence(advice.get(reason, "the evidence is too thin; a longer part may decide")),
        ]
    return [_sentence(f"{offset_words(offset_ms)}, {sure}"), verdict(offset_ms)]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def offset_words(offset_ms: float) -> str:
    """Say an offset in words."""
    if abs(offset_ms) < 0.5:
        return "the sound comes with the picture"
    side, word = ("after", "late") if offset_ms > 0.0 else ("before", "early")
    return f"the sound comes {abs(offset_ms):.0f} ms {side} the picture (audio {word})"


def verdict(offset_ms: float) -> str:
    """Say what viewers make of an offset, after ITU-R BT.1359 and EBU R37."""
    if _is_beyond(offset_ms, ACCEPTED_MS):
        return (
            "Viewers do not accept it (ITU-R BT.1359: acceptable up to {:g} ms late / {:g} ms "
            "early)."
        ).format(*ACCEPTED_MS)
    if _is_beyond(offset_ms, NOTICED_MS):
        return (
            "Viewers notice it (ITU-R BT.1359: noticeable from {:g} ms late / {:g} ms early)."
        ).format(*NOTICED_MS)
    if _is_beyond(offset_ms, R37_MS):
        return (
            "Hardly anybody notices it (ITU-R BT.1359: from {:g} ms late / {:g} ms early), but EBU "
            "R37 allows {:g} ms late / {:g} ms early only."
        ).format(*NOTICED_MS, *R37_MS)
    return (
        "Nobody notices it (EBU R37 allows {:g} ms late / {:g} ms early; ITU-R BT.1359: noticeable "
        "from {:g} ms late / {:g} ms early)."
    ).format(*R37_MS, *NOTICED_MS)


def _is_beyond(offset_ms: float, limits_ms: tuple[float, float]) -> bool:
    late_ms, early_ms = limits_ms
    return not -early_ms <= offset_ms <= late_ms

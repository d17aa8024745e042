"""Measure how far the sound of a video is from the mouths in it: the whole file, any length.

The file is decoded once. Sound and mouths go side by side into one estimator per face, which looks
back 20 s and is asked each second; `lip_sync_series` makes the answer for the whole file of that.
The speaker is the face with the best answer; faces that are as sure of another offset take from its
confidence.

Memory: the estimators' windows, and three numbers per second and face.
**Positive offsets: the audio is late.** ITU-R BT.1359 and EBU R37 print the opposite sign.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from audio_engine.io.faces import Box, CutDetector, FaceTrack, FaceTracks, MouthTracker
from audio_engine.io.lip_sync_series import (
    ANSWER,
    SAME_MS,
    WINDOW_S,
    Asked,
    unsure,
    whole_answer,
)
from audio_engine.io.video import SOUND_RATE_HZ, Picture, Sound, open_video
from audio_engine.processors.lipsync import LipSyncEstimate, LipSyncEstimator, LipSyncWeights

#: Called with the share of the file that is done, 0.0 to 1.0.
Progress = Callable[[float], None]
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
#: Time in s, offset in ms or None, confidence.
SeriesPoint = tuple[float, float | None, float]

_EVERY_S = 1.0
_BEFORE_S = 3.0  # sound from before a face appeared that its estimator still hears
_MOST_LISTENERS = 8  # faces that are measured at the same time
_MOST_FACES = 16  # that are reported
_SHORTEST_S = 1.0  # a face that is seen for less is not reported
_SUREST = 0.995  # a confidence beyond that is taken for that


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceLipSync:
    """One face of a video and its own offset.

    Attributes
    ----------
    box : tuple of float
        Mean place: left, top, width, height as shares of the picture.
    visible : float
        Share of the pictures that show it.
    offset_ms, confidence, reason
        As in `LipSyncMeasurement`.
    """

    box: Box
    visible: float
    offset_ms: float | None
    confidence: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LipSyncMeasurement:
    """The offset between sound and picture of a video file.

    Attributes
    ----------
    offset_ms : float or None
        Positive: the audio is late. A best guess where `confidence` is below 0.5, None where there
        is nothing to go by. In the middle of the file where the offset drifts.
    confidence : float
        0 to 1, the chance that the error is under 80 ms; from 0.5 on it is an answer.
    reason : str
        Empty for an answer, else ``too short``, ``no speech``, ``no face``, ``frozen``, ``dubbed``
        or ``ambiguous``.
    drift_ms_per_s : float or None
        How the offset changes; None for less than 15 s of answers.
    face : int or None
        Which of `faces` speaks; None where none answers.
    faces : tuple of FaceLipSync
        The faces that were followed, in the order of their appearance.
    series : tuple of (float, float or None, float)
        Time in s, offset in ms and confidence of the speaker, each second.
    curve : tuple of ndarray, or None
        Lags in ms and their scores in the speaker's best window.
    duration_s, frame_rate_hz : float
        Of what was read: length, and pictures per second in the mean.
    warnings : tuple of str
        What is wrong with the file though it could be read.
    """

    offset_ms: float | None
    confidence: float
    reason: str
    drift_ms_per_s: float | None
    face: int | None
    faces: tuple[FaceLipSync, ...]
    series: tuple[SeriesPoint, ...]
    curve: Curve | None
    duration_s: float
    frame_rate_hz: float
    warnings: tuple[str, ...]


def measure_lip_sync(
    video: str | os.PathLike[str],
    *,
    tracker: MouthTracker | None = None,
    model: str | os.PathLike[str] | None = None,
    weights: LipSyncWeights | None = None,
    progress: Progress | None = None,
) -> LipSyncMeasurement:
    """Measure by how much the sound of a video is late against the mouth that speaks.

    Parameters
    ----------
    video : path-like
        A file with pictures and sound; constant or variable frame rate, any length.
    tracker : MouthTracker or None
        Another way to find mouths. It stays open.
    model : path-like or None
        A newer FaceLandmarker ``.task`` file; None takes the face mesh in MediaPipe's wheel.
    weights : LipSyncWeights or None
        Instead of the built-in ones; for the tracker's signals.
    progress : callable or None
        Called with the share that is done, 0.0 to 1.0.

    Returns
    -------
    LipSyncMeasurement
        ``offset_ms`` > 0: the audio is late. Ten seconds of speech are usually enough.

    Raises
    ------
    InputFileError
        If the file cannot be read or lacks pictures or sound.
    AudioEngineError
        If the extra ``[video]`` is not installed; the text names it.
    """
    with open_video(video) as reader:
        own = tracker is None
        tracker = tracker or _default_tracker(model)
        run = _Run(tracker, weights)
        try:
            for part in reader.both(tracker.short_side):
                run.push(part)
                if progress is not None and isinstance(part, Picture) and reader.duration_s > 0.0:
                    progress(min(1.0, part.time_s / reader.duration_s))
            measurement = run.finish(tuple(reader.warnings))
        finally:
            run.close()
            if own:
                tracker.close()
    if progress is not None:
        progress(1.0)
    return measurement


def _default_tracker(model: str | os.PathLike[str] | None) -> MouthTracker:
    from audio_engine.io.face_mesh import FaceLandmarkerTracker, FaceMeshTracker

    return FaceMeshTracker() if model is None else FaceLandmarkerTracker(model)


@dataclass(slots=True)
class _Listener:
    """A face, its estimator while it is followed, and what the estimator said."""

    track: FaceTrack
    estimator: LipSyncEstimator | None
    series: list[Asked] = field(default_factory=list)
    best: float = -1.0
    curve: Curve | None = None
    _mouth_s: float = -math.inf  # time of the newest mouth
    _seen_s: float = 0.0  # since the estimator was asked

    def begin(self, estimator: LipSyncEstimator) -> None:
        """Go on with a new estimator: the face was away for long."""
        self.estimator, self._mouth_s = estimator, -math.inf

    def push_mouth(self, time_s: float, mouth: NDArray[np.float32], cut: bool) -> None:
        """Take the mouth of the next picture, NaN where the face is not in it."""
        assert self.estimator is not None
        self.estimator.push_mouth(time_s, mouth, cut=cut)
        if np.isfinite(mouth[0]) and self._mouth_s > -math.inf:
            self._seen_s += min(time_s - self._mouth_s, _EVERY_S)
        self._mouth_s = time_s

    def ask(self, time_s: float) -> None:
        """Ask the estimator what it makes of its window."""
        assert self.estimator is not None
        estimate = self.estimator.estimate()
        self.series.append(Asked(time_s, estimate, self._seen_s))
        self._seen_s = 0.0
        if estimate.offset_ms is not None and estimate.confidence > self.best:
            self.best, self.curve = estimate.confidence, self.estimator.curve()

    def close(self) -> None:
        """Let the estimator go; what it said stays."""
        if self.estimator is not None:
            self.estimator.close()
            self.estimator = None


class _Run:
    """One pass over a file."""

    def __init__(self, tracker: MouthTracker, weights: LipSyncWeights | None) -> None:
        self.tracker = tracker
        self.weights = weights
        self._signals = len(tracker.signals)
        self._cuts, self._tracks = CutDetector(), FaceTracks()
        self._listeners: dict[int, _Listener] = {}  # by the track's index
        self._heard: deque[Sound] = deque()
        self._pictures = 0
        self._first_s = self._last_s = self._end_s = 0.0
        self._ask_at_s = _EVERY_S

    def push(self, part: Picture | Sound) -> None:
        """Take the next picture or stretch of sound."""
        while part.time_s >= self._ask_at_s:
            self._ask(self._ask_at_s)
            self._ask_at_s += _EVERY_S
        if isinstance(part, Picture):
            self._see(part)
        else:
            self._hear(part)

    def finish(self, warnings: tuple[str, ...]) -> LipSyncMeasurement:
        """Return what all of it says."""
        if self._end_s > self._ask_at_s - _EVERY_S + 1e-3:
            self._ask(self._end_s)
        span_s = self._last_s - self._first_s
        rate_hz = (self._pictures - 1) / span_s if span_s > 0.0 else 0.0
        least = _SHORTEST_S * rate_hz
        listeners = [x for x in self._listeners.values() if x.track.pictures >= least]
        largest = sorted(listeners, key=lambda x: -x.track.pictures)[:_MOST_FACES]
        listeners = [listener for listener in listeners if listener in largest]
        answers = [whole_answer(listener.series, self._end_s) for listener in listeners]
        faces = tuple(
            FaceLipSync(
                box=x.track.mean_box,
                visible=x.track.pictures / self._pictures,
                offset_ms=answer.offset_ms,
                confidence=answer.confidence,
                reason=answer.reason,
            )
            for x, answer in zip(listeners, answers, strict=True)
        )
        best = _best(answers)
        answer = LipSyncEstimate(
            offset_ms=None, confidence=0.0, reason="no face", drift_ms_per_s=None
        )
        if best is not None:
            answer = _against_others(answers, best)
        return LipSyncMeasurement(
            offset_ms=answer.offset_ms,
            confidence=answer.confidence,
            reason=answer.reason,
            drift_ms_per_s=answer.drift_ms_per_s,
            face=best if answer.confidence >= ANSWER else None,
            faces=faces,
            series=_points(listeners[best].series) if best is not None else (),
            curve=listeners[best].curve if best is not None else None,
            duration_s=self._end_s,
            frame_rate_hz=rate_hz,
            warnings=warnings,
        )

    def close(self) -> None:
        """Let all estimators go."""
        for listener in self._listeners.values():
            listener.close()

    def _hear(self, sound: Sound) -> None:
        self._heard.append(sound)
        while self._heard[0].time_s < sound.time_s - _BEFORE_S:
            self._heard.popleft()
        self._end_s = max(self._end_s, sound.time_s + len(sound.audio) / SOUND_RATE_HZ)
        for listener in self._listeners.values():
            if listener.estimator is not None:
                listener.estimator.push_audio(sound.audio, sound.time_s)

    def _see(self, picture: Picture) -> None:
        time_s = picture.time_s
        if self._cuts.push(picture.rgb):
            self._tracks.cut(time_s)
            self.tracker.cut()
        if not self._pictures:
            self._first_s = time_s
        self._pictures += 1
        self._last_s = time_s
        self._end_s = max(self._end_s, time_s)
        faces = self.tracker.faces(time_s, picture.rgb)
        seen = {one.track.index: one for one in self._tracks.push(time_s, faces)}
        for one in seen.values():
            self._listen_to(one.track)
        nothing = np.full(self._signals, np.nan, np.float32)
        mouth_s = time_s - self.tracker.delay_s
        for index, listener in self._listeners.items():
            if listener.estimator is None:
                continue
            if index in seen:
                listener.push_mouth(mouth_s, seen[index].mouth, seen[index].cut)
            else:
                listener.push_mouth(mouth_s, nothing, cut=False)

    def _listen_to(self, track: FaceTrack) -> None:
        """Give a face an estimator, where need be the one of the face that is longest away."""
        listener = self._listeners.get(track.index)
        if listener is not None and listener.estimator is not None:
            return
        live = [x for x in self._listeners.values() if x.estimator is not None]
        if len(live) >= _MOST_LISTENERS:
            away = min(live, key=lambda x: x.track.last_s)
            if away.track.last_s >= track.last_s - WINDOW_S / 2.0:
                return
            away.close()
        estimator = LipSyncEstimator(
            signals=self.tracker.signals, window_s=WINDOW_S, weights=self.weights
        )
        for sound in self._heard:
            estimator.push_audio(sound.audio, sound.time_s)
        if listener is None:
            self._listeners[track.index] = _Listener(track, estimator)
        else:
            listener.begin(estimator)

    def _ask(self, time_s: float) -> None:
        for listener in self._listeners.values():
            if listener.estimator is not None and time_s - listener.track.last_s < WINDOW_S:
                listener.ask(time_s)


def _points(series: Sequence[Asked]) -> tuple[SeriesPoint, ...]:
    return tuple((a.time_s, a.estimate.offset_ms, a.estimate.confidence) for a in series)


def _best(answers: Sequence[LipSyncEstimate]) -> int | None:
    """Return the face to go by: the surest, of unsure ones the one with an offset at all."""
    if not answers:
        return None
    return max(
        range(len(answers)),
        key=lambda i: (answers[i].offset_ms is not None, answers[i].confidence, -i),
    )


def _against_others(answers: Sequence[LipSyncEstimate], best: int) -> LipSyncEstimate:
    """Return the best face's answer in the light of other faces' claims.

    There is one offset: faces that are as sure of another one share the odds.
    """
    answer = answers[best]
    if answer.offset_ms is None:
        return answer
    claims = [
        _odds(other.confidence)
        for other in answers
        if other.offset_ms is not None and abs(other.offset_ms - answer.offset_ms) > SAME_MS
    ]
    own = _odds(answer.confidence)
    confidence = own / (1.0 + own + sum(claims)) if claims else answer.confidence
    if confidence < ANSWER <= answer.confidence:
        return unsure(answer)
    return replace(answer, confidence=confidence)


def _odds(confidence: float) -> float:
    sure = min(confidence, _SUREST)
    return sure / (1.0 - sure)

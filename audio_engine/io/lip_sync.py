"""Measure how far the sound of a video is from the mouths in it: the whole file, any length.

The file is decoded once. Sound and mouths go side by side into one estimator per face, which looks
back 20 s and is asked each second. Of this series the answer for the whole file is made:

- The evidence of all windows is added up as odds: the first full window counts as a whole, each
  later one for the second by which it is new. A calibrated confidence c speaks for its own offset
  (within 80 ms) with odds c / (1 - c) over the prior odds, and against any other with 1 - c. The
  offset for which the sum is largest is the answer - the confidence-weighted median of the windows
  that agree -, its posterior the confidence. A clock that drifts is followed: offsets are compared
  along a line (Theil-Sen).
- Where windows that are sure of themselves disagree, as after a cut into another take, that is told
  as "ambiguous": one number cannot be right for such a file.
- The speaker is the face with the best answer. Another face that is sure of another offset and
  comes near in confidence makes it ambiguous too.

Memory: the estimators' windows, and three numbers per second and face.
**Positive offsets: the audio is late.** ITU-R BT.1359 and EBU R37 print the opposite sign.
"""

from __future__ import annotations

import math
import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from audio_engine.io.faces import Box, CutDetector, FaceTrack, FaceTracks, MouthTracker
from audio_engine.io.video import Picture, Sound, open_video
from audio_engine.processors.lipsync import LipSyncEstimate, LipSyncEstimator

#: Called with the share of the file that is done, 0.0 to 1.0.
Progress = Callable[[float], None]
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
#: Time in s, offset in ms or None, confidence.
SeriesPoint = tuple[float, float | None, float]

ANSWER = 0.5  # confidence from which an offset is an answer
_WINDOW_S = 20.0
_EVERY_S = 1.0
_BEFORE_S = 3.0  # sound from before a face appeared that its estimator still hears
_MOST_LISTENERS = 8  # faces that are measured at the same time
_MOST_FACES = 16  # that are reported
_SHORTEST_S = 1.0  # a face that is seen for less is not reported
_MARGIN = 0.15  # by which the speaker's confidence has to exceed another sure face's
_SAME_MS = 80.0  # offsets within this are the same, as the confidence is meant
_PRIOR = 0.06  # chance that an offset out of the blue is within that: 160 of 2600 ms
_HIGHEST = 0.99
_AGREEMENT = 0.65  # share of the sure windows that has to agree with the answer
_DRIFT_FROM_S = 15.0
_SLOPE_POINTS = 300


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
        run = _Run(tracker)
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
    mouth_s: float = -math.inf  # time of the newest mouth
    series: list[SeriesPoint] = field(default_factory=list)
    new_s: list[float] = field(default_factory=list)  # for how long it was seen since the last one
    seen_s: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    last: LipSyncEstimate | None = None
    best: float = -1.0
    curve: Curve | None = None

    def push_mouth(self, time_s: float, mouth: NDArray[np.float32], goes_on: bool) -> None:
        assert self.estimator is not None
        if not goes_on and self.mouth_s > -math.inf:  # nothing leads from the last picture to here
            nothing = np.full(len(mouth), np.nan, np.float32)
            self.estimator.push_mouth((self.mouth_s + time_s) / 2.0, nothing)
        elif np.isfinite(mouth[0]):
            self.seen_s += min(time_s - self.mouth_s, _EVERY_S)
        self.estimator.push_mouth(time_s, mouth)
        self.mouth_s = time_s

    def ask(self, time_s: float) -> None:
        assert self.estimator is not None
        self.last = self.estimator.estimate()
        self.reasons[self.last.reason] += 1
        self.new_s.append(self.seen_s)
        self.seen_s = 0.0
        self.series.append((time_s, self.last.offset_ms, self.last.confidence))
        if self.last.offset_ms is not None and self.last.confidence > self.best:
            self.best, self.curve = self.last.confidence, self.estimator.curve()

    def close(self) -> None:
        if self.estimator is not None:
            self.estimator.close()
            self.estimator = None


class _Run:
    """One pass over a file."""

    def __init__(self, tracker: MouthTracker) -> None:
        self.tracker = tracker
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
        answers = [_whole(listener, self._end_s) for listener in listeners]
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
            series=tuple(listeners[best].series) if best is not None else (),
            curve=listeners[best].curve if best is not None else None,
            duration_s=self._end_s,
            frame_rate_hz=rate_hz,
            warnings=warnings,
        )

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()

    def _hear(self, sound: Sound) -> None:
        self._heard.append(sound)
        while self._heard[0].time_s < sound.time_s - _BEFORE_S:
            self._heard.popleft()
        self._end_s = max(self._end_s, sound.time_s + len(sound.audio) / 48000.0)
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
                listener.push_mouth(mouth_s, seen[index].mouth, seen[index].goes_on)
            else:
                listener.push_mouth(mouth_s, nothing, goes_on=True)

    def _listen_to(self, track: FaceTrack) -> None:
        """Give a face an estimator, where need be the one of the face that is longest away."""
        listener = self._listeners.get(track.index)
        if listener is not None and listener.estimator is not None:
            return
        live = [x for x in self._listeners.values() if x.estimator is not None]
        if len(live) >= _MOST_LISTENERS:
            away = min(live, key=lambda x: x.track.last_s)
            if away.track.last_s >= track.last_s - _WINDOW_S / 2.0:
                return
            away.close()
        estimator = LipSyncEstimator(signals=self.tracker.signals, window_s=_WINDOW_S)
        for sound in self._heard:
            estimator.push_audio(sound.audio, sound.time_s)
        if listener is None:
            self._listeners[track.index] = _Listener(track, estimator)
        else:
            listener.estimator, listener.mouth_s = estimator, -math.inf

    def _ask(self, time_s: float) -> None:
        for listener in self._listeners.values():
            if listener.estimator is not None and time_s - listener.track.last_s < _WINDOW_S:
                listener.ask(time_s)


def _best(answers: Sequence[LipSyncEstimate]) -> int | None:
    """Return the face to go by: the surest, of unsure ones the one with an offset at all."""
    if not answers:
        return None
    return max(
        range(len(answers)),
        key=lambda i: (answers[i].offset_ms is not None, answers[i].confidence, -i),
    )


def _against_others(answers: Sequence[LipSyncEstimate], best: int) -> LipSyncEstimate:
    """Return the best face's answer, unless another face is as sure of another offset."""
    answer = answers[best]
    for i, other in enumerate(answers):
        if i == best or other.confidence < ANSWER or answer.offset_ms is None:
            continue
        assert other.offset_ms is not None
        apart = abs(other.offset_ms - answer.offset_ms) > _SAME_MS
        if apart and answer.confidence - other.confidence < _MARGIN:
            return _unsure(answer)
    return answer


def _unsure(answer: LipSyncEstimate) -> LipSyncEstimate:
    return LipSyncEstimate(
        offset_ms=answer.offset_ms,
        confidence=min(answer.confidence, ANSWER - 0.01),
        reason="ambiguous",
        drift_ms_per_s=answer.drift_ms_per_s,
    )


def _whole(listener: _Listener, end_s: float) -> LipSyncEstimate:
    """Return what a series says as a whole; a file that fits one window is its last estimate."""
    answered = [
        (t, o, c, share)
        for (t, o, c), share in zip(listener.series, _shares(listener), strict=True)
        if o is not None
    ]
    if listener.last is not None and end_s <= _WINDOW_S:
        return listener.last
    why = [reason for reason, _ in listener.reasons.most_common() if reason]
    if not answered:
        return LipSyncEstimate(
            offset_ms=None,
            confidence=0.0,
            reason=why[0] if why else "too short",
            drift_ms_per_s=None,
        )
    time_s, offset_ms, confidence, share = np.array(answered).T
    confidence = np.clip(confidence, 0.0, _HIGHEST)
    middle_s = end_s / 2.0
    level = _Agreement(offset_ms, confidence, share)
    slope = _slope(time_s, offset_ms, confidence)
    if slope is not None:
        sloping = _Agreement(offset_ms - slope * (time_s - middle_s), confidence, share)
        if sloping.log_odds > level.log_odds + 1.0:  # a line has to be worth its second number
            level = sloping
    answer = LipSyncEstimate(
        offset_ms=level.offset_ms,
        confidence=level.confidence,
        reason="" if level.confidence >= ANSWER else (why[0] if why else "ambiguous"),
        drift_ms_per_s=_fit(time_s[level.agrees], offset_ms[level.agrees]),
    )
    return answer if level.share >= _AGREEMENT else _unsure(answer)


def _shares(listener: _Listener) -> NDArray[np.float64]:
    """Return by which share each window of a series is new."""
    new_s = np.array(listener.new_s)
    first = np.array([t for t, _, _ in listener.series])
    growing = np.cumsum(new_s[first <= first[0] + _WINDOW_S]) if len(first) else new_s
    if not len(growing):
        return new_s
    full = int(np.searchsorted(growing, growing[-1] - 1e-6))
    share = np.minimum(1.0, new_s / _WINDOW_S)
    share[:full], share[full] = 0.0, 1.0
    return share


class _Agreement:
    """The offset that most windows speak for, and how sure they are together."""

    def __init__(
        self,
        offset_ms: NDArray[np.float64],
        confidence: NDArray[np.float64],
        share: NDArray[np.float64],
    ) -> None:
        prior = math.log(_PRIOR / (1.0 - _PRIOR))
        c = np.maximum(confidence, 1e-3)
        speaks_for = np.maximum(0.0, np.log(c / (1.0 - c)) - prior) * share
        speaks_against = np.log1p(-c) * share
        order = np.argsort(offset_ms)
        placed, gain = offset_ms[order], (speaks_for - speaks_against)[order]
        total = np.concatenate([[0.0], np.cumsum(gain)])
        ends = np.searchsorted(placed, placed + _SAME_MS, side="right")
        sums = total[ends] - total[: len(placed)]
        first = int(sums.argmax())
        inside = order[first : ends[first]]
        centre = _weighted_median(offset_ms[inside], speaks_for[inside] + 1e-9)
        self.agrees = np.abs(offset_ms - centre) <= _SAME_MS
        self.offset_ms = _weighted_median(offset_ms[self.agrees], speaks_for[self.agrees] + 1e-9)
        self.log_odds = prior + float(
            speaks_for[self.agrees].sum() + speaks_against[~self.agrees].sum()
        )
        self.confidence = min(_HIGHEST, 1.0 / (1.0 + math.exp(-min(self.log_odds, 50.0))))
        sure = confidence >= ANSWER
        self.share = float(self.agrees[sure].mean()) if sure.any() else 1.0


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    middle = int(np.searchsorted(total, total[-1] / 2.0))
    return float(values[order[min(middle, len(values) - 1)]])


def _slope(
    time_s: NDArray[np.float64], offset_ms: NDArray[np.float64], confidence: NDArray[np.float64]
) -> float | None:
    """Return the Theil-Sen slope of the sure windows in ms per s, of a bounded number of them."""
    sure = np.flatnonzero(confidence >= ANSWER)
    if len(sure) < 2 or time_s[sure[-1]] - time_s[sure[0]] < _DRIFT_FROM_S:
        return None
    sure = sure[np.linspace(0, len(sure) - 1, min(len(sure), _SLOPE_POINTS)).astype(int)]
    t, o = time_s[sure], offset_ms[sure]
    first, second = np.triu_indices(len(t), 1)
    apart = t[second] - t[first] >= _DRIFT_FROM_S / 3.0
    if not apart.any():
        return None
    return float(np.median((o[second] - o[first])[apart] / (t[second] - t[first])[apart]))


def _fit(time_s: NDArray[np.float64], offset_ms: NDArray[np.float64]) -> float | None:
    if len(time_s) < 3 or time_s[-1] - time_s[0] < _DRIFT_FROM_S:
        return None
    return float(np.polyfit(time_s, offset_ms, 1)[0])

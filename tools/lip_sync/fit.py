"""Canonical correlation of sound and mouth, and the logistic confidence.

Canonical correlation (Hotelling 1936) is solved from moments, so that leaving a person out is a
subtraction. Both covariances get a ridge, a share of their mean eigenvalue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from audio_engine.processors.lipsync import (
    AUDIO_FEATURES,
    CUES,
    MOUTH_SIGNALS,
    LipSyncEstimator,
    LipSyncWeights,
)
from tools.key_strokes.logistic import fit_row
from tools.lip_sync import features
from tools.lip_sync.clips import CLEAN, SAMPLE_RATE_HZ, Clip, Window

Doubles = NDArray[np.float64]
RIGHT_MS = 80.0
_RIDGE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a model sees and how it is fitted."""

    signals: tuple[str, ...]
    components: int
    ridge: float  # share of the mean eigenvalue
    dubbed_weight: float  # of a window that has no right answer, in the confidence


#: Found on the dev clips, leaving one person out; README.md has the comparison.
FULL = Recipe(signals=MOUTH_SIGNALS, components=8, ridge=1.0, dubbed_weight=2.0)
GAP = Recipe(signals=MOUTH_SIGNALS[:1], components=5, ridge=0.3, dubbed_weight=3.0)


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over rows of sound x and mouth y."""

    count: float
    x: Doubles
    y: Doubles
    xx: Doubles
    yy: Doubles
    xy: Doubles

    @classmethod
    def of(cls, x: Doubles, y: Doubles) -> Self:
        """Return the moments of some rows."""
        return cls(len(x), x.sum(0), y.sum(0), x.T @ x, y.T @ y, x.T @ y)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.yy + other.yy,
            self.xy + other.xy,
        )


def total(parts: Iterable[Moments]) -> Moments:
    """Return the moments of all rows together."""
    first, *rest = parts
    for part in rest:
        first = first + part
    return first


def clip_moments(clip: Clip, recipe: Recipe) -> Moments:
    """Return the moments of a clip, with the mouths of all its trackers."""
    columns = features.columns_of(recipe.signals)
    bands_db = features.mel_db(clip.sounds[CLEAN], SAMPLE_RATE_HZ)
    parts = []
    for mouth in clip.mouths:
        x, y = features.pairs(bands_db, clip.time_s, mouth, clip.offset_ms)
        parts.append(Moments.of(x, y[:, columns]))
    return total(parts)


def projections(parts: Iterable[Moments], recipe: Recipe) -> tuple[Doubles, Doubles, Doubles]:
    """Return sound's and mouth's projections, (taps * features, components), and correlations."""
    sums = total(parts)
    mean_x, mean_y = sums.x / sums.count, sums.y / sums.count
    white_x = _inverse_root(sums.xx / sums.count - np.outer(mean_x, mean_x), recipe.ridge)
    white_y = _inverse_root(sums.yy / sums.count - np.outer(mean_y, mean_y), recipe.ridge)
    cross = sums.xy / sums.count - np.outer(mean_x, mean_y)
    left, values, right = np.linalg.svd(white_x @ cross @ white_y)
    kept = slice(recipe.components)
    return white_x @ left[:, kept], white_y @ right[kept].T, values[kept]


def _inverse_root(covariance: Doubles, ridge: float) -> Doubles:
    size = len(covariance)
    values, vectors = np.linalg.eigh(
        covariance + ridge * np.trace(covariance) / size * np.eye(size)
    )
    return np.asarray(vectors / np.sqrt(values) @ vectors.T)


def weights_of(
    parts: Iterable[Moments], recipe: Recipe, confidence: Doubles | None = None
) -> LipSyncWeights:
    """Return a model; without a confidence it answers nothing for sure."""
    sound, mouth, correlation = projections(parts, recipe)

    def table(values: Doubles, taps: int, count: int) -> NDArray[np.float32]:
        # A pair's common sign is free: the sound's largest weight is positive.
        signs = np.sign(sound[np.abs(sound).argmax(0), np.arange(recipe.components)])
        shape = (recipe.components, taps, count)
        return np.asarray((values * signs).T.reshape(shape), np.float32)

    return LipSyncWeights(
        signals=recipe.signals,
        audio=table(sound, features.AUDIO_TAPS, AUDIO_FEATURES),
        mouth=table(mouth, features.MOUTH_TAPS, len(recipe.signals)),
        weight=correlation.astype(np.float32),
        confidence=np.asarray(
            np.zeros(len(CUES) + 1) if confidence is None else confidence, np.float32
        ),
        audio_step=features.AUDIO_STEP,
        mouth_step=features.MOUTH_STEP,
    )


def judge(window: Window, weights: LipSyncWeights) -> tuple[Doubles, bool] | None:
    """Return the cues of the engine's estimate and whether it is right; None: no estimate."""
    columns = [MOUTH_SIGNALS.index(name) for name in weights.signals]
    with LipSyncEstimator(
        sample_rate_hz=SAMPLE_RATE_HZ, signals=weights.signals, weights=weights
    ) as estimator:
        estimator.push_audio(window.audio, time_s=0.0)
        estimator.push_mouth(window.time_s, window.mouth[:, columns])
        found_ms = estimator.estimate().offset_ms
        cues = np.array(list(estimator.cues().values())[: len(CUES)])
    if found_ms is None or not np.isfinite(cues).all():
        return None
    truth_ms = window.offset_ms
    return cues, truth_ms is not None and abs(found_ms - truth_ms) <= RIGHT_MS


def logistic(cues: Doubles, right: NDArray[np.bool_], weight: Doubles) -> Doubles:
    """Fit the chance of being right by Newton steps; bias first, then one number per cue."""
    ridge = _RIDGE * len(cues) / weight.sum()  # fit_row takes the mean over the weights
    row = fit_row(cues, right.astype(float), weight, cues.shape[1], ridge)
    return np.asarray(np.r_[row.bias, row.weights])


def confidence_of(
    windows: Sequence[Window], models: dict[str, LipSyncWeights], recipe: Recipe
) -> dict[str, Doubles]:
    """Return a fit for each person left out, and one from everybody under the name ``""``.

    `models` has, for each person, weights that never saw them: only those judge that person.
    """
    judged = [(w, answer) for w in windows if (answer := judge(w, models[w.person])) is not None]
    cues = np.array([answer[0] for _, answer in judged])
    right = np.array([answer[1] for _, answer in judged])
    weight = np.array([recipe.dubbed_weight if w.offset_ms is None else 1.0 for w, _ in judged])
    people = np.array([w.person for w, _ in judged])
    fits = {p: logistic(*(part[people != p] for part in (cues, right, weight))) for p in models}
    return {**fits, "": logistic(cues, right, weight)}

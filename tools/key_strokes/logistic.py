"""The two logistic regressions of ae_transients, their fit, and the header that carries them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tools.key_strokes.features import Heard
from tools.speech_presence.net import Array

Truth = npt.NDArray[np.bool_]

HEAD = """\
/* ae_transients_weights.h - made by tools/key_strokes, not by hand. */
#ifndef AE_TRANSIENTS_WEIGHTS_H
#define AE_TRANSIENTS_WEIGHTS_H

/* clang-format off */
"""
TAIL = """\
/* clang-format on */

#endif
"""
_ROW = re.compile(r"k_(\w+)\[\d+\] = \{([^}]*)\};\s*static const float k_\1_bias = ([^;]*)f;")
KNOWN = 11  # the feature that says how well the room's strokes are known, 0 to 1
FIND_FEATURES = 15  # the first: those that are worth something without a known keyboard
_WARM_HOPS = 30
GATE = 0.3  # of KNOWN: from here on strokes are taken away
_RIDGE = 1e-3
_FIND_ONSET_WEIGHT, _TAKE_ONSET_WEIGHT = 1.5, 6.0  # of a hop in which a word begins


@dataclass
class Row:
    """Log-odds of a stroke: weights . features + bias."""

    weights: Array
    bias: float

    def log_odds(self, features: Array) -> Array:
        """Return the log-odds for each row of features."""
        return np.asarray(features @ self.weights + self.bias)


@dataclass
class Rows:
    """What finds strokes in any room and learns from them; what takes them away."""

    find: Row
    take: Row


def fit_row(
    features: Array, stroke: Array, weight: Array, count: int, ridge: float = _RIDGE
) -> Row:
    """Fit to the first `count` features, by Newton steps on the weighted cross entropy."""
    used = features[:, :count].astype(float)
    mean, scale = used.mean(0), used.std(0) + 1e-6
    rows = np.c_[(used - mean) / scale, np.ones(len(used))]
    ridges = ridge * np.r_[np.ones(count), 1e-6]
    now = np.zeros(count + 1)
    weight = weight / weight.sum()
    for _ in range(25):
        found = 1.0 / (1.0 + np.exp(-np.clip(rows @ now, -30, 30)))
        slope = rows.T @ (weight * (found - stroke)) + ridges * now
        bend = (rows * (weight * found * (1.0 - found))[:, None]).T @ rows + np.diag(ridges + 1e-9)
        now = now - np.linalg.solve(bend, slope)
    weights = np.zeros(features.shape[1])
    weights[:count] = now[:-1] / scale
    return Row(weights, float(now[-1] - weights[:count] @ mean))


def usable(heard: Heard) -> tuple[Array, Array, Truth, Truth]:
    """Return features, stroke, speech and onset of the hops for which the truth is known."""
    kept = (heard.stroke >= 0) & np.any(heard.features != 0.0, axis=-1)
    kept[:, :_WARM_HOPS] = False
    return (
        heard.features[kept],
        heard.stroke[kept].astype(float),
        heard.speech[kept],
        heard.onset[kept],
    )


def fit(heard: Heard) -> Rows:
    """Fit both: one to all hops, the other to those where strokes are known."""
    features, stroke, _, onset = usable(heard)
    lost = onset & (stroke == 0)
    find = np.where(lost, _FIND_ONSET_WEIGHT, 1.0)
    take = np.where(lost, _TAKE_ONSET_WEIGHT, 1.0)
    known = features[:, KNOWN] >= GATE
    return Rows(
        fit_row(features, stroke, find, FIND_FEATURES),
        fit_row(features[known], stroke[known], take[known], features.shape[1]),
    )


def write(path: Path, rows: Rows) -> None:
    """Write a header, usually csrc/ae_transients_weights.h."""
    text = _definition("find", rows.find) + _definition("take", rows.take)
    path.write_text(HEAD + text + TAIL, encoding="utf-8")


def read(path: Path) -> Rows:
    """Read a header."""
    found = {
        name: Row(
            np.array([float(value.strip("f")) for value in body.replace(",", " ").split()]),
            float(bias),
        )
        for name, body, bias in _ROW.findall(path.read_text(encoding="utf-8"))
    }
    return Rows(found["find"], found["take"])


def _definition(name: str, row: Row) -> str:
    words = [_word(value) + "," for value in row.weights.tolist()]
    lines = [" ".join(["   ", *words[i : i + 8]]) for i in range(0, len(words), 8)]
    return (
        f"static const float k_{name}[{len(words)}] = {{\n" + "\n".join(lines) + "\n};\n"
        f"static const float k_{name}_bias = {_word(row.bias)};\n"
    )


def _word(value: float) -> str:
    word = f"{value:.4g}"
    return word + ("f" if "." in word or "e" in word else ".0f")

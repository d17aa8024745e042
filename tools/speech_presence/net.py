"""The classifier behind ae_speech_presence, its training, and the header that carries it into C."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]

HEAD = """\
/* ae_speech_presence_weights.h - made by tools/speech_presence, not by hand. */
#ifndef AE_SPEECH_PRESENCE_WEIGHTS_H
#define AE_SPEECH_PRESENCE_WEIGHTS_H

/* clang-format off */
"""
TAIL = """\
/* clang-format on */

#endif
"""
_ARRAY = re.compile(r"static const float k_(\w+)\[\d+\] = \{([^}]*)\};")
_SPEECH_SHARE = 0.4  # of the time: a talker in a conversation, and the pauses
_EDGE_WEIGHT = 0.3  # of the two hops at a change of the truth: it is known to a hop at best


@dataclass
class Net:
    """p = logistic(output . tanh(hidden . features + hidden_bias) + output_bias).

    Shapes: hidden (features, units), hidden_bias and output (units,), output_bias (1,).
    """

    hidden: Array
    hidden_bias: Array
    output: Array
    output_bias: Array

    def parts(self) -> list[Array]:
        """Return all weights, in the order of the header."""
        return [self.hidden, self.hidden_bias, self.output, self.output_bias]

    def probability(self, features: Array) -> Array:
        """Return the probability of speech for each row of features."""
        units = np.tanh(features @ self.hidden + self.hidden_bias)
        return np.asarray(1.0 / (1.0 + np.exp(-(units @ self.output + self.output_bias[0]))))

    def slope(self, features: Array, speech: Array, weight: Array) -> list[Array]:
        """Return the slope of the weighted cross entropy for each part."""
        units = np.tanh(features @ self.hidden + self.hidden_bias)
        found = 1.0 / (1.0 + np.exp(-(units @ self.output + self.output_bias[0])))
        error = (found - speech) * weight / len(speech)
        back = error[:, None] * self.output * (1.0 - units**2)
        return [features.T @ back, back.sum(0), units.T @ error, error.sum(keepdims=True)]


def importance(speech: npt.NDArray[np.bool_]) -> Array:
    """Return the weight of each hop, shape (scenes, hops), so that _SPEECH_SHARE comes out."""
    share = speech.mean()
    weight = np.where(speech, _SPEECH_SHARE / share, (1.0 - _SPEECH_SHARE) / (1.0 - share))
    changes = speech[:, 1:] != speech[:, :-1]
    weight[:, 1:][changes] *= _EDGE_WEIGHT
    weight[:, :-1][changes] *= _EDGE_WEIGHT
    return np.asarray(weight.astype(np.float32))


def fit(
    features: npt.NDArray[np.float32], speech: npt.NDArray[np.bool_], *, units: int, epochs: int,
    seed: int = 0, rate: float = 4e-3, batch: int = 4096,
) -> Net:  # fmt: skip
    """Fit a net by Adam (Kingma & Ba 2015) with a cosine schedule.

    Parameters
    ----------
    features, speech : ndarray, shape (scenes, hops, count) and (scenes, hops)
        What `features.DataSet` makes.
    units : int
        Size of the hidden layer.
    epochs, seed, rate, batch
        Of the training.
    """
    rng = np.random.default_rng(seed)
    count = features.shape[-1]
    rows = features.reshape(-1, count)
    mean, scale = rows.mean(0), rows.std(0) + 1e-3
    rows = (rows - mean) / scale
    wanted, weight = speech.ravel().astype(np.float32), importance(speech).ravel()
    net = Net(
        rng.standard_normal((count, units)).astype(np.float32) / np.float32(np.sqrt(count)),
        np.zeros(units, np.float32),
        rng.standard_normal(units).astype(np.float32) / np.float32(np.sqrt(units)),
        np.zeros(1, np.float32),
    )
    first = [np.zeros_like(part) for part in net.parts()]
    second = [np.zeros_like(part) for part in net.parts()]
    steps = epochs * (len(rows) // batch)
    order = np.zeros(0, int)
    for step in range(steps):
        order = order if len(order) >= batch else rng.permutation(len(rows))
        chosen, order = order[:batch], order[batch:]
        slopes = net.slope(rows[chosen], wanted[chosen], weight[chosen])
        now = rate * 0.5 * (1.0 + np.cos(np.pi * step / steps))
        for i, part in enumerate(net.parts()):
            first[i] += 0.1 * (slopes[i] - first[i])
            second[i] += 0.001 * (slopes[i] ** 2 - second[i])
            fair = np.sqrt(second[i] / (1.0 - 0.999 ** (step + 1))) + 1e-8
            part[...] -= now * (first[i] / (1.0 - 0.9 ** (step + 1))) / fair
    net.hidden_bias = net.hidden_bias - (mean / scale) @ net.hidden
    net.hidden = net.hidden / scale[:, None]
    return net


def write(path: Path, net: Net) -> None:
    """Write a header, usually csrc/ae_speech_presence_weights.h."""
    sizes = f"enum {{ k_inputs = {len(net.hidden)}, k_units = {len(net.output)} }};\n"
    names = ("hidden", "hidden_bias", "output", "output_bias")
    text = "".join(_definition(n, p.ravel()) for n, p in zip(names, net.parts(), strict=True))
    path.write_text(HEAD + sizes + text + TAIL, encoding="utf-8")


def read(path: Path) -> Net:
    """Read a header."""
    found = {
        name: np.array([float(value.strip("f")) for value in body.replace(",", " ").split()])
        for name, body in _ARRAY.findall(path.read_text(encoding="utf-8"))
    }
    hidden = found["hidden"].reshape(-1, len(found["output"]))
    return Net(hidden, found["hidden_bias"], found["output"], found["output_bias"])


def _definition(name: str, values: Array) -> str:
    words = [f"{value:.4g}" for value in values.tolist()]
    words = [word + ("f," if "." in word or "e" in word else ".0f,") for word in words]
    lines = [" ".join(["   ", *words[i : i + 8]]) for i in range(0, len(words), 8)]
    return f"static const float k_{name}[{len(values)}] = {{\n" + "\n".join(lines) + "\n};\n"

"""Write the net's weights as csrc/ae_echo_net_weights.h, and read them back.

The text is what clang-format leaves alone. Weights are kept as 8-bit numbers with one scale per
output (the largest weight of an output is 127), biases as floats.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Weights = dict[str, Array]

HEAD = """\
/* ae_echo_net_weights.h - the weights of ae_echo_net; made by tools/echo_net, not by hand. */
#ifndef AE_ECHO_NET_WEIGHTS_H
#define AE_ECHO_NET_WEIGHTS_H

#include <stdint.h>

/* clang-format off */
"""
TAIL = """\
/* clang-format on */

#endif
"""
# Each matrix, [inputs][outputs], and the bias that is written behind it.
LAYERS = {
    "dense": "dense_bias",
    "input_gates": "gates_bias",
    "state_gates": "candidate_bias",
    "output": "output_bias",
}
_ARRAY = re.compile(r"static const \w+ k_(\w+)\[\d+\] = \{([^}]*)\};")


def write(path: Path, weights: Weights) -> None:
    """Write a header.

    Parameters
    ----------
    path : Path
        Usually csrc/ae_echo_net_weights.h.
    weights : dict of str to ndarray
        The matrices and biases that LAYERS names.
    """
    dense, state = weights["dense"].shape[1], weights["state_gates"].shape[0]
    parts = [f"enum {{ AE_ECHO_NET_DENSE = {dense}, AE_ECHO_NET_STATE = {state} }};\n"]
    for name, bias in LAYERS.items():
        packed, scale = quantised(weights[name])
        parts += [
            _definition("int8_t", f"{name}_weights", packed.ravel(), str),
            _definition("float", f"{name}_scale", scale, _literal),
            _definition("float", bias, weights[bias], _literal),
        ]
    path.write_text(HEAD + "".join(parts) + TAIL, encoding="utf-8")


def read(path: Path) -> Weights:
    """Read a header; the matrices come back as ae_echo_net unpacks them."""
    text = path.read_text(encoding="utf-8")
    arrays = {
        name: np.array([float(value.rstrip("f")) for value in body.replace(",", " ").split()])
        for name, body in _ARRAY.findall(text)
    }
    weights: Weights = {bias: arrays[bias] for bias in LAYERS.values()}
    for name in LAYERS:
        scale = arrays[f"{name}_scale"]
        weights[name] = arrays[f"{name}_weights"].reshape(-1, len(scale)) * scale
    return weights


def quantised(matrix: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Return the 8-bit weights and the scale of each output (column)."""
    scale = np.abs(matrix).max(0) / 127
    scale[scale == 0] = 1e-9
    return np.clip(np.round(matrix / scale), -127, 127).astype(np.int8), scale


def _literal(value: float) -> str:
    digits = f"{value:.6g}"
    return digits + ("f" if "." in digits or "e" in digits else ".0f")


def _definition(
    kind: str, name: str, values: npt.NDArray[Any], literal: Callable[[Any], str]
) -> str:
    lines = "\n".join(_wrapped(literal(value) + "," for value in values))
    return f"static const {kind} k_{name}[{len(values)}] = {{\n{lines}\n}};\n"


def _wrapped(words: Iterable[str]) -> list[str]:
    lines, line = [], "   "
    for word in words:
        if len(line) + 1 + len(word) > 100:
            lines.append(line)
            line = "   "
        line += " " + word
    return [*lines, line]

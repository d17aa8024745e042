"""Fit the weights of analysis/sound_class anew.

usage, from the project's root:
  python -m tools.sound_class.train --speech DIR --noise DIR [--music DIR]
      audio_engine/analysis/sound_weights.toml

Without --music the pieces of benchmarks/pieces.py are all the music there is: instruments and drums
by formula. Needs scipy; 200 clips of each kind take two minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from audio_engine.analysis.sound_class import KINDS, expanded
from audio_engine.analysis.sound_features import NAMES
from audio_engine.analysis.sound_listener import SoundListener
from tools.sound_class.scenes import RATE_HZ, Recordings, Signal, clips

Rows = NDArray[np.float64]
Kinds = NDArray[np.int64]
_RIDGE = 1e-3


def rows_of(signal: Signal) -> Rows:
    """Return the figures of every step of a clip."""
    with SoundListener(RATE_HZ) as listener:
        heard = listener.add(signal.astype(np.float32)) + listener.finish()
    return np.array([each.figures for each in heard])


def fit(rows: Rows, kinds: Kinds) -> tuple[Rows, Rows, Rows]:
    """Return mean, scale and weights [features, kinds]: least cross entropy, each kind as weighty.

    Parameters
    ----------
    rows : ndarray, shape (steps, figures)
    kinds : ndarray, shape (steps,)
        0 speech, 1 music, 2 noise.
    """
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    known = expanded((rows - mean) / scale)
    truth = np.eye(3)[kinds]
    weight = (truth / truth.sum(axis=0)).sum(axis=1)[:, None] / 3.0
    bound = np.append(np.full(known.shape[1] - 1, _RIDGE), 0.0)[:, None]

    def cost(flat: Rows) -> tuple[float, Rows]:
        weights = flat.reshape(-1, 3)
        odds = known @ weights
        odds -= odds.max(axis=1, keepdims=True)
        likely = np.exp(odds)
        likely /= likely.sum(axis=1, keepdims=True)
        entropy = -np.sum(weight * truth * np.log(likely + 1e-12)) + np.sum(bound * weights**2)
        slope = known.T @ (weight * (likely - truth)) + 2.0 * bound * weights
        return float(entropy), slope.ravel()

    found = minimize(cost, np.zeros(3 * known.shape[1]), jac=True, method="L-BFGS-B")
    return mean, scale, found.x.reshape(-1, 3)


def document(mean: Rows, scale: Rows, weights: Rows) -> str:
    """Return the weights as TOML."""

    def numbers(values: Rows) -> str:
        return "[" + ", ".join(f"{value:.5g}" for value in values) + "]"

    lines = ["# Made by tools/sound_class, not by hand. The figures, in order:"]
    lines += [f"# {', '.join(NAMES)}; then their squares, then one."]
    lines += [f"mean = {numbers(mean)}", f"scale = {numbers(scale)}", "", "[weights]"]
    lines += [f"{kind} = {numbers(row)}" for kind, row in zip(KINDS[:3], weights.T, strict=True)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.sound_class.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--speech", type=Path, required=True, help="folder of clean speech")
    parser.add_argument("--noise", type=Path, required=True, help="folder of noise without speech")
    parser.add_argument("--music", type=Path, help="folder of music")
    parser.add_argument("--clips", type=int, default=200, help="of each kind (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="another one: other clips")
    parser.add_argument("weights", type=Path, help="TOML file to write")
    options = parser.parse_args()
    speech, noise = Recordings(options.speech), Recordings(options.noise)
    made = clips(options.clips, speech, noise, Recordings(options.music), options.seed)
    parts = [(rows_of(clip.signal)[clip.heard], clip.kind) for clip in made]
    rows = np.concatenate([part for part, _ in parts])
    kinds = np.concatenate([np.full(len(part), kind) for part, kind in parts])
    mean, scale, weights = fit(rows, kinds)
    options.weights.write_text(document(mean, scale, weights), encoding="utf-8")
    told = np.argmax(expanded((rows - mean) / scale) @ weights, axis=1)
    for kind, name in enumerate(KINDS[:3]):
        print(f"{name}: {100.0 * np.mean(told[kinds == kind] == kind):.1f} % of the steps right")


if __name__ == "__main__":
    main()

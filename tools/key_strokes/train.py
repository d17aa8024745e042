"""Fit ae_transients anew: make scenes, run the suppressor over them, fit the weights.

usage, from the project's root:
  python -m tools.key_strokes.train --speech DIR --noise DIR csrc/ae_transients_weights.h

The header must exist: what is heard of a room's strokes follows from the weights that find them, so
the fit starts from the old ones and goes several times. Needs a C compiler, speech and noise
recordings, 1 MB of memory per scene and, per job, 120 MB per hour of recordings. A scene takes
0.3 s, so 500 scenes are made in a minute by two cores; a round takes 15 s more.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tools.key_strokes import logistic
from tools.key_strokes.features import DataSet, Heard, hear
from tools.speech_presence.train import area_under_curve


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.key_strokes.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--speech", type=Path, required=True, help="folder of clean speech")
    parser.add_argument("--noise", type=Path, required=True, help="folder of noise without speech")
    parser.add_argument("--scenes", type=int, default=500, help="of 10 s each (default: 500)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--seed", type=int, default=1, help="another one: other scenes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="(default: all cores)")
    parser.add_argument("weights", type=Path, help="header to start from and to write")
    return parser


def report(name: str, row: logistic.Row, heard: Heard, known: bool) -> str:
    """Return how well one regression does on scenes it has not seen."""
    features, stroke, speech, onset = logistic.usable(heard)
    if known:
        gate = features[:, logistic.KNOWN] >= logistic.GATE
        features, stroke = features[gate], stroke[gate]
        speech, onset = speech[gate], onset[gate]
    odds, none = row.log_odds(features), stroke == 0
    if none.all() or not none.any():
        return f"{name}: no strokes, or nothing else"

    def share(hops: npt.NDArray[np.bool_]) -> str:
        return f"{100 * float(np.mean(odds[hops] > 0)) if hops.any() else 0.0:.2f} %"

    return (
        f"{name}: area under the curve {area_under_curve(odds, ~none):.4f}, "
        f"strokes found {share(~none)}, taken for strokes: speech {share(none & speech)}, "
        f"onsets of words {share(none & onset)}, the rest {share(none & ~speech & ~onset)}"
    )


def main() -> None:
    """Run the command line."""
    options = arguments().parse_args()
    scenes = DataSet(
        speech=options.speech,
        noise=options.noise,
        scenes=options.scenes,
        seed=options.seed,
        jobs=max(1, min(options.jobs, options.scenes)),
    ).make()
    kept_back = max(1, options.scenes // 10)
    for _ in range(options.rounds):
        heard = hear(scenes, options.weights.resolve())
        logistic.write(options.weights, logistic.fit(heard.of(slice(kept_back, None))))
        rows, unseen = logistic.read(options.weights), heard.of(slice(kept_back))
        print(report("find", rows.find, unseen, False))
        print(report("take", rows.take, unseen, True), flush=True)


if __name__ == "__main__":
    main()

"""Fit ae_speech_presence anew: make scenes, run the suppressor over them, fit the weights.

usage, from the project's root:
  python -m tools.speech_presence.train --speech DIR --noise DIR csrc/ae_speech_presence_weights.h

Needs a C compiler, speech and noise recordings and, per job, 120 MB of memory per hour of
recordings. A scene takes 0.2 s, so 2000 scenes are made in four minutes by two cores; the fit takes
half a minute more.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from tools.speech_presence import net
from tools.speech_presence.features import DataSet


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.speech_presence.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--speech", type=Path, required=True, help="folder of clean speech")
    parser.add_argument("--noise", type=Path, required=True, help="folder of noise without speech")
    parser.add_argument("--scenes", type=int, default=2000, help="of 10 s each (default: 2000)")
    parser.add_argument("--seed", type=int, default=1, help="another one: other scenes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="(default: all cores)")
    parser.add_argument("--units", type=int, default=12, help="of the hidden layer (default: 12)")
    parser.add_argument("--epochs", type=int, default=12, help="(default: 12)")
    parser.add_argument("weights", type=Path, help="header to write")
    return parser


def area_under_curve(scores: net.Array, truth: npt.NDArray[np.bool_]) -> float:
    """Return how often speech scores higher than the rest (Mann & Whitney 1947)."""
    speech = int(truth.sum())
    ranks = float(rankdata(scores)[truth].sum())
    return (ranks - speech * (speech + 1) / 2) / (speech * (len(truth) - speech))


def main() -> None:
    """Run the command line."""
    options = arguments().parse_args()
    features, speech = DataSet(
        speech=options.speech,
        noise=options.noise,
        scenes=options.scenes,
        seed=options.seed,
        jobs=max(1, min(options.jobs, options.scenes)),
    ).make()
    kept_back = max(1, len(speech) // 20)
    fitted = net.fit(
        features[kept_back:], speech[kept_back:], units=options.units, epochs=options.epochs
    )
    net.write(options.weights, fitted)
    found = net.read(options.weights).probability(features[:kept_back])
    truth = speech[:kept_back]
    print(f"scenes kept back: {kept_back}")
    print(f"area under the curve: {area_under_curve(found.ravel(), truth.ravel()):.3f}")
    print(f"at 0.5: {100 * np.mean(found[truth] < 0.5):.1f} % of the speech missed, ", end="")
    print(f"{100 * np.mean(found[~truth] >= 0.5):.1f} % of the rest taken for speech")


if __name__ == "__main__":
    main()

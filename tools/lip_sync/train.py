"""Train the lip-sync estimator anew: projections, confidence, the header that carries them.

usage, from the project's root:
  python -m tools.lip_sync.train --clips DIR --manifest FILE csrc/ae_lipsync_weights.h
  python -m tools.lip_sync.train --clips DIR --manifest FILE --leave-one-out DIR

The first writes the shipped weights, from everybody. The second writes, for each person, weights
that never saw that person, for an honest judgement (leave_one_out.py). README.md says what the
folder and the manifest hold. A minute on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from audio_engine.processors.lipsync import LipSyncWeights
from tools.lip_sync import fit, header
from tools.lip_sync.clips import Clip, draw_window, read_clips

MODELS = {"full": fit.FULL, "gap": fit.GAP}


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.lip_sync.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--clips", type=Path, required=True, help="folder with clips/ and mouth/")
    parser.add_argument("--manifest", type=Path, required=True, help="who is in them, how late")
    parser.add_argument("--windows", type=int, default=2500, help="for the confidence")
    parser.add_argument("--seed", type=int, default=1, help="of the windows")
    parser.add_argument("--leave-one-out", type=Path, help="folder for a model per person")
    parser.add_argument("header", type=Path, nargs="?", help="the header to write")
    return parser


def train(
    clips: list[Clip], recipe: fit.Recipe, windows: int, seed: int
) -> dict[str, LipSyncWeights]:
    """Return weights for each person left out, and those from everybody under the name ``""``."""
    moments = {clip.name: fit.clip_moments(clip, recipe) for clip in clips}

    def without(person: str) -> list[fit.Moments]:
        return [moments[clip.name] for clip in clips if clip.person != person]

    people = sorted({clip.person for clip in clips})
    models = {person: fit.weights_of(without(person), recipe) for person in people}
    rng = np.random.default_rng(seed)
    drawn = [draw_window(rng, clips, 1 / 3) for _ in range(windows)]
    confidence = fit.confidence_of(drawn, models, recipe)
    return {
        person: fit.weights_of(without(person), recipe, confidence[person])
        for person in (*people, "")
    }


def main() -> None:
    """Run the command line."""
    parser = arguments()
    options = parser.parse_args()
    if (options.header is None) == (options.leave_one_out is None):
        parser.error("give a header to write, or --leave-one-out DIR")
    clips = read_clips(options.clips, options.manifest)
    trained = {
        name: train(clips, recipe, options.windows, options.seed) for name, recipe in MODELS.items()
    }
    if options.header is not None:
        header.write(options.header, {name: models[""] for name, models in trained.items()})
        return
    options.leave_one_out.mkdir(parents=True, exist_ok=True)
    for name, models in trained.items():
        for person, weights in models.items():
            if person:
                weights.save(options.leave_one_out / f"{name}-{person}.npz")


if __name__ == "__main__":
    main()

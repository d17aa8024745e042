"""Judge a net on speakers and kinds of noise that it never heard.

usage: python -m training.evaluate NET --material DIR

For each kind of noise and SNR, of classical stages and net together: by how much the waveform gets
nearer to the target (dB; in brackets what the classical stages alone give), how far noise goes down
where nobody speaks (dB), how much of loud speech is lost (dB), and how well the net's speech
probability tells speech from pauses (area under the curve). Below 8 kHz, no far end.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata

from training.enhance import Enhancer
from training.front import front
from training.mix import Clips
from training.sounds import ratio
from training.spectrum import Array

_SNRS_DB = (0, 5, 15)
_SHARE = 1e-3  # of the loudest: what counts as loud speech


def area_under_curve(score: Array, truth: Array) -> float:
    """Return how often speech has the higher score of a random pair of speech and pause."""
    speech = truth > 0.5
    ranks = rankdata(score)
    yes, no = speech.sum(), (~speech).sum()
    return float((ranks[speech].sum() - yes * (yes + 1) / 2) / max(1, yes * no))


class Judge:
    """The held-out material and a net."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.enhancer = Enhancer(path)
        self.heard, self.target, self.noise = (
            Clips(folder / "valid", name) for name in ("heard", "target", "noise")
        )
        self.kinds = [str(kind) for kind in self.noise.more["kinds"]]

    def spectra(self, mixed: Array) -> tuple[Array, Array, Array]:
        """Return what the classical stages leave, what the net makes of it, and its probability."""
        before, after = front(np.stack([mixed.real, mixed.imag], -1), 1.0)
        left = (after[..., 0] + 1j * after[..., 1]).astype(np.complex64)
        return left, *self.enhancer.behind(left, before, 16000)

    def one(self, i: int, j: int, snr_db: float) -> dict[str, Array | float]:
        """Mix one clip of speech with one of noise and measure what the net makes of it."""
        hops = self.heard.high.shape[1]
        heard, target, noise = (
            torch.view_as_complex(clips.take(k, 0, hops)).numpy()
            for clips, k in ((self.heard, i), (self.target, i), (self.noise, j))
        )
        mixed = 0.05 * (heard + ratio(-snr_db) * noise)
        target = 0.05 * target
        left, out, voice = self.spectra(mixed)
        speech = self.heard.more["label"][i] > 0
        wanted = np.abs(target) ** 2
        loud = wanted > _SHARE * wanted.max()
        pause = ~speech
        pause[:20] = False
        error_before, error_left, error = (
            (np.abs(x - target) ** 2).sum() for x in (mixed, left, out)
        )
        found: dict[str, Array | float] = {
            "nearer": _db(error_before / error),
            "classical": _db(error_before / error_left),
            "lost": _db(wanted[loud].sum() / (np.abs(out[loud]) ** 2).sum()),
            "voice": voice,
            "speech": speech,
        }
        if pause.sum() > 30:
            found["down"] = _db(
                (np.abs(mixed[pause]) ** 2).sum() / ((np.abs(out[pause]) ** 2).sum() + 1e-12)
            )
        return found


def _db(power_ratio: float) -> float:
    return float(10 * np.log10(power_ratio + 1e-12))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("net", type=Path)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--each", type=int, default=6, help="clips of each kind")
    options = parser.parse_args()
    judge = Judge(options.net, options.material)
    rng = np.random.default_rng(9)
    print(f"{'noise':34s} snr_db nearer_db (alone) down_db lost_db  auc")
    for kind in sorted(set(judge.kinds)):
        mine = [j for j, k in enumerate(judge.kinds) if k == kind]
        for snr_db in _SNRS_DB:
            found = [
                judge.one(int(rng.integers(len(judge.heard))), mine[n % len(mine)], snr_db)
                for n in range(options.each)
            ]
            near, alone, down, lost = (
                float(np.mean([f[key] for f in found if key in f]))
                for key in ("nearer", "classical", "down", "lost")
            )
            area = area_under_curve(
                *(np.concatenate([f[k] for f in found]) for k in ("voice", "speech"))
            )
            row = f"{kind:34s} {snr_db:6d} {near:9.1f} ({alone:5.1f}) {down:7.1f} {lost:7.2f}"
            print(f"{row} {area:5.3f}")


if __name__ == "__main__":
    main()

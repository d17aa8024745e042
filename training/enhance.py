"""Run a trained net over a signal as the engine would: spectrum, features, gains, back.

usage: python -m training.enhance NET IN.wav OUT.wav
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile
import torch

from training import net, spectrum
from training.spectrum import Array


class Enhancer:
    """A net with its weights. One hop (10 ms) of delay besides the block of 10 ms."""

    def __init__(self, path: Path, least_gain_db: float = -60.0) -> None:
        held = torch.load(path, weights_only=True)
        self.shape = net.Shape(**held["shape"])
        self.net = net.make(self.shape)
        self.net.load_state_dict(held["weights"])
        self.net.eval()
        self.least = 10 ** (least_gain_db / 20)

    def hears(self, spectra: Array, rate_hz: int) -> Array:
        """Return the features of spectra (hops, bins)."""
        low = np.zeros((len(spectra), spectrum.BINS), np.float32)
        count = min(spectrum.BINS, spectra.shape[1])
        low[:, :count] = np.abs(spectra[:, :count]) ** 2
        level = spectrum.levels(low.mean(-1))
        points = self.shape.points
        high = spectrum.high_powers(spectra, rate_hz)
        return spectrum.features(points, points.sums(low), high, level)

    def process(self, x: Array, rate_hz: int) -> tuple[Array, Array]:
        """Return the enhanced signal, one hop late, and the speech probability per hop."""
        hop = rate_hz // spectrum.HOPS_PER_S
        padded = np.concatenate([x, np.zeros(-len(x) % hop, np.float32)]).astype(np.float32)
        spectra = spectrum.analyse(padded, rate_hz)
        points = self.shape.points
        low = torch.view_as_real(torch.from_numpy(spectra[:, : points.singles].copy()))[None]
        with torch.no_grad():
            logits, voice, filters = self.net(
                torch.from_numpy(self.hears(spectra, rate_hz))[None], low
            )
            gain = torch.sigmoid(logits).clamp_min(self.least)
        out = spectra * self._per_bin(gain[0].numpy(), spectra.shape[1], rate_hz)
        if filters is not None:
            clean = net.filtered(low, filters, gain[..., : points.singles])[0]
            out[:, : points.singles] = torch.view_as_complex(clean.contiguous()).numpy()
        return spectrum.synthesise(out, rate_hz)[: len(x)], torch.sigmoid(voice)[0].numpy()

    def _per_bin(self, gain: Array, bins: int, rate_hz: int) -> Array:
        """Return the gain of each bin; the last point reached goes on to the end."""
        per_bin = np.empty((len(gain), bins), np.float32)
        count = min(bins, spectrum.BINS)
        per_bin[:, :count] = self.shape.points.spread(gain)[:, :count]
        per_bin[:, count:] = per_bin[:, count - 1 : count]
        if bins > spectrum.BINS + 1:
            bin_hz = rate_hz / spectrum.shape(rate_hz)[2]
            for band, start_hz in enumerate(spectrum.HIGH_EDGES_HZ[:-1]):
                per_bin[:, round(start_hz / bin_hz) :] = gain[:, self.shape.points.low + band, None]
        return per_bin


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("net", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    x, rate_hz = soundfile.read(options.source, dtype="float32", always_2d=True)
    y, _ = Enhancer(options.net).process(x[:, 0], rate_hz)
    soundfile.write(options.target, y, rate_hz, subtype="FLOAT")


if __name__ == "__main__":
    main()

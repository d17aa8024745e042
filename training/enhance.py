"""Run a trained net over a signal as the engine does: classical stages, features, net, back.

usage: python -m training.enhance NET IN.wav OUT.wav
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
import torch

from training import net, spectrum
from training.front import front_signal
from training.spectrum import NOTHING, Array

LEAST_GAIN_DB = -60.0  # classical stages and net together: the engine at its limit of 40 dB


class Enhancer:
    """A net with its weights, behind the classical stages. One hop (10 ms) of delay."""

    def __init__(self, path: Path, least_gain_db: float = LEAST_GAIN_DB) -> None:
        self.net = net.load(path)
        self.shape = self.net.shape
        self.least = 10 ** (least_gain_db / 20)

    def hears(self, left: Array, before: Array, rate_hz: int) -> tuple[Array, Array]:
        """Return features and features aside, no far end, of what the stages left and heard."""
        points = self.shape.points
        power = np.square(left.real) + np.square(left.imag)
        level = spectrum.levels(_below_8_khz(power).mean(-1))
        after, heard = (
            spectrum.features(
                points, points.sums(_below_8_khz(p)), spectrum.high_sums(p, rate_hz), level
            )
            for p in (power, before)
        )
        aside = np.full((*after.shape, self.shape.aside), NOTHING, np.float32)
        aside[..., 0] = heard
        return after, aside

    def behind(
        self, left: Array, before: Array, rate_hz: int, gain: Array | float = 1.0
    ) -> tuple[Array, Array]:
        """Return what the net makes of the stages' output, and the speech probability per hop.

        Parameters
        ----------
        left : ndarray of complex64, shape (hops, bins)
            What the classical stages leave.
        before, gain : ndarrays of float32, shape (hops, bins)
            Power that they heard, and their gain; the least gain is for both together.
        """
        hears, aside = self.hears(left, before, rate_hz)
        singles = self.shape.singles
        hop, _, size = spectrum.shape(rate_hz)
        # At 44.1 kHz a bin's phase goes on by less than where the net learned: turned to be alike.
        more = spectrum.BIN_HZ / spectrum.HOPS_PER_S - hop / size
        hops, bins = np.arange(len(left))[:, None], np.arange(singles)
        turn = np.exp(2j * np.pi * ((more * hops * bins) % 1)).astype(np.complex64)
        low = torch.view_as_real(torch.from_numpy(left[:, :singles] * turn))[None]
        with torch.no_grad():
            logits, voice, filters = self.net(
                torch.from_numpy(hears)[None], low, torch.from_numpy(aside)[None]
            )
            per_bin = self._per_bin(torch.sigmoid(logits)[0].numpy(), left.shape[1], rate_hz)
            per_bin = np.maximum(per_bin, np.minimum(1, self.least / np.maximum(gain, 1e-6)))
            out = left * per_bin
            if filters is not None:
                sharp = torch.from_numpy(per_bin[None, :, :singles].astype(np.float32))
                clean = net.filtered(low, filters, sharp)[0].contiguous()
                out[:, :singles] = torch.view_as_complex(clean).numpy() / turn
        return np.asarray(out, np.complex64), torch.sigmoid(voice)[0].numpy()

    def process(self, x: Array, rate_hz: int) -> tuple[Array, Array]:
        """Return the enhanced signal, one hop late, and the speech probability per hop."""
        hop = rate_hz // spectrum.HOPS_PER_S
        padded = np.concatenate([x, np.zeros(-len(x) % hop)])
        heard = front_signal(padded, rate_hz)
        out, voice = self.behind(heard.after, heard.before, rate_hz, heard.gain)
        return spectrum.synthesise(out, rate_hz)[: len(x)], voice

    def _per_bin(self, gain: Array, bins: int, rate_hz: int) -> Array:
        """Return the gain of each bin; the last point reached goes on to the end."""
        per_bin = np.empty((len(gain), bins), np.float32)
        count = min(bins, spectrum.BINS)
        per_bin[:, :count] = self.shape.points.spread(gain)[:, :count]
        per_bin[:, count:] = per_bin[:, count - 1 : count]
        bin_hz = rate_hz / spectrum.shape(rate_hz)[2]
        for band, (start_hz, end_hz) in enumerate(pairwise(spectrum.HIGH_EDGES_HZ)):
            if round(end_hz / bin_hz) < bins:
                per_bin[:, round(start_hz / bin_hz) :] = gain[:, self.shape.points.low + band, None]
        return per_bin


def _below_8_khz(power: Array) -> Array:
    out = np.zeros((len(power), spectrum.BINS), np.float32)
    count = min(spectrum.BINS, power.shape[1])
    out[:, :count] = power[:, :count]
    return out


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

"""Mix clips of the material into batches: what the nets hear, and what they are judged by.

All of it happens on spectra: levels, equalisers, band limits, steps of the noise. Powers are
relative to the talker's level. Scenes with a loudspeaker (`echo_scenes`) have been through the
classical stages already and only get another equaliser.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training import spectrum
from training.front import front
from training.sounds import Random, ratio
from training.spectrum import Array, Points

_BIN_HZ = np.arange(spectrum.BINS) * spectrum.BIN_HZ
_OCTAVES = np.log2(np.maximum(_BIN_HZ, spectrum.BIN_HZ) / 1000)

ASIDE = 3  # features per point besides: before the classical stages, echo estimate, far end

_LEAST_SPEECH = 0.05  # of a clip's hops
_SCENE_PLANES = ("spectra", "target", "before", "echo", "far")
_SCENE_SHARE = 0.25  # of the sequences, where the material holds scenes


@dataclass(frozen=True)
class Batch:
    """One batch: (sequences, hops, ...).

    hears: the nets' input, (points,); aside: more of it, (points, ASIDE). mixed, wanted: power of
    the mixture and of the target over each point; shared: real part of their product. low_mixed,
    low_wanted: the single bins themselves, real and imaginary part on a last axis. speech: 1 where
    somebody speaks.
    """

    hears: Tensor
    aside: Tensor
    mixed: Tensor
    wanted: Tensor
    shared: Tensor
    low_mixed: Tensor
    low_wanted: Tensor
    speech: Tensor


@dataclass(frozen=True)
class _Sequence:
    """One sequence of a batch, behind the classical stages: (hops, ...).

    left, wanted: bins of what they leave and of the target. before, echo, far: power per bin of
    what they heard, of the echo estimate and of the far end (None: no far end). *_high: powers
    over 8 kHz. loudness: what to multiply by to have what the microphone gives.
    """

    left: Tensor
    wanted: Tensor
    before: Array
    echo: Array | None
    far: Array | None
    before_high: Array
    wanted_high: Array
    speech: Array
    loudness: float


class Scenes:
    """Clips with a loudspeaker, mapped from disk; none where the material holds none."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("scene[0-9]*.npz"))
        self.parts = [
            {n: np.load(p.with_suffix(f".{n}.npy"), mmap_mode="r") for n in _SCENE_PLANES}
            for p in paths
        ]
        more = [np.load(p) for p in paths]
        self.where = [(part, i) for part, m in enumerate(more) for i in range(len(m["level"]))]
        self.level = [float(x) for m in more for x in m["level"]]
        self.label = [row for m in more for row in m["label"]]

    def __len__(self) -> int:
        return len(self.where)

    def draw(self, rng: Random, hops: int) -> _Sequence:
        """Return hops of one clip, as another microphone and another loudspeaker colour it."""
        n = int(rng.integers(len(self)))
        part, i = self.where[n]
        start = int(rng.integers(0, len(self.label[n]) - hops + 1))
        piece = {
            name: np.array(plane[i, start : start + hops], np.float32)
            for name, plane in self.parts[part].items()
        }
        curve, far_curve = _curve(rng, 2.0, 0.7), _curve(rng, 2.0, 0.7)
        if rng.random() < 0.5:
            curve = curve * _band_limit(rng)[0]
        before, echo, far = (
            10 ** (piece[name] / 10) * edge**2
            for name, edge in (("before", curve), ("echo", curve), ("far", far_curve))
        )
        high = np.zeros((hops, spectrum.HIGH_BANDS), np.float32)
        return _Sequence(
            left=torch.from_numpy(piece["spectra"] * curve[:, None]),
            wanted=torch.from_numpy(piece["target"] * curve[:, None]),
            before=before,
            echo=echo,
            far=far,
            before_high=high,
            wanted_high=high,
            speech=self.label[n][start : start + hops].astype(np.float32),
            loudness=self.level[n],
        )


class Clips:
    """Clips of all parts of one kind, mapped from disk."""

    def __init__(self, folder: Path, name: str) -> None:
        paths = sorted(folder.glob(f"{name}[0-9]*.spectra.npy"))
        paths = [
            p for p in paths if (folder / (p.name.removesuffix(".spectra.npy") + ".npz")).exists()
        ]
        self.parts = [np.load(p, mmap_mode="r") for p in paths]
        more = [np.load(folder / (p.name.removesuffix(".spectra.npy") + ".npz")) for p in paths]
        self.high = np.concatenate([m["high"] for m in more])
        self.more = {k: np.concatenate([m[k] for m in more]) for k in more[0].files if k != "high"}
        self.starts = np.cumsum([0] + [len(p) for p in self.parts])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def take(self, i: int, start: int, hops: int) -> Tensor:
        """Return hops of one clip: (hops, bins, 2)."""
        part = int(np.searchsorted(self.starts, i, "right")) - 1
        piece = np.array(self.parts[part][i - self.starts[part], start : start + hops])
        return torch.from_numpy(piece).float()


def _curve(rng: Random, spread_db: float, tilt_db: float) -> Array:
    """Return a smooth random equaliser per bin, an amplitude ratio."""
    knots = np.linspace(-5, 3, 7)
    curve_db = (
        np.interp(_OCTAVES, knots, rng.normal(0, spread_db, 7)) + rng.normal(0, tilt_db) * _OCTAVES
    )
    return np.asarray(10 ** (np.clip(curve_db, -30, 15) / 20), np.float32)


def _band_limit(rng: Random) -> tuple[Array, bool]:
    """Return what a band limit leaves per bin, and whether anything over 8 kHz is left."""
    draw = rng.random()
    gain = np.ones(spectrum.BINS, np.float32)
    if draw < 0.15:  # 8 kHz sampling
        gain[rng.uniform(3300, 3950) < _BIN_HZ] = 0
        gain[128:] = 0
    elif draw < 0.25:
        corner_hz = rng.uniform(2500, 7800)
        gain = (1 / np.sqrt(1 + (_BIN_HZ / corner_hz) ** (2 * rng.integers(2, 10)))).astype(
            np.float32
        )
    if rng.random() < 0.3:  # a microphone or a call without bass
        corner_hz = rng.uniform(40, 350)
        gain = gain / np.sqrt(1 + (corner_hz / np.maximum(_BIN_HZ, 1)) ** (2 * rng.integers(1, 5)))
    return np.asarray(gain, np.float32), draw >= 0.25


def _products(a: Tensor, b: Tensor) -> Array:
    """Return the real part of a times b's conjugate, per bin."""
    both = a * b
    return np.asarray(both[..., 0].add(both[..., 1]).numpy())


class Mixer:
    """Draws batches; a seed and a step number always give the same one."""

    def __init__(self, folder: Path, points: Points, hops: int) -> None:
        self.points, self.hops = points, hops
        self.heard, self.target, self.noise = (
            Clips(folder, n) for n in ("heard", "target", "noise")
        )
        self.scenes = Scenes(folder)
        self.spoken = np.flatnonzero(self.heard.more["label"].mean(1) > _LEAST_SPEECH)

    def _noise(self, rng: Random) -> tuple[Tensor, Array, bool]:
        """Return noise of level 1, its high-band powers, and whether it is wide."""
        total: Tensor | None = None
        high = np.zeros((self.hops, spectrum.HIGH_BANDS), np.float32)
        wide = True
        for n in range(2 if rng.random() < 0.3 else 1):
            i = int(rng.integers(len(self.noise)))
            start = int(rng.integers(0, self.noise.high.shape[1] - self.hops + 1))
            gain = 1.0 if n == 0 else ratio(rng.uniform(-15, 3))
            curve = gain * _curve(rng, 3.0, 1.0)
            piece = self.noise.take(i, start, self.hops).mul_(torch.from_numpy(curve)[:, None])
            high = high + gain**2 * self.noise.high[i, start : start + self.hops] * curve[-1] ** 2
            wide = wide and bool(self.noise.more["wide"][i])
            total = piece if total is None else total + piece
        assert total is not None
        return total, high, wide

    def _one(self, rng: Random) -> _Sequence:
        """Return one sequence, a scene or a mixture."""
        if len(self.scenes) and rng.random() < _SCENE_SHARE:
            return self.scenes.draw(rng, self.hops)
        return self._mixture(rng)

    def _mixture(self, rng: Random) -> _Sequence:
        """Return speech in noise, no far end."""
        hops = self.hops
        i = int(rng.choice(self.spoken))
        start = int(rng.integers(0, self.heard.high.shape[1] - hops + 1))
        limit, wide = _band_limit(rng)
        voice_curve = _curve(rng, 2.0, 0.7)
        edge = float(voice_curve[-1]) ** 2
        curve = torch.from_numpy(voice_curve * limit)[:, None]
        heard = self.heard.take(i, start, hops).mul_(curve)
        target = self.target.take(i, start, hops).mul_(curve)
        heard_high = self.heard.high[i, start : start + hops] * edge
        target_high = self.target.high[i, start : start + hops] * edge
        speech = self.heard.more["label"][i, start : start + hops].astype(np.float32)
        wide = wide and bool(self.heard.more["wide"][i])
        noise, noise_high, noise_wide = self._noise(rng)
        wide = wide and noise_wide
        draw = rng.random()
        snr_db = float(rng.uniform(-6, 22))
        if draw < 0.06:  # nobody speaks
            heard, target = torch.zeros_like(heard), torch.zeros_like(target)
            heard_high, target_high, speech = 0 * heard_high, 0 * target_high, 0 * speech
        elif draw < 0.14:
            snr_db = float(rng.uniform(25, 60))
        elif draw < 0.17:
            snr_db = 200.0
        gain = np.full(hops, ratio(-snr_db), np.float32)
        if rng.random() < 0.12:  # a fan is switched on, a window closed
            gain[int(rng.integers(20, hops - 20)) :] *= ratio(rng.uniform(-15, 15))
        noise.mul_(torch.from_numpy(gain)[:, None, None]).mul_(torch.from_numpy(limit)[:, None])
        noise_high = noise_high * gain[:, None] ** 2
        mixed = heard.add_(noise)
        mixed_high, target_high = (heard_high + noise_high) * wide, target_high * wide
        loudness = ratio(rng.uniform(-45, -8))
        before, left = front(mixed.numpy(), loudness)
        return _Sequence(
            left=torch.from_numpy(left),
            wanted=target,
            before=before,
            echo=None,
            far=None,
            before_high=mixed_high,
            wanted_high=target_high,
            speech=speech,
            loudness=loudness,
        )

    def batch(self, seed: int, step: int, sequences: int) -> Batch:
        """Return the batch of one step."""
        rng = np.random.default_rng([seed, step])
        drawn = [self._one(rng) for _ in range(sequences)]
        mixed, target = (torch.stack([getattr(d, n) for d in drawn]) for n in ("left", "wanted"))
        before, before_high, target_high, speech = (
            np.stack([getattr(d, n) for d in drawn])
            for n in ("before", "before_high", "wanted_high", "speech")
        )
        power, wanted, shared = (
            _products(a, b) for a, b in ((mixed, mixed), (target, target), (mixed, target))
        )
        points = self.points
        sums, sums_before = points.sums(power), points.sums(before)
        kept = (sums[..., -1:] + 1e-20) / (sums_before[..., -1:] + 1e-20)
        mixed_high = before_high * np.minimum(kept, 1)
        scale = np.array([d.loudness for d in drawn], np.float32)[:, None] ** 2
        level = spectrum.levels(power.mean(-1) * scale) / scale
        hears = spectrum.features(points, sums, mixed_high, level)
        aside = np.full((*hears.shape, ASIDE), spectrum.NOTHING, np.float32)
        aside[..., 0] = spectrum.features(points, sums_before, before_high, level)
        for n, d in enumerate(drawn):
            for which, beside in ((1, d.echo), (2, d.far)):
                if beside is not None:
                    high = np.zeros_like(d.before_high)
                    sums_beside = points.sums(beside)
                    aside[n, ..., which] = spectrum.features(points, sums_beside, high, level[n])

        def joined(low: Array, high: Array) -> Tensor:
            return torch.from_numpy(np.concatenate([low, high], -1))

        return Batch(
            hears=torch.from_numpy(hears),
            aside=torch.from_numpy(aside),
            mixed=joined(sums, mixed_high),
            wanted=joined(points.sums(wanted), target_high),
            shared=joined(points.sums(shared), target_high),
            low_mixed=mixed[..., : points.singles, :],
            low_wanted=target[..., : points.singles, :],
            speech=torch.from_numpy(speech),
        )

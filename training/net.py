"""The nets, small enough for a hop to cost tens of microseconds in plain C, and their loss.

All hear the features of this hop and of the one before (`spectrum.features`), and answer with an
amplitude gain per point and the probability of speech. Those with taps also hear how the phase of
each single bin went on since the hop before, and filter each single bin over its last hops: noisy
phase is what a gain alone leaves, and it costs more quality than anything else. Only dense layers,
strided convolutions over frequency and gated recurrent layers (the form with the reset gate behind
the product) are used.

Shaped like the sub-band and full-band nets of Hao et al. 2021 (FullSubNet) and Schröter et al. 2022
(DeepFilterNet, complex filters for single bins), but much smaller, and behind classical stages.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.gru import Gru
from training.mix import Batch
from training.spectrum import BIN_HZ, HOPS_PER_S, NOTHING, Points


@dataclass(frozen=True)
class Shape:
    """How wide a net is.

    Convolutions to a quarter of the points with `channels` each; `layers` times a recurrent layer
    shared by all sub-bands, then one of `full` across them; convolutions back.
    taps: complex filter taps for each single bin besides the gain (0: none).
    aside: further features per point, as of the echo estimate and the far end.
    """

    singles: int = 64
    channels: int = 16
    full: int = 48
    layers: int = 2
    taps: int = 0
    aside: int = 0

    @property
    def points(self) -> Points:
        """The net's points."""
        return Points(self.singles)


def before(x: Tensor) -> Tensor:
    """Return `x` one hop late; nothing was heard before the first."""
    return torch.cat([torch.full_like(x[:, :1], NOTHING), x[:, :-1]], 1)


def widened(
    weights: dict[str, Tensor], shape: Shape, aside: int
) -> tuple[dict[str, Tensor], Shape]:
    """Return a net that hears `aside` features more and does not heed them yet."""
    old = weights["down1.weight"]
    rows = old.reshape(len(old), 4, -1)
    more = rows.new_zeros(len(old), 4, aside)
    changed = {**weights, "down1.weight": torch.cat([rows, more], -1).reshape(len(old), -1)}
    return changed, replace(shape, aside=shape.aside + aside)


class Layer(nn.Module):
    """One recurrent layer shared by the sub-bands, then one across them; each adds to its input."""

    def __init__(self, bands: int, channels: int, full: int) -> None:
        super().__init__()
        self.sub = Gru(channels, channels)
        self.gather = nn.Linear(bands * channels, full)
        self.full = Gru(full, full)
        self.scatter = nn.Linear(full, bands * channels)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same shape (hops, sequences, bands, channels), and the state across."""
        t, b, s, c = z.shape
        z = z + self.sub(z.reshape(t, b * s, c)).reshape(t, b, s, c)
        across = self.full(torch.relu(self.gather(z.reshape(t, b, s * c))))
        return z + self.scatter(across).reshape(t, b, s, c), across


class BandNet(nn.Module):
    """Convolutions over frequency around recurrent layers.

    A convolution takes four neighbours and steps by two, so it is a dense layer of four points'
    channels; channels come last and time first throughout.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        points, c = shape.points.count, shape.channels
        self.bands = points // 4
        self.shape = shape
        self.down1 = nn.Linear(4 * (2 + 2 * (shape.taps > 0) + shape.aside), c)
        self.down2 = nn.Linear(4 * c, c)
        self.place = nn.Parameter(torch.zeros(self.bands, c))  # which band is which
        self.layers = nn.ModuleList(Layer(self.bands, c, shape.full) for _ in range(shape.layers))
        self.up2 = nn.Linear(2 * c, 4 * c)
        self.up2_bias = nn.Parameter(torch.zeros(c))
        self.up1 = nn.Linear(2 * c, 4)
        if shape.taps:  # two neighbours need no sum: filters are sharp
            self.tap = nn.Linear(2 * c, 2 * 2 * shape.taps)
            nn.init.normal_(self.tap.weight, std=0.01)
        self.bias = nn.Parameter(torch.ones(points))
        self.voice = nn.Linear(shape.full, 1)

    def forward(
        self, hears: Tensor, bins: Tensor, aside: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the gain's logits and the speech probability's, and the filters of single bins.

        Parameters
        ----------
        hears : (sequences, hops, points)
        bins : (sequences, hops, singles, 2): real and imaginary parts of the single bins
        aside : (sequences, hops, points, aside) or None: nothing of the kind is there

        Returns
        -------
        logits (sequences, hops, points), voice (sequences, hops), and None or filters (sequences,
        hops, singles, 2 taps), real parts first
        """
        heard = [hears, before(hears)]
        if self.shape.taps:
            turn = nn.functional.pad(turned(bins), (0, 0, 0, hears.shape[-1] - self.shape.singles))
            heard += [turn[..., 0], turn[..., 1]]
        x = torch.stack(heard, -1)
        if self.shape.aside:
            nothing = x.new_full((*x.shape[:-1], self.shape.aside), NOTHING)
            x = torch.cat([x, nothing if aside is None else aside], -1)
        x = x.transpose(0, 1)  # hops, sequences, points, inputs
        a = torch.relu(self.down1(fours(x)))
        b = torch.relu(self.down2(fours(a)) + self.place)
        z = b
        for layer in self.layers:
            z, across = layer(z)
        d = torch.relu(
            overlapped(self.up2(torch.cat([z, b], -1)), self.up2_bias.shape[0]) + self.up2_bias
        )
        d = torch.cat([d, a], -1)
        logits = overlapped(self.up1(d), 1)[..., 0].transpose(0, 1) + self.bias
        voice = self.voice(across)[..., 0].transpose(0, 1)
        if not self.shape.taps:
            return logits, voice, None
        count = self.shape.singles
        filters = self.tap(d[..., : count // 2, :]).reshape(
            *d.shape[:2], count, 2 * self.shape.taps
        )
        return logits, voice, filters.transpose(0, 1)


def advance(x: Tensor, hops: int) -> Tensor:
    """Return bins so many hops late, each turned on as a tone in its middle would be."""
    late = torch.cat([torch.zeros_like(x[:, :hops]), x[:, : x.shape[1] - hops]], 1)
    bin_turns = torch.arange(x.shape[2]) * (BIN_HZ / HOPS_PER_S)
    angle = 2 * math.pi * hops * bin_turns
    cos, sin = torch.cos(angle), torch.sin(angle)
    real, imaginary = late[..., 0], late[..., 1]
    return torch.stack([real * cos - imaginary * sin, real * sin + imaginary * cos], -1)


def turned(x: Tensor) -> Tensor:
    """Return cosine and sine of the phase's advance since the hop before, beyond the bin's own."""
    late = advance(x, 1)
    real = x[..., 0] * late[..., 0] + x[..., 1] * late[..., 1]
    imaginary = x[..., 1] * late[..., 0] - x[..., 0] * late[..., 1]
    size = torch.sqrt(real * real + imaginary * imaginary) + 1e-12
    return torch.stack([real / size, imaginary / size], -1)


def filtered(bins: Tensor, filters: Tensor, gain: Tensor) -> Tensor:
    """Return gain x (bins + the filters' share of this hop and those before)."""
    taps = filters.shape[-1] // 2
    out = bins
    for k in range(taps):
        late = bins if k == 0 else advance(bins, k)
        c, s = filters[..., k], filters[..., taps + k]
        more = torch.stack(
            [c * late[..., 0] - s * late[..., 1], c * late[..., 1] + s * late[..., 0]], -1
        )
        out = out + more
    return out * gain[..., None]


def fours(x: Tensor) -> Tensor:
    """Return four neighbours side by side, for every second point: (..., n, c) to (..., n/2, 4c).

    Output k holds points 2k - 1 to 2k + 2; beyond the ends is 0.
    """
    *lead, n, c = x.shape
    pairs = x.reshape(*lead, n // 2, 2, c)
    edge = pairs.new_zeros(*lead, 1, c)
    left = torch.cat([edge, pairs[..., :-1, 1, :]], -2)
    right = torch.cat([pairs[..., 1:, 0, :], edge], -2)
    return torch.cat([left, x.reshape(*lead, n // 2, 2 * c), right], -1)


def overlapped(x: Tensor, channels: int) -> Tensor:
    """Undo the step of `fours` by adding up: (..., n, 4c) to (..., 2n, c)."""
    *lead, n, _ = x.shape
    left, middle, right = x.split([channels, 2 * channels, channels], -1)
    edge = x.new_zeros(*lead, 1, channels)
    middle = middle.reshape(*lead, n, 2, channels)
    even = middle[..., 0, :] + torch.cat([edge, right[..., :-1, :]], -2)
    odd = middle[..., 1, :] + torch.cat([left[..., 1:, :], edge], -2)
    return torch.stack([even, odd], -2).reshape(*lead, 2 * n, channels)


def kept(net: BandNet) -> dict[str, Any]:
    """Return weights and shape as `load` reads them."""
    return {"weights": net.state_dict(), "shape": asdict(net.shape)}


def load(path: Path) -> BandNet:
    """Return the net that a training has left in a file."""
    held = torch.load(path, weights_only=True)
    known = {field.name for field in fields(Shape)}
    net = BandNet(Shape(**{k: v for k, v in held["shape"].items() if k in known}))
    net.load_state_dict(held["weights"])
    net.eval()
    return net


def multiplications(shape: Shape) -> int:
    """Return how many multiplications a hop takes."""
    p, c, f = shape.points.count, shape.channels, shape.full
    s = p // 4
    down = 2 * s * c * 4 * (2 + 2 * (shape.taps > 0) + shape.aside) + s * c * 4 * c
    up = s * 2 * c * 4 * c + 2 * s * 2 * c * 4 + (shape.singles // 2) * 2 * c * 4 * shape.taps
    layer = s * 6 * c * c + 2 * s * c * f + 6 * f * f
    return down + up + shape.layers * layer + f


# --- loss ---


@dataclass(frozen=True)
class Weighting:
    """How the loss is made up; `loss` says what each is."""

    power: float = 0.15
    lost: float = 2.0
    phase: float = 0.3
    voice: float = 0.05


def loss(
    answer: tuple[Tensor, Tensor, Tensor | None], batch: Batch, points: Points, weight: Weighting
) -> dict[str, Tensor]:
    """Return the loss and its parts, means over points, hops and sequences.

    With T the target's power over a point, P that of the output, r their likeness (-1 .. 1),
    a = T^power, b = P^power: (a - b)^2, `lost` times that where speech is lost (b < a), and
    a^2 + b^2 - 2 a b r times `phase`.
    """
    logits, voice, filters = (None if part is None else part.float() for part in answer)
    assert logits is not None
    assert voice is not None
    least = 1e-7
    gain = torch.sigmoid(logits)
    out, shared = gain * gain * batch.mixed, gain * batch.shared
    if filters is not None:
        low = filtered(batch.low_mixed, filters, gain[..., : points.singles])
        out = torch.cat([low.square().sum(-1), out[..., points.singles :]], -1)
        shared = torch.cat([(low * batch.low_wanted).sum(-1), shared[..., points.singles :]], -1)
    a, b = (batch.wanted + least) ** weight.power, (out + least) ** weight.power
    like = shared / torch.sqrt((batch.wanted + least) * (out + least))
    miss = a - b
    size = miss * miss * (1 + (weight.lost - 1) * (miss > 0))
    phase = a * a + b * b - 2 * a * b * like.clamp(-1, 1)
    share = point_weights(points)
    magnitude = (size * share).mean()
    turned_away = (phase * share).mean()
    talk = nn.functional.binary_cross_entropy_with_logits(voice, batch.speech)
    total = (1 - weight.phase) * magnitude + weight.phase * turned_away + weight.voice * talk
    return {"loss": total, "magnitude": magnitude, "phase": turned_away, "voice": talk}


def point_weights(points: Points) -> Tensor:
    """Return how much each point counts, mean 1: a wide one for more, but not by its width."""
    widths = torch.tensor(list(points.widths) + [16.0] * 4)
    share = widths.float() ** 0.4
    share[-4:] *= 0.5
    return share / share.mean()

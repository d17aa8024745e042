"""An exported net in plain NumPy, one hop at a time: what an implementation in C has to do.

usage: python -m training.reference NET.aenet VECTOR.npz    (checks it against the vector)
"""

from __future__ import annotations

import argparse
import hashlib
import struct
from pathlib import Path

import numpy as np

from training import spectrum
from training.spectrum import Array, Points

MAGIC, FEATURES = b"AENETv1\0", 1
SIZES = ("singles", "channels", "full", "layers", "taps", "aside")
HEADER = struct.Struct("<8s8I")


def logistic(x: Array) -> Array:
    """Return 1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-x)))


def tensors_of(shape: dict[str, int]) -> list[tuple[str, tuple[int, ...]]]:
    """Return names and shapes of a net's tensors, in the order of the file."""
    c, full, points = shape["channels"], shape["full"], Points(shape["singles"]).count
    bands, entries = points // 4, list[tuple[str, tuple[int, ...]]]()

    def dense(name: str, outputs: int, inputs: int) -> None:
        entries.extend([(f"{name}.weight", (outputs, inputs)), (f"{name}.bias", (outputs,))])

    def recurrent(name: str, state: int) -> None:
        for kind, size in (("weight", (3 * state, state)), ("bias", (3 * state,))):
            entries.extend((f"{name}.{kind}_{of}_l0", size) for of in ("ih", "hh"))

    entries += [("place", (bands, c)), ("up2_bias", (c,)), ("bias", (points,))]
    dense("down1", c, 4 * (2 + 2 * (shape["taps"] > 0) + shape["aside"]))
    dense("down2", c, 4 * c)
    for n in range(shape["layers"]):
        recurrent(f"layers.{n}.sub", c)
        dense(f"layers.{n}.gather", full, bands * c)
        recurrent(f"layers.{n}.full", full)
        dense(f"layers.{n}.scatter", bands * c, full)
    dense("up2", 4 * c, 2 * c)
    dense("up1", 4, 2 * c)
    if shape["taps"]:
        dense("tap", 4 * shape["taps"], 2 * c)
    dense("voice", 1, full)
    return entries


def load(content: bytes) -> tuple[dict[str, int], dict[str, Array]]:
    """Return an exported net's shape and tensors, matrices as (outputs, inputs)."""
    magic, features, *sizes, payload = HEADER.unpack_from(content)
    end = HEADER.size + payload
    if (magic, features) != (MAGIC, FEATURES) or (
        content[end:] != hashlib.sha256(content[:end]).digest()
    ):
        raise ValueError("this is no net of this format, or damaged")
    shape, tensors, at = dict(zip(SIZES, sizes, strict=True)), {}, HEADER.size
    for name, size in tensors_of(shape):
        count = int(np.prod(size))
        if "weight" in name:
            scale = np.frombuffer(content, "<f4", size[0], at)
            at += 4 * size[0]
            numbers = np.frombuffer(content, np.int8, count, at).reshape(size)
            tensors[name] = scale[:, None] * numbers
            at += count + -count % 4
        else:
            tensors[name] = np.frombuffer(content, "<f4", count, at).reshape(size)
            at += 4 * count
    if at != end:
        raise ValueError("the file's tensors are of another size than its header says")
    return shape, tensors


class Net:
    """A net and its state."""

    def __init__(self, content: bytes) -> None:
        self.shape, self.w = load(content)
        self.points = Points(self.shape["singles"])
        self.bands = self.points.count // 4
        c, full, layers = (self.shape[k] for k in ("channels", "full", "layers"))
        self.sub = [np.zeros((self.bands, c)) for _ in range(layers)]
        self.across = [np.zeros(full) for _ in range(layers)]
        self.heard = np.full(self.points.count, spectrum.NOTHING)  # of the hop before
        self.late = np.zeros(self.shape["singles"], complex)

    def _dense(self, name: str, x: Array) -> Array:
        return np.asarray(x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"])

    def _recur(self, name: str, x: Array, state: Array) -> Array:
        """Return a recurrent layer's next state; rows are bands that share the weights."""
        h = state.shape[-1]
        from_input = x @ self.w[f"{name}.weight_ih_l0"].T + self.w[f"{name}.bias_ih_l0"]
        from_state = state @ self.w[f"{name}.weight_hh_l0"].T + self.w[f"{name}.bias_hh_l0"]
        both = from_input + from_state
        reset, update = logistic(both[..., :h]), logistic(both[..., h : 2 * h])
        new = np.tanh(from_input[..., 2 * h :] + reset * from_state[..., 2 * h :])
        return np.asarray(new + update * (state - new))

    def answer(self, heard: Array, aside: Array | None, bins: Array) -> tuple[Array, Array, float]:
        """Return gains (points,), complex filters (singles, taps), and the speech probability.

        heard: features of the hop; aside: further ones, (points, aside), or None: there is nothing
        of the kind; bins: the single bins, complex.
        """
        inputs = [heard, self.heard]
        self.heard = heard
        k = np.arange(self.shape["singles"])
        turn = np.exp(2j * np.pi * k * spectrum.BIN_HZ / spectrum.HOPS_PER_S)
        if self.shape["taps"]:
            product = bins * np.conj(self.late * turn)
            product = product / (np.abs(product) + 1e-12)
            rest = (0, self.points.count - len(k))
            inputs += [np.pad(product.real, rest), np.pad(product.imag, rest)]
        self.late = bins
        if aside is None:
            aside = np.full((self.points.count, self.shape["aside"]), spectrum.NOTHING)
        inputs += list(aside.T)
        a = np.maximum(self._dense("down1", _fours(np.stack(inputs, 1))), 0)
        b = np.maximum(self._dense("down2", _fours(a)) + self.w["place"], 0)
        z = b
        for n in range(self.shape["layers"]):
            self.sub[n] = self._recur(f"layers.{n}.sub", z, self.sub[n])
            z = z + self.sub[n]
            gathered = np.maximum(self._dense(f"layers.{n}.gather", z.reshape(-1)), 0)
            self.across[n] = self._recur(f"layers.{n}.full", gathered, self.across[n])
            z = z + self._dense(f"layers.{n}.scatter", self.across[n]).reshape(z.shape)
        up = _overlapped(self._dense("up2", np.concatenate([z, b], 1)))
        d = np.concatenate([np.maximum(up + self.w["up2_bias"], 0), a], 1)
        gain = logistic(_overlapped(self._dense("up1", d))[:, 0] + self.w["bias"])
        speech = float(logistic(self._dense("voice", self.across[-1]))[0])
        return gain, self._filters(d), speech

    def _filters(self, d: Array) -> Array:
        taps, singles = self.shape["taps"], self.shape["singles"]
        if not taps:
            return np.zeros((singles, 0), complex)
        filters = self._dense("tap", d[: singles // 2]).reshape(singles, 2 * taps)
        return np.asarray(filters[:, :taps] + 1j * filters[:, taps:])


def _fours(x: Array) -> Array:
    """Return points 2k - 1 to 2k + 2 side by side for each k; beyond the ends is 0."""
    padded = np.pad(x, ((1, 1), (0, 0)))
    return np.concatenate([padded[n : n + len(x) - 1 : 2] for n in range(4)], 1)


def _overlapped(x: Array) -> Array:
    """Add up what each k gives to points 2k - 1 to 2k + 2."""
    n, c = len(x), x.shape[1] // 4
    out = np.zeros((2 * n + 2, c))
    for at in range(4):
        out[at : at + 2 * n : 2] += x[:, at * c : (at + 1) * c]
    return out[1:-1]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("net", type=Path)
    parser.add_argument("vector", type=Path)
    options = parser.parse_args()
    net, wanted = Net(options.net.read_bytes()), np.load(options.vector)
    worst = dict.fromkeys(("gains", "filters", "speech"), 0.0)
    for t, bins in enumerate(wanted["bins"]):
        gain, filters, speech = net.answer(wanted["features"][t], wanted["aside"][t], bins)
        parts = np.concatenate([filters.real, filters.imag], 1)
        found = {"gains": gain, "filters": parts, "speech": speech}
        for name in worst:
            worst[name] = max(worst[name], float(np.max(np.abs(found[name] - wanted[name][t]))))
    print(", ".join(f"{name} within {value:.1e}" for name, value in worst.items()))
    raise SystemExit(any(value > 1e-3 for value in worst.values()))


if __name__ == "__main__":
    main()

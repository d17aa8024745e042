"""An exported net in plain NumPy, one hop at a time: what an implementation in C has to do.

usage: python -m training.reference NET.npz VECTOR.npz    (checks it against the vector)
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

from training import spectrum
from training.spectrum import Array, Points

FORMAT = "audio-engine suppressor net 1"


def logistic(x: Array) -> Array:
    """Return 1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-x)))


def load(path: Path) -> tuple[dict[str, int], dict[str, Array]]:
    """Return an exported net's shape and tensors, matrices as (outputs, inputs)."""
    held = np.load(path)
    content = held["blob"].tobytes()
    header = json.loads(held["header"].tobytes())
    if header["format"] != FORMAT or header["sha256"] != hashlib.sha256(content).hexdigest():
        raise ValueError(f"{path} is no net of this format, or damaged")
    tensors = {}
    for entry in header["tensors"]:
        shape, at = entry["shape"], entry["offset"]
        count = int(np.prod(shape))
        if entry["kind"] == "int8":
            scale = np.frombuffer(content, "<f4", shape[0], at)
            numbers = np.frombuffer(content, np.int8, count, at + 4 * shape[0]).reshape(shape)
            tensors[entry["name"]] = scale[:, None] * numbers
        else:
            tensors[entry["name"]] = np.frombuffer(content, "<f4", count, at).reshape(shape)
    return header["shape"], tensors


class Net:
    """A net of kind "bands" and its state."""

    def __init__(self, path: Path) -> None:
        self.shape, self.w = load(path)
        self.points = Points(self.shape["singles"])
        self.bands = self.points.count // 4
        c, full, layers = (self.shape[k] for k in ("channels", "full", "layers"))
        self.sub = [np.zeros((self.bands, c)) for _ in range(layers)]
        self.across = [np.zeros(full) for _ in range(layers)]
        self.heard = np.full(self.points.count, -2.0)  # of the hop before
        self.late = np.zeros((max(2, self.shape["taps"]), self.shape["singles"]), complex)
        self.level = 0.0

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

    def features(self, power: Array, high: Array) -> Array:
        """Return what is heard of one hop's bin powers (256) and high-band powers (4)."""
        mean = max(float(power.mean()), spectrum.LEAST_LEVEL)
        if self.level == 0.0:
            self.level = mean
        rise = mean > self.level
        self.level += (spectrum.RISE if rise else spectrum.FALL) * (mean - self.level)
        sums = self.points.sums(power[None])
        level = np.array([self.level])
        return np.asarray(spectrum.features(self.points, sums, high[None], level)[0])

    def answer(self, heard: Array, bins: Array) -> tuple[Array, float, Array]:
        """Return gains (points,), the speech probability, and the filtered single bins.

        heard: features of the hop; bins: the single bins, complex.
        """
        inputs = [heard, self.heard]
        self.heard = heard
        k = np.arange(self.shape["singles"])
        turn = np.exp(2j * np.pi * k * spectrum.BIN_HZ / spectrum.HOPS_PER_S)
        if self.shape["taps"]:
            product = bins * np.conj(self.late[0] * turn)
            product = product / (np.abs(product) + 1e-12)
            rest = (0, self.points.count - len(k))
            inputs += [np.pad(product.real, rest), np.pad(product.imag, rest)]
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
        out = bins
        if self.shape["taps"]:
            out = self._filter(d, bins, turn)
        self.late = np.concatenate([bins[None], self.late[:-1]])
        return gain, speech, gain[: len(k)] * out

    def _filter(self, d: Array, bins: Array, turn: Array) -> Array:
        taps, singles = self.shape["taps"], self.shape["singles"]
        filters = self._dense("tap", d[: singles // 2]).reshape(singles, 2 * taps)
        factors = filters[:, :taps] + 1j * filters[:, taps:]
        out = bins + factors[:, 0] * bins
        for n in range(1, taps):
            out = out + factors[:, n] * self.late[n - 1] * turn**n
        return np.asarray(out)


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
    net, wanted = Net(options.net), np.load(options.vector)
    worst = dict.fromkeys(("features", "gains", "speech", "clean"), 0.0)
    for t, spectra in enumerate(wanted["spectra"]):
        power = np.abs(spectra[: spectrum.BINS]) ** 2
        heard = net.features(power, np.zeros(spectrum.HIGH_BANDS))
        gain, speech, clean = net.answer(heard, spectra[: net.shape["singles"]])
        found = {"features": heard, "gains": gain, "speech": speech, "clean": clean}
        for name in worst:
            worst[name] = max(worst[name], float(np.max(np.abs(found[name] - wanted[name][t]))))
    print(", ".join(f"{name} within {value:.1e}" for name, value in worst.items()))
    raise SystemExit(any(value > 1e-3 for value in worst.values()))


if __name__ == "__main__":
    main()

"""Write a trained net as the engine loads it, and a vector that pins an implementation to it.

usage: python -m training.export NET OUT.aenet [--vector VECTOR.npz]

OUT.aenet, little-endian: "AENETv1" and a zero byte; uint32 version of the features; uint32 singles,
channels, full, layers, taps, aside; uint32 bytes of the tensors; the tensors in the order of the
net's state; SHA-256 of all before. A matrix is stored as float32 scales per output, then int8
numbers, outputs first, padded to 4 bytes; everything else as float32. VECTOR.npz holds 30 hops:
bins, features and features aside in; gains, filters and speech probability out.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training import net, quantise, reference, sounds, spectrum
from training.enhance import Enhancer
from training.spectrum import Array

_VECTOR_HOPS = 30
_ECHO_DB = -20.0


def exported(model: torch.nn.Module, shape: net.Shape) -> bytes:
    """Return the file of a net."""
    parts = []
    for name, weight in model.state_dict().items():
        values = weight.numpy().astype(np.float32)
        if quantise.is_matrix(name, weight):
            numbers, scale = quantise.quantised(values)
            part = scale.astype("<f4").tobytes() + numbers.tobytes()
        else:
            part = values.astype("<f4").tobytes()
        parts.append(part + b"\0" * (-len(part) % 4))
    payload = b"".join(parts)
    sizes = [getattr(shape, name) for name in reference.SIZES]
    content = (
        reference.HEADER.pack(reference.MAGIC, reference.FEATURES, *sizes, len(payload)) + payload
    )
    return content + hashlib.sha256(content).digest()


def heard_aside(points: spectrum.Points, planes: list[Array | None], level: Array) -> Array:
    """Return the features of powers (hops, 256), -2 where there is none: (hops, points, planes)."""
    found = np.full((len(level), points.count, len(planes)), spectrum.NOTHING, np.float32)
    high = np.zeros((len(level), spectrum.HIGH_BANDS), np.float32)
    for n, power in enumerate(planes):
        if power is not None:
            found[..., n] = spectrum.features(points, points.sums(power), high, level)
    return found


def vector(model: torch.nn.Module, shape: net.Shape) -> dict[str, Any]:
    """Return what goes in and what comes out of the net with 8-bit weights."""
    rng = np.random.default_rng(5)
    x = 0.05 * sounds.music(rng, 160 * _VECTOR_HOPS, 16000)
    x += 0.02 * sounds.fan(rng, len(x), 16000)
    spectra = spectrum.analyse(x, 16000)[:, : spectrum.BINS]
    power = np.abs(spectra) ** 2
    level = spectrum.levels(power.mean(-1))
    high = np.zeros((len(power), spectrum.HIGH_BANDS), np.float32)
    hears = spectrum.features(shape.points, shape.points.sums(power), high, level)
    late = np.roll(power, 3, axis=0) * np.float32(10 ** (_ECHO_DB / 10))
    aside = heard_aside(shape.points, [4 * power, late, None], level)[..., : shape.aside]
    low = torch.view_as_real(torch.from_numpy(spectra[:, : shape.singles].copy()))[None]
    with torch.no_grad(), quantise.all_rounded(model):
        logits, voice, filters = model(
            torch.from_numpy(hears)[None], low, torch.from_numpy(aside)[None]
        )
    return {
        "bins": spectra[:, : shape.singles],
        "features": hears,
        "aside": aside,
        "gains": torch.sigmoid(logits)[0].numpy(),
        "filters": filters[0].numpy(),
        "speech": torch.sigmoid(voice)[0].numpy(),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("net", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--vector", type=Path)
    options = parser.parse_args()
    enhancer = Enhancer(options.net)
    content = exported(enhancer.net, enhancer.shape)
    options.out.write_bytes(content)
    if options.vector is not None:
        np.savez_compressed(options.vector, **vector(enhancer.net, enhancer.shape))
    print(f"{options.out}: {len(content)} bytes, {net.multiplications(enhancer.shape)} per hop")


if __name__ == "__main__":
    main()

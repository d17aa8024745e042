"""Write a trained net as the engine loads it, and a vector that pins an implementation to it.

usage: python -m training.export NET OUT.npz [--vector VECTOR.npz]

OUT.npz holds `blob` (uint8, little-endian) and `header` (JSON as uint8): format, shape of the net,
SHA-256 of the blob, and where each tensor lies. A matrix is stored as float32 scales per output,
then int8 numbers, outputs first; everything else as float32. VECTOR.npz holds 200 hops: spectra in,
features, gains, filters, filtered bins, speech probability.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training import net, quantise, reference, sounds, spectrum
from training.enhance import Enhancer

_VECTOR_HOPS = 200


def blob(model: torch.nn.Module) -> tuple[bytes, list[dict[str, Any]]]:
    """Return all weights as bytes, and what lies where."""
    parts, where, at = [], [], 0
    for name, weight in model.state_dict().items():
        values = weight.numpy().astype(np.float32)
        matrix = quantise.is_matrix(name, weight)
        if matrix:
            numbers, scale = quantise.quantised(values)
            content = scale.astype("<f4").tobytes() + numbers.tobytes()
        else:
            content = values.astype("<f4").tobytes()
        content += b"\0" * (-len(content) % 4)
        kind = "int8" if matrix else "float32"
        where.append({"name": name, "kind": kind, "shape": list(values.shape), "offset": at})
        parts.append(content)
        at += len(content)
    return b"".join(parts), where


def vector(enhancer: Enhancer) -> dict[str, Any]:
    """Return what goes in and what comes out of the net with 8-bit weights."""
    rng = np.random.default_rng(5)
    x = 0.05 * sounds.music(rng, 160 * _VECTOR_HOPS, 16000)
    x += 0.02 * sounds.fan(rng, len(x), 16000)
    spectra = spectrum.analyse(x, 16000)
    hears = enhancer.hears(spectra, 16000)
    singles = enhancer.shape.singles
    low = torch.view_as_real(torch.from_numpy(spectra[:, :singles].copy()))[None]
    with torch.no_grad(), quantise.all_rounded(enhancer.net):
        logits, voice, filters = enhancer.net(torch.from_numpy(hears)[None], low)
    found = {
        "samples": x.astype(np.float32),
        "spectra": spectra,
        "features": hears,
        "gains": torch.sigmoid(logits)[0].numpy(),
        "speech": torch.sigmoid(voice)[0].numpy(),
    }
    clean = low
    if filters is not None:
        found["filters"] = filters[0].numpy()
        clean = net.filtered(low, filters, torch.sigmoid(logits)[..., :singles])
    return {**found, "clean": torch.view_as_complex(clean[0].contiguous()).numpy()}


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
    content, where = blob(enhancer.net)
    header = {
        "format": reference.FORMAT,
        "shape": net.described(enhancer.shape),
        "sha256": hashlib.sha256(content).hexdigest(),
        "tensors": where,
    }
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(options.out, blob=np.frombuffer(content, np.uint8), header=text)
    if options.vector is not None:
        np.savez(options.vector, **vector(enhancer))
    print(f"{options.out}: {len(content)} bytes, {net.multiplications(enhancer.shape)} per hop")


if __name__ == "__main__":
    main()

"""Weights as 8-bit numbers: one scale per output, as csrc keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from training.spectrum import Array

LARGEST = 127


def is_matrix(name: str, weight: Tensor) -> bool:
    """Return whether a parameter is kept in 8 bits; biases and places are not."""
    return weight.dim() == 2 and "weight" in name


def quantised(weight: Array) -> tuple[Array, Array]:
    """Return int8 numbers and a scale per row: weight is about scale[:, None] * numbers."""
    scale = np.maximum(np.abs(weight).max(1), 1e-8).astype(np.float32) / LARGEST
    return np.round(weight / scale[:, None]).astype(np.int8), scale


def rounded(weight: Tensor) -> Tensor:
    """Return a weight matrix as its 8-bit numbers will give it."""
    scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-8) / LARGEST
    return torch.round(weight / scale) * scale


@contextmanager
def all_rounded(model: nn.Module) -> Iterator[None]:
    """Run what is inside with 8-bit weights; the gradients then go to the weights themselves."""
    kept = {}
    for name, weight in model.named_parameters():
        if is_matrix(name, weight):
            kept[name] = weight.data
            weight.data = rounded(weight.data)
    try:
        yield
    finally:
        for name, weight in model.named_parameters():
            if name in kept:
                weight.data = kept[name]

"""Muon: momentum whose steps are made orthogonal, for the matrices of the nets.

Jordan et al. 2024 ("Muon: an optimizer for hidden layers in neural networks"); steps are scaled to
those of Adam as in Liu et al. 2025 ("Muon is scalable for LLM training", section 2.2): 0.2
sqrt(larger side). Gates that are kept in one matrix are steered one by one. It gets as far as AdamW
in about half the steps here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Return about U V' of matrices U S V' (the last two axes), by five Newton-Schulz rounds."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """For matrices; `gates` of them are stacked in a parameter whose name says it is a GRU's."""

    def __init__(
        self, parameters: Iterable[tuple[str, Tensor]], lr: float, momentum: float = 0.95,
        weight_decay: float = 1e-4,
    ) -> None:  # fmt: skip
        groups = [{"params": [p], "gates": 3 if "_l0" in name else 1} for name, p in parameters]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()  # type: ignore[untyped-decorator,unused-ignore]
    def step(self, closure: Any = None) -> None:
        """Take one step."""
        del closure
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                speed = state.setdefault("speed", torch.zeros_like(p))
                speed.lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(speed, group["momentum"])
                gates = ahead.reshape(group["gates"], -1, p.shape[1])
                scale = 0.2 * max(gates.shape[-2:]) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(orthogonal(gates).reshape(p.shape), alpha=-group["lr"] * scale)

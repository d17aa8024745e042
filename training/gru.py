"""A GRU layer that trains fast on one CPU core; falls back on torch's where no compiler is.

The parameters have torch.nn.GRU's names and shapes, so either can load the other's.
"""

from __future__ import annotations

import functools
import math
import subprocess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


@functools.cache
def kernel() -> Any:
    """Return the compiled recurrence, or None."""
    from torch.utils import cpp_extension

    flags = ["-O3", "-march=native", "-ffast-math", "-fopenmp-simd"]
    try:
        return cpp_extension.load(
            "ae_training_gru", [str(Path(__file__).with_name("gru.cpp"))], extra_cflags=flags
        )
    except (OSError, RuntimeError, ImportError, subprocess.CalledProcessError) as error:
        print(f"no fast recurrent layers: {str(error).splitlines()[0]}", flush=True)
        return None


class _Recurrence(torch.autograd.Function):
    """The states for what comes from the input, [hops, rows, 3 state]."""

    @staticmethod
    def forward(ctx: Any, from_input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return [hops, rows, state]."""
        states, gates = kernel().forward(
            from_input.float().contiguous(), weight.t().contiguous(), bias
        )
        ctx.save_for_backward(states, gates, weight)
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients."""
        states, gates, weight = ctx.saved_tensors
        by_input, by_state = kernel().backward(grad.float().contiguous(), states, gates, weight)
        flat = by_state[1:].reshape(-1, weight.shape[0])
        by_weight = flat.t() @ states[:-1].reshape(-1, weight.shape[1])
        return by_input, by_weight, by_state.sum((0, 1))


class Gru(nn.Module):
    """One layer over (hops, rows, inputs): time first."""

    def __init__(self, inputs: int, state: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(state)

        def uniform(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))

        self.weight_ih_l0, self.weight_hh_l0 = uniform(3 * state, inputs), uniform(3 * state, state)
        self.bias_ih_l0, self.bias_hh_l0 = uniform(3 * state), uniform(3 * state)

    def forward(self, x: Tensor) -> Tensor:
        """Return the states, (hops, rows, state), from state 0."""
        if kernel() is None:
            weights = [self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0]
            start = x.new_zeros(1, x.shape[1], self.weight_hh_l0.shape[1])
            return torch.gru(x, start, weights, True, 1, 0.0, self.training, False, False)[0]
        from_input = nn.functional.linear(x, self.weight_ih_l0, self.bias_ih_l0)
        states: Tensor = _Recurrence.apply(from_input, self.weight_hh_l0, self.bias_hh_l0)
        return states.to(from_input.dtype)

"""The net of csrc/ae_echo_net.c in JAX, its loss, and the training loop.

The names of weights are those of csrc/ae_echo_net_weights.h. README.md has the loss in formulas.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tools.echo_net import weights as weights_file

Array = Any  # jax carries no types that hold for all versions
Weights = dict[str, Array]

PRODUCTS = 6  # k_products in features.c
MIDDLE_DB, SPAN_DB = 60.0, 20.0  # k_middle_db and k_span_db in csrc/ae_echo_net.c

# The loss. Amplitudes count as |x|^0.3, near how loud they are heard.
EXPONENT = 0.15  # of powers
LOST_WEIGHT = 5.0  # near end that is lost is worse than as much echo that is left
COLD_WEIGHT, COLD_S = 4.0, 2.5  # more so while nothing is known of the room: so much, fading
HOP_S = 0.01
MAGNITUDE_SHARE, PHASE_SHARE = 0.7, 0.3
SCALE = 10.0  # brings the loss to about 0.03, where the step sizes are at home
DEPTH_WEIGHT = 0.0003  # of 1 dB^2 of echo above the target where there is echo alone
DEPTH_DB = 60.0  # deeper is not asked for
ECHO_ALONE = 0.03  # target below this share of the error's power: -15 dB
FLOOR = 1e-9  # -90 dBFS in a band: not heard

# Adam (Kingma & Ba 2015) with its usual numbers; gradients are cut to norm 1.
MOMENTUM, SECOND_MOMENTUM, EPSILON = 0.9, 0.999, 1e-8
WARM_UP_STEPS, LAST_RATE = 100, 1e-5
LEVEL_DB, LEVEL_SHARE = 6.0, 0.7  # scenes are turned up or down by so much, this share of them
VALIDATION_SHARE, VALIDATION_LEAST = 20, 20  # one scene in 20, but 20 at least


@dataclass(frozen=True, kw_only=True)
class Training:
    """What may be chosen.

    Attributes
    ----------
    epochs, batch_scenes : int
    chunk_hops : int
        Length over which gradients flow back; the state is carried on to the next chunk.
    learning_rate : float
        Of the first steps; it falls as half a cosine.
    """

    epochs: int = 20
    batch_scenes: int = 48
    chunk_hops: int = 350
    learning_rate: float = 2e-3


def signals_of(inputs: int, bands: int) -> int:
    """Return how many of the inputs are powers: whole signals of all bands; flags follow."""
    return inputs // bands * bands


def initial(inputs: int, bands: int, dense: int, state: int) -> Weights:
    """Return random weights: memories that hold, gains half open, mixes nearly shut."""
    key = jax.random.split(jax.random.PRNGKey(0), 8)

    def matrix(i: int, rows: int, columns: int, gain: float) -> Array:
        return gain * jax.random.normal(key[i], (rows, columns)) / np.sqrt(rows)

    return {
        "dense": matrix(0, inputs, dense, 0.5),
        "dense_bias": jnp.zeros(dense),
        "input_gates": matrix(1, dense, 3 * state, 1.0),
        "gates_bias": jnp.zeros(3 * state).at[state : 2 * state].set(-1.0),
        "state_gates": matrix(2, state, 3 * state, 0.8),
        "candidate_bias": jnp.zeros(state),
        "output": matrix(3, state + dense, 2 * bands, 0.5),
        "output_bias": jnp.concatenate([jnp.ones(bands), -2 * jnp.ones(bands)]),
    }


def run(weights: Weights, levels: Array, state: Array) -> tuple[Array, Array, Array]:
    """Run the net over some hops.

    Parameters
    ----------
    weights : dict
    levels : array, shape (scenes, hops, inputs)
        Powers in dB, then flags.
    state : array, shape (scenes, state)
        Of the hop before.

    Returns
    -------
    gain, mix : array, shape (scenes, hops, bands)
    state : array, shape (scenes, state)
    """
    bands = weights["output"].shape[1] // 2
    size = weights["state_gates"].shape[0]
    signals = signals_of(levels.shape[-1], bands)
    powers = (levels[..., :signals] + MIDDLE_DB) / SPAN_DB
    inputs = jnp.concatenate([powers, levels[..., signals:]], -1)
    dense = jnp.tanh(inputs @ weights["dense"] + weights["dense_bias"])
    from_inputs = dense @ weights["input_gates"] + weights["gates_bias"]

    def hop(before: Array, from_input: Array) -> tuple[Array, Array]:
        from_state = before @ weights["state_gates"]
        both = from_input[:, : 2 * size] + from_state[:, : 2 * size]
        reset, update = jax.nn.sigmoid(both[:, :size]), jax.nn.sigmoid(both[:, size:])
        recalled = from_state[:, 2 * size :] + weights["candidate_bias"]
        candidate = jnp.tanh(from_input[:, 2 * size :] + reset * recalled)
        after = before + update * (candidate - before)
        return after, after

    last, states = jax.lax.scan(hop, state, jnp.swapaxes(from_inputs, 0, 1), unroll=4)
    joined = jnp.concatenate([jnp.swapaxes(states, 0, 1), dense], -1)
    result = jax.nn.sigmoid(joined @ weights["output"] + weights["output_bias"])
    return result[..., :bands], result[..., bands:], last


def loss(
    weights: Weights, levels: Array, gram: Array, state: Array, start_s: float = 0.0
) -> tuple[Array, dict[str, Array]]:
    """Return the loss of some hops; its parts and the last state beside it.

    The hops begin `start_s` after the scene, which begins cold.
    """
    gain, mix, last = run(weights, levels, state)
    e1e1, e0e0, e1e0, e1t, e0t, target = jnp.split(gram, PRODUCTS, -1)
    output = gain**2 * ((1 - mix) ** 2 * e1e1 + 2 * mix * (1 - mix) * e1e0 + mix**2 * e0e0)
    output = jnp.maximum(output, 0) + FLOOR
    cross = gain * ((1 - mix) * e1t + mix * e0t)
    heard = target + FLOOR
    wanted, made = heard**EXPONENT, output**EXPONENT
    likeness = jnp.clip(cross / jnp.sqrt(heard * output), -1, 1)
    lost = wanted - made
    time_s = start_s + HOP_S * jnp.arange(levels.shape[1])[:, None]
    weight = LOST_WEIGHT * (1.0 + COLD_WEIGHT * jnp.exp(-time_s / COLD_S))
    magnitude = jnp.mean(jnp.where(lost > 0, weight, 1.0) * lost**2)
    phase = jnp.mean(wanted**2 + made**2 - 2 * wanted * made * likeness)
    over_db = jnp.clip(10 * jnp.log10(output / heard), 0, DEPTH_DB)
    depth = jnp.mean(jnp.where(target < ECHO_ALONE * e1e1, over_db**2, 0.0))
    parts = {"magnitude": magnitude, "phase": phase, "depth": depth, "state": last}
    whole = SCALE * (MAGNITUDE_SHARE * magnitude + PHASE_SHARE * phase) + DEPTH_WEIGHT * depth
    return whole, parts


def updating(training: Training, steps: int) -> Callable[..., tuple[Array, ...]]:
    """Return the compiled function that learns from one chunk, by Adam."""
    tree_map = jax.tree_util.tree_map

    def rate(step: Array) -> Array:
        cosine = 0.5 + 0.5 * jnp.cos(np.pi * jnp.minimum(step / steps, 1.0))
        warm = jnp.minimum(1.0, step / WARM_UP_STEPS)
        return training.learning_rate * warm * cosine + LAST_RATE

    def update(
        learned: tuple[Weights, Weights, Weights], step: Array, *chunk: Array
    ) -> tuple[Array, ...]:
        weights, mean, power = learned
        (value, parts), slope = jax.value_and_grad(loss, has_aux=True)(weights, *chunk)
        norm = jnp.sqrt(sum(jnp.sum(x * x) for x in jax.tree_util.tree_leaves(slope)))
        cut = jnp.minimum(1.0, 1.0 / (norm + 1e-9))
        slope = tree_map(lambda x: cut * x, slope)
        mean = tree_map(lambda m, x: MOMENTUM * m + (1 - MOMENTUM) * x, mean, slope)
        power = tree_map(
            lambda p, x: SECOND_MOMENTUM * p + (1 - SECOND_MOMENTUM) * x * x, power, slope
        )

        def moved(w: Array, m: Array, p: Array) -> Array:
            spread = jnp.sqrt(p / (1 - SECOND_MOMENTUM**step)) + EPSILON
            return w - rate(step) * (m / (1 - MOMENTUM**step)) / spread

        return (tree_map(moved, weights, mean, power), mean, power), value, parts["state"]

    compiled: Callable[..., tuple[Array, ...]] = jax.jit(update)
    return compiled


class Scenes:
    """Features and grams of many scenes, left on the disk until they are asked for."""

    def __init__(self, folders: list[Path]) -> None:
        names = [name for folder in folders for name in sorted(folder.glob("features-*.npy"))]
        grams = [name.with_name(name.name.replace("features", "gram")) for name in names]
        self._features = [scene for name in names for scene in np.load(name, mmap_mode="r")]
        self._gram = [scene for name in grams for scene in np.load(name, mmap_mode="r")]
        if not self._features:
            raise FileNotFoundError(f"no features-*.npy in {', '.join(map(str, folders))}")
        self.hops, self.inputs = self._features[0].shape
        self.bands = self._gram[0].shape[1] // PRODUCTS

    def __len__(self) -> int:
        return len(self._features)

    def take(self, numbers: Any) -> tuple[Any, Any]:
        """Return features, shape (scenes, hops, inputs), and gram of some scenes."""
        features = np.stack([self._features[i] for i in numbers]).astype(np.float32)
        return features, np.stack([self._gram[i] for i in numbers])


def _batches(scenes: Scenes, first: int, size: int, rng: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the scenes from `first` on in random order, at random levels."""
    signals = signals_of(scenes.inputs, scenes.bands)
    order = first + rng.permutation(len(scenes) - first)
    for i in range(len(order) // size):
        levels, gram = scenes.take(np.sort(order[i * size : (i + 1) * size]))
        shift_db = rng.uniform(-LEVEL_DB, LEVEL_DB, size).astype(np.float32)
        shift_db *= rng.random(size) < LEVEL_SHARE
        levels[..., :signals] += shift_db[:, None, None]
        yield levels, gram * (10 ** (shift_db / 10))[:, None, None]


def fit(scenes: Scenes, weights: Weights, training: Training, out: Path) -> None:
    """Train, and write the weights after every epoch.

    Parameters
    ----------
    scenes : Scenes
        The first twentieth is kept for validation.
    weights : dict
        To begin with.
    training : Training
    out : Path
        The header to write.
    """
    held = max(VALIDATION_LEAST, len(scenes) // VALIDATION_SHARE)
    size, chunk = training.batch_scenes, training.chunk_hops
    if len(scenes) < held + size:
        raise ValueError(f"{len(scenes)} scenes are too few: {held + size} or more are needed")
    chunks = scenes.hops // chunk
    update = updating(training, training.epochs * ((len(scenes) - held) // size) * chunks)
    judge = jax.jit(loss)
    validation = scenes.take(range(held))
    weights = {name: jnp.asarray(value, jnp.float32) for name, value in weights.items()}
    nothing = jax.tree_util.tree_map(jnp.zeros_like, weights)
    learned = (weights, nothing, nothing)
    memory = weights["state_gates"].shape[0]
    rng, step, start = np.random.default_rng(0), 0, time.monotonic()
    for epoch in range(training.epochs):
        losses = []
        for levels, gram in _batches(scenes, held, size, rng):
            state = jnp.zeros((size, memory))
            for at in range(0, chunks * chunk, chunk):
                step += 1
                part = levels[:, at : at + chunk], gram[:, at : at + chunk]
                learned, value, state = update(learned, step, *part, state, HOP_S * at)
                losses.append(float(value))
        value, parts = judge(learned[0], *validation, jnp.zeros((held, memory)))
        report(epoch, float(np.mean(losses)), value, parts, time.monotonic() - start)
        weights_file.write(out, {name: np.asarray(value) for name, value in learned[0].items()})


def report(
    epoch: int, trained: float, value: Array, parts: dict[str, Array], seconds: float
) -> None:
    """Print one line about an epoch."""
    print(
        f"epoch {epoch}: training {trained:.4f} validation {float(value):.4f}"
        f" (magnitude {float(parts['magnitude']):.5f}, phase {float(parts['phase']):.5f},"
        f" depth {float(parts['depth']):.1f} dB^2) {seconds:.0f} s",
        flush=True,
    )

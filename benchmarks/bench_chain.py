"""CPU time of the whole chain: share of one core, split by stage, and the worst 10 ms block.

``python -m benchmarks.bench_chain`` prints one JSON line per case. Times are CPU time of the
calling thread, best of several runs. The stages are timed as a growing chain, so each line is what
that stage adds where it really runs; the first includes the door (cleaning and re-blocking).
``AUDIO_ENGINE_KERNELS=baseline`` picks the kernel build.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine import Engine, EngineConfig, Graph, compile_graph, kernel_build
from audio_engine.graph.engine import engine_graph
from benchmarks.scene import Signal, double_talk

GOAL_SHARE = 0.02  # of one core: 50 times faster than real time


def growing_chain(config: EngineConfig) -> Iterator[tuple[str, Graph]]:
    """Yield each stage's name with the chain that ends there, in running order."""
    nodes = engine_graph(config).ordered_nodes()
    for count in range(1, len(nodes) + 1):
        graph = Graph(config.sample_rate_hz)
        graph.add_input("mic", config.channels)
        if any(node.far_end for node in nodes[:count]):
            graph.add_input("far", config.far_channels)
        for node in nodes[:count]:
            graph.add(node.name, node.config, source=node.source, far_end=node.far_end)
        last = nodes[count - 1]
        graph.add_output(last.source if last.name == "meter" else last.name)
        yield last.name, graph


def chain_seconds(config: EngineConfig, mic: Signal, far: Signal, runs: int) -> dict[str, float]:
    """Return the CPU seconds of the chain up to each stage.

    The chains take turns second by second, and each second counts with its best run: the
    processor's clock then changes little between what is compared.
    """
    chains = [(compile_graph(graph).plan, len(graph.inputs)) for _, graph in growing_chain(config)]
    rate_hz = config.sample_rate_hz
    seconds = [[x[at : at + rate_hz] for x in (mic, far)] for at in range(0, len(mic), rate_hz)]
    out = [np.empty_like(section[0]) for section in seconds]
    taken = np.empty((runs, len(seconds), len(chains)))
    for run in range(runs):
        for plan, _ in chains:
            plan.reset()
        for row, section in enumerate(seconds):
            for column, (plan, inputs) in enumerate(chains):
                start = time.thread_time()
                plan.process(section[:inputs], [out[row]])
                taken[run, row, column] = time.thread_time() - start
    names = [name for name, _ in growing_chain(config)]
    return dict(zip(names, taken.min(axis=0).sum(axis=0).tolist(), strict=True))


def block_seconds(config: EngineConfig, mic: Signal, far: Signal, runs: int) -> NDArray[np.float64]:
    """Return the CPU seconds of every 10 ms call to ``Engine.process``, shape (runs, blocks)."""
    block = config.sample_rate_hz // 100
    starts = range(0, len(mic) - block + 1, block)
    blocks = [(mic[at : at + block], far[at : at + block]) for at in starts]
    taken = np.empty((runs, len(blocks)))
    with Engine(config) as engine:
        for run in range(runs):
            engine.reset()
            for index, (mic_block, far_block) in enumerate(blocks):
                start = time.thread_time()
                engine.process(mic_block, far_block)
                taken[run, index] = time.thread_time() - start
    return taken


def measure(rate_hz: int, seconds: float, runs: int) -> Iterator[dict[str, Any]]:
    """Yield one record per case: the chain, its stages, its blocks."""
    config = EngineConfig(sample_rate_hz=rate_hz)
    mic, far = double_talk(seconds, rate_hz)
    common = {"rate_hz": rate_hz, "audio_s": seconds, "runs": runs, "build": kernel_build()}
    ends = chain_seconds(config, mic[:, np.newaxis], far[:, np.newaxis], runs)
    share = list(ends.values())[-1] / seconds
    yield {
        "case": "chain",
        "share_of_core": round(share, 5),
        "times_real_time": round(1.0 / share, 1),
        "goal_share": GOAL_SHARE,
        **common,
    }
    for name, added in zip(ends, np.diff([0.0, *ends.values()]) / seconds, strict=True):
        yield {"case": f"chain_stage_{name}", "share_of_core": round(float(added), 5), **common}
    shares = block_seconds(config, mic, far, runs) / 0.01
    yield {
        "case": "chain_block_10ms",
        "median_share": round(float(np.median(shares)), 5),
        # The least of the runs, block by block: what the work itself needs.
        "worst_share_99.9": round(float(np.quantile(shares.min(axis=0), 0.999)), 5),
        # All runs together: with what the machine did meanwhile (caches, interrupts).
        "worst_share_99.9_all_runs": round(float(np.quantile(shares, 0.999)), 5),
        **common,
    }


def main(arguments: list[str] | None = None) -> int:
    """Print one JSON line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate-hz", type=int, default=48000)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the scene")
    parser.add_argument("--runs", type=int, default=20, help="best of this many")
    options = parser.parse_args(arguments)
    for record in measure(options.rate_hz, options.seconds, options.runs):
        print(json.dumps(record), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

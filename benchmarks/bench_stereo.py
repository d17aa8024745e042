"""What a second far-end channel costs the echo filter, and what it brings.

``python -m benchmarks.bench_stereo`` prints one JSON line per case. Cost: CPU time of the calling
thread per 10 ms block of the echo filter alone, best of several runs, two references beside one, in
turns. Gain: ERLE, by how much less echo is left than came in, of the echo filter alone (what the
suppressor adds is left out), with two references beside one, their mean. The scenes hold nothing
but echo and a little noise. ``AUDIO_ENGINE_KERNELS=baseline`` picks the kernel build.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from audio_engine import EchoConfig, Graph, compile_graph, kernel_build
from audio_engine.graph.compile import CompiledGraph
from benchmarks.scene import Signal, two_loudspeakers

RATES_HZ = (16000, 48000)
GOAL_RATIO = 2.5  # two echo paths, their covariance, two delay finders
PEER = "mean reference"


def echo_filter(rate_hz: int, far_channels: int) -> CompiledGraph:
    """Return a plan of the echo filter alone."""
    graph = Graph(rate_hz)
    graph.add_input("mic")
    graph.add_input("far", far_channels)
    graph.add("echo", EchoConfig(), source="mic", far_end="far")
    graph.add_output("echo")
    return compile_graph(graph)


def cost(rate_hz: int, seconds: float, runs: int) -> dict[str, Any]:
    """Return the CPU time per block with two references and with one."""
    echo, noise, far = two_loudspeakers("music", seconds, rate_hz)
    mic = (echo + noise)[:, np.newaxis]
    references = [far, np.ascontiguousarray(far.mean(axis=1, keepdims=True))]
    plans = [echo_filter(rate_hz, reference.shape[1]).plan for reference in references]
    out = np.empty_like(mic)
    taken = np.empty((runs, 2))
    for run in range(runs):
        for i, plan in enumerate(plans):
            plan.reset()
            start = time.thread_time()
            plan.process([mic, references[i]], [out])
            taken[run, i] = time.thread_time() - start
    two, one = (float(us) for us in taken.min(axis=0) * 1e6 / (seconds * 100))
    return {
        "case": f"stereo_cost_{rate_hz}",
        "ours_us": round(two, 2),
        "peer": "one reference",
        "peer_us": round(one, 2),
        "ratio": round(two / one, 3),
        "goal_ratio": GOAL_RATIO,
    }


def left_over(echo: Signal, noise: Signal, far: Signal, rate_hz: int) -> Signal:
    """Return what the echo filter leaves of the echo."""
    plan = echo_filter(rate_hz, far.shape[1]).plan
    mic = (echo + noise)[:, np.newaxis]
    out = np.empty_like(mic)
    plan.process([mic, far], [out])
    late = plan.latency_frames
    rest: Signal = out[late:, 0] - noise[: len(out) - late]
    return rest


def erle_db(echo: Signal, rest: Signal, stretch: slice) -> float:
    """Return by how much the rest lies below the echo."""
    powers = [float(np.sum(signal[stretch].astype(np.float64) ** 2)) for signal in (echo, rest)]
    return 10.0 * float(np.log10((powers[0] + 1e-20) / (powers[1] + 1e-20)))


def gains(rate_hz: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the ERLE of every scene, with two references and with their mean."""
    middle = seconds / 2
    late = [("late", middle, seconds)]
    move = [("before", middle - 2.0, middle)]
    move += [(f"{s}s", middle + s - 1, middle + s) for s in (1, 2, 3)]
    stretches = {
        "music": late,
        "same": late,
        "antiphase": late,
        "panned": move,
        "tones": move,
    }
    for kind, parts in stretches.items():
        echo, noise, far = two_loudspeakers(kind, seconds, rate_hz)
        mean = np.ascontiguousarray(far.mean(axis=1, keepdims=True))
        two, one = (left_over(echo, noise, signal, rate_hz) for signal in (far, mean))
        for name, from_s, to_s in parts:
            stretch = slice(round(from_s * rate_hz), round(to_s * rate_hz))
            yield {
                "case": f"stereo_{kind}_{name}",
                "erle_db": round(erle_db(echo, two, stretch), 1),
                "peer": PEER,
                "peer_erle_db": round(erle_db(echo, one, stretch), 1),
            }


def measure(seconds: float, runs: int) -> Iterator[dict[str, Any]]:
    """Yield one record per case: the cost at both rates, then the gain at 16 kHz."""
    common = {"audio_s": seconds, "build": kernel_build()}
    for rate_hz in RATES_HZ:
        yield {**cost(rate_hz, seconds, runs), "rate_hz": rate_hz, "runs": runs, **common}
    for record in gains(RATES_HZ[0], seconds):
        yield {**record, "rate_hz": RATES_HZ[0], **common}


def main(arguments: list[str] | None = None) -> int:
    """Print one JSON line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each scene, >= 8")
    parser.add_argument("--runs", type=int, default=20, help="best of this many")
    options = parser.parse_args(arguments)
    for record in measure(options.seconds, options.runs):
        print(json.dumps(record), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Train a net on the material; goes on where it was stopped.

usage: python -m training.train RUN --material DIR [--steps N ...]

RUN is a folder. It keeps state.pt (everything to go on, written every few minutes), log.jsonl (one
line now and then) and net.pt (the averaged weights).
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import signal
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from training import net, quantise
from training.mix import ASIDE, Batch, Mixer
from training.muon import Muon
from training.pause import wait_while_paused

_VALID_SEED, _VALID_STEPS, _VALID_SEQUENCES = 77, 6, 16


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--singles", type=int, default=64)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--full", type=int, default=48)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--taps", type=int, default=0)
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--sequences", type=int, default=24)
    parser.add_argument("--hops", type=int, default=300)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--least-rate", type=float, default=2e-5)
    parser.add_argument("--warm-up", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, help="net.pt to begin from")
    parser.add_argument("--lost", type=float, default=2.0)
    parser.add_argument(
        "--bfloat16", action="store_true", help="faster on a processor with AVX-512 BF16"
    )
    parser.add_argument(
        "--quantised-share", type=float, default=0.1, help="of the steps, with 8-bit weights"
    )
    parser.add_argument("--log-every", type=int, default=250, help="steps")
    parser.add_argument(
        "--minutes", type=float, help="stop after so long, as on SIGTERM; the state is kept"
    )
    return parser


def rate_at(step: int, options: argparse.Namespace) -> float:
    """Return the learning rate: a short rise, then half a cosine."""
    if step < options.warm_up:
        return float(options.rate * (step + 1) / options.warm_up)
    done = (step - options.warm_up) / max(1, options.steps - options.warm_up)
    half = 0.5 + 0.5 * math.cos(math.pi * min(done, 1.0))
    return float(options.least_rate + (options.rate - options.least_rate) * half)


class Run:
    """A training with its state."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folder: Path = options.run
        self.folder.mkdir(parents=True, exist_ok=True)
        self.shape = net.Shape(
            options.singles, options.channels, options.full, options.layers, options.taps, ASIDE
        )
        torch.manual_seed(options.seed)
        self.net = net.BandNet(self.shape)
        if options.start is not None:
            old = net.load(options.start)
            weights, _ = net.widened(old.state_dict(), old.shape, ASIDE - old.shape.aside)
            self.net.load_state_dict(weights)
        self.averaged = copy.deepcopy(self.net)
        named = list(self.net.named_parameters())
        matrices = [(n, p) for n, p in named if p.ndim == 2 and min(p.shape) > 1 and n != "place"]
        ids = {id(p) for _, p in matrices}
        rest = [p for _, p in named if id(p) not in ids]
        self.optimisers = [
            Muon(matrices, options.rate),
            torch.optim.AdamW(rest, lr=options.rate, weight_decay=1e-4, betas=(0.9, 0.98)),
        ]
        self.weight = net.Weighting(lost=options.lost)
        self.step, self.cpu_s, self.frames = 0, 0.0, 0
        if (self.folder / "state.pt").exists():
            self._resume()
        points = self.shape.points
        self.mixer = Mixer(options.material / "train", points, options.hops)
        self.valid = Mixer(options.material / "valid", points, options.hops)

    def _resume(self) -> None:
        state = torch.load(self.folder / "state.pt", weights_only=True)
        self.net.load_state_dict(state["net"])
        self.averaged.load_state_dict(state["averaged"])
        for optimiser, held in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(held)
        self.step, self.cpu_s, self.frames = state["step"], state["cpu_s"], state["frames"]

    def save(self) -> None:
        """Write the state and the averaged weights."""
        state = {
            "net": self.net.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "cpu_s": self.cpu_s,
            "frames": self.frames,
        }
        for name, content in (("state.pt", state), ("net.pt", net.kept(self.averaged))):
            torch.save(content, self.folder / f".{name}")
            os.replace(self.folder / f".{name}", self.folder / name)

    def keep_options(self) -> None:
        """Write what the run was called with, without the machine's folders."""
        named = {k: str(v) if isinstance(v, Path) else v for k, v in vars(self.options).items()}
        named |= {k: None for k in ("run", "material")}
        if self.options.start is not None:
            named["start"] = f"{self.options.start.parent.name}/{self.options.start.name}"
        (self.folder / "options.json").write_text(json.dumps(named) + "\n", encoding="utf-8")

    def losses(self, model: torch.nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the loss of a batch and its parts."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.bfloat16):
            answer = model(batch.hears, batch.low_mixed, batch.aside)
        return net.loss(answer, batch, self.shape.points, self.weight)

    def precision(self, model: torch.nn.Module) -> AbstractContextManager[None]:
        """Return what rounds the weights to 8 bits at the end of a training, and nothing before."""
        late = self.step >= self.options.steps * (1 - self.options.quantised_share)
        return quantise.all_rounded(model) if late else nullcontext()

    def learn(self) -> dict[str, float]:
        """Take one step."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate_at(self.step, self.options)
            optimiser.zero_grad()
        batch = self.mixer.batch(self.options.seed, self.step, self.options.sequences)
        with self.precision(self.net):
            parts = self.losses(self.net, batch)
            parts["loss"].backward()
        length = torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        if torch.isfinite(length):
            for optimiser in self.optimisers:
                optimiser.step()
        else:
            print(f"step {self.step}: no finite gradient, left out", flush=True)
        kept = min(0.999, (self.step + 1) / (self.step + 20))
        with torch.no_grad():
            for slow, fast in zip(self.averaged.parameters(), self.net.parameters(), strict=True):
                slow.lerp_(fast, 1 - kept)
        self.step += 1
        self.frames += batch.speech.numel()
        return {k: float(v.detach()) for k, v in parts.items()}

    def validate(self) -> dict[str, float]:
        """Return the averaged net's loss on held-out speakers and noises."""
        sums: dict[str, float] = {}
        with torch.no_grad(), self.precision(self.averaged):
            for step in range(_VALID_STEPS):
                parts = self.losses(
                    self.averaged, self.valid.batch(_VALID_SEED, step, _VALID_SEQUENCES)
                )
                for k, v in parts.items():
                    sums[k] = sums.get(k, 0.0) + float(v) / _VALID_STEPS
        return sums

    def log(self, **line: Any) -> None:
        """Add a line to the log."""
        line = {
            "step": self.step,
            "frames": self.frames,
            "cpu_min": round(self.cpu_s / 60, 2),
            **line,
        }
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        print(line, flush=True)


def main() -> None:
    """Run the command line."""
    options = arguments().parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    run = Run(options)
    run.keep_options()
    count = sum(p.numel() for p in run.net.parameters())
    run.log(
        parameters=count, multiplications=net.multiplications(run.shape), clips=len(run.mixer.heard)
    )
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    began, saved, cpu = time.monotonic(), time.monotonic(), time.process_time()
    mean: dict[str, float] = {}
    while run.step < options.steps:
        wait_while_paused()
        parts = run.learn()
        mean = {k: v if k not in mean else 0.98 * mean[k] + 0.02 * v for k, v in parts.items()}
        run.cpu_s += time.process_time() - cpu
        cpu = time.process_time()
        late = options.minutes is not None and time.monotonic() - began > 60 * options.minutes
        late = late or bool(stopped)
        if run.step % options.log_every == 0 or run.step == options.steps or late:
            held = run.validate()
            run.log(
                train={k: round(v, 5) for k, v in mean.items()},
                valid={k: round(v, 5) for k, v in held.items()},
            )
        if time.monotonic() - saved > 120 or run.step == options.steps or late:
            run.save()
            saved = time.monotonic()
        if late:
            break


if __name__ == "__main__":
    main()

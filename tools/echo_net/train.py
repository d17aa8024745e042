"""Train the echo net anew: make scenes, then fit the weights.

usage, from the project's root:
  python -m tools.echo_net.train prepare --speech DIR --noise DIR --scenes N OUT
  python -m tools.echo_net.train fit DATA... WEIGHTS

prepare needs a C compiler, speech and noise recordings, 1.5 MB of disk per scene, memory for the
recordings (120 MB per hour and job), and half a second per scene and core. fit needs JAX
(pip install --group train) and 2 GB of memory; a scene takes 25 ms of both cores of a small machine
per epoch. So 2500 scenes and 20 epochs are ready within the hour.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from tools.echo_net import weights as weights_file
from tools.echo_net.features import ROOT, DataSet

HEADER = ROOT / "csrc" / "ae_echo_net_weights.h"


def shipped_size(name: str) -> int:
    """Return AE_ECHO_NET_DENSE or AE_ECHO_NET_STATE of the weights in csrc."""
    found = re.search(rf"\bAE_ECHO_NET_{name} = (\d+)", HEADER.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{HEADER} does not say AE_ECHO_NET_{name}")
    return int(found[1])


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.echo_net.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="make scenes; write what the net hears of them")
    prepare.add_argument("--speech", type=Path, required=True, help="folder of clean speech")
    prepare.add_argument("--noise", type=Path, required=True, help="folder of noise without speech")
    prepare.add_argument("--scenes", type=int, default=2500, help="of 14 s each (default: 2500)")
    prepare.add_argument("--seed", type=int, default=1, help="another one: other scenes")
    prepare.add_argument("--jobs", type=int, default=os.cpu_count(), help="(default: all cores)")
    prepare.add_argument("out", type=Path, help="folder to write to")
    fit = commands.add_parser("fit", help="train; write the weights after every epoch")
    fit.add_argument("data", type=Path, nargs="+", help="folders that prepare has written")
    fit.add_argument("weights", type=Path, help="header to write: csrc/ae_echo_net_weights.h")
    fit.add_argument("--epochs", type=int, default=20)
    fit.add_argument("--batch", type=int, default=48, help="scenes (default: 48)")
    fit.add_argument("--rate", type=float, default=2e-3, help="of learning (default: 0.002)")
    fit.add_argument("--dense", type=int, help="size of the dense layer (default: as it is)")
    fit.add_argument("--state", type=int, help="size of the recurrent layer (default: as it is)")
    fit.add_argument("--start", type=Path, help="header to go on from (default: random weights)")
    return parser


def fit_weights(options: argparse.Namespace) -> None:
    """Run the command fit."""
    from tools.echo_net import net

    scenes = net.Scenes(options.data)
    if options.start is not None:
        if options.dense or options.state:
            raise SystemExit("--start brings its sizes along: leave --dense and --state out")
        weights = weights_file.read(options.start)
    else:
        dense = options.dense or shipped_size("DENSE")
        state = options.state or shipped_size("STATE")
        weights = net.initial(scenes.inputs, scenes.bands, dense, state)
    training = net.Training(
        epochs=options.epochs, batch_scenes=options.batch, learning_rate=options.rate
    )
    net.fit(scenes, weights, training, options.weights)


def main() -> None:
    """Run the command line."""
    options = arguments().parse_args()
    if options.command == "fit":
        fit_weights(options)
        return
    DataSet(
        speech=options.speech,
        noise=options.noise,
        out=options.out,
        scenes=options.scenes,
        seed=options.seed,
        jobs=max(1, min(options.jobs, options.scenes)),
    ).make()


if __name__ == "__main__":
    main()

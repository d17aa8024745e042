"""Write the tables and the picture of docs/models.md from what a training was made of.

usage: python -m training.model_cards --speech DIR --noise DIR --material MATERIAL \
           --net small=RUN1,RUN2 --net large=RUN3 [--page docs/models.md]

A net's runs are folders of `training.train`, in the order in which each began with the one before.
--scores takes a noise bench's results: JSON with {"summary": {system: {metric: number}}}. Only what
lies between the page's marks is written; the words around them are by hand.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.material import SECONDS
from training.recordings import NARROW_RATE_HZ, Reader, Recording, listed

# What stands for nothing worth saying: train.py's defaults, and what is the same in all runs.
_DEFAULTS = {
    "singles": 64, "layers": 2, "hops": 300, "least_rate": 2e-5, "warm_up": 100, "start": None,
    "bfloat16": False, "quantised_share": 0.1, "log_every": 250, "minutes": None, "run": None,
    "material": None,
}  # fmt: skip
Row = tuple[str, ...]
Curve = tuple[str, list[tuple[float, float]]]
_MARKS = "<!-- {}: made by training/model_cards.py -->", "<!-- end of {} -->"
_LANGUAGES = {"zh": "Mandarin", "en": "English", "de": "German", "ru": "Russian"}


def table(rows: list[Row]) -> str:
    """Return a Markdown table; the first row is the head."""
    head, *body = rows
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ("---",) * len(head), *body])


# --- what was heard ---


@dataclass
class _Source:
    licence: str
    languages: set[str]
    voices: set[str]
    held_out: set[str]
    recordings: int = 0
    seconds: float = 0.0


def _by_source(reader: Reader, recordings: list[Recording], speech: bool) -> dict[str, _Source]:
    found: dict[str, _Source] = {}
    for recording in recordings:
        licence, language = recording.licence, recording.language
        if speech and reader.clean(recording, NARROW_RATE_HZ) is None:
            continue
        source = found.setdefault(recording.source, _Source(licence, set(), set(), set()))
        source.languages.add(_LANGUAGES.get(language, language))
        (source.held_out if recording.held_out else source.voices).add(recording.speaker)
        if not recording.held_out:
            source.recordings += 1
            source.seconds += len(reader.read(recording, NARROW_RATE_HZ)) / NARROW_RATE_HZ
    return found


def data_rows(folder: Path, noise: bool) -> list[Row]:
    """Return one row per source of recordings, and their sum."""
    sources = _by_source(Reader(), listed(folder, noise), not noise)
    what = ("kinds",) if noise else ("languages", "speakers")
    rows: list[Row] = [("source", "licence", *what, "held out", "recordings", "minutes")]

    def add(name: str, licence: str, languages: str, some: list[_Source]) -> None:
        spoken = () if noise else (languages,)
        numbers = (len(s.voices) for s in some), (len(s.held_out) for s in some)
        counts = (str(sum(n)) for n in (*numbers, (s.recordings for s in some)))
        minutes = f"{sum(s.seconds for s in some) / 60:.1f}"
        rows.append((name, licence, *spoken, *counts, minutes))

    for name, source in sorted(sources.items()):
        add(name, source.licence, ", ".join(sorted(source.languages)), [source])
    add("all", "", "", list(sources.values()))
    return rows


def noise_rows(material: Path) -> list[Row]:
    """Return how much of the noise clips of a material is of which kind."""
    clips: Counter[str] = Counter()
    for path in sorted((material / "train").glob("noise[0-9]*.npz")):
        kinds = np.load(path)["kinds"]
        clips.update(str(kind).partition("/")[0] for kind in kinds)
    total = sum(clips.values())
    rows: list[Row] = [("kind", "clips", "hours", "share")]
    for kind, count in sorted(clips.items(), key=lambda each: -each[1]):
        hours, share = count * SECONDS / 3600, 100 * count / total
        rows.append((kind, str(count), f"{hours:.2f}", f"{share:.1f} %"))
    return [*rows, ("all", str(total), f"{total * SECONDS / 3600:.2f}", "100 %")]


# --- how it learned ---


@dataclass(frozen=True)
class Run:
    """What a training has logged."""

    name: str
    lines: list[dict[str, Any]]
    options: dict[str, Any]

    @property
    def head(self) -> dict[str, Any]:
        """Size of the net and of the material."""
        return next(line for line in self.lines if "parameters" in line)

    @property
    def validated(self) -> list[dict[str, Any]]:
        """The lines with losses, in order."""
        return [line for line in self.lines if "valid" in line]


def read_run(folder: Path) -> Run:
    """Return a run's log and, where it has kept them, its options."""
    log = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    options = folder / "options.json"
    kept = json.loads(options.read_text(encoding="utf-8")) if options.exists() else {}
    return Run(folder.name, [json.loads(line) for line in log], kept)


def run_rows(nets: dict[str, list[Run]]) -> list[Row]:
    """Return one row per run and one of sums per net."""
    rows: list[Row] = [
        ("net", "run", "seed", "steps", "million hops", "CPU-minutes", "loss in training",
         "loss held out", "of gains", "of phase", "of speech probability")
    ]  # fmt: skip
    for net, runs in nets.items():
        hops, minutes = 0.0, 0.0
        for run in runs:
            if not run.validated:
                continue
            last = run.validated[-1]
            valid = last["valid"]
            hops, minutes = hops + last["frames"] / 1e6, minutes + last["cpu_min"]
            losses = (last["train"]["loss"], *(valid[k] for k in ("loss", "magnitude", "phase")))
            rows.append(
                (net, run.name, str(run.options.get("seed", "")), str(last["step"]),
                 f"{last['frames'] / 1e6:.1f}", f"{last['cpu_min']:.1f}",
                 *(f"{x:.4f}" for x in losses), f"{valid['voice']:.3f}")
            )  # fmt: skip
        rows.append((net, "all", "", "", f"{hops:.1f}", f"{minutes:.1f}", "", "", "", "", ""))
    return rows


def option_rows(nets: dict[str, list[Run]]) -> list[Row]:
    """Return what each run was called with; what stays at its default is left out."""
    rows: list[Row] = [("run", "clips of speech", "options", "")]
    for run in {run.name: run for runs in nets.values() for run in runs}.values():
        left = {k: v for k, v in run.options.items() if k != "note" and v != _DEFAULTS.get(k)}
        words = " ".join(
            f"--{k.replace('_', '-')}" + ("" if v is True else f" {v}") for k, v in left.items()
        )
        note = str(run.options.get("note", ""))
        rows.append((run.name, str(run.head["clips"]), f"`{words}`" if words else "", note))
    return rows


def size_rows(nets: dict[str, list[Run]]) -> list[Row]:
    """Return how large each net is."""
    rows: list[Row] = [("net", "parameters", "multiplications per hop of 10 ms")]
    for net, runs in nets.items():
        head = runs[-1].head
        rows.append((net, f"{head['parameters']:,}", f"{head['multiplications']:,}"))
    return rows


# What a bench measures, in our words; "/" is between two of its numbers.
METRICS = {
    "OVRL": ("ovrl",), "SIG / BAK": ("sig", "bak"), "PESQ": ("pesq",), "ESTOI": ("estoi",),
    "SI-SDR gain, dB": ("sisdri",), "pauses go down by, dB": ("pause",),
    "speech turned down by, dB": ("satt",), "speech tiles cut, %": ("loss6",),
    "onsets turned down by, dB": ("onset",), "clean speech: PESQ": ("cl_pesq",),
    "noise alone goes down by, dB": ("no_natt",), "cold start: OVRL": ("cold_ovrl",),
    "8 kHz: PESQ": ("r8_pesq",), "48 kHz: OVRL / PESQ": ("r48_ovrl", "r48_pesq"),
    "reverberation: PESQ / ESTOI": ("rev_pesq", "rev_estoi"),
    "reverberation and noise: OVRL": ("revn_ovrl",), "latency, ms": ("lat_ms",),
    **{
        f"{kind}: OVRL / PESQ": (f"ovrl_{kind}", f"pesq_{kind}")
        for kind in ("stationary", "babble", "street", "keyboard", "music", "wind", "hum", "hiss")
    },
}  # fmt: skip


def score_rows(files: list[Path]) -> list[Row]:
    """Return one row per metric and a column per system of the files, in their order."""
    found: dict[str, dict[str, float]] = {}
    for file in files:
        found |= json.loads(file.read_text(encoding="utf-8"))["summary"]
    rows: list[Row] = [("", *("input" if name == "none" else name for name in found))]
    for words, keys in METRICS.items():
        digits = 3 if keys == ("estoi",) else 2
        cells = (" / ".join(f"{s[key]:.{digits}f}" for key in keys) for s in found.values())
        rows.append((words, *cells))
    return rows


def curves(nets: dict[str, list[Run]]) -> list[Curve]:
    """Return held-out losses over the CPU-minutes that a net has had altogether, run after run."""
    found = []
    for net, runs in nets.items():
        before = 0.0
        for run in runs:
            points = [(before + v["cpu_min"], v["valid"]["loss"]) for v in run.validated]
            if points:
                found.append((f"{net} {run.name}", points))
                before = points[-1][0]
    return found


_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 300, 56, 110, 16, 40
_COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b8860b", "#555555")


def picture(drawn: list[Curve]) -> str:
    """Return an SVG of losses over CPU-minutes; the vertical axis is logarithmic."""
    every = [point for _, points in drawn for point in points]
    most = max(x for x, _ in every) or 1.0
    low, high = (f(math.log(y) for _, y in every) for f in (min, max))
    low, high = low - 0.03, high + 0.03
    wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        up = (math.log(y) - low) / (high - low)
        return _LEFT + wide * x / most, _TOP + tall * (1 - up)

    parts = []
    for k in range(5):
        y = math.exp(low + (high - low) * k / 4)
        _, v = place(0, y)
        parts.append(f'<path d="M{_LEFT} {v:.1f}H{_LEFT + wide}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{v + 4:.1f}" text-anchor="end">{y:.4f}</text>')
        x = most * k / 4
        u, _ = place(x, y)
        parts.append(
            f'<text x="{u:.1f}" y="{_TOP + tall + 16}" text-anchor="middle">{x:.0f}</text>'
        )
    middle = _LEFT + wide / 2
    parts.append(
        f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">CPU-minutes of training</text>'
    )
    free = 0.0
    for n, (name, points) in enumerate(drawn):
        colour = _COLOURS[n % len(_COLOURS)]
        line = " ".join(f"{u:.1f},{v:.1f}" for u, v in (place(x, y) for x, y in points))
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
        free = _TOP + 12.0 + 15 * n
        parts.append(f'<text x="{_LEFT + wide + 10}" y="{free:.0f}" fill="{colour}">{name}</text>')
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" font-family="DejaVu Sans, Helvetica, sans-serif" font-size="11">'
    )
    ground = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
    return "\n".join([head, ground, *parts, "</svg>"]) + "\n"


def put_between(text: str, name: str, words: str) -> str:
    """Return a page with what stands between the marks of `name` replaced."""
    begin, end = (mark.format(name) for mark in _MARKS)
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no marks for {name}")
    return f"{before}{begin}\n\n{words.strip()}\n\n{end}{after}"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--noise", type=Path)
    parser.add_argument("--material", type=Path)
    parser.add_argument("--net", action="append", default=[], metavar="NAME=RUN,...")
    parser.add_argument("--scores", type=Path, action="append", default=[], metavar="JSON")
    parser.add_argument("--page", type=Path, default=Path("docs/models.md"))
    options = parser.parse_args()
    parts: dict[str, list[Row]] = {}
    if options.speech is not None:
        parts["speech"] = data_rows(options.speech, noise=False)
    if options.noise is not None:
        parts["noise"] = data_rows(options.noise, noise=True)
    if options.material is not None:
        parts["material"] = noise_rows(options.material)
    if options.scores:
        parts["scores"] = score_rows(options.scores)
    nets = {}
    for net in options.net:
        name, _, runs = net.partition("=")
        nets[name] = [read_run(Path(run)) for run in runs.split(",")]
    if nets:
        parts |= {"sizes": size_rows(nets), "runs": run_rows(nets), "options": option_rows(nets)}
        drawing = options.page.with_name("models-learning.svg")
        drawing.write_text(picture(curves(nets)), encoding="utf-8")
    text = options.page.read_text(encoding="utf-8")
    for name, rows in parts.items():
        text = put_between(text, name, table(rows))
    options.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

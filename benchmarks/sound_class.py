"""How well speech, music and noise are told apart, beside webrtcvad's speech or not.

``python -m benchmarks.sound_class`` makes clips of 14 s, each of one kind (speech also over noise
and over music), and prints for every kind what its time was taken for, long pauses left out.
Without recordings the voices are the demo's and espeak-ng's where that is installed, the music is
`pieces`, the noise made by formula; ``--speech DIR --noise DIR --music DIR`` takes recordings.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine import VoiceActivityDetector
from audio_engine.analysis.sound_class import KINDS, SoundClassifier
from audio_engine.analysis.sound_listener import STEP_S
from tools.sound_class.scenes import RATE_HZ, Recordings, Signal, clips

Record = dict[str, Any]
COLUMNS = ("share", "speech", "music", "noise", "silence", "webrtcvad speech")
SETTLED_STEPS = 4  # of the clip's first second, in which nobody knows yet
SENTENCES = {
    "en": "Welcome back to the show, everybody. Today we have three new colours, and they are all "
    "in stock. If you order in the next ten minutes, shipping is free.",
    "de": "Guten Abend und herzlich willkommen. Wir zeigen heute die neue Jacke aus Wolle.",
    "cmn": "大家好,欢迎来到直播间。今天的新款有三种颜色,现在下单免运费。",
}
VARIANTS = ("m1", "m3", "m7", "f1", "f2", "f4")


def voices(folder: Path) -> Recordings:
    """Write the demo's voices, and espeak-ng's where it is installed, a folder for each."""
    for name in ("host", "guest"):
        source = resources.files("audio_engine") / "demo_data" / f"{name}.flac"
        (folder / name).mkdir()
        (folder / name / f"{name}.flac").write_bytes(source.read_bytes())
    if shutil.which("espeak-ng"):
        for index, variant in enumerate(VARIANTS):
            language = list(SENTENCES)[index % len(SENTENCES)]
            (folder / variant).mkdir()
            command = ["espeak-ng", "-v", f"{language}+{variant}", "-s", str(130 + 12 * index)]
            command += ["-w", str(folder / variant / "said.wav"), SENTENCES[language]]
            subprocess.run(command, check=True, capture_output=True)
    return Recordings(folder)


def told(signal: Signal) -> NDArray[np.int64]:
    """Return the kind of every step of 0.25 s."""
    with SoundClassifier(RATE_HZ) as classifier:
        classifier.add(signal.astype(np.float32))
        segments = classifier.finish()
    kinds = [KINDS.index(s.kind) for s in segments for _ in range(_steps(s.end_s - s.start_s))]
    return np.array(kinds, np.int64)


def _steps(seconds: float) -> int:
    return round(seconds / STEP_S)


def baseline(signal: Signal, there: NDArray[np.bool_]) -> float:
    """Return the share of these steps in which webrtcvad, with our hang-over, hears speech."""
    with VoiceActivityDetector(RATE_HZ, engine="webrtcvad") as detector:
        speech = detector.decide(detector.process(signal.astype(np.float32)))
    blocks = speech[: len(speech) // 25 * 25].reshape(-1, 25)
    return float(np.mean(blocks[there[: len(blocks)]]))


def measure(
    count: int, speech: Recordings, noise: Recordings, music: Recordings, seed: int
) -> Iterator[Record]:
    """Yield what each kind, and each source of it, was taken for, in shares of its time."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    seconds, audio_s = 0.0, 0.0
    for clip in clips(count, speech, noise, music, seed):
        start = time.process_time()
        kinds = told(clip.signal)
        seconds += time.process_time() - start
        audio_s += len(clip.signal) / RATE_HZ
        there = clip.heard
        there[:SETTLED_STEPS] = False
        kinds = kinds[there]
        shares = np.bincount(kinds, minlength=4) / max(1, len(kinds))
        shares = np.append(shares, baseline(clip.signal, there))
        kind = KINDS[clip.kind]
        over = clip.source.partition(", ")[2]
        found.setdefault(kind, []).append(shares)
        found.setdefault(f"{kind} over {over}" if over else f"{kind} alone", []).append(shares)
        found.setdefault(f"{kind}: {clip.source}", []).append(shares)
    for case, rows in sorted(found.items()):
        mean = np.mean(rows, axis=0)
        kind = case.split()[0].strip(":")
        record = {"case": case, "clips": len(rows), "right": round(mean[KINDS.index(kind)], 3)}
        named = zip(COLUMNS[1:], mean, strict=True)
        yield record | {name: round(float(value), 3) for name, value in named}
    yield {"case": "cost", "share_of_core": round(seconds / audio_s, 4)}


def row(record: Record) -> str:
    """Return a record as text."""
    if "share_of_core" in record:
        return f"CPU: {100.0 * record['share_of_core']:.1f} % of a core"
    cells = "".join(f"{100.0 * record[name]:10.1f}" for name in COLUMNS[1:5])
    return f"{record['case']:<44}{record['clips']:>5}{cells}{100.0 * record[COLUMNS[5]]:18.1f}"


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("speech", "noise", "music"):
        parser.add_argument(f"--{name}", type=Path, help=f"folder of {name}, by source")
    parser.add_argument("--clips", type=int, default=60, help="of each kind")
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--all", action="store_true", help="a line for every source too")
    parser.add_argument("--json", action="store_true", help="one JSON line per record")
    options = parser.parse_args(arguments)
    if not options.json:
        head = "".join(f"{name:>10}" for name in COLUMNS[1:5])
        print(f"{'% of the time taken for':<44}{'clips':>5}{head}{COLUMNS[5]:>18}")
    with tempfile.TemporaryDirectory() as folder:
        speech = Recordings(options.speech) if options.speech else voices(Path(folder))
        noise, music = Recordings(options.noise), Recordings(options.music)
        for record in measure(options.clips, speech, noise, music, options.seed):
            if options.json:
                print(json.dumps(record))
            elif options.all or ":" not in record["case"]:
                print(row(record))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""What the scripts that make pages and pictures share: Markdown tables, signals, labels."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

Signal = NDArray[np.float64]


def table(rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table; the first row is the head."""
    head, *body = rows
    lines = [head, tuple("---" for _ in head), *body]
    return "".join("| " + " | ".join(row) + " |\n" for row in lines)


def put_between(page: Path, marks: tuple[str, str], words: str) -> None:
    """Replace what stands between two marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(marks[0])
    _, _, after = rest.partition(marks[1])
    page.write_text(f"{before}{marks[0]}\n{words}\n{marks[1]}{after}", encoding="utf-8")


def run_script(
    words: str | None, make: Callable[[Path, bool], str], page: Path, marks: tuple[str, str]
) -> None:
    """Make a folder of recordings, and with ``--pages`` the pictures and the table of a page."""
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("folder", metavar="DIR", type=Path, help="where the WAVs go")
    parser.add_argument("--pages", action="store_true", help="renew the pictures and the table")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    figures = make(options.folder, options.pages)
    print(figures, end="")
    if options.pages:
        put_between(page, marks, figures)


def demo_voice(name: str) -> Signal:
    """Return a voice of the demo, ``host`` or ``guest``, at 16 kHz."""
    with resources.as_file(resources.files("audio_engine") / "demo_data" / f"{name}.flac") as path:
        samples, _ = soundfile.read(path)
    return np.asarray(samples, np.float64)


def chords(seconds: float, rate_hz: int) -> Signal:
    """Return slow chords, not scaled."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    out = np.zeros(len(time_s))
    notes_hz = ((220.0, 261.6, 329.6), (174.6, 220.0, 261.6), (196.0, 246.9, 293.7))
    for bar in range(int(seconds / 2.0)):
        since_s = time_s - 2.0 * bar
        swell = np.clip(since_s / 0.05, 0.0, 1.0) * np.exp(-np.maximum(since_s, 0.0) / 1.5)
        for note_hz in notes_hz[bar % 3]:
            for k in range(1, 9):
                out += swell * (since_s < 2.4) * np.sin(2.0 * np.pi * note_hz * k * time_s) / k
    return out


def hiss(seconds: float, rate_hz: int, rng: np.random.Generator) -> Signal:
    """Return a hiss that falls by 3 dB an octave above 200 Hz: a fan. Not scaled."""
    count = round(seconds * rate_hz)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    falling = spectrum / np.sqrt(1.0 + np.fft.rfftfreq(count, 1.0 / rate_hz) / 200.0)
    return np.asarray(np.fft.irfft(falling, count))


def svg(width: int, height: int, parts: list[str]) -> str:
    """Return a picture of its parts on white."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" font-family="DejaVu Sans, Helvetica, sans-serif" font-size="11">'
    )
    ground = f'<rect width="{width}" height="{height}" fill="white"/>'
    return "\n".join([head, ground, *parts, "</svg>"]) + "\n"


def label(x: float, y: float, words: str, anchor: str = "start", fill: str = "black") -> str:
    """Return words in a picture."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{fill}">{words}</text>'

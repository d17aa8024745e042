"""Draw what docs/loudness.md shows: the leveller's gain in scenes that are hard for it.

    python docs/make_loudness_pictures.py DIR

writes a WAV pair for each scene into DIR and prints what each part of it measures before and after.
The voices are the demo's, levels and music are made by formula, from a seed. With ``--pages`` it
draws the pictures of the page anew and puts the figures into its table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from drawing import Signal, chords, demo_voice, hiss, label, run_script, svg, table

import audio_engine as ae

HERE = Path(__file__).resolve().parent
PAGE = HERE / "loudness.md"
MARKS = "<!-- scenes: made by docs/make_loudness_pictures.py -->\n", "<!-- end of the scenes -->"
RATE_HZ = 16000
BLOCK = 160
TARGET_LUFS = -18.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A recording, and its parts: name, start and end in seconds."""

    name: str
    title: str
    mic: Signal
    parts: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Levelled:
    """A scene's output, and the gain at the end of each block."""

    out: Signal
    gain_db: Signal


# --- scenes ---------------------------------------------------------------------------------------


def at_loudness(signal: Signal, loudness_lufs: float) -> Signal:
    """Bring a signal to a loudness."""
    now_lufs = ae.measure_loudness(signal, RATE_HZ).integrated_lufs
    return np.asarray(signal * 10.0 ** ((loudness_lufs - now_lufs) / 20.0))


def talk(seconds: float, parts: list[tuple[float, float]], name: str = "host") -> Signal:
    """Return a voice whose loudness changes: (from second, LUFS), silent at -inf."""
    voice = at_loudness(np.resize(demo_voice(name), round(seconds * RATE_HZ)), 0.0)
    levels = np.full(len(voice), -np.inf)
    for start_s, loudness_lufs in parts:
        levels[round(start_s * RATE_HZ) :] = loudness_lufs
    return np.asarray(voice * 10.0 ** (levels / 20.0))


def scenes() -> Iterator[Scene]:
    """Make every scene; the same samples every time."""
    rng = np.random.default_rng(20261127)
    room = at_loudness(hiss(24.0, RATE_HZ, rng), -66.0)
    plain = -28.0
    yield Scene(
        name="shout",
        title="a shout, 16 dB over the voice",
        mic=talk(24.0, [(0.0, plain), (10.0, plain + 16.0), (11.5, plain)]) + room,
        parts=(("before", 5.0, 10.0), ("shout", 10.0, 11.5), ("after", 11.7, 16.0)),
    )
    yield Scene(
        name="whisper",
        title="a whisper after a shout: 3 s at +12 dB, then -14 dB",
        mic=talk(24.0, [(0.0, plain), (8.0, plain + 12.0), (11.0, plain - 14.0), (18.0, plain)])
        + room,
        parts=(("before", 4.0, 8.0), ("whisper", 13.0, 18.0), ("after", 19.0, 24.0)),
    )
    yield Scene(
        name="noisy",
        title="a far-off host, 10 dB over a fan, with a pause",
        mic=talk(24.0, [(0.0, -34.0), (10.0, -np.inf), (16.0, -34.0)])
        + at_loudness(hiss(24.0, RATE_HZ, rng), -44.0),
        parts=(("voice", 4.0, 10.0), ("pause", 12.0, 16.0), ("voice again", 16.0, 24.0)),
    )
    yield Scene(
        name="music",
        title="music 10 LU under the voice, alone for 6 s",
        mic=talk(24.0, [(0.0, -26.0), (10.0, -np.inf), (16.0, -26.0)])
        + at_loudness(chords(24.0, RATE_HZ), -36.0),
        parts=(("voice", 4.0, 10.0), ("music alone", 12.0, 16.0), ("voice again", 16.0, 24.0)),
    )
    turns = np.arange(24 * RATE_HZ) // (3 * RATE_HZ) % 2
    both = np.where(turns == 0, talk(24.0, [(0.0, -20.0)]), talk(24.0, [(0.0, -32.0)], "guest"))
    yield Scene(
        name="turns",
        title="two talkers on one microphone, 12 dB apart, 3 s each",
        mic=both + room,
        parts=tuple(
            ("loud one" if k % 2 == 0 else "soft one", 3.0 * k, 3.0 * k + 3.0) for k in range(2, 8)
        ),
    )


# --- what is done to them -------------------------------------------------------------------------


def levelled(scene: Scene) -> Levelled:
    """Run a scene through leveller and limiter."""
    with (
        ae.LoudnessLeveler(RATE_HZ, target_lufs=TARGET_LUFS) as agc,
        ae.TruePeakLimiter(RATE_HZ, ceiling_dbtp=-1.0) as limiter,
    ):
        late = agc.latency_frames
        padded = np.concatenate([scene.mic, np.zeros(late)])
        loud, gains = [], []
        for at in range(0, len(padded), BLOCK):
            loud.append(agc.process(padded[at : at + BLOCK]))
            gains.append(agc.stats().gain_db)
        out = ae.process_whole(limiter, np.concatenate(loud)[late:])
    return Levelled(out=out.astype(np.float64), gain_db=np.array(gains)[late // BLOCK :])


def part_lufs(signal: Signal, start_s: float, end_s: float) -> float:
    """Return the gated loudness of a part."""
    part = signal[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
    return ae.measure_loudness(part, RATE_HZ).integrated_lufs


# --- pictures -------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, TOP, BELOW = 600, 170, 46, 24, 40
LUFS_SHOWN, GAIN_SHOWN_DB = (-60.0, 0.0), (-30.0, 30.0)
COLOUR = {"in": "#999999", "out": "#1f5fbf", "gain": "#c03020", "target": "#30a030"}


def curve(
    times_s: Signal, values: Signal, shown: tuple[float, float], kind: str, end_s: float
) -> str:
    """Return one line of the plot."""
    x = LEFT + WIDTH * times_s / end_s
    share = (np.clip(values, *shown) - shown[0]) / (shown[1] - shown[0])
    y = TOP + HEIGHT * (1.0 - share)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{COLOUR[kind]}" stroke-width="1.3"/>'


def picture(scene: Scene, result: Levelled) -> str:
    """Return the momentary loudness before and after, and the gain."""
    end_s = len(scene.mic) / RATE_HZ
    parts = [label(LEFT, TOP - 10, scene.title)]
    for lufs in range(-60, 1, 20):
        y = TOP + HEIGHT * (1.0 - (lufs - LUFS_SHOWN[0]) / (LUFS_SHOWN[1] - LUFS_SHOWN[0]))
        parts.append(
            f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:g}" y2="{y:g}" stroke="#dddddd"/>'
        )
        parts.append(label(LEFT - 6, y + 4, f"{lufs}", "end"))
        parts.append(label(LEFT + WIDTH + 6, y + 4, f"{lufs + 30:+d} dB", fill=COLOUR["gain"]))
    for second in range(0, int(end_s) + 1, 4):
        parts.append(
            label(LEFT + WIDTH * second / end_s, TOP + HEIGHT + 15, f"{second} s", "middle")
        )
    whole = np.array([0.0, end_s])
    parts.append(curve(whole, np.full(2, TARGET_LUFS), LUFS_SHOWN, "target", end_s))
    for kind, signal in (("in", scene.mic), ("out", result.out)):
        series = ae.loudness_series(signal, RATE_HZ, hop_ms=50.0)
        parts.append(curve(series.times_s, series.momentary_lufs, LUFS_SHOWN, kind, end_s))
    gain_db = result.gain_db[::5]
    times_s = np.arange(len(gain_db)) * 5 * BLOCK / RATE_HZ
    parts.append(curve(times_s, gain_db, GAIN_SHOWN_DB, "gain", end_s))
    words = {"in": "in, LUFS", "out": "out, LUFS", "gain": "gain, dB", "target": "target"}
    for i, (kind, said) in enumerate(words.items()):
        parts.append(label(LEFT + 100 * i, TOP + HEIGHT + 32, said, fill=COLOUR[kind]))
    return svg(LEFT + WIDTH + 50, TOP + HEIGHT + BELOW, parts)


# --- all of it ------------------------------------------------------------------------------------


def make(folder: Path, pages: bool) -> str:
    """Write the WAVs, and the page's pictures if asked; return the table of figures."""
    rows: list[tuple[str, ...]] = [("scene", "part", "in, LUFS", "out, LUFS")]
    for scene in scenes():
        result = levelled(scene)
        for name, signal in (("before", scene.mic), ("after", result.out)):
            path = folder / f"{scene.name}-{name}.wav"
            soundfile.write(path, np.clip(signal, -1.0, 1.0), RATE_HZ, subtype="PCM_16")
        for name, start_s, end_s in scene.parts:
            heard = (part_lufs(signal, start_s, end_s) for signal in (scene.mic, result.out))
            rows.append((scene.name, name, *(f"{lufs:.1f}" for lufs in heard)))
        if pages:
            target = HERE / f"loudness-{scene.name}.svg"
            target.write_text(picture(scene, result), encoding="utf-8")
    return table(rows)


if __name__ == "__main__":
    run_script(__doc__, make, PAGE, MARKS)

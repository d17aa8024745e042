"""Does the room sound the same behind an echo? Comfort noise and noise suppression together.

``python -m benchmarks.echo_floor`` plays a far end into a noisy room in which nobody talks, through
the echo canceller and the noise suppressor of an engine, and compares the level that is left while
the far end talks with that of the room while all is silent. Goal: within 2 dB. Two kinds of noise,
two levels and two attenuation limits; exit status 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from audio_engine import Engine, EngineConfig, kernel_build
from benchmarks.echo_scene import (
    EchoPath,
    Signal,
    Talker,
    block_power,
    echo_blocks,
    level_db,
    room_response,
)

RATE_HZ = 16000
BLOCK = RATE_HZ // 100
SECONDS, KNOWN_S = 40.0, 10.0  # the first 10 s, in which all is learned, do not count
TURN_S = 4.0  # the far end talks for 4 s, and is silent for 4 s
SETTLED_BLOCKS = 50  # of a turn are left out: the echo's tail
FAR_DBFS, ECHO_RETURN_DB, DELAY_MS, T60_S = -21.0, -6.0, 80.0, 0.25
NOISES_DBFS = (-50.0, -60.0)
LIMITS_DB = (12.0, 20.0)
GOAL_DB = 2.0


def room_noise(kind: str, level_dbfs: float, rng: np.random.Generator) -> Signal:
    """Return white noise, or that of a fan: falling by 6 dB per octave from 200 Hz on."""
    noise = rng.standard_normal(round(SECONDS * RATE_HZ))
    if kind == "fan":
        spectrum = np.fft.rfft(noise)
        frequency_hz = np.fft.rfftfreq(len(noise), 1.0 / RATE_HZ)
        noise = np.fft.irfft(spectrum / np.maximum(frequency_hz / 200.0, 1.0), len(noise))
    scaled: Signal = noise * 10.0 ** ((level_dbfs - level_db(noise)) / 20.0)
    return scaled


def far_end(rng: np.random.Generator) -> Signal:
    """Return turns of speech with silence between them."""
    talker = Talker("guest", RATE_HZ, rng)
    silence = np.zeros(round(TURN_S * RATE_HZ))
    turns = []
    for _ in range(round(SECONDS / (2.0 * TURN_S))):
        turns += [talker.say(TURN_S, FAR_DBFS), silence]
    return np.concatenate(turns)


def settled(far: Signal) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which blocks lie well inside a turn or a silence, and after the first seconds."""
    index = np.arange(len(far) // BLOCK)
    turn_blocks = round(TURN_S * 100)
    return np.asarray((index % turn_blocks >= SETTLED_BLOCKS) & (index >= KNOWN_S * 100))


def measure() -> Iterator[dict[str, Any]]:
    """Yield one record per noise, level and limit."""
    rng = np.random.default_rng(11)
    far = far_end(rng)
    response = room_response(RATE_HZ, T60_S, rng)
    echo = EchoPath(RATE_HZ, response, DELAY_MS).play(far) * 10.0 ** (ECHO_RETURN_DB / 20.0)
    for kind in ("white", "fan"):
        for noise_dbfs in NOISES_DBFS:
            mic = (echo + room_noise(kind, noise_dbfs, rng)).astype(np.float32)
            for limit_db in LIMITS_DB:
                yield _record(kind, noise_dbfs, limit_db, mic=mic, far=far, echo=echo)


def _record(
    kind: str, noise_dbfs: float, limit_db: float, *, mic: Any, far: Signal, echo: Signal
) -> dict[str, Any]:
    config = EngineConfig(sample_rate_hz=RATE_HZ)
    config = replace(
        config,
        ns=replace(config.ns, attenuation_limit_db=limit_db),
        agc=replace(config.agc, enabled=False),
        limiter=replace(config.limiter, enabled=False),
    )
    with Engine(config) as engine:
        out = engine.process(mic, far.astype(np.float32))
        late = engine.latency_frames
    power = block_power(np.asarray(out, np.float64)[late:], BLOCK)
    inside = settled(far)[: len(power)]
    talking = echo_blocks(echo, noise_dbfs, BLOCK)[: len(power)]
    silent = block_power(far, BLOCK)[: len(power)] == 0.0
    behind_db = 10.0 * np.log10(np.mean(power[inside & talking]))
    room_db = 10.0 * np.log10(np.mean(power[inside & silent & ~talking]))
    difference_db = float(behind_db - room_db)
    missed = [] if abs(difference_db) <= GOAL_DB else [f"{difference_db:+.1f} dB, 2 wanted"]
    return {
        "case": f"echo_floor_{kind}_{-noise_dbfs:.0f}_{limit_db:.0f}",
        "room_dbfs": round(float(room_db), 1),
        "behind_echo_dbfs": round(float(behind_db), 1),
        "difference_db": round(difference_db, 1),
        "missed": missed,
        "build": kernel_build(),
    }


def row(record: dict[str, Any]) -> str:
    """Return a record as a line of text."""
    return (
        f"{record['case']:<28} room {record['room_dbfs']:6.1f} dBFS, behind an echo "
        f"{record['behind_echo_dbfs']:6.1f} ({record['difference_db']:+.1f} dB)"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the cases; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="JSON lines instead of text")
    options = parser.parse_args(arguments)
    missed = False
    for record in measure():
        print(json.dumps(record) if options.json else row(record), flush=True)
        missed = missed or bool(record["missed"])
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())

"""What the `music-asmr` preset does to music and to quiet close sounds; what the music guard saves.

``python -m benchmarks.music_guard`` makes ten pieces of music and four quiet sounds, each with a
faint hiss as any microphone has, runs them through the whole chain and compares what comes out with
what went in: SI-SDR; pumping, which is how much the gain moves in 100 ms steps (standard deviation,
and the largest step from one to the next, after the first second, where the input is above -60
dBFS); how long the guard was on. ``--recordings DIR`` adds every recording in a folder. The same
music is then run with the default suppressor with and without the guard, and with mains hum added
to show that it goes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine import Engine, EngineConfig, kernel_build
from benchmarks.pieces import QUIET_SOUNDS, SCORES, piece, quiet_sound

Signal = NDArray[np.float64]
Record = dict[str, Any]

PRESET = "music-asmr"
GOAL_SI_SDR_DB = 25.0
GOAL_STEP_DB = 1.0  # a change of level that is heard in steady music
HISS_DBFS = -70.0
HUM_DBFS = -45.0
LEAD_S = 5.0  # before the music
SUPPRESSORS = {"guard": {"ns.music_guard": "true"}, "no guard": {}}


def si_sdr_db(reference: Signal, estimate: Signal) -> float:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019)."""
    wanted = np.dot(reference, estimate) / np.dot(reference, reference) * reference
    rest = np.sum((estimate - wanted) ** 2) + 1e-30
    return float(10.0 * np.log10(np.sum(wanted**2) / rest))


def level_steps_db(before: Signal, after: Signal, rate_hz: int) -> tuple[float, float]:
    """Return the standard deviation and the largest step of the gain, 100 ms by 100 ms."""
    size = rate_hz // 10
    count = len(before) // size
    powers = [
        np.mean(x[: count * size].reshape(count, size) ** 2, axis=1) + 1e-12
        for x in (before, after)
    ]
    heard = powers[0] > 1e-6
    heard[:10] = False
    gains_db = 10.0 * np.log10(powers[1] / powers[0])
    pairs = heard[1:] & heard[:-1]
    if not pairs.any():
        return 0.0, 0.0
    return float(np.std(gains_db[heard])), float(np.max(np.abs(np.diff(gains_db))[pairs]))


def run(config: EngineConfig, signal: Signal) -> tuple[Signal, float, float]:
    """Return the output, aligned with the input; the guard's share of time; the hum's base."""
    block = config.sample_rate_hz // 100
    out, on = [], []
    hum_hz = 0.0
    with Engine(config) as engine:
        late = engine.latency_frames
        padded = np.concatenate([signal, np.zeros(late + block)]).astype(np.float32)
        for start in range(0, len(padded) - block + 1, block):
            out.append(engine.process(padded[start : start + block]))
            noise = engine.stats().noise
            on.append(noise is not None and noise.music)
            hum_hz = noise.hum_hz if noise is not None else 0.0
    whole = np.concatenate(out)[late : late + len(signal)].astype(np.float64)
    return whole, float(np.mean(on)), hum_hz


def judge(case: str, config: EngineConfig, signal: Signal) -> Record:
    """Return what the chain did to one signal."""
    out, on, hum_hz = run(config, signal)
    deviation_db, step_db = level_steps_db(signal, out, config.sample_rate_hz)
    return {
        "case": case,
        "si_sdr_db": round(si_sdr_db(signal[: len(out)], out), 2),
        "level_deviation_db": round(deviation_db, 2),
        "largest_step_db": round(step_db, 2),
        "guard_on": round(on, 2),
        "hum_hz": round(hum_hz, 2),
    }


def _hiss(signal: Signal) -> Signal:
    noise = np.random.default_rng(9).standard_normal(len(signal))
    return np.asarray(signal + 10.0 ** (HISS_DBFS / 20.0) * noise)


def hum(seconds: float, rate_hz: int) -> Signal:
    """Return 50 Hz and its multiples up to 1 kHz, the even ones stronger."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    out = np.zeros(len(time_s))
    for n in range(1, 21):
        out += (1.0 if n % 2 == 0 else 0.5) / n * np.sin(2 * np.pi * 50.0 * n * time_s + n * n)
    return np.asarray(10.0 ** (HUM_DBFS / 20.0) * out / np.sqrt(np.mean(out**2)))


def hum_power(signal: Signal, rate_hz: int) -> float:
    """Return the power at the hum's frequencies."""
    signal = signal[: len(signal) // (rate_hz // 50) * (rate_hz // 50)]  # whole periods
    turns = 50.0 * np.arange(len(signal)) / rate_hz
    lines = [np.mean(signal * np.exp(-2j * np.pi * n * turns)) for n in range(1, 21)]
    return float(np.sum(np.abs(lines) ** 2))


def recordings(folder: Path, seconds: float, rate_hz: int) -> Iterator[tuple[str, Signal]]:
    """Yield the first channel of every recording in a folder, its middle `seconds`, peak 0.3."""
    import soundfile
    import soxr

    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in {".wav", ".flac", ".ogg", ".opus", ".mp3"}:
            continue
        audio, rate = soundfile.read(path, dtype="float64", always_2d=True)
        start = max(0, (len(audio) - int(seconds * rate)) // 2)
        mono = soxr.resample(audio[start : start + int(seconds * rate), 0], rate, rate_hz)
        yield path.stem, 0.3 * mono / (np.max(np.abs(mono)) + 1e-9)


def measure(rate_hz: int, seconds: float, folder: Path | None = None) -> Iterator[Record]:
    """Yield one record per sound and setting."""
    common = {"rate_hz": rate_hz, "audio_s": seconds, "build": kernel_build()}
    preset = EngineConfig.preset(PRESET, sample_rate_hz=rate_hz)
    music = {name: _hiss(piece(name, seconds, rate_hz)) for name in SCORES}
    quiet = {name: _hiss(quiet_sound(name, seconds, rate_hz)) for name in QUIET_SOUNDS}
    own = dict(recordings(folder, seconds, rate_hz)) if folder else {}
    for name, signal in {**music, **quiet, **own}.items():
        record = judge(f"preset {name}", preset, signal)
        missed = []
        if record["si_sdr_db"] < GOAL_SI_SDR_DB:
            missed.append(f"SI-SDR {record['si_sdr_db']} dB, wanted {GOAL_SI_SDR_DB}")
        if record["largest_step_db"] > GOAL_STEP_DB:
            missed.append(f"a step of {record['largest_step_db']} dB, wanted {GOAL_STEP_DB}")
        yield record | {"missed": missed} | common
    for setting, changes in SUPPRESSORS.items():
        plain = EngineConfig(sample_rate_hz=rate_hz).with_settings(
            {"agc.enabled": "false", "highpass.enabled": "false", "echo.enabled": "false"} | changes
        )
        for name, signal in {**music, **own}.items():
            yield judge(f"default, {setting}: {name}", plain, signal) | {"missed": []} | common
    lead = int(LEAD_S * rate_hz)
    buzz = hum(LEAD_S + seconds, rate_hz)
    for name, signal in music.items():
        after_lead = np.concatenate([_hiss(np.zeros(lead)), signal])
        clean, both = run(preset, after_lead)[0], run(preset, after_lead + buzz)
        half = lead + len(signal) // 2
        left = hum_power((both[0] - clean)[half:], rate_hz) / hum_power(buzz[half:], rate_hz)
        yield {
            "case": f"preset, hum before and under {name}",
            "hum_reduction_db": round(float(-10.0 * np.log10(left)), 1),
            "hum_hz": round(both[2], 2),
            "missed": [],
        } | common


def row(record: Record) -> str:
    """Return a record as text."""
    if "hum_reduction_db" in record:
        return (
            f"{record['case']:<44}hum {record['hum_reduction_db']:5.1f} dB less, "
            f"{record['hum_hz']:.2f} Hz"
        )
    missed = "".join(f"\n    goal missed: {text}" for text in record["missed"])
    return (
        f"{record['case']:<36}{record['si_sdr_db']:8.1f}{record['level_deviation_db']:10.2f}"
        f"{record['largest_step_db']:10.2f}{100.0 * record['guard_on']:9.0f} %{missed}"
    )


HEADER = f"{'':<36}{'SI-SDR':>8}{'level std':>10}{'step':>10}{'guard on':>11}"


def main(arguments: list[str] | None = None) -> int:
    """Print a row per case; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=48000, help="sample rate in Hz")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a piece")
    parser.add_argument("--recordings", type=Path, help="folder of more music")
    parser.add_argument("--json", action="store_true", help="one JSON line per record")
    options = parser.parse_args(arguments)
    if not options.json:
        print(HEADER)
    failed = False
    for record in measure(options.rate, options.seconds, options.recordings):
        print(json.dumps(record) if options.json else row(record), flush=True)
        failed |= bool(record["missed"])
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

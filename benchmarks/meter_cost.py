"""CPU time of the loudness meter beside libebur128's, in one process, taking turns.

``python -m benchmarks.meter_cost`` prints one JSON line per case: M, S, I and LRA read ten times a
second, without and with true peak, and the gates of a long programme read ten times a second. Each
second counts with its best run. libebur128 (Debian: libebur128-1) is called through ctypes; without
it only our own time is printed. ``AUDIO_ENGINE_KERNELS=baseline`` picks the kernel build.
"""

from __future__ import annotations

import argparse
import ctypes
import ctypes.util
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine import LoudnessMeter, kernel_build
from benchmarks.scene import double_talk

Record = dict[str, Any]
Audio = NDArray[np.float32]
Meter = Callable[[Audio], None]

GOAL_RATIO = 0.5
CASES = ((48000, 2, False), (48000, 2, True), (16000, 1, True), (48000, 6, True), (192000, 2, True))
_MODES = {False: 15, True: 15 | 48}  # EBUR128_MODE_LRA (M, S, I with it); sample and true peak


class Peer:
    """libebur128's meter with the same readings."""

    def __init__(self, library: Any, rate_hz: int, channels: int, true_peak: bool) -> None:
        self._library, self._channels, self._true_peak = library, channels, true_peak
        self._state = ctypes.c_void_p(library.ebur128_init(channels, rate_hz, _MODES[true_peak]))
        self._value = ctypes.c_double()

    def __call__(self, audio: Audio) -> None:
        """Take in a block and read everything."""
        self._library.ebur128_add_frames_float(
            self._state, ctypes.c_void_p(audio.ctypes.data), ctypes.c_size_t(len(audio))
        )
        self.readings()

    def readings(self) -> dict[str, float]:
        """Return what we read too, by our names."""
        names = {
            "momentary_lufs": "momentary",
            "short_term_lufs": "shortterm",
            "integrated_lufs": "global",
        }
        found = {ours: self._read(f"loudness_{theirs}") for ours, theirs in names.items()}
        found["loudness_range_lu"] = self._read("loudness_range")
        if self._true_peak:
            channels = map(ctypes.c_uint, range(self._channels))
            peak = max(self._read("true_peak", channel) for channel in channels)
            found["true_peak_dbtp"] = 20.0 * math.log10(max(peak, 1e-10))
        return found

    def _read(self, name: str, *arguments: Any) -> float:
        read = getattr(self._library, f"ebur128_{name}")
        read(self._state, *arguments, ctypes.byref(self._value))
        return self._value.value

    def close(self) -> None:
        """Free the meter."""
        self._library.ebur128_destroy(ctypes.byref(self._state))


class Ours:
    """Our meter, through the public face."""

    def __init__(self, rate_hz: int, channels: int, true_peak: bool) -> None:
        self._meter = LoudnessMeter(rate_hz, channels, true_peak=true_peak)

    def __call__(self, audio: Audio) -> None:
        """Take in a block and read everything."""
        self._meter.process(audio)
        self._meter.stats()

    def close(self) -> None:
        """Free the meter."""
        self._meter.close()


def load_library() -> Any | None:
    """Return libebur128, or None where it is not installed."""
    try:
        library = ctypes.CDLL(ctypes.util.find_library("ebur128") or "libebur128.so.1")
    except OSError:
        return None
    library.ebur128_init.restype = ctypes.c_void_p
    library.ebur128_init.argtypes = [ctypes.c_uint, ctypes.c_ulong, ctypes.c_int]
    return library


def programme(seconds: float, rate_hz: int, channels: int) -> Audio:
    """Return two talkers on all channels, a little quieter on each."""
    mic, far = double_talk(seconds, min(rate_hz, 48000))
    copies = max(1, rate_hz // 48000)
    rows = [np.repeat((mic, far)[c % 2], copies) * 0.9**c for c in range(channels)]
    return np.ascontiguousarray(np.stack(rows, axis=1), np.float32)


def measure(
    rate_hz: int, channels: int, true_peak: bool, *, seconds: float, runs: int
) -> Iterator[Record]:
    """Yield one record with the CPU time per second of audio."""
    audio, library = programme(seconds, rate_hz, channels), load_library()
    hop, starts = rate_hz // 10, range(0, len(audio) - rate_hz + 1, rate_hz)
    names = ["ours"] if library is None else ["ours", "peer"]
    taken = np.empty((runs, len(starts), len(names)))
    for run in range(runs):
        with ExitStack() as stack:
            meters: dict[str, Meter] = {"ours": (ours := Ours(rate_hz, channels, true_peak))}
            stack.callback(ours.close)
            if library is not None:
                meters["peer"] = (peer := Peer(library, rate_hz, channels, true_peak))
                stack.callback(peer.close)
            for row, at in enumerate(starts):
                for turn in range(len(names)):
                    column = (turn + run) % len(names)  # who goes first has the colder caches
                    meter = meters[names[column]]
                    begin = time.thread_time()
                    for start in range(at, at + rate_hz, hop):
                        meter(audio[start : start + hop])
                    taken[run, row, column] = time.thread_time() - begin
    best_us = (1e6 * taken.min(axis=0).mean(axis=0)).tolist()
    record = {
        "case": f"meter_{rate_hz}_{channels}ch{'_true_peak' if true_peak else ''}",
        "ours_us": round(best_us[0], 1),
        "share_of_core": round(best_us[0] / 1e6, 6),
        "runs": runs,
        "build": kernel_build(),
    }
    if library is not None:
        record |= {
            "peer": "libebur128",
            "peer_us": round(best_us[1], 1),
            "ratio": round(best_us[0] / best_us[1], 3),
            "goal_ratio": GOAL_RATIO,
        }
    yield record


def measure_reading(minutes: float, runs: int) -> Record:
    """Return what one reading costs after a long programme: it must not grow with it."""
    noise = np.random.default_rng(1).standard_normal(8000 * 60).astype(np.float32)
    levels = 10.0 ** (np.random.default_rng(2).uniform(-60.0, -10.0, 60) / 20.0)
    minute = noise * np.repeat(levels, 8000).astype(np.float32)
    times_us = []
    with LoudnessMeter(8000, true_peak=False) as meter:
        for length in (1.0, minutes):
            for _ in range(int(length)):
                meter.process(minute)
            best = np.inf
            for _ in range(runs):
                begin = time.thread_time()
                for _ in range(100):
                    meter.stats()
                best = min(best, time.thread_time() - begin)
            times_us.append(round(1e4 * best, 2))
    return {
        "case": "meter_reading",
        "first_us": times_us[0],
        "last_us": times_us[1],
        "minutes": minutes,
        "times_first": round(times_us[1] / times_us[0], 2),
        "build": kernel_build(),
    }


def row(record: Record) -> str:
    """Return a record as text."""
    name = f"{record['case']:<24} {record['build']:<10}"
    if record["case"] == "meter_reading":
        return (
            f"{name} {record['last_us']:8.2f} us a reading after {record['minutes']:g} min, "
            f"{record['first_us']:.2f} us after one"
        )
    own = f"{name} {record['ours_us']:8.1f} us per second"
    if "ratio" not in record:
        return own
    return f"{own}, {record['peer']} {record['peer_us']:.1f} us  ratio {record['ratio']:.2f}"


def main(arguments: list[str] | None = None) -> int:
    """Print one JSON line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the programme")
    parser.add_argument("--runs", type=int, default=20, help="best of this many")
    options = parser.parse_args(arguments)
    if load_library() is None:
        print("libebur128 is not installed (Debian: libebur128-1): no peer", file=sys.stderr)
    for rate_hz, channels, true_peak in CASES:
        found = measure(rate_hz, channels, true_peak, seconds=options.seconds, runs=options.runs)
        for record in found:
            print(json.dumps(record), flush=True)
    print(json.dumps(measure_reading(60.0, options.runs)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""CPU time of the lip-sync estimator on a live stream: sound, mouth and an estimate each second.

``python -m benchmarks.lip_sync_cost`` prints one JSON line per case: all six mouth signals and the
lip gap alone, at 48 kHz and 16 kHz, split into the sound's features, the tracker's estimate and the
reader's. Windows of 20 s, full from the first second that counts. Each second counts with its best
run. ``AUDIO_ENGINE_KERNELS=baseline`` picks the kernel build.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine import MOUTH_SIGNALS, LipSyncEstimator, kernel_build
from benchmarks.scene import double_talk

Record = dict[str, Any]

GOAL_SHARE = 0.005
CASES = ((48000, MOUTH_SIGNALS), (48000, MOUTH_SIGNALS[:1]), (16000, MOUTH_SIGNALS))
_WARM_S = 21  # the window is full
_PICTURES = 30


def _mouth(pictures: int, signals: int) -> NDArray[np.float32]:
    """Return a mouth that moves like a random walk on a spring."""
    rng = np.random.default_rng(4)
    mouth = np.zeros((pictures, signals), np.float32)
    for now, push in enumerate(rng.standard_normal((pictures - 1, signals)), 1):
        mouth[now] = 0.9 * mouth[now - 1] + 0.02 * push
    return mouth


def measure(rate_hz: int, signals: tuple[str, ...], *, seconds: int, runs: int) -> Record:
    """Return the CPU time per second of stream, and its split."""
    length = _WARM_S + seconds
    sound = np.asarray(double_talk(float(length), rate_hz)[0], np.float32)
    mouth = _mouth(length * _PICTURES, len(signals))
    stamps = np.arange(len(mouth)) / _PICTURES
    taken = np.empty((runs, length, 3))
    for run in range(runs):
        with LipSyncEstimator(sample_rate_hz=rate_hz, signals=signals) as estimator:
            for now in range(length):
                heard = sound[now * rate_hz : (now + 1) * rate_hz]
                seen = slice(now * _PICTURES, (now + 1) * _PICTURES)
                marks = [time.thread_time()]
                for start in range(0, rate_hz, rate_hz // 100):
                    estimator.push_audio(heard[start : start + rate_hz // 100])
                marks.append(time.thread_time())
                estimator.push_mouth(stamps[seen], mouth[seen])
                marks.append(time.thread_time())
                estimator.estimate()
                marks.append(time.thread_time())
                taken[run, now] = np.diff(marks)
    audio_us, mouth_us, estimate_us = 1e6 * taken[:, _WARM_S:].min(axis=0).mean(axis=0)
    total_us = audio_us + mouth_us + estimate_us
    return {
        "case": f"lip_sync_{rate_hz}_{len(signals)}signals",
        "audio_us": round(float(audio_us), 1),
        "mouth_and_tracker_us": round(float(mouth_us), 1),
        "estimate_us": round(float(estimate_us), 1),
        "share_of_core": round(float(total_us) / 1e6, 6),
        "goal_share": GOAL_SHARE,
        "runs": runs,
        "build": kernel_build(),
    }


def row(record: Record) -> str:
    """Return a record as text."""
    name = f"{record['case']:<24} {record['build']:<10}"
    return (
        f"{name} {record['share_of_core']:8.3%} of a core: sound {record['audio_us']:.0f} us, "
        f"mouth and tracker {record['mouth_and_tracker_us']:.0f} us, "
        f"estimate {record['estimate_us']:.0f} us a second"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print one JSON line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="that count, of the stream")
    parser.add_argument("--runs", type=int, default=20, help="best of this many")
    options = parser.parse_args(arguments)
    for rate_hz, signals in CASES:
        record = measure(rate_hz, signals, seconds=int(options.seconds), runs=options.runs)
        print(json.dumps(record), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""A plain sounddevice stream in a process of its own: proves a device without the engine.

``python -m soundcard.plain_stream '{"seconds": 2, "device": [input, output], ...}'`` plays the file
`play`, writes what it hears to `record`, and prints what it saw as JSON. Its callback is Python, so
its buffers are long. The report comes first: closing hangs if the device has gone.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from typing import Any

import numpy as np


def main(options: dict[str, Any]) -> None:
    """Run the stream and print the report."""
    import sounddevice

    seconds, names = options["seconds"], options["device"]
    play = np.load(options["play"]) if "play" in options else np.zeros(0, np.float32)
    tape = np.zeros((round(seconds + 2) * 48000, 1), np.float32)
    flags: Counter[str] = Counter()
    at = callbacks = 0
    last_s = began_s = time.monotonic()

    def callback(heard: Any, out: Any, frames: int, _: object, status: Any) -> None:
        nonlocal at, callbacks, last_s
        if status:
            flags[str(status)] += 1
        if heard is not None:
            piece = tape[at : at + frames]
            piece[:] = heard[: len(piece)]
        if out is not None:
            out[:] = 0
            piece = play[at : at + frames]
            out[: len(piece), 0] = piece
        at += frames
        callbacks += 1
        last_s = time.monotonic()
        if callbacks == options.get("sleep_at"):
            time.sleep(0.5)

    common = {"samplerate": 48000, "channels": 1, "blocksize": options.get("block", 480)}
    common["latency"] = options.get("latency", 0.2)
    if names[0] is None:
        stream = sounddevice.OutputStream(
            device=names[1], callback=lambda *given: callback(None, *given), **common
        )
    elif names[1] is None:
        stream = sounddevice.InputStream(
            device=names[0], callback=lambda heard, *given: callback(heard, None, *given), **common
        )
    else:
        stream = sounddevice.Stream(device=names, callback=callback, **common)
    stream.start()
    time.sleep(seconds)
    if "record" in options:
        np.save(options["record"], tape[:at, 0])
    report = {
        "frames": at,
        "callbacks": callbacks,
        "flags": flags,
        "last_s": last_s - began_s,
        "devices": [device["name"] for device in sounddevice.query_devices()],
    }
    print(json.dumps(report), flush=True)
    signal.setitimer(signal.ITIMER_REAL, 1)  # SIGALRM ends a close that hangs
    stream.abort()
    stream.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

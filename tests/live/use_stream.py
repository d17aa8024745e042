"""Programs that use LiveStream beside other work; each runs in a process of its own.

``python live/use_stream.py hog|switch|listen '{"input_device": ...}'`` prints statistics as JSON
lines, as the monitor does. The options are LiveStream's, `seconds`, `record` and `loopback`.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from audio_engine import EngineConfig
from audio_engine.io.live.stream import LiveStream


def tell(stream: LiveStream, **more: Any) -> None:
    """Print the statistics as one line."""
    print(json.dumps({**stream.stats().to_dict(), **more}, default=str), flush=True)


def hog(stream: LiveStream, seconds: float) -> None:
    """Keep Python as busy as a program can: a loop, a call that holds the GIL, the collector."""
    until = time.monotonic() + seconds

    def loop() -> None:
        while time.monotonic() < until:
            len([number * number for number in range(1000)])

    def hold() -> None:
        while time.monotonic() < until:
            sum(range(4_000_000))  # one call into C: nobody else gets the GIL for its 50-100 ms

    def collect() -> None:
        many = [[index] for index in range(300_000)]
        while time.monotonic() < until and many:
            gc.collect()

    threads = [threading.Thread(target=work) for work in (loop, hold, collect)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell(stream)


def switches() -> Iterator[tuple[str, Any]]:
    """What a host does to a running stream, one thing after the other."""
    yield "ns.attenuation_limit_db", 10.0
    yield "echo.enabled", 0.0
    yield "echo.enabled", 1.0
    yield "ns.enabled", 0.0
    yield "ns.enabled", 1.0
    yield "agc.enabled", 0.0
    yield "bypass", True
    yield "bypass", False
    yield "muted", True
    yield "muted", False
    yield "swap", EngineConfig.preset("pk")
    yield "swap", EngineConfig.preset("music-asmr")
    yield "swap", EngineConfig.preset("solo-host")


def switch(stream: LiveStream, seconds: float) -> None:
    """Turn every switch while audio runs."""
    many = list(switches())
    for name, value in many:
        if name == "swap":
            stream.swap(value)
        elif name in {"bypass", "muted"}:
            setattr(stream, name, value)
        else:
            stream.set(name, value)
        stream.wait(seconds / len(many))
        tell(stream, switched=name)


def listen(stream: LiveStream, seconds: float) -> None:
    """Measure four times a second."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stream.wait(0.25)
        tell(stream)


def main(what: str, *, seconds: float, record: str | None = None, **options: Any) -> None:
    """Run a stream and do one of the above beside it."""
    if "loopback" in options:
        from audio_engine.io.live.stream import LoopbackDevice

        options["far_end"] = LoopbackDevice(options.pop("loopback"))
    stream = LiveStream(**options)
    if record is not None:
        stream.record(record)  # from the first frame on
    with stream:
        {"hog": hog, "switch": switch, "listen": listen}[what](stream, seconds)


if __name__ == "__main__":
    main(sys.argv[1], **json.loads(sys.argv[2]))

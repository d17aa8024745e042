"""A sound card made of software: ALSA devices that PortAudio opens like any other.

A loudspeaker, a microphone that hears it, and a loopback of what it plays; each with a clock of its
own, and each can be unplugged. The card itself is the ALSA plug-in soft_card.c; this side makes the
file that its devices share, and the ALSA configuration that lists them and nothing else.

PortAudio reads ``ALSA_CONFIG_PATH`` once, when it is initialised. So the program under test has to
be a process of its own, started with ``env``.
"""

from __future__ import annotations

import mmap
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from soundcard.needs import build_plugin

ROOT = Path(__file__).resolve().parents[2]
MAGIC = int.from_bytes(b"1socard1", "little")
HEADER_BYTES = 4096
RING_FRAMES = 1 << 21  # 43 s at 48 kHz

DEVICE = np.dtype(
    [("ppm", "f8"), ("echo_gain", "f8"), ("echo_delay_s", "f8"), ("near_frames", "i8")]
    + [(name, "i8") for name in ("unplugged", "opens", "starts", "xruns", "late_frames", "frames")]
)
HEADER = np.dtype(
    [(name, "i8") for name in ("magic", "rate_hz", "epoch_ns", "ring_frames", "played_end")]
    + [("speaker", DEVICE), ("mic", DEVICE), ("loopback", DEVICE)]
)
DEVICES = ("speaker", "mic", "loopback")
NAMES = {
    "card": "soft_card", "speaker": "soft_speaker", "mic": "soft_mic", "loopback": "soft_loopback",
}  # fmt: skip

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What a device has seen since the card was made."""

    opens: int
    starts: int
    xruns: int
    late_frames: int
    frames: int


def configuration(library: Path, file: str) -> str:
    """Write the ALSA configuration: our devices, the duplex one first, as it is the default."""
    lines = [f'pcm_type.soft_card {{ lib "{library}" }}']
    duplex = f'playback.pcm "{NAMES["speaker"]}" capture.pcm "{NAMES["mic"]}"'
    lines.append(f"pcm.{NAMES['card']} {{ type asym {duplex} hint {{ show on }} }}")
    for index, device in enumerate(DEVICES):
        what = f'type soft_card file "{file}" device {index}'
        lines.append(f"pcm.{NAMES[device]} {{ {what} hint {{ show on }} }}")
    # PortAudio 19.6 asserts that at least one listed device cannot be opened.
    lines.append('pcm.no_device { type soft_card file "" device 0 hint { show on } }')
    return "\n".join(lines) + "\n"


class SoftwareCard:
    """A card that exists for as long as the ``with`` block; `directory` gets its configuration.

    Capture devices have the clock error `mic_ppm`, the loudspeaker `speaker_ppm`. The microphone
    hears the loudspeaker `echo_delay_ms` (>= 1) late at `echo_gain_db` (None: not at all), and
    `near`, repeated. Without `loopback` there is no other
    capture device.
    """

    def __init__(
        self,
        directory: Path,
        *,
        mic_ppm: float = 0.0,
        speaker_ppm: float = 0.0,
        echo_gain_db: float | None = -20.0,
        echo_delay_ms: float = 20.0,
        near: Samples | None = None,
        loopback: bool = True,
        sample_rate_hz: int = 48000,
    ) -> None:
        near = np.zeros(0, np.float32) if near is None else np.ascontiguousarray(near, np.float32)
        self._fd = os.memfd_create("soft_card")
        size = HEADER_BYTES + 4 * (RING_FRAMES + len(near))
        os.ftruncate(self._fd, size)
        memory = mmap.mmap(self._fd, size)
        self._header = np.frombuffer(memory, HEADER, count=1)
        self._ring = np.frombuffer(memory, np.float32, RING_FRAMES, HEADER_BYTES)
        np.frombuffer(memory, np.float32, len(near), HEADER_BYTES + self._ring.nbytes)[:] = near
        self._header["magic"], self._header["rate_hz"] = MAGIC, sample_rate_hz
        self._header["epoch_ns"], self._header["ring_frames"] = time.monotonic_ns(), RING_FRAMES
        self._header["speaker"]["ppm"] = speaker_ppm
        self._header["mic"]["ppm"] = self._header["loopback"]["ppm"] = mic_ppm
        gain = 0.0 if echo_gain_db is None else 10 ** (echo_gain_db / 20)
        self._header["mic"]["echo_gain"], self._header["loopback"]["echo_gain"] = gain, 1.0
        self._header["mic"]["echo_delay_s"] = max(echo_delay_ms, 1.0) / 1000
        self._header["loopback"]["echo_delay_s"] = 0.001
        self._header["mic"]["near_frames"] = len(near)
        self._header["loopback"]["unplugged"] = not loopback
        # Children reach the memory file through ours: nothing is left behind, whatever happens.
        library = build_plugin(Path(__file__).with_name("soft_card.c"), ROOT / "build/soundcard")
        self._path = directory / "soft_card.conf"
        self._path.write_text(configuration(library, f"/proc/{os.getpid()}/fd/{self._fd}"))

    @property
    def env(self) -> dict[str, str]:
        """The environment for a program that shall see this card and no other."""
        return {
            **os.environ,
            "ALSA_CONFIG_PATH": str(self._path),
            "JACK_NO_START_SERVER": "1",
            "JACK_DEFAULT_SERVER": f"none-{os.getpid()}",
        }

    def unplug(self, device: str) -> None:
        """Take a device away: ``speaker``, ``mic`` or ``loopback``."""
        self._header[device]["unplugged"] = 1

    def plug(self, device: str) -> None:
        """Put it back."""
        self._header[device]["unplugged"] = 0

    def played(self) -> Samples:
        """What the loudspeaker has played since the card was made, at most the last 43 s of it."""
        end = int(self._header["played_end"][0])
        frames = np.arange(max(0, end - RING_FRAMES), end)
        return self._ring[frames % RING_FRAMES].copy()

    def counters(self, device: str) -> Counters:
        """What a device has counted."""
        fields = self._header[device][0]
        return Counters(**{name: int(fields[name]) for name in Counters.__slots__})

    def close(self) -> None:
        """Take the card away; twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

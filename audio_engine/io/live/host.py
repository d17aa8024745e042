"""The audio host: a process that runs one device stream with the C callback, and nothing else.

PortAudio cannot be trusted with a device that disappears: stop, close and terminate block for
minutes, and its thread may spin at real-time priority. So each stream lives in a process of its own
that the parent can kill; everything worth keeping lies in memory that both share. The host reads
one line of JSON (the job) on standard input, answers with lines of JSON on standard output, and
ends when the parent says ``stop`` or closes the pipe.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

from audio_engine._native.live import attach, lock_memory, open_main, open_port, tie_to_parent
from audio_engine.errors import DeviceError
from audio_engine.io.live.devices import AudioDevice, find_device, same_card
from audio_engine.io.quiet import silent_stderr

Role = Literal["main", "capture"]
DeviceChoice = int | str | None

#: Given for a device that is not wanted at all.
NO_DEVICE = "none"

_MOST_PERIODS = 64
_LONGEST_LATENCY_S = 2.0  # a host interface that says more does not know (JACK: 2^32 frames)
_CLOSE_LIMIT_S = 0.4  # a stream that does not close by then never will
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 2.0  # listing devices costs some 20 ms
_WAIT_SHARE = 0.05  # of the time that the device has been away


@dataclass(frozen=True, slots=True, kw_only=True)
class HostJob:
    """What an audio host is to do.

    Attributes
    ----------
    role : str
        ``main`` runs the graph in the loudspeaker's callback (and captures too where microphone
        and loudspeaker are one card); ``capture`` only feeds a capture port.
    address : int
        Of the `LiveCore`, or of the `CapturePort`.
    memory : tuple of int
        Descriptor, bytes and address of the shared block.
    input_device, output_device : int, str or None
        Wanted devices; None is the default, ``none`` means that there is none.
    sample_rate_hz, input_channels, output_channels : int
        Of the engine; a device with fewer channels gets fewer.
    block_frames : int
        Frames a callback is to have; 0 leaves it to the device.
    latency_s : float
        Device buffering to ask for.
    is_restart : bool
        The device was lost: wait for it, and take the default one meanwhile.
    """

    role: Role
    address: int
    memory: tuple[int, int, int]
    input_device: DeviceChoice
    output_device: DeviceChoice
    sample_rate_hz: int
    input_channels: int
    output_channels: int
    block_frames: int
    latency_s: float
    is_restart: bool = False

    def to_json(self) -> str:
        """Return the job as one line."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOpened:
    """A stream that a host has started.

    Attributes
    ----------
    input_device, output_device : str or None
        Names; None where the stream has no such side.
    needs_capture : bool
        The microphone is another card: it needs a host of its own.
    input_latency_s, output_latency_s : float
        As PortAudio reports them.
    block_frames : int
        Frames per callback, 0: any.
    memory_locked : bool
        Pages cannot be swapped out.
    """

    input_device: str | None
    output_device: str | None
    needs_capture: bool
    input_latency_s: float
    output_latency_s: float
    block_frames: int
    memory_locked: bool


class OpenStream:
    """A running PortAudio stream around a C callback.

    Opened by `open_stream`; needs no Python afterwards.
    """

    def __init__(self, job: HostJob, source: AudioDevice | None, sink: AudioDevice | None) -> None:
        import sounddevice

        channels = (
            min(job.input_channels, source.input_channels) if source else 0,
            min(job.output_channels, sink.output_channels) if sink else 0,
        )
        if job.role == "capture":
            _divide_alsa_buffer(1 + round(job.latency_s * job.sample_rate_hz / job.block_frames))
        # PortAudio asks for the callback before it tells the buffer's length: prepare twice.
        callback, user_data = self._prepare(job, channels, job.latency_s)
        kind = "duplex" if source and sink else "input" if source else "output"
        devices = (source.index if source else None, sink.index if sink else None)
        one = 0 if source else 1
        duplex = kind == "duplex"
        self._stream: Any = sounddevice._StreamBase(
            kind=kind,
            samplerate=job.sample_rate_hz,
            blocksize=job.block_frames,
            device=devices if duplex else devices[one],
            channels=channels if duplex else channels[one],
            dtype="float32",
            latency=job.latency_s,
            callback=callback,
            userdata=user_data,
        )
        latency = self._stream.latency if duplex else (self._stream.latency,) * 2
        block_s = job.block_frames / job.sample_rate_hz
        self.input_latency_s, self.output_latency_s = (
            float(value) if 0.0 < value < _LONGEST_LATENCY_S else block_s for value in latency
        )
        self._prepare(job, channels, max(self.input_latency_s, self.output_latency_s))

    @staticmethod
    def _prepare(job: HostJob, channels: tuple[int, int], buffer_s: float) -> tuple[Any, Any]:
        block_s = job.block_frames / job.sample_rate_hz
        longest_gap_s = max(buffer_s, block_s) + 1.5 * block_s
        if job.role == "capture":
            return open_port(job.address, input_channels=channels[0], buffer_s=longest_gap_s)
        return open_main(
            job.address,
            input_channels=channels[0],
            output_channels=channels[1],
            device_block_frames=job.block_frames,
            buffer_s=longest_gap_s,
        )

    def start(self) -> None:
        """Let the device call."""
        self._stream.start()

    @property
    def active(self) -> bool:
        """Whether the device still calls, as far as PortAudio knows."""
        return bool(self._stream.active)

    def close(self, *, leave_portaudio: bool = False) -> bool:
        """Close within a time limit; False if PortAudio hangs, which it does without a device.

        With `leave_portaudio` PortAudio is ended too, so that sound servers see a client leave.
        """
        import sounddevice

        def _close() -> None:
            self._stream.close()
            if leave_portaudio:
                sounddevice._terminate()

        closing = threading.Thread(target=_close, daemon=True)
        closing.start()
        closing.join(_CLOSE_LIMIT_S)
        return not closing.is_alive()


def _divide_alsa_buffer(periods: int) -> None:
    """Have ALSA wake us for each small block, not for each quarter of the buffer.

    PortAudio cuts a buffer into 4 periods and calls in bursts of one period; what a period lasts is
    latency for a microphone whose clock is not the loudspeaker's. Its ALSA interface can be told
    another number (pa_linux_alsa.h); other interfaces have no such call.
    """
    import sounddevice

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(sounddevice._libname).PaAlsa_SetNumPeriods(min(periods, _MOST_PERIODS))


def open_stream(job: HostJob) -> tuple[OpenStream, HostOpened]:
    """Find the devices of a job and open (not start) its stream.

    Raises
    ------
    DeviceError
        If a device is missing or cannot be opened.
    """
    import sounddevice

    source, sink = _choose(job)
    needs_capture = (
        job.role == "main"
        and source is not None
        and sink is not None
        and not same_card(source, sink)
    )
    if needs_capture:
        source = None
    try:
        stream = OpenStream(job, source, sink)
    except sounddevice.PortAudioError as error:
        names = " and ".join(f"{device.name!r}" for device in (source, sink) if device)
        raise DeviceError(
            f"{names}: cannot be opened at {job.sample_rate_hz} Hz: {error.args[0]}"
        ) from None
    opened = HostOpened(
        input_device=source.name if source else None,
        output_device=sink.name if sink else None,
        needs_capture=needs_capture,
        input_latency_s=stream.input_latency_s,
        output_latency_s=stream.output_latency_s,
        block_frames=job.block_frames,
        memory_locked=False,
    )
    return stream, opened


def _choose(job: HostJob) -> tuple[AudioDevice | None, AudioDevice | None]:
    """Return microphone and loudspeaker: those wanted, or after a loss the default ones."""
    source = sink = None
    if job.input_device != NO_DEVICE:
        source = _find(job.input_device, "input", job.is_restart)
    if job.role == "main" and job.output_device != NO_DEVICE:
        sink = _find(job.output_device, "output", job.is_restart)
    return source, sink


def _find(wanted: DeviceChoice, kind: Literal["input", "output"], or_default: bool) -> AudioDevice:
    try:
        return find_device(wanted, kind)
    except DeviceError:
        if not or_default or wanted is None:
            raise
        return find_device(None, kind)


# --- the process ----------------------------------------------------------------------------------


def main() -> None:
    """Do the job that stands in the first line of standard input."""
    job = HostJob(**json.loads(sys.stdin.readline()))
    tie_to_parent()
    descriptor, size_bytes, address = job.memory
    if not attach(descriptor, size_bytes, address):
        _say(status="retry", error="the shared memory's address is taken in this process")
        return
    with silent_stderr():
        _run(job)


def _run(job: HostJob) -> None:
    stream, opened = _open_in_time(job)
    locked = lock_memory(job.memory[2], job.memory[1])
    try:
        stream.start()
    except Exception as error:
        _say(status="failed", error=f"the stream cannot be started: {error}")
        os._exit(1)
    _say(status="opened", **{**asdict(opened), "memory_locked": locked})
    sys.stdin.readline()  # "stop", or the end of the parent
    stream.close(leave_portaudio=True)
    os._exit(0)  # not by way of PortAudio's exit handler, which may hang


def _open_in_time(job: HostJob) -> tuple[OpenStream, HostOpened]:
    """Open the stream; after a loss, as often as it takes for the device to come back."""
    start_s = time.monotonic()
    while True:
        try:
            return open_stream(job)
        except DeviceError as error:
            if not job.is_restart:
                _say(status="failed", error=str(error))
                os._exit(1)
            _say(status="waiting", error=str(error))
        away_s = time.monotonic() - start_s
        time.sleep(min(max(_WAIT_SHARE * away_s, _FIRST_WAIT_S), _LONGEST_WAIT_S))
        _list_devices_anew()


def _list_devices_anew() -> None:
    """PortAudio lists the devices when it is initialised, and never again."""
    import sounddevice

    sounddevice._terminate()
    sounddevice._initialize()


def _say(**message: Any) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(message), flush=True)

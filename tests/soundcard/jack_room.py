"""The process behind JackRoom: a JACK client whose two ports are a room.

``python -m soundcard.jack_room NEAR.npy PLAYED.npy ECHO_GAIN ECHO_DELAY_MS``; says ``ready``, then
runs until SIGTERM and writes what was played. Through libjack by ctypes, as a Python callback: good
enough where the server waits for its clients, and not elsewhere.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import signal
import sys
from pathlib import Path

import numpy as np

AUDIO = b"32 bit float mono audio"
IS_INPUT, IS_OUTPUT = 1, 2
NO_START_SERVER, USE_EXACT_NAME = 1, 2
MAX_SECONDS = 120

Process = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint32, ctypes.c_void_p)


def load() -> ctypes.CDLL:
    """Load libjack and declare what is used of it."""
    jack = ctypes.CDLL(ctypes.util.find_library("jack"))
    pointer = ctypes.c_void_p
    jack.jack_client_open.restype = pointer
    jack.jack_get_sample_rate.argtypes = [pointer]
    jack.jack_port_register.restype = pointer
    jack.jack_port_register.argtypes = [
        pointer, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_ulong,
    ]  # fmt: skip
    jack.jack_port_get_buffer.restype = ctypes.POINTER(ctypes.c_float)
    jack.jack_port_get_buffer.argtypes = [pointer, ctypes.c_uint32]
    jack.jack_set_process_callback.argtypes = [pointer, Process, pointer]
    jack.jack_activate.argtypes = jack.jack_deactivate.argtypes = [pointer]
    jack.jack_client_close.argtypes = [pointer]
    return jack


def main(near_path: str, played_path: str, echo_gain: float, echo_delay_ms: float) -> None:
    """Run the room until SIGTERM."""
    stopping = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    jack = load()
    client = jack.jack_client_open(b"room", NO_START_SERVER | USE_EXACT_NAME, None)
    if not client:
        sys.exit("no JACK server")
    rate_hz = jack.jack_get_sample_rate(client)
    speaker = jack.jack_port_register(client, b"speaker", AUDIO, IS_INPUT, 0)
    microphone = jack.jack_port_register(client, b"microphone", AUDIO, IS_OUTPUT, 0)
    near = np.load(near_path).astype(np.float32)
    delay = round(echo_delay_ms / 1000 * rate_hz)
    # What was played starts `delay` frames into this, so that what is heard is a slice of it.
    tape = np.zeros(delay + MAX_SECONDS * rate_hz, np.float32)
    at = 0

    def process(frames: int, _: object) -> int:
        nonlocal at
        heard = jack.jack_port_get_buffer(speaker, frames)
        spoken = np.ctypeslib.as_array(jack.jack_port_get_buffer(microphone, frames), (frames,))
        spoken[:] = near[np.arange(at, at + frames) % len(near)]
        spoken += echo_gain * tape[at : at + frames]
        if at + delay + frames <= len(tape):
            tape[at + delay : at + delay + frames] = np.ctypeslib.as_array(heard, (frames,))
            at += frames
        return 0

    callback = Process(process)
    jack.jack_set_process_callback(client, callback, None)
    jack.jack_activate(client)
    print("ready", flush=True)
    signal.sigwait(stopping)
    np.save(Path(played_path), tape[delay : delay + at])
    signal.alarm(1)  # closing hangs when the server has gone
    jack.jack_deactivate(client)
    jack.jack_client_close(client)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))

"""Run a function in a child process with a time limit, because PortAudio may never come back.

PortAudio lists devices once, when it is loaded, and its calls can block for ever when a device or
a sound server died. A child sees the devices of now and can be killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from audio_engine.errors import AudioEngineError, DeviceError

_MARK = "audio-engine-answer:"  # host interfaces print to stdout too
_FAREWELL_S = 1.0
_PROGRAM = "from audio_engine.io.live.isolated import answer; answer(sys.argv[2])"


def isolated_command(program: str, *arguments: str) -> list[str]:
    """Return the command that runs a program with this interpreter and these packages.

    Isolated: whatever ``PYTHON*`` variables say, nothing else runs there. `sys` is imported, and
    the arguments begin at ``sys.argv[2]``.
    """
    paths = [os.path.abspath(path) for path in sys.path]  # "" is the current folder
    start = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); {program}"
    return [sys.executable, "-I", "-c", start, json.dumps(paths), *arguments]


def run_isolated(function: Callable[..., Any], timeout_s: float, **arguments: Any) -> Any:
    """Call a module's function in a child process and return its result.

    Parameters
    ----------
    function : callable
        Found by its module and name in the child; must not start children of its own.
    timeout_s : float
        The child is killed after this time.
    **arguments
        Handed over as JSON, as is the result.

    Raises
    ------
    DeviceError
        With the child's own words if it raised one of ours; otherwise that it died or took too
        long.
    """
    request = {
        "module": function.__module__,
        "name": function.__name__,
        "arguments": arguments,
        "limit_s": timeout_s,
    }
    command = isolated_command(_PROGRAM, json.dumps(request))
    status: int | None
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s + _FAREWELL_S,
            check=False,
        )
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        output, status = error.stdout or b"", None
    lines = output.decode(errors="replace").splitlines()
    answers = [line for line in lines if line.startswith(_MARK)]
    if not answers and status in (None, -signal.SIGALRM):
        raise DeviceError(
            f"the sound system did not answer within {timeout_s:g} s; a device or sound server may "
            "have died: unplug the device and plug it in again, or restart the sound server"
        ) from None
    if not answers:
        raise DeviceError(
            f"the sound system ended the program that asked it (exit status {status}); "
            "restart the sound server"
        )
    reply = json.loads(answers[-1].removeprefix(_MARK))
    if "error" in reply:
        raise DeviceError(reply["error"])
    return reply["result"]


def answer(text: str) -> None:
    """Do in the child what `run_isolated` asks for."""
    request = json.loads(text)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends us even where C code hangs
    signal.setitimer(signal.ITIMER_REAL, request["limit_s"])
    reply: dict[str, Any]
    try:
        function = getattr(import_module(request["module"]), request["name"])
        reply = {"result": function(**request["arguments"])}
    except AudioEngineError as error:
        reply = {"error": str(error)}
    except Exception as error:  # PortAudio's errors too
        reply = {"error": " ".join(f"the sound system said: {error}".split())}
    os.write(1, f"\n{_MARK}{json.dumps(reply)}\n".encode())
    # PortAudio says goodbye at exit, or a JACK server would wait for us; it may also hang.
    signal.setitimer(signal.ITIMER_REAL, _FAREWELL_S)

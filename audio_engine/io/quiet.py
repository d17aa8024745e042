"""Keep libraries from talking on stderr."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Send what anybody in this process writes to stderr nowhere, for as long as it lasts.

    PortAudio's host interfaces (ALSA, JACK) print pages about devices that are not there.
    """
    try:
        saved = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(silent)

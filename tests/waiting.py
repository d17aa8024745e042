"""Wait in a test for what another thread or process does, and look at what it has open."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def wait_until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Return when the condition holds; fail when it does not come to that in time."""
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s, "did not happen in time"
        time.sleep(0.01)


def descriptors(process: int) -> set[str]:
    """Return the files that a process has open, relative to here; a nameless one is in a folder."""
    found = set()
    for link in Path(f"/proc/{process}/fd").iterdir():
        try:
            found.add(os.path.relpath(link.readlink()))
        except OSError:
            continue
    return found

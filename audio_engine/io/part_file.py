"""A file that appears when it is complete: written under a temporary name beside its place."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def part_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a name to write to; what lies there takes the place of `path` when all went well.

    Whatever is raised inside, Ctrl-C too, nothing is left behind.
    """
    place = Path(os.path.realpath(path))  # a link's target is replaced, not the link
    part = place.with_name(f".audio-engine-{secrets.token_hex(6)}.part")
    try:
        yield part
        part.replace(place)
    finally:  # nothing is left to do when all went well
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)

"""How the packages are installed that only some of the work needs."""

from __future__ import annotations

import shlex
import sys


def install_command(*packages: str) -> str:
    """Return the shell command that brings packages to the very Python that runs here."""
    return shlex.join([sys.executable, "-m", "pip", "install", *packages])

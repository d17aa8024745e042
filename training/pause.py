"""Let other work on the same machine go first: wait while the file $TRAINING_PAUSE names exists."""

from __future__ import annotations

import os
import time


def wait_while_paused() -> None:
    """Return once the file is gone."""
    flag = os.environ.get("TRAINING_PAUSE")
    while flag and os.path.exists(flag):
        time.sleep(2)

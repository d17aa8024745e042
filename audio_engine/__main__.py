"""``python -m audio_engine`` is the command line."""

from __future__ import annotations

from audio_engine.cli.main import main

main()

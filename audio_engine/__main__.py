"""The command line: ``audio-engine``, or ``python -m audio_engine``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; Ctrl-C is heard while it is still being loaded too."""
    try:
        from audio_engine.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()

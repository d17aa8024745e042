"""Write videos: containers by the ending of the name, never a half-written file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audio_engine.errors import ConfigError, OutputFileError
from audio_engine.io.part_file import part_file

#: What the ending of an output means: FFmpeg's name of the container.
CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
    ".flv": "flv",
}
#: The same for sound alone; m4a is our name for an MP4 that says so.
SOUND_CONTAINERS = {".m4a": "m4a"}
#: Containers of one family: time stamps before zero are cut away by an edit list.
MP4_KINDS = ("mp4", "mov", "m4a")
#: Containers for sound alone; of pictures they hold the cover.
SOUND_KINDS = tuple(SOUND_CONTAINERS.values())


def container_of(output: Path) -> str:
    """Return FFmpeg's name of the container, or raise `ConfigError` if there is none."""
    try:
        return CONTAINERS[output.suffix.lower()]
    except KeyError:
        raise ConfigError(
            f"{output}: videos of this ending are not written; use one of {', '.join(CONTAINERS)}"
        ) from None


@contextlib.contextmanager
def new_video(av: Any, output: Path, container: str, options: dict[str, str]) -> Iterator[Any]:
    """Yield an output container under a temporary name; it gets its own when all went well.

    Whatever is raised inside, Ctrl-C too, nothing is left behind. What goes wrong while writing
    becomes `OutputFileError`.
    """
    try:
        with part_file(output) as part:
            target = av.open(f"file:{part}", "w", format=container, options=options)
            try:
                yield target
                target.close()
            finally:  # nothing is left to do when all went well
                with contextlib.suppress(av.FFmpegError, OSError):
                    target.close()
    except (av.FFmpegError, OSError) as error:
        said = getattr(error, "strerror", None) or error
        raise OutputFileError(f"{output}: cannot be written: {said}") from None

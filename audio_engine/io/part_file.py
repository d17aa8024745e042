"""A file that appears when it is complete: until then it has no name, or a temporary one.

On Linux the file being written has no name at all (O_TMPFILE), so that nothing is left behind even
if the program is killed. Other systems, and file systems that do not know this (NFS, FAT, some
FUSE), get a temporary name beside the file's place.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import weakref
from collections.abc import Iterator
from pathlib import Path

from audio_engine.errors import OutputFileError


class PartFile:
    """A file on its way to its place.

    Parameters
    ----------
    path : path-like
        The place; of a link, the place that it leads to.

    Attributes
    ----------
    descriptor : int
        Open for reading and writing.
    name : Path
        Opens the same file once more, as long as it is not committed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._place = Path(os.path.realpath(path))  # a link's target is replaced, not the link
        self._temporary = self._place.with_name(f".audio-engine-{secrets.token_hex(6)}.part")
        # A signal may cut in between any two lines; whatever happens, this removes the file.
        self._remove = weakref.finalize(self, _unlink, self._temporary)
        nameless = _open_nameless(self._place.parent)
        self._has_name = nameless is None
        if nameless is None:
            self.descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            self.name = self._temporary
        else:
            self.descriptor = nameless
            self.name = _name_of(nameless)

    def commit(self) -> None:
        """Give the file its name; an older file of that name goes."""
        if self._has_name or not self._linked_to(self._place):
            if not self._has_name:
                self._link_to(self._temporary)  # only a rename replaces a file in one step
            os.replace(self._temporary, self._place)
        self._remove.detach()
        os.close(self.descriptor)

    def discard(self) -> None:
        """Forget the file; doing so twice is fine, and so is doing so after `commit` failed."""
        if self._remove.alive:
            with contextlib.suppress(OSError):
                os.close(self.descriptor)
        self._remove()

    def _linked_to(self, path: Path) -> bool:
        try:
            self._link_to(path)
        except FileExistsError:
            return False
        return True

    def _link_to(self, path: Path) -> None:
        # With a folder's descriptor (any: the name is absolute), Python follows the link in /proc.
        os.link(self.name, path, src_dir_fd=self.descriptor, follow_symlinks=True)


def _open_nameless(folder: Path) -> int | None:
    """Return the descriptor of a new file without a name, None where there are no such files."""
    flags = getattr(os, "O_TMPFILE", None)
    if flags is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDWR | flags, 0o666)
    except OSError:  # the system knows it, the file system does not; or a named one fails too
        return None
    if not _name_of(descriptor).exists():  # /proc is not there
        os.close(descriptor)
        return None
    return descriptor


def _name_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}")


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


@contextlib.contextmanager
def part_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a name to write to; what lies there takes the place of `path` when all went well.

    Whatever is raised inside, Ctrl-C too, nothing is left behind.
    """
    part = PartFile(path)
    try:
        yield part.name
        part.commit()
    finally:  # nothing is left to do when all went well
        part.discard()


@contextlib.contextmanager
def output_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a name to write to, as `part_file` does.

    Raises
    ------
    OutputFileError
        For what the system has against it.
    """
    try:
        with part_file(path) as part:
            yield part
    except OSError as error:
        raise OutputFileError(f"{path}: cannot be written: {error.strerror or error}") from None

"""What everything that owns C objects shares: close once, refuse work afterwards."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from audio_engine.errors import StreamError


class Closable:
    """A context manager around `_release`, which frees the C objects and runs once."""

    _closed = False

    def close(self) -> None:
        """Free the C objects; calling it again is fine."""
        if not self._closed:
            self._closed = True
            self._release()

    def _release(self) -> None:
        raise NotImplementedError

    def _check_open(self) -> None:
        if self._closed:
            raise StreamError(f"this {type(self).__name__} is closed; make a new one")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

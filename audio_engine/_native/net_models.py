"""The nets' weights: read from the package's files, checked, and shared by all who use them.

A process reads a file once, when the first of its users is made. A live engine's objects lie in
memory that it shares with its audio host, and its nets read their weights there, so `models_in`
gives it models of its own.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audio_engine._native.core import check, ffi, lib
from audio_engine.errors import ConfigError, ModelError

#: Where the package's model files lie.
FOLDER = Path(__file__).resolve().parent.parent / "models"
_ENDING = ".aenet"
_MAGIC = b"AENETv1\0"
_HASH_BYTES = 32
_MOST_BYTES = 1 << 26  # a model is a megabyte; whatever else lies there is not read to its end

_lock = threading.Lock()
_of_process: dict[str, NetModel] = {}


class _Home(threading.local):
    """Where this thread's models are kept; None: with those of the process."""

    models: dict[str, NetModel] | None = None


_home = _Home()


class NetModel:
    """Weights of one net, ``ae_net_model`` in C: read-only, for any number of kernels.

    Parameters
    ----------
    name : str
        ``small`` or ``large``.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or made for another version.
    """

    __slots__ = ("handle", "name")

    def __init__(self, name: str) -> None:
        path = FOLDER / f"{name}{_ENDING}"
        content = _checked_content(name, path)
        out = ffi.new("ae_net_model **")
        try:
            check(lib.ae_net_model_create(out, ffi.from_buffer(content), len(content)), "model")
        except ConfigError:
            raise _unusable(
                name,
                path,
                "its net is not one that this version runs (its shape, or a weight is no number)",
                "another version's",
            ) from None
        self.name = name
        self.handle: Any = ffi.gc(out[0], lib.ae_net_model_destroy)

    def __repr__(self) -> str:
        return f"NetModel({self.name!r})"

    def close(self) -> None:
        """Free the weights now; no kernel may use them any more."""
        ffi.release(self.handle)


def net_model(name: str) -> NetModel:
    """Return the weights ``small`` or ``large``, read when they are first asked for.

    Raises
    ------
    ModelError
        If the file cannot be used; the next call tries again.
    """
    with _lock:
        models = _of_process if _home.models is None else _home.models
        if name not in models:
            models[name] = NetModel(name)
        return models[name]


@contextmanager
def models_in(models: dict[str, NetModel]) -> Iterator[None]:
    """Keep the models that this thread asks for in `models`, whose owner closes them."""
    before, _home.models = _home.models, models
    try:
        yield
    finally:
        _home.models = before


def _checked_content(name: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
    except OSError as error:
        raise _unusable(name, path, error.strerror or str(error), "not there") from None
    if not content.startswith(_MAGIC):
        raise _unusable(
            name, path, f"it begins with {content[:8]!r}, a model with {_MAGIC!r}", "no model"
        )
    found = hashlib.sha256(content[:-_HASH_BYTES]).digest()
    if found != content[-_HASH_BYTES:]:
        raise _unusable(
            name,
            path,
            f"SHA-256 of its {len(content)} bytes is {found.hex()[:12]}.., "
            f"at its end stands {content[-_HASH_BYTES:].hex()[:12]}..",
            "damaged",
        )
    return content


def _unusable(name: str, path: Path, found: str, what: str) -> ModelError:
    return ModelError(
        f"model {name}: {path} cannot be used ({what}): {found}; install the package again, "
        "or use model=classical, which needs no file"
    )

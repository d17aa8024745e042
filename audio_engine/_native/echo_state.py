"""What an echo canceller has learned as bytes, and back: the checks' verdicts become words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audio_engine._native.core import check, ffi, lib
from audio_engine._native.kernel import Kernel
from audio_engine.errors import StateError


def save_echo_state(kernels: Sequence[Kernel]) -> bytes:
    """Return the state of the echo filters of all channels; none of them may be processing."""
    filters = _filters(kernels)
    blob = bytearray(lib.ae_echo_state_bytes(filters, len(kernels)))
    out = ffi.from_buffer("uint8_t[]", blob)
    check(lib.ae_echo_state_save(filters, len(kernels), out), "echo state")
    return bytes(blob)


def load_echo_state(kernels: Sequence[Kernel], blob: bytes) -> None:
    """Let echo filters go on from a state; none of them may be processing.

    Raises
    ------
    StateError
        If the state is foreign, damaged, or of another kind of canceller; nothing has changed.
    """
    filters = _filters(kernels)
    found, own = ffi.new("ae_echo_state_info *"), ffi.new("ae_echo_state_info *")
    lib.ae_echo_state_describe(filters, len(kernels), own)
    verdict = lib.ae_echo_state_load(
        filters, len(kernels), ffi.from_buffer("uint8_t[]", blob), len(blob), found
    )
    if verdict == lib.AE_ECHO_STATE_NO_MEMORY:
        raise MemoryError("no memory to check the echo state in")
    if verdict != lib.AE_ECHO_STATE_FITS:
        raise _error(verdict, blob, found, own)


def echo_state_has_learned(kernels: Sequence[Kernel]) -> bool:
    """Return whether a state is worth keeping: some channel has cancelled well since its start."""
    return bool(lib.ae_echo_state_has_learned(_filters(kernels), len(kernels)))


def _filters(kernels: Sequence[Kernel]) -> Any:
    return ffi.new("ae_echo_filter *[]", [kernel.handle for kernel in kernels])


def _error(verdict: int, blob: bytes, found: Any, own: Any) -> StateError:
    if verdict == lib.AE_ECHO_STATE_FOREIGN and blob:
        text = f"this is no echo state: it begins with {bytes(blob[:8])!r}"
        return StateError(text, reason="foreign")
    if verdict == lib.AE_ECHO_STATE_VERSION:
        text = f"the echo state has layout {found.version}; this release reads {own.version}"
        return StateError(text, reason="version")
    if verdict == lib.AE_ECHO_STATE_SHAPE:
        differ = _differences(found, own) or "it was made by another release"
        return StateError(f"the echo state does not fit: {differ}", reason="shape")
    if verdict == lib.AE_ECHO_STATE_UNSOUND:
        return StateError("the echo state holds values that no echo path has", reason="unsound")
    text = f"the echo state is damaged: {len(blob)} bytes, length or checksum is wrong"
    return StateError(text, reason="damaged")


def _differences(found: Any, own: Any) -> str:
    texts = {
        "sample_rate_hz": "{} Hz",
        "tail_ms": "a tail of {} ms",
        "max_delay_ms": "delays up to {} ms",
        "channels": "microphone channels: {}",
        "far_channels": "far-end references: {}",
    }
    parts = [
        f"it is for {text.format(getattr(found, name))}, wanted is {getattr(own, name)}"
        for name, text in texts.items()
        if getattr(found, name) != getattr(own, name)
    ]
    return "; ".join(parts)

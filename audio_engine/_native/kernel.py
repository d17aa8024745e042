"""A C kernel object as a Python object."""

from __future__ import annotations

from typing import Any

from audio_engine._native.library import check, ffi, lib


class Kernel:
    """A C kernel object: created from its configuration's fields, destroyed with this object.

    Parameters
    ----------
    name : str
        Name in C without the prefix, for example ``"limiter"`` for ``ae_limiter``.
    **fields
        Fields of its configuration struct; the others keep the kernel's defaults.
    """

    __slots__ = ("config", "handle", "name")

    def __init__(self, name: str, **fields: float) -> None:
        config = ffi.new(f"ae_{name}_config *")
        if hasattr(lib, f"ae_{name}_default_config"):
            config[0] = getattr(lib, f"ae_{name}_default_config")(fields["sample_rate_hz"])
        for field, value in fields.items():
            setattr(config, field, value)
        out = ffi.new(f"ae_{name} **")
        check(getattr(lib, f"ae_{name}_create")(out, config), f"{name} kernel with {fields}")
        self.name = name
        self.config = config
        self.handle = ffi.gc(out[0], getattr(lib, f"ae_{name}_destroy"))

    def call(self, verb: str, *arguments: Any) -> Any:
        """Call ``ae_<name>_<verb>`` on this object."""
        return getattr(lib, f"ae_{self.name}_{verb}")(self.handle, *arguments)

    def read(self) -> Any:
        """Return the kernel's report struct, filled now."""
        report = ffi.new(f"ae_{self.name}_report *")
        self.call("read", report)
        return report

    def close(self) -> None:
        """Free the C object now; later calls would fail."""
        ffi.release(self.handle)

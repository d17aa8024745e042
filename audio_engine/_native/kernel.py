"""A C kernel object as a Python object."""

from __future__ import annotations

from typing import Any

from audio_engine._native.core import check, ffi, lib
from audio_engine._native.net_models import NetModel

#: What a field of a kernel's configuration can be.
KernelValue = float | NetModel

#: Fields of a kernel's configuration that may change while it runs, with the parameter's name.
LIVE_FIELDS: dict[str, dict[str, str]] = {
    "highpass": {"cutoff_hz": "CUTOFF_HZ"},
    "suppressor": {
        "attenuation_limit_db": "ATTENUATION_LIMIT_DB",
        "dereverb": "DEREVERB",
        "transients": "TRANSIENTS",
        "music_guard": "MUSIC_GUARD",
        "tier": "TIER",
        "unaided_limit_db": "UNAIDED_LIMIT_DB",
    },
    "leveller": {"target_lufs": "TARGET_LUFS"},
    "limiter": {"ceiling_dbtp": "CEILING_DBTP"},
    "sync_delay": {"delay_ms": "DELAY_MS"},
}
_FIELDS_OF_THE_START = {"initial_gain_db", "initial_delay_ms"}


class Kernel:
    """A C kernel object: created from its configuration's fields, destroyed with this object.

    Plans share kernels: each plan retains the ones that it runs, and the last one to release a
    kernel frees it. One that no plan uses is closed by its owner.

    Parameters
    ----------
    name : str
        Name in C without the prefix, for example ``"limiter"`` for ``ae_limiter``.
    **fields
        Fields of its configuration struct; the others keep the kernel's defaults. A model that is
        among them lives as long as this object.
    """

    __slots__ = ("_users", "config", "fields", "handle", "name")

    def __init__(self, name: str, **fields: KernelValue) -> None:
        config = ffi.new(f"ae_{name}_config *")
        if hasattr(lib, f"ae_{name}_default_config"):
            config[0] = getattr(lib, f"ae_{name}_default_config")(fields["sample_rate_hz"])
        for field, value in fields.items():
            setattr(config, field, value.handle if isinstance(value, NetModel) else value)
        out = ffi.new(f"ae_{name} **")
        check(getattr(lib, f"ae_{name}_create")(out, config), f"{name} kernel with {fields}")
        self.name = name
        self.fields = fields
        self._users = 0
        self.config = config
        self.handle = ffi.gc(out[0], getattr(lib, f"ae_{name}_destroy"))

    def fits(self, name: str, fields: dict[str, KernelValue]) -> bool:
        """Return whether this kernel becomes the described one by changes that it takes live."""
        loose = LIVE_FIELDS.get(name, {}).keys() | _FIELDS_OF_THE_START
        wanted = {field: value for field, value in fields.items() if field not in loose}
        own = {field: value for field, value in self.fields.items() if field not in loose}
        return self.name == name and own == wanted

    def retain(self) -> None:
        """Count one more user."""
        self._users += 1

    def release(self) -> None:
        """Count one user less, and free the C object with the last one."""
        self._users -= 1
        if self._users <= 0:
            self.close()

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

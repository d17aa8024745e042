"""The one door to the C core: everything above this package sees Python types only."""

from audio_engine._native.core import (
    AudioArray,
    PlanarRows,
    allocation_count,
    block_frames,
    check,
    ffi,
    kernel_build,
    lib,
    planar_rows,
    pointer,
)
from audio_engine._native.echo_state import (
    echo_state_has_learned,
    load_echo_state,
    save_echo_state,
)
from audio_engine._native.kernel import LIVE_FIELDS, Kernel, KernelValue
from audio_engine._native.net_models import NetModel, models_in, net_model
from audio_engine._native.plan import Plan, Step

__all__ = [
    "LIVE_FIELDS",
    "AudioArray",
    "Kernel",
    "KernelValue",
    "NetModel",
    "Plan",
    "PlanarRows",
    "Step",
    "allocation_count",
    "block_frames",
    "check",
    "echo_state_has_learned",
    "ffi",
    "kernel_build",
    "lib",
    "load_echo_state",
    "models_in",
    "net_model",
    "planar_rows",
    "pointer",
    "save_echo_state",
]

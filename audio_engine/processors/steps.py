"""From a stage's configuration to its C kernels: one function per kind of step.

Both the single processors and the graph compiler make their steps here, so a stage has the same
kernels and the same values wherever it runs. `make` gives the kernels: new ones, or those of an
earlier plan that fit.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import replace

from audio_engine._native import Kernel, KernelValue, Step, net_model
from audio_engine.config import (
    NOISE_MODELS,
    RESIDUALS,
    AgcConfig,
    EchoConfig,
    EngineConfig,
    HighPassConfig,
    LimiterConfig,
    LipSyncConfig,
    MeterConfig,
    NoiseConfig,
)
from audio_engine.errors import ModelError, ModelWarning

MakeKernel = Callable[..., Kernel]

#: The most far-end channels with an echo path of their own.
MAX_REFERENCES = 2


def highpass_step(
    config: HighPassConfig,
    rate_hz: int,
    channels: int,
    *,
    bus: int,
    output_bus: int,
    make: MakeKernel = Kernel,
) -> Step:
    """Make the high-pass step."""
    kernel = make("highpass", sample_rate_hz=rate_hz, channels=channels, cutoff_hz=config.cutoff_hz)
    return Step(kind="HIGHPASS", kernels=(kernel,), input_bus=bus, output_bus=output_bus)


def echo_step(
    config: EchoConfig,
    rate_hz: int,
    channels: int,
    *,
    bus: int,
    far_bus: int,
    far_channels: int,
    output_bus: int,
    make: MakeKernel = Kernel,
) -> Step:
    """Make the echo filter step: one filter per microphone channel.

    Each has a reference per channel of the far end, two at most: the step mixes channels 0, 2, ..
    and 1, 3, .. of a wider one.
    """
    kernels = tuple(
        make(
            "echo_filter",
            sample_rate_hz=rate_hz,
            tail_ms=config.tail_ms,
            max_delay_ms=config.max_delay_ms,
            far_channels=min(far_channels, MAX_REFERENCES),
        )
        for _ in range(channels)
    )
    return Step(
        kind="ECHO", kernels=kernels, input_bus=bus, side_bus=far_bus, output_bus=output_bus
    )


def suppressor_values(config: NoiseConfig) -> dict[str, float]:
    """Return what a suppressor is set to; disabled it still runs, and leaves noise alone."""
    on = config.enabled
    return {
        "tier": NOISE_MODELS.index(config.model) if on else 0,
        "attenuation_limit_db": config.limit_db if on else 0.0,
        "unaided_limit_db": config.unaided_limit_db if on else 0.0,
        "dereverb": config.dereverb if on else 0.0,
        "transients": int(on and config.transients),
        "music_guard": int(on and config.music_guard),
    }


_told: set[str] = set()


def with_usable_model(config: NoiseConfig) -> NoiseConfig:
    """Return the configuration with a model whose file can be used: its own, or the next smaller.

    For the whole chain, which shall go on in any case: the first time that a model is given up a
    `ModelWarning` says so.
    """
    usable = config
    while usable.model != NOISE_MODELS[0]:
        try:
            net_model(usable.model)
            break
        except ModelError as error:
            smaller = NOISE_MODELS[NOISE_MODELS.index(usable.model) - 1]
            if usable.model not in _told:
                _told.add(usable.model)
                text = f"{error}; going on with model={smaller}"
                warnings.warn(ModelWarning(text), stacklevel=2)
            usable = replace(usable, model=smaller)
    return usable


def with_usable_models(config: EngineConfig) -> EngineConfig:
    """Return a whole chain's configuration with a model that can be used (`with_usable_model`)."""
    return replace(config, ns=with_usable_model(config.ns))


def model_values(config: NoiseConfig, *, lighter: bool) -> dict[str, KernelValue]:
    """Return the nets that a suppressor is made with.

    Parameters
    ----------
    config : NoiseConfig
        Names the model.
    lighter : bool
        Have the smaller ones ready too, to step down to while time is short.

    Raises
    ------
    ModelError
        If the model's file cannot be used. A smaller one's is then left out.
    """
    names = NOISE_MODELS[1 : NOISE_MODELS.index(config.model) + 1]
    ready: dict[str, KernelValue] = {}
    for name in names:
        with contextlib.suppress(*() if name == config.model else (ModelError,)):
            if lighter or name == config.model:
                ready[f"{name}_model"] = net_model(name)
    return ready


def suppressor_step(
    config: NoiseConfig,
    rate_hz: int,
    channels: int,
    *,
    bus: int,
    output_bus: int,
    echo_step_index: int = -1,
    residual: str = RESIDUALS[1],
    noise: bool = True,
    lighter: bool = False,
    make: MakeKernel = Kernel,
) -> Step:
    """Make the suppressor step; with an echo step it removes the residual echo too.

    Without `noise` it does only that, and gives no speech probability. Where the channels are not
    linked, each has a suppressor of its own. `residual`: as in `EchoConfig`. `lighter`: it can do
    with a smaller net, or none, while time is short.
    """
    count = 1 if config.link_channels else channels
    models = model_values(config, lighter=lighter) if noise else {}
    kernels = tuple(
        make(
            "suppressor",
            sample_rate_hz=rate_hz,
            channels=channels // count,
            first_channel=c,
            echo=int(echo_step_index >= 0),
            noise=int(noise),
            net_hears_far_end=RESIDUALS.index(residual),
            **suppressor_values(config),
            **models,
        )
        for c in range(count)
    )
    return Step(
        kind="SUPPRESSOR",
        kernels=kernels,
        input_bus=bus,
        output_bus=output_bus,
        source_step=echo_step_index,
    )


def leveller_step(
    config: AgcConfig,
    rate_hz: int,
    channels: int,
    *,
    bus: int,
    output_bus: int,
    suppressor_step_index: int = -1,
    ceiling_dbtp: float = 0.0,
    initial_gain_db: float | None = None,
    make: MakeKernel = Kernel,
) -> Step:
    """Make the leveller step.

    With a suppressor step it uses that one's speech probability; `ceiling_dbtp` is the limiter's
    behind it, whose work on a peaky voice is made up for. The gain starts at `initial_gain_db`,
    brought into the configured range, or where the configuration says.
    """
    start_db = config.start_gain_db if initial_gain_db is None else initial_gain_db
    kernel = make(
        "leveller",
        sample_rate_hz=rate_hz,
        channels=channels,
        target_lufs=config.target_lufs,
        max_gain_db=config.max_gain_db,
        min_gain_db=config.min_gain_db,
        ceiling_dbtp=ceiling_dbtp,
        initial_gain_db=min(max(start_db, config.min_gain_db), config.max_gain_db),
    )
    return Step(
        kind="LEVELLER",
        kernels=(kernel,),
        input_bus=bus,
        output_bus=output_bus,
        source_step=suppressor_step_index,
    )


def limiter_step(
    config: LimiterConfig,
    rate_hz: int,
    channels: int,
    *,
    bus: int,
    output_bus: int,
    make: MakeKernel = Kernel,
) -> Step:
    """Make the true-peak limiter step."""
    kernel = make(
        "limiter",
        sample_rate_hz=rate_hz,
        channels=channels,
        ceiling_dbtp=config.ceiling_dbtp,
        release_ms=config.release_ms,
    )
    return Step(kind="LIMITER", kernels=(kernel,), input_bus=bus, output_bus=output_bus)


def loudness_step(
    config: MeterConfig, rate_hz: int, channels: int, *, bus: int, make: MakeKernel = Kernel
) -> Step:
    """Make the loudness meter step; it reads its bus and writes nothing."""
    kernel = make(
        "loudness",
        sample_rate_hz=rate_hz,
        channels=channels,
        true_peak=int(config.true_peak),
    )
    return Step(kind="LOUDNESS", kernels=(kernel,), input_bus=bus)


def sync_delay_step(
    config: LipSyncConfig,
    rate_hz: int,
    channels: int,
    *,
    bus: int,
    output_bus: int,
    suppressor_step_index: int = -1,
    starts_at_once: bool = True,
    make: MakeKernel = Kernel,
) -> Step:
    """Make the lip-sync delay step.

    With a suppressor step it takes nothing for a pause in which that one hears speech. It stands at
    its delay from the first frame on, or goes there from 0 while audio runs.
    """
    delay_ms = max(config.delay_ms, 0.0)
    kernel = make(
        "sync_delay",
        sample_rate_hz=rate_hz,
        channels=channels,
        max_delay_ms=config.max_delay_ms,
        delay_ms=delay_ms,
        initial_delay_ms=delay_ms if starts_at_once else 0.0,
    )
    return Step(
        kind="SYNC_DELAY",
        kernels=(kernel,),
        input_bus=bus,
        output_bus=output_bus,
        source_step=suppressor_step_index,
    )

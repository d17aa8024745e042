"""Two channels: whether one of them is dead, or they are turned against each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio_engine.analysis.recording import Recording, Signal, decibel

_APART_S = 0.001  # 34 cm


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """How the channels of a recording compare.

    Attributes
    ----------
    difference_db : float
        Level of the loudest channel over that of the quietest, 160 at most.
    correlation : float
        Of the first two channels, -1 (turned against each other) to 1 (the same), at the delay of
        at most 1 ms where it is strongest: two capsules stand apart. 0 where one of them is dead.
    """

    difference_db: float
    correlation: float


def compare_channels(recording: Recording) -> Channels | None:
    """Compare the channels; None for one channel."""
    x = recording.without_dc
    if x.shape[1] < 2:
        return None
    power = np.mean(x**2, axis=0)
    difference_db = decibel(float(power.max())) - decibel(float(power.min()))
    first, second = x[:, 0], x[:, 1]
    scale = float(np.sqrt(np.sum(first**2) * np.sum(second**2)))
    correlation = _strongest(first, second, round(_APART_S * recording.sample_rate_hz))
    return Channels(
        difference_db=difference_db,
        correlation=correlation / scale if scale > 0.0 else 0.0,
    )


def _strongest(first: Signal, second: Signal, reach: int) -> float:
    """Return the product of two signals at the delay where its size is largest."""
    lags = range(-reach, reach + 1)
    middle = first[reach : len(first) - reach]
    products = [
        float(np.dot(middle, second[reach + lag : len(second) - reach + lag])) for lag in lags
    ]
    return max(products, key=abs)

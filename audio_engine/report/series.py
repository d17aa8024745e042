"""A curve over time in bounded memory: when it grows too long, two neighbours become one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

LONGEST = 1200  # values: more than a screen has dots for


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A curve: value k covers the time from ``k step_s`` to ``(k + 1) step_s``.

    Attributes
    ----------
    name, unit : str
        What it shows, for example ``noise_reduction`` in ``dB``.
    side : str
        ``before``, ``after``, or empty for what a stage reports.
    step_s : float
        Duration of one value in s.
    values : tuple of float or None
        None: not known then.
    """

    name: str
    unit: str
    side: str
    step_s: float
    values: tuple[float | None, ...]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Series:
        """Return what `dataclasses.asdict` described."""
        return cls(**{**values, "values": tuple(values["values"])})


class Thinner:
    """Collect a curve of any length.

    Parameters
    ----------
    step_s : float
        Distance of the values that are added.
    join : callable
        Makes one value of two: their mean, or `max` where the highest counts.
    """

    def __init__(self, step_s: float, join: Callable[[float, float], float] | None = None) -> None:
        self.step_s = step_s
        self._join = join or _mean
        self._values: list[float | None] = []
        self._count = 1  # values added per value kept
        self._open: list[float | None] = []

    def add(self, value: float | None) -> None:
        """Append the next value; None and what is not finite: not known."""
        known = value is not None and math.isfinite(value)
        self._open.append(value if known else None)
        if len(self._open) < self._count:
            return
        self._values.append(self._joined(self._open))
        self._open = []
        if len(self._values) > LONGEST:
            pairs = zip(self._values[::2], [*self._values[1::2], None], strict=False)
            self._values = [self._joined(pair) for pair in pairs]
            if len(self._values) * 2 > LONGEST + 1:  # the odd one is only half full
                self._open = [self._values.pop()] * self._count
            self._count *= 2
            self.step_s *= 2.0

    def series(self, name: str, unit: str, side: str = "", digits: int = 2) -> Series:
        """Return what was collected, rounded."""
        values = [*self._values, *([self._joined(self._open)] if self._open else [])]
        return Series(
            name=name,
            unit=unit,
            side=side,
            step_s=round(self.step_s, 6),
            values=tuple(None if v is None else round(v, digits) for v in values),
        )

    @property
    def known(self) -> bool:
        """Whether any value is known."""
        return any(value is not None for value in (*self._values, *self._open))

    def _joined(self, values: Iterable[float | None]) -> float | None:
        found = [value for value in values if value is not None]
        if not found:
            return None
        if self._join is _mean:
            return sum(found) / len(found)
        result = found[0]
        for value in found[1:]:
            result = self._join(result, value)
        return result


def _mean(a: float, b: float) -> float:
    return 0.5 * (a + b)

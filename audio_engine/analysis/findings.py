"""What a room check says about one thing: how bad it is, the figure, and the limit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["good", "note", "warn", "bad"]
SEVERITIES: tuple[Severity, ...] = ("good", "note", "warn", "bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of a room check.

    Attributes
    ----------
    kind : str
        What was looked at: ``noise``, ``hum``, ``clipping`` ...
    severity : {"good", "note", "warn", "bad"}
        ``note``: worth knowing, nothing to repair; ``warn``: the audience notices; ``bad``: do
        something before going live.
    value : float or None
        The figure; None where there is none.
    unit : str
        Its unit; empty for a count.
    threshold : float or None
        Where ``warn`` begins.
    advice : str
        Key of the sentence that says what was found and what to do: the kind, or one of its cases.
    """

    kind: str
    severity: Severity
    value: float | None
    unit: str
    threshold: float | None
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary; infinities stay floats."""
        return asdict(self)


def graded(value: float, note: float, warn: float, bad: float) -> Severity:
    """Return the severity of a figure; limits that fall mean that less is worse.

    Examples
    --------
    >>> graded(7.0, 20.0, 15.0, 10.0), graded(0.5, 0.1, 0.4, 1.0)
    ('bad', 'warn')
    """
    sign = -1.0 if bad < warn else 1.0
    for severity, limit in (("bad", bad), ("warn", warn), ("note", note)):
        if sign * value >= sign * limit:
            return severity  # type: ignore[return-value]
    return "good"

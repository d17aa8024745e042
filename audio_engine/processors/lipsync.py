"""Lip sync: what an estimate of the offset between sound and picture says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LipSyncEstimate:
    """An estimate; `offset_ms` > 0: the audio is late."""

    offset_ms: float | None
    confidence: float
    reason: str
    drift_ms_per_s: float | None

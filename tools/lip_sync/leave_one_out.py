"""Judge the estimator on people that its weights never saw.

A function for a bench that hands over arrays and reads its clips through an object with
``mouth(name)``: that call tells whose face comes next, and so which weights may judge it. The
models come from ``train --leave-one-out DIR``, the folder from LIP_SYNC_MODELS.
"""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine.processors.lipsync import MOUTH_SIGNALS, LipSyncEstimator, LipSyncWeights

_current = {"person": ""}


def watch(data: type, people: dict[str, str]) -> None:
    """Note the person whenever an object of this class is asked for a clip's mouth."""
    mouth = data.mouth  # type: ignore[attr-defined]

    def noted(self: Any, name: str) -> Any:
        _current["person"] = people[name]
        return mouth(self, name)

    data.mouth = noted  # type: ignore[attr-defined]


@cache
def weights_for(folder: Path, person: str, model: str) -> LipSyncWeights:
    """Return the weights that never saw a person."""
    return LipSyncWeights.load(folder / f"{model}-{person}.npz")


def lipsync(  # noqa: PLR0917 - the bench's signature
    audio: NDArray[np.float32],
    sample_rate: int,
    t: NDArray[np.float64],
    mouth: NDArray[np.float32],
    cols: list[str],
    audio_t0: float,
) -> dict[str, float | str | None]:
    """Estimate the offset of arrays with weights that did not see this person."""
    full = all(name in cols for name in MOUTH_SIGNALS)
    folder = Path(os.environ["LIP_SYNC_MODELS"])
    weights = weights_for(folder, _current["person"], "full" if full else "gap")
    with LipSyncEstimator(
        sample_rate_hz=sample_rate, signals=weights.signals, weights=weights
    ) as estimator:
        estimator.push_audio(audio, time_s=audio_t0)
        estimator.push_mouth(t, mouth[:, [cols.index(name) for name in weights.signals]])
        found = estimator.estimate()
    return {
        "offset_ms": found.offset_ms,
        "confidence": found.confidence,
        "reason": found.reason,
    }


_bench = sys.modules["__main__"]
if hasattr(_bench, "Data"):  # loaded by the bench
    _manifest = json.loads((Path(_bench.HERE) / "manifest.json").read_text(encoding="utf-8"))
    watch(_bench.Data, {clip["id"]: clip["person"] for clip in _manifest["clips"]})

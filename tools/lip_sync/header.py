"""Write trained weights as csrc/ae_lipsync_weights.h."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_engine.processors.lipsync import LipSyncWeights

HEAD = """\
/* ae_lipsync_weights.h - the trained models of ae_lip_model, whose header goes before this one;
 * made by tools/lip_sync, not by hand. Its README tells of data, people, licences and scores. */
#ifndef AE_LIPSYNC_WEIGHTS_H
#define AE_LIPSYNC_WEIGHTS_H

/* clang-format off */
"""
TAIL = """\
/* clang-format on */

#endif
"""
_PER_LINE = 8


def write(path: Path, models: Mapping[str, LipSyncWeights]) -> None:
    """Write a header with the models under their names."""
    text = "".join(_model(name, weights) for name, weights in models.items())
    path.write_text(HEAD + text + TAIL, encoding="utf-8")


def _model(name: str, weights: LipSyncWeights) -> str:
    tables = ("audio", "mouth", "weight", "confidence")
    motion = weights.signals.index("motion") if "motion" in weights.signals else -1
    fields = {
        "mouth_signals": len(weights.signals),
        "components": len(weights.weight),
        "motion": motion,
        "audio_taps": weights.audio.shape[1],
        "mouth_taps": weights.mouth.shape[1],
        "audio_step": weights.audio_step,
        "mouth_step": weights.mouth_step,
        **{table: f"k_{name}_{table}" for table in tables},
    }
    return (
        "".join(_table(f"k_{name}_{table}", getattr(weights, table)) for table in tables)
        + f"static const ae_lip_model k_trained_{name} = {{\n"
        + "".join(f"    .{field} = {value},\n" for field, value in fields.items())
        + "};\n"
    )


def _table(name: str, values: NDArray[np.float32]) -> str:
    numbers = [_literal(float(value)) for value in values.ravel()]
    lines = [
        "    " + " ".join(f"{number}," for number in numbers[start : start + _PER_LINE])
        for start in range(0, len(numbers), _PER_LINE)
    ]
    return f"static const float {name}[{len(numbers)}] = {{\n" + "\n".join(lines) + "\n};\n"


def _literal(value: float) -> str:
    text = f"{value:.5g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"

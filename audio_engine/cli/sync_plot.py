"""The picture of ``audio-engine sync --plot``: score over offset, offset over time."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audio_engine.errors import AudioEngineError
from audio_engine.io.extras import install_command
from audio_engine.io.lip_sync_series import ANSWER
from audio_engine.io.part_file import output_file

if TYPE_CHECKING:
    from audio_engine.io.lip_sync import LipSyncMeasurement

_SIZE_INCHES, _DOTS_PER_INCH = (9.0, 6.0), 110
_SURE, _UNSURE, _LINE = "#1f6fb4", "#b8c4ce", "#d1495b"

_CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "Microsoft YaHei",
    "SimHei",
)


def import_figure() -> Any:
    """Return Matplotlib's figure class.

    Raises
    ------
    AudioEngineError
        If Matplotlib is not installed; the text says what brings it.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise AudioEngineError(
            "--plot draws with Matplotlib, which is not installed; install it with: "
            f"{install_command('matplotlib')}"
        ) from None
    return Figure


def write_plot(path: Path, found: LipSyncMeasurement, name: str) -> None:
    """Write the picture as PNG, under a temporary name first.

    Raises
    ------
    AudioEngineError
        If Matplotlib is not installed; the text says what brings it.
    OutputFileError
        If the file cannot be written.
    """
    figure = import_figure()(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    above, below = figure.subplots(2, 1)
    _draw_scores(above, found, name)
    _draw_series(below, found)
    memory = io.BytesIO()
    with warnings.catch_warnings():  # a sign that no font here has becomes an empty box
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(memory, format="png")
    with output_file(path) as part:
        part.write_bytes(memory.getvalue())


def _draw_scores(axes: Any, found: LipSyncMeasurement, name: str) -> None:
    """Draw how well each offset explains the speaker's best window."""
    answer = "no answer" if found.reason else f"{found.offset_ms:+.0f} ms"
    # A file name may hold dollar signs, which would be read as a formula.
    name = name.encode("utf-8", "replace").decode()  # and bytes that are no text
    title = f"{name}: {answer}, sure: {found.confidence:.2f}"
    axes.set_title(title, parse_math=False, fontfamily=_fonts())
    if found.curve is not None:
        axes.plot(found.curve[0], found.curve[1], color=_SURE)
    if found.offset_ms is not None:
        axes.axvline(found.offset_ms, color=_LINE, linestyle="--")
    axes.set_xlabel("offset in ms (> 0: audio late)")
    axes.set_ylabel("score")
    axes.grid(alpha=0.3)


def _fonts() -> list[str]:
    """Return Matplotlib's own font, then those installed that have what it lacks."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _CHINESE_FONTS if name in installed)]


def _draw_series(axes: Any, found: LipSyncMeasurement) -> None:
    """Draw the offset of each second, pale where it is not sure."""
    known = [(t, o, c) for t, o, c in found.series if o is not None]
    for label, colour, is_sure in (("not sure", _UNSURE, False), ("sure", _SURE, True)):
        points = np.array([(t, o) for t, o, c in known if (c >= ANSWER) == is_sure]).reshape(-1, 2)
        axes.plot(points[:, 0], points[:, 1], "o", color=colour, markersize=4, label=label)
    if found.offset_ms is not None:
        axes.axhline(found.offset_ms, color=_LINE, linestyle="--")
    axes.set_xlim(0.0, max(found.duration_s, 1e-3))
    axes.set_xlabel("time in s")
    axes.set_ylabel("offset in ms (> 0: audio late)")
    axes.legend(loc="best")
    axes.grid(alpha=0.3)

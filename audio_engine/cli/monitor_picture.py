"""A scrolling picture of the sound before and after: time to the right, low to high upwards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from audio_engine.cli.monitor_paint import Line, rule, strip, style
from audio_engine.cli.monitor_panels import LABEL, Panel
from audio_engine.cli.monitor_view import View

Spectrum = NDArray[np.float64]

LOWEST_HZ, HIGHEST_HZ = 70.0, 16000.0
QUIET_DB, LOUD_DB = -95.0, -32.0
SHADES = 20
#: From silence to loud; each is lighter than the one before, so that greys do as well.
PALETTE = ("#10151b", "#1b2a45", "#2b3f7a", "#5b4d9a", "#a2569a", "#de7272", "#f5a962", "#fbe6a2")
MARGIN = 6  # cells on the right: frequencies
COLUMNS_KEPT = 400
REDRAW_EVERY = 2  # columns: most of the screen's cost is here


class Picture(Panel):
    """Two spectrograms, one above the other: microphone and processed sound.

    A cell shows two bands (upper and lower half) of one moment.
    """

    def __init__(self, period_s: float) -> None:
        super().__init__()
        self._period_s = period_s
        self._columns: list[NDArray[np.intp]] = []  # (2, rows): pairs of shades, top row first
        self._added = 0
        self._edges: NDArray[np.intp] | None = None
        self._shape = (0, 0)

    def add(self, spectrum: tuple[Spectrum, Spectrum], sample_rate_hz: int) -> None:
        """Add one moment: spectra in dB, from 0 Hz to half the rate."""
        rows = self._rows()
        if rows < 1:
            return
        bins = len(spectrum[0])
        if self._edges is None or self._shape != (rows, bins):
            self._shape = (rows, bins)
            self._edges = band_edges(2 * rows, bins, sample_rate_hz)
            self._columns.clear()
        self._columns.append(np.stack([self._pairs(one) for one in spectrum]))
        del self._columns[:-COLUMNS_KEPT]
        self._added += 1
        if self._added % REDRAW_EVERY == 0:
            self.redraw()

    def _pairs(self, spectrum_db: Spectrum) -> NDArray[np.intp]:
        assert self._edges is not None
        found = shades(spectrum_db, self._edges)[::-1]
        return found[0::2] * SHADES + found[1::2]

    def lines(self, view: View, width: int, height: int) -> list[Line]:
        """Return the title; the picture itself is drawn by `render_line`."""
        seconds = max(width - LABEL - MARGIN, 0) * self._period_s
        legend: Line = [("▆", colour) for colour in SHADE_COLOURS[1::2]]
        legend = [("quiet ", "dim"), *legend, (" loud", "dim")]
        return [rule(f"Sound of the last {seconds:.0f} s", width, legend)]

    def _rows(self) -> int:
        """Return the rows of one of the two pictures."""
        return (self.size.height - 1) // 2

    def render_line(self, y: int) -> Strip:
        """Return the title, or a row of the picture."""
        width, rows = self.size.width, self._rows()
        if y == 0 or y > 2 * rows:
            return super().render_line(y) if y == 0 else strip([], width)
        which, row = divmod(y - 1, rows)
        name = ("Microphone", "Processed")[which] if row == 0 else ""
        segments = [Segment(f" {name:<{LABEL - 1}}", style("text"))]
        cells = width - LABEL - MARGIN
        if self._shape[0] == rows and cells > 0:
            segments += self._cells(which, row, cells)
        else:
            segments.append(Segment(" " * max(cells, 0), style("text")))
        segments.append(Segment(f" {frequency_label(row, rows):<{MARGIN - 1}}", style("faint")))
        return Strip(segments).adjust_cell_length(width, style("text"))

    def _cells(self, which: int, row: int, cells: int) -> list[Segment]:
        columns = self._columns[-cells:]
        segments = [Segment(" " * (cells - len(columns)), style("text"))]
        pairs = np.array([column[which, row] for column in columns])
        starts = np.flatnonzero(np.diff(pairs, prepend=-1))
        counts = np.diff(starts, append=len(pairs))
        segments += [
            Segment((" " if pair in EVEN_PAIRS else "▀") * count, SHADE_STYLES[pair])
            for pair, count in zip(pairs[starts].tolist(), counts.tolist(), strict=True)
        ]
        return segments


def band_edges(bands: int, bins: int, sample_rate_hz: int) -> NDArray[np.intp]:
    """Return the first bin of each band, and one past the last: equal steps of pitch."""
    top_hz = min(HIGHEST_HZ, 0.5 * sample_rate_hz)
    hz = np.geomspace(LOWEST_HZ, top_hz, bands + 1)
    edges = np.round(hz / (0.5 * sample_rate_hz) * (bins - 1)).astype(np.intp)
    edges = np.maximum.accumulate(np.maximum(edges, edges[0] + np.arange(bands + 1)))
    return np.minimum(edges, bins - 1)


def shades(spectrum_db: Spectrum, edges: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the shade of each band, from the loudest of its bins."""
    peaks = np.maximum.reduceat(spectrum_db[: edges[-1] + 1], edges[:-1])
    level = (np.nan_to_num(peaks, neginf=-200.0) - QUIET_DB) / (LOUD_DB - QUIET_DB)
    found: NDArray[np.intp] = np.clip(level * SHADES, 0, SHADES - 1).astype(np.intp)
    return found


def frequency_label(row: int, rows: int) -> str:
    """Return the frequency that a row stands for, where a round one falls into it."""
    octaves = np.log(HIGHEST_HZ / LOWEST_HZ)
    for hz, text in ((10000, "10k"), (1000, "1k"), (100, "100")):
        if int((1.0 - np.log(hz / LOWEST_HZ) / octaves) * rows) == row:
            return text
    return ""


def _shade_colours() -> list[str]:
    stops = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in PALETTE], float)
    places = np.linspace(0.0, len(stops) - 1.0, SHADES)
    colours = [np.interp(places, np.arange(len(stops)), stops[:, i]) for i in range(3)]
    return [f"#{int(r):02x}{int(g):02x}{int(b):02x}" for r, g, b in zip(*colours, strict=True)]


SHADE_COLOURS = _shade_colours()
SHADE_STYLES = [
    Style(color=upper, bgcolor=lower) for upper in SHADE_COLOURS for lower in SHADE_COLOURS
]
EVEN_PAIRS = frozenset(range(0, SHADES * SHADES, SHADES + 1))  # both halves alike

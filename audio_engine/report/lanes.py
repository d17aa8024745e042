"""The curves of the page: lanes one under the other over one time axis, as SVG.

A lane's drawing is stretched to the width of the window, its texts are not: they stand at
percentages of an SVG without a view box, the lines in one with a view box of 1000 by 100.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from audio_engine.report.spectrogram import mel
from audio_engine.report.text import Writer, clock, number

_WIDTH, _HEIGHT = 1000.0, 100.0
_TICKS_S = (*(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400),)
_MOST_TICKS = 6
_LOWEST_LUFS, _HIGHEST_LUFS = -60.0, 0.0
_SPECTRUM_TICKS_HZ = (100, 500, 1000, 2000, 4000, 8000, 16000)
_SHORTEST_MARK = 0.004  # of the width: a click is seen as well

Scale = Callable[[float], float]


def lanes(page: Writer, spectra: Sequence[str]) -> str:
    """Return all lanes of a document; `spectra` are the pictures before and after as URIs."""
    drawing = _Drawing(page)
    return (
        f'<div class="lanes">{drawing.ruler()}{drawing.events()}'
        f"{drawing.wave('before')}{drawing.wave('after')}{drawing.loudness()}"
        f"{drawing.spectrum('before', spectra[0])}{drawing.spectrum('after', spectra[1])}"
        f"{drawing.activity()}{drawing.gain()}{drawing.reduction()}{drawing.delay()}"
        f'{drawing.lip_sync()}{drawing.ruler()}<div class="head" hidden></div></div>'
    )


class _Drawing:
    """Draws one lane per method; a lane without a curve is left out."""

    def __init__(self, page: Writer) -> None:
        self._page = page
        self._duration_s = max(float(page.values["duration_s"]), 1e-3)
        self._series = {(s["name"], s["side"]): s for s in page.values["series"]}
        self._ticks = _time_ticks(self._duration_s)

    def ruler(self) -> str:
        """Draw the time axis."""
        texts = "".join(
            f'<text x="{100 * t / self._duration_s:.2f}%" y="13" '
            f'class="{_anchor(t / self._duration_s)}">{clock(t, self._tick_digits())}</text>'
            for t in self._ticks
        )
        return (
            '<div class="lane ruler" aria-hidden="true"><div class="plot"><div class="axis"></div>'
            f'<svg class="area">{texts}</svg></div></div>'
        )

    def events(self) -> str:
        """Draw a bar for each event."""
        events = self._page.values["events"]
        if not events:
            return ""
        kinds = list(dict.fromkeys(event["kind"] for event in events))
        marks = "".join(
            f'<path class="mark {escape(event["kind"])}" d="M{self._x(event["start_s"]):.1f} '
            f'{self._row(kinds, event)}H{self._mark_end(event):.1f}"/>'
            for event in events
        )
        names = [self._page.say(f"event.{kind}") for kind in kinds]
        legend = "".join(
            f'<li class="{kind}">{name}</li>' for kind, name in zip(kinds, names, strict=True)
        )
        return self._lane("events", marks, label=", ".join(names), legend=legend, height=len(kinds))

    def wave(self, side: str) -> str:
        """Draw the outline of a signal."""
        series = self._series[("peak", side)]
        top = max([v or 0.0 for s in ("before", "after") for v in self._peaks(s)], default=1.0)
        scale = 46.0 / max(top, 0.05)
        points = [(x, v * scale) for x, v in self._points(series) if v is not None]
        there = "".join(f"{x:.1f} {50 - v:.1f}L" for x, v in points)
        back = "".join(f"L{x:.1f} {50 + v:.1f}" for x, v in reversed(points))
        shape = f'<path class="wave {side}" d="M{there[:-1]}{back}Z"/>' if points else ""
        return self._lane(f"wave_{side}", self._gaps() + shape, slim=True)

    def loudness(self) -> str:
        """Draw the loudness before and after, and the target."""
        target = self._page.values["target_lufs"]
        scale = _linear(_LOWEST_LUFS, _HIGHEST_LUFS)
        top, low = scale(target + 1.0), scale(target - 1.0)
        shapes = [f'<rect class="band" x="0" y="{top:.1f}" width="1000" height="{low - top:.1f}"/>']
        for name in ("momentary_loudness", "short_term_loudness"):
            for side in ("before", "after"):
                kind = "fine" if name == "momentary_loudness" else ""
                shapes.append(self._line((name, side), scale, f"{side} {kind}"))
        legend = self._sides() + f'<li class="band">{self._page.say("page.target")}</li>'
        ticks = [(v, number(v)) for v in (-60, -50, -40, -30, -20, -10, 0)]
        return self._lane(
            "loudness", "".join(shapes), "LUFS", scale, ticks, legend=legend, tall=True
        )

    def spectrum(self, side: str, uri: str) -> str:
        """Show the picture of a spectrum."""
        facts = self._page.values["spectrogram"]
        low, high = (float(mel(facts[name])) for name in ("low_hz", "high_hz"))

        def scale(hz: float) -> float:
            """Return where a frequency lies."""
            return _HEIGHT * (1.0 - (float(mel(hz)) - low) / (high - low))

        ticks = [
            (hz, f"{hz // 1000}k" if hz >= 1000 else str(hz))
            for hz in _SPECTRUM_TICKS_HZ
            if hz < 0.9 * facts["high_hz"]
        ]
        hint = None
        if side == "before":
            top = facts["top_db"]
            hint = self._page.say(
                "curve.spectrogram_hint", low=number(top - facts["range_db"]), top=number(top)
            )
        name = f"spectrogram_{side}"
        text = self._page.say(f"curve.{name}")
        picture = f'<img class="area" alt="{text}" src="{uri}">'
        return self._lane(name, "", "Hz", scale, ticks, hint=hint, picture=picture, tall=True)

    def activity(self) -> str:
        """Draw who and what is heard."""
        rows = [("speech", ("speech", "after")), ("webrtcvad", ("webrtcvad", "after"))]
        if ("far_end_active", "") in self._series:
            rows.append(("far_end", ("far_end_active", "")))
        strips = []
        for name, key in rows:
            points = [(x, 100.0 - 100.0 * (v or 0.0)) for x, v in self._points(self._series[key])]
            path = "".join(f"L{x:.1f} {y:.0f}" for x, y in points)
            strips.append((name, f'<path class="strip {name}" d="M0 100{path}L1000 100Z"/>'))
        kinds = "".join(
            f'<path class="kind {escape(each["kind"])}" d="M{self._x(each["start_s"]):.1f} 50'
            f'H{self._x(each["end_s"]):.1f}"/>'
            for each in self._page.values["sounds"]
        )
        strips.append(("kind", kinds))
        plots = "".join(
            f'<div class="plot strip"><div class="axis"><span>{self._page.say(f"curve.{name}")}'
            f"</span></div>{self._svg(shapes, name)}</div>"
            for name, shapes in strips
        )
        found = dict.fromkeys(each["kind"] for each in self._page.values["sounds"])
        legend = "".join(
            f'<li class="kind {kind}">{self._page.say(f"sound.{kind}")}</li>' for kind in found
        )
        return self._figure("activity", plots, legend=legend, hint=self._hint("activity"))

    def gain(self) -> str:
        """Draw what leveller and limiter do."""
        return self._stage_lane(
            "gain",
            [("gain", "leveller", 1.0), ("limiter_reduction", "limiter", -1.0)],
        )

    def reduction(self) -> str:
        """Draw what was taken away."""
        return self._stage_lane(
            "reduction",
            [(name, name, 1.0) for name in ("noise_reduction", "echo_reduction", "erle")],
        )

    def delay(self) -> str:
        """Draw the delay of the echo."""
        return self._stage_lane("delay", [("echo_delay", "delay", 1.0)], "ms")

    def lip_sync(self) -> str:
        """Draw the delay of the lip-sync stage."""
        return self._stage_lane("lip_sync", [("lip_sync_delay", "lip_sync", 1.0)], "ms")

    def _stage_lane(
        self, title: str, curves: list[tuple[str, str, float]], unit: str = "dB"
    ) -> str:
        """Draw what stages report; a sign of -1 draws a reduction downward."""
        there = [each for each in curves if (each[0], "") in self._series]
        values = [
            sign * v
            for name, _, sign in there
            for v in self._series[(name, "")]["values"]
            if v is not None
        ]
        if not values:
            return ""
        low, high, ticks = _nice_range(min(0.0, *values), max(0.0, *values))
        scale = _linear(low, high)
        zero = f'<path class="zero" d="M0 {scale(0.0):.1f}H1000"/>'
        shapes = zero + "".join(
            self._line((name, ""), scale, f"curve{i}", sign)
            for i, (name, _, sign) in enumerate(there)
        )
        legend = ""
        if len(there) > 1:
            legend = "".join(
                f'<li class="curve{i}">{self._page.say(f"curve.{label}")}</li>'
                for i, (_, label, _) in enumerate(there)
            )
        marks = [(value, number(value)) for value in ticks]
        return self._lane(title, shapes, unit, scale, marks, legend=legend)

    # --- parts -----------------------------------------------------------------------------

    def _lane(
        self,
        title: str,
        shapes: str,
        unit: str = "",
        scale: Scale | None = None,
        ticks: Iterable[tuple[float, str]] = (),
        *,
        label: str = "",
        legend: str = "",
        hint: str | None = None,
        picture: str = "",
        slim: bool = False,
        tall: bool = False,
        height: int = 0,
    ) -> str:
        """Return a lane of one plot: its axis to the left, its drawing to the right."""
        marks = [(scale(value), text) for value, text in ticks] if scale else []
        axis = "".join(
            f'<text x="100%" dx="-6" y="{y:.1f}%" class="{_baseline(y)}">{text}</text>'
            for y, text in marks
        )
        lines = "".join(f'<path class="grid" d="M0 {y:.1f}H1000"/>' for y, _ in marks)
        drawing = picture or self._svg(lines + shapes, title, label)
        size = "slim" if slim else "tall" if tall else ""
        size = f"events rows{min(height, 6)}" if height else size
        plot = (
            f'<div class="plot {size}"><svg class="axis" aria-hidden="true">{axis}</svg>'
            f"{drawing}</div>"
        )
        text = self._hint(title) if hint is None else hint
        return self._figure(title, plot, unit, legend=legend, hint=text)

    def _figure(
        self, title: str, plots: str, unit: str = "", *, legend: str = "", hint: str = ""
    ) -> str:
        of_unit = f' <span class="unit">{unit}</span>' if unit else ""
        listed = f'<ul class="legend">{legend}</ul>' if legend else ""
        told = f'<p class="hint">{hint}</p>' if hint else ""
        return (
            f'<figure class="lane {title}"><figcaption><h3>{self._page.say(f"curve.{title}")}'
            f"{of_unit}</h3>{listed}</figcaption>{plots}{told}</figure>"
        )

    def _hint(self, title: str) -> str:
        key = f"curve.{title}_hint"
        return self._page.say(key) if key in self._page.words else ""

    def _svg(self, shapes: str, title: str, label: str = "") -> str:
        grid = "".join(f'<path class="grid" d="M{self._x(t):.1f} 0V100"/>' for t in self._ticks)
        name = label or self._page.say(f"curve.{title}")
        return (
            f'<svg class="area" role="img" aria-label="{name}" viewBox="0 0 1000 100" '
            f'preserveAspectRatio="none">{grid}{shapes}</svg>'
        )

    def _line(self, key: tuple[str, str], scale: Scale, css: str, sign: float = 1.0) -> str:
        """Return a curve; where its value is not known, it has a gap."""
        if key not in self._series:
            return ""
        path, pen_down = [], False
        for x, value in self._points(self._series[key]):
            if value is not None:
                y = min(max(scale(sign * value), -2.0), _HEIGHT + 2.0)
                path.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
            pen_down = value is not None
        return f'<path class="line {css}" d="{"".join(path)}"/>' if path else ""

    def _points(self, series: dict[str, Any]) -> list[tuple[float, float | None]]:
        """Return (x, value) in the middle of each step, the ends drawn out to the borders."""
        values, step_s = series["values"], series["step_s"]
        points = [(self._x((k + 0.5) * step_s), v) for k, v in enumerate(values)]
        if not points:
            return []
        end = min(self._x(len(values) * step_s), _WIDTH)
        return [(0.0, points[0][1]), *points, (max(end, points[-1][0]), points[-1][1])]

    def _peaks(self, side: str) -> list[float | None]:
        values: list[float | None] = self._series[("peak", side)]["values"]
        return values

    def _gaps(self) -> str:
        """Shade what the players do not hold."""
        excerpts = self._page.values["players"]["excerpts"]
        edges = [0.0, *(t for e in excerpts for t in (e["start_s"], e["end_s"])), self._duration_s]
        return "".join(
            f'<rect class="gap" x="{self._x(a):.1f}" y="0" width="{self._x(b) - self._x(a):.1f}" '
            'height="100"/>'
            for a, b in zip(edges[::2], edges[1::2], strict=True)
            if b - a > 1e-3
        )

    def _sides(self) -> str:
        return "".join(
            f'<li class="{side}">{self._page.say(f"page.{side}")}</li>'
            for side in ("before", "after")
        )

    def _x(self, seconds: float) -> float:
        return min(max(_WIDTH * seconds / self._duration_s, 0.0), _WIDTH)

    def _mark_end(self, event: dict[str, Any]) -> float:
        return max(self._x(event["end_s"]), self._x(event["start_s"]) + _SHORTEST_MARK * _WIDTH)

    def _row(self, kinds: list[str], event: dict[str, Any]) -> str:
        return f"{_HEIGHT * (kinds.index(event['kind']) + 0.5) / len(kinds):.1f}"

    def _tick_digits(self) -> int:
        return 1 if len(self._ticks) > 1 and self._ticks[1] < 1.0 else 0


def _linear(low: float, high: float) -> Scale:
    return lambda value: _HEIGHT * (high - value) / (high - low)


def _time_ticks(duration_s: float) -> list[float]:
    step = next((s for s in _TICKS_S if duration_s / s <= _MOST_TICKS), _TICKS_S[-1])
    return [step * k for k in range(int(duration_s / step + 1e-6) + 1)]


def _nice_range(low: float, high: float) -> tuple[float, float, list[float]]:
    """Return limits and ticks at 1, 2 or 5 times a power of ten, at most six."""
    span = max(high - low, 6.0)
    rough = span / 4.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= rough)
    first, last = math.floor(low / step), math.ceil(max(high, low + span) / step)
    return first * step, last * step, [k * step for k in range(first, last + 1)]


def _anchor(share: float) -> str:
    return "start" if share < 0.02 else "end" if share > 0.97 else "middle"


def _baseline(y: float) -> str:
    return "hanging" if y < 4.0 else "ground" if y > 96.0 else "centre"

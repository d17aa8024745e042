"""The panels of the monitor's screen: each turns a view into lines, and redraws what changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from textual.color import Color
from textual.filter import Monochrome
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from audio_engine.cli.common import figure
from audio_engine.cli.monitor_paint import (
    INKS,
    Line,
    bar,
    centred_thread,
    fit,
    joined,
    mark,
    rule,
    share,
    spread,
    strip,
    thread,
    width_of,
)
from audio_engine.cli.monitor_view import View
from audio_engine.io.live.stats import LiveStats, MeterStats
from audio_engine.processors.stats import EngineStats

PAPER, GREY = Color.parse(INKS["paper"]), Monochrome()
LABEL = 12  # cells: margin and name of a row
QUIETEST_DBFS = -60.0
LOUD_DBFS, CLIPPED_DBFS = -6.0, -1.0
STATE_INKS = {"running": "good", "recovering": "warn", "starting": "warn"}
STATE_SIGNS = {"running": "●", "lost": "✖", "recovering": "◌", "starting": "◌", "stopped": "■"}
EVENT_INKS = {"info": "text", "warning": "warn", "error": "bad"}


class Panel(Widget):
    """Base: keeps its lines, and asks for a redraw of those that differ from the last view."""

    def __init__(self) -> None:
        super().__init__(id=type(self).__name__.lower())
        self._lines: list[Line] = []
        self._drawn: dict[int, Strip] = {}
        self._view: View | None = None

    def lines(self, view: View, width: int, height: int) -> list[Line]:
        """Return what to show, at most `height` lines of `width` cells."""
        raise NotImplementedError

    def show(self, view: View) -> None:
        """Show a view."""
        self._view = view
        width, height = self.size
        if not width or not height:
            return
        old, self._lines = self._lines, self.lines(view, width, height)
        if len(old) != len(self._lines):
            self.redraw()
            return
        changed = [y for y, line in enumerate(self._lines) if line != old[y]]
        if changed:
            for y in changed:
                self._drawn.pop(y, None)
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def redraw(self) -> None:
        """Ask for all lines to be drawn anew."""
        self._drawn.clear()
        self.refresh()

    def on_resize(self) -> None:
        """Lay the last view out anew."""
        self._drawn.clear()
        if self._view is not None:
            self._lines = []
            self.show(self._view)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return lines for Textual; those that did not change are kept.

        This goes around Textual's own cache, which cares for borders, padding and tints: a panel
        has none, and drawing costs a fifth less without it.
        """
        for y in range(crop.y, crop.bottom):
            if y not in self._drawn:
                line = self.render_line(y)
                self._drawn[y] = line.apply_filter(GREY, PAPER) if self.app.no_color else line
        return [self._drawn[y].crop(crop.x, crop.right) for y in range(crop.y, crop.bottom)]

    def render_line(self, y: int) -> Strip:
        """Return a line of the panel."""
        return strip(self._lines[y] if y < len(self._lines) else [], self.size.width)


class Header(Panel):
    """State, advice, switches, devices."""

    def lines(self, view: View, width: int, height: int) -> list[Line]:
        """Return the two lines at the top."""
        now = view.now
        ink = STATE_INKS.get(now.state, "bad")
        state: Line = [(f" {STATE_SIGNS[now.state]} {now.state}", f"bold {ink}")]
        if now.state in {"lost", "recovering"}:
            state.append((f" {now.state_s:.0f} s", ink))
        right = [*_badges(view), (f"{clock(now.uptime_s)} ", "dim")]
        room = width - width_of(state) - width_of(right) - 3
        advice_ink = {"info": "dim", "good": "dim"}.get(view.advice.level, view.advice.level)
        first = spread(
            [*state, ("  ", "text"), (fit(view.advice.text, max(room, 0)), advice_ink)],
            right,
            width,
        )
        return [first, self._devices(view, width)]

    def _devices(self, view: View, width: int) -> Line:
        right: Line = [(view.preset, "text"), (" ", "text")]
        room = width - width_of(right) - 2
        names = [("mic ", view.now.input_device), ("speaker ", view.now.output_device)]
        if width >= 100 and view.now.far_source != "-":
            names.append(("far ", view.now.far_source))
        each = room // len(names)
        left: Line = [(" ", "text")]
        for label, name in names:
            left += [(label, "faint"), (fit(name, each - len(label) - 2), "text"), ("  ", "text")]
        return spread(left, right, width)


def _badges(view: View) -> Line:
    now = view.now
    badges: Line = []
    for wanted, word, ink in (
        (now.bypass, "BYPASS", "warn"),
        (now.muted, "MUTED", "warn"),
        (now.monitor, "HEAR", "good"),
    ):
        if wanted:
            badges += [(f" {word} ", f"bold paper on {ink}"), (" ", "text")]
    if view.recording_s is not None:
        badges += [(f"● REC {clock(view.recording_s)}", "bold bad"), ("  ", "text")]
    return badges


class Levels(Panel):
    """Meters of microphone, processed sound and far end: loudness solid, peak faint, peak held."""

    def lines(self, view: View, width: int, height: int) -> list[Line]:
        """Return the meters above their scale."""
        target = view.config.agc.target_lufs if view.config.agc.enabled else None
        figures: Line = [("peak dBFS", "dim"), (" ── ", "rule"), ("loudness LUFS", "dim")]
        result = [rule("Levels", width, figures)]
        gap: list[Line] = [[]] if height >= 7 else []
        meters = (
            ("Microphone", "mic", "input"),
            ("Processed", "out", "output"),
            ("Far end", "far", "far"),
        )
        for name, ink, field in meters:
            now, calm = getattr(view.now, field), getattr(view.calm, field)
            if view.now.load.shed_level:  # loudness is not measured at such times
                now, calm = (replace(one, momentary_lufs=-math.inf) for one in (now, calm))
            meter = _meter(now, ink, width, target if ink == "out" else None)
            result += [
                [(f" {name:<{LABEL - 1}}", "text"), *meter, *_meter_figures(ink, calm)],
                *gap,
            ]
        if gap:
            result.pop()
        return [*result, _scale(width, target)][:height]


METER_FIGURES = 21


def _meter(now: MeterStats, ink: str, width: int, target: float | None) -> Line:
    cells = max(width - LABEL - METER_FIGURES - 1, 4)
    peak = share(now.peak_dbfs, QUIETEST_DBFS, 0.0)
    held = share(now.peak_hold_dbfs, QUIETEST_DBFS, 0.0)
    line = bar(share(now.momentary_lufs, QUIETEST_DBFS, 0.0), cells, ink, peak, f"{ink}-ghost")
    if ink == "mic":  # the other two are held below full scale
        hot = int(share(LOUD_DBFS, QUIETEST_DBFS, 0.0) * cells)
        for cell in range(hot, min(math.ceil(peak * cells), cells)):
            text, old = line[cell]
            line[cell] = (text, old.replace(f"{ink}-ghost", "warn"))
    if target is not None:
        mark(line, share(target, QUIETEST_DBFS, 0.0), "┃", "bright")
    if held > 0.0:
        mark(line, held, "▕", _peak_ink(ink, now).removeprefix("bold "))
    return joined(line)


def _peak_ink(ink: str, meter: MeterStats) -> str:
    """Return how to write a peak: only the microphone can be turned down against clipping."""
    if ink != "mic" or meter.peak_hold_dbfs < LOUD_DBFS:
        return "text"
    return "bold bad" if meter.peak_hold_dbfs >= CLIPPED_DBFS else "warn"


def _meter_figures(ink: str, calm: MeterStats) -> Line:
    peak, loudness = figure(calm.peak_hold_dbfs), figure(calm.momentary_lufs)
    return [(f"{peak:>8}", _peak_ink(ink, calm)), (f"{loudness:>13} ", "text")]


def _scale(width: int, target: float | None) -> Line:
    cells = max(width - LABEL - METER_FIGURES - 1, 4)
    signs = [" "] * (cells + 4)
    for level in range(int(QUIETEST_DBFS), 1, 10 if cells >= 36 else 20):
        text = str(level)
        place = int(share(level, QUIETEST_DBFS, 0.0) * (cells - 1))
        start = max(place - len(text) // 2, 0)
        signs[start : start + len(text)] = text
    scale = "".join(signs)[: cells + 1]
    words = "" if target is None else f"┃ target {target:g}"
    return [
        (" " * LABEL, "text"),
        (scale, "faint"),
        (f"{words:>{METER_FIGURES - 1}}", "dim"),
        (" ", "text"),
    ]


class Stages(Panel):
    """What each stage does now, as a bar and in dB; the keys that switch it."""

    def lines(self, view: View, width: int, height: int) -> list[Line]:
        """Return a row per stage."""
        engine, calm, config = view.now.engine, view.calm.engine, view.config
        cells = max(width - LABEL - STAGE_FIGURE, 5)
        cells -= 1 - cells % 2
        rows = [rule("Repair", width)]
        noise, level, limiter = calm.noise, calm.agc, calm.limiter
        off: Line = [("╌" * cells, "rule"), (f"{'off':>{STAGE_FIGURE - 1}}", "dim")]

        rows.append(_stage_name("n", "Noise"))
        rows[-1] += (
            off
            if noise is None or not config.ns.enabled
            else [
                *thread(share(view.noise_db, 0.0, 40.0), cells, "out"),
                _stage_figure(reduction(noise.noise_reduction_db)),
            ]
        )
        rows.append(_stage_name("e", "Echo"))
        rows[-1] += (
            off
            if engine.echo is None or not config.echo.enabled
            else [
                *thread(
                    share(view.echo_filter_db, 0.0, 60.0),
                    cells,
                    "far",
                    share(view.echo_db, 0.0, 60.0),
                    "far-ghost",
                ),
                _stage_figure(reduction(_echo_db(calm))),
            ]
        )
        rows.append(_stage_name("a", "Level"))
        rows[-1] += (
            off
            if level is None or not config.agc.enabled
            else [
                *centred_thread(2.0 * share(view.gain_db, -30.0, 30.0) - 1.0, cells, "out"),
                _stage_figure(f"{level.gain_db:+.1f} dB"),
            ]
        )
        rows.append(_stage_name(" ", "Limiter"))
        rows[-1] += (
            off
            if limiter is None or not config.limiter.enabled
            else [
                *thread(share(view.limiter_db, 0.0, 12.0), cells, "warn"),
                _stage_figure(reduction(limiter.reduction_db)),
            ]
        )
        rows.append(_speech(view))
        if height >= 8:
            voice = "-" if level is None else f"{figure(level.speech_loudness_lufs)} LUFS"
            floor = figure(None if noise is None else noise.noise_level_dbfs)
            rows += [[], _detail("Voice", voice, more=f"   noise floor {floor} dBFS")]
        return [joined(row) for row in rows[:height]]


STAGE_FIGURE = 11


def _stage_name(key: str, name: str) -> Line:
    return [(f" {key} ", "bold text"), (f"{name:<{LABEL - 3}}", "text")]


def _stage_figure(words: str) -> tuple[str, str]:
    return f"{words:>{STAGE_FIGURE - 1}}", "text"


def _speech(view: View) -> Line:
    head = _stage_name(" ", "Speech")
    if view.now.engine.noise is None:
        return [*head, ("-", "dim")]
    speaking: Line = [("● ", "good"), ("speaking", "good")]
    return [*head, *(speaking if view.speech > 0.5 else [("○ pause", "dim")])]


def _echo_db(engine: EngineStats) -> float:
    """Return what filter and suppressor take off the echo together."""
    if engine.echo is None:
        return 0.0
    return max(engine.echo.erle_db, 0.0) + (engine.noise.echo_reduction_db if engine.noise else 0.0)


def reduction(value_db: float) -> str:
    """Return a reduction in words: never a negative zero."""
    return f"{figure(-value_db)} dB"


class Figures(Panel):
    """The figures that an engineer asks for."""

    def lines(self, view: View, width: int, height: int) -> list[Line]:
        """Return a row per subject."""
        calm = view.calm
        rows = [
            rule("Stream", width),
            _latency(calm),
            _xruns(calm),
            _load(calm),
            _echo(calm),
            _clocks(calm),
        ]
        if height >= 8:
            rows += [_loudness(calm), _thread(calm)]
        # Where room is short, the lesser figure at the end goes.
        return [row if width_of(row) <= width else row[:-1] for row in rows[:height]]


def _detail(name: str, text: str, ink: str = "text", more: str = "") -> Line:
    return [(f"   {name:<{LABEL - 3}}", "dim"), (text, ink), (more, "dim")]


def _latency(stats: LiveStats) -> Line:
    return _detail(
        "Latency",
        figure(stats.latency_ms, "ms"),
        more=f"   engine {stats.engine_latency_ms:.1f} ms",
    )


def _xruns(stats: LiveStats) -> Line:
    total = stats.xruns.total
    ink = "warn" if total else "text"
    more = f"   device lost {stats.recoveries}x" if stats.recoveries else "   device never lost"
    return _detail("Xruns", str(total), ink, more)


def _load(stats: LiveStats) -> Line:
    load = stats.load
    if load.block_us <= 0:
        return _detail("Load", "-")
    p50, p99, worst = (100 * us / load.block_us for us in (load.p50_us, load.p99_us, load.max_us))
    ink = "warn" if p99 > 70 or load.shed_level else "text"
    more = f"  max {worst:.0f} %" if not load.shed_level else f"  shed {load.shed_level}"
    return _detail("Load", f"p50 {p50:.0f} %  p99 {p99:.0f} %", ink, more)


def _echo(stats: LiveStats) -> Line:
    echo = stats.engine.echo
    if echo is None or stats.far_source == "-":
        return _detail("Echo", "no far end", "dim")
    if echo.no_echo_path:
        return _detail("Echo", "none heard", "dim", "   headset, or not this far end")
    if echo.delay_confidence <= 0:
        return _detail("Echo", f"ERLE {echo.erle_db:.0f} dB", more="   delay not found yet")
    return _detail("Echo", f"ERLE {echo.erle_db:.0f} dB", more=f"   delay {echo.delay_ms:.0f} ms")


def _clocks(stats: LiveStats) -> Line:
    clock = stats.clock
    if clock is None:
        return _detail("Drift", "none: one card", "dim")
    fill = f"   fill {clock.fill_frames:.0f}/{clock.target_frames:.0f}"
    if not clock.locked:
        return _detail("Drift", "locking", "warn", fill)
    return _detail("Drift", f"{clock.drift_ppm:+.1f} ppm", more=fill)


def _loudness(stats: LiveStats) -> Line:
    found = stats.engine.loudness
    if found is None:
        return _detail("Loudness", "not measured", "dim")
    return _detail(
        "Loudness",
        f"I {figure(found.integrated_lufs)} LUFS",
        more=f"   LRA {figure(found.loudness_range_lu)}   peak {figure(found.true_peak_dbtp)} dBTP",
    )


def _thread(stats: LiveStats) -> Line:
    memory = "locked" if stats.memory_locked else "not locked"
    rate = f"{stats.sample_rate_hz / 1000:g} kHz"
    return _detail("Thread", stats.realtime_priority, more=f"   memory {memory}   {rate}")


class Log(Panel):
    """What happened, newest at the bottom."""

    def lines(self, view: View, width: int, height: int) -> list[Line]:
        """Return the newest events."""
        room = height - 1
        shown = view.events[-room:] if room > 0 else []
        rows = [rule("Events", width)]
        for event in shown:
            word = "" if event.level == "info" else f"{event.level}: "
            text = fit(word + event.text, max(width - LABEL - 1, 0)).rstrip()
            rows.append(
                [(f" {clock(event.time_s):<{LABEL - 1}}", "faint"), (text, EVENT_INKS[event.level])]
            )
        return rows[:height]


KEYS = (  # key, name, name on a narrow screen; the names of stages stand beside their keys there
    ("b", "bypass", "bypass"),
    ("m", "mute", "mute"),
    ("r", "record", "rec"),
    ("n", "noise", ""),
    ("e", "echo", ""),
    ("a", "level", ""),
    ("h", "hear", "hear"),
    ("1-7", "preset", "preset"),
    ("d", "devices", "device"),
    ("s", "snapshot", "save"),
    ("?", "help", "help"),
    ("q", "quit", "quit"),
)


class Keys(Panel):
    """The keys; those whose switch is on stand out."""

    def lines(self, view: View, width: int, height: int) -> list[Line]:
        """Return one line of keys, as many as fit."""
        now = view.now
        on = {"b": now.bypass, "m": now.muted, "r": view.recording_s is not None, "h": now.monitor}
        line = self._line(KEYS, on, gap=3)
        if width_of(line) > width:
            line = self._line(KEYS, on, gap=2)
        items = [(key, short, short) for key, _, short in KEYS if short]
        while width_of(line) > width and len(items) > 1:
            line = self._line(items, on, gap=2)
            items.pop(-3 if len(items) > 2 else 0)  # help and quit stay longest
        return [line]

    def _line(self, items: Sequence[tuple[str, str, str]], on: dict[str, bool], gap: int) -> Line:
        line: Line = []
        for key, name, _ in items:
            line.append((" " * gap if line else " ", "text"))
            if on.get(key):
                line += [(key, "bold warn"), (f" {name}", "warn")]
            else:
                line += [(key, "bold text"), (f" {name}", "dim")]
        return line


def clock(seconds: float) -> str:
    """Return a time as h:mm:ss, or m:ss below an hour."""
    minutes, whole = divmod(int(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes:02}:{whole:02}"


PANELS: Sequence[type[Panel]] = (Header, Levels, Stages, Figures, Log, Keys)

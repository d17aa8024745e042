"""What the screen shows at one moment: the newest statistics, calmed where eyes would tire."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from audio_engine.cli.monitor_advice import Advice, Adviser
from audio_engine.config import EngineConfig
from audio_engine.io.live.stats import LiveEvent, LiveStats

FIGURES_EVERY = 4  # moments: bars move ten times a second, figures change 2.5 times
FOLLOW = 0.4  # share of the way that a reduction bar goes at each moment


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One moment of the screen. `now` moves the bars, `calm` is written in figures."""

    now: LiveStats
    calm: LiveStats
    config: EngineConfig
    preset: str
    events: Sequence[LiveEvent]
    advice: Advice
    recording_s: float | None
    noise_db: float = 0.0
    echo_filter_db: float = 0.0
    echo_db: float = 0.0
    gain_db: float = 0.0
    limiter_db: float = 0.0
    speech: float = 0.0


class Viewer:
    """Makes views: smooths the bars, holds the figures, asks for advice."""

    def __init__(self) -> None:
        self._adviser = Adviser()
        self._bars: dict[str, float] = {}
        self._calm: LiveStats | None = None
        self._moments = 0

    def view(
        self,
        stats: LiveStats,
        *,
        config: EngineConfig,
        preset: str,
        events: Sequence[LiveEvent],
        recording_s: float | None,
    ) -> View:
        """Return the view of a moment."""
        if self._calm is None or self._moments % FIGURES_EVERY == 0 or _switched(self._calm, stats):
            self._calm = stats
        self._moments += 1
        engine = stats.engine
        targets = {
            "noise_db": engine.noise.noise_reduction_db if engine.noise else 0.0,
            "echo_filter_db": engine.echo.erle_db if engine.echo else 0.0,
            "gain_db": engine.agc.gain_db if engine.agc else 0.0,
            "limiter_db": engine.limiter.reduction_db if engine.limiter else 0.0,
            "speech": engine.noise.speech_probability if engine.noise else 0.0,
        }
        residual_db = engine.noise.echo_reduction_db if engine.noise and engine.echo else 0.0
        targets["echo_db"] = max(targets["echo_filter_db"], 0.0) + residual_db
        for name, target in targets.items():
            old = self._bars.get(name, target)
            self._bars[name] = old + FOLLOW * (target - old) if math.isfinite(target) else old
        return View(
            now=stats,
            calm=self._calm,
            config=config,
            preset=preset,
            events=events,
            advice=self._adviser.advise(stats, config),
            recording_s=recording_s,
            **self._bars,
        )


def _switched(old: LiveStats, new: LiveStats) -> bool:
    """Say whether something changed that must be seen at once."""
    return any(
        getattr(old, name) != getattr(new, name)
        for name in ("state", "monitor", "bypass", "muted", "recording", "input_device")
    )

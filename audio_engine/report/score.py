"""The score card: figures, thresholds, and what to do in plain words.

Every threshold has its source beside it; docs/report.md says more. A row is judged by the result,
or by the recording where only the room and the microphone can cure it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from audio_engine.analysis.event import Event
from audio_engine.config import EngineConfig
from audio_engine.io.offline import FileReport
from audio_engine.report.document import Advice, ScoreRow, rounded
from audio_engine.report.survey import SideFacts, Survey
from audio_engine.report.trace import Trace
from audio_engine.wording import Words

#: Level of a voice that leaves head room for a shout: ITU-T P.56/P.830, -26 dB re overload.
VOICE_DBFS = -26.0
_CLIPPED_ONCE_IN = 1e-6  # share of samples that may clip when the microphone is set right
_HEAD_ROOM_DB = 3.0
_ECHO_AT_MICROPHONE_DB = -10.0  # under the voice: what a canceller deals with without being heard
_SPEECH_S = 3.0  # so much, or half of a short file: else rows on the voice are not rated
_OF_VOICE = {"noise", "echo", "voice_level", "reverb"}
_RANGE_S = 60.0  # EBU Tech 3342: the loudness range means something from a minute on
_CAUSES = {"echo", "hum", "howl"}
_SAME_S = 0.3
_TYPED = {"target_lufs", "ceiling_dbtp"}
_TENTHS = ("lufs", "dbtp", "difference_db", "seconds")  # other figures of advice are whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where good and fair end, and in which direction."""

    unit: str
    digits: int
    judged: str
    better: str
    good: float
    fair: float

    def rate(self, value: float | None, target: float | None = None) -> str:
        """Return ``good``, ``fair``, ``poor``, or ``unknown`` for a rounded figure."""
        if value is None:
            return "unknown"
        distance = abs(value - (target or 0.0)) if self.better == "near" else value
        if self.better == "higher":
            distance, good, fair = -distance, -self.good, -self.fair
        else:
            good, fair = self.good, self.fair
        slack = 1e-9
        return (
            "good" if distance <= good + slack else "fair" if distance <= fair + slack else "poor"
        )


LIMITS = {
    # EBU R 128: +-1.0 LU is allowed where the target cannot be reached exactly (live).
    "loudness": Limits(unit="LUFS", digits=1, judged="after", better="near", good=1.0, fair=3.0),
    # EBU R 128 and AES TD1008: -1 dBTP. Above 0 a player clips.
    "true_peak": Limits(unit="dBTP", digits=1, judged="after", better="lower", good=-1.0, fair=0.0),
    # EBU Tech 3343: above 20 LU is too much for a home; a phone in a noisy place wants half.
    "range": Limits(unit="LU", digits=1, judged="after", better="lower", good=10.0, fair=20.0),
    # 15 dB: ANSI S12.60, every word is understood. 30 dB: the noise is no longer noticed.
    "noise": Limits(unit="dB", digits=1, judged="after", better="higher", good=30.0, fair=15.0),
    # Our choice after ITU-T G.131: at a live room's delays an echo disturbs from -25 dB on.
    "echo": Limits(unit="dB", digits=1, judged="after", better="lower", good=-25.0, fair=-10.0),
    # Our choice: some 40 and 25 dB under a voice of nominal level (-26 dBFS).
    "hum": Limits(unit="dBFS", digits=1, judged="after", better="lower", good=-65.0, fair=-50.0),
    # ITU-T Y.1541 class 0 loses 0.1 %; G.1010 allows a conversation 3 %, with concealment.
    "dropouts": Limits(unit="%", digits=2, judged="after", better="lower", good=0.1, fair=1.0),
    # A room that howls once is a few dB from howling again.
    "howl": Limits(unit="", digits=0, judged="after", better="lower", good=0, fair=0),
    "clipping": Limits(unit="%", digits=2, judged="before", better="lower", good=0.0, fair=1.0),
    # ITU-T P.56 and P.830: nominal -26 dBov; +-10 dB leaves head room and stays above the noise.
    "voice_level": Limits(
        unit="dBFS", digits=1, judged="before", better="near", good=10.0, fair=20.0
    ),
    # EBU Tech 3276: 0.2 to 0.4 s in rooms for listening; above 0.8 s speech runs together.
    "reverb": Limits(unit="s", digits=2, judged="before", better="lower", good=0.4, fair=0.8),
    "far_end_timing": Limits(unit="", digits=0, judged="before", better="lower", good=0, fair=2),
}


def score_card(
    found: Survey, done: FileReport, trace: Trace, config: EngineConfig, words: Words
) -> tuple[ScoreRow, ...]:
    """Return the rows that this recording has, the worst first."""
    card = _Card(found, done, trace, config, words)
    rows = [
        *(card.loudness(), card.true_peak(), card.range(), card.noise(), *card.echo()),
        *(card.hum(), card.dropouts(), card.howl(), card.clipping(), card.voice_level()),
        *(card.reverb(), *card.far_end_timing()),
    ]
    order = {"poor": 0, "fair": 1, "good": 2, "unknown": 3}
    return tuple(sorted(rows, key=lambda row: order[row.rating]))


def verdict(rows: Iterable[ScoreRow], found: Survey) -> str:
    """Return the worst rating there is; ``unknown`` where neither speech nor music is heard."""
    if not _is_heard(found, "speech", "music"):
        return "unknown"
    ratings = {row.rating for row in rows}
    return next((each for each in ("poor", "fair", "good") if each in ratings), "unknown")


def target_lufs(done: FileReport, config: EngineConfig) -> float:
    """Return the loudness that the result should have."""
    if done.loudness_target_lufs is not None:
        return done.loudness_target_lufs
    return config.agc.target_lufs


class _Card:
    """One method per row: its two figures, then its advice."""

    def __init__(
        self, found: Survey, done: FileReport, trace: Trace, config: EngineConfig, words: Words
    ) -> None:
        self._before, self._after = found.before, found.after
        self._done, self._trace, self._config, self._words = done, trace, config, words
        self._has_voice = _is_heard(found, "speech")
        self._has_content = _is_heard(found, "speech", "music")

    def loudness(self) -> ScoreRow:
        """Judge the loudness by the target."""
        target = target_lufs(self._done, self._config)
        before = self._done.loudness_before.integrated_lufs
        after = self._done.loudness_after.integrated_lufs
        levelled = self._config.agc.enabled or self._done.loudness_target_lufs is not None
        off = (rounded(after) or 0.0) - target
        advice = self._advice(
            "loudness_high" if off > 0 else "loudness_low",
            difference_db=abs(off),
            target_lufs=target,
        )
        row = self._row("loudness", (before, after), advice, target=target)
        return row if levelled and self._has_content else _unrated(row)

    def true_peak(self) -> ScoreRow:
        """Judge the highest peak by the ceiling."""
        before, after = self._done.loudness_before, self._done.loudness_after
        above = max(0.0, (rounded(after.true_peak_dbtp) or 0.0) + 1.0)
        ceiling = min(-1.0, self._config.limiter.ceiling_dbtp - math.ceil(above * 2) / 2)
        key = "true_peak" if self._config.limiter.enabled else "true_peak_no_limiter"
        advice = self._advice(key, ceiling_dbtp=ceiling)
        return self._row("true_peak", (before.true_peak_dbtp, after.true_peak_dbtp), advice)

    def range(self) -> ScoreRow:
        """Tell the loudness range."""
        before, after = self._done.loudness_before, self._done.loudness_after
        row = self._row(
            "range", (before.loudness_range_lu, after.loudness_range_lu), self._advice("range")
        )
        return row if self._done.duration_s >= _RANGE_S else _unrated(row)

    def noise(self) -> ScoreRow:
        """Judge how far the noise lies under the voice."""
        before, after = (_difference(x.voice_dbfs, x.pause_dbfs) for x in self._sides())
        missing = max(1.0, LIMITS["noise"].good - (before or 0.0))
        advice = self._advice("noise", missing_db=missing, snr_db=before)
        return self._row("noise", (before, after), advice)

    def echo(self) -> list[ScoreRow]:
        """Judge how loud the loudspeaker is beside the voice."""
        if self._done.far_end is None:
            return []
        before, after = (_difference(x.echo_dbfs, x.voice_dbfs) for x in self._sides())
        lower_db = max(3.0, math.ceil((before or 0.0) - _ECHO_AT_MICROPHONE_DB))
        heard = self._before.echo_dbfs is not None
        advice = self._advice("echo", lower_db=lower_db)
        return [self._row("echo", (before, after), advice, if_none="unknown" if heard else "good")]

    def hum(self) -> ScoreRow:
        """Judge the mains hum."""
        before, after = (_highest(side, "hum") for side in self._sides())
        advice = self._advice("hum", level_dbfs=after if before is None else before)
        row = self._row("hum", (before, after), advice, if_none="good")
        # Where there is music alone, a bass note that is held looks the same.
        return _unrated(row) if self._has_content and not self._has_voice else row

    def dropouts(self) -> ScoreRow:
        """Judge what is missing."""
        before = _of(self._before, "stall")
        new = [e for e in _of(self._after, "stall") if not any(same_event(e, o) for o in before)]
        lost_ms, new_ms = (sum(event.value for event in each) for each in (before, new))
        count, all_ms = len(before) + len(new), lost_ms + new_ms
        advice = self._advice("dropouts", count=count, missing_ms=all_ms)
        figures = self._percent(lost_ms / 1000.0), self._percent(all_ms / 1000.0)
        return self._row("dropouts", figures, advice)

    def howl(self) -> ScoreRow:
        """Judge how often it whistled."""
        before, after = (len(_of(side, "howl")) for side in self._sides())
        found = _of(self._after, "howl") or _of(self._before, "howl")
        advice = self._advice("howl", frequency_hz=found[0].value if found else None)
        return self._row("howl", (before, after), advice)

    def clipping(self) -> ScoreRow:
        """Judge how long the recording was too loud."""
        seconds = sum(e.end_s - e.start_s for e in _of(self._before, "clipping"))
        advice = self._advice("clipping", lower_db=self._lower_by_db())
        return self._row("clipping", (self._percent(seconds), None), advice)

    def voice_level(self) -> ScoreRow:
        """Judge the level at the microphone."""
        before, after = (side.voice_dbfs for side in self._sides())
        off = VOICE_DBFS - (before if before is not None else VOICE_DBFS)
        key = "voice_level_raise" if off > 0 else "voice_level_lower"
        advice = self._advice(key, change_db=abs(off))
        if off < 0 and _of(self._before, "clipping"):
            advice = None  # the row on clipping says it
        return self._row("voice_level", (before, after), advice, target=VOICE_DBFS)

    def reverb(self) -> ScoreRow:
        """Judge how long the room rings."""
        seconds = self._trace.reverb_time_s
        return self._row("reverb", (seconds, None), self._advice("reverb", seconds=seconds))

    def far_end_timing(self) -> list[ScoreRow]:
        """Judge the jumps of the far end."""
        if self._done.far_end is None:
            return []
        jumps = self._trace.events()
        largest = max((abs(event.value) for event in jumps), default=None)
        advice = self._advice("far_end_timing", count=len(jumps), jump_ms=largest)
        return [self._row("far_end_timing", (len(jumps), None), advice)]

    def _lower_by_db(self) -> float:
        """Return by how much the microphone should be turned down.

        A voice's samples are distributed about as Laplace's law has it (Davenport 1952): if a
        share p of them reaches the level at which it clips, the share q reaches ln q / ln p times
        that level.
        """
        clipped = sum(event.value for event in _of(self._before, "clipping"))
        samples = self._done.frames * self._done.channels
        spoken = samples * max(self._before.speech_share, 0.1)
        share = min(max(clipped / max(spoken, 1.0), 1e-9), 0.3)
        over_db = 20.0 * math.log10(max(1.0, math.log(_CLIPPED_ONCE_IN) / math.log(share)))
        too_loud_db = (self._before.voice_dbfs or -200.0) - VOICE_DBFS
        return float(math.ceil(max(over_db + _HEAD_ROOM_DB, too_loud_db)))

    def _percent(self, seconds: float) -> float:
        return 100.0 * seconds / self._done.duration_s if self._done.duration_s else 0.0

    def _sides(self) -> tuple[SideFacts, SideFacts]:
        return self._before, self._after

    def _advice(self, key: str, **figures: float | None) -> Advice | None:
        """Return the sentence with its figures in whole numbers; None where one is not known."""
        ready: dict[str, float] = {}
        for name, value in figures.items():
            digits = (
                1 if name.endswith(("lufs", "dbtp", "difference_db")) or name == "seconds" else 0
            )
            whole = rounded(value, digits)
            if whole is None:
                return None
            ready[name] = whole
        shown = {
            # What goes into a command keeps the minus sign of the keyboard.
            name: f"{value:.10g}" if name in _TYPED else f"{value:.10g}".replace("-", "−")
            for name, value in ready.items()
        }
        return Advice(id=key, figures=ready, text=self._words(f"advice.{key}", **shown))

    def _row(
        self,
        name: str,
        before_after: tuple[float | None, float | None],
        advice: Advice | None,
        *,
        target: float | None = None,
        if_none: str = "unknown",
    ) -> ScoreRow:
        """Return a row; without a figure to judge its rating is `if_none`."""
        limits = LIMITS[name]
        before, after = (rounded(value, limits.digits) for value in before_after)
        figures = {"before": before, "after": after}
        judged = figures[limits.judged]
        rating = if_none if judged is None else limits.rate(judged, target)
        if name in _OF_VOICE and not self._has_voice:
            rating = "unknown"
        # What the chain cured is still worth a word where its cause can be taken away.
        was_bad = limits.rate(figures["before"], target) in {"poor", "fair"}
        needed = rating in {"poor", "fair"} or (name in _CAUSES and was_bad and rating == "good")
        return ScoreRow(
            id=name,
            title=self._words(f"row.{name}.title"),
            before=figures["before"],
            after=figures["after"],
            unit=limits.unit,
            digits=limits.digits,
            judged=limits.judged,
            better=limits.better,
            good=limits.good,
            fair=limits.fair,
            target=target,
            rating=rating,
            advice=advice if needed else None,
        )


def _is_heard(found: Survey, *kinds: str) -> bool:
    """Whether the result holds enough of some kinds of sound to be judged by them."""
    lengths_s = [(each.end_s - each.start_s, each.kind in kinds) for each in found.sounds]
    all_s = sum(length for length, _ in lengths_s)
    heard_s = sum(length for length, wanted in lengths_s if wanted)
    return heard_s > 0.0 and heard_s >= min(_SPEECH_S, 0.5 * all_s)


def same_event(a: Event, b: Event) -> bool:
    """Whether two findings, one of each side, are one thing."""
    near = a.start_s < b.end_s + _SAME_S and b.start_s < a.end_s + _SAME_S
    return a.kind == b.kind and near


def _unrated(row: ScoreRow) -> ScoreRow:
    return replace(row, rating="unknown", advice=None)


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _of(side: SideFacts, kind: str) -> list[Event]:
    return [event for event in side.events if event.kind == kind]


def _highest(side: SideFacts, kind: str) -> float | None:
    return max((event.value for event in _of(side, kind)), default=None)

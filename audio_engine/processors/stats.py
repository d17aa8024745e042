"""Typed measurements of every stage, read from the kernels' reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from types import SimpleNamespace
from typing import Any, Self

from audio_engine.config import NOISE_MODELS


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Base of all measurements: fields named as in the C report they are read from."""

    @classmethod
    def from_report(cls, *reports: Any) -> Self:
        """Copy the fields of this class from C report structs: each from the first that has it."""
        values = {
            item.name: next(
                getattr(each, item.name) for each in reports if hasattr(each, item.name)
            )
            for item in fields(cls)
        }
        switches = {i.name: bool(values[i.name]) for i in fields(cls) if i.type == "bool"}
        return cls(**values | switches)

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dictionaries; infinities stay floats."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoStats(Stats):
    """Echo canceller: how much echo the linear filter removes, and where it found it.

    Of the first channel, up to date with every 10 ms block.

    Attributes
    ----------
    erle_db : float
        Echo return loss enhancement: how far the filter's output lies below the microphone, in dB,
        smoothed over 0.1 s. The suppressor's share is `NoiseStats.echo_reduction_db`.
    echo_return_loss_db : float
        How far the echo lies below the far end, in dB, smoothed over 0.1 s.
    delay_ms : float
        Loudspeaker to microphone, in ms, where the filter begins: some 10 ms before the echo's
        first arrival.
    delay_confidence : float
        0 (none found yet) to 1.
    drift_ppm : float
        Clock difference taken out, in ppm; > 0: the echo's delay would grow.
    near_end_presence : float
        0 (what is heard is echo) to 1 (near end; also where the far end is silent).
    no_echo_path : bool
        The far end plays, and for half a second or more no echo of it has been found: a headset, or
        a reference that is not what the loudspeaker plays. The filter then subtracts nothing.
    divergence_count : int
        Restarts of a filter that had left its bounds, since the start or the last reset.
    """

    erle_db: float
    echo_return_loss_db: float
    delay_ms: float
    delay_confidence: float
    drift_ppm: float
    near_end_presence: float
    no_echo_path: bool
    divergence_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseStats(Stats):
    """Suppressor: noise, echo, room and speech as it judges them.

    Of all channels together. Where each has a suppressor of its own (``link_channels=False``),
    level and reductions are those of the mean powers, transients are added up, and of the rest
    the largest counts.

    Attributes
    ----------
    noise_level_dbfs : float
        Level of the steady noise, all frequencies together.
    noise_reduction_db : float
        What is taken off it, 0 or more, over the last 0.3 s.
    echo_reduction_db : float
        What the residual-echo gain takes off the signal, 0 or more, over the last 0.3 s.
    speech_probability : float
        That the newest 10 ms hold speech, 0 to 1.
    reverb_time_s : float
        Reverberation time of the room (T60) as the late-reverberation stage sees it; 0: not known
        yet, or dry.
    hum_hz : float
        Base frequency of the mains hum that is taken away; 0: none.
    music : bool
        Music plays, says the music guard; False where that is off.
    transient_count : int
        Key strokes and clicks taken away since the start or the last reset.
    model : str
        Whose work is heard now: ``classical``, or the net ``small`` or ``large``. A net that has
        just begun, or rests because time is short or music plays, is not.
    net_share : float
        How much of the net's work is in the output, 0 to 1.
    """

    noise_level_dbfs: float
    noise_reduction_db: float
    echo_reduction_db: float
    speech_probability: float
    reverb_time_s: float
    hum_hz: float
    music: bool
    transient_count: int
    model: str = NOISE_MODELS[0]
    net_share: float = 0.0

    @classmethod
    def from_report(cls, *reports: Any) -> Self:
        """Copy the report (``ae_suppressor_report``), with the tier by its name."""
        report = reports[0]
        heard = report.tier if report.net_share > 0.0 else 0
        named = SimpleNamespace(model=NOISE_MODELS[heard])
        return super(NoiseStats, cls).from_report(named, *reports)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStats(Stats):
    """Voice activity: the newest block's probability 0 to 1 and decision, and the share so far.

    The decision and the share, 0 to 1 of the blocks judged, count the hang-over.
    """

    speech_probability: float
    speaking: bool
    speech_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelStats(Stats):
    """Leveller: gains in dB, loudness of the voice and of the noise before it, in LUFS.

    Attributes
    ----------
    gain_db : float
        The gain in force, all parts together.
    voice_gain_db : float
        The part that brings the voice to the target: without what is taken off for a moment, from a
        shout or from noise in a pause. Keep it per talker and microphone, and hand it in next time
        as `AgcConfig.start_gain_db`.
    speech_loudness_lufs : float
        Of the voice at the input, noise taken off; -200 before the first word.
    noise_floor_lufs : float
        Of the noise at the input; -200: digital silence.
    """

    gain_db: float
    voice_gain_db: float
    speech_loudness_lufs: float
    noise_floor_lufs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LimiterStats(Stats):
    """Limiter: gain reduction now and at most since the last reset, in dB."""

    reduction_db: float
    max_reduction_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoudnessStats(Stats):
    """Loudness of a programme (BS.1770-5, EBU Tech 3341/3342); ``-inf`` where nothing was loud.

    The range is stable from 60 s on.
    """

    momentary_lufs: float
    short_term_lufs: float
    integrated_lufs: float
    loudness_range_lu: float
    max_momentary_lufs: float
    max_short_term_lufs: float
    true_peak_dbtp: float
    sample_peak_dbfs: float
    range_is_stable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LipSyncStats(Stats):
    """Lip-sync delay of the audio, on top of the latency, and what is left to the picture.

    Attributes
    ----------
    delay_ms : float
        How much later the audio is made now.
    target_ms : float
        Where that goes: by 5 ms per second, or in jumps in the pauses of speech.
    video_delay_ms : float
        By how much the caller is to delay the picture: what the audio cannot be made earlier.
    moving : bool
        The delay is on its way.
    jump_count : int
        Jumps in pauses since the start or the last reset.
    """

    delay_ms: float
    target_ms: float
    video_delay_ms: float
    moving: bool
    jump_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStats(Stats):
    """The whole chain; a section is None where its stage does not run."""

    frames: int
    non_finite_count: int
    fault_count: int
    input_peak_dbfs: float
    output_peak_dbfs: float
    echo: EchoStats | None = None
    noise: NoiseStats | None = None
    agc: LevelStats | None = None
    limiter: LimiterStats | None = None
    loudness: LoudnessStats | None = None
    lip_sync: LipSyncStats | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantStats(Stats):
    """One participant of a room.

    Attributes
    ----------
    role : str
        His role now.
    open : bool
        In the mix now.
    muted : bool
        As set.
    gain_db : float
        Of the leveller, or of a song's balance.
    voice_gain_db : float
        The part of it that should be the next session's ``start_gain_db``.
    loudness_lufs : float
        Of the voice, or of the song, as it came in; -200: not known yet.
    share : float
        0 (closed) to 1: what the gain sharing gives.
    broken_count : int
        Samples that were no numbers or beyond +18 dBFS; their blocks count as gaps.
    """

    role: str
    open: bool
    muted: bool
    gain_db: float
    voice_gain_db: float
    loudness_lufs: float
    share: float
    broken_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamStats(Stats):
    """A team: the gain of its balance in dB, and its speech before it in LUFS (-200: unknown)."""

    gain_db: float
    loudness_lufs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomStats(Stats):
    """A room: the programme's loudness and limiter, slow trims, teams, participants by name."""

    programme: LoudnessStats
    limiter: LimiterStats
    programme_trim_db: float
    music_duck_db: float
    teams: dict[str, TeamStats]
    participants: dict[str, ParticipantStats]

"""The pre-flight check of a room: measures of one short recording, judged, with a preset.

Each limit stands beside its reason; docs/check.md has the sources in full.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from audio_engine.analysis.bandwidth import Bandwidth, measure_bandwidth
from audio_engine.analysis.channels import Channels, compare_channels
from audio_engine.analysis.clipping import ClippingDetector
from audio_engine.analysis.echo_path import EchoPath, measure_echo_path
from audio_engine.analysis.event import Event
from audio_engine.analysis.findings import SEVERITIES, Finding, Severity, graded
from audio_engine.analysis.hum import Hum, HumDetector
from audio_engine.analysis.levels import Levels, measure_levels
from audio_engine.analysis.listening import Heard, listen
from audio_engine.analysis.recording import Recording, Signal
from audio_engine.analysis.reverberation import reverberation_heard
from audio_engine.errors import FormatError
from audio_engine.processors.loudness import LoudnessMeter

SHORTEST_S = 2.0

# note, warn, bad
# Of the voice over the noise, A-weighted: intelligible from 15 dB (ANSI/ASA S12.60), the
# suppressor takes 20 dB off, and a studio has 35 to 40 (NR 15 of EBU Tech 3276).
SNR_DB = (26.0, 20.0, 10.0)
# Where nobody speaks: with the voice at -25 dBFS as usual, the same.
NOISE_DBA = (-52.0, -46.0, -36.0)
# Of the hum under the voice: a line 35 dB below speech is heard in the pauses; the level itself
# where nobody speaks.
HUM_DB = (-50.0, -35.0, -20.0)
HUM_DBFS = (-68.0, -58.0, -42.0)
# The leveller brings speech to -18 LUFS and lifts by 36 dB at most; from 24 dB on the microphone's
# own noise is heard.
LOUDNESS_LUFS = (-38.0, -42.0, -54.0)
PEAK_DBFS = -1.0  # EBU R 128: true peaks stay below -1 dBTP, and a live voice gets louder than that
# Share of the time with the voice: what is clipped is lost, so one top is enough.
CLIPPED_SHARE = (1e-9, 1e-9, 1e-3)
DC = (0.004, 0.01, 0.05)  # 1 % costs 0.1 dB of headroom, and every mute and cut clicks at -40 dBFS
# Below 80 Hz there is no voice: what lies there at its level makes limiter and leveller pump.
RUMBLE_DB = (-26.0, -18.0, -6.0)
RUMBLE_DBFS = (-52.0, -44.0, -32.0)
# Telephone 3.4 kHz (ITU-T G.712), wideband 7 kHz (ITU-T G.722, Bluetooth hands-free mSBC),
# super-wideband 14 kHz (ITU-T P.863): good enough for a voice.
EDGE_HZ = (13500.0, 9000.0, 4700.0)
# Rooms for speech have 0.4 to 0.6 s (DIN 18041, ANSI/ASA S12.60), studios 0.2 to 0.4 (EBU Tech
# 3276).
REVERB_S = (0.6, 0.85, 1.3)
RUMBLE_OVER_DB = 6.0  # over the noise from 100 to 400 Hz; pink noise has 2 dB
REVERB_SNR_DB = 12.0  # below, what falls is the noise as often as the voice
DEAD_DB = 30.0  # louder than the other channel: not a matter of where somebody stands
PHASE = -0.5  # correlation: the mean of both loses 6 dB and more
# Of the echo: 30 dB of the canceller and 15 of the suppressor leave one as loud as played 45 dB
# down, about what ITU-T G.131 asks for at 100 ms; a louder one stays audible.
RETURN_LOSS_DB = (60.0, 0.0, -12.0)
DELAY_MS = (400.0, 700.0, 1000.0)  # the canceller looks back 1000 ms
SILENT_DBA = -78.0  # below the own noise of any open microphone with its preamplifier
CONSTANT = 1e-6  # peak: no converter is as quiet
SPEAKING_SHARE = 0.05
MUSIC_SHARE = 0.5
OUTDOOR_TILT_DB = 4.5  # wind and traffic; fans have 2, talk and hiss less
MENDED = ("warn", "bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomCheck:
    """What a check found.

    Attributes
    ----------
    findings : tuple of Finding
        All that was looked at, in the order of the table.
    preset : str
        The preset to use.
    reason : str
        Why: ``music``, ``outdoor``, ``echo`` or ``voice``.
    duration_s : float
        Length of what was judged.
    sample_rate_hz, channels : int
        Of the recording.
    levels, heard, hum, bandwidth, channel_match, echo_path : object or None
        The measures behind the findings; None where they could not be taken.
    loudness_lufs, reverb_time_s : float or None
        Of the voice (BS.1770, gated); of the room as the voice shows it.
    clipping : tuple of Event
        Where it was clipped.
    """

    findings: tuple[Finding, ...]
    preset: str
    reason: str
    duration_s: float
    sample_rate_hz: int
    channels: int
    levels: Levels | None = None
    heard: Heard | None = None
    loudness_lufs: float | None = None
    hum: Hum | None = None
    bandwidth: Bandwidth | None = None
    reverb_time_s: float | None = None
    channel_match: Channels | None = None
    echo_path: EchoPath | None = None
    clipping: tuple[Event, ...] = ()

    @property
    def worst(self) -> Severity:
        """The worst severity of all findings."""
        return max((each.severity for each in self.findings), key=SEVERITIES.index, default="good")

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dictionaries; infinities stay floats."""
        return asdict(self)


def check_room(
    recording: Recording, played: Signal | None = None, *, latest_s: float | None = None
) -> RoomCheck:
    """Check a room by a recording of 5 to 10 s, in which somebody speaks and rests once.

    Parameters
    ----------
    recording : Recording
        2 s or more.
    played : ndarray of float64, shape (frames,), optional
        What the loudspeaker played, at the recording's rate, from its beginning on. Then the echo
        path is measured, and the rest is judged where nothing of it is heard.
    latest_s : float, optional
        Longest echo delay to look for, where both began together; default: any.

    Raises
    ------
    FormatError
        If the recording is too short.
    """
    if recording.duration_s < SHORTEST_S:
        raise FormatError(
            f"{recording.duration_s:.1f} s are too short for a check; {SHORTEST_S:g} s at least, "
            "better 8 s"
        )
    recording, played = _trimmed(recording, played)
    path = None
    quiet = recording
    if played is not None:
        path = measure_echo_path(
            recording.mono, played, recording.sample_rate_hz, latest_s=latest_s
        )
        if path.heard:
            quiet = _without_echo(recording, played, path)
    found = _Measures(quiet, path)
    return found.judged(recording)


def _trimmed(recording: Recording, played: Signal | None) -> tuple[Recording, Signal | None]:
    """Cut digital silence off both ends: a program put it there, it is not the room's."""
    sounding = np.flatnonzero(np.any(recording.audio != 0.0, axis=1))
    if not len(sounding):
        return recording, played
    start, stop = int(sounding[0]), int(sounding[-1]) + 1
    if stop - start < SHORTEST_S * recording.sample_rate_hz:
        return recording, played
    # the delay counts from both beginnings: what was played loses as much, or gains it
    rest = None if played is None else played[start:]
    if rest is not None and np.any(played[:start]):  # type: ignore[index]
        rest, start = played, 0
    piece = recording.audio[start:stop]
    return Recording(piece, recording.sample_rate_hz, recording.full_scale), rest


def _without_echo(recording: Recording, played: Signal, path: EchoPath) -> Recording:
    """Return the longest piece in which nothing is played."""
    rate_hz = recording.sample_rate_hz
    loud = np.flatnonzero(np.abs(played) > 1e-4)
    shift = round(path.delay_ms * rate_hz / 1000.0)
    start = max(0, int(loud[0]) + shift - round(0.05 * rate_hz))
    stop = int(loud[-1]) + shift + round((path.reverb_time_s or 0.5) * rate_hz + 0.2 * rate_hz)
    pieces = [recording.audio[:start], recording.audio[stop:]]
    longest = max(pieces, key=len)
    if len(longest) < SHORTEST_S * rate_hz:
        return recording  # better a judgement with the test signal in it than none
    return Recording(longest, rate_hz, recording.full_scale)


class _Measures:
    """Everything that is measured, and its judgement."""

    def __init__(self, recording: Recording, path: EchoPath | None) -> None:
        self.recording, self.path = recording, path
        self.findings: list[Finding] = []
        x = recording.audio
        self.constant = float(np.max(np.abs(recording.without_dc))) < CONSTANT
        self.clips = _clipping(recording)
        hum = HumDetector(recording.sample_rate_hz, x.shape[1])
        hum.add(x)
        self.hum = None if self.constant else hum.lasting()
        self.levels = measure_levels(recording, self.hum)
        self.heard = listen(recording)
        self.loudness_lufs = _loudness(recording)
        self.bandwidth = measure_bandwidth(recording)
        self.reverb_s = reverberation_heard(recording)
        self.match = compare_channels(recording)
        self.speaks = self.heard.speech_share >= SPEAKING_SHARE

    def judged(self, whole: Recording) -> RoomCheck:
        """Judge in the order in which a host should mend things."""
        self._signal()
        if self.findings[0].severity != "bad":
            self._channels()
            self._level()
            self._clipping()
            self._noise()
            self._hum()
            self._rumble()
            self._bandwidth()
            self._reverb()
        self._dc()
        self._echo()
        preset, reason = self._preset()
        return RoomCheck(
            findings=tuple(self.findings),
            preset=preset,
            reason=reason,
            duration_s=whole.duration_s,
            sample_rate_hz=whole.sample_rate_hz,
            channels=whole.audio.shape[1],
            levels=self.levels,
            heard=self.heard,
            loudness_lufs=self.loudness_lufs,
            hum=self.hum,
            bandwidth=self.bandwidth,
            reverb_time_s=self.reverb_s,
            channel_match=self.match,
            echo_path=self.path,
            clipping=tuple(self.clips),
        )

    def _add(
        self,
        kind: str,
        severity: Severity,
        value: float | None,
        unit: str,
        *,
        threshold: float | None,
        case: str = "",
    ) -> None:
        advice = case or ("good" if severity == "good" else "found")
        self.findings.append(
            Finding(
                kind=kind,
                severity=severity,
                value=value,
                unit=unit,
                threshold=threshold,
                advice=f"{kind}.{advice}",
            )
        )

    def _signal(self) -> None:
        """Judge whether there is a microphone at all."""
        level = self.levels.noise_dba
        quiet = not self.speaks or self.levels.spread_db < 6.0
        if self.constant:
            self._add("signal", "bad", -160.0, "dBFS", threshold=SILENT_DBA, case="silent")
        elif self.path is not None and self.path.heard and self.path.direct_only:
            self._add(
                "signal", "bad", self.path.residual_db, "dB", threshold=-25.0, case="loopback"
            )
        elif quiet and self.levels.voice_dba < SILENT_DBA:
            self._add("signal", "bad", level, "dBFS", threshold=SILENT_DBA, case="muted")
        elif not self.speaks:
            self._add(
                "signal",
                "note",
                self.heard.speech_share,
                "share",
                threshold=SPEAKING_SHARE,
                case="unspoken",
            )
        else:
            self._add("signal", "good", self.heard.speech_share, "share", threshold=SPEAKING_SHARE)

    def _channels(self) -> None:
        match = self.match
        if match is None:
            return
        if match.difference_db >= DEAD_DB:
            self._add("channels", "warn", match.difference_db, "dB", threshold=DEAD_DB, case="dead")
        elif match.correlation <= PHASE:
            self._add("channels", "bad", match.correlation, "", threshold=PHASE, case="phase")
        else:
            self._add("channels", "good", match.correlation, "", threshold=PHASE)

    def _level(self) -> None:
        if not self.speaks:
            return
        severity = graded(self.loudness_lufs, *LOUDNESS_LUFS)
        if severity == "good" and self.levels.peak_dbfs >= PEAK_DBFS and not self.clips:
            self._add(
                "level", "warn", self.levels.peak_dbfs, "dBFS", threshold=PEAK_DBFS, case="hot"
            )
        else:
            self._add("level", severity, self.loudness_lufs, "LUFS", threshold=LOUDNESS_LUFS[1])

    def _clipping(self) -> None:
        count = sum(event.value for event in self.clips)
        share = max(self.heard.speech_share, 0.1)
        samples = share * len(self.recording.audio) * self.recording.audio.shape[1]
        severity = graded(count / samples, *CLIPPED_SHARE)
        self._add("clipping", severity, count, "", threshold=1.0)

    def _noise(self) -> None:
        levels = self.levels
        if not self.speaks:
            severity = graded(levels.noise_dba, *NOISE_DBA)
            self._add("noise", severity, levels.noise_dba, "dBFS(A)", threshold=NOISE_DBA[1])
            return
        snr_db = self.snr_db
        severity = graded(snr_db, *SNR_DB)
        if not levels.has_pauses and severity in ("warn", "bad"):
            self._add("noise", "note", snr_db, "dB", threshold=SNR_DB[1], case="unsure")
        else:
            self._add("noise", severity, snr_db, "dB", threshold=SNR_DB[1])

    @property
    def snr_db(self) -> float:
        """The voice over the noise, A-weighted, the noise under the voice taken off it."""
        voice = 10.0 ** (self.levels.voice_dba / 10.0)
        noise = 10.0 ** (self.levels.noise_dba / 10.0)
        return 10.0 * float(np.log10(max(voice - noise, 0.01 * noise) / noise))

    def _hum(self) -> None:
        if self.hum is None:
            self._add("hum", "good", None, "dBFS", threshold=HUM_DBFS[1])
            return
        level = self.hum.level_dbfs
        if self.speaks:
            severity = graded(level - self.levels.voice_dbfs, *HUM_DB)
            threshold = self.levels.voice_dbfs + HUM_DB[1]
        else:
            severity, threshold = graded(level, *HUM_DBFS), HUM_DBFS[1]
        self._add("hum", severity, level, "dBFS", threshold=threshold)

    def _rumble(self) -> None:
        level = self.levels.rumble_dbfs
        if self.speaks:
            severity = graded(level - self.levels.voice_dbfs, *RUMBLE_DB)
            threshold = self.levels.voice_dbfs + RUMBLE_DB[1]
        else:
            severity, threshold = graded(level, *RUMBLE_DBFS), RUMBLE_DBFS[1]
        if level - self.levels.above_rumble_dbfs < RUMBLE_OVER_DB:
            severity = "good"  # it is the low end of a noise that has a finding of its own
        self._add("rumble", severity, level, "dBFS", threshold=threshold)

    def _bandwidth(self) -> None:
        if not self.speaks:
            return  # a siren or crickets end where they end
        edge_hz = self.bandwidth.edge_hz
        severity = graded(edge_hz, *EDGE_HZ)
        if edge_hz >= self.recording.sample_rate_hz / 2.0:  # no cliff; the rate is what it is
            severity = "note" if edge_hz < EDGE_HZ[1] else "good"
            case = "rate" if severity == "note" else ""
            self._add(
                "bandwidth",
                severity,
                edge_hz / 1000.0,
                "kHz",
                threshold=EDGE_HZ[1] / 1000.0,
                case=case,
            )
            return
        self._add("bandwidth", severity, edge_hz / 1000.0, "kHz", threshold=EDGE_HZ[1] / 1000.0)

    def _reverb(self) -> None:
        measured = self.path.reverb_time_s if self.path is not None and self.path.heard else None
        if measured is not None:
            self._add("reverb", graded(measured, *REVERB_S), measured, "s", threshold=REVERB_S[1])
            return
        if self.speaks and self.reverb_s is not None and self.snr_db >= REVERB_SNR_DB:
            severity = graded(self.reverb_s, *REVERB_S)
            self._add("reverb", severity, self.reverb_s, "s", threshold=REVERB_S[1])

    def _dc(self) -> None:
        value = abs(self.levels.dc)
        self._add("dc", graded(value, *DC), 100.0 * value, "%", threshold=100.0 * DC[1])

    def _echo(self) -> None:
        path = self.path
        if path is None or (path.heard and path.direct_only):
            return
        if not path.heard:
            self._add("echo", "good", None, "dB", threshold=RETURN_LOSS_DB[1])
            return
        severity = graded(path.return_loss_db, *RETURN_LOSS_DB)
        self._add("echo", severity, path.return_loss_db, "dB", threshold=RETURN_LOSS_DB[1])
        severity = graded(path.delay_ms, *DELAY_MS)
        self._add("delay", severity, path.delay_ms, "ms", threshold=DELAY_MS[1])

    def _preset(self) -> tuple[str, str]:
        """Choose: what must not be destroyed comes before what must be removed."""
        severity = {each.kind: each.severity for each in self.findings}
        if self.heard.music_share >= MUSIC_SHARE:
            return "music-asmr", "music"
        low_noise = self.levels.noise_tilt_db >= OUTDOOR_TILT_DB and severity.get("noise") in MENDED
        if low_noise or severity.get("rumble") in MENDED:
            return "outdoor", "outdoor"
        if self.path is not None and self.path.heard and not self.path.direct_only:
            return "cohost", "echo"
        return "solo-host", "voice"


def _clipping(recording: Recording) -> list[Event]:
    channels = recording.audio.shape[1]
    detector = ClippingDetector(recording.sample_rate_hz, channels, recording.full_scale)
    detector.add(recording.audio)
    return detector.finish()


def _loudness(recording: Recording) -> float:
    with LoudnessMeter(recording.sample_rate_hz, 1) as meter:
        meter.process(recording.mono.astype(np.float32))
        meter.flush()
        return max(float(meter.stats().integrated_lufs), -160.0)

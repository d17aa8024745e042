"""The room: participants by name in, the programme and everybody's mix without himself out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audio_engine.config import ParticipantConfig, RoomConfig, check_format
from audio_engine.errors import ConfigError, FormatError, StreamError
from audio_engine.processors.audio import AudioArray, as_audio, as_float32
from audio_engine.processors.closing import Closable
from audio_engine.processors.loudness import LoudnessMeter
from audio_engine.processors.mixer import Mixer
from audio_engine.processors.stats import (
    LimiterStats,
    ParticipantStats,
    RoomStats,
    TeamStats,
)

MOST_PARTICIPANTS = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoomMix:
    """What a call of `RoomMixer.process` gave.

    `minus[name]` is what that participant should hear: the programme without himself. Where the two
    are the same sound it is the very array of `programme`.
    """

    programme: AudioArray
    minus: dict[str, AudioArray]


class RoomMixer(Closable):
    """Mix a room of any number of participants, each of whom hears all but himself.

    Every voice is brought to one loudness, and only those who speak are in the mix: the noise of
    thirty open microphones is that of one. Several voices at once share the room, music lies under
    the voices and makes way for them, two teams are equally loud. A true-peak limiter stands at the
    end of the programme and of every mix-minus.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.
    channels : int
        1 to 8, of all signals.
    target_lufs : float
        Loudness of every voice, -36 to -9 LUFS. Music and teams go by it too.
    level_voices : bool
        Bring the voices there. False: they come with it, as from an `Engine` each, and are left as
        they are; teams are balanced all the same.
    programme_lufs : float, optional
        While voices speak, keep the whole mix at this loudness, slowly and within 3 dB; -36 to -9
        LUFS.
    music_below_lu : float
        How far music lies under the voices, 0 to 24 LU.
    duck_db : float
        How far speech turns the music down, 0 to 24 dB.
    ceiling_dbtp : float
        True peak that no output exceeds, -20 to 0 dBTP.
    block_frames : int, optional
        The frames of 10 ms: every call brings one or more whole blocks, and nothing is delayed
        beyond the limiter's look-ahead. Without it calls may have any length, 10 ms later.

    Raises
    ------
    ConfigError
        If a value is out of range.

    Notes
    -----
    Gain sharing after Dugan (US 3,992,584), levels after ITU-R BS.1770-5. Broken samples
    (non-finite or beyond +18 dBFS) make a participant's 10 ms a gap and change nobody else's. Not
    to be shared between threads.

    Examples
    --------
    >>> import numpy as np
    >>> with RoomMixer(sample_rate_hz=16000) as room:
    ...     room.join("anna", role="host")
    ...     room.join("ben")
    ...     voice = 0.1 * np.sin(np.arange(1600) * 0.3)
    ...     mix = room.process({"anna": voice, "ben": np.zeros(1600)})
    >>> mix.programme.shape, sorted(mix.minus)
    ((1600,), ['anna', 'ben'])
    """

    def __init__(
        self,
        sample_rate_hz: int = 48000,
        channels: int = 1,
        *,
        target_lufs: float = -18.0,
        level_voices: bool = True,
        programme_lufs: float | None = None,
        music_below_lu: float = 9.0,
        duck_db: float = 4.0,
        ceiling_dbtp: float = -1.0,
        block_frames: int | None = None,
    ) -> None:
        check_format(sample_rate_hz, channels)
        defaults = RoomConfig()
        config = RoomConfig(
            level_voices=level_voices,
            target_lufs=target_lufs,
            trim_programme=programme_lufs is not None,
            programme_lufs=defaults.programme_lufs if programme_lufs is None else programme_lufs,
            music_below_lu=music_below_lu,
            duck_db=duck_db,
            ceiling_dbtp=ceiling_dbtp,
        )
        self.sample_rate_hz = sample_rate_hz
        self.channels = channels
        self._mixer = Mixer(sample_rate_hz, channels, config, MOST_PARTICIPANTS)
        self._block = self._mixer.block_frames
        if block_frames not in (None, self._block):
            self._mixer.close()
            raise ConfigError(
                f"block_frames={block_frames} is not 10 ms at {sample_rate_hz} Hz; use "
                f"{self._block}, or leave it out for blocks of any length"
            )
        self._whole_blocks = block_frames is not None
        self._meter = LoudnessMeter(sample_rate_hz, channels)
        self._places: dict[str, int] = {}
        self._configs: dict[str, ParticipantConfig] = {}
        # Buffers of the running block: one row per place, up to the last in use, one at least.
        self._in = np.zeros((1, channels, self._block), np.float32)
        self._minus = np.zeros_like(self._in)
        self._mix = np.zeros((channels, self._block), np.float32)
        self._present = np.ones(1, np.uint8)  # so far, in every piece of the block
        self._own = np.zeros(1, np.bool_)
        self._filled = 0
        self._flushed = False

    # ---- who is here ----

    def join(
        self,
        name: str,
        *,
        role: str = "guest",
        trim_db: float = 0.0,
        start_gain_db: float = 0.0,
    ) -> None:
        """Let a participant in; faded in with the next block.

        Parameters
        ----------
        name : str
            Not that of somebody who is here.
        role : str
            ``host`` (preferred when several talk at once), ``guest``, ``music``, or ``teamA`` and
            ``teamB`` for the sides of a PK battle.
        trim_db : float
            Own gain in the mix, -24 to 12 dB.
        start_gain_db : float
            Gain of the leveller before the first speech, -26 to 36 dB: what `start_gains_db` gave
            in an earlier session. Not for music.

        Raises
        ------
        ConfigError
            If the name is taken, the role unknown, or a value out of range.
        StreamError
            If 4096 participants are here.
        """
        self._check_open()
        if name in self._places:
            raise ConfigError(f"{name!r} is in the room already; choose another name")
        config = ParticipantConfig(role=role, trim_db=trim_db, start_gain_db=start_gain_db)
        if role == "music" and start_gain_db != 0.0:
            raise ConfigError("start_gain_db is for voices; music has no leveller, leave it out")
        place = self._mixer.join(config)
        if place < 0:
            raise StreamError(f"the room is full with {MOST_PARTICIPANTS} participants")
        self._places[name] = place
        self._configs[name] = config
        self._fit_buffers()
        self._present[place] = self._filled == 0
        self._own[place] = False  # what waits there was for who sat here before

    def leave(self, name: str) -> None:
        """Let a participant go; faded out in the next block, whether he still delivers or not.

        Raises
        ------
        FormatError
            If nobody of this name is in the room.
        """
        place = self._place(name)
        self._mixer.leave(place)
        self._in[place] = 0.0  # not for the next who sits there
        del self._places[name], self._configs[name]
        self._fit_buffers()

    def set(
        self,
        name: str,
        *,
        muted: bool | None = None,
        trim_db: float | None = None,
        role: str | None = None,
    ) -> None:
        """Mute a participant, change his trim (-24 to 12 dB) or his role, from the next block on.

        A voice may become host, guest, or a member of a team, and stays levelled; music stays what
        it is.

        Raises
        ------
        ConfigError
            If a value is out of range, or the role not one that he can take.
        FormatError
            If nobody of this name is in the room.
        """
        place = self._place(name)
        if role is not None:
            changed = replace(self._configs[name], role=role)
            if "music" in (role, self._configs[name].role) and role != self._configs[name].role:
                raise ConfigError(f"{name!r} cannot become {role}: leave and join for music")
            self._mixer.set_role(place, role)
            self._configs[name] = changed
        if trim_db is not None:
            ParticipantConfig(trim_db=trim_db)
            self._mixer.set_trim_db(place, trim_db)
        if muted is not None:
            if not isinstance(muted, bool):
                raise ConfigError(f"muted={muted!r} is not a switch; use True or False")
            self._mixer.set_muted(place, muted)

    def set_team(self, team: str, *, trim_db: float) -> None:
        """Make a team (``teamA`` or ``teamB``) louder or softer than the other, by -6 to 6 dB."""
        self._check_open()
        if team not in ("teamA", "teamB"):
            raise ConfigError(f"team={team!r} is not known; there are: teamA, teamB")
        if not -6.0 <= trim_db <= 6.0:
            raise ConfigError(f"trim_db={trim_db:g} is outside -6 .. 6 dB")
        self._mixer.set_team_trim_db(team, trim_db)

    @property
    def participants(self) -> tuple[str, ...]:
        """The names of those who are here, in the order in which they joined."""
        return tuple(self._places)

    def start_gains_db(self) -> dict[str, float]:
        """Return the gain to join with the next time, of every voice that is known."""
        return {
            name: found.voice_gain_db
            for name, found in self.stats().participants.items()
            if found.role != "music" and found.loudness_lufs > -200.0
        }

    # ---- sound ----

    @property
    def latency_frames(self) -> int:
        """Frames by which every output is later than the input, exactly."""
        return self._mixer.latency_frames + (0 if self._whole_blocks else self._block)

    def process(
        self,
        blocks: Mapping[str, ArrayLike],
        *,
        frames: int | None = None,
        speech_probability: Mapping[str, float] | None = None,
    ) -> RoomMix:
        """Mix one block of every participant.

        Parameters
        ----------
        blocks : mapping of str to array_like, shape (frames,) or (frames, channels)
            float32 or float64 with full scale +-1.0, int16 or int32; all of one length. One channel
            is taken for every channel of the room. A participant who is left out is a gap, faded.
        frames : int, optional
            The length, where nobody delivers.
        speech_probability : mapping of str to float, optional
            0 to 1, where a voice activity detector knows it; of the whole block.

        Returns
        -------
        RoomMix
            `latency_frames` late.

        Raises
        ------
        FormatError
            If a shape, a length, a dtype or a probability does not fit, or a name is not in the
            room.
        StreamError
            If the room is closed, or flushed and not reset.
        """
        self._check_running()
        ready = {self._place(name): self._planar(name, audio) for name, audio in blocks.items()}
        frames = self._common_length(blocks, ready, frames)
        rows = np.zeros((self._rows, self.channels, frames), np.float32)
        present = np.zeros(self._rows, np.uint8)
        for place, audio in ready.items():
            rows[place] = audio
            present[place] = 1
        probability = self._probabilities(speech_probability)
        return self._as_mix(*self._run(rows, present, probability))

    def process_array(self, blocks: ArrayLike) -> tuple[AudioArray, AudioArray]:
        """Mix one block of every participant, all in one array: for large rooms.

        Parameters
        ----------
        blocks : array_like, shape (participants, frames) or (participants, frames, channels)
            In the order of `participants`.

        Returns
        -------
        mix : ndarray of float32, shape (frames,) or (frames, channels)
        minus : ndarray of float32, the shape of `blocks`
            What each participant should hear.

        Raises
        ------
        FormatError, StreamError
            As `process`.
        """
        self._check_running()
        values = np.asarray(blocks)
        count = len(self._places)
        if values.ndim not in (2, 3) or len(values) != count:
            raise FormatError(
                f"blocks has shape {values.shape}; ({count}, frames) or ({count}, frames, "
                "channels) is expected, one row per participant"
            )
        if not count:
            mix = self.process({}, frames=values.shape[1]).programme
            return mix, np.zeros(values.shape, np.float32)
        places = list(self._places.values())
        if self._fits_as_it_is(values, places):
            mix = np.empty((1, self._block), np.float32)
            minus = np.empty((count, 1, self._block), np.float32)
            self._mixer.process(values[:, np.newaxis], mix, minus, every_row=True)
            self._meter.process(mix[0])
            return mix[0], minus[:, 0]
        planar = as_float32(values, "blocks").reshape(*values.shape[:2], -1).transpose(0, 2, 1)
        if planar.shape[1] not in (1, self.channels):
            raise FormatError(f"blocks have {planar.shape[1]} channels, the room {self.channels}")
        rows = np.zeros((self._rows, self.channels, values.shape[1]), np.float32)
        rows[places] = planar
        present = np.zeros(self._rows, np.uint8)
        present[places] = 1
        mix, minus, _ = self._run(rows, present, None)
        if values.ndim == 2:
            return self._shaped(mix), np.ascontiguousarray(minus[places, 0])
        return self._shaped(mix), np.ascontiguousarray(minus[places].transpose(0, 2, 1))

    def flush(self) -> RoomMix:
        """Return the last `latency_frames` frames; then only `reset` or `close` may follow."""
        self._check_running()
        frames = -(-self.latency_frames // self._block) * self._block
        silence = np.zeros((self._rows, self.channels, frames), np.float32)
        mix, minus, own = self._run(silence, np.ones(self._rows, np.uint8), None)
        self._flushed = True
        wanted = slice(self.latency_frames)
        return self._as_mix(mix[:, wanted], minus[:, :, wanted], own)

    def stats(self) -> RoomStats:
        """Return what the room measures now."""
        self._check_open()
        report = self._mixer.read()
        found = self._mixer.read_participants(list(self._places.values()))
        return RoomStats(
            programme=self._meter.stats(),
            limiter=LimiterStats.from_report(report.limiter),
            programme_trim_db=report.programme_trim_db,
            music_duck_db=report.music_duck_db,
            teams={
                team: TeamStats(
                    gain_db=report.team_gain_db[i], loudness_lufs=report.team_loudness_lufs[i]
                )
                for i, team in enumerate(("teamA", "teamB"))
            },
            participants={
                name: ParticipantStats.from_report(self._configs[name], each)
                for name, each in zip(self._places, found, strict=True)
            },
        )

    def reset(self) -> None:
        """Return to the state after everybody had just joined; mutes and trims stay."""
        self._check_open()
        self._mixer.reset()
        self._meter.reset()
        self._flushed = False
        self._filled = 0
        for kept in (self._in, self._mix, self._minus, self._own):
            kept.fill(0)
        self._present.fill(1)

    # ---- inside ----

    @property
    def _rows(self) -> int:
        """Places that the buffers hold."""
        return len(self._in)

    def _fit_buffers(self) -> None:
        """Let the buffers of the running block end with the last place that is taken."""
        rows = max(self._places.values(), default=0) + 1
        if rows == self._rows:
            return
        kept = min(rows, self._rows)
        for name in ("_minus", "_present", "_own", "_in"):
            old = getattr(self, name)
            new = np.full((rows, *old.shape[1:]), name == "_present", old.dtype)
            new[:kept] = old[:kept]
            setattr(self, name, new)

    def _place(self, name: str) -> int:
        self._check_open()
        if name not in self._places:
            here = ", ".join(self._places) or "nobody"
            raise FormatError(f"{name!r} is not in the room; there are: {here}")
        return self._places[name]

    def _check_running(self) -> None:
        self._check_open()
        if self._flushed:
            raise StreamError("the room was flushed; call reset() before the next block")

    def _planar(self, name: str, audio: ArrayLike) -> AudioArray:
        """Return a block as rows of the room's channels, or one row for all."""
        is_mono = np.ndim(audio) == 1 or np.shape(audio)[1:] == (1,)
        return as_audio(audio, 1 if is_mono else self.channels, name).T

    @staticmethod
    def _common_length(
        blocks: Mapping[str, ArrayLike], ready: dict[int, AudioArray], frames: int | None
    ) -> int:
        lengths = {audio.shape[1] for audio in ready.values()}
        given = [f"{name} {np.shape(audio)[0]}" for name, audio in blocks.items()]
        if frames is not None:
            if isinstance(frames, bool) or not isinstance(frames, Integral) or frames < 0:
                raise FormatError(f"frames={frames!r} is not a whole number of frames")
            lengths.add(frames)
            given.append(f"frames={frames}")
        if len(lengths) != 1:
            found = ", ".join(given) or "none"
            raise FormatError(f"one length in frames is needed; there are: {found}")
        return int(lengths.pop())

    def _probabilities(self, given: Mapping[str, float] | None) -> AudioArray | None:
        if not given:
            return None
        values = np.full(self._rows, -1.0, np.float32)
        for name, probability in given.items():
            if not isinstance(probability, Real) or not 0.0 <= float(probability) <= 1.0:
                raise FormatError(f"speech_probability of {name!r} is {probability!r}, not 0 .. 1")
            values[self._place(name)] = probability
        return values

    def _fits_as_it_is(self, values: NDArray[Any], places: list[int]) -> bool:
        """Return whether an array is what the kernel reads, so that nothing need be copied."""
        return (
            self._whole_blocks
            and self.channels == 1
            and values.dtype == np.float32
            and values.shape[1:] == (self._block,)
            and values.flags.c_contiguous
            and len(values) == self._rows
            and places == list(range(len(places)))
        )

    def _as_mix(self, mix: AudioArray, minus: AudioArray, own: NDArray[np.bool_]) -> RoomMix:
        programme = self._shaped(mix)
        return RoomMix(
            programme=programme,
            minus={
                name: self._shaped(minus[place]) if own[place] else programme
                for name, place in self._places.items()
            },
        )

    def _shaped(self, planar: AudioArray) -> AudioArray:
        return planar[0] if self.channels == 1 else np.ascontiguousarray(planar.T)

    def _run(
        self,
        rows: AudioArray,
        present: NDArray[np.uint8],
        probability: AudioArray | None,
    ) -> tuple[AudioArray, AudioArray, NDArray[np.bool_]]:
        """Mix (places, channels, frames); return mix, minus, and whose minus is not the mix."""
        frames = rows.shape[2]
        if self._whole_blocks and frames % self._block:
            raise FormatError(
                f"blocks have {frames} frames; a multiple of block_frames={self._block} is needed"
            )
        mix = np.empty((self.channels, frames), np.float32)
        minus = np.empty_like(rows)
        own = np.zeros(len(rows), np.bool_)
        at = 0
        while at < frames:
            count = min(self._block - self._filled, frames - at)
            ours, theirs = slice(self._filled, self._filled + count), slice(at, at + count)
            self._in[:, :, ours] = rows[:, :, theirs]
            self._present &= present  # a block that is not whole would begin or end hard
            self._filled += count
            if self._whole_blocks:
                self._mix_block(probability)
            mix[:, theirs] = self._mix[:, ours]
            minus[:, :, theirs] = mix[:, theirs]
            minus[self._own, :, theirs] = self._minus[self._own, :, ours]
            own |= self._own
            if self._filled == self._block:  # of what was mixed, the next call gives the rest
                self._mix_block(probability)
            at += count
        return mix, minus, own

    def _mix_block(self, probability: AudioArray | None) -> None:
        """Run the full block; its outputs wait in the buffers."""
        self._filled = 0
        self._mixer.process(
            self._in,
            self._mix,
            self._minus,
            present=self._present,
            speech_probability=probability,
        )
        self._own[:] = self._mixer.own[: len(self._own)] != 0
        self._present.fill(1)
        self._meter.process(self._mix.T)

    def _release(self) -> None:
        self._mixer.close()
        self._meter.close()

    def __repr__(self) -> str:
        return (
            f"RoomMixer(sample_rate_hz={self.sample_rate_hz}, channels={self.channels}, "
            f"participants={len(self._places)})"
        )

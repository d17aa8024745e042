"""The room mixer kernel: places in, the programme and the mixes without each place out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine._native import Kernel, block_frames, check, ffi, lib, pointer
from audio_engine.config import ParticipantConfig, RoomConfig
from audio_engine.processors.audio import AudioArray
from audio_engine.processors.closing import Closable

#: Role and team in C of every role in Python.
_ROLES = {
    "host": (lib.AE_ROLE_HOST, 0),
    "guest": (lib.AE_ROLE_VOICE, 0),
    "music": (lib.AE_ROLE_MUSIC, 0),
    "teamA": (lib.AE_ROLE_VOICE, 1),
    "teamB": (lib.AE_ROLE_VOICE, 2),
}


class Mixer(Closable):
    """`ae_mixer`: 10 ms blocks of numbered places.

    Parameters
    ----------
    sample_rate_hz, channels : int
        Of every signal.
    config : RoomConfig
        Settings.
    max_participants : int
        1 to 4096.
    """

    def __init__(
        self, sample_rate_hz: int, channels: int, config: RoomConfig, max_participants: int
    ) -> None:
        self._kernel = Kernel(
            "mixer",
            sample_rate_hz=sample_rate_hz,
            channels=channels,
            max_participants=max_participants,
            level_voices=int(config.level_voices),
            target_lufs=config.target_lufs,
            programme_lufs=config.programme_lufs if config.trim_programme else 0.0,
            music_below_lu=config.music_below_lu,
            duck_db=config.duck_db,
            ceiling_dbtp=config.ceiling_dbtp,
        )
        self.channels = channels
        self.max_participants = max_participants
        self.block_frames = block_frames(sample_rate_hz)
        self.latency_frames = int(self._kernel.call("latency_frames"))
        own = self._kernel.call("own")
        #: 1 where the last block's mix without that place was not the programme; a live view.
        self.own: NDArray[np.uint8] = np.frombuffer(ffi.buffer(own, max_participants), np.uint8)

    def join(self, config: ParticipantConfig) -> int:
        """Take a place for one more and return its number; -1 when all are taken."""
        role, team = _ROLES[config.role]
        place = ffi.new("int *")
        settings = ffi.new(
            "ae_participant_config *", [role, team, config.trim_db, config.start_gain_db]
        )
        status = self._kernel.call("join", settings, place)
        if status == lib.AE_ERROR_FULL:
            return -1
        check(status, f"joining as {config}")
        return int(place[0])

    def leave(self, place: int) -> None:
        """Fade a place out in the next block; then it is free."""
        self._kernel.call("leave", place)

    def set_muted(self, place: int, muted: bool) -> None:
        """Mute a place, or hear it again."""
        self._kernel.call("set_muted", place, int(muted))

    def set_role(self, place: int, role: str) -> None:
        """Give a voice another role among those of voices."""
        self._kernel.call("set_role", place, *_ROLES[role])

    def set_trim_db(self, place: int, trim_db: float) -> None:
        """Set a place's own gain in the mix."""
        self._kernel.call("set_trim_db", place, trim_db)

    def set_team_trim_db(self, team: str, trim_db: float) -> None:
        """Set a team's gain on top of its balance."""
        self._kernel.call("set_team_trim_db", _ROLES[team][1], trim_db)

    def process(
        self,
        rows: AudioArray,
        mix: AudioArray,
        minus: AudioArray,
        *,
        present: NDArray[np.uint8] | None = None,
        speech_probability: AudioArray | None = None,
        every_row: bool = False,
    ) -> None:
        """Run one block; everything is C-contiguous float32.

        Parameters
        ----------
        rows : ndarray, shape (places, channels, block_frames)
            What arrived.
        mix, minus : ndarray, shapes (channels, block_frames) and that of `rows`
            Filled: `minus` where `own` says so afterwards, or everywhere with `every_row`.
        present : ndarray of uint8, shape (places,), optional
            0 where nothing arrived.
        speech_probability : ndarray, shape (places,), optional
            0 to 1, negative where it is not known.
        """
        null = ffi.NULL
        self._kernel.call(
            "process",
            pointer(rows),
            len(rows),
            null if present is None else ffi.from_buffer("uint8_t[]", present),
            null if speech_probability is None else pointer(speech_probability),
            pointer(mix),
            pointer(minus),
            int(every_row),
        )

    def read(self) -> Any:
        """Return the room's report (``ae_mixer_report``)."""
        return self._kernel.read()

    def read_participants(self, places: Sequence[int]) -> list[Any]:
        """Return the report of each place (``ae_participant_report``)."""
        reports = [ffi.new("ae_participant_report *") for _ in places]
        for place, report in zip(places, reports, strict=True):
            self._kernel.call("read_participant", place, report)
        return reports

    def reset(self) -> None:
        """Clear all signal state; everybody stays."""
        self._kernel.call("reset")

    def _release(self) -> None:
        self.own = np.zeros(0, np.uint8)
        self._kernel.close()

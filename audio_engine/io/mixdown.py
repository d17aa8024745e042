"""A room from recordings: one file per participant in, the mix and everybody's mix-minus out.

The same `RoomMixer` as live, fed in blocks of 0.1 s from files that start together; its latency is
taken off. Memory does not grow with the length of the files. No output has its name before all of
them are complete.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio_engine.config import LimiterConfig, ParticipantConfig
from audio_engine.errors import ConfigError
from audio_engine.io.converted import ConvertedReader
from audio_engine.io.files import AudioWriter, check_target, open_reader, open_writer
from audio_engine.io.normalise import Progress, check_loudness_target
from audio_engine.io.offline import file_warnings
from audio_engine.io.programme import ProgrammeOutput
from audio_engine.processors.audio import AudioArray
from audio_engine.processors.loudness import LoudnessMeter
from audio_engine.processors.stats import LoudnessStats, ParticipantStats
from audio_engine.room.mixer import RoomMix, RoomMixer

_BLOCKS_PER_S = 10  # how often it is noted who is open
_FADE_S = 0.01  # at a recording's end, which need not be in silence


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedParticipant:
    """What the room made of one recording.

    `loudness_lufs` is the integrated loudness it came with, `gain_db` that of the leveller (of a
    song: of its balance) at its end, `open_share` the part of its time in which it was in the mix,
    0 to 1, `broken_count` its samples that were no numbers or beyond +18 dBFS: 10 ms around each
    are silent in the mix. `minus` is the file of the mix without it.
    """

    name: str
    input: str
    minus: str | None
    role: str
    sample_rate_hz: int
    channels: int
    duration_s: float
    loudness_lufs: float
    gain_db: float
    open_share: float
    broken_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MixReport:
    """What `mix_files` did.

    `loudness` is that of the mix, `programme_trim_db` the slow trim at its end,
    `limiter_max_reduction_db` the most that the room's limiter took; `loudness_target_lufs` and
    `loudness_gain_db` are None without a loudness target.
    """

    output: str
    sample_rate_hz: int
    channels: int
    frames: int
    duration_s: float
    latency_frames: int
    times_real_time: float
    loudness: LoudnessStats
    programme_trim_db: float
    limiter_max_reduction_db: float
    loudness_target_lufs: float | None
    loudness_gain_db: float | None
    clipped_output_count: int
    participants: tuple[MixedParticipant, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dictionaries; infinities stay floats."""
        return asdict(self)


def mix_files(
    inputs: Sequence[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    *,
    roles: Sequence[str] = (),
    minus_dir: str | os.PathLike[str] | None = None,
    sample_rate_hz: int | None = None,
    target_lufs: float = -18.0,
    level_voices: bool = True,
    programme_lufs: float | None = None,
    music_below_lu: float = 9.0,
    duck_db: float = 4.0,
    ceiling_dbtp: float = -1.0,
    loudness_lufs: float | None = None,
    progress: Progress | None = None,
) -> MixReport:
    """Mix recordings of the participants of a room, which start together.

    Parameters
    ----------
    inputs : sequence of path-like
        One recording each, of any rate and length; who ends earlier leaves. The room has as many
        channels as the widest of them; a recording with one is heard in all.
    target : path-like
        The mix, as long as the longest input. Its sample format is the finest among the inputs'.
    roles : sequence of str
        ``host``, ``guest``, ``music``, ``teamA`` or ``teamB``, in the order of the inputs; those
        without one are guests. Without any, the first is the host.
    minus_dir : path-like, optional
        Folder for NAME-minus.wav of every input NAME: what that participant should hear.
    sample_rate_hz : int, optional
        Rate of the room and of the outputs; the highest of the inputs' where it is left out.
    target_lufs, level_voices, programme_lufs, music_below_lu, duck_db, ceiling_dbtp
        As in `RoomMixer`.
    loudness_lufs : float, optional
        Integrated loudness that the whole mix is brought to at the end, -36 to -9 LUFS, as in
        `process_file`: one gain and a limiter behind that of the room. The mixes without somebody
        stay as the participants hear them.
    progress : callable, optional
        Called with (frames done, frames expected) after each block.

    Returns
    -------
    MixReport
        What the participants brought and what became of it.

    Raises
    ------
    InputFileError
        If an input cannot be read.
    OutputFileError
        If an output cannot be written. Whatever goes wrong, no part of an output is left behind.
    ConfigError
        If a value is out of range, the inputs do not fit together, an output would be an input, or
        two outputs would be one file.
    """
    if loudness_lufs is not None:
        check_loudness_target(loudness_lufs)
    started = time.perf_counter()
    names = _names(inputs)
    chosen = _roles(roles, len(inputs))
    layout = _Layout(inputs, sample_rate_hz)
    with contextlib.ExitStack() as stack:
        room = RoomMixer(
            layout.sample_rate_hz,
            layout.channels,
            target_lufs=target_lufs,
            level_voices=level_voices,
            programme_lufs=programme_lufs,
            music_below_lu=music_below_lu,
            duck_db=duck_db,
            ceiling_dbtp=ceiling_dbtp,
        )
        stack.enter_context(room)
        writers = [
            stack.enter_context(writer)
            for writer in _open_writers(inputs, names, Path(target), minus_dir, layout)
        ]
        tracks = [
            stack.enter_context(contextlib.closing(_Track(*each, layout.sample_rate_hz)))
            for each in zip(inputs, names, chosen, strict=True)
        ]
        output = stack.enter_context(
            ProgrammeOutput(
                writers[0],
                layout.sample_rate_hz,
                layout.channels,
                loudness_lufs=loudness_lufs,
                limiter=LimiterConfig(ceiling_dbtp=ceiling_dbtp),
            )
        )
        job = _Job(room, tracks, writers, output)
        job.run(layout.frames, progress)
        for writer in writers:
            writer.finish()
        report = job.report(time.perf_counter() - started)
    return report


def _names(inputs: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return a name for each participant: the file's, behind its folder's where two are alike."""
    if not inputs:
        raise ConfigError("a mix needs one recording at least")
    paths = [Path(path) for path in inputs]
    given = Counter(os.path.realpath(path) for path in paths)
    for path in paths:
        if given[os.path.realpath(path)] > 1:
            raise ConfigError(f"{path} is given twice; each participant has a file of his own")
    stems = Counter(path.stem for path in paths)
    names = [
        path.stem if stems[path.stem] == 1 else f"{path.absolute().parent.name}-{path.stem}"
        for path in paths
    ]
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigError(f"two inputs would be named {name}; rename one")
    return names


def _roles(roles: Sequence[str], count: int) -> list[str]:
    if len(roles) > count:
        raise ConfigError(f"{len(roles)} roles are too many for {count} inputs; one each, in order")
    chosen = [*(roles or ["host"]), *["guest"] * count][:count]
    for role in chosen:
        ParticipantConfig(role=role)  # says what is wrong with it
    return chosen


class _Layout:
    """Rate, channels, length and sample format of the room that the inputs make."""

    def __init__(
        self, inputs: Sequence[str | os.PathLike[str]], sample_rate_hz: int | None
    ) -> None:
        with contextlib.ExitStack() as stack:
            readers = [stack.enter_context(open_reader(path)) for path in inputs]
        rate_hz = max(reader.sample_rate_hz for reader in readers)
        self.sample_rate_hz = rate_hz if sample_rate_hz is None else sample_rate_hz
        self.channels = max(reader.channels for reader in readers)
        self.frames = round(max(reader.duration_s for reader in readers) * self.sample_rate_hz)
        self.subtype = _finest({reader.subtype for reader in readers})
        for reader in readers:
            if reader.channels not in (1, self.channels):
                raise ConfigError(
                    f"{reader.path} has {reader.channels} channels and another input "
                    f"{self.channels}; all that are not mono must have the same number"
                )


def _finest(subtypes: set[str]) -> str:
    if subtypes & {"FLOAT", "DOUBLE"}:
        return "FLOAT"
    return "PCM_24" if subtypes & {"PCM_24", "PCM_32"} else "PCM_16"


def _open_writers(
    inputs: Sequence[str | os.PathLike[str]],
    names: list[str],
    target: Path,
    minus_dir: str | os.PathLike[str] | None,
    layout: _Layout,
) -> Iterator[AudioWriter]:
    """Yield the writer of the mix, and those of the mixes without somebody, in order."""
    paths = [target]
    if minus_dir is not None:
        folder = Path(minus_dir)
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder}: this is a file; name a folder")
        paths += [folder / f"{name}-minus.wav" for name in names]
    resolved = Counter(os.path.realpath(path) for path in paths)
    for path in paths:
        if resolved[os.path.realpath(path)] > 1:
            raise ConfigError(f"{path}: two outputs would be this file; give the mix another name")
        check_target(path, tuple(inputs))
    for path in paths:
        yield open_writer(
            path,
            sample_rate_hz=layout.sample_rate_hz,
            channels=layout.channels,
            subtype=layout.subtype,
            expected_frames=layout.frames,
            never=tuple(inputs),
        )
        if minus_dir is not None:  # the mix has a place, so make one for the others
            Path(minus_dir).mkdir(parents=True, exist_ok=True)


class _Track:
    """A participant's recording, and what is known of it; its last 10 ms are faded out.

    A recording need not end in silence, and what stops in the middle of a wave clicks.
    """

    def __init__(
        self, path: str | os.PathLike[str], name: str, role: str, room_rate_hz: int
    ) -> None:
        self.name, self.role = name, role
        self.reader = ConvertedReader(path, room_rate_hz)
        self.meter = LoudnessMeter(room_rate_hz, self.reader.channels, true_peak=False)
        self.stats: ParticipantStats | None = None
        self.silent_frames = 0  # given to the room since the end
        self.hears_all = False
        self.frames = self.blocks = self.open_blocks = 0
        self._fade_frames = round(_FADE_S * room_rate_hz)
        self._block_frames = max(1, room_rate_hz // _BLOCKS_PER_S)
        self._next = self.reader.take(self._block_frames)
        self._ending = False

    def read(self) -> AudioArray:
        """Return the next 0.1 s; less at the end, nothing after it."""
        block, self._next = self._next, self.reader.take(self._block_frames)
        if len(self._next) < self._block_frames and not self._ending:
            self._ending = True
            end = np.concatenate([block, self._next])
            count = min(self._fade_frames, len(end))
            fade = np.linspace(1.0, 0.0, self._fade_frames, dtype=np.float32)[:, np.newaxis]
            end[len(end) - count :] *= fade[self._fade_frames - count :]
            block, self._next = end[: self._block_frames], end[self._block_frames :]
        self.meter.process(block)
        self.frames += len(block)
        return block

    def note(self, stats: ParticipantStats) -> None:
        """Keep what the room says about the participant while his recording lasts."""
        self.stats = stats
        self.blocks += 1
        self.open_blocks += stats.open

    @property
    def broken_count(self) -> int:
        """Samples that the room could not take."""
        return self.stats.broken_count if self.stats else 0

    def report(self, minus: AudioWriter | None) -> MixedParticipant:
        """Return what became of the recording."""
        source = self.reader.source
        return MixedParticipant(
            name=self.name,
            input=str(source.path),
            minus=None if minus is None else str(minus.path),
            role=self.role,
            sample_rate_hz=source.sample_rate_hz,
            channels=source.channels,
            duration_s=source.duration_s,
            loudness_lufs=self.meter.stats().integrated_lufs,
            gain_db=self.stats.gain_db if self.stats else 0.0,
            open_share=self.open_blocks / max(1, self.blocks),
            broken_count=self.broken_count,
        )

    def close(self) -> None:
        """Close the file; doing so twice is fine."""
        self.reader.close()
        self.meter.close()


class _Job:
    """The room at work: who is here, and where the outputs go."""

    def __init__(
        self,
        room: RoomMixer,
        tracks: list[_Track],
        writers: list[AudioWriter],
        output: ProgrammeOutput,
    ) -> None:
        self.room, self.tracks, self.output = room, tracks, output
        self.writer = writers[0]
        minus_names = [track.name for track in tracks] if len(writers) > 1 else []
        self.minus = dict(zip(minus_names, writers[1:], strict=True))
        self.frames = 0
        self.to_drop = self.latency_frames = room.latency_frames
        for track in tracks:
            room.join(track.name, role=track.role)
        self._here = list(tracks)

    def run(self, expected_frames: int, progress: Progress | None) -> None:
        """Mix all there is."""
        while frames := self._step():
            self.frames += frames
            if progress is not None:
                progress(self.frames, self.output.passes * max(expected_frames, self.frames))
        self.write(self.room.flush())
        self.output.finish(progress)

    def _step(self) -> int:
        """Mix the next block of everybody and return its length; 0 at the end.

        Who has no more is silent until all that he said has come out, then missing until he hears
        the programme again, and then leaves.
        """
        taken = {track.name: track.read() for track in self._here}
        frames = max((len(block) for block in taken.values()), default=0)
        if not frames:
            return 0
        blocks = {}
        for track in tuple(self._here):
            block = taken[track.name]
            if not len(block) and track.silent_frames >= self.latency_frames:
                if track.hears_all:
                    self.room.leave(track.name)
                    self._here.remove(track)
                continue
            track.silent_frames += frames - len(block)
            if len(block) < frames:
                block = np.pad(block, ((0, frames - len(block)), (0, 0)))
            blocks[track.name] = block if block.shape[1] > 1 else block[:, 0]
        mix = self.room.process(blocks, frames=frames)
        self.write(mix)
        found = self.room.stats().participants
        for track in self._here:
            track.hears_all = mix.minus[track.name] is mix.programme
            if len(taken[track.name]):
                track.note(found[track.name])
        return frames

    def write(self, mix: RoomMix) -> None:
        """Write all but the first `latency_frames` frames of the room's outputs."""
        dropped = min(self.to_drop, len(mix.programme))
        self.to_drop -= dropped
        if dropped == len(mix.programme):
            return
        self.output.write(mix.programme.reshape(-1, self.room.channels)[dropped:])
        for name, writer in self.minus.items():
            minus = mix.minus.get(name, mix.programme)  # who has left hears everybody
            writer.write(minus.reshape(-1, self.room.channels)[dropped:])

    def report(self, seconds: float) -> MixReport:
        """Return what was done, in so many seconds of computing."""
        stats, normalised = self.room.stats(), self.output.normalised
        duration_s = self.frames / self.room.sample_rate_hz
        writers = [self.writer, *self.minus.values()]
        return MixReport(
            output=str(self.writer.path),
            sample_rate_hz=self.room.sample_rate_hz,
            channels=self.room.channels,
            frames=self.frames,
            duration_s=duration_s,
            latency_frames=self.latency_frames,
            times_real_time=duration_s / seconds,
            loudness=self.output.loudness,
            programme_trim_db=stats.programme_trim_db,
            limiter_max_reduction_db=stats.limiter.max_reduction_db,
            loudness_target_lufs=normalised.target_lufs if normalised else None,
            loudness_gain_db=normalised.gain_db if normalised else None,
            clipped_output_count=sum(writer.clipped_count for writer in writers),
            participants=tuple(track.report(self.minus.get(track.name)) for track in self.tracks),
            warnings=self.warnings(),
        )

    def warnings(self) -> tuple[str, ...]:
        """Return what is wrong with the files, with their names."""
        sources = [track.reader.source for track in self.tracks]
        lines = [f"{source.path}: {text}" for source in sources for text in file_warnings(source)]
        empty = [track.reader.source for track in self.tracks if not track.frames]
        lines += [f"{source.path}: there is no audio in it" for source in empty]
        lines += [
            f"{track.reader.source.path}: {track.broken_count} samples are beyond +18 dBFS; 10 ms "
            "around each are silent in the mix, turn it down first"
            for track in self.tracks
            if track.broken_count
        ]
        return (*lines, *self.output.warnings())

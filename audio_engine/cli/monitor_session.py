"""One run of the monitor: the stream, and everything that an option or a key may do to it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from audio_engine.cli.common import finite
from audio_engine.config import EngineConfig
from audio_engine.errors import AudioEngineError, ConfigError, OutputFileError
from audio_engine.io.live.stats import LiveEvent, LiveStats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Spectrum = NDArray[np.float64]

#: The presets under the keys 1, 2, 3 ...
PRESET_KEYS = ("solo-host", "cohost", "pk", "music-asmr", "outdoor", "product-demo", "many")
#: The stages that can be switched while audio runs: section and name.
STAGES = {"ns": "noise", "echo": "echo", "agc": "level"}


class Stream(Protocol):
    """What the monitor needs of a live or a simulated stream."""

    monitor: bool
    bypass: bool
    muted: bool

    @property
    def config(self) -> EngineConfig:
        """The configuration in force."""
        raise NotImplementedError

    def start(self) -> object:
        """Open the devices."""
        raise NotImplementedError

    def stop(self) -> object:
        """End the sound."""
        raise NotImplementedError

    def close(self) -> object:
        """Give everything back."""
        raise NotImplementedError

    def set(self, name: str, value: float) -> object:
        """Change a setting while audio runs."""
        raise NotImplementedError

    def swap(self, config: EngineConfig) -> object:
        """Take another chain."""
        raise NotImplementedError

    def stats(self) -> LiveStats:
        """Measure."""
        raise NotImplementedError

    def events(self) -> Sequence[LiveEvent]:
        """Return what happened since the last call."""
        raise NotImplementedError

    def record(self, path: Path) -> object:
        """Write the sound to files."""
        raise NotImplementedError

    def stop_recording(self) -> object:
        """Complete the files."""
        raise NotImplementedError

    def spectrum(self) -> tuple[Spectrum, Spectrum]:
        """Return the microphone's and the output's spectrum in dB."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to open: devices, chain, and the settings that outlast a change of preset."""

    config: EngineConfig
    preset: str
    settings: dict[str, str] = field(default_factory=dict)
    input_device: str | int | None = None
    output_device: str | int | None = None
    monitor: bool = False
    can_choose_devices: bool = True
    ends_with_microphone: bool = False
    echo_state: Path | None = None  # of these devices


class Session:
    """The stream that runs now, its recordings, its events, and the way to another stream.

    Parameters
    ----------
    open_stream : callable
        Makes a stream that is not started yet.
    choice : Choice
        What to open first.
    record : Path, optional
        Where the first recording goes; None: nothing is recorded until `toggle_recording`.
    """

    def __init__(
        self, open_stream: Callable[[Choice], Stream], choice: Choice, record: Path | None = None
    ) -> None:
        self._open_stream = open_stream
        self.choice = choice
        self._record = record
        self._stream: Stream | None = None
        self._last: LiveStats | None = None
        self._own_events: list[LiveEvent] = []
        self._began_s = self._stream_began_s = time.monotonic()
        self._recording_began_s: float | None = None
        self.log: list[LiveEvent] = []
        self.recordings: list[Path] = []
        self.recording_failed = False

    # --- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the devices, start the sound, and record if that was asked for.

        Raises
        ------
        DeviceError, InputFileError
            If the stream cannot be opened.
        """
        stream = self._open_stream(self.choice)
        try:
            if self._record is not None:
                stream.record(self._record)  # from the first frame on
            stream.start()
        except BaseException:
            stream.close()
            raise
        is_first = self._last is None
        self._stream, self._last = stream, stream.stats()
        self._stream_began_s = time.monotonic() - self._last.uptime_s
        if is_first:
            self._began_s = self._stream_began_s  # events and statistics count from one moment
        if self._record is not None:
            self._note_recording(self._record)
            self._record = None

    def finish(self) -> LiveStats | None:
        """Close everything; return the last statistics. Recordings are complete, whatever fails."""
        stream, last = self._stream, self._last
        if stream is None:
            return last
        last = self._last = self._stats_of(stream)
        self._gather(stream)
        if self.recording is not None:
            self.recording_failed |= not self._attempt(stream.stop_recording)
            self._recording_began_s = None
        self._stream = None
        self._attempt(stream.stop)
        self._gather(stream)
        self._attempt(stream.close)
        return last

    def restart(self, input_device: str | int | None, output_device: str | int | None) -> None:
        """Close the stream and open one on other devices, with the same chain and switches.

        Goes back to the devices of before if the new ones cannot be opened.
        """
        before = self.choice
        chain = replace(before, config=self.config)
        switches = self._switches()
        recorded = self.recordings[-1] if self.recording is not None else None
        self.finish()
        try:
            self.choice = replace(chain, input_device=input_device, output_device=output_device)
            if self.choice != chain:
                self.choice = replace(self.choice, echo_state=None)  # it is that of the others
            self.start()
        except AudioEngineError as error:
            self.say(str(error), level="error", kind="device")
            self.choice = chain
            self.start()
        for name, value in switches.items():
            setattr(self._running(), name, value)
        if recorded is not None:
            self.start_recording(free_path(recorded))

    @property
    def last(self) -> LiveStats | None:
        """The statistics that were read last."""
        return self._last

    # --- looking ---------------------------------------------------------------------------------

    @property
    def config(self) -> EngineConfig:
        """The chain's configuration in force."""
        return self.choice.config if self._stream is None else self._stream.config

    @property
    def ended(self) -> bool:
        """Whether the stream has ended by itself, or the file that was the microphone."""
        if self._last is not None and self._last.state == "stopped":
            return True
        return self.choice.ends_with_microphone and getattr(self._stream, "mic_ended", False)

    @property
    def recording(self) -> Path | None:
        """The file that is being recorded."""
        return None if self._recording_began_s is None else self.recordings[-1]

    @property
    def recording_s(self) -> float | None:
        """How long the recording lasts already."""
        began_s = self._recording_began_s
        return None if began_s is None else time.monotonic() - began_s

    def stats(self) -> LiveStats:
        """Return the newest statistics; those of before while another stream is being opened."""
        stream = self._stream
        if stream is not None:
            self._last = stream.stats()
        elif self._last is not None:
            self._last = replace(self._last, state="starting")
        if self._last is None:
            raise RuntimeError("the session was not started")
        return self._last

    def spectrum(self) -> tuple[Spectrum, Spectrum] | None:
        """Return microphone's and output's spectrum in dB; None while no stream runs."""
        stream = self._stream
        return None if stream is None else stream.spectrum()

    def events(self) -> list[LiveEvent]:
        """Return what happened since the last call; all of it stays in `log`."""
        if self._stream is not None:
            self._gather(self._stream)
        new, self._own_events = self._own_events, []
        self.log += new
        del self.log[:-1000]
        return new

    def say(self, text: str, *, level: str = "info", kind: str = "monitor") -> None:
        """Add an event of the monitor itself."""
        assert level in {"info", "warning", "error"}
        event = LiveEvent(
            time_s=time.monotonic() - self._began_s,
            level=level,  # type: ignore[arg-type]
            kind=kind,
            text=text,
        )
        self._own_events.append(event)

    # --- doing -----------------------------------------------------------------------------------

    def toggle_bypass(self) -> None:
        """Switch between the repaired sound and the raw microphone."""
        stream = self._running()
        stream.bypass = not stream.bypass
        self.say("bypass: raw microphone" if stream.bypass else "bypass off: repaired sound")

    def toggle_mute(self) -> None:
        """Mute the outgoing sound, or open it again."""
        stream = self._running()
        stream.muted = not stream.muted
        self.say("muted" if stream.muted else "microphone open")

    def toggle_monitor(self) -> None:
        """Let the host hear the repaired microphone, or not."""
        stream = self._running()
        stream.monitor = not stream.monitor
        self.say("hear yourself on" if stream.monitor else "hear yourself off")

    def toggle_stage(self, section: str) -> None:
        """Switch a stage: ``ns``, ``echo`` or ``agc``. One that the chain lacks is built in."""
        enabled = not getattr(self.config, section).enabled
        stream = self._running()
        try:
            stream.set(f"{section}.enabled", float(enabled))
        except ConfigError:
            changed = replace(getattr(self.config, section), enabled=enabled)
            stream.swap(replace(self.config, **{section: changed}))
        self.say(f"{STAGES[section]} {'on' if enabled else 'off'}")

    def use_preset(self, name: str) -> None:
        """Swap the chain for that of a preset; settings of the command line stay."""
        now = self.config
        config = EngineConfig.preset(
            name,
            sample_rate_hz=now.sample_rate_hz,
            channels=now.channels,
            far_channels=now.far_channels,
        ).with_settings(self.choice.settings)
        self._running().swap(config)
        self.choice = replace(self.choice, preset=name)
        self.say(f"preset {name}")

    def toggle_recording(self) -> None:
        """Start a recording under a free name, or end the one that runs."""
        if self.recording is None:
            last = self.recordings[-1] if self.recordings else None
            name = last or Path(f"audio-engine-{datetime.now():%Y%m%d-%H%M%S}.wav")
            self.start_recording(free_path(name))
            return
        self._running().stop_recording()
        self._recording_began_s = None

    def start_recording(self, path: Path) -> None:
        """Record the repaired sound to a file, the raw signals beside it."""
        self._running().record(path)
        self._note_recording(path)

    def _note_recording(self, path: Path) -> None:
        self.recordings.append(path)
        self._recording_began_s = time.monotonic()

    def save_snapshot(self, folder: Path) -> Path:
        """Write settings, statistics and events to a new JSON file and return its path."""
        path = free_path(folder / f"audio-engine-{datetime.now():%Y%m%d-%H%M%S}.json")
        document = {
            "time": datetime.now().astimezone().isoformat(timespec="seconds"),
            "preset": self.choice.preset,
            "config": self.config.to_dict(),
            "stats": stats_document(self.stats()),
            "events": [event_document(event) for event in self.log],
        }
        write_json(path, document)
        self.say(f"snapshot {path}")
        return path

    # --- inside ----------------------------------------------------------------------------------

    def _running(self) -> Stream:
        if self._stream is None:
            raise AudioEngineError("no stream runs at this moment")
        return self._stream

    def _switches(self) -> dict[str, bool]:
        stream = self._running()
        return {name: getattr(stream, name) for name in ("monitor", "bypass", "muted")}

    def _stats_of(self, stream: Stream) -> LiveStats | None:
        try:
            return stream.stats()
        except AudioEngineError:
            return self._last

    def _gather(self, stream: Stream) -> None:
        later_s = self._stream_began_s - self._began_s
        self._own_events += [
            replace(event, time_s=event.time_s + later_s) for event in stream.events()
        ]

    def _attempt(self, end: Callable[[], object]) -> bool:
        try:
            end()
        except (AudioEngineError, OSError) as error:
            self.say(str(error), level="error", kind="close")
            return False
        return True


def stats_document(stats: LiveStats) -> dict[str, Any]:
    """Return statistics as the monitor prints and writes them.

    All of `LiveStats`, and on top what is asked for most: ``xruns`` as one number (the counters are
    in ``xrun_counters``), ``compute_us`` and ``drift_ppm`` (None where there is one clock). Floats
    are rounded to three decimals.
    """
    values = stats.to_dict()
    counters = values.pop("xruns")
    load = stats.load
    document: dict[str, Any] = _rounded(
        {
            "state": stats.state,
            "xruns": stats.xruns.total,
            "compute_us": {"p50": load.p50_us, "p99": load.p99_us, "max": load.max_us},
            "drift_ppm": None if stats.clock is None else stats.clock.drift_ppm,
            **values,
            "xrun_counters": counters,
        }
    )
    return document


def _rounded(value: Any) -> Any:
    """Return a document whose floats have no more digits than the meters are worth."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def event_document(event: LiveEvent) -> dict[str, Any]:
    """Return an event as the monitor prints and writes it."""
    return {
        "time_s": round(event.time_s, 3),
        "level": event.level,
        "kind": event.kind,
        "text": event.text,
    }


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON file under a temporary name, then rename it.

    Raises
    ------
    OutputFileError
        If the file cannot be written.
    """
    text = json.dumps(finite(document), indent=2, ensure_ascii=False) + "\n"
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputFileError(f"{path}: {error.strerror or error}") from None


def free_path(path: Path) -> Path:
    """Return the path, or the first of NAME-2, NAME-3 ... that does not exist."""
    free, number = path, 1
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free

"""The monitor's screen: lays out the panels, moves them, and turns keys into deeds."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from audio_engine.cli.monitor_dialogs import DeviceScreen, HelpScreen, Picked
from audio_engine.cli.monitor_paint import INKS
from audio_engine.cli.monitor_panels import Figures, Header, Keys, Levels, Log, Panel, Stages
from audio_engine.cli.monitor_picture import Picture
from audio_engine.cli.monitor_session import PRESET_KEYS, Session
from audio_engine.cli.monitor_view import Viewer
from audio_engine.errors import AudioEngineError

if TYPE_CHECKING:
    from audio_engine.cli.monitor import Stop
    from audio_engine.io.live.devices import AudioDevice

PERIOD_S = 0.1
TALL = 34  # rows from which everything has room
EXIT_INTERRUPTED = 130


class MonitorApp(App[int]):
    """The screen of a session that was started already.

    Parameters
    ----------
    session : Session
        Owns the stream.
    seconds : float, optional
        Leave after so long.
    stop : Stop, optional
        Signals that end the run.
    list_devices : callable, optional
        Returns the devices to choose from.
    moving : bool
        False: nothing moves until `moment` is called.
    """

    TITLE = "audio-engine monitor"
    ENABLE_COMMAND_PALETTE = False
    CSS = f"""
    Screen {{ background: {INKS["paper"]}; color: {INKS["text"]}; overflow: hidden; }}
    #header {{ height: 2; }}
    #middle {{ height: 6; }}
    #stages, #figures {{ width: 1fr; height: 100%; }}
    #picture {{ height: 1fr; }}
    #keys {{ height: 1; }}
    ModalScreen {{ align: center middle; background: {INKS["paper"]} 60%; }}
    #box {{ width: 78; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
        background: {INKS["paper"]}; border: round {INKS["rule"]};
        border-title-color: {INKS["text"]}; border-subtitle-color: {INKS["dim"]}; }}
    .heading {{ color: {INKS["dim"]}; margin-top: 1; }}
    OptionList {{ height: auto; max-height: 8; background: {INKS["paper"]}; border: none;
        color: {INKS["text"]}; padding: 0; background-tint: {INKS["paper"]} 0%; }}
    OptionList:focus {{ border: none; background-tint: {INKS["paper"]} 0%; }}
    OptionList > .option-list--option-highlighted {{ background: {INKS["track"]};
        color: {INKS["dim"]}; text-style: none; }}
    OptionList:focus > .option-list--option-highlighted {{ background: {INKS["out-ghost"]};
        color: {INKS["bright"]}; text-style: bold; }}
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "do('toggle_bypass')", "Bypass"),
        Binding("m", "do('toggle_mute')", "Mute"),
        Binding("h", "do('toggle_monitor')", "Hear yourself"),
        Binding("r", "do('toggle_recording')", "Record"),
        Binding("n", "stage('ns')", "Noise"),
        Binding("e", "stage('echo')", "Echo"),
        Binding("a", "stage('agc')", "Level"),
        *(
            Binding(str(number), f"preset('{name}')", name)
            for number, name in enumerate(PRESET_KEYS, 1)
        ),
        Binding("d", "devices", "Devices"),
        Binding("s", "snapshot", "Snapshot"),
        Binding("question_mark,f1", "help", "Help"),
        Binding("q", "leave(0)", "Quit"),
        Binding("ctrl+c", f"leave({EXIT_INTERRUPTED})", "Interrupt", priority=True),
    ]

    def __init__(
        self,
        session: Session,
        *,
        seconds: float | None = None,
        stop: Stop | None = None,
        list_devices: Callable[[], list[AudioDevice]] | None = None,
        moving: bool = True,
    ) -> None:
        super().__init__()
        self._session = session
        self._until_s = None if seconds is None else time.monotonic() + seconds
        self._stop = stop
        self._list_devices = list_devices
        self._moving = moving
        self._opening = False
        self._viewer = Viewer()
        self._picture = Picture(PERIOD_S)

    # --- layout ----------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Build the panels."""
        yield Header()
        yield Levels()
        with Horizontal(id="middle"):
            yield Stages()
            yield Figures()
        yield self._picture
        yield Log()
        yield Keys()

    def on_mount(self) -> None:
        """Begin to move."""
        self._arrange(self.size.height)
        self.call_after_refresh(self.moment)
        if self._moving:
            self.set_interval(PERIOD_S, self.moment)

    def on_resize(self) -> None:
        """Give the panels their heights."""
        self._arrange(self.size.height)

    def _arrange(self, height: int) -> None:
        base = self.screen_stack[0]
        tall = height >= TALL
        log = base.query_one(Log)
        self._picture.display = height >= 20
        log.display = height >= 17
        base.query_one(Levels).styles.height = 7 if tall else 5
        base.query_one("#middle").styles.height = 8 if tall else 6
        log.styles.height = (7 if tall else 3) if self._picture.display else "1fr"

    # --- moments ---------------------------------------------------------------------------------

    def moment(self) -> None:
        """Show what is, ten times a second; leave when it is time."""
        session = self._session
        if self._stop is not None and self._stop.code:
            self.exit(self._stop.code)
            return
        if self._until_s is not None and time.monotonic() >= self._until_s:
            self.exit(0)
            return
        stats = session.last if self._opening else session.stats()
        if stats is None:
            return
        if not self._opening:
            session.events()
        if not self._opening and session.ended:
            self.exit(0)
            return
        view = self._viewer.view(
            stats,
            config=session.config,
            preset=session.choice.preset,
            events=session.log,
            recording_s=session.recording_s,
        )
        if not self._opening and (spectrum := session.spectrum()) is not None:
            self._picture.add(spectrum, stats.sample_rate_hz)
        for panel in self.screen_stack[0].query(Panel):
            if panel.display:
                panel.show(view)

    # --- keys ------------------------------------------------------------------------------------

    def _attempt(self, deed: Callable[[], object]) -> None:
        if self._opening:
            self.bell()
            return
        try:
            deed()
        except (AudioEngineError, OSError) as error:
            self._session.say(str(error), level="error")
        self.moment()

    def action_do(self, name: str) -> None:
        """Do one of the session's deeds."""
        self._attempt(getattr(self._session, name))

    def action_stage(self, section: str) -> None:
        """Switch a stage."""
        self._attempt(lambda: self._session.toggle_stage(section))

    def action_preset(self, name: str) -> None:
        """Take another preset."""
        self._attempt(lambda: self._session.use_preset(name))

    def action_snapshot(self) -> None:
        """Save settings and figures."""
        self._attempt(lambda: self._session.save_snapshot(Path()))

    def action_help(self) -> None:
        """Explain the screen."""
        self.push_screen(HelpScreen(PRESET_KEYS))

    def action_leave(self, code: int) -> None:
        """End the run."""
        self.exit(code)

    def action_devices(self) -> None:
        """Choose other devices and open them."""
        if self._list_devices is None or not self._session.choice.can_choose_devices:
            self._session.say("a simulated run has no devices to choose from", level="warning")
            self.moment()
            return
        self._pick_devices(self._list_devices)

    @work(thread=True, exclusive=True)
    def _pick_devices(self, list_devices: Callable[[], list[AudioDevice]]) -> None:
        try:
            devices = list_devices()
        except (AudioEngineError, OSError) as error:
            self._session.say(str(error), level="error", kind="device")
            return
        self.call_from_thread(self.push_screen, DeviceScreen(devices), self._picked)

    def _picked(self, picked: Picked | None) -> None:
        if picked is not None:
            self._opening = True
            self._reopen(picked)

    @work(thread=True, exclusive=True)
    def _reopen(self, picked: Picked) -> None:
        try:
            self._session.restart(picked.input_device, picked.output_device)
        except (AudioEngineError, OSError) as error:
            self._session.say(str(error), level="error", kind="device")
        finally:
            self._opening = False

"""The monitor's two dialogs: help, and the choice of devices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from audio_engine.cli.monitor_paint import INKS, fit, style
from audio_engine.io.live.devices import AudioDevice, Kind

NAME, WORDS = 44, 18  # cells of a device's columns
HELP = """\
 `b`  bypass: the raw microphone        `n`  noise suppressor on, off
 `m`  mute: nobody hears you            `e`  echo canceller on, off
 `h`  hear yourself (headphones!)       `a`  leveller on, off
 `r`  record, and end it; the raw       `d`  choose the devices
    signals go to a second file       `s`  save settings and figures
 `1`-`7`  {presets}

*Levels*  Solid is loudness, faint is the peak, ▕ the highest peak of late.
 Talk so that Processed stays near ┃; the leveller does the rest. A
 microphone peak near 0 is damaged sound: turn the microphone down.
*Repair*  What is taken off now: noise; echo (strong: by the filter, faint:
 the rest, by the suppressor). Level: gain, to the right is louder.
 Limiter: what is cut off peaks, so that nothing clips.
*Stream*  Latency is from microphone to loudspeaker. Xruns are breaks in the
 sound: they should stay 0. Load is computing time in % of the time there
 is: half of the blocks, 99 of 100, the worst. ERLE: what the echo filter
 takes off. Drift: one card's clock against the other's, in millionths.
*Sound*  Every column is a moment, low tones below, high tones above.

 A device that disappears is waited for: nothing needs to be done.
"""


def help_text(presets: Sequence[str]) -> Text:
    """Return the help; keys (in backquotes) and headings (in stars) stand out."""
    text = Text(style=style("text"))
    filled = HELP.replace("{presets}", "  ".join(presets))
    for part in re.split(r"(`.+?`|\*.+?\*)", filled):
        if part[:1] in {"`", "*"}:
            text.append(part[1:-1], style("bold good" if part[0] == "`" else "bold text"))
        else:
            text.append(part)
    return text


class HelpScreen(ModalScreen[None]):
    """What the screen shows and what the keys do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter,space", "dismiss", "Close")
    ]

    def __init__(self, presets: Sequence[str]) -> None:
        super().__init__()
        self._presets = presets

    def compose(self) -> ComposeResult:
        """Build the box."""
        with VerticalScroll(id="box") as box:
            box.border_title = "Help"
            box.border_subtitle = "Esc closes"
            yield Static(help_text(self._presets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """The devices that were chosen, by name; None is the system's default."""

    input_device: str | None
    output_device: str | None


class DeviceScreen(ModalScreen[Picked | None]):
    """Choose the microphone, then the loudspeaker."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "cancel", "Cancel"),
        Binding("tab", "app.focus_next", "Next"),
    ]

    def __init__(self, devices: Sequence[AudioDevice]) -> None:
        super().__init__()
        self._devices = devices
        self._names = {f"device-{d.index}": f"{d.name}, {d.host_api}" for d in devices}
        self._input_device: str | None = None

    def compose(self) -> ComposeResult:
        """Build the two lists."""
        with Vertical(id="box") as box:
            box.border_title = "Devices"
            box.border_subtitle = "Enter chooses   Esc cancels"
            yield Static("1  Microphone", classes="heading")
            yield self._list("inputs", "input")
            yield Static("2  Loudspeaker", classes="heading")
            yield self._list("outputs", "output")

    def _list(self, name: str, kind: Kind) -> OptionList:
        rows = [device for device in self._devices if device.channels(kind)]
        options = [Option("  -  the system's default", id="default")]
        for row in rows:
            text = Text(f"{row.index:3}  {fit(row.name, NAME)}  ")
            words = f"{row.host_api}{', default' if row.is_default(kind) else ''}"
            text.append(fit(words, WORDS), INKS["dim"])
            options.append(Option(text, id=f"device-{row.index}"))
        return OptionList(*options, id=name)

    def on_mount(self) -> None:
        """Begin with the microphone."""
        self.query_one("#inputs").focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go on to the loudspeaker, or be done."""
        name = self._names.get(event.option_id or "")
        if event.option_list.id == "inputs":
            self._input_device = name
            self.query_one("#outputs").focus()
        else:
            self.dismiss(Picked(input_device=self._input_device, output_device=name))

    def action_cancel(self) -> None:
        """Leave everything as it is."""
        self.dismiss(None)

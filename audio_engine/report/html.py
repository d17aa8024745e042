"""The report as one page: everything in it, nothing fetched.

Made from the document alone, so its figures are the document's: each stands in a ``data`` element
that names its place there. Curves are SVG, and all of it but the common play head works without
JavaScript. Everything from outside goes through `escape`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from audio_engine.report.document import Document
from audio_engine.report.lanes import lanes
from audio_engine.report.text import Writer, clock, number
from audio_engine.wording import Words

_PAGE = Path(__file__).parent / "page"
_FEW_EVENTS = 12  # more are folded away
_TILES = ("loudness", "noise", "echo", "true_peak")
_MARKS = {"good": "●", "fair": "▲", "poor": "■", "unknown": "○"}  # not by colour alone
#: Figures of a file and of the stages, with their units.
_FILE_ROWS = (
    *(("integrated", "integrated_lufs", "LUFS"), ("short_term", "max_short_term_lufs", "LUFS")),
    *(("range", "loudness_range_lu", "LU"), ("true_peak", "true_peak_dbtp", "dBTP")),
    *(("voice", "voice_dbfs", "dBFS"), ("pause", "pause_dbfs", "dBFS")),
    *(("echo", "echo_dbfs", "dBFS"), ("speech", "speech_share", "%")),
)
_STAGE_UNITS = {
    "time": "×",
    "ms": "ms",
    "db": "dB",
    "lufs": "LUFS",
    "ppm": "ppm",
    "s": "s",
    "share": "%",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What the page carries beside the document: WebP pictures and sound, before and after."""

    spectrograms: tuple[bytes, ...]
    sounds: tuple[bytes, ...]
    sound_type: str


def html(document: Document, pictures: Pictures, json_name: str = "") -> str:
    """Return the page.

    Parameters
    ----------
    document : Document
        The report; its language is the page's.
    pictures : Pictures
        Spectrograms and sound.
    json_name : str
        Name of the file with the document beside the page; empty: there is none.
    """
    page = _Page(document, pictures)
    style, script = (read_page(name) for name in ("report.css", "report.js"))
    return Template(read_page("report.html")).substitute(
        lang=page.words("page.language"),
        policy=policy(style, script),
        title=escape(f"{page.values['after']['name']} – {page.words('page.title')}"),
        style=style,
        script=script,
        skip=page.say("page.skip"),
        head=page.head(),
        todo=page.todo(),
        listen=page.listen(),
        score=page.score(),
        events=page.events(),
        details=page.details(json_name),
    )


def policy(style: str, script: str = "") -> str:
    """Return a Content-Security-Policy that lets this style and script run and fetches nothing."""
    scripts = f"script-src {_hash(script)}; " if script else ""
    return (
        f"default-src 'none'; style-src {_hash(style)}; {scripts}"
        "img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def read_page(name: str) -> str:
    """Return a file of the page: its frame, style or script."""
    return (_PAGE / name).read_text(encoding="utf-8")


class _Page(Writer):
    """The sections of the page, in the document's language."""

    def __init__(self, document: Document, pictures: Pictures) -> None:
        super().__init__(document.to_dict(), Words("report", document.language))
        self._pictures = pictures

    def head(self) -> str:
        """Return the name, the verdict and the figures that listeners notice first."""
        values = self.values
        key = "page.subtitle_mono" if values["channels"] == 1 else "page.subtitle_stereo"
        subtitle = self.say(
            key,
            time=clock(values["duration_s"]),
            rate=number(values["sample_rate_hz"] / 1000.0),
            channels=values["channels"],
            preset=values["preset"],
        )
        if values["far_end"] is not None:
            subtitle += f" · {self.say('details.far_end')} {escape(values['far_end'])}"
        tiles = "".join(
            self._tile(index, row)
            for name in _TILES
            for index, row in enumerate(values["score"])
            if row["id"] == name
        )
        return (
            f'<p class="kicker">{self.say("page.title")}</p>'
            f"<h1>{escape(values['after']['name'])}</h1>"
            f'<p class="subtitle">{subtitle}</p>'
            f'<p class="verdict {values["verdict"]}"><span aria-hidden="true">'
            f"{_MARKS[values['verdict']]}</span> {escape(values['headline'])}</p>"
            f'<h2 class="hidden">{self.say("page.overview")}</h2><div class="tiles">{tiles}</div>'
        )

    def _tile(self, index: int, row: dict[str, Any]) -> str:
        before, after = (
            self.figure(f"/score/{index}/{side}", row["digits"], _missing(row))
            for side in ("before", "after")
        )
        return (
            f'<div class="tile"><h3>{escape(row["title"])}</h3>'
            f'<p class="change"><span class="was"><span class="hidden">{self.say("page.before")} '
            f'</span>{before}</span><span class="arrow" aria-hidden="true">→</span>'
            f'<strong><span class="hidden">{self.say("page.after")} </span>{after}</strong> '
            f'<span class="unit">{escape(row["unit"])}</span></p>{self._rating(row)}</div>'
        )

    def _rating(self, row: dict[str, Any]) -> str:
        rating = row["rating"]
        return (
            f'<p class="rating {rating}"><span aria-hidden="true">{_MARKS[rating]}</span> '
            f"{self.say(f'rating.{rating}')}</p>"
        )

    def todo(self) -> str:
        """Return what to do, one sentence per problem; what was cured stands apart."""
        advised = [row for row in self.values["score"] if row["advice"]]
        cured = [row for row in advised if row["rating"] == "good"]
        if len(cured) < len(advised):
            text = _advice_list(row for row in advised if row not in cured)
        else:
            told = {"good": "nothing_todo", "unknown": "cannot_judge"}
            key = told.get(self.values["verdict"], "see_score")
            text = f"<p>{self.say(f'page.{key}')}</p>"
        if cured:
            text += f"<h3>{self.say('page.next_time')}</h3>{_advice_list(cured)}"
        notes = "".join(f"<li>{escape(text)}</li>" for text in self.values["warnings"])
        if notes:
            notes = f'<h3>{self.say("page.warnings")}</h3><ul class="notes">{notes}</ul>'
        return f'<h2 id="todo-title">{self.say("page.todo")}</h2>{text}{notes}'

    def listen(self) -> str:
        """Return players, curves and pictures on one time axis."""
        players = self.values["players"]
        louder = players["louder_db"]
        sides = "".join(
            f"<figure><figcaption>{self.say(f'page.{side}')}</figcaption><audio controls "
            f'preload="auto" data-side="{side}" aria-label="{self.say(f"page.{side}")}" '
            f'src="{_uri(self._pictures.sound_type, sound)}"></audio></figure>'
            for side, sound in zip(("before", "after"), self._pictures.sounds, strict=True)
        )
        if players["whole"]:
            held = self.say("listen.whole")
        else:
            held = self.say(
                "listen.excerpts",
                count=len(players["excerpts"]),
                seconds=number(players["seconds"]),
                total=clock(self.values["duration_s"]),
                name=self.values["after"]["name"],
            )
        return (
            f'<h2 id="listen-title">{self.say("listen.heading")}</h2><p class="hint">{held} '
            f'<span class="scripted">{self.say("listen.hint")}</span></p>'
            f'<div class="players">{sides}</div>'
            f'<p class="cannot" hidden>{self.say("listen.cannot_play")}</p>'
            f'<div id="stage" data-duration="{self.values["duration_s"]}" '
            f'data-louder="{louder or 0}" data-excerpts="'
            f'{escape(json.dumps(players["excerpts"]))}">'
            f"{self._transport(louder)}{lanes(self, self._spectra())}</div>"
        )

    def _spectra(self) -> list[str]:
        return [_uri("image/webp", each) for each in self._pictures.spectrograms]

    def _transport(self, louder: float | None) -> str:
        sides = "".join(
            f'<label><input type="radio" name="side" value="{side}"'
            f'{" checked" if side == "after" else ""}><span class="{side}">'
            f"{self.say(f'page.{side}')}</span></label>"
            for side in ("before", "after")
        )
        match = ""
        if louder is not None:
            hint = self.say("listen.match_hint", amount=number(abs(louder)))
            match = (
                f'<label class="match" title="{hint}"><input type="checkbox" id="match">'
                f"<span>{self.say('listen.match')}</span></label>"
            )
        return (
            '<div class="transport" hidden><div class="controls">'
            f'<button type="button" id="play" data-pause="{self.say("listen.pause")}" '
            f'data-play="{self.say("listen.play")}">{self.say("listen.play")}</button>'
            f'<fieldset class="sides"><legend class="hidden">{self.say("listen.choose")}</legend>'
            f'{sides}</fieldset>{match}<output id="time">0:00</output></div>'
            '<div class="seek"><span></span><input type="range" id="seek" min="0" max="1000" '
            f'step="1" value="0" aria-label="{self.say("listen.position")}"></div></div>'
        )

    def score(self) -> str:
        """Return every figure with its thresholds."""
        rows = "".join(self._score_row(i, row) for i, row in enumerate(self.values["score"]))
        heads = "".join(
            f'<th scope="col">{self.say(f"score.{name}")}</th>'
            for name in ("what", "before", "after", "rating", "limits")
        )
        return (
            f'<h2 id="score-title">{self.say("score.heading")}</h2>'
            f'<table class="score"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        )

    def _score_row(self, index: int, row: dict[str, Any]) -> str:
        meaning = self.say(f"row.{row['id']}.meaning")
        if row["judged"] == "before":
            meaning += self.say("page.brackets", text=self.words("score.judged_before"))
        cells = "".join(
            f'<td data-label="{self.say(f"score.{side}")}">'
            f"{self._with_unit(f'/score/{index}/{side}', row)}</td>"
            for side in ("before", "after")
        )
        limits = {name: number(row[name], row["digits"]) for name in ("good", "fair", "target")}
        limit = self.say(f"score.{row['better']}", unit=row["unit"], **limits)
        return (
            f'<tr><th scope="row">{escape(row["title"])}<small>{meaning}</small></th>{cells}'
            f'<td data-label="{self.say("score.rating")}">{self._rating(row)}</td>'
            f'<td class="limits" data-label="{self.say("score.limits")}">{limit}</td></tr>'
        )

    def _with_unit(self, pointer: str, row: dict[str, Any]) -> str:
        side = pointer.rpartition("/")[2]
        if row[side] is None:
            no_such_side = row["judged"] == "before" and side == "after"
            return "" if no_such_side else self.figure(pointer, row["digits"], _missing(row))
        return f'{self.figure(pointer, row["digits"])} <span class="unit">{row["unit"]}</span>'

    def events(self) -> str:
        """Return when something happened."""
        events = self.values["events"]
        title = f'<h2 id="events-title">{self.say("event.heading")}</h2>'
        if not events:
            return f"{title}<p>{self.say('event.none')}</p>"
        count = sum(self.values["event_counts"].values())
        more = ""
        if count > len(events):
            more = f"<p>{self.say('event.more', shown=len(events), count=count)}</p>"
        heads = "".join(
            f'<th scope="col">{self.say(f"event.{name}")}</th>'
            for name in ("when", "what", "how_much", "where")
        )
        rows = "".join(self._event_row(i, event) for i, event in enumerate(events))
        table = (
            f'<table class="events"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        )
        if len(events) <= _FEW_EVENTS:
            return title + table
        kinds = " · ".join(
            f"{self.say(f'event.{kind}')} {self.figure(f'/event_counts/{kind}', 0)}"
            for kind in self.values["event_counts"]
        )
        return f"{title}<p>{kinds}</p>{more}{self._fold('event.all', table)}"

    def _event_row(self, index: int, event: dict[str, Any]) -> str:
        digits = 0 if event["unit"] in {"", "ms", "Hz"} else 1
        value = self.figure(f"/events/{index}/value", digits)
        if event["unit"]:
            value += f' <span class="unit">{event["unit"]}</span>'
        else:
            value = self.say("event.clipping_value", value="\0").replace("\0", value)
        start, end = clock(event["start_s"], 1), clock(event["end_s"], 1)
        return (
            f'<tr><td><button type="button" class="go" data-at="{event["start_s"]}" '
            f'aria-label="{self.say("event.go", time=start)}">{start}</button>–{end}</td>'
            f'<td><span class="dot {event["kind"]}" aria-hidden="true"></span>'
            f"{self.say('event.' + event['kind'])}</td><td>{value}</td>"
            f"<td>{self.say('event.side_' + event['side'])}</td></tr>"
        )

    def details(self, json_name: str) -> str:
        """Return what the stages did, both files and all settings."""
        values = self.values
        link = ""
        if json_name:
            link = f"<p>{self.say('details.json', name=json_name)}</p>"
        generator = values["generator"]
        made = self.say("page.made", version=generator["version"], created=values["created"])
        return (
            f'<h2 id="details-title">{self.say("details.heading")}</h2>'
            f"{self._fold('details.stages', self._stage_rows(), opened=True)}"
            f"{self._fold('details.files', self._file_rows(), opened=True)}"
            f"{self._fold('details.settings', self._settings())}{link}"
            f'<p class="made">{made} ({escape(generator["kernels"])})</p>'
        )

    def _fold(self, key: str, inside: str, opened: bool = False) -> str:
        is_open = " open" if opened else ""
        return f"<details{is_open}><summary>{self.say(key)}</summary>{inside}</details>"

    def _stage_rows(self) -> str:
        rows = []
        for name, value in self.values["stages"].items():
            if value is None:
                continue
            unit = _STAGE_UNITS.get(name.rpartition("_")[2], "")
            digits = 0 if name.endswith("count") else 2 if name == "reverb_time_s" else 1
            figure = self.figure(f"/stages/{name}", digits, percent=unit == "%")
            rows.append((self.say(f"details.{name}"), f"{figure} {_unit(unit)}"))
        return _two_columns(rows)

    def _file_rows(self) -> str:
        sides = [self.values["before"], self.values["after"]]
        rows = [
            [self.say("details.name"), *(escape(side["name"]) for side in sides)],
            [
                self.say("details.format"),
                *(escape(f"{side['container']}, {side['sample_format']}") for side in sides),
            ],
        ]
        for key, name, unit in _FILE_ROWS:
            if any(side[name] is not None for side in sides):
                cells = [
                    f"{self.figure(f'/{side}/{name}', 1, percent=unit == '%')} {_unit(unit)}"
                    for side in ("before", "after")
                ]
                rows.append([self.say(f"details.{key}"), *cells])
        heads = "".join(
            f'<th scope="col">{text}</th>'
            for text in ("", self.say("page.before"), self.say("page.after"))
        )
        return _table(rows, f"<thead><tr>{heads}</tr></thead>")

    def _settings(self) -> str:
        rows = []
        for section, fields in self.values["settings"].items():
            if isinstance(fields, dict):
                rows += [(f"{section}.{name}", json.dumps(value)) for name, value in fields.items()]
        return _two_columns([(escape(name), escape(value)) for name, value in rows])


def _advice_list(rows: Iterable[dict[str, Any]]) -> str:
    items = "".join(
        f'<li class="{row["rating"]}"><span class="mark" aria-hidden="true">'
        f"{_MARKS[row['rating']]}</span>{escape(row['advice']['text'])}</li>"
        for row in rows
    )
    return f'<ul class="todo">{items}</ul>'


def _missing(row: dict[str, Any]) -> str:
    """Return what stands for a figure that is not there."""
    return "page.none" if row["id"] in {"hum", "echo"} else "page.unknown"


def _unit(unit: str) -> str:
    return f'<span class="unit">{unit}</span>' if unit else ""


def _two_columns(rows: Sequence[Sequence[str]]) -> str:
    return _table(rows, "")


def _table(rows: Iterable[Sequence[str]], head: str) -> str:
    lines = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f'<table class="facts">{head}<tbody>{lines}</tbody></table>'


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"

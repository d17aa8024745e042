"""The report: the page says what the data say, the data keep their schema."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_engine.config import EngineConfig
from audio_engine.errors import ConfigError, OutputFileError
from audio_engine.io.encoded import encode_stretches
from audio_engine.io.offline import FileReport, process_file
from audio_engine.report.audio_clip import choose_excerpts
from audio_engine.report.document import ReportEvent, schema
from audio_engine.report.html import Pictures, html, policy
from audio_engine.report.index import IndexRow, write_index
from audio_engine.report.score import LIMITS
from audio_engine.report.series import LONGEST, Thinner
from audio_engine.report.text import clock, number
from audio_engine.report.trace import Trace
from audio_engine.report.write import make_report, write_report
from audio_engine.wording import LANGUAGES, Words
from signals import Signal, echo_of, noise, speech

RATE_HZ = 16000
SECONDS = 9.0
NAME = "<script>alert(1)<∕script> & 'a' \"b\".wav"


def terrible() -> tuple[Signal, Signal]:
    """A microphone with everything wrong, and the far end: the guest first, then the host."""
    far = 2.0 * speech("guest", SECONDS)
    far[int(4.5 * RATE_HZ) :] = 0.0
    near = 20.0 * speech("host", SECONDS)
    near[: int(4.8 * RATE_HZ)] = 0.0
    time = np.arange(len(near)) / RATE_HZ
    hum = sum(0.02 * np.sin(2 * np.pi * 50 * k * time + k) / k for k in range(1, 5))
    mic = np.clip(
        near + echo_of(far, RATE_HZ) + hum + noise(SECONDS, RATE_HZ, 0.003), -0.999, 0.999
    )
    loud = int(6 * RATE_HZ) + int(np.argmax(np.abs(mic[6 * RATE_HZ :]) > 0.3))
    mic[loud + 100 : loud + 1060] = 0.0
    return mic.astype(np.float32), far


def process(folder: Path, name: str, mic: Signal, far: Signal | None = None) -> SimpleNamespace:
    """Process a signal and return all that a report is made from."""
    soundfile.write(folder / name, mic, RATE_HZ)
    if far is not None:
        soundfile.write(folder / "far.wav", far, RATE_HZ)
    trace, config = Trace(), EngineConfig.preset("cohost")
    done = process_file(
        folder / name,
        folder / "out.wav",
        config=config,
        far_end=None if far is None else folder / "far.wav",
        watch=trace,
    )
    return SimpleNamespace(done=done, trace=trace, config=config, preset="cohost")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The report of the terrible file, written and read back."""
    folder = tmp_path_factory.mktemp("report")
    job = process(folder, NAME, *terrible())
    write_report(folder / "r.html", job.done, job.trace, config=job.config, preset=job.preset)
    page = (folder / "r.html").read_text(encoding="utf-8")
    values = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    rows = {row["id"]: row for row in values["score"]}
    return SimpleNamespace(folder=folder, page=page, values=values, rows=rows, **vars(job))


# --- the data -----------------------------------------------------------------------------------


def test_the_data_keep_their_schema(made: SimpleNamespace) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(schema())
    check.check_schema(schema())
    check.validate(made.values)
    for wrong in (
        {**made.values, "verdict": "nice"},
        {**made.values, "more": 1},
        {key: value for key, value in made.values.items() if key != "score"},
    ):
        assert not check.is_valid(wrong)


def test_every_fault_is_found_and_has_its_advice(made: SimpleNamespace) -> None:
    assert made.values["verdict"] == "poor"
    assert {"clipping", "stall", "hum", "echo"} <= set(made.values["event_counts"])
    advised = {row["advice"]["id"] for row in made.values["score"] if row["advice"]}
    assert {"clipping", "dropouts", "hum", "echo"} <= advised
    assert made.rows["clipping"]["rating"] == "poor"
    stall = next(event for event in made.values["events"] if event["kind"] == "stall")
    assert stall["side"] == "both"
    assert stall["value"] == pytest.approx(60.0, abs=2.0)
    lost = made.rows["dropouts"]
    assert lost["before"] == pytest.approx(100 * 0.060 / SECONDS, abs=0.05)


def test_what_was_cured_is_advice_for_the_next_recording(made: SimpleNamespace) -> None:
    advised = [row for row in made.values["score"] if row["advice"]]
    cured = [row["advice"]["text"] for row in advised if row["rating"] == "good"]
    left = [row["advice"]["text"] for row in advised if row["rating"] != "good"]
    assert cured
    assert left
    now, _, later = made.page.partition("Cured in this recording; for the next one:")
    assert all(text in later for text in map(escape, cured))
    assert all(text in now for text in map(escape, left))


def test_a_good_result_with_a_cured_fault_needs_nothing(made: SimpleNamespace) -> None:
    document, pictures = make_report(made.done, made.trace, config=made.config, preset=made.preset)
    good = tuple(row for row in document.score if row.rating == "good")
    page = html(replace(document, verdict="good", score=good), pictures)
    assert page.index("Nothing: this recording") < page.index("for the next one:")


def test_a_file_that_begins_within_a_word_has_no_pause_there(tmp_path: Path) -> None:
    whole = speech("host", 4.0)
    loud = int(np.argmax(np.abs(whole) > 0.5 * np.abs(whole).max()))
    job = process(tmp_path, "cut.wav", whole[loud : loud + RATE_HZ].astype(np.float32))
    document, _ = make_report(job.done, job.trace, config=job.config, preset=job.preset)
    assert document.before.pause_dbfs is None


def test_a_held_bass_note_in_music_is_not_judged_as_hum(tmp_path: Path) -> None:
    time = np.arange(8 * RATE_HZ) / RATE_HZ
    chords = np.zeros(len(time))
    for start in np.arange(0.0, 7.5, 0.5):
        since = time - start
        for hz in (220.0, 277.2, 329.6 if start % 1 else 370.0):
            note = np.sin(2 * np.pi * hz * since) + 0.4 * np.sin(4 * np.pi * hz * since)
            chords += np.where((since >= 0) & (since < 1.0), note * np.exp(-3 * since), 0.0)
    bass = sum(0.02 * np.sin(2 * np.pi * 100.0 * k * time) for k in (1, 2, 3))
    job = process(tmp_path, "music.wav", (0.06 * chords + bass).astype(np.float32))
    document, _ = make_report(job.done, job.trace, config=job.config, preset=job.preset)
    kinds = {each.kind for each in document.sounds}
    assert "music" in kinds
    assert "speech" not in kinds
    assert "hum" in document.event_counts
    hum = next(row for row in document.score if row.id == "hum")
    assert hum.rating == "unknown"
    assert hum.advice is None


def test_figures_of_advice_are_those_of_the_measurement(made: SimpleNamespace) -> None:
    echo = made.rows["echo"]
    assert echo["advice"]["figures"]["lower_db"] == max(3, np.ceil(echo["before"] + 10.0))
    text = f"lower the loudspeaker by {number(echo['advice']['figures']['lower_db'])} dB"
    assert text in echo["advice"]["text"]
    assert 6 <= made.rows["clipping"]["advice"]["figures"]["lower_db"] <= 30
    assert made.rows["hum"]["advice"]["figures"]["level_dbfs"] == round(made.rows["hum"]["before"])


def test_the_result_is_measured_as_the_processor_measured_it(made: SimpleNamespace) -> None:
    after, stats = made.values["after"], made.done.loudness_after
    assert after["integrated_lufs"] == round(stats.integrated_lufs, 1)
    assert after["true_peak_dbtp"] == round(stats.true_peak_dbtp, 1)
    curves = {(each["name"], each["side"]): each for each in made.values["series"]}
    highest = max(v for v in curves["short_term_loudness", "after"]["values"] if v is not None)
    assert highest == pytest.approx(stats.max_short_term_lufs, abs=0.3)
    for name in ("gain", "noise_reduction", "erle", "echo_delay", "limiter_reduction"):
        assert len(curves[name, ""]["values"]) == SECONDS / 0.5
    assert max(curves["far_end_active", ""]["values"]) == 1.0
    assert max(curves["peak", "before"]["values"]) == pytest.approx(0.999, abs=0.001)


def test_thresholds_are_where_the_schema_says(made: SimpleNamespace) -> None:
    for name, row in made.rows.items():
        assert (row["good"], row["fair"]) == (LIMITS[name].good, LIMITS[name].fair)
    noise_limits = LIMITS["noise"]
    assert [noise_limits.rate(v) for v in (30.0, 29.9, 15.0, 14.9, None)] == [
        *("good", "fair", "fair", "poor", "unknown"),
    ]
    assert [LIMITS["loudness"].rate(v, -18.0) for v in (-19.0, -16.9, -21.0, -14.9)] == [
        *("good", "fair", "fair", "poor"),
    ]
    assert [LIMITS["true_peak"].rate(v) for v in (-1.0, -0.9, 0.1)] == ["good", "fair", "poor"]


# --- the page -----------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Collects figures with their places, texts, tags, and the addresses that a page names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.figures: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in {"src", "href", "srcset", "action"}]
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs), attrs
        if tag not in {"meta", "input", "img"}:
            self._open.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        tag, attrs = self._open[-1] if self._open else ("", {})
        if tag == "data":
            self.figures.append((attrs["data-from"] or "", attrs["value"] or "", data))
        elif tag not in {"style", "script", "text", "button", "output"}:
            self.texts.append(data)


def at(values: Any, pointer: str) -> Any:
    for part in pointer[1:].split("/"):
        values = values[int(part)] if isinstance(values, list) else values[part]
    return values


def test_every_number_of_the_page_is_in_the_data(made: SimpleNamespace) -> None:
    read = Reader(made.page)
    assert len(read.figures) > 50
    for pointer, value, shown in read.figures:
        truth = at(made.values, pointer)
        assert value == str(truth), pointer
        digits = len(shown.partition(".")[2])
        factor = 100.0 if "share" in pointer else 1.0
        assert shown.replace("−", "-") == f"{factor * truth:.{digits}f}", pointer
    for index, row in enumerate(made.values["score"]):
        for side in ("before", "after"):
            written = [
                text for pointer, _, text in read.figures if pointer == f"/score/{index}/{side}"
            ]
            assert bool(written) == (row[side] is not None)
            assert all(len(text.partition(".")[2]) == row["digits"] for text in written)
    known = digits_beside_figures(made.values)
    for text in read.texts:
        for found in re.findall(r"\d+(?:\.\d+)?", text):
            assert found in known, (found, text)


def digits_beside_figures(values: dict[str, Any]) -> str:
    """Return what other digits of a page come from: names, sentences, thresholds, times."""
    scale = values["spectrogram"]
    words = files("audio_engine") / "words" / f"report.{values['language']}.toml"
    rows = [row[name] for row in values["score"] for name in ("good", "fair", "target")]
    return " ".join(
        [
            json.dumps(values, ensure_ascii=False),
            words.read_text(encoding="utf-8"),
            *(number(value, digits) for value in rows if value is not None for digits in range(3)),
            *(clock(event[name], 1) for event in values["events"] for name in ("start_s", "end_s")),
            *(clock(values["duration_s"]), number(values["sample_rate_hz"] / 1000.0)),
            number(scale["top_db"] - scale["range_db"]),
        ]
    )


def test_the_page_fetches_nothing(made: SimpleNamespace) -> None:
    read = Reader(made.page)
    for address in read.addresses:
        assert re.match(r"data:(image/webp|audio/mpeg);base64,|#", address), address[:80]
    style = re.search(r"<style>(.*?)</style>", made.page, re.DOTALL)
    script = re.search(r"<script>(.*?)</script>", made.page, re.DOTALL)
    assert style is not None
    assert script is not None
    assert policy(style[1], script[1]) in made.page
    assert "default-src 'none'" in made.page
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert not re.search(r"fetch\(|XMLHttp|import\(|innerHTML|eval\(", script[1])


def test_a_hostile_name_is_only_a_name(made: SimpleNamespace) -> None:
    read = Reader(made.page)
    assert read.tags.count("script") == 1
    assert made.values["before"]["name"] == NAME
    assert NAME in "".join(read.texts)
    assert str(made.folder) not in made.page
    assert str(made.folder) not in json.dumps(made.values)


def test_pictures_are_pictures_and_curves_are_drawn(made: SimpleNamespace) -> None:
    read = Reader(made.page)
    assert read.tags.count("img") == 2
    assert read.tags.count("audio") == 2
    paths = re.findall(r' d="(M[^"]*)"', made.page)
    assert len(paths) > 20
    for path in paths:
        assert re.fullmatch(r"[MLHVZ0-9. \-]+", path), path[:80]


def test_the_chinese_page_has_the_same_figures(made: SimpleNamespace) -> None:
    document, pictures = make_report(
        made.done, made.trace, config=made.config, preset="cohost", language="zh"
    )
    page = html(document, replace(pictures, sounds=(b"", b"")), "r.json")
    pointers = [figure[:2] for figure in Reader(page).figures]
    assert pointers == [figure[:2] for figure in Reader(made.page).figures]
    assert '<html lang="zh-CN">' in page
    advice = " ".join(row.advice.text for row in document.score if row.advice)
    assert "把音箱调低" in advice
    foreign = set(re.findall(r"[A-Za-z_]{2,}", advice))
    assert foreign <= {"Wi", "Fi", "dB", "dBFS", "Hz"}, foreign


def test_the_languages_have_the_same_sentences_and_places() -> None:
    tables = [Words("report", language)._sentences for language in LANGUAGES]
    assert tables[0].keys() == tables[1].keys()
    for key in tables[0]:
        places = [sorted(re.findall(r"\{(\w+)\}", table[key])) for table in tables]
        assert places[0] == places[1], key
    for mark in ",;:?!":
        wrong = [
            text for text in tables[1].values() if re.search(f"[一-鿿]{re.escape(mark)}", text)
        ]
        assert not wrong, wrong


# --- corners ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "level"), [(0.0, 0.0), (0.05, 0.1), (1.0, 0.1), (3.0, 0.0)],
    ids=["empty", "50 ms", "1 s", "silence"],
)  # fmt: skip
def test_short_and_silent_files_have_a_report(tmp_path: Path, seconds: float, level: float) -> None:
    job = process(tmp_path, "in.wav", noise(seconds, RATE_HZ, level))
    write_report(tmp_path / "r.html", job.done, job.trace, config=job.config, preset=job.preset)
    values = json.loads((tmp_path / "r.json").read_text())
    pytest.importorskip("jsonschema").validate(values, schema())
    if level == 0.0:
        assert values["verdict"] == "unknown"
        assert not any(row["advice"] for row in values["score"])


def test_where_only_the_guest_spoke_nothing_is_asked_for(tmp_path: Path) -> None:
    far = 2.0 * speech("guest", 8.0)
    mic = 0.5 * echo_of(far, RATE_HZ) + noise(8.0, RATE_HZ, 3e-4)
    job = process(tmp_path, "in.wav", mic.astype(np.float32), far)
    document, _ = make_report(job.done, job.trace, config=job.config, preset=job.preset)
    rows = {row.id: row for row in document.score}
    assert document.verdict == "unknown"
    assert rows["loudness"].rating == rows["echo"].rating == "unknown"
    assert not any(row.advice for row in document.score)


def test_a_command_in_advice_can_be_copied(tmp_path: Path) -> None:
    talk = (0.3 * speech("host", 4.0)).astype(np.float32)
    job = process(tmp_path, "in.wav", talk)
    config = replace(job.config, agc=replace(job.config.agc, target_lufs=-9.0))
    document, _ = make_report(job.done, job.trace, config=config, preset=job.preset)
    (row,) = [row for row in document.score if row.id == "loudness"]
    assert row.advice is not None
    assert "--loudness -9." in row.advice.text


def test_a_clean_voice_needs_nothing(tmp_path: Path) -> None:
    talk = 2.0 * speech("host", 12.0) + noise(12.0, RATE_HZ, 2e-4)
    job = process(tmp_path, "in.wav", talk.astype(np.float32))
    document, _ = make_report(job.done, job.trace, config=job.config, preset=job.preset)
    assert document.events == ()
    assert {row.rating for row in document.score} <= {"good", "unknown"}
    assert not any(row.advice for row in document.score)


def test_a_report_goes_where_it_may(made: SimpleNamespace, tmp_path: Path) -> None:
    def write(path: Path, done: FileReport = made.done) -> None:
        write_report(path, done, made.trace, config=made.config, preset=made.preset)

    with pytest.raises(ConfigError, match=r"\.html"):
        write(tmp_path / "report.pdf")
    with pytest.raises(ConfigError, match="pipe"):
        write(tmp_path / "report.html", replace(made.done, output="-"))
    with pytest.raises(ConfigError, match="language"):
        write_report(
            tmp_path / "r.html",
            made.done,
            made.trace,
            config=made.config,
            preset="cohost",
            language="fr",
        )
    with pytest.raises(OutputFileError, match="cannot be written"):
        write(tmp_path / "no such folder" / "report.html")
    assert list(tmp_path.iterdir()) == []


# --- parts --------------------------------------------------------------------------------------


def test_a_curve_stays_short_and_keeps_its_mean_and_peak() -> None:
    rng = np.random.default_rng(5)
    values = rng.uniform(-40.0, 0.0, 20 * LONGEST + 777)
    mean, peak = Thinner(0.1), Thinner(0.1, max)
    for value in values.tolist():
        mean.add(value)
        peak.add(value)
    for thin, expected in ((mean, np.mean), (peak, np.max)):
        series = thin.series("x", "dB")
        assert len(series.values) <= LONGEST + 1
        count = round(series.step_s / 0.1)
        pieces = [values[k : k + count] for k in range(0, len(values), count)]
        assert len(series.values) == len(pieces)
        found = [value for value in series.values if value is not None]
        np.testing.assert_allclose(found, [expected(piece) for piece in pieces], atol=0.006)
    assert not Thinner(0.1).known


def test_excerpts_hold_the_events_within_the_budget() -> None:
    assert choose_excerpts(100.0, 1, [])[0].end_s == 100.0
    events = [
        ReportEvent(kind=kind, side="before", start_s=at, end_s=at + long, value=1.0, unit="")
        for kind, at, long in (
            *(("clipping", 1000.0 + k, 0.5) for k in range(300)),
            *(("stall", 2000.0, 0.1), ("howl", 3003.0, 2.0)),
        )
    ]
    excerpts = choose_excerpts(3600.0, 1, events)
    assert excerpts[0].start_s == 0.0
    lengths = [each.end_s - each.start_s for each in excerpts]
    assert sum(lengths) <= 120.0
    for at_s in (1000.0, 2000.0, 3003.0):
        assert any(each.start_s <= at_s <= each.end_s for each in excerpts), at_s
    np.testing.assert_allclose([e.player_s for e in excerpts], np.cumsum([0.0, *lengths])[:-1])
    assert all(a.end_s < b.start_s for a, b in pairwise(excerpts))


def test_two_players_of_two_minutes_fit_into_three_megabytes(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "n.wav", noise(20.0, 48000, 0.1), 48000)
    size = len(encode_stretches(tmp_path / "n.wav", [(2.0, 12.0)], channels=1, kbit_per_s=56))
    assert 2 * size / 10.0 * 120.0 * 4.0 / 3.0 < 2.6e6
    stretches = [(2.0, 5.0), (7.0, 9.0)]
    sound = encode_stretches(tmp_path / "n.wav", stretches, channels=1, kbit_per_s=56)
    (tmp_path / "m.mp3").write_bytes(sound)
    assert soundfile.info(tmp_path / "m.mp3").duration == pytest.approx(5.0, abs=0.1)


def test_a_jump_of_the_echo_is_an_event() -> None:
    trace = Trace()
    for k, delay_ms in enumerate([0.0, 50.0, 50.2, 50.1, 110.0, 110.0]):
        echo = SimpleNamespace(
            erle_db=10.0,
            delay_ms=delay_ms,
            delay_confidence=0.0 if k == 0 else 0.9,
            no_echo_path=False,
            drift_ppm=0.0,
            divergence_count=0,
        )
        stats: Any = SimpleNamespace(echo=echo, noise=None, agc=None, limiter=None, lip_sync=None)
        trace(0.5 * (k + 1), stats)
    (event,) = trace.events()
    assert (event.kind, event.start_s, event.end_s) == ("desync", 2.0, 2.5)
    assert event.value == pytest.approx(59.9)


def test_times_and_numbers_are_written_one_way() -> None:
    assert [clock(s) for s in (0.0, 7.4, 59.6, 3727.0)] == ["0:00", "0:07", "1:00", "1:02:07"]
    assert clock(61.25, 1) == "1:01.2"
    assert [number(-18.0, 1), number(0.5), number(None)] == ["−18.0", "0.5", ""]


def test_an_index_lists_what_was_done(made: SimpleNamespace) -> None:
    path = made.folder / "index.html"
    rows = [
        IndexRow.of(made.done, made.folder / "sub folder" / "r#1.html"),
        IndexRow(name="<b>.wav", error="<b>.wav: the file is empty & broken"),
    ]
    write_index(path, rows)
    page = path.read_text(encoding="utf-8")
    read = Reader(page)
    assert read.addresses == ["./sub%20folder/r%231.html"]
    assert "1 done, 1 failed, 0:09 in all." in "".join(read.texts)
    assert "<b>.wav: the file is empty & broken" in read.texts
    assert number(made.done.loudness_after.integrated_lufs, 1) in page
    write_index(path, rows, language="zh")
    assert "完成 1 个，失败 1 个" in path.read_text(encoding="utf-8")


def test_a_page_is_made_from_the_document_alone(made: SimpleNamespace) -> None:
    document, pictures = make_report(made.done, made.trace, config=made.config, preset=made.preset)
    changed = replace(document, headline="Something else entirely.")
    nothing = Pictures(
        spectrograms=pictures.spectrograms, sounds=(b"", b""), sound_type="audio/mpeg"
    )
    assert "Something else entirely." in html(changed, nothing)


def test_the_example_of_the_page_runs() -> None:
    page = (Path(__file__).parent.parent / "docs" / "report.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    places: dict[str, Any] = {}
    exec(example, places)
    assert {path.name for path in places["folder"].iterdir()} == {
        *("in.wav", "out.wav", "report.html", "report.json"),
    }


def test_the_documented_thresholds_are_those_that_judge() -> None:
    page = (Path(__file__).parent.parent / "docs" / "report.md").read_text(encoding="utf-8")
    words = Words("report")
    for name, limits in LIMITS.items():
        title = words(f"row.{name}.title")
        (line,) = re.findall(rf"^\| {title} \*?\s*\|(.*)$", page, re.MULTILINE)
        good, fair = (
            cell.replace("none", "0").replace("no jump", "0") for cell in line.split("|")[:2]
        )
        assert number(limits.good) in good.replace("-", "−"), name
        assert number(limits.fair) in fair.replace("-", "−"), name

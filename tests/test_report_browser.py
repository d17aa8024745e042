"""The report in a real browser: players play together, nothing overflows, nothing is fetched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_engine.config import EngineConfig
from audio_engine.io.offline import process_file
from audio_engine.report.index import IndexRow, write_index
from audio_engine.report.trace import Trace
from audio_engine.report.write import write_report
from signals import noise, speech

RATE_HZ = 16000
SECONDS = 5.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PHONE, DESK = {"width": 390, "height": 800}, {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The report of a voice with a drop-out, in both languages, and an index."""
    folder = tmp_path_factory.mktemp("browser")
    mic = 2.0 * speech("host", SECONDS) + noise(SECONDS, RATE_HZ, 0.002)
    loud = int(2.5 * RATE_HZ) + int(np.argmax(np.abs(mic[int(2.5 * RATE_HZ) :]) > 0.08))
    mic[loud : loud + 800] = 0.0
    name = "a_name_that_is_much_too_long_for_the_screen_of_any_phone_<script>alert(1)<∕script>.wav"
    soundfile.write(folder / name, mic, RATE_HZ)
    trace, config = Trace(), EngineConfig.preset("solo-host")
    done = process_file(folder / name, folder / f"out_{name}", config=config, watch=trace)
    found = {}
    for language in ("en", "zh"):
        path = folder / f"{language}.html"
        write_report(path, done, trace, config=config, preset="solo-host", language=language)
        found[language] = path.as_uri()
    rows = [IndexRow.of(done, folder / "en.html"), IndexRow(name=name, error=f"{name}: is empty")]
    write_index(folder / "index.html", rows)
    return found | {"index": (folder / "index.html").as_uri()}


class Visit:
    """A page that is open, and what went wrong on it."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def wait(self, condition: str) -> None:
        """Wait until something is true; the page's policy forbids playwright's own way."""
        for _ in range(200):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        pytest.fail(f"not within 10 s: {condition}")

    def positions(self) -> list[float]:
        found: list[float] = self.page.evaluate(
            "[...document.querySelectorAll('audio')].map(each => each.currentTime)"
        )
        return found

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


def test_the_players_play_with_one_play_head(browser: Any, pages: dict[str, str]) -> None:
    with Visit(browser, pages["en"], viewport=DESK) as visit:
        page = visit.page
        visit.wait("[...document.querySelectorAll('audio')].every(each => each.readyState > 2)")
        lengths = page.evaluate(
            "[...document.querySelectorAll('audio')].map(each => each.duration)"
        )
        assert lengths == pytest.approx([SECONDS, SECONDS], abs=0.15)

        page.locator("#play").click()
        visit.wait("document.querySelectorAll('audio')[1].currentTime > 0.4")
        before, after = visit.positions()
        assert before == pytest.approx(after, abs=0.15)
        muted = "[...document.querySelectorAll('audio')].map(each => each.muted)"
        assert page.evaluate(muted) == [True, False]
        page.keyboard.press("b")
        assert page.evaluate(muted) == [False, True]
        assert page.locator("input[value=before]").is_checked()
        page.locator("#play").click()
        visit.wait("document.querySelectorAll('audio')[0].paused")

        page.locator(".loudness .area").click(position={"x": 10, "y": 50})
        early = visit.positions()[0]
        page.locator("img.area").first.click(position={"x": 500, "y": 50})
        assert visit.positions()[0] > early + 1.0
        share = page.evaluate("document.querySelector('.lanes').style.getPropertyValue('--at')")
        assert float(share) == pytest.approx(visit.positions()[0] / SECONDS, abs=0.02)
        page.locator("#seek").focus()
        page.keyboard.press("Home")
        assert visit.positions()[0] == 0.0
        page.locator(".go").first.click()
        assert 1.0 < visit.positions()[0] < 4.5
        page.locator("#match").check()
        volumes = page.evaluate("[...document.querySelectorAll('audio')].map(each => each.volume)")
        assert min(volumes) < 1.0 == max(volumes)
        assert visit.complaints == []
        assert visit.requests[0] == pages["en"]
        assert all(url.startswith("data:") for url in visit.requests[1:])


@pytest.mark.parametrize("name", ["en", "zh", "index"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(
    browser: Any, pages: dict[str, str], name: str, scheme: str
) -> None:
    with Visit(browser, pages[name], viewport=PHONE, color_scheme=scheme) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        outside = visit.page.evaluate(
            """[...document.querySelectorAll('p, h1, h2, h3, td, th, li, button, label')]
               .filter(each => !each.closest('[hidden], .hidden, thead'))
               .filter(each => each.getBoundingClientRect().right > innerWidth + 1)
               .map(each => each.textContent)"""
        )
        assert outside == []
        assert visit.complaints == []


def test_without_javascript_figures_pictures_and_players_stay(
    browser: Any, pages: dict[str, str]
) -> None:
    options = {"viewport": DESK, "java_script_enabled": False}
    with Visit(browser, pages["en"], **options) as visit:
        for selector in ("audio >> nth=0", "img.area >> nth=1", "table.score", ".loudness .area"):
            assert visit.page.locator(selector).is_visible(), selector
        assert not visit.page.locator(".transport").is_visible()


def test_texts_have_contrast(browser: Any, pages: dict[str, str]) -> None:
    """WCAG 2.2 AA: 4.5 to 1 for text, on the paper and on the cards."""
    script = """() => {
      const light = text => {
        const parts = text.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
          .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
      };
      const ground = each => {
        for (; each; each = each.parentElement) {
          const colour = getComputedStyle(each).backgroundColor;
          if (!/, 0\\)$/.test(colour)) return colour;
        }
      };
      const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      const texts = 'p, h1, h2, h3, td, th, small, li, button, .unit, .sides span';
      return [...document.querySelectorAll(texts)]
        .filter(each => each.offsetParent && each.textContent.trim())
        .map(each => [ratio(light(getComputedStyle(each).color), light(ground(each))), each])
        .filter(([found]) => found < 4.5)
        .map(([found, each]) => [found, each.className || each.tagName]);
    }"""
    for scheme in ("light", "dark"):
        with Visit(browser, pages["en"], viewport=DESK, color_scheme=scheme) as visit:
            assert visit.page.evaluate(script) == []

"""Write report.webp: the report of the demo's scene, as a browser shows it.

    python docs/make_report_picture.py

Needs playwright (of the group dev) and a chromium on the path.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import ViewportSize, sync_playwright

from audio_engine.cli.common import Talk
from audio_engine.cli.demo import run_demo

HERE = Path(__file__).resolve().parent
SIZE = ViewportSize(width=1160, height=1500)
MOST_BYTES = 150_000


def shoot(page_path: Path) -> bytes:
    """Return the upper part of a page as PNG."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE)
        page.goto(page_path.as_uri())
        page.locator(".loudness .area").click(position={"x": 400, "y": 40})
        page.mouse.move(0, 0)
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(300)
        picture = page.screenshot()
        browser.close()
    return picture


def main() -> None:
    """Make the picture, as good as its size allows."""
    with tempfile.TemporaryDirectory() as folder:
        run_demo(Path(folder), Talk(quiet=True))
        image = Image.open(io.BytesIO(shoot(Path(folder) / "report.html")))
    path = HERE / "report.webp"
    for quality in (90, 80, 70, 60):
        image.save(path, "WEBP", quality=quality, method=6)
        if path.stat().st_size < MOST_BYTES:
            break
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()

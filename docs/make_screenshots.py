"""Write monitor-80x24.svg and monitor-120x40.svg: the monitor's screen on the demo's scene.

    python docs/make_screenshots.py

The scene is the seeded one of ``audio-engine demo``; the stream runs in real time, so this takes
half a minute and the computing times are those of the machine.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from pathlib import Path

from audio_engine.cli.demo_scene import SAMPLE_RATE_HZ, build_scene
from audio_engine.cli.monitor_screen import MonitorApp
from audio_engine.cli.monitor_session import Choice, Session
from audio_engine.config import EngineConfig
from audio_engine.io.files import open_writer
from audio_engine.io.live.simulated import SimulatedStream

HERE = Path(__file__).resolve().parent
FONTS = "font-family: 'DejaVu Sans Mono', Menlo, Consolas, monospace;"
PRESET = "cohost"
#: Seconds into the scene: the guest's echo is taken away; then the host, far off, begins.
SHOTS = {(80, 24): 10.4, (120, 40): 13.9}


def write_scene(folder: Path) -> tuple[Path, Path]:
    """Write microphone and far end of the scene; return their paths."""
    scene = build_scene()
    paths = folder / "mic.wav", folder / "guest.wav"
    for path, signal in zip(paths, (scene.mic, scene.far), strict=True):
        with open_writer(path, sample_rate_hz=SAMPLE_RATE_HZ, channels=1) as writer:
            writer.write(signal[:, None])
    return paths


async def shoot(mic: Path, far: Path, size: tuple[int, int], seconds: float) -> str:
    """Run the monitor on the scene and return its screen as SVG."""
    config = EngineConfig.preset(PRESET, sample_rate_hz=SAMPLE_RATE_HZ)
    session = Session(
        lambda choice: SimulatedStream(choice.config, mic_path=mic, far_path=far),
        Choice(config=config, preset=PRESET),
    )
    app = MonitorApp(session)
    session.start()
    try:
        async with app.run_test(size=size) as pilot:
            await pilot.press("r")
            while session.stats().uptime_s < seconds:
                await asyncio.sleep(0.02)
            await pilot.pause()
            return app.export_screenshot()
    finally:
        session.finish()


def without_remote_fonts(svg: str) -> str:
    """Return the picture with fonts that are at hand, in place of some from the network."""
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;]*;", FONTS, svg)
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def main() -> None:
    """Make both pictures."""
    os.environ.pop("NO_COLOR", None)
    with tempfile.TemporaryDirectory() as folder:
        mic, far = write_scene(Path(folder))
        os.chdir(folder)  # the recording goes there
        for size, seconds in SHOTS.items():
            svg = asyncio.run(shoot(mic, far, size, seconds))
            path = HERE / f"monitor-{size[0]}x{size[1]}.svg"
            path.write_text(without_remote_fonts(svg), encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()

"""The software devices of the live tests, proved by plain sounddevice streams, no engine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signals import noise
from soundcard import JackRoom, JackServer, SoftwareCard
from soundcard.truth import Break, breaks, find
from waiting import wait_until

TESTS = Path(__file__).resolve().parents[1]
RATE_HZ = 48000

CardMaker = Callable[..., SoftwareCard]
RoomMaker = Callable[..., JackRoom]


def start(env: dict[str, str], **options: Any) -> subprocess.Popen[str]:
    """Start a plain stream in a process of its own."""
    command = [sys.executable, "-m", "soundcard.plain_stream", json.dumps(options)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=TESTS, env=env)


def report(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a plain stream's report."""
    try:
        out, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode in {0, -signal.SIGALRM}, errors
    result: dict[str, Any] = json.loads(out)
    return result


def run(env: dict[str, str], **options: Any) -> dict[str, Any]:
    """Run a plain stream to its end."""
    return report(start(env, **options))


def test_breaks_are_found_where_they_are() -> None:
    wanted = noise(1.0, RATE_HZ, 0.1)
    heard = np.concatenate([np.zeros(700, np.float32), wanted, np.zeros(99, np.float32)])
    assert breaks(wanted, heard) == []
    heard[12000:12480] = 0
    assert breaks(wanted, heard) == [Break(at_frame=12000, frames=480)]
    lost = breaks(wanted, np.delete(heard, np.arange(40000, 40100)))
    assert [piece.at_frame for piece in lost] == [12000, 40000]


def test_duplex_stream_is_whole_and_hears_itself(make_card: CardMaker, tmp_path: Path) -> None:
    card = make_card(echo_gain_db=-20, echo_delay_ms=20)
    far = noise(1.5, RATE_HZ, 0.1)
    np.save(tmp_path / "far.npy", far)
    seen = run(
        card.env, seconds=2, device=["soft_card", "soft_card"],
        play=str(tmp_path / "far.npy"), record=str(tmp_path / "heard.npy"),
    )  # fmt: skip
    assert seen["devices"] == ["soft_card", "soft_speaker", "soft_mic", "soft_loopback"]
    assert breaks(far, card.played()) == []
    heard = np.load(tmp_path / "heard.npy")
    # Both clocks are right, so the echo is the same samples, smaller; one latency later.
    at = find(far, heard)
    assert at > 0.020 * RATE_HZ
    np.testing.assert_allclose(heard[at : at + 48000], 0.1 * far[:48000], atol=1e-4)
    assert card.counters("mic").xruns == card.counters("speaker").xruns == 0
    assert not seen["flags"]


def test_microphone_hears_the_near_end(make_card: CardMaker, tmp_path: Path) -> None:
    near = noise(0.5, RATE_HZ, 0.1, seed=5)
    card = make_card(near=near)
    run(card.env, seconds=1, device=["soft_mic", None], record=str(tmp_path / "heard.npy"))
    heard = np.load(tmp_path / "heard.npy")
    assert len(heard) > RATE_HZ // 2
    turn = find(np.tile(near, 3), heard) % len(near)
    np.testing.assert_array_equal(heard, np.resize(np.roll(near, turn), len(heard)))


def test_two_clocks_shift_the_pitch(make_card: CardMaker, tmp_path: Path) -> None:
    card = make_card(speaker_ppm=300, mic_ppm=-200, echo_gain_db=0)
    tone = np.sin(2 * np.pi * 1000 * np.arange(4 * RATE_HZ) / RATE_HZ).astype(np.float32)
    np.save(tmp_path / "far.npy", 0.5 * tone)
    speaker = start(
        card.env, seconds=2.5, device=[None, "soft_speaker"], play=str(tmp_path / "far.npy")
    )
    wait_until(lambda: card.counters("speaker").starts > 0)
    record = str(tmp_path / "heard.npy")
    assert not run(card.env, seconds=1.2, device=["soft_mic", None], record=record)["flags"]
    report(speaker)
    heard = np.load(record)[RATE_HZ // 4 :]
    # The phase against an exact 1 kHz turns by the clocks' difference.
    beat = heard * np.exp(-2j * np.pi * 1000 * np.arange(len(heard)) / RATE_HZ)
    phase = np.unwrap(np.angle(beat[: len(beat) // 4800 * 4800].reshape(-1, 4800).mean(1)))
    ppm = np.polyfit(np.arange(len(phase)) * 0.1, phase, 1)[0] / (2 * np.pi * 1000) * 1e6
    assert ppm == pytest.approx(500, abs=1)


def test_late_application_has_an_underrun(make_card: CardMaker) -> None:
    card = make_card()
    seen = run(card.env, seconds=2, device=["soft_card", "soft_card"], latency=0.05, sleep_at=40)
    assert card.counters("speaker").xruns + card.counters("mic").xruns > 0
    assert card.counters("speaker").starts > 1
    assert seen["last_s"] > 1.5  # and it goes on


def test_unplugged_device_falls_silent_and_is_not_listed(make_card: CardMaker) -> None:
    card = make_card()
    process = start(card.env, seconds=1.5, device=["soft_card", "soft_card"])
    wait_until(lambda: card.counters("mic").frames > 9600)
    card.unplug("mic")
    seen = report(process)
    assert seen["last_s"] < 1
    names = run(card.env, seconds=0, device=[None, "soft_speaker"])["devices"]
    assert names == ["soft_card", "soft_speaker", "soft_loopback"]  # soft_card: to play on
    card.plug("mic")
    assert "soft_mic" in run(card.env, seconds=0, device=["soft_mic", None])["devices"]


def test_jack_room_plays_all_and_echoes(make_jack_room: RoomMaker, tmp_path: Path) -> None:
    far = noise(1.5, RATE_HZ, 0.1)
    np.save(tmp_path / "far.npy", far)
    with make_jack_room(echo_gain_db=-20) as room:
        seen = run(
            room.env, seconds=2.5, device=["room", "room"], latency=0.01,
            play=str(tmp_path / "far.npy"), record=str(tmp_path / "heard.npy"),
        )  # fmt: skip
    assert "room" in seen["devices"]
    assert breaks(far, room.played) == []
    assert breaks((0.1 * far).astype(np.float32), np.load(tmp_path / "heard.npy")) == []


def test_jack_server_comes_back(jack_server: JackServer) -> None:
    process = start(jack_server.env, seconds=1.2, device=["system", "system"], latency=0.01)
    time.sleep(0.8)
    jack_server.kill()
    assert report(process)["callbacks"] > 0
    jack_server.start()
    assert run(jack_server.env, seconds=0.5, device=["system", "system"])["callbacks"] > 10

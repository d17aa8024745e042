"""The keeper: what it does about a host that starts, fails, falls silent, dies or hangs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from audio_engine.io.live.host import HostJob, HostOpened
from audio_engine.io.live.keeper import HostKeeper

JOB = HostJob(
    role="main",
    address=1,
    memory=(3, 4096, 8192),
    input_device="Headset",
    output_device=None,
    sample_rate_hz=48000,
    input_channels=1,
    output_channels=1,
    block_frames=480,
    latency_s=0.03,
)
OPENED = {
    "status": "opened",
    "input_device": "Headset: USB",
    "output_device": "Speakers",
    "needs_capture": False,
    "input_latency_s": 0.03,
    "output_latency_s": 0.03,
    "block_frames": 480,
    "memory_locked": True,
}


class FakeHost:
    """Says what the test wants."""

    def __init__(self, job: HostJob) -> None:
        self.job = job
        self.says: list[dict[str, Any]] = []
        self.is_alive = True
        self.calls: list[str] = []
        self.ends_cleanly = True

    def poll(self) -> list[dict[str, Any]]:
        said, self.says = self.says, []
        return said

    def alive(self) -> bool:
        return self.is_alive

    def stop(self) -> None:
        self.calls.append("stop")

    def kill(self) -> bool:
        self.calls.append("kill")
        self.is_alive = False
        return self.ends_cleanly


class World:
    """A keeper whose clock, heartbeat and hosts are the test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, restarts: bool = True) -> None:
        self.now_s, self.beats = 100.0, 0
        self.hosts: list[FakeHost] = []
        self.recovered: list[int] = []  # how many hosts had been made by then
        self.opened: list[HostOpened] = []
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)
        self.keeper = HostKeeper(
            JOB,
            start_host=self.start,
            heartbeat=lambda: self.beats,
            block_s=0.01,
            recover=lambda: self.recovered.append(len(self.hosts)),
            opened=self.opened.append,
            restarts=restarts,
        )

    def start(self, job: HostJob) -> FakeHost:
        self.hosts.append(FakeHost(job))
        return self.hosts[-1]

    @property
    def host(self) -> FakeHost:
        return self.hosts[-1]

    def look(self, seconds: float = 0.05, *, beats: int = 5) -> str:
        self.now_s += seconds
        self.beats += beats
        self.keeper.tick()
        return self.keeper.state

    def run(self) -> None:
        self.look(beats=0)
        self.host.says = [dict(OPENED)]
        assert self.look() == "starting"  # opened, and not called yet
        assert self.look() == "running"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_host_runs_when_it_has_opened_and_the_device_calls(world: World) -> None:
    world.look(beats=0)
    assert world.look(beats=0) == "starting"
    world.host.says = [dict(OPENED)]
    assert world.look(beats=0) == "starting"
    assert world.look(beats=1) == "running"
    assert [opened.output_device for opened in world.opened] == ["Speakers"]


def test_a_first_start_that_fails_says_why_and_is_not_repeated(world: World) -> None:
    world.look(beats=0)
    world.host.says = [{"status": "failed", "error": "no such device"}]
    assert world.look(beats=0) == "failed"
    assert world.keeper.error == "no such device"
    for _ in range(50):
        world.look(beats=0)
    assert len(world.hosts) == 1


def test_a_first_start_without_an_answer_fails_in_time(world: World) -> None:
    for _ in range(150):
        world.look(beats=0)
    assert world.keeper.state == "failed"
    assert world.hosts[0].calls == ["kill"]
    assert "does not answer" in world.keeper.error


def test_a_first_host_that_dies_again_and_again_is_given_up(world: World) -> None:
    for _ in range(20):
        world.look(beats=0)
        if world.hosts:
            world.host.is_alive = False
    assert world.keeper.state == "failed"
    assert len(world.hosts) == 3
    assert "ends at once" in world.keeper.error


def test_a_silent_device_is_lost_after_a_quarter_second_and_another_host_starts(
    world: World,
) -> None:
    world.run()
    first = world.host
    world.look()
    assert [world.look(0.05, beats=0) for _ in range(4)] == ["running"] * 4
    assert world.look(0.06, beats=0) == "recovering"
    assert first.calls == ["kill"]
    assert world.recovered == [1]  # after the end of the first, before the start of the second
    assert len(world.hosts) == 2
    assert world.host.job.is_restart
    assert (world.host.job.input_device, world.host.job.output_device) == (
        "Headset: USB",
        "Speakers",
    )
    world.host.says = [dict(OPENED)]
    world.look(beats=0)
    assert world.look() == "running"


def test_a_watchdog_that_was_held_up_does_not_blame_the_device(world: World) -> None:
    world.run()
    assert world.look(3.0, beats=0) == "running"  # it saw nothing for 3 s, because it slept
    assert world.look(0.05, beats=5) == "running"


def test_a_host_that_died_is_replaced_at_once(world: World) -> None:
    world.run()
    world.host.is_alive = False
    assert world.look(beats=0) == "recovering"
    assert len(world.hosts) == 2


def test_a_host_that_waits_for_its_device_is_left_in_peace(world: World) -> None:
    world.run()
    world.host.is_alive = False
    world.look(beats=0)
    for _ in range(200):
        world.host.says = [{"status": "waiting", "error": "gone"}]
        assert world.look(1.0, beats=0) == "recovering"
    assert len(world.hosts) == 2


def test_a_restarting_host_that_hangs_is_replaced(world: World) -> None:
    world.run()
    world.host.is_alive = False
    world.look(beats=0)
    for _ in range(70):
        world.look(0.1, beats=0)
    assert world.hosts[1].calls == ["kill"]
    assert len(world.hosts) == 3


def test_inside_one_process_a_loss_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, restarts=False)
    world.run()
    world.host.ends_cleanly = False
    for _ in range(20):
        world.look(beats=0)
    assert world.keeper.state == "lost"
    assert len(world.hosts) == 1
    assert world.keeper.left_behind


def test_the_end_waits_for_the_host_and_no_longer_than_it_may(world: World) -> None:
    world.run()
    world.host.is_alive = False
    world.keeper.end(world.now_s + 1.0)
    assert world.hosts[0].calls == ["stop", "kill"]
    assert not world.keeper.left_behind
    world.keeper.end(world.now_s)  # nothing is left to end

"""The live stream on the software sound card: real clocks, real overruns, devices that go away.

A machine that stands still for longer than the buffers does break the sound here, as it would on a
real card; the card counts that. So the promise is: no break, or the card had an overrun and the
program said so.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from signals import voice
from soundcard import SoftwareCard
from soundcard.program import Line, Program, is_back, is_lost, is_running, monitor
from soundcard.truth import FarEnd, Samples, breaks

RATE_HZ = 48000
FADE = 960  # at most, where a stream begins and ends
HERE = Path(__file__).resolve().parent
ONE_CARD = {"input_device": "soft_card", "output_device": "soft_card"}
TWO_CARDS = {"input_device": "soft_mic", "output_device": "soft_speaker"}

CardMaker = Callable[..., SoftwareCard]


def check_played(far: Samples, card: SoftwareCard, last: Line) -> None:
    """The far end was played whole, or the card knows why not and the program told of it."""
    speaker = card.counters("speaker")
    if speaker.xruns or speaker.late_frames:
        assert last["xruns"] > 0
    else:
        assert breaks(far, card.played(), edge_frames=FADE) == []
    assert np.count_nonzero(card.played()) > RATE_HZ


def level(samples: Samples) -> float:
    """Root mean square of most tenths of a second: a stall of the machine spoils a few."""
    return float(np.median(samples.reshape(-1, RATE_HZ // 10).std(axis=1)))


def stats_lines(program: Program) -> list[Line]:
    return [line for line in program.lines if "frames" in line]


@pytest.mark.parametrize("in_process", [False, True])
def test_one_card_is_whole(make_card: CardMaker, far_end: FarEnd, in_process: bool) -> None:
    card = make_card(near=voice(1.0, RATE_HZ))
    options = {**ONE_CARD, "far": far_end.path, "latency_ms": 60, "seconds": 2}
    with monitor(card.env, **options, **{"in_process": True} if in_process else {}) as program:
        assert program.end() == 0, program.errors
    last = stats_lines(program)[-1]
    check_played(far_end.samples, card, last)
    assert last["clock"] is None


@pytest.mark.parametrize(("mic_ppm", "speaker_ppm"), [(200, -100), (-50, 50)])
def test_two_clocks_are_bridged(
    make_card: CardMaker, far_end: FarEnd, mic_ppm: float, speaker_ppm: float
) -> None:
    card = make_card(mic_ppm=mic_ppm, speaker_ppm=speaker_ppm, near=voice(1.0, RATE_HZ))
    options = {**TWO_CARDS, "far": far_end.path, "latency_ms": 60, "seconds": 7}
    with monitor(card.env, **options) as program:
        assert program.end() == 0, program.errors
    lines = stats_lines(program)
    check_played(far_end.samples, card, lines[-1])
    drift_ppm = float(np.median([line["drift_ppm"] for line in lines[-8:]]))
    # Good to 20 ppm by now on a machine that is not busy. A stall is taken for drift at first, may
    # end the lock for a moment, and empties the ring.
    assert drift_ppm == pytest.approx(mic_ppm - speaker_ppm, rel=0.5, abs=80)
    clocks = [line["clock"] for line in lines if line["clock"] is not None]
    assert any(clock["locked"] for clock in clocks)
    assert np.median([abs(clock["fill_frames"] - clock["target_frames"]) for clock in clocks]) < 480
    assert clocks[-1]["underruns"] < 10


def test_microphone_unplugged_and_back(make_card: CardMaker, far_end: FarEnd) -> None:
    card = make_card(near=voice(1.0, RATE_HZ), loopback=False)
    with monitor(card.env, **TWO_CARDS, far=far_end.path, latency_ms=60) as program:
        program.wait_for(is_running)
        time.sleep(1)
        card.unplug("mic")
        program.wait_for(is_lost)
        time.sleep(1)
        before = card.counters("mic").frames
        card.plug("mic")
        program.wait_for(is_back)
        time.sleep(1)
        assert card.counters("mic").frames > before
        program.send(signal.SIGINT)
        assert program.end() == 130, program.errors
    # The loudspeaker is another card and did not notice.
    check_played(far_end.samples, card, stats_lines(program)[-1])


def test_loudspeaker_unplugged_and_back(
    make_card: CardMaker, tmp_path: Path, far_end: FarEnd
) -> None:
    card = make_card(near=voice(1.0, RATE_HZ))
    record = tmp_path / "take.wav"
    with monitor(card.env, **TWO_CARDS, far=far_end.path, record=record) as program:
        program.wait_for(is_running)
        card.unplug("speaker")
        program.wait_for(is_lost)
        time.sleep(1)
        silent = len(card.played())
        card.plug("speaker")
        program.wait_for(is_back)
        time.sleep(1)
        program.send(signal.SIGINT)
        assert program.end() == 130, program.errors
    assert np.count_nonzero(card.played()[silent:]) > RATE_HZ // 2
    assert soundfile.info(record).frames > RATE_HZ


@pytest.mark.parametrize("devices", [ONE_CARD, TWO_CARDS])
def test_other_microphone_takes_over(make_card: CardMaker, devices: dict[str, str]) -> None:
    card = make_card()
    with monitor(card.env, **devices) as program:
        program.wait_for(is_running)
        card.unplug("mic")
        program.wait_for(is_lost)
        back = program.wait_for(is_back)
        assert back["input_device"] == "soft_loopback"
        assert back["output_device"] == devices["output_device"]


def test_far_end_from_a_loopback(make_card: CardMaker, tmp_path: Path, far_end: FarEnd) -> None:
    card = make_card(echo_gain_db=-10)
    record = tmp_path / "take.wav"
    with monitor(card.env, **TWO_CARDS, far=far_end.path) as player:
        player.wait_for(is_running)
        options = {
            "input_device": "soft_mic", "output_device": "none", "loopback": "soft_loopback",
            "seconds": 5, "record": str(record),
        }  # fmt: skip
        with Program([HERE / "use_stream.py", "listen", json.dumps(options)], card.env) as program:
            assert program.end() == 0, program.errors
    last = program.lines[-1]
    assert last["far"]["peak_dbfs"] > -40
    assert last["far_clock"] is not None
    dry, _ = soundfile.read(record.with_name("take-dry.wav"), dtype="float32")
    assert level(dry[-2 * RATE_HZ :, 1]) == pytest.approx(0.05, rel=0.2)
    # The echo is known, and the filter takes it off. What it leaves while the skew is found is
    # noise here, which the net may keep and the leveller lift: not judged.
    assert last["engine"]["echo"]["erle_db"] > 6.0


def test_no_sound_card_at_all_is_status_4(make_card: CardMaker) -> None:
    card = make_card()
    for device in ("speaker", "mic", "loopback"):
        card.unplug(device)
    with monitor(card.env) as program:
        assert program.end() == 4
    assert program.errors.count("\n") == 1


MEMORY = """
import json, re
from audio_engine import LiveStream
with LiveStream(**json.loads('{}')) as stream:
    stream.wait(0.3)
    with open("/proc/self/status") as status:
        locked_kb = int(re.search(r"VmLck:\\s*(\\d+)", status.read())[1])
    print(json.dumps({{"locked_kb": locked_kb, "said": stream.stats().memory_locked}}))
"""


@pytest.mark.parametrize("in_process", [False, True])
def test_only_the_host_locks_its_memory(make_card: CardMaker, in_process: bool) -> None:
    code = MEMORY.format(json.dumps({"in_process": in_process}))
    with Program(["-c", code], make_card().env) as program:
        assert program.end() == 0, program.errors
    (line,) = program.lines
    if in_process:
        assert line["said"] == (line["locked_kb"] > 0)
    else:
        assert line["locked_kb"] == 0  # it may be the memory of a large program

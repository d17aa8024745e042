"""What real hosts do to the far-end reference, and what is left of the near end then.

``python -m benchmarks.far_end_trouble`` plays one scene through the echo canceller with a reference
that is absent, late, jumping, at another rate, full of gaps and so on; then the closed loop, in
which the output comes back as far end. Goals: the near end loses 1 dB at most while it speaks alone
or the reference is of no use, the output is never louder than the microphone for longer than
200 ms, and a loop is never louder than without the canceller and dies away. Exit status 1 if a goal
is missed.

The scene: 0 to 8 s far end alone, to 14 s near end alone, to 20 s both, to 28 s near end alone
while the far end plays into a loudspeaker that is switched off, to 34 s far end alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from audio_engine import EchoCanceller, kernel_build
from benchmarks.echo_scene import (
    EchoPath,
    Signal,
    Talker,
    block_power,
    level_db,
    longest_run,
    louder_blocks,
    room_response,
    tile_gains_db,
)

Record = dict[str, Any]

SECONDS = 34.0
FAR_ALONE_S = ((0.0, 8.0), (28.0, 34.0))
NEAR_ALONE_S = (8.0, 14.0)
BOTH_S = (14.0, 20.0)
OFF_S = (20.0, 28.0)  # the loudspeaker is switched off
FIRST_OFF_S = 1.0  # of which is left out: the canceller has to notice
ERLE_S = ((5.0, 8.0), (31.0, 34.0))
FAR_DBFS = -21.0
ECHO_RETURN_DB = -5.0
NEAR_DBFS = -26.0
NOISE_DBFS = -71.0
DELAY_MS = 120.0
T60_S = 0.3
PACKET_MS = 20

LOOP_SECONDS, LOOP_TALK_S = 20.0, 10.0
LOOP_DELAY_MS = 150.0
LOOP_GAINS_DB = (-12.0, -3.0, 3.0)  # as energy; the loudest resonance is some 8 dB above
LOOP_QUIET_DBFS = -60.0  # what a loop has to come down to; below that levels are not compared

GOAL_NEAR_DB = 1.0
GOAL_LOUDER_MS = 200
GOAL_LOOP_DB = 3.0  # above the plain loop, in 100 ms


@dataclass(slots=True)
class Scene:
    """What is played and heard; `reference` is made from it by a trouble."""

    rate_hz: int
    rng: np.random.Generator
    near: Signal
    played: Signal
    echo: Signal
    noise: Signal
    present: NDArray[np.bool_]  # per 10 ms block: is a reference given at all?

    @property
    def mic(self) -> Signal:
        """What the microphone hears."""
        return self.near + self.echo + self.noise

    def cut(self, window_s: tuple[float, float]) -> slice:
        """Return the frames of a window."""
        return slice(round(window_s[0] * self.rate_hz), round(window_s[1] * self.rate_hz))

    def frames(self, time_ms: float) -> int:
        """Return a time in frames."""
        return round(time_ms * self.rate_hz / 1000.0)

    def play(self, played: Signal, delay_ms: float = DELAY_MS) -> None:
        """Let the loudspeaker play something, and the microphone hear it."""
        rng = np.random.default_rng(5)
        path = EchoPath(self.rate_hz, room_response(self.rate_hz, T60_S, rng), delay_ms)
        self.played = played
        self.echo = 10.0 ** (ECHO_RETURN_DB / 20.0) * path.play(played)
        self.echo[self.cut(OFF_S)] = 0.0


def make_scene(rate_hz: int, seed: int) -> Scene:
    """Make the scene with a perfect reference."""
    rng = np.random.default_rng(seed)
    host, guest = Talker("host", rate_hz, rng), Talker("guest", rate_hz, rng)
    near, far = np.zeros((2, round(SECONDS * rate_hz)))
    blocks = np.ones(round(SECONDS * 100), np.bool_)
    noise = 10.0 ** (NOISE_DBFS / 20.0) * rng.standard_normal(len(near))
    scene = Scene(rate_hz, rng, near, far, far, noise, blocks)
    for window_s in (*FAR_ALONE_S, BOTH_S, OFF_S):
        far[scene.cut(window_s)] = guest.say(window_s[1] - window_s[0], FAR_DBFS, spread_db=0.0)
    for window_s in (NEAR_ALONE_S, BOTH_S, OFF_S):
        near[scene.cut(window_s)] = host.say(window_s[1] - window_s[0], NEAR_DBFS, spread_db=0.0)
    scene.play(far)
    return scene


Trouble = Callable[[Scene], Signal]  # returns the reference; may change what is played and heard


def _clean(scene: Scene) -> Signal:
    return scene.played


def _absent(scene: Scene) -> Signal:
    scene.present[:] = False
    return scene.played


def _absent_at_first(scene: Scene) -> Signal:
    scene.present[: round(100 * BOTH_S[0])] = False
    return scene.played


def _headset(trouble: Trouble) -> Trouble:
    """Let nothing be heard of the loudspeaker, so that whatever is found is chance."""

    def make(scene: Scene) -> Signal:
        reference = trouble(scene)
        scene.echo[:] = 0.0
        return reference

    return make


def _echo_late(delay_ms: float) -> Trouble:
    def make(scene: Scene) -> Signal:
        scene.play(scene.played, delay_ms)
        return scene.played

    return make


def _reference_late(scene: Scene) -> Signal:
    """Give the reference 200 ms after its echo: no filter can use that."""
    late = scene.frames(DELAY_MS + 200.0)
    return np.concatenate([np.zeros(late), scene.played[:-late]])


def _jumping(scene: Scene) -> Signal:
    """Move the reference by 100 ms, there and back, every 3 s."""
    scene.play(scene.played, 250.0)
    time = np.arange(len(scene.played))
    late = np.where(time // (3 * scene.rate_hz) % 2, scene.frames(100.0), 0)
    return np.asarray(scene.played[np.maximum(time - late, 0)])


def _stretched(factor: float, delay_ms: float) -> Trouble:
    """Play the reference at a wrong rate: `factor` as slow."""

    def make(scene: Scene) -> Signal:
        scene.play(scene.played, delay_ms)
        time = np.arange(len(scene.played))
        return np.asarray(np.interp(time / factor, time, scene.played), np.float64)

    return make


def _gaps(scene: Scene) -> Signal:
    """Return the signal with a gap of 20 to 200 ms every second or so."""
    holed, at = scene.played.copy(), 0
    while at < len(holed):
        at += scene.frames(scene.rng.uniform(400.0, 1600.0))
        end = at + scene.frames(scene.rng.uniform(20.0, 200.0))
        holed[at:end] = 0.0
        at = end
    return holed


def _gaps_played(scene: Scene) -> Signal:
    scene.play(_gaps(scene))
    return scene.played


def _packets_repeated(scene: Scene) -> Signal:
    """Conceal one packet in twenty by the one before; the loudspeaker had it right."""
    packet = scene.frames(PACKET_MS)
    repeated = scene.played.copy()
    for at in range(packet, len(repeated) - packet, packet):
        if scene.rng.uniform() < 0.05:
            repeated[at : at + packet] = repeated[at - packet : at]
    return repeated


def _packets_doubled(scene: Scene) -> Signal:
    """Insert a packet twice every 3 s: the reference comes later and later."""
    scene.play(scene.played, 400.0)
    packet, step = scene.frames(PACKET_MS), 3 * scene.rate_hz
    time = np.arange(len(scene.played))
    return np.asarray(scene.played[np.maximum(time - time // step * packet, 0)])


def _louder(scene: Scene) -> Signal:
    return 10.0 * scene.played


def _clipped(scene: Scene) -> Signal:
    return np.clip(scene.played, -0.1, 0.1)


def _own_mic(late_ms: float) -> Trouble:
    def make(scene: Scene) -> Signal:
        late = scene.frames(late_ms)
        heard = np.concatenate([np.zeros(late), scene.mic[: len(scene.played) - late]])
        return scene.played + 0.1 * heard

    return make


def _offset(scene: Scene) -> Signal:
    return scene.played + 0.2


def _not_a_number(scene: Scene) -> Signal:
    """Break 100 ms of every 4 s."""
    broken = scene.played.copy()
    for at in range(2 * scene.rate_hz, len(broken), 4 * scene.rate_hz):
        broken[at : at + scene.frames(100.0)] = np.nan
    return broken


# Name, trouble, whether the reference is of any use
TROUBLES: tuple[tuple[str, Trouble, bool], ...] = (
    ("clean", _clean, True),
    ("headset", _headset(_clean), False),
    ("headset_wrong_rate", _headset(_stretched(44100 / 48000, DELAY_MS)), False),
    ("headset_jumping", _headset(_jumping), False),
    ("absent", _absent, False),
    ("absent_at_first", _absent_at_first, True),
    ("echo_late_200_ms", _echo_late(200.0), True),
    ("echo_late_500_ms", _echo_late(500.0), True),
    ("echo_late_900_ms", _echo_late(900.0), True),
    ("reference_late_200_ms", _reference_late, False),
    ("jumping_100_ms", _jumping, True),
    ("rate_44100_as_48000", _stretched(44100 / 48000, DELAY_MS), False),
    ("rate_48000_as_44100", _stretched(48000 / 44100, DELAY_MS), False),
    ("clock_1_percent_slow", _stretched(1.01, 500.0), False),
    ("gaps_in_both", _gaps_played, True),
    ("gaps_in_reference", _gaps, True),
    ("packets_repeated", _packets_repeated, True),
    ("packets_doubled", _packets_doubled, True),
    ("louder_20_db", _louder, True),
    ("clipped", _clipped, True),
    ("own_mic_0_ms", _own_mic(0.0), True),
    ("own_mic_20_ms", _own_mic(20.0), True),
    ("offset", _offset, True),
    ("not_a_number", _not_a_number, True),
)


def run(scene: Scene, reference: Signal) -> Signal:
    """Return the output, its latency taken off."""
    block = scene.rate_hz // 100
    mic, far = scene.mic.astype(np.float32), reference.astype(np.float32)
    with EchoCanceller(scene.rate_hz) as canceller:
        out = [
            canceller.process(mic[cut], far[cut] if present else None)
            for cut, present in (
                (slice(at * block, (at + 1) * block), present)
                for at, present in enumerate(scene.present)
            )
        ]
        joined = np.concatenate([*out, canceller.flush()])[canceller.latency_frames :]
    return joined.astype(np.float64)


def judge(name: str, scene: Scene, out: Signal, *, useful: bool) -> Record:
    """Measure an output against the scene."""
    finite = bool(np.isfinite(out).all())
    out = np.nan_to_num(out)
    mic, block = scene.mic, scene.rate_hz // 100

    def gain_db(window_s: tuple[float, float]) -> float:
        cut = scene.cut(window_s)
        gains_db = tile_gains_db(scene.near[cut], out[cut], scene.rate_hz)
        return round(float(np.mean(gains_db)), 2)

    def drop_db(window_s: tuple[float, float]) -> float:
        cut = scene.cut(window_s)
        return round(level_db(mic[cut]) - level_db(out[cut]), 2)

    off_s = (OFF_S[0] + FIRST_OFF_S, OFF_S[1])
    loud = block_power(mic, block) > 10.0 ** ((NOISE_DBFS + 10.0) / 10.0)
    record: Record = {
        "case": f"trouble_{name}",
        "near_alone_db": gain_db(NEAR_ALONE_S),
        "near_off_db": gain_db(off_s),
        "near_both_db": gain_db(BOTH_S),
        "level_alone_db": -drop_db(NEAR_ALONE_S),
        "level_off_db": -drop_db(off_s),
        "erle_first_db": drop_db(ERLE_S[0]) if useful else None,
        "erle_last_db": drop_db(ERLE_S[1]) if useful else None,
        "louder_ms": 10 * longest_run(louder_blocks(mic, out, block) & loud),
        "finite": finite,
    }
    judged = ["near_alone_db", "near_off_db", "level_alone_db", "level_off_db"]
    judged += [] if useful else ["near_both_db"]
    missed = [
        f"{key} {record[key]:+.2f}, {-GOAL_NEAR_DB:g} wanted"
        for key in judged
        if record[key] < -GOAL_NEAR_DB
    ]
    record["bounded"] = finite and record["louder_ms"] <= GOAL_LOUDER_MS
    if not record["bounded"]:
        missed.append(f"louder than the microphone for {record['louder_ms']} ms, finite: {finite}")
    return record | {"missed": missed}


@dataclass(slots=True)
class Loop:
    """A loop of loudspeaker, room, microphone, canceller and a network that sends it all back."""

    rate_hz: int
    gain_db: float  # of the whole way round, as energy
    trouble: str  # clean, absent, gaps, jumping

    def run(self, near: Signal, noise: Signal, *, cancel: bool) -> Signal:
        """Return what goes out to the network."""
        block = self.rate_hz // 100
        late = round(LOOP_DELAY_MS * self.rate_hz / 1000.0)
        response = room_response(self.rate_hz, T60_S, np.random.default_rng(6))
        response *= 10.0 ** (ECHO_RETURN_DB / 20.0)
        network = 10.0 ** ((self.gain_db - ECHO_RETURN_DB) / 20.0)
        played = np.zeros(len(near) + len(response))  # begins with as much silence
        out = np.zeros(len(near) + late)  # begins with the way through the network
        rng = np.random.default_rng(7)
        with EchoCanceller(self.rate_hz) as canceller:
            for at in range(0, len(near), block):
                now = slice(len(response) + at, len(response) + at + block)
                played[now] = np.clip(network * out[at : at + block], -1.0, 1.0)
                heard = played[at + 1 : now.stop]
                echo = fftconvolve(heard, response)[len(response) - 1 :][:block]
                mic = np.clip(near[at : at + block] + noise[at : at + block] + echo, -1.0, 1.0)
                far = self._reference(played, now, rng)
                if cancel:
                    mic = canceller.process(mic.astype(np.float32), far).astype(np.float64)
                out[late + at : late + at + block] = mic
        return out[late:]

    def _reference(
        self, played: Signal, now: slice, rng: np.random.Generator
    ) -> NDArray[np.float32] | None:
        if self.trouble == "absent":
            return None
        far = played[now]
        if self.trouble == "gaps" and rng.uniform() < 0.1:
            far = np.zeros(len(far))
        if self.trouble == "jumping" and now.start // (3 * self.rate_hz) % 2:
            step = round(0.1 * self.rate_hz)
            far = played[max(now.start - step, 0) : now.stop - step]
        return far.astype(np.float32)


def judge_loop(loop: Loop, seed: int) -> Record:
    """Run a loop with and without the canceller."""
    rate_hz = loop.rate_hz
    rng = np.random.default_rng(seed)
    near = np.zeros(round(LOOP_SECONDS * rate_hz))
    talk = round(LOOP_TALK_S * rate_hz)
    near[:talk] = Talker("host", rate_hz, rng).say(LOOP_TALK_S, NEAR_DBFS, spread_db=0.0)
    noise = 10.0 ** (NOISE_DBFS / 20.0) * rng.standard_normal(len(near))
    plain, out = (loop.run(near, noise, cancel=cancel) for cancel in (False, True))
    finite = bool(np.isfinite(out).all())
    out = np.nan_to_num(out)
    step = rate_hz // 10
    floor = 10.0 ** (LOOP_QUIET_DBFS / 10.0)
    allowed = np.maximum(block_power(plain, step), floor)
    allowed = np.max([np.roll(allowed, shift) for shift in (-1, 0, 1)], axis=0)
    above_db = float(10.0 * np.log10(np.max(block_power(out, step) / allowed)))
    with EchoCanceller(rate_hz) as canceller:
        late = canceller.latency_frames
    aligned = out[late : late + talk]
    end_dbfs = level_db(out[-rate_hz:])
    record: Record = {
        "case": f"loop_{loop.trouble}_{loop.gain_db:+g}_db",
        "near_loop_db": round(float(np.mean(tile_gains_db(near[:talk], aligned, rate_hz))), 2),
        "peak_dbfs": round(10.0 * float(np.log10(block_power(out, step).max())), 1),
        "plain_peak_dbfs": round(10.0 * float(np.log10(block_power(plain, step).max())), 1),
        "end_dbfs": round(end_dbfs, 1),
        "plain_end_dbfs": round(level_db(plain[-rate_hz:]), 1),
        "above_plain_db": round(above_db, 1),
        "finite": finite,
        "bounded": finite and above_db <= GOAL_LOOP_DB,
    }
    missed = []
    if not record["bounded"]:
        missed.append(f"{above_db:.1f} dB louder than the plain loop, finite: {finite}")
    if loop.trouble != "absent" and end_dbfs > LOOP_QUIET_DBFS:
        missed.append(f"still at {end_dbfs:.1f} dBFS when the near end has been silent for 9 s")
    return record | {"missed": missed}


def measure(rate_hz: int, seed: int, only: str = "") -> Iterator[Record]:
    """Yield one record per case whose name holds `only`."""
    common = {"rate_hz": rate_hz, "seed": seed, "build": kernel_build()}
    for name, trouble, useful in TROUBLES:
        if only in f"trouble_{name}":
            scene = make_scene(rate_hz, seed)
            reference = trouble(scene)
            yield judge(name, scene, run(scene, reference), useful=useful) | common
    for kind in ("clean", "gaps", "jumping", "absent"):
        for gain_db in LOOP_GAINS_DB:
            if only in f"loop_{kind}_{gain_db:+g}_db":
                yield judge_loop(Loop(rate_hz, gain_db, kind), seed) | common


HEADER = (
    f"{'':<30}{'near end alone':>16}{'loudsp. off':>16}{'both':>8}{'ERLE':>8}{'later':>7}"
    f"{'louder':>9}  bounded\n"
    f"{'':<30}{'tiles':>8}{'level':>8}{'tiles':>8}{'level':>8}{'tiles':>8}{'dB':>8}{'dB':>7}{'ms':>9}"
)


def row(record: Record) -> str:
    """Return a record as text."""
    bounded = "yes" if record["bounded"] else "NO"
    missed = "".join(f"\n    goal missed: {text}" for text in record["missed"])
    if record["case"].startswith("loop"):
        return (
            f"{record['case']:<30}near {record['near_loop_db']:6.2f} dB, loudest "
            f"{record['peak_dbfs']:6.1f} dBFS (plain {record['plain_peak_dbfs']:6.1f}), at the end "
            f"{record['end_dbfs']:6.1f} (plain {record['plain_end_dbfs']:6.1f})  {bounded}{missed}"
        )
    erle = [
        f"{value:.1f}" if value is not None else "-"
        for value in (record["erle_first_db"], record["erle_last_db"])
    ]
    return (
        f"{record['case']:<30}{record['near_alone_db']:8.2f}{record['level_alone_db']:8.2f}"
        f"{record['near_off_db']:8.2f}{record['level_off_db']:8.2f}{record['near_both_db']:8.2f}"
        f"{erle[0]:>8}{erle[1]:>7}{record['louder_ms']:>9}  {bounded}{missed}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print a row per case; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=16000, help="sample rate in Hz")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--json", action="store_true", help="one JSON line per record")
    options = parser.parse_args(arguments)
    if not options.json:
        print(HEADER)
    failed = False
    for record in measure(options.rate, options.seed, options.only):
        print(json.dumps(record) if options.json else row(record), flush=True)
        failed |= bool(record["missed"])
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

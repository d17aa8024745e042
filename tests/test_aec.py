"""The echo canceller alone: what hosts do to its far end, closed loops, and its state's age."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import audio_engine as ae
from signals import Signal, echo_of, level_db, near_gain_db, noise, speech

RATE_HZ = 16000
FAR_ALONE_S, NEAR_ALONE_S, BOTH_S = (0, 6), (6, 10), (10, 14)
OFF_S = (14, 18)  # near end alone, the far end plays into a loudspeaker that is switched off
OFF_SETTLED_S = (15, 18)
SECONDS = 18


def cut(window_s: tuple[float, float]) -> slice:
    return slice(round(window_s[0] * RATE_HZ), round(window_s[1] * RATE_HZ))


@dataclass
class Scene:
    near: Signal
    played: Signal
    echo: Signal

    @property
    def mic(self) -> Signal:
        return self.near + self.echo + noise(SECONDS, RATE_HZ, 2e-4)


def scene(delay_ms: float = 60.0, played: Signal | None = None, *, off: bool = True) -> Scene:
    """Both sides at -26 dBFS or so at the microphone; the far end 9 dB louder in the reference."""
    near, far = 0.5 * speech("host", SECONDS), 0.9 * speech("guest", SECONDS)
    near[cut(FAR_ALONE_S)] = 0.0
    far[cut(NEAR_ALONE_S)] = 0.0
    played = far if played is None else played
    echo = echo_of(played, RATE_HZ, delay_ms=delay_ms)
    if off:
        echo[cut(OFF_S)] = 0.0
    return Scene(near, played, echo)


def run(mic: Signal, far: Signal | None) -> Signal:
    """The output in 10 ms blocks, its latency taken off."""
    with ae.EchoCanceller(RATE_HZ) as aec:
        blocks = [slice(at, at + 160) for at in range(0, len(mic), 160)]
        out = [aec.process(mic[at], None if far is None else far[at]) for at in blocks]
        return np.concatenate([*out, aec.flush()])[aec.latency_frames :]


def erle_db(mic: Signal, out: Signal, window_s: tuple[float, float]) -> float:
    return level_db(mic[cut(window_s)]) - level_db(out[cut(window_s)])


def louder_ms(mic: Signal, out: Signal) -> int:
    """Longest time in which the output is more than 3 dB louder than the microphone."""
    power = [np.mean(x[: len(x) // 160 * 160].reshape(-1, 160) ** 2, axis=1) for x in (mic, out)]
    longest = now = 0
    for louder in (power[1] > 2.0 * power[0]) & (power[0] > 1e-6):
        now = now + 10 if louder else 0
        longest = max(longest, now)
    return longest


def late(signal: Signal, frames: int) -> Signal:
    """The signal, so many frames later."""
    return np.concatenate([np.zeros(frames, np.float32), signal[: len(signal) - frames]])


def jumping(far: Signal) -> Signal:
    """100 ms later in every second stretch of 3 s."""
    time = np.arange(len(far))
    return np.asarray(far[np.maximum(time - time // (3 * RATE_HZ) % 2 * 1600, 0)])


def with_gaps(far: Signal) -> Signal:
    holed, rng = far.copy(), np.random.default_rng(4)
    for at in range(8000, len(far), 12000):
        holed[at : at + int(rng.integers(320, 3200))] = 0.0
    return holed


def repeated_packets(far: Signal) -> Signal:
    repeated = far.copy()
    for at in range(6400, len(far) - 320, 6400):
        repeated[at : at + 320] = far[at - 320 : at]
    return repeated


def not_a_number(far: Signal) -> Signal:
    broken = far.copy()
    for at in range(2 * RATE_HZ, len(far), 4 * RATE_HZ):
        broken[at : at + 1600] = np.nan
    return broken


# What becomes of the reference, and how much echo has to go in spite of it.
TROUBLES: dict[str, tuple[Callable[[Signal], Signal], float]] = {
    "clean": (lambda far: far, 40.0),
    "jumping": (jumping, 3.0),
    "gaps": (with_gaps, 6.0),
    "repeated_packets": (repeated_packets, 10.0),
    "10_db_louder": (lambda far: np.float32(3.16) * far, 40.0),
    "clipped": (lambda far: np.clip(far, -0.1, 0.1), 20.0),
    "offset": (lambda far: far + np.float32(0.2), 20.0),
    "not_a_number": (not_a_number, 40.0),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_trouble_in_the_far_end_spares_the_near_end(name: str) -> None:
    trouble, least_erle_db = TROUBLES[name]
    made = scene(delay_ms=160.0)
    out = run(made.mic, trouble(made.played))
    assert np.isfinite(out).all()
    alone = cut(NEAR_ALONE_S)
    assert near_gain_db(made.near[alone], out[alone], RATE_HZ) > -2.0
    assert level_db(out[alone]) > level_db(made.mic[alone]) - 1.5
    assert louder_ms(made.mic, out) <= 50
    assert erle_db(made.mic, out, (3, 6)) > least_erle_db


@pytest.mark.parametrize("delay_ms", [200.0, 500.0, 900.0])
def test_late_echo_goes_and_the_near_end_stays(delay_ms: float) -> None:
    made = scene(delay_ms)
    out = run(made.mic, made.played)
    assert erle_db(made.mic, out, (3, 6)) > 36.0  # the room's noise stays, 44 dB below
    for window_s in (NEAR_ALONE_S, BOTH_S):
        assert near_gain_db(made.near[cut(window_s)], out[cut(window_s)], RATE_HZ) > -2.0


def test_underruns_that_the_loudspeaker_played_too_do_no_harm() -> None:
    made = scene(played=with_gaps(scene().played))
    assert erle_db(made.mic, run(made.mic, made.played), (3, 6)) > 40.0


def test_a_headset_spares_the_near_end() -> None:
    """There is no echo, whatever the far end says."""
    made = scene()
    made.echo[:] = 0.0
    far = speech("guest", SECONDS)[::-1].copy()
    out = run(made.mic, far)
    for window_s in (NEAR_ALONE_S, BOTH_S, OFF_S):
        gain_db = near_gain_db(made.near[cut(window_s)], out[cut(window_s)], RATE_HZ)
        assert gain_db > -0.3
        assert abs(erle_db(made.mic, out, window_s)) < 0.2


def test_nothing_is_done_to_an_echo_without_a_reference() -> None:
    made = scene()
    out = run(made.mic, None)
    assert near_gain_db(made.near[cut(BOTH_S)], out[cut(BOTH_S)], RATE_HZ) > -1.0
    assert abs(erle_db(made.mic, out, (0, SECONDS))) < 0.5


def test_a_reference_that_comes_late_in_the_call_is_learned() -> None:
    far = 0.9 * speech("guest", SECONDS)
    mic = echo_of(far, RATE_HZ) + noise(SECONDS, RATE_HZ, 2e-4)
    with ae.EchoCanceller(RATE_HZ) as aec:
        head = aec.process(mic[cut((0, 10))], None)
        out = np.concatenate([head, aec.process(mic[cut((10, 18))], far[cut((10, 18))])])
    assert abs(erle_db(mic, out, (2, 9))) < 0.5
    assert erle_db(mic, out, (13, 18)) > 35.0


def test_a_loudspeaker_that_is_switched_off_spares_the_near_end() -> None:
    """The filter knows an echo path, the far end goes on, and the microphone hears none of it."""
    made = scene()
    out = run(made.mic, made.played)
    settled = cut(OFF_SETTLED_S)
    assert near_gain_db(made.near[settled], out[settled], RATE_HZ) > -2.5
    assert level_db(out[settled]) > level_db(made.mic[settled]) - 1.5


def test_a_moved_microphone_and_a_delay_jump_are_followed() -> None:
    """Never louder than the microphone for long; 14 dB less after half a second, 35 after 3 s."""
    far = 0.9 * speech("guest", SECONDS)
    paths = [
        echo_of(far, RATE_HZ),
        echo_of(far, RATE_HZ, seed=9),  # moved
        echo_of(far, RATE_HZ, seed=9, delay_ms=140.0),  # and the host's buffers have grown
    ]
    third = len(far) // 3
    echo = np.concatenate([path[third * i : third * (i + 1)] for i, path in enumerate(paths)])
    mic = echo + noise(SECONDS, RATE_HZ, 2e-4)
    out = run(mic, far)
    assert louder_ms(mic, out) <= 50
    for second in (6, 12):
        assert erle_db(mic, out, (second + 0.5, second + 1.0)) > 14.0
    for second in (0, 6, 12):
        assert erle_db(mic, out, (second + 3, second + 6)) > 35.0


def test_the_age_of_the_state_does_not_matter() -> None:
    """The same half minute at the start and after three minutes of gaps and jumps."""
    made, between = scene(off=False), scene(delay_ms=140.0)
    with ae.EchoCanceller(RATE_HZ) as aec:
        late_by = aec.latency_frames
        young = erle_after(aec, made, late_by)
        for _ in range(10):
            aec.process(between.mic, jumping(with_gaps(between.played)))
        old = erle_after(aec, made, late_by)
    assert young > 36.0
    assert abs(old - young) < 3.0


def erle_after(aec: ae.EchoCanceller, made: Scene, late_by: int) -> float:
    """ERLE in the far end alone, the second time the scene is heard."""
    aec.process(made.mic, made.played)
    out = aec.process(made.mic, made.played)
    return erle_db(late(made.mic, late_by), out, (2, 6))


def in_the_chain(of: Scene, *settings: str) -> Signal:
    """The output of the chain with only echo and noise to do, its latency taken off."""
    config = ae.EngineConfig(sample_rate_hz=RATE_HZ).with_settings(
        {
            "highpass.enabled": "false",
            "agc.enabled": "false",
            "limiter.enabled": "false",
            **dict(each.split("=") for each in settings),
        }
    )
    with ae.Engine(config) as engine:
        out = np.concatenate([engine.process(of.mic, of.played), engine.flush()])
        return np.asarray(out[engine.latency_frames :][: len(of.mic)])


@pytest.mark.parametrize("model", ["small", "large"])
def test_a_net_takes_residual_echo_if_it_may(model: str) -> None:
    made = scene(off=False)
    net = in_the_chain(made, f"ns.model={model}")
    classical = in_the_chain(made, f"ns.model={model}", "echo.residual=classical")
    late_alone = (3.0, 6.0)
    assert erle_db(made.mic, net, late_alone) > 40.0
    assert erle_db(made.mic, classical, late_alone) > 40.0
    both = cut(BOTH_S)  # a net that is deaf to the far end gives the same twice, to the bit
    assert level_db((net - classical)[both]) > level_db(classical[both]) - 45.0
    silent = Scene(made.near, np.zeros_like(made.played), np.zeros_like(made.echo))
    alone = [
        in_the_chain(silent, f"ns.model={model}", f"echo.residual={residual}")
        for residual in ("net", "classical")
    ]
    assert level_db(alone[0]) > -50.0
    assert level_db(alone[0] - alone[1]) < level_db(alone[0]) - 60.0


def test_residual_says_what_there_is() -> None:
    with pytest.raises(ae.ConfigError, match="residual='both' is not known; use classical, net"):
        ae.EchoConfig(residual="both")
    without = [in_the_chain(scene(), f"echo.residual={each}") for each in ("net", "classical")]
    assert np.array_equal(without[0], without[1])  # no net: all of it is the echo stage's


@pytest.mark.parametrize("loop_gain_db", [-12.0, -3.0, 3.0])
def test_a_closed_loop_dies_away(loop_gain_db: float) -> None:
    """What goes out comes back as far end 150 ms later; without the canceller it may howl."""
    quiet = loop_level_db(loop_gain_db, cancel=True)
    assert quiet[0] < -10.0, "while the near end speaks"
    assert quiet[1] < -60.0, "when it is silent"
    howling = loop_level_db(loop_gain_db, cancel=False)
    assert howling[1] < -60.0 if loop_gain_db < -6.0 else howling[1] > -20.0


def loop_level_db(loop_gain_db: float, *, cancel: bool) -> tuple[float, float]:
    """Loudest 100 ms while the near end speaks for 5 s, and the level 4 s after that."""
    near = np.zeros(10 * RATE_HZ, np.float32)
    near[: 5 * RATE_HZ] = 0.5 * speech("host", 5.0)
    near += noise(10.0, RATE_HZ, 2e-4)
    impulse = np.zeros(1600, np.float32)
    impulse[0] = 1.0
    room = 2.0 * echo_of(impulse, RATE_HZ, delay_ms=5.0)  # energy 1
    gain, delay = 10 ** (loop_gain_db / 20), 2400
    far, out = np.zeros(len(near) + 1600, np.float32), np.zeros(len(near) + delay, np.float32)
    with ae.EchoCanceller(RATE_HZ) as aec:
        for at in range(0, len(near), 160):
            played = np.clip(gain * out[at : at + 160], -1, 1)
            far[1600 + at : 1760 + at] = played
            echo = np.convolve(far[at + 1 : at + 1760], room, "valid")
            mic = np.clip(near[at : at + 160] + echo, -1, 1)
            out[delay + at : delay + at + 160] = aec.process(mic, played) if cancel else mic
    heard = out[delay:]
    loudest = max(level_db(heard[at : at + 1600]) for at in range(0, 5 * RATE_HZ, 1600))
    return loudest, level_db(heard[9 * RATE_HZ :])

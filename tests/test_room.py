"""The room mixer through its public face: who hears what, how loud, and what the caller may do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import audio_engine as ae
from audio_engine.errors import ConfigError, FormatError, StreamError
from signals import Signal, noise, speech

RATE_HZ = 16000
BLOCK = RATE_HZ // 100


def gained(audio: Signal, loudness_lufs: float, rate_hz: int = RATE_HZ) -> Signal:
    """Bring a recording to a loudness."""
    now_lufs = ae.measure_loudness(audio, rate_hz).integrated_lufs
    factor = 10.0 ** ((loudness_lufs - now_lufs) / 20.0)
    return np.asarray(audio * factor, np.float32)


def in_turn(seconds: float = 32.0) -> dict[str, Signal]:
    """A hot host and a distant guest, who take turns of 4 s, with the noise of their rooms."""
    turn = np.arange(round(seconds * RATE_HZ)) // (4 * RATE_HZ) % 2
    host = gained(speech("host", seconds), -8.0) * (turn == 0)
    guest = gained(speech("guest", seconds), -38.0) * (turn == 1)
    return {
        "anna": (host + noise(seconds, RATE_HZ, 1e-3, seed=1)).astype(np.float32),
        "ben": (guest + noise(seconds, RATE_HZ, 1e-4, seed=2)).astype(np.float32),
    }


def mixed(
    room: ae.RoomMixer, blocks: dict[str, Signal], sizes: Iterator[int]
) -> tuple[Signal, dict[str, Signal]]:
    """Run whole signals through a room, flush it, and take its latency off."""
    parts, at = [], 0
    frames = len(next(iter(blocks.values())))
    while at < frames:
        size = min(next(sizes), frames - at)
        parts.append(room.process({n: x[at : at + size] for n, x in blocks.items()}))
        at += size
    parts.append(room.flush())
    cut = room.latency_frames
    programme = np.concatenate([part.programme for part in parts])[cut:]
    return programme, {
        name: np.concatenate([part.minus[name] for part in parts])[cut:] for name in blocks
    }


def always(size: int) -> Iterator[int]:
    while True:
        yield size


def two_in(room: ae.RoomMixer) -> ae.RoomMixer:
    room.join("anna", role="host")
    room.join("ben")
    return room


def test_both_are_equally_loud_and_nobody_hears_himself() -> None:
    blocks = in_turn()
    with two_in(ae.RoomMixer(RATE_HZ)) as room:
        programme, minus = mixed(room, blocks, always(BLOCK))
        stats = room.stats()
    turns = programme.reshape(8, -1)[2:]  # after the first turn of each
    loudness = [ae.measure_loudness(turn, RATE_HZ).integrated_lufs for turn in turns]
    assert max(loudness) - min(loudness) < 2.5, loudness
    assert abs(np.mean(loudness) + 18.0) < 1.0, loudness
    own = ae.measure_loudness(minus["ben"].reshape(8, -1)[5], RATE_HZ).integrated_lufs
    assert own < -45.0
    assert stats.participants["anna"].gain_db < -5.0
    assert stats.participants["ben"].gain_db > 15.0
    assert stats.participants["anna"].role == "host"
    assert stats.programme.true_peak_dbtp <= -1.0


@pytest.mark.parametrize("channels", [1, 2])
def test_blocking_changes_no_sample(channels: int) -> None:
    blocks = {name: x[: 6 * RATE_HZ] for name, x in in_turn(8.0).items()}
    if channels == 2:
        blocks["anna"] = np.stack([blocks["anna"], 0.5 * blocks["anna"]], axis=1)
    with two_in(ae.RoomMixer(RATE_HZ, channels, block_frames=BLOCK)) as room:
        whole = mixed(room, blocks, always(10**9))
        assert room.latency_frames == 5 * RATE_HZ // 1000 + 8
    rng = np.random.default_rng(5)
    for sizes in (always(BLOCK), always(10**9), always(999), iter(rng.integers(1, 700, 10**4))):
        with two_in(ae.RoomMixer(RATE_HZ, channels)) as room:
            programme, minus = mixed(room, blocks, sizes)
        np.testing.assert_array_equal(programme, whole[0])
        for name, heard in minus.items():
            np.testing.assert_array_equal(heard, whole[1][name])


def test_array_and_names_are_the_same_room() -> None:
    blocks = in_turn(4.0)
    rows = np.stack(list(blocks.values()))
    with two_in(ae.RoomMixer(RATE_HZ, block_frames=BLOCK)) as room:
        named = [
            room.process({n: x[at : at + BLOCK] for n, x in blocks.items()})
            for at in range(0, 4 * RATE_HZ, BLOCK)
        ]
    for audio in (rows, rows.astype(np.float64), np.stack([rows], axis=2)):
        with two_in(ae.RoomMixer(RATE_HZ, block_frames=BLOCK)) as room:
            for i, want in enumerate(named):
                mix, minus = room.process_array(audio[:, i * BLOCK : (i + 1) * BLOCK])
                np.testing.assert_array_equal(mix, want.programme)
                np.testing.assert_array_equal(minus.reshape(2, -1)[1], want.minus["ben"])


def test_array_rows_follow_the_participants() -> None:
    """The one who comes into a freed place is the last row all the same."""
    rng = np.random.default_rng(1)
    with ae.RoomMixer(RATE_HZ, level_voices=False, block_frames=BLOCK) as room:
        for name in ("a", "b", "c"):
            room.join(name)
        room.process_array(np.zeros((3, BLOCK)))
        room.leave("a")
        room.process_array(np.zeros((2, BLOCK)))
        room.join("d")
        assert room.participants == ("b", "c", "d")
        for _ in range(40):
            quiet = 1e-4 * rng.standard_normal((2, BLOCK))
            talk = 0.1 * rng.standard_normal((1, BLOCK))
            mix, minus = room.process_array(np.concatenate([quiet, talk]))
        assert [name for name, each in room.stats().participants.items() if each.open] == ["d"]
        np.testing.assert_array_equal(minus[0], mix)
        assert np.max(np.abs(minus[2])) < 1e-3 < np.max(np.abs(mix))


def test_who_is_closed_hears_the_very_programme() -> None:
    with two_in(ae.RoomMixer(RATE_HZ)) as room:
        for _ in range(10):
            mix = room.process({"anna": noise(0.01, RATE_HZ, 0.1), "ben": np.zeros(BLOCK)})
        assert mix.minus["ben"] is mix.programme
        assert mix.minus["anna"] is not mix.programme


def test_a_gap_of_everybody_is_silence() -> None:
    with two_in(ae.RoomMixer(RATE_HZ)) as room:
        mix = room.process({}, frames=1000)
        assert mix.programme.shape == (1000,)
        assert not mix.programme.any()


@pytest.mark.parametrize("size", [100, 37, BLOCK])
def test_a_gap_does_not_click(size: int) -> None:
    """A tone with gaps that begin and end anywhere: nothing above what the tone itself moves."""
    tone = 0.3 * np.cos(2.0 * np.pi * 100.0 * np.arange(RATE_HZ) / RATE_HZ)
    with two_in(ae.RoomMixer(RATE_HZ, level_voices=False)) as room:
        heard = []
        for number, at in enumerate(range(0, RATE_HZ, size)):
            block = tone[at : at + size]
            gap = number % 40 in (20, 21, 22)
            blocks = {} if gap else {"ben": block}
            heard.append(room.process(blocks, frames=len(block)).programme)
    mix = np.concatenate(heard)
    assert np.max(np.abs(np.diff(mix))) < 0.3 * 2.0 * np.pi * 100.0 / RATE_HZ * 1.4
    assert np.max(np.abs(np.diff(mix, 2))) < 0.025  # nor a kink that is heard
    assert any(np.max(np.abs(part)) == 0.0 for part in np.array_split(mix[2000:-2000], 400))


def test_a_known_voice_starts_at_its_gain() -> None:
    blocks = in_turn()
    with two_in(ae.RoomMixer(RATE_HZ)) as room:
        mixed(room, blocks, always(BLOCK))
        kept = room.start_gains_db()
    assert kept.keys() == {"anna", "ben"}
    with two_in(ae.RoomMixer(RATE_HZ)) as room:
        assert room.start_gains_db() == {}
    with ae.RoomMixer(RATE_HZ) as room:
        room.join("anna", role="host", start_gain_db=kept["anna"])
        room.join("ben", start_gain_db=kept["ben"])
        assert room.start_gains_db() == pytest.approx(kept)  # until they are heard
        programme, _ = mixed(room, blocks, always(BLOCK))
    first = programme[: 3 * RATE_HZ // 2]
    assert abs(ae.measure_loudness(first, RATE_HZ).max_momentary_lufs + 18.0) < 3.0


def test_speech_probability_is_believed() -> None:
    """What a detector calls noise opens no microphone."""
    hiss = noise(1.0, RATE_HZ, 0.1, seed=4)
    shares = []
    for probability in (0.0, 1.0):
        with two_in(ae.RoomMixer(RATE_HZ, level_voices=False)) as room:
            room.process({"anna": np.zeros(RATE_HZ), "ben": noise(1.0, RATE_HZ, 1e-3)})
            room.process(
                {"anna": np.zeros(RATE_HZ), "ben": hiss}, speech_probability={"ben": probability}
            )
            shares.append(room.stats().participants["ben"].open)
    assert shares == [False, True]


def test_a_detectors_own_answer_is_taken() -> None:
    with (
        two_in(ae.RoomMixer(RATE_HZ)) as room,
        ae.VoiceActivityDetector(sample_rate_hz=RATE_HZ) as detector,
    ):
        block = speech("host", 1.0)[8000 : 8000 + 10 * BLOCK]
        heard = detector.process(block)
        room.process({"anna": block}, speech_probability={"anna": heard[-1]})
        room.process({}, frames=np.int64(BLOCK))  # type: ignore[arg-type]


def test_an_empty_room_is_silent() -> None:
    with ae.RoomMixer(RATE_HZ) as room:
        mix, minus = room.process_array(np.zeros((0, 300), np.float32))
        assert mix.shape == (300,)
        assert not mix.any()
        assert minus.shape == (0, 300)


def test_mute_trim_and_teams_reach_the_mix() -> None:
    voice = gained(speech("guest", 4.0), -18.0)
    levels = {}
    for what in ("plain", "trim", "side", "team", "muted"):
        with ae.RoomMixer(RATE_HZ, level_voices=False) as room:
            room.join("ben", role="teamB" if what in ("side", "team") else "guest")
            if what == "trim":
                room.set("ben", trim_db=-6.0)
            if what == "team":
                room.set_team("teamB", trim_db=-6.0)
            if what == "muted":
                room.set("ben", muted=True)
            programme, _ = mixed(room, {"ben": voice}, always(BLOCK))
        levels[what] = 10.0 * np.log10(np.mean(programme[RATE_HZ:] ** 2.0) + 1e-12)
    assert abs(levels["plain"] - levels["trim"] - 6.0) < 0.2
    assert abs(levels["side"] - levels["team"] - 6.0) < 0.2
    assert levels["muted"] < -119.9


def test_a_role_changes_without_leaving() -> None:
    """A guest is called into a team and stays levelled."""
    blocks = in_turn()
    with two_in(ae.RoomMixer(RATE_HZ)) as room:
        room.process(blocks)
        before = room.stats().participants["ben"]
        room.set("ben", role="teamB")
        after = room.stats().participants["ben"]
        assert (before.role, after.role) == ("guest", "teamB")
        assert before.gain_db == after.gain_db > 10.0


def test_who_comes_hears_nothing_of_who_sat_there() -> None:
    with ae.RoomMixer(RATE_HZ, level_voices=False) as room:
        room.join("anna")
        room.join("ben")
        tone = 0.3 * np.sin(np.arange(RATE_HZ) * 0.2)
        room.process({"anna": tone, "ben": 0.5 * tone[::-1].copy()})
        room.leave("ben")
        room.process({"anna": tone[:BLOCK]})
        room.join("carl")
        mix = room.process({"anna": tone[:100], "carl": np.zeros(100)})
        assert mix.minus["carl"] is mix.programme


def test_a_room_that_empties_gets_small_again() -> None:
    with ae.RoomMixer(RATE_HZ, block_frames=BLOCK) as room:
        for number in range(300):
            room.join(str(number))
        room.process({}, frames=BLOCK)
        for number in range(2, 300):
            room.leave(str(number))
        quiet = np.zeros((2, BLOCK), np.float32)
        for _ in range(3):
            _, minus = room.process_array(quiet)
        assert minus.shape == (2, BLOCK)
        assert room._rows == 2


def test_reset_is_a_new_room_with_the_same_people() -> None:
    blocks = in_turn(4.0)
    with two_in(ae.RoomMixer(RATE_HZ)) as room:
        want, _ = mixed(room, blocks, always(777))
        with pytest.raises(StreamError, match="flushed"):
            room.process(blocks)
        room.reset()
        got, _ = mixed(room, blocks, always(777))
        assert room.participants == ("anna", "ben")
    np.testing.assert_array_equal(got, want)
    with pytest.raises(StreamError, match="closed"):
        room.process(blocks)


def test_wrong_calls_say_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match="block_frames=100 is not 10 ms at 16000 Hz; use 160"):
        ae.RoomMixer(RATE_HZ, block_frames=100)
    with pytest.raises(ConfigError, match=r"duck_db=30 is outside 0 \.\. 24 dB"):
        ae.RoomMixer(RATE_HZ, duck_db=30.0)
    with ae.RoomMixer(RATE_HZ, block_frames=BLOCK) as room:
        room.join("anna")
        with pytest.raises(ConfigError, match="'anna' is in the room already"):
            room.join("anna")
        with pytest.raises(ConfigError, match="role='boss' is not known; there are: host, guest"):
            room.join("ben", role="boss")
        with pytest.raises(ConfigError, match=r"trim_db=20 is outside -24 \.\. 12 dB"):
            room.set("anna", trim_db=20.0)
        with pytest.raises(ConfigError, match="team='teamC' is not known"):
            room.set_team("teamC", trim_db=0.0)
        with pytest.raises(FormatError, match="'ben' is not in the room; there are: anna"):
            room.process({"ben": np.zeros(BLOCK)})
        with pytest.raises(FormatError, match="170 frames; a multiple of block_frames=160"):
            room.process({"anna": np.zeros(170)})
        with pytest.raises(FormatError, match="one length in frames is needed; there are: none"):
            room.process({})
        room.join("ben")
        with pytest.raises(FormatError, match="anna 160, ben 320"):
            room.process({"anna": np.zeros(BLOCK), "ben": np.zeros(2 * BLOCK)})
        with pytest.raises(FormatError, match=r"\(2, frames\)"):
            room.process_array(np.zeros((3, BLOCK)))
        with pytest.raises(FormatError, match="anna 160, ben 160, frames=100"):
            room.process({"anna": np.zeros(BLOCK), "ben": np.zeros(BLOCK)}, frames=100)
        with pytest.raises(FormatError, match="frames=-1 is not a whole number"):
            room.process({}, frames=-1)
        for wrong in (float("nan"), 70, "high", None):
            with pytest.raises(FormatError, match="speech_probability of 'ben' is"):
                room.process({}, frames=BLOCK, speech_probability={"ben": wrong})  # type: ignore[dict-item]
        with pytest.raises(ConfigError, match="muted='no' is not a switch"):
            room.set("ben", muted="no")  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="start_gain_db is for voices"):
            room.join("song", role="music", start_gain_db=3.0)
        with pytest.raises(ConfigError, match="'ben' cannot become music"):
            room.set("ben", role="music")
        with pytest.raises(FormatError, match=r"anna has shape \(160, 2\)"):
            room.process({"anna": np.zeros((BLOCK, 2)), "ben": np.zeros(BLOCK)})

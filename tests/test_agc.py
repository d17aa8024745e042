"""The leveller through its public face: what a session leaves for the next, and its bounds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import audio_engine as ae
from audio_engine.config import AgcConfig
from signals import voice

RATE_HZ = 16000
Signal = NDArray[np.float32]


@pytest.mark.parametrize("level", [0.05, 2.0])
def test_a_talker_known_from_before_is_on_target_at_once(level: float) -> None:
    """Within 2 LU from the first 0.4 s on, where a new talker is further off."""
    talk = level * voice(20.0, RATE_HZ, seed=5)
    with ae.LoudnessLeveler(RATE_HZ) as session:
        session.process(talk)
        kept = session.stats().voice_gain_db
    assert abs(kept) > 3.0
    first_word = int(np.flatnonzero(np.abs(talk) > 0.1 * level * 0.12)[0])
    window = slice(first_word, first_word + round(0.4 * RATE_HZ))
    wanted = talk[window] * 10 ** (kept / 20)
    off_db = []
    for start_db in (kept, 0.0):
        with ae.LoudnessLeveler(RATE_HZ, start_gain_db=start_db) as session:
            assert session.stats().gain_db == pytest.approx(start_db)
            out = session.process(talk)[window]
        off_db.append(20 * np.log10(np.linalg.norm(out) / np.linalg.norm(wanted)))
    assert abs(off_db[0]) < 2.0 < abs(off_db[1])


def test_what_is_kept_leaves_out_guard_and_pause() -> None:
    """At the end of a long pause in noise the gain is low, what is kept is not."""
    talk = 0.1 * voice(14.0, RATE_HZ, seed=5)
    hiss = 0.003 * np.random.default_rng(3).standard_normal(20 * RATE_HZ).astype(np.float32)
    hiss[: len(talk)] += talk
    with ae.LoudnessLeveler(RATE_HZ) as session:
        session.process(hiss)
        stats = session.stats()
    assert stats.gain_db < stats.voice_gain_db - 3.0


def test_the_engine_takes_and_gives_the_start_gain() -> None:
    config = ae.EngineConfig(sample_rate_hz=RATE_HZ).with_settings({"agc.start_gain_db": "9.5"})
    with ae.Engine(config) as engine:
        engine.process(np.zeros(RATE_HZ, np.float32))
        level = engine.stats().agc
    assert level is not None
    assert level.voice_gain_db == pytest.approx(9.5)


def test_start_gain_is_checked() -> None:
    with pytest.raises(ae.ConfigError, match=r"^start_gain_db=40 is outside -26 \.\. 36 dB$"):
        AgcConfig(start_gain_db=40.0)
    with pytest.raises(
        ae.ConfigError,
        match=r"^start_gain_db=20 is outside min_gain_db \.\. max_gain_db, -26 \.\. 12 dB$",
    ):
        AgcConfig(max_gain_db=12.0, start_gain_db=20.0)
    with pytest.raises(ae.ConfigError, match="start_gain_db"):
        ae.LoudnessLeveler(min_gain_db=-3.0, start_gain_db=-9.0)
    assert AgcConfig(start_gain_db=-26.0).start_gain_db == -26.0

"""The test signal: two exponential sweeps with pauses for the room to ring in.

Sweeps after Farina (2000): all of the energy goes into one frequency at a time, so a quiet one is
found in a noisy room; distortion of the loudspeaker comes out before the response, not in it; a
gain control changes the colour but not the time; two of them tell a clock that runs off from a
delay, and an echo from a chance likeness.
"""

from __future__ import annotations

import math

import numpy as np

from audio_engine.processors.audio import AudioArray

LOW_HZ, HIGH_HZ = 100.0, 16000.0
SWEEP_S, PAUSE_S, LEAD_S, TAIL_S = 2.0, 1.3, 0.5, 1.7
LEVEL_DBFS = -26.0  # rms: heard beside a voice, not startling
_FADE_S = 0.1


def sweep_signal(sample_rate_hz: int, level_dbfs: float = LEVEL_DBFS) -> AudioArray:
    """Return the test signal, 7.5 s, shape (frames,), float32.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.
    level_dbfs : float
        Level (rms) of the sweeps, -60 to -3.

    Notes
    -----
    Farina, "Simultaneous measurement of impulse response and distortion with a swept-sine
    technique", AES 108th convention, 2000, equation 1.
    """
    time_s = np.arange(round(SWEEP_S * sample_rate_hz)) / sample_rate_hz
    high_hz = min(HIGH_HZ, 0.45 * sample_rate_hz)
    rate = math.log(high_hz / LOW_HZ) / SWEEP_S
    sweep = np.sin(2.0 * np.pi * LOW_HZ / rate * np.expm1(rate * time_s))
    edge = np.minimum(1.0, np.minimum(time_s, time_s[::-1]) / _FADE_S)
    sweep *= np.sin(0.5 * np.pi * edge)
    sweep *= 10.0 ** (level_dbfs / 20.0) / math.sqrt(float(np.mean(np.square(sweep))))
    lead, pause, tail = (np.zeros(round(s * sample_rate_hz)) for s in (LEAD_S, PAUSE_S, TAIL_S))
    return np.concatenate([lead, sweep, pause, sweep, tail]).astype(np.float32)

"""Bandwidth: whether the sound ends at a cliff below the Nyquist frequency.

A Bluetooth headset in hands-free mode, a telephone line, a driver or a program that raises the rate
leave nothing above 4 or 8 kHz: the spectrum falls off a cliff, and above it is only what rounding
adds. A dull voice or a soft microphone falls slowly, and its noise goes on. Judged is the level
that one frame in fifty exceeds, bin by bin, so a codec that drops quiet treble keeps its hissing
sounds, and counts as what it is. Memory: the spectra. Cost: a sort.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio_engine.analysis.recording import Recording, Signal

_LOWEST_HZ = 2800.0  # telephone: 3.4 kHz
_HIGHEST_SHARE = 0.8  # of the Nyquist frequency: above, it is a converter's or a codec's filter
_LOUD_SHARE = 0.98
_BELOW, _ABOVE = (0.80, 0.93), (1.07, 1.20)  # of the edge; resamplers take a tenth to fall
# A voice falls by 5 dB there, a soft microphone by 8; between two formants a voice may fall by 20,
# but its pauses do not: the lower limit counts where both do.
CLIFF_DB, SURE_CLIFF_DB = 15.0, 30.0
_QUIET_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth:
    """Where the sound ends.

    Attributes
    ----------
    edge_hz : float
        Highest frequency with content; half the rate where there is no cliff.
    cliff_db : float
        How far it falls there, in dB over a third of an octave; 0: no cliff.
    """

    edge_hz: float
    cliff_db: float


def measure_bandwidth(recording: Recording) -> Bandwidth:
    """Look for the steepest fall of the spectrum."""
    power, bins_hz = recording.spectra, recording.bins_hz
    nyquist_hz = recording.sample_rate_hz / 2.0
    loud_db, quiet_db = (
        10.0 * np.log10(np.quantile(power, share, axis=0) + 1e-16)
        for share in (_LOUD_SHARE, _QUIET_SHARE)
    )
    best = Bandwidth(edge_hz=nyquist_hz, cliff_db=0.0)
    for edge_hz in np.arange(_LOWEST_HZ, _HIGHEST_SHARE * nyquist_hz, 50.0).tolist():
        fall_db = _fall(loud_db, bins_hz, edge_hz)
        sure = (
            fall_db >= SURE_CLIFF_DB or min(fall_db, _fall(quiet_db, bins_hz, edge_hz)) >= CLIFF_DB
        )
        if sure and fall_db > best.cliff_db:
            best = Bandwidth(edge_hz=edge_hz, cliff_db=fall_db)
    return best


def _fall(level_db: Signal, bins_hz: Signal, edge_hz: float) -> float:
    """Return how far a spectrum falls at an edge, if nothing comes again above it."""
    last_hz = 0.98 * float(bins_hz[-1])
    below = _mean(level_db, bins_hz, _BELOW[0] * edge_hz, _BELOW[1] * edge_hz)
    above = _mean(level_db, bins_hz, _ABOVE[0] * edge_hz, min(_ABOVE[1] * edge_hz, last_hz))
    rest = float(np.max(level_db[bins_hz >= _ABOVE[0] * edge_hz]))
    return below - max(above, rest - 6.0)


def _mean(level_db: Signal, bins_hz: Signal, low_hz: float, high_hz: float) -> float:
    return float(np.mean(level_db[(bins_hz >= low_hz) & (bins_hz <= high_hz)]))

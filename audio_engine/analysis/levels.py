"""Levels of a short recording: peak, DC, the voice, and the noise between the words.

The noise floor is the mean power of the quietest 0.4 s, by the third percentile of all such
stretches: as long as a pause between two sentences, too long for a gap between two words, so that
neither a voice nor the decay of a room sets it where somebody ever stops talking. Hum has a finding
of its own and is left out. Memory: the recording. Cost: one FFT of 50 ms every 25 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio_engine.analysis.hum import Hum
from audio_engine.analysis.recording import Recording, Signal, a_weighting, decibel

_STRETCH_S = 0.4
_BRIEF_S, _PAUSE_DB = 0.1, 4.0  # steady noise is 1 dB lower in the quietest tenth of a second
_QUIET_SHARE = 0.03
_ACTIVE_DB = 15.0  # frames that lie less below the loud ones belong to the voice (after P.56)
_LOUD_SHARE = 0.95
_HUM_WIDTH_HZ = 45.0  # the main lobe of a 50 ms Hann window, one side
_RUMBLE_HZ, _ABOVE_RUMBLE_HZ = (15.0, 80.0), (100.0, 400.0)
_LOW_HZ, _MIDDLE_HZ = (15.0, 400.0), (500.0, 4000.0)
_BETWEEN_SHARE = 0.15  # of the frames are pauses, for what is not said
_DC_STRETCH_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Levels in dB of full scale; -160 at least.

    Attributes
    ----------
    peak_dbfs : float
        Largest sample of all channels.
    dc : float
        Constant part of the worst channel, -1 to 1.
    noise_dbfs, noise_dba : float
        Noise between the words, hum left out: unweighted above 20 Hz, and A-weighted.
    voice_dbfs, voice_dba : float
        Mean of the frames with the voice in them: unweighted, and A-weighted.
    rumble_dbfs, above_rumble_dbfs : float
        Level between the words from 15 to 80 Hz, and from 100 to 400 Hz.
    noise_tilt_db : float
        Of the noise between the words: level from 15 to 400 Hz over that from 500 Hz to 4 kHz.
    spread_db : float
        A-weighted level of the loudest frames over that of the quietest.
    has_pauses : bool
        False: it never rests for 0.4 s, and the noise is lower than it is said to be.
    """

    peak_dbfs: float
    dc: float
    noise_dbfs: float
    noise_dba: float
    voice_dbfs: float
    voice_dba: float
    rumble_dbfs: float
    above_rumble_dbfs: float
    noise_tilt_db: float
    spread_db: float
    has_pauses: bool


def measure_levels(recording: Recording, hum: Hum | None = None) -> Levels:
    """Measure a recording of half a second or more."""
    weights = a_weighting(recording.bins_hz)
    power, bins_hz = recording.spectra, recording.bins_hz
    heard = bins_hz >= 20.0
    clean = without_hum(power, bins_hz, hum)
    flat, weighted = clean @ heard, clean @ weights
    loud = float(np.quantile(weighted, _LOUD_SHARE))
    active = weighted >= loud * 10.0 ** (-_ACTIVE_DB / 10.0)
    between = weighted <= np.quantile(weighted, _BETWEEN_SHARE)
    rumble, above, low, middle = (
        decibel(float(np.mean(clean[between][:, (bins_hz >= f1) & (bins_hz <= f2)].sum(axis=1))))
        for f1, f2 in (_RUMBLE_HZ, _ABOVE_RUMBLE_HZ, _LOW_HZ, _MIDDLE_HZ)
    )
    noise_dba = decibel(_quiet(recording, weighted, _STRETCH_S))
    brief_dba = decibel(_quiet(recording, weighted, _BRIEF_S))
    return Levels(
        peak_dbfs=decibel(float(np.max(np.abs(recording.audio))) ** 2),
        dc=dc_offset(recording),
        noise_dbfs=decibel(_quiet(recording, flat, _STRETCH_S)),
        noise_dba=noise_dba,
        voice_dbfs=decibel(float(np.mean(flat[active]))),
        voice_dba=decibel(float(np.mean(weighted[active]))),
        rumble_dbfs=rumble,
        above_rumble_dbfs=above,
        noise_tilt_db=low - middle,
        spread_db=decibel(loud) - noise_dba,
        has_pauses=noise_dba - brief_dba <= _PAUSE_DB,
    )


def dc_offset(recording: Recording) -> float:
    """Return the constant part of the worst channel: the median of half seconds, so no plosive."""
    size = max(1, round(_DC_STRETCH_S * recording.sample_rate_hz))
    count = max(1, len(recording.audio) // size)
    parts = np.array_split(recording.audio.astype(np.float64), count)
    medians = np.median([part.mean(axis=0) for part in parts], axis=0)
    return float(medians[np.argmax(np.abs(medians))])


def without_hum(power: Signal, bins_hz: Signal, hum: Hum | None) -> Signal:
    """Return spectra without what hum adds to its bins: they are filled from beside them."""
    if hum is None:
        return power
    lines = [k + 1 for k, level in enumerate(hum.lines_dbfs) if np.isfinite(level)]
    near = np.zeros(len(bins_hz), bool)
    for line in lines:
        near |= np.abs(bins_hz - line * hum.base_hz) <= _HUM_WIDTH_HZ
    if not (~near & (bins_hz > 0.0)).any():
        return power
    level = np.empty_like(power)
    log = np.log(power + 1e-30)
    kept = np.flatnonzero(~near)
    for row in range(len(power)):
        level[row] = np.exp(np.interp(np.arange(len(bins_hz)), kept, log[row, kept]))
    return np.where(near, np.minimum(power, level), power)


def _quiet(recording: Recording, power: Signal, stretch_s: float) -> float:
    """Return the power of the quietest stretches."""
    count = max(1, round(2.0 * stretch_s * recording.sample_rate_hz / recording.frame_size))
    count = min(count, len(power))
    sums = np.convolve(power, np.ones(count) / count, mode="valid")
    return float(np.quantile(sums, _QUIET_SHARE))

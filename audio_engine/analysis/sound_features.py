"""What a second or two of sound looks like: figures that tell speech, music and noise apart.

Every 10 ms the kernels' own judgements (speech probability, music guard) are noted beside a
spectrum of 32 ms; a window of these gives one row of figures. Sources: modulation at a syllable's
pace, low-energy frames and flux after Scheirer & Slaney 1997 ("Construction and evaluation of a
robust multifeature speech/music discriminator"); tones that stand still after Seyerlehner et al.
2007 ("Automatic music detection in television productions"). All at 16 kHz, mono.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from audio_engine.processors.audio import AudioArray

Rows = NDArray[np.float64]

RATE_HZ = 16000
HOP_FRAMES = 160
WINDOW_FRAMES = 512
_HANN = np.hanning(WINDOW_FRAMES)
_LEVEL_OF_FULL_SCALE = 1.0 / np.sum(_HANN**2) / WINDOW_FRAMES  # a spectrum's sum to mean power
_BANDS_HZ = (100.0, 300.0, 600.0, 1000.0, 1600.0, 2500.0, 4000.0, 7000.0)
_BIN_HZ = RATE_HZ / WINDOW_FRAMES
_EDGES = np.rint(np.array(_BANDS_HZ) / _BIN_HZ).astype(np.int64)
_LOW, _HIGH = int(_EDGES[0]), int(_EDGES[-1])
_FLOOR = 1e-9  # -90 dBFS: below any microphone
_SYLLABLES_HZ, _MODULATIONS_HZ = (2.5, 8.0), (0.6, 20.0)
_PITCH_LAGS = slice(40, 200)  # 80 to 400 Hz
_TAPER = np.fft.irfft(np.abs(np.fft.rfft(_HANN, 2 * WINDOW_FRAMES)) ** 2)
_TAPER = _TAPER[_PITCH_LAGS] / _TAPER[0]
_NEIGHBOURS = 10  # bins to each side, 310 Hz: what a peak stands out of
_PEAK = 2.0  # 3 dB out of its neighbourhood
_BEAT_HOPS = (25, 101)  # 240 to 60 beats a minute
_ONSET_SHAPE = np.hanning(7) / np.hanning(7).sum()
_STILL_HOPS = 25  # a tone that keeps its bin for 0.25 s does not glide as a voice does
NAMES = (
    "speech",
    "guard",
    "syllables",
    "low_energy",
    "flux",
    "flux_deviation",
    "flatness",
    "still_tones",
    "centroid_deviation",
    "level_deviation",
    "pitch",
    "pitch_deviation",
    "pulse",
)


@dataclass(frozen=True, slots=True)
class Frames:
    """What is noted of each 10 ms; arrays of one length."""

    speech: Rows  # probability, 0 to 1
    guard: Rows  # 1: the music guard hears notes
    power: Rows  # mean square, full scale 1
    bands: Rows  # [, 7] level of each band in dB
    flux: Rows  # how much the spectrum's shape changed, 0 to 1
    flatness: Rows  # geometric over arithmetic mean in dB, 0: white
    peaks: Rows  # [, bins] 1 where a bin stands out of its neighbours
    centroid: Rows  # octaves over 100 Hz
    pitch: Rows  # height of the autocorrelation at a voice's pitch, 0 to 1

    @classmethod
    def joined(cls, pieces: Sequence[Frames]) -> Self:
        """Return the frames of several pieces as one."""
        return cls(
            *(np.concatenate([getattr(each, item.name) for each in pieces]) for item in fields(cls))
        )

    def __len__(self) -> int:
        return len(self.power)


def frames_of(
    signal: AudioArray, past_spectrum: Rows | None, speech: Rows, guard: Rows
) -> tuple[Frames, Rows]:
    """Look at a piece of signal.

    Parameters
    ----------
    signal : ndarray, shape (hops * 160 + 352,)
        Each spectrum begins with its hop.
    past_spectrum : ndarray, optional
        The shape of the spectrum before the first hop, for its flux.
    speech, guard : ndarray, shape (hops,)
        The kernels' judgements.

    Returns
    -------
    frames : Frames
        One for each hop.
    last_spectrum : ndarray
        For the next piece.
    """
    pieces = np.lib.stride_tricks.sliding_window_view(signal, WINDOW_FRAMES)[::HOP_FRAMES]
    # Twice as long as the window, for the autocorrelation; every other bin is the window's own.
    spectrum = np.fft.rfft(pieces * _HANN, 2 * WINDOW_FRAMES, axis=1)
    fine = spectrum.real**2 + spectrum.imag**2
    power = fine[:, ::2] * 2.0 * _LEVEL_OF_FULL_SCALE
    bins = power[:, _LOW:_HIGH] + _FLOOR / (_HIGH - _LOW)
    shape = np.sqrt(bins / bins.sum(axis=1, keepdims=True))
    before = shape[:1] if past_spectrum is None else past_spectrum
    previous = np.concatenate([before, shape[:-1]])
    flux = 1.0 - np.sum(shape * previous, axis=1)
    octaves = np.log2(np.arange(_LOW, _HIGH) * _BIN_HZ / 100.0)
    around = _neighbourhood(bins)
    frames = Frames(
        speech=speech,
        guard=guard,
        power=np.mean(np.square(pieces[:, :HOP_FRAMES]), axis=1, dtype=np.float64),
        bands=10.0 * np.log10(np.add.reduceat(power, _EDGES, axis=1)[:, :-1] + _FLOOR),
        flux=flux,
        flatness=10.0 * np.log10(np.exp(np.mean(np.log(bins), axis=1)) / np.mean(bins, axis=1)),
        peaks=(bins > _PEAK * around) & (bins > 1e-4 * bins.max(axis=1, keepdims=True)),
        centroid=np.sum(bins * octaves, axis=1) / np.sum(bins, axis=1),
        pitch=_pitch(fine),
    )
    return frames, shape[-1:]


def _neighbourhood(bins: Rows) -> Rows:
    """Return the mean power of the bins around each."""
    from scipy.ndimage import uniform_filter1d

    return np.asarray(uniform_filter1d(bins, 2 * _NEIGHBOURS + 1, axis=1, mode="nearest"))


def _pitch(power: Rows) -> Rows:
    """Return the height of the autocorrelation at a voice's pitch, of padded power spectra."""
    correlation = np.fft.irfft(power, axis=1)[:, : _PITCH_LAGS.stop]
    own = correlation[:, :1] + _FLOOR * WINDOW_FRAMES
    height = np.max(correlation[:, _PITCH_LAGS] / own / _TAPER, axis=1)
    return np.asarray(np.clip(height, 0.0, 1.0))


def figures(frames: Frames, around_bands: Rows) -> Rows:
    """Return the figures of a window, in the order of `NAMES`.

    Parameters
    ----------
    frames : Frames
        The window, 0.5 to 1.5 s.
    around_bands : ndarray, shape (hops, 7)
        Band levels in dB of the same with more on both sides, for what repeats, up to 5 s.
    """
    heard = frames.power > max(1e-3 * float(frames.power.max()), _FLOOR)  # 30 dB under the loudest
    if not heard.any():
        heard[:] = True
    root = np.sqrt(frames.power)
    level_db = 10.0 * np.log10(frames.power + _FLOOR)
    return np.array(
        [
            np.mean(frames.speech > 0.5),
            np.mean(frames.guard),
            _syllables(frames.bands),
            np.mean(root < 0.5 * root.mean()),
            np.mean(frames.flux[heard]),
            np.std(frames.flux[heard]),
            np.mean(frames.flatness[heard]),
            _still_tones(frames.peaks),
            np.std(frames.centroid[heard]),
            np.std(level_db),
            np.mean(frames.pitch[heard]),
            np.std(frames.pitch[heard]),
            _pulse(around_bands),
        ]
    )


def _syllables(bands_db: Rows) -> float:
    """Return how much of what moves in the bands moves at a syllable's pace, weighted by depth."""
    moving = bands_db - bands_db.mean(axis=0)
    strength = np.abs(np.fft.rfft(moving * np.hanning(len(moving))[:, None], axis=0)) ** 2
    hz = np.fft.rfftfreq(len(moving), HOP_FRAMES / RATE_HZ)
    inside = strength[(hz >= _SYLLABLES_HZ[0]) & (hz <= _SYLLABLES_HZ[1])].sum(axis=0)
    whole = strength[(hz >= _MODULATIONS_HZ[0]) & (hz <= _MODULATIONS_HZ[1])].sum(axis=0)
    return float(np.mean(inside / (whole + 1.0)))


def _still_tones(peaks: Rows) -> float:
    """Return how many bins hold a peak for a quarter of a second, as a mean over the window."""
    sums = np.cumsum(np.pad(peaks, ((1, 0), (0, 0))), axis=0, dtype=np.int32)
    if len(peaks) <= _STILL_HOPS:
        return 0.0
    held = (sums[_STILL_HOPS:] - sums[:-_STILL_HOPS]) >= 0.9 * _STILL_HOPS
    return float(np.log1p(np.mean(held.sum(axis=1))))


def _pulse(bands_db: Rows) -> float:
    """Return how regularly the bands' onsets come back, at 60 to 240 a minute; 0 to 1."""
    onsets = np.maximum(np.diff(bands_db, axis=0), 0.0)
    onsets = np.minimum(onsets, 12.0)
    padded = np.pad(onsets, ((3, 3), (0, 0)))
    smooth = sum(_ONSET_SHAPE[k] * padded[k : k + len(onsets)] for k in range(7))
    smooth -= smooth.mean(axis=0)
    size = 2 * len(smooth)
    power = np.sum(np.abs(np.fft.rfft(smooth, size, axis=0)) ** 2, axis=1)
    correlation = np.fft.irfft(power, size)[: len(smooth)]
    lags = np.arange(_BEAT_HOPS[0], min(_BEAT_HOPS[1], len(smooth) // 2))
    if not len(lags) or correlation[0] <= 0.0:
        return 0.0
    share = correlation[lags] / correlation[0] * len(smooth) / (len(smooth) - lags)
    return float(np.clip(np.max(share), 0.0, 1.0))

"""Measure the way out of the loudspeaker and back into the microphone.

Two quiet sweeps are played while the microphone records; a matched filter finds both. Only if the
two are found with the same delay has the microphone heard them: a voice in the room fits once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_engine.errors import DeviceError
from audio_engine.io.live.devices import (
    AudioDevice,
    find_device,
    import_sounddevice,
    list_devices,
    same_card,
)
from audio_engine.io.live.isolated import run_isolated
from audio_engine.io.quiet import silent_stderr
from audio_engine.processors.audio import AudioArray
from audio_engine.processors.stats import Stats

_START_S, _SWEEP_S = 0.3, 0.4  # before the first sweep; one sweep
_GAP_S = 1.2  # from the start of a sweep to that of the next
_LOW_HZ, _HIGH_HZ = 300.0, 6000.0  # what laptops and phones can play
_LEVEL_DBFS = -26.0  # rms: clearly heard beside a voice, not startling
_MAX_DELAY_S = 0.75  # Bluetooth stays below 0.5 s
_AGREE_S = 0.001  # two sweeps 1.2 s apart on clocks 800 ppm apart
_PEAK_OVER_NOISE = 10.0  # the highest of 36000 values of Gaussian noise is 4.3 sigma
_SILENT_DBFS = -120.0  # stands for nothing at all


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTripStats(Stats):
    """What the microphone heard of the loudspeaker.

    Attributes
    ----------
    input_device, output_device : str
        Names.
    heard : bool
        True if the microphone hears the loudspeaker: an echo canceller is needed then.
    round_trip_ms : float or None
        From giving a sample to the sound system to getting it back from it, the way through the
        air included; with blocks of 10 ms and a wanted device latency of 30 ms, as `LiveStream`.
    played_dbfs, heard_dbfs, noise_dbfs : float
        Level (rms) of the sweep as it was played and as it was recorded, and of the microphone
        before it; -120 is silence.
    sample_rate_hz : int
        Rate of the measurement.
    one_clock : bool
        True if both devices belong to one card.
    interrupted : bool
        True if the sound system lost samples meanwhile; measure again.
    """

    input_device: str
    output_device: str
    heard: bool
    round_trip_ms: float | None
    played_dbfs: float
    heard_dbfs: float
    noise_dbfs: float
    sample_rate_hz: int
    one_clock: bool
    interrupted: bool


def measure_round_trip(
    capture: AudioDevice, render: AudioDevice, *, timeout_s: float = 10.0
) -> RoundTripStats:
    """Play two short sweeps and listen for them, in a child process that cannot hang us.

    Parameters
    ----------
    capture, render : AudioDevice
        Microphone and loudspeaker, from `find_device`.
    timeout_s : float
        The measurement takes 4 s.

    Raises
    ------
    DeviceError
        If a device is gone, busy, or does not answer in time.
    """
    found = run_isolated(
        play_and_listen,
        timeout_s,
        input_name=f"{capture.name}, {capture.host_api}",
        output_name=f"{render.name}, {render.host_api}",
    )
    return RoundTripStats(**found)


def play_and_listen(input_name: str, output_name: str) -> dict[str, Any]:
    """Measure in this process; blocks as long as the sound system likes."""
    devices = list_devices()
    capture = find_device(input_name, "input", devices)
    render = find_device(output_name, "output", devices)
    rate_hz = render.default_sample_rate_hz
    signal = _signal(rate_hz)
    render_channels = min(2, render.output_channels)
    with silent_stderr():
        sounddevice = import_sounddevice()
        try:
            recorded = sounddevice.playrec(
                np.repeat(signal[:, np.newaxis], render_channels, axis=1),
                samplerate=rate_hz,
                channels=min(2, capture.input_channels),
                dtype="float32",
                device=(capture.index, render.index),
                blocksize=round(0.01 * rate_hz),
                latency=0.03,
                blocking=True,
            )
            interrupted = bool(sounddevice.get_status())
        except sounddevice.PortAudioError as error:
            raise DeviceError(
                f"{capture} and {render} cannot be opened together at {rate_hz} Hz: {error}"
            ) from None
    found = analyse(np.asarray(recorded, np.float32), rate_hz)
    return {
        "input_device": capture.name,
        "output_device": render.name,
        "sample_rate_hz": rate_hz,
        "one_clock": same_card(capture, render),
        "interrupted": interrupted,
        **found,
    }


def analyse(recorded: AudioArray, sample_rate_hz: int) -> dict[str, Any]:
    """Find the sweeps of `play_and_listen` in what was recorded, shape (frames, channels)."""
    loudest = int(np.argmax(np.sum(np.square(recorded, dtype=np.float64), axis=0)))
    mono = recorded[:, loudest].astype(np.float64)
    sweep = _sweep(sample_rate_hz)
    found = [_delay_frames(mono, sweep, start, sample_rate_hz) for start in _starts(sample_rate_hz)]
    first, second = found
    heard = (
        first is not None
        and second is not None
        and abs(first - second) <= _AGREE_S * sample_rate_hz
    )
    before = mono[: _starts(sample_rate_hz)[0]]
    noise = float(np.mean(np.square(before[len(before) // 3 :])))  # streams start with a click
    level = 0.0
    if heard and first is not None:
        start = _starts(sample_rate_hz)[0] + first
        level = float(np.mean(np.square(mono[start : start + len(sweep)])))
    return {
        "heard": heard,
        "round_trip_ms": 1000.0 * first / sample_rate_hz if heard and first is not None else None,
        "played_dbfs": _LEVEL_DBFS,
        "heard_dbfs": _dbfs(max(level - noise, 0.0)),
        "noise_dbfs": _dbfs(noise),
    }


def _delay_frames(
    mono: NDArray[np.float64], sweep: NDArray[np.float64], start: int, sample_rate_hz: int
) -> int | None:
    """Return the delay of a sweep that was played at `start`; None if it was not heard."""
    span = round(_MAX_DELAY_S * sample_rate_hz)
    heard = mono[start : start + span + len(sweep)]
    size = len(heard) + len(sweep)
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sweep, size))
    match = np.abs(np.fft.irfft(product, size)[:span])
    peak = int(np.argmax(match))
    sigma = float(np.median(match)) / 0.6745  # of a normal distribution; deaf to the peak itself
    # With no noise at all the rest is the sweep's own side lobes, far below.
    return peak if match[peak] > max(_PEAK_OVER_NOISE * sigma, 1e-9) else None


def _signal(sample_rate_hz: int) -> AudioArray:
    starts, sweep = _starts(sample_rate_hz), _sweep(sample_rate_hz)
    signal = np.zeros(starts[-1] + len(sweep) + round(_MAX_DELAY_S * sample_rate_hz))
    for start in starts:
        signal[start : start + len(sweep)] = sweep
    return signal.astype(np.float32)


def _starts(sample_rate_hz: int) -> tuple[int, int]:
    return round(_START_S * sample_rate_hz), round((_START_S + _GAP_S) * sample_rate_hz)


def _sweep(sample_rate_hz: int) -> NDArray[np.float64]:
    """Return a logarithmic sweep (Farina 2000, equation 1), faded in and out over a tenth."""
    time_s = np.arange(round(_SWEEP_S * sample_rate_hz)) / sample_rate_hz
    high_hz = min(_HIGH_HZ, 0.4 * sample_rate_hz)
    rate = math.log(high_hz / _LOW_HZ) / _SWEEP_S
    sweep = np.sin(2 * np.pi * _LOW_HZ / rate * np.expm1(rate * time_s))
    fade = np.minimum(1.0, 10.0 * np.minimum(time_s, time_s[::-1]) / _SWEEP_S)
    sweep *= np.sin(0.5 * np.pi * fade)
    level = math.sqrt(float(np.mean(np.square(sweep))))
    return np.asarray(sweep * 10 ** (_LEVEL_DBFS / 20) / level)


def _dbfs(power: float) -> float:
    return max(10 * math.log10(power), _SILENT_DBFS) if power > 0 else _SILENT_DBFS

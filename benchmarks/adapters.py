"""The package behind the call signatures that benchmark runners use; public API only, no tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import audio_engine as ae

Signal = NDArray[np.float32]


def aec(mic_int16: NDArray[np.int16], far_int16: NDArray[np.int16], rate: int) -> Signal:
    """Cancel the far end from a cold start, as a live stream hears it: `latency_frames` late."""
    with ae.EchoCanceller(sample_rate_hz=rate) as processor:
        return processor.process(mic_int16, far_int16)


def _aec_before(model: str, mic: NDArray[np.int16], far: NDArray[np.int16], rate: int) -> Signal:
    """Cancel echo and suppress noise with a net, as the engine's chain does, and nothing else."""
    config = ae.EngineConfig(sample_rate_hz=rate)
    config = replace(
        config,
        highpass=replace(config.highpass, enabled=False),
        ns=replace(config.ns, model=model),
        agc=replace(config.agc, enabled=False),
        limiter=replace(config.limiter, enabled=False),
        meter=replace(config.meter, enabled=False),
    )
    with ae.Engine(config) as processor:
        return processor.process(mic, far)


def aec_small(mic_int16: NDArray[np.int16], far_int16: NDArray[np.int16], rate: int) -> Signal:
    """Like `aec`, with the noise stage and the small net behind the echo filter."""
    return _aec_before("small", mic_int16, far_int16, rate)


def aec_large(mic_int16: NDArray[np.int16], far_int16: NDArray[np.int16], rate: int) -> Signal:
    """Like `aec`, with the noise stage and the large net behind the echo filter."""
    return _aec_before("large", mic_int16, far_int16, rate)


def ns(x: Signal, rate: int, model: str = "classical") -> Signal:
    """Suppress noise and late reverberation with the default settings."""
    with ae.NoiseSuppressor(sample_rate_hz=rate, model=model) as processor:
        return ae.process_whole(processor, x)


def ns_small(x: Signal, rate: int) -> Signal:
    """Like `ns`, with the small net."""
    return ns(x, rate, "small")


def ns_large(x: Signal, rate: int) -> Signal:
    """Like `ns`, with the large net."""
    return ns(x, rate, "large")


ns_learned = ns_large


def vad(
    x: Signal, rate: int = 16000, model: str = "classical"
) -> tuple[NDArray[np.float64], float]:
    """Return a speech probability per hop, and the hop in seconds."""
    with ae.VoiceActivityDetector(sample_rate_hz=rate, model=model) as detector:
        return np.asarray(detector.process(x), np.float64), 0.01


def vad_small(x: Signal, rate: int = 16000) -> tuple[NDArray[np.float64], float]:
    """Like `vad`, with the small net."""
    return vad(x, rate, "small")


def vad_large(x: Signal, rate: int = 16000) -> tuple[NDArray[np.float64], float]:
    """Like `vad`, with the large net."""
    return vad(x, rate, "large")


vad_learned = vad_large


def leveller(x: Signal, fs: int, target_lufs: float, ceiling_dbtp: float) -> Signal:
    """Level speech loudness and hold the true-peak ceiling; one host from a cold start."""
    config = ae.EngineConfig(sample_rate_hz=fs)
    config = replace(
        config,
        highpass=replace(config.highpass, enabled=False),
        echo=replace(config.echo, enabled=False),
        ns=replace(config.ns, enabled=False),
        agc=replace(config.agc, target_lufs=target_lufs),
        limiter=replace(config.limiter, ceiling_dbtp=ceiling_dbtp),
        meter=replace(config.meter, enabled=False),
    )
    with ae.Engine(config) as engine:
        return ae.process_whole(engine, x)


def meter(x: Signal, fs: int, need: set[str], hop_s: float) -> dict[str, Any]:
    """Measure a programme; the series hold one live reading per `hop_s`."""
    series = bool(need & {"M", "S"})
    hops = int(len(x) / (hop_s * fs)) if series else 0
    ends = [*(int(k * hop_s * fs + 0.5) for k in range(1, hops + 1)), len(x)]  # as the steps end
    momentary, short_term = [], []
    channels = 1 if np.ndim(x) == 1 else np.shape(x)[1]
    with ae.LoudnessMeter(fs, channels=channels, true_peak="TP" in need) as loudness:
        for k, (start, end) in enumerate(pairwise([0, *ends])):
            loudness.process(x[start:end])
            if k < hops:
                reading = loudness.stats()
                momentary.append(max(reading.momentary_lufs, -200.0))
                short_term.append(max(reading.short_term_lufs, -200.0))
        loudness.flush()
        total = loudness.stats()
    return {
        "integrated": total.integrated_lufs,
        "lra": total.loudness_range_lu,
        "true_peak_dbtp": total.true_peak_dbtp if "TP" in need else None,
        "momentary": momentary,
        "shortterm": short_term,
        "hop_s": hop_s,
        "max_momentary": total.max_momentary_lufs,
        "max_shortterm": total.max_short_term_lufs,
    }


class _Room:
    """A room whose voices come levelled, in blocks of 10 ms."""

    def __init__(self, participants: int, fs: int, ceiling_dbtp: float) -> None:
        self._room = ae.RoomMixer(
            fs, level_voices=False, ceiling_dbtp=ceiling_dbtp, block_frames=round(fs / 100)
        )
        for number in range(participants):
            self._room.join(str(number))

    def process(self, block: Signal) -> tuple[Signal, Signal]:
        """Return the programme and everybody's mix without himself."""
        return self._room.process_array(block)


def mixer_factory(n: int, fs: int, ceiling: float) -> _Room:
    """Return a room of `n` guests for blocks of shape (n, fs / 100)."""
    return _Room(n, fs, ceiling)


def lipsync(  # noqa: PLR0917 - the bench's signature
    audio: Signal,
    sample_rate: int,
    t: NDArray[np.float64],
    mouth: Signal,
    cols: Sequence[str],
    audio_t0: float = 0.0,
) -> dict[str, float | None]:
    """Estimate how late the audio is, from all six mouth signals where they are given."""
    whole = set(ae.MOUTH_SIGNALS) <= set(cols)
    signals = ae.MOUTH_SIGNALS if whole else ae.MOUTH_SIGNALS[:1]
    with ae.LipSyncEstimator(sample_rate_hz=sample_rate, signals=signals) as estimator:
        estimator.push_audio(audio, audio_t0)
        estimator.push_mouth(t, np.asarray(mouth)[:, [list(cols).index(name) for name in signals]])
        found = estimator.estimate()
    return {"offset_ms": found.offset_ms, "confidence": found.confidence}


def poison_factory() -> ae.Engine:
    """Return a 48 kHz engine without a far end, as a solo host has it."""
    config = ae.EngineConfig.preset("solo-host", sample_rate_hz=48000)
    return ae.Engine(replace(config, echo=replace(config.echo, enabled=False)))

"""What the suppressor hears in a recording: speech, music, clicks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio_engine.analysis.recording import Recording
from audio_engine.processors.ns import NoiseSuppressor

_SPEAKING = 0.5  # probability
_PEAK = 0.25  # -12 dBFS: what the recording is brought to, so that its level does not matter
_SILENT = 1e-9  # nothing to bring up
_LEAD_S = 1.0  # of what follows, played backwards first: the suppressor has learned the noise then


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Judgement of the whole recording.

    Attributes
    ----------
    speech_share, music_share : float
        Part of the time, 0 to 1.
    transient_count : int
        Key strokes and clicks.
    """

    speech_share: float
    music_share: float
    transient_count: int


def listen(recording: Recording) -> Heard:
    """Run the suppressor over the loudest channel."""
    x = recording.mono.astype(np.float32)
    peak = float(np.max(np.abs(x), initial=0.0))
    if peak > _SILENT:
        x *= np.float32(_PEAK / peak)
    block = recording.sample_rate_hz // 100
    lead = x[: round(_LEAD_S * recording.sample_rate_hz) // block * block][::-1]
    speech, music = [], []
    with NoiseSuppressor(recording.sample_rate_hz, 1, music_guard=True) as suppressor:
        suppressor.process(lead)
        before = suppressor.stats().transient_count
        for start in range(0, len(x) - block + 1, block):
            suppressor.process(x[start : start + block])
            stats = suppressor.stats()
            speech.append(stats.speech_probability > _SPEAKING)
            music.append(stats.music)
        stats = suppressor.stats()
    return Heard(
        speech_share=float(np.mean(speech)) if speech else 0.0,
        music_share=float(np.mean(music)) if music else 0.0,
        transient_count=stats.transient_count - before,
    )

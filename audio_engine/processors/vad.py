"""Voice activity: a speech probability every 10 ms, decisions with hang-over, and stretches."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audio_engine._native import Plan, block_frames
from audio_engine.config import NOISE_MODELS, NoiseConfig, check_format
from audio_engine.errors import ConfigError, StreamError
from audio_engine.processors.audio import AudioArray, as_audio
from audio_engine.processors.closing import Closable
from audio_engine.processors.resample import Resampler
from audio_engine.processors.segments import SpeechSegment, SpeechSegmenter, decisions
from audio_engine.processors.stats import SpeechStats
from audio_engine.processors.steps import suppressor_step

BLOCK_MS = 10


class _Engine(Protocol):
    """Judges one mono block of 10 ms after the other."""

    def judge(self, block: AudioArray) -> float:
        """Return the speech probability of the next block, 0 to 1."""

    def reset(self) -> None:
        """Return to the state of a new object."""

    def close(self) -> None:
        """Free what is held."""


class _KernelEngine:
    """The suppressor's own speech probability; its audio output is not used."""

    def __init__(self, sample_rate_hz: int, model: str = NOISE_MODELS[0]) -> None:
        listening = NoiseConfig(attenuation_limit_db=0.0, dereverb=0.0)
        if model != NOISE_MODELS[0]:  # a net judges what the stages before it leave
            listening = NoiseConfig(model=model)
        steps = [suppressor_step(listening, sample_rate_hz, 1, bus=0, output_bus=0)]
        self._plan = Plan(sample_rate_hz, [1], [0], [0], steps)
        self._unused = np.empty((block_frames(sample_rate_hz), 1), np.float32)

    def judge(self, block: AudioArray) -> float:
        """Return the probability that the suppressor works with."""
        self._plan.process([block[:, np.newaxis]], [self._unused])
        return float(self._plan.report().steps[0].suppressor.speech_probability)

    def reset(self) -> None:
        """Reset the suppressor."""
        self._plan.reset()

    def close(self) -> None:
        """Free the suppressor."""
        self._plan.close()


class _WebRtcEngine:
    """The webrtcvad package, at 16 kHz where it does not know the rate."""

    _MODE = 2  # of 0 .. 3: mode 3 hears less noise as speech, and less speech
    _RATES_HZ = (8000, 16000, 32000, 48000)

    def __init__(self, sample_rate_hz: int) -> None:
        self._native = sample_rate_hz in self._RATES_HZ
        self._rate_hz = sample_rate_hz if self._native else 16000
        self._resampler = None if self._native else Resampler(sample_rate_hz, self._rate_hz)
        self._frames = self._rate_hz * BLOCK_MS // 1000
        self._waiting: AudioArray = np.zeros(0, np.float32)
        self.reset()

    def judge(self, block: AudioArray) -> float:
        """Return 1 or 0: the package decides, and gives no probability."""
        if self._resampler is not None:
            block = self._resampler.process(block)
            block = np.concatenate([self._waiting, block])
        whole = len(block) // self._frames * self._frames
        pcm = (32768.0 * _audible(block[:whole])).clip(-32768, 32767).astype("<i2")
        for start in range(0, whole, self._frames):
            frame = pcm[start : start + self._frames].tobytes()
            self._speech = bool(self._vad.is_speech(frame, self._rate_hz))
        self._waiting = block[whole:]
        return float(self._speech)

    def reset(self) -> None:
        """Begin again with a new detector, which has no reset of its own."""
        import webrtcvad

        self._vad = webrtcvad.Vad(self._MODE)
        self._waiting = np.zeros(0, np.float32)
        self._speech = False
        if self._resampler is not None:
            self._resampler.reset()

    def close(self) -> None:
        """Free the resampler."""
        if self._resampler is not None:
            self._resampler.close()


def _audible(block: AudioArray) -> AudioArray:
    """Return a block with silence for what is no number or beyond +36 dBFS, as in the C graph."""
    return np.where(np.abs(block) <= 64.0, block, np.float32(0.0))


class _EnergyEngine:
    """Level over the running minimum of 3 s: 6 dB over it is 0.5."""

    _MEMORY_BLOCKS = 300

    def __init__(self, sample_rate_hz: int) -> None:
        del sample_rate_hz  # the rule does not depend on it
        self._powers: list[float] = []

    def judge(self, block: AudioArray) -> float:
        """Return the level over the minimum as a probability."""
        power = float(np.mean(_audible(block) ** 2)) + 1e-10
        self._powers = [*self._powers[1 - self._MEMORY_BLOCKS :], power]
        over_db = 10.0 * np.log10(power / min(self._powers))
        return float(1.0 / (1.0 + np.exp(-(over_db - 6.0))))

    def reset(self) -> None:
        """Forget the levels."""
        self._powers = []

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


_ENGINES: dict[str, type[_KernelEngine] | type[_WebRtcEngine] | type[_EnergyEngine]] = {
    "kernel": _KernelEngine,
    "webrtcvad": _WebRtcEngine,
    "energy": _EnergyEngine,
}


class VoiceActivityDetector(Closable):
    """Tell speech from the rest, every 10 ms.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.
    channels : int
        1 to 8; their mean is judged.
    engine : {"kernel", "webrtcvad", "energy"}
        The suppressor's own speech probability, the webrtcvad package for compatibility (any rate,
        through resampling; 0 or 1), or plain level over the noise floor.
    model : {"classical", "small", "large"}
        What the kernel engine judges by: a small classifier of levels and pitch, or the voice
        output of the noise suppressor's small or large net.
    threshold : float
        Probability from which on a block counts as speech, 0 to 1.
    hangover_ms : float
        How long a decision for speech is kept after the last block at or over the threshold, 0 to
        2000. Shorter pauses do not part a stretch of speech.
    min_speech_ms : float
        Stretches that are shorter, without their hang-over, are left out, 0 to 2000.
    lead_ms : float
        How much earlier than its first block a stretch begins, 0 to 500. The kernel engine is sure
        some 30 ms into a word: whoever cuts audio by the stretches wants a lead.

    Raises
    ------
    ConfigError
        If an option is outside its range.
    ModelError
        If the file of a net is missing or damaged.

    Notes
    -----
    A block is judged as soon as its last frame has been given, and never anew; at rates that
    webrtcvad does not know, its answers are later by the resampler's latency. A stretch is known
    when its hang-over is over. Blocking never changes the result.

    Examples
    --------
    >>> import numpy as np
    >>> with VoiceActivityDetector(sample_rate_hz=16000) as detector:
    ...     probabilities = detector.process(np.zeros(1650, np.float32))
    ...     detector.speaking, detector.take_segments()
    (False, [])
    >>> probabilities.shape
    (10,)
    """

    def __init__(
        self,
        sample_rate_hz: int = 48000,
        channels: int = 1,
        *,
        engine: str = "kernel",
        model: str = NOISE_MODELS[0],
        threshold: float = 0.5,
        hangover_ms: float = 150.0,
        min_speech_ms: float = 50.0,
        lead_ms: float = 0.0,
    ) -> None:
        check_format(sample_rate_hz, channels)
        if engine not in _ENGINES:
            raise ConfigError(f"engine={engine!r} is not known; use {', '.join(_ENGINES)}")
        if model not in NOISE_MODELS:
            raise ConfigError(f"model={model!r} is not known; use {', '.join(NOISE_MODELS)}")
        if model != NOISE_MODELS[0] and engine != "kernel":
            raise ConfigError(f"model={model!r} has no use with engine={engine!r}; use kernel")
        if not 0.0 <= threshold <= 1.0:
            raise ConfigError(f"threshold={threshold} is outside 0 .. 1")
        self.sample_rate_hz = sample_rate_hz
        self.channels = channels
        self.engine = engine
        self.threshold = threshold
        self.hangover_ms = _checked_ms("hangover_ms", hangover_ms, 2000.0)
        self.min_speech_ms = _checked_ms("min_speech_ms", min_speech_ms, 2000.0)
        self.lead_ms = _checked_ms("lead_ms", lead_ms, 500.0)
        self.model = model
        self._engine: _Engine = (
            _KernelEngine(sample_rate_hz, model)
            if engine == "kernel"
            else _ENGINES[engine](sample_rate_hz)
        )
        self._segmenter = SpeechSegmenter(
            threshold,
            hangover_blocks=self._hangover_blocks,
            shortest_blocks=-int(-self.min_speech_ms // BLOCK_MS),
            lead_blocks=int(self.lead_ms // BLOCK_MS),
        )
        self._waiting = np.zeros(0, np.float32)
        self._frames = 0
        self._probability = 0.0
        self._flushed = False

    @property
    def latency_frames(self) -> int:
        """Frames of one block: a block is judged as soon as it is complete."""
        return block_frames(self.sample_rate_hz)

    @property
    def speaking(self) -> bool:
        """The decision for the newest block, with the hang-over; `min_speech_ms` does not count."""
        return self._segmenter.speaking

    def process(self, audio: ArrayLike) -> NDArray[np.float32]:
        """Judge every 10 ms block that is complete now.

        Parameters
        ----------
        audio : array_like, shape (frames,) or (frames, channels)
            Any length; the rest of an incomplete block is kept for the next call.

        Returns
        -------
        ndarray of float32, shape (blocks,)
            Speech probability of each block, 0 to 1.

        Raises
        ------
        FormatError
            If shape or dtype do not fit.
        StreamError
            If the detector is closed, or flushed and not reset.
        """
        self._check_open()
        if self._flushed:
            raise StreamError("the stream was flushed; call reset() before the next one")
        mono = as_audio(audio, self.channels).mean(axis=1)
        self._frames += len(mono)
        signal = np.concatenate([self._waiting, mono])
        size = self.latency_frames
        whole = len(signal) // size * size
        self._waiting = signal[whole:]
        probabilities = np.array(
            [self._engine.judge(block) for block in signal[:whole].reshape(-1, size)], np.float32
        )
        self._segmenter.add(probabilities)
        if len(probabilities):
            self._probability = float(probabilities[-1])
        return probabilities

    def flush(self) -> NDArray[np.float32]:
        """Judge the incomplete last block and end the stream; only `reset` or `close` may follow.

        Returns
        -------
        ndarray of float32, shape (0,) or (1,)
            Speech probability of the last block, which silence completes; empty where none waits.
        """
        frames = self._frames
        missing = -len(self._waiting) % self.latency_frames
        last = self.process(np.zeros((missing, self.channels), np.float32))
        self._frames = frames
        self._segmenter.finish()
        self._flushed = True
        return last

    def take_segments(self) -> list[SpeechSegment]:
        """Return the stretches of speech that have ended since the last call.

        Returns
        -------
        list of SpeechSegment
            Start and end in seconds from the start of the stream, in order. The one that is still
            going on comes later, at the latest after `flush`.
        """
        self._check_open()
        block_s = self.latency_frames / self.sample_rate_hz
        given_s = self._frames / self.sample_rate_hz
        return [
            SpeechSegment(start * block_s, min(end * block_s, given_s))
            for start, end in self._segmenter.take()
        ]

    def decide(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        """Turn probabilities into decisions, with the hang-over; the detector's state is not used.

        Parameters
        ----------
        probabilities : array_like, shape (blocks,)
            What `process` returned, from one stream.

        Returns
        -------
        ndarray of bool, shape (blocks,)
            True where there is speech, or was at most `hangover_ms` ago.
        """
        return decisions(probabilities, self.threshold, self._hangover_blocks)

    def segments(self, audio: ArrayLike) -> list[SpeechSegment]:
        """Return where a whole recording holds speech.

        Parameters
        ----------
        audio : array_like, shape (frames,) or (frames, channels)
            The recording; the detector is reset before and after.

        Returns
        -------
        list of SpeechSegment
            Start and end of each stretch in seconds.
        """
        self.reset()
        self.process(audio)
        self.flush()
        found = self.take_segments()
        self.reset()
        return found

    def stats(self) -> SpeechStats:
        """Return the newest probability and decision, and the share of speech so far."""
        self._check_open()
        blocks = self._segmenter.block_count
        return SpeechStats(
            speech_probability=self._probability,
            speaking=self.speaking,
            speech_share=self._segmenter.speech_block_count / blocks if blocks else 0.0,
        )

    def reset(self) -> None:
        """Return to the state of a new detector."""
        self._check_open()
        self._waiting = np.zeros(0, np.float32)
        self._frames = 0
        self._probability = 0.0
        self._flushed = False
        self._segmenter.reset()
        self._engine.reset()

    @property
    def _hangover_blocks(self) -> int:
        return int(self.hangover_ms // BLOCK_MS)

    def _release(self) -> None:
        self._engine.close()

    def __repr__(self) -> str:
        return (
            f"VoiceActivityDetector(sample_rate_hz={self.sample_rate_hz}, "
            f"channels={self.channels}, engine={self.engine!r}, model={self.model!r}, "
            f"threshold={self.threshold}, "
            f"hangover_ms={self.hangover_ms}, min_speech_ms={self.min_speech_ms}, "
            f"lead_ms={self.lead_ms})"
        )


def _checked_ms(name: str, value: float, most: float) -> float:
    if not 0.0 <= value <= most:
        raise ConfigError(f"{name}={value} is outside 0 .. {most:.0f} ms")
    return value

"""Echo cancellation as a processor of its own: echo filter and residual echo suppression."""

from __future__ import annotations

from numpy.typing import ArrayLike

from audio_engine._native import Plan
from audio_engine.config import EchoConfig, NoiseConfig, check_format
from audio_engine.processors.audio import AudioArray
from audio_engine.processors.echo_state import EchoProcessor
from audio_engine.processors.stats import EchoStats
from audio_engine.processors.steps import echo_step, suppressor_step


class EchoCanceller(EchoProcessor):
    """Remove the far end (what the loudspeaker plays) from the microphone signal.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000.
    channels : int
        Microphone channels, 1 to 8; each has its own filter, all share one suppression gain.
    far_channels : int
        Channels of the far end, 1 to 8. One is one reference. Two (stereo loudspeakers) are two:
        each gets an echo path of its own, behind one common delay, for 2.1 times the CPU time of
        the filter. More are mixed down to two: the mean of channels 0, 2, .. and that of 1, 3, ..
    tail_ms : int
        Length of the modelled echo path after the delay, 40 to 480 ms; it grows by half where the
        room rings on.
    max_delay_ms : int
        Longest delay from loudspeaker to microphone that is searched for, 0 to 1000 ms.

    Notes
    -----
    Partitioned-block frequency-domain Kalman filter (Enzner & Vary 2006; Kuech, Mabande & Enzner
    2014), generalised cross-correlation delay search; what the filter leaves is judged by a small
    recurrent net in 28 bands of one STFT, and noise is left as it is. Two
    references share a 2 x 2 covariance per bin and partition (Malik & Enzner 2011): the same signal
    in both costs nothing but time, and after a talker's move from one side to the other most of
    the echo is gone within a second.

    Examples
    --------
    >>> import numpy as np
    >>> far = np.random.default_rng(1).standard_normal(48000).astype(np.float32) * 0.1
    >>> with EchoCanceller(sample_rate_hz=16000) as aec:
    ...     out = aec.process(0.5 * far, far)
    >>> bool(np.sum(out[32000:] ** 2) < 0.01 * np.sum((0.5 * far[32000:]) ** 2))
    True
    """

    def __init__(
        self,
        sample_rate_hz: int = 48000,
        channels: int = 1,
        *,
        far_channels: int = 1,
        tail_ms: int = 240,
        max_delay_ms: int = 1000,
    ) -> None:
        check_format(sample_rate_hz, channels, far_channels)
        config = EchoConfig(tail_ms=tail_ms, max_delay_ms=max_delay_ms)
        steps = [
            echo_step(
                config,
                sample_rate_hz,
                channels,
                bus=0,
                far_bus=1,
                far_channels=far_channels,
                output_bus=0,
            ),
            suppressor_step(
                NoiseConfig(),
                sample_rate_hz,
                channels,
                bus=0,
                output_bus=0,
                echo_step_index=0,
                noise=False,
            ),
        ]
        plan = Plan(sample_rate_hz, [channels, far_channels], [0, 1], [0], steps)
        super().__init__(plan, sample_rate_hz, channels, far_channels)

    def process(self, audio: ArrayLike, far_end: ArrayLike | None = None) -> AudioArray:
        """Process a block of any length.

        Parameters
        ----------
        audio : array_like, shape (frames,) or (frames, channels)
            The microphone signal.
        far_end : array_like, shape (frames,) or (frames, far_channels), optional
            What the loudspeakers play in the same period, full scale +-1.0; None is silence.

        Returns
        -------
        ndarray of float32, the shape of `audio`
            The near end, `latency_frames` late.
        """
        return self._run(audio, far_end)

    def stats(self) -> EchoStats:
        """Return the echo canceller's measurements, of the first channel."""
        echo, suppressor = self._plan.report().steps[0:2]
        return EchoStats.from_report(echo.echo, suppressor.suppressor)

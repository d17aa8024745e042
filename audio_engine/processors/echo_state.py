"""Processors with an echo canceller: what it has learned can be kept for the next session."""

from __future__ import annotations

from audio_engine._native import (
    Kernel,
    echo_state_has_learned,
    load_echo_state,
    save_echo_state,
)
from audio_engine.errors import ConfigError
from audio_engine.processors.base import Processor


class EchoProcessor(Processor):
    """A processor whose plan may hold an echo filter step."""

    @property
    def has_learned_echo(self) -> bool:
        """Whether `save_state` is worth calling.

        True once an echo has been cancelled by 10 dB for 0.3 s at a delay that was found, since
        the start, `load_state` or `reset`.
        """
        return echo_state_has_learned(self._echo_kernels())

    def save_state(self) -> bytes:
        """Return what the echo canceller has learned, for `load_state` in a later session.

        Returns
        -------
        bytes
            Echo path, delay and clock skew of all channels, with a checksum: some 90 kB a channel
            at 48 kHz. Other stages are not in it. It belongs to one loudspeaker, one microphone
            and where they stand; there is little in it before a far end has been heard.

        Raises
        ------
        ConfigError
            If no echo is cancelled here.
        StreamError
            If the processor is closed.
        """
        return save_echo_state(self._echo_kernels())

    def load_state(self, state: bytes) -> None:
        """Start from what an echo canceller learned in an earlier session.

        To be called before the first `process`; later it makes the echo filter forget this
        session. `reset` forgets it again. The delay of the devices may have changed since (it is
        found, and the path brought along, within half a second of far end), and so may the room,
        which is then learned as by a new canceller.

        Parameters
        ----------
        state : bytes
            From `save_state`, of a canceller with the same rate, channels and settings.

        Raises
        ------
        StateError
            If `state` is damaged, no echo state, or does not fit. Nothing has changed then.
        ConfigError
            If no echo is cancelled here.
        StreamError
            If the processor is closed.
        """
        load_echo_state(self._echo_kernels(), state)

    def _echo_kernels(self) -> tuple[Kernel, ...]:
        self._check_open()
        kernels = self._plan.echo_kernels
        if not kernels:
            raise ConfigError("there is no echo state: echo.enabled is false")
        return kernels

"""The exceptions of audio_engine: what was wrong, what was found, what would be right."""

from __future__ import annotations


class AudioEngineError(Exception):
    """Base of every error that audio_engine raises on purpose."""


class ConfigError(AudioEngineError, ValueError):
    """A configuration field, preset name or parameter is outside what is allowed."""


class FormatError(AudioEngineError, ValueError):
    """Audio data has a shape, type or rate that cannot be processed."""


class StateError(AudioEngineError, ValueError):
    """A saved state cannot be used; what was to be started from it is unchanged.

    Attributes
    ----------
    reason : str
        ``foreign`` (not a state at all), ``version``, ``damaged``, ``shape`` (of another kind of
        canceller) or ``unsound`` (values out of bounds).
    """

    def __init__(self, text: str, *, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class ModelError(AudioEngineError):
    """A net's model file is missing, damaged, or of another version."""


class ModelWarning(UserWarning):
    """A net's model file cannot be used, and work goes on with less."""


class InputFileError(FormatError):
    """A file cannot be read as audio."""


class DeviceError(AudioEngineError):
    """An audio device is missing, busy or lost."""


class StreamError(AudioEngineError, RuntimeError):
    """A processor or stream was used in a state that does not allow it (closed, flushed)."""


class OutputFileError(AudioEngineError):
    """A file cannot be written: no permission, no space."""


class WorkerError(AudioEngineError):
    """A worker process or a cluster cannot be used, or was lost."""

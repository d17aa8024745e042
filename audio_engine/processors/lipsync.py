"""How late the sound of a talking face is against its picture, from audio and mouth signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audio_engine._native import Kernel, ffi, lib, pointer
from audio_engine.config import METER_MAX_RATE_HZ, check_format
from audio_engine.errors import ConfigError, FormatError
from audio_engine.processors.audio import as_audio
from audio_engine.processors.closing import Closable

#: The mouth signals by name, each over the distance between the eyes: gap between the lips, width,
#: area of the gap, outer height, nose to chin; and the mean difference of two mouth pictures.
MOUTH_SIGNALS = ("openness", "width", "area", "outer", "chin", "motion")
#: Features of the sound: mel bands.
AUDIO_FEATURES = int(lib.AE_LIP_FEATURES)
#: What the confidence is made of, in the order of `LipSyncWeights.confidence` after its bias:
#: (peak - second) / peak, the peak's score, ln of the seconds with a face, how near each half of
#: the window is to its own peak there, ln of the seconds of voice with a face.
CUES = ("contrast", "level", "log_face_s", "halves", "log_voiced_s")

_REASONS = {
    lib.AE_LIP_ANSWER: "",
    lib.AE_LIP_TOO_SHORT: "too short",
    lib.AE_LIP_NO_FACE: "no face",
    lib.AE_LIP_NO_SPEECH: "no speech",
    lib.AE_LIP_FROZEN: "frozen",
    lib.AE_LIP_DUBBED: "dubbed",
    lib.AE_LIP_AMBIGUOUS: "ambiguous",
}
_MIN_WINDOW_S, _MAX_WINDOW_S = 5.0, 60.0
_MIN_LAG_MS, _MAX_LAG_MS = 300.0, 2500.0
_FRAMES_AT_ONCE = 1 << 24  # of one kernel call: an int there

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LipSyncEstimate:
    """What the newest window says.

    Attributes
    ----------
    offset_ms : float or None
        **Above 0: the audio is late.** (ITU-R BT.1359 and EBU R37 print the opposite sign.) None
        when there is nothing to go by, a best guess when `confidence` is below 0.5.
    confidence : float
        0 to 1, the calibrated chance that the error is below 80 ms; 0.5 and more is an answer.
    reason : str
        Empty for an answer, otherwise ``"too short"``, ``"no speech"``, ``"no face"``,
        ``"frozen"``, ``"dubbed"`` or ``"ambiguous"``.
    drift_ms_per_s : float or None
        Slope of the offset over the last 15 s and more; None before that.
    """

    offset_ms: float | None
    confidence: float
    reason: str
    drift_ms_per_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LipSyncWeights:
    """The numbers of a lip-sync model: two linear projections and a confidence.

    Attributes
    ----------
    signals : tuple of str
        Names of the mouth signals, in the order of `mouth`.
    audio : ndarray of float32, shape (components, taps, 24)
        Projection of the sound's features: mel bands in dB.
    mouth : ndarray of float32, shape (components, taps, signals)
        Projection of the mouth's signals.
    weight : ndarray of float32, shape (components,)
        How much each pair of projections counts, 0 to 1.
    confidence : ndarray of float32, shape (6,)
        Logistic coefficients: bias, and one for each of `CUES`.
    audio_step, mouth_step : int
        10 ms frames between taps, which are centred; even.
    bias_ms : float
        What the projections find when sound and picture are in step.
    """

    signals: tuple[str, ...]
    audio: Floats
    mouth: Floats
    weight: Floats
    confidence: Floats
    audio_step: int = 4
    mouth_step: int = 6
    bias_ms: float = 0.0

    def __post_init__(self) -> None:
        components = np.shape(self.weight)[0] if np.ndim(self.weight) == 1 else -1
        shapes = {
            "audio": (components, None, lib.AE_LIP_FEATURES),
            "mouth": (components, None, len(self.signals)),
            "weight": (components,),
            "confidence": (lib.AE_LIP_CUES + 1,),
        }
        for name, wanted in shapes.items():
            values = np.ascontiguousarray(getattr(self, name), np.float32)
            fits = len(wanted) == values.ndim and all(
                size is None or size == found
                for size, found in zip(wanted, values.shape, strict=True)
            )
            if not fits:
                text = ", ".join("taps" if size is None else str(size) for size in wanted)
                raise ConfigError(f"{name} has shape {values.shape}; ({text}) is expected")
            object.__setattr__(self, name, values)
        if not lib.ae_lip_model_is_valid(self._model()[0]):
            raise ConfigError(
                "lip-sync weights out of range: 1 .. 8 signals, 1 .. 24 components, an odd number "
                "of taps up to 21 that reach 0.6 s in even steps, weights 0 .. 1 with one above "
                "0, finite numbers"
            )

    @classmethod
    def trained(cls, signals: Sequence[str] = ("openness",)) -> Self:
        """Return the built-in model for the lip gap alone or for all six mouth signals."""
        return cls._from_model(lib.ae_lip_model_trained(len(signals)), _known(signals))

    @classmethod
    def untrained(cls, signals: Sequence[str] = ("openness",)) -> Self:
        """Return weights set by hand: rising sound with opening lips, formant with gap."""
        return cls._from_model(lib.ae_lip_model_untrained(len(signals)), _known(signals))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        FormatError
            If the file holds something else.
        ConfigError
            If a number in it is out of range.
        """
        try:
            with np.load(path) as file:
                tables = {field.name: file[field.name] for field in fields(cls)}
        except (KeyError, ValueError, EOFError, BadZipFile) as error:
            raise FormatError(f"{path} holds no lip-sync weights: {error}") from error
        return cls(
            signals=tuple(str(name) for name in tables["signals"]),
            audio=tables["audio"],
            mouth=tables["mouth"],
            weight=tables["weight"],
            confidence=tables["confidence"],
            audio_step=int(tables["audio_step"]),
            mouth_step=int(tables["mouth_step"]),
            bias_ms=float(tables["bias_ms"]),
        )

    def save(self, path: str | Path) -> None:
        """Write the weights as .npz."""
        with open(path, "wb") as file:  # under that name: of a path, savez would make another
            tables: dict[str, Any] = {f.name: np.array(getattr(self, f.name)) for f in fields(self)}
            np.savez(file, **tables)

    @classmethod
    def _from_model(cls, model: Any, signals: tuple[str, ...]) -> Self:
        count = model.components
        return cls(
            signals=signals,
            audio=_table(model.audio, count, model.audio_taps, lib.AE_LIP_FEATURES),
            mouth=_table(model.mouth, count, model.mouth_taps, model.mouth_signals),
            weight=_table(model.weight, count),
            confidence=_table(model.confidence, lib.AE_LIP_CUES + 1),
            audio_step=model.audio_step,
            mouth_step=model.mouth_step,
            bias_ms=model.bias_ms,
        )

    def _model(self) -> tuple[Any, list[Any]]:
        """Return the C struct and what must be kept alive with it."""
        tables = [pointer(t) for t in (self.audio, self.mouth, self.weight, self.confidence)]
        model = ffi.new(
            "ae_lip_model *",
            {
                "mouth_signals": len(self.signals),
                "components": len(self.weight),
                "motion": self.signals.index("motion") if "motion" in self.signals else -1,
                "audio_taps": self.audio.shape[1],
                "mouth_taps": self.mouth.shape[1],
                "audio_step": self.audio_step,
                "mouth_step": self.mouth_step,
                "audio": tables[0],
                "mouth": tables[1],
                "weight": tables[2],
                "confidence": tables[3],
                "bias_ms": self.bias_ms,
            },
        )
        return model, tables


class LipSyncEstimator(Closable):
    """Estimate how late the sound of a talking face is, from a stream of audio and mouth signals.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 192000.
    signals : sequence of str
        What `push_mouth` will get, in order: ``("openness",)`` or all of `MOUTH_SIGNALS` in any
        order. With `weights` exactly theirs.
    window_s : float
        How much of the newest past an estimate uses, 5 to 60 s. A drift of the offset blurs a long
        window.
    max_lag_ms : float
        Offsets are searched up to this far to either side, 300 to 2500 ms.
    weights : LipSyncWeights, optional
        Instead of the built-in ones.

    Raises
    ------
    ConfigError
        If a value is out of range.

    Notes
    -----
    **offset_ms > 0 means that the audio is late**; ITU-R BT.1359 and EBU R37 print the opposite
    sign. Audio and mouth may be pushed in any pieces and up to 60 s apart; neither changes the
    estimate. It is of the newest instant that both have reached. Method: csrc/ae_lipsync.h.

    Examples
    --------
    >>> import numpy as np
    >>> with LipSyncEstimator(sample_rate_hz=16000) as estimator:
    ...     estimator.push_audio(np.zeros(16000), time_s=0.0)
    ...     estimator.push_mouth(np.arange(0.0, 1.0, 0.04), np.zeros(25))
    ...     estimator.estimate().reason
    'too short'
    """

    def __init__(
        self,
        *,
        sample_rate_hz: int = 48000,
        signals: Sequence[str] = ("openness",),
        window_s: float = 20.0,
        max_lag_ms: float = 1300.0,
        weights: LipSyncWeights | None = None,
    ) -> None:
        check_format(sample_rate_hz, max_rate_hz=METER_MAX_RATE_HZ)
        _check_range("window_s", window_s, _MIN_WINDOW_S, _MAX_WINDOW_S, "s")
        _check_range("max_lag_ms", max_lag_ms, _MIN_LAG_MS, _MAX_LAG_MS, "ms")
        self.sample_rate_hz = sample_rate_hz
        self.signals = (signals,) if isinstance(signals, str) else tuple(signals)
        self.window_s = float(window_s)
        self.max_lag_ms = float(max_lag_ms)
        order = _known(self.signals) if weights is None else weights.signals
        if sorted(order) != sorted(self.signals):
            raise ConfigError(f"signals={self.signals} are not those of the weights, {order}")
        self._columns = [self.signals.index(name) for name in order]
        model, keep = (LipSyncWeights.trained(order) if weights is None else weights)._model()
        self._kernel = Kernel(
            "lipsync",
            sample_rate_hz=sample_rate_hz,
            window_s=self.window_s,
            max_lag_ms=self.max_lag_ms,
            model=model,
        )
        del keep  # the kernel has its own copy

    def push_audio(self, audio: ArrayLike, time_s: float | None = None) -> None:
        """Take in sound.

        Parameters
        ----------
        audio : array_like, shape (frames,)
            Mono. Not modified. Non-finite samples count as missing.
        time_s : float, optional
            Time of the first frame; None: right after the last one (0 at the start). Stamps within
            50 ms of that are averaged, later ones leave a hole, earlier ones are of sound that is
            there already, which is left out; more than 1 s earlier starts anew.

        Raises
        ------
        FormatError
            If shape, dtype or time do not fit.
        StreamError
            If the estimator is closed.
        """
        self._check_open()
        frames = as_audio(audio, 1)
        if time_s is not None and not np.isfinite(time_s):
            raise FormatError(f"time_s={time_s} is not finite")
        stamp = np.nan if time_s is None else float(time_s)
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            part = frames[start : start + _FRAMES_AT_ONCE]
            self._kernel.call("push_audio", pointer(part), len(part), stamp)
            stamp = np.nan

    def push_mouth(self, time_s: ArrayLike, mouth: ArrayLike, *, cut: bool = False) -> None:
        """Take in mouth signals.

        Parameters
        ----------
        time_s : float or array_like, shape (pictures,)
            Time stamps of the pictures on the audio's clock, increasing; a picture no later than
            the one before is left out, one more than 1 s earlier starts anew.
        mouth : float or array_like, shape (pictures,) or (pictures, signals)
            In the order of `signals`; NaN: no face in that picture. One picture may come without
            its axis.
        cut : bool
            The first of these pictures belongs to another shot than the last ones.

        Raises
        ------
        FormatError
            If the shapes do not fit or a time stamp is not finite.
        StreamError
            If the estimator is closed.
        """
        self._check_open()
        times: Doubles = np.atleast_1d(np.asarray(time_s, np.float64))
        values = np.asarray(mouth, np.float32)
        count = len(self.signals)
        fits = times.ndim == 1 and (
            values.size == len(times) * count
            and values.shape in ((), (len(times),), (count,), (len(times), count))
        )
        if not fits:
            raise FormatError(
                f"mouth has shape {np.shape(mouth)} for {np.size(time_s)} time stamps; "
                f"({np.size(time_s)}, {count}) is expected: one column for each of {self.signals}"
            )
        if not np.isfinite(times).all():
            raise FormatError("time_s holds a time stamp that is not finite")
        rows = np.ascontiguousarray(values.reshape(len(times), count)[:, self._columns])
        times = np.ascontiguousarray(times)
        if cut:
            self._kernel.call("cut")
        if len(times):
            stamps = ffi.from_buffer("double[]", times.data)
            self._kernel.call("push_mouth", stamps, pointer(rows), len(times))

    def estimate(self) -> LipSyncEstimate:
        """Return the estimate from the newest `window_s` seconds."""
        self._check_open()
        report = self._kernel.read()
        return LipSyncEstimate(
            offset_ms=_or_none(report.offset_ms),
            confidence=float(report.confidence),
            reason=_REASONS[report.reason],
            drift_ms_per_s=_or_none(report.drift_ms_per_s),
        )

    def cues(self) -> dict[str, float]:
        """Return what the confidence of the newest estimate came from.

        Returns
        -------
        dict
            The values of `CUES`, which the weights' `confidence` multiplies; NaN where there is no
            score. Then the window in s: ``span_s``, ``face_s`` of it with a face, ``voiced_s`` with
            face and voice; ``steps`` of the offset and ``non_finite`` samples since the start.
        """
        self._check_open()
        report = self._kernel.read()
        return {
            **dict(zip(CUES, map(float, report.cues), strict=True)),
            "span_s": float(report.span_s),
            "face_s": float(report.face_s),
            "voiced_s": float(report.voiced_s),
            "steps": float(report.steps),
            "non_finite": float(report.non_finite),
        }

    def curve(self) -> tuple[Doubles, Doubles]:
        """Return the score of every lag of the newest estimate, for a plot.

        Returns
        -------
        lags_ms, scores : ndarray of float64, shape (lags,)
            Lags above 0: the audio is late. Both are empty where there is no estimate.
        """
        self._check_open()
        room = 2 * round(self.max_lag_ms / 10.0) + 1
        lags_ms, scores = np.empty(room), np.empty(room)
        count = self._kernel.call(
            "curve",
            ffi.from_buffer("double[]", lags_ms.data),
            ffi.from_buffer("double[]", scores.data),
            room,
        )
        return lags_ms[:count], scores[:count]

    def reset(self) -> None:
        """Return to the state of a new estimator."""
        self._check_open()
        self._kernel.call("reset")

    def _release(self) -> None:
        self._kernel.close()

    def __repr__(self) -> str:
        return (
            f"LipSyncEstimator(sample_rate_hz={self.sample_rate_hz}, signals={self.signals}, "
            f"window_s={self.window_s:g}, max_lag_ms={self.max_lag_ms:g})"
        )


def _known(signals: Sequence[str]) -> tuple[str, ...]:
    """Return the signals in the order of the built-in models."""
    names = (signals,) if isinstance(signals, str) else tuple(signals)
    for known in (MOUTH_SIGNALS[:1], MOUTH_SIGNALS):
        if sorted(names) == sorted(known):
            return known
    raise ConfigError(
        f"signals={names} have no built-in weights; give {MOUTH_SIGNALS[:1]}, all of "
        f"{MOUTH_SIGNALS}, or weights of your own"
    )


def _table(values: Any, *shape: int) -> Floats:
    """Return a copy of a C array of floats."""
    size = int(np.prod(shape)) * np.dtype(np.float32).itemsize
    return np.frombuffer(ffi.buffer(values, size), np.float32).reshape(shape).copy()


def _check_range(name: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name}={value:g} is outside {low:g} .. {high:g} {unit}")


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

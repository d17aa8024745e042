"""Compare two files: what changed between them, whatever their lengths, rates and channels."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from audio_engine.analysis.comparison import Alignment, Mono, align
from audio_engine.errors import OutputFileError
from audio_engine.io.converted import ConvertedReader
from audio_engine.io.measurement import FileMeasurement, measure_file
from audio_engine.io.offline import Progress

#: What is compared: field of `FileMeasurement`, unit, words, the least change worth words.
FIGURES = (
    ("integrated_lufs", "LU", "loudness", 0.1),
    ("loudness_range_lu", "LU", "loudness range", 0.5),
    ("true_peak_dbtp", "dB", "true peak", 0.1),
    ("peak_to_loudness_lu", "LU", "peak over loudness", 0.5),
    ("speech_level_dbfs", "dB", "level of speech", 0.5),
    ("pause_level_dbfs", "dB", "level of pauses", 0.5),
    ("noise_floor_dbfs", "dB", "noise floor", 0.5),
    ("speech_to_noise_db", "dB", "speech over noise", 0.5),
)
SHARES = ("speech_share", "music_share", "noise_share", "silence_share")
_BLOCK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileComparison:
    """Two files: each measured, and B against A.

    Attributes
    ----------
    a, b : FileMeasurement
        The files.
    change : dict
        B minus A: for every figure of `FIGURES` in dB or LU (None where one has none), the shares
        (-1 to 1), ``clipped_count``, ``duration_s``, and ``bands_db``: how each band changed.
    alignment : Alignment
        Delay, gain, SI-SDR.
    compared_rate_hz : int
        The lower of both rates, at which the alignment was told.
    """

    a: FileMeasurement
    b: FileMeasurement
    change: dict[str, Any]
    alignment: Alignment
    compared_rate_hz: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dictionaries; infinities stay floats."""
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "change": self.change,
            "alignment": self.alignment.to_dict(),
            "compared_rate_hz": self.compared_rate_hz,
            "words": self.words(),
        }

    def words(self) -> list[str]:
        """Return what changed, in a sentence each; none where nothing did."""
        said = [*_alignment_words(self.alignment)]
        for name, unit, words, least in FIGURES:
            value = self.change[name]
            if value is not None and abs(value) >= least:
                before, after = getattr(self.a, name), getattr(self.b, name)
                said.append(f"{words} {value:+.1f} {unit}: {before:.1f} to {after:.1f}")
        for name, value in self.change["bands_db"].items():
            own = None if value is None else value - (self.alignment.gain_db or 0.0)
            if own is not None and abs(own) >= 1.0:
                beside = "" if self.alignment.gain_db is None else " beside the gain"
                said.append(f"{name} Hz {own:+.1f} dB{beside}")
        for name in SHARES:
            if abs(self.change[name]) >= 0.05:
                said.append(
                    f"{name.removesuffix('_share')} {100 * self.change[name]:+.0f} % of the time"
                )
        for name, words in (
            ("clipped_count", "samples at full scale"),
            ("duration_s", "s of length"),
        ):
            if abs(self.change[name]) >= 0.005:
                said.append(f"{self.change[name]:+.6g} {words}")
        return said


def _alignment_words(found: Alignment) -> list[str]:
    """Say how B lies against A."""
    if found.delay_ms is None:
        return ["the two have nothing in common: no delay, no gain"]
    late = f"{abs(found.delay_ms):.2f} ms {'later' if found.delay_ms > 0.0 else 'earlier'} than A"
    said = [f"B is {late}"] if abs(found.delay_ms) >= 0.02 else ["B is not delayed"]
    if not found.delay_is_constant:
        drift = f" (drift {found.drift_ppm:+.0f} ppm)" if found.drift_ppm is not None else ""
        return [f"{said[0]} in the middle; the delay changes{drift}"]
    if found.inverted:
        said.append("B is turned over in polarity")
    if found.gain_db is not None and found.si_sdr_db is not None:
        if found.si_sdr_db > 60.0:
            said.append(f"B is A with a gain of {found.gain_db:+.2f} dB, and nothing else")
        else:
            said.append(
                f"B is A with a gain of {found.gain_db:+.2f} dB and something else, "
                f"{found.si_sdr_db:.1f} dB below it (SI-SDR)"
            )
    return said


def compare_files(
    a: str | os.PathLike[str], b: str | os.PathLike[str], *, progress: Progress | None = None
) -> FileComparison:
    """Measure two files and tell what changed from A to B.

    Parameters
    ----------
    a, b : path-like
        Any files that `open_reader` takes, up to 96 kHz; channels are compared as their mean.
    progress : callable, optional
        Called with (frames done, frames expected) while each file is measured.

    Raises
    ------
    InputFileError
        If a file cannot be read.
    """
    first, second = (measure_file(path, progress=progress) for path in (a, b))
    rate_hz = min(first.sample_rate_hz, second.sample_rate_hz)
    with _kept() as own, _kept() as other:
        alignment = align(_mono(a, rate_hz, own), _mono(b, rate_hz, other), rate_hz)
    return FileComparison(
        a=first,
        b=second,
        change=_change(first, second),
        alignment=alignment,
        compared_rate_hz=rate_hz,
    )


def _kept() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(prefix="audio-engine-")
    except OSError as error:
        raise OutputFileError(f"no temporary file can be made: {error.strerror or error}") from None


def _mono(path: str | os.PathLike[str], rate_hz: int, file: IO[bytes]) -> Mono:
    """Return the mean of a file's channels at a rate, kept on disk: any length in little memory."""
    with ConvertedReader(path, rate_hz) as reader:
        frames = 0
        try:
            while len(block := reader.take(round(_BLOCK_S * rate_hz))):
                file.write(np.ascontiguousarray(block.mean(axis=1), np.float32).tobytes())
                frames += len(block)
            file.flush()
        except OSError as error:
            raise OutputFileError(f"{path}: no room for it: {error.strerror or error}") from None
    if not frames:
        return np.zeros(0, np.float32)
    return np.memmap(file, np.float32, "r", shape=(frames,))


def _change(a: FileMeasurement, b: FileMeasurement) -> dict[str, Any]:
    """Return B minus A, None where one of the two has no figure."""
    change: dict[str, Any] = {
        name: _minus(getattr(a, name), getattr(b, name)) for name, *_ in FIGURES
    }
    for name in (*SHARES, "clipped_count", "duration_s"):
        change[name] = getattr(b, name) - getattr(a, name)
    change["bands_db"] = {
        band: _minus(level, b.bands_dbfs[band]) for band, level in a.bands_dbfs.items()
    }
    return change


def _minus(before: float | None, after: float | None) -> float | None:
    if before is None or after is None or not np.isfinite([before, after]).all():
        return None
    return after - before

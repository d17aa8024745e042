"""Tiny recordings and the material that the training tools make of them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training import echo_scenes
from training import material as speech_and_noise


def write_recordings(folder: Path) -> None:
    """Write two voices made of buzz and pauses, and a hiss, with their manifests."""
    rng = np.random.default_rng(1)
    time_s = np.arange(4 * 16000) / 16000
    for name in ("speech", "noise"):
        (folder / name).mkdir()
    for speech, pitch_hz in (("low.wav", 120), ("high.wav", 210)):
        buzz = sum(np.sin(2 * np.pi * pitch_hz * h * time_s) / h for h in range(1, 20))
        voice = 0.1 * buzz * (np.sin(2 * np.pi * 2 * time_s) > 0)
        soundfile.write(folder / "speech" / speech, voice, 16000)
    soundfile.write(folder / "noise" / "hiss.wav", 0.1 * rng.standard_normal(8 * 16000), 16000)
    for kind, names in (("speech", ("low.wav", "high.wav")), ("noise", ("hiss.wav",))):
        with (folder / kind / "manifest.csv").open("w", newline="") as table:
            rows = [["file", "source", "licence", "speaker"]]
            rows += [[name, "made up", "CC0-1.0", name] for name in names]
            csv.writer(table).writerows(rows)


def _make(main: object, folder: Path, out: Path, *more: str) -> None:
    assert callable(main)
    for held_out in ([], ["--held-out"]):
        with pytest.MonkeyPatch.context() as patch:
            arguments = ["--speech", str(folder / "speech"), "--noise", str(folder / "noise")]
            patch.setattr("sys.argv", ["make", *arguments, "--out", str(out), *more, *held_out])
            main()


def make_clips(folder: Path, out: Path, hours: float = 0.01) -> None:
    """Make clips of speech and of noise, for training and for validation."""
    _make(speech_and_noise.main, folder, out, "--hours", str(hours))


def make_scenes(folder: Path, out: Path) -> None:
    """Make scenes with a loudspeaker as well."""
    _make(echo_scenes.main, folder, out, "--scenes", "2")

"""The clips to learn from, and made-up windows of them with a known offset.

A clip is a talking face with its own sound and an offset that somebody measured. A window pairs a
stretch of its mouth with another stretch of its sound, so that the offset is known and nothing
else gives it away; or with somebody else's sound: then there is no right answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfiltfilt

from audio_engine.io.face_mesh import FaceMeshTracker
from audio_engine.io.faces import CutDetector, FaceTracks
from audio_engine.io.video import open_video
from audio_engine.processors.lipsync import MOUTH_SIGNALS

SAMPLE_RATE_HZ = 48000
CLEAN = "clean"

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """A talking face with its own offset.

    The mouths are the signals of each picture as different trackers see them, at one row of time
    stamps; the sounds start at time 0.
    """

    name: str
    person: str
    offset_ms: float
    time_s: Doubles
    mouths: list[Floats]
    sounds: dict[str, Floats]

    @property
    def duration_s(self) -> float:
        """How long both picture and sound last."""
        return float(min(self.time_s[-1], len(self.sounds[CLEAN]) / SAMPLE_RATE_HZ))


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """A stretch of a mouth with sound; `offset_ms` is None where they do not belong together."""

    person: str
    offset_ms: float | None
    audio: Floats
    time_s: Doubles
    mouth: Floats


def read_clips(folder: Path, manifest: Path, part: str = "dev") -> list[Clip]:
    """Read the clips that the manifest counts to `part`.

    `folder` holds clips/NAME.mkv and mouth/NAME.npz (t, m, cols: what another tracker saw); the
    manifest gives each clip's person and measured offset (base_ms).
    """
    clips: list[Clip] = []
    for entry in json.loads(manifest.read_text(encoding="utf-8"))["clips"]:
        if entry["set"] != part:
            continue
        with np.load(folder / "mouth" / f"{entry['id']}.npz") as file:
            names = [str(name) for name in file["cols"]]
            mouth = file["m"][:, [names.index(name) for name in MOUTH_SIGNALS]]
            time_s = file["t"].astype(float)
        path = folder / "clips" / f"{entry['id']}.mkv"
        with open_video(path, pictures=False) as video:
            sound = video.collect_sound()
        audio = np.concatenate(
            [np.zeros(round(max(sound.time_s, 0.0) * SAMPLE_RATE_HZ), np.float32), sound.audio]
        )
        clips.append(
            Clip(
                name=entry["id"],
                person=entry["person"],
                offset_ms=float(entry["base_ms"]),
                time_s=time_s,
                mouths=[mouth.astype(np.float32), tracked(path, time_s)],
                sounds=degraded(audio, np.random.default_rng(len(clips))),
            )
        )
    return clips


def tracked(path: Path, time_s: Doubles) -> Floats:
    """Return the mouth of the largest face of each picture as the engine's own tracker sees it."""
    mouth = np.full((len(time_s), len(MOUTH_SIGNALS)), np.nan, np.float32)
    tracker, cuts, tracks = FaceMeshTracker(), CutDetector(), FaceTracks()
    with open_video(path, sound=False) as video:
        for picture in video.pictures(tracker.short_side):
            if cuts.push(picture.rgb):
                tracks.cut(picture.time_s)
                tracker.cut()
            seen = tracks.push(picture.time_s, tracker.faces(picture.time_s, picture.rgb))
            if seen:
                largest = max(seen, key=lambda one: one.track.box[3])
                mouth[np.abs(time_s - picture.time_s).argmin()] = largest.mouth
    tracker.close()
    return mouth


def degraded(audio: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    """Return the sound as it is and as a phone, a hall, a small room and a crowd make it."""
    frames = len(audio)

    def hall(decay_s: float) -> Doubles:
        tail = rng.standard_normal(int(0.6 * SAMPLE_RATE_HZ))
        tail *= np.exp(-6.9 * np.arange(len(tail)) / (decay_s * SAMPLE_RATE_HZ))
        tail *= 0.8 / np.sqrt(np.sum(tail**2))
        tail[0] = 1.0
        return np.asarray(fftconvolve(audio, tail)[:frames])

    phone = butter(4, [300, 3400], "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    # The talker's own voice, five times at other moments: nobody else gets into the training.
    shifts = rng.integers(frames // 5, 4 * frames // 5, 5)
    crowd = sum(np.roll(audio, int(shift)) for shift in shifts)
    louder = np.sqrt(np.mean(audio**2) / np.mean(crowd**2))
    made = {
        CLEAN: audio,
        "quiet": 0.03 * audio,
        "hall": hall(0.6),
        "room": hall(0.3),
        "phone": sosfiltfilt(phone, audio),
        "crowd": audio + crowd * louder * 10 ** (-10 / 20),
    }
    return {name: np.asarray(sound, np.float32) for name, sound in made.items()}


def draw_window(rng: np.random.Generator, clips: list[Clip], dubbed_share: float) -> Window:
    """Draw a window of 3 to 13 s with an offset within +-1 s."""
    lengths = np.array([np.sqrt(clip.duration_s) for clip in clips])
    clip = clips[rng.choice(len(clips), p=lengths / lengths.sum())]
    span_s = min(rng.uniform(3.0, 13.0), clip.duration_s - 0.6)
    others = [other for other in clips if other.person != clip.person]
    mouth_s = rng.uniform(0.0, clip.duration_s - span_s)
    offset_ms: float | None = None
    if rng.random() < dubbed_share:
        source = others[rng.integers(len(others))]
        span_s = min(span_s, source.duration_s)
        sound_s = rng.uniform(0.0, source.duration_s - span_s)
    else:
        source = clip
        low, high = mouth_s - 1.0, mouth_s + 1.0
        sound_s = float(np.clip(rng.uniform(low, high), 0.0, clip.duration_s - span_s))
        offset_ms = clip.offset_ms + 1e3 * (mouth_s - sound_s)
    names = list(source.sounds)
    name = CLEAN if rng.random() < 0.4 else names[rng.integers(len(names))]
    first = round(sound_s * SAMPLE_RATE_HZ)
    seen = (clip.time_s >= mouth_s) & (clip.time_s < mouth_s + span_s)
    return Window(
        person=clip.person,
        offset_ms=offset_ms,
        audio=source.sounds[name][first : first + round(span_s * SAMPLE_RATE_HZ)],
        time_s=clip.time_s[seen] - mouth_s,
        mouth=clip.mouths[rng.integers(len(clip.mouths))][seen],
    )

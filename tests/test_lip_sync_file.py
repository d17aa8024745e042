"""Lip sync of whole files: painted mouths whose truth is known.

The mouths follow the level of the demo's voices, so what is measured without any shift is the bias
of such mouths; the shifts put on top are the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("av", reason="PyAV (the extra [video]) is not installed")

from audio_engine import ConfigError, InputFileError
from audio_engine.io.faces import Face
from audio_engine.io.lip_sync import LipSyncMeasurement, measure_lip_sync
from audio_engine.io.lip_sync_correct import correct_lip_sync
from audio_engine.io.lip_sync_series import Asked, whole_answer
from audio_engine.processors.lipsync import MOUTH_SIGNALS, LipSyncEstimate, LipSyncWeights
from videos import RATE_HZ, opening_of, voice, write_video

SIZE = (72, 128)
LEFT, RIGHT, LOW = (8, 8), (88, 10), (50, 36)  # places of painted faces: x and y of a 32 x 32 field
BIAS_MS = 60.0  # the mouth of a level envelope is that near to a real one
EVEN_MS = 20.0  # and for all shifts the same


def paint(
    mouths: Sequence[tuple[tuple[int, int], float]], background: int = 90
) -> NDArray[np.uint8]:
    """Return a picture with painted faces: a white frame each, in it a field as bright as open."""
    rgb = np.full((*SIZE, 3), background, np.uint8)
    for (x, y), opening in mouths:
        rgb[y : y + 32, x : x + 32] = 255
        rgb[y + 8 : y + 24, x + 8 : x + 24] = round(20 + 200 * opening)
    return rgb


@dataclass
class PaintedMouths:
    """A tracker of painted faces at known places."""

    places: Sequence[tuple[int, int]]
    signals: Sequence[str] = ("openness",)
    delay_s: float = 0.0
    short_side: int | None = None
    cuts: int = 0
    closed: bool = False
    times_s: list[float] = field(default_factory=list)

    def faces(self, time_s: float, rgb: NDArray[np.uint8]) -> list[Face]:
        self.times_s.append(time_s)
        found = []
        for x, y in self.places:
            if rgb[y + 2 : y + 6, x + 4 : x + 28].mean() > 230:
                field = rgb[y + 11 : y + 21, x + 11 : x + 21].mean()
                box = (x / SIZE[1], y / SIZE[0], 32 / SIZE[1], 32 / SIZE[0])
                found.append(Face(box, np.array([(field - 20) / 600], np.float32)))
        return found

    def cut(self) -> None:
        self.cuts += 1

    def close(self) -> None:
        self.closed = True


def shifted(audio: NDArray[np.float32], start_s: float, seconds: float) -> NDArray[np.float32]:
    first = round(start_s * RATE_HZ)
    return audio[first : first + round(seconds * RATE_HZ)]


def film(
    path: Path, offset_ms: float, times_s: NDArray[np.float64] | None = None, seconds: float = 13.0
) -> Path:
    """Write one painted face that says what the host says; the sound comes `offset_ms` later."""
    host = voice("host")
    times_s = np.arange(0.0, seconds, 0.04) if times_s is None else times_s
    openings = opening_of(host, times_s + 0.9)
    pictures = [(t, paint([(LEFT, o)])) for t, o in zip(times_s, openings, strict=True)]
    sound = shifted(host, 0.9 - offset_ms / 1000.0, seconds)
    return write_video(path, pictures, [(0.0, sound)])


@pytest.fixture(scope="module")
def unshifted(tmp_path_factory: pytest.TempPathFactory) -> LipSyncMeasurement:
    path = film(tmp_path_factory.mktemp("film") / "0.mp4", 0.0)
    return measure_lip_sync(path, tracker=PaintedMouths([LEFT]))


def answered(measurement: LipSyncMeasurement) -> float:
    assert measurement.offset_ms is not None
    assert measurement.confidence >= 0.5
    assert measurement.reason == ""
    return measurement.offset_ms


def test_the_offset_of_a_file_is_found(unshifted: LipSyncMeasurement, tmp_path: Path) -> None:
    bias_ms = answered(unshifted)
    assert abs(bias_ms) < BIAS_MS
    for offset_ms in (-420.0, 260.0, 850.0):
        path = film(tmp_path / "film.mp4", offset_ms)
        found = measure_lip_sync(path, tracker=PaintedMouths([LEFT]))
        assert answered(found) - bias_ms == pytest.approx(offset_ms, abs=EVEN_MS)


@pytest.mark.parametrize(("offset_ms", "ending"), [(-800.0, "mkv"), (850.0, "mp4")])
def test_a_corrected_file_is_in_sync(tmp_path: Path, offset_ms: float, ending: str) -> None:
    path, corrected = film(tmp_path / "film.mp4", offset_ms), tmp_path / f"corrected.{ending}"
    found = measure_lip_sync(path, tracker=PaintedMouths([LEFT]))
    correct_lip_sync(path, corrected, answered(found))
    assert abs(answered(measure_lip_sync(corrected, tracker=PaintedMouths([LEFT])))) < 40.0


def test_what_is_said_about_the_file(unshifted: LipSyncMeasurement) -> None:
    assert unshifted.face == 0
    assert len(unshifted.faces) == 1
    face = unshifted.faces[0]
    np.testing.assert_allclose(face.box, (8 / 128, 8 / 72, 32 / 128, 32 / 72), atol=1e-5)
    assert face.visible == 1.0
    assert (face.offset_ms, face.confidence) == (unshifted.offset_ms, unshifted.confidence)
    assert unshifted.duration_s == pytest.approx(13.0, abs=0.05)
    assert unshifted.frame_rate_hz == pytest.approx(25.0, abs=0.01)
    assert [time_s for time_s, _, _ in unshifted.series[:12]] == [i + 1.0 for i in range(12)]
    assert unshifted.curve is not None
    lags_ms, scores = unshifted.curve
    assert abs(lags_ms[scores.argmax()] - answered(unshifted)) < 80.0
    assert unshifted.warnings == ()


def test_uneven_pictures_count_by_their_time_stamps(
    unshifted: LipSyncMeasurement, tmp_path: Path
) -> None:
    rng = np.random.default_rng(8)
    times_s = np.cumsum(rng.choice([0.033, 0.034, 0.067, 0.1], 400))
    times_s = times_s[times_s < 13.0] - times_s[0]
    path = film(tmp_path / "vfr.mkv", 180.0, times_s)
    found = measure_lip_sync(path, tracker=PaintedMouths([LEFT]))
    assert answered(found) - answered(unshifted) == pytest.approx(180.0, abs=EVEN_MS)


def test_the_delay_of_a_tracker_is_taken_off(unshifted: LipSyncMeasurement, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 0.0)
    found = measure_lip_sync(path, tracker=PaintedMouths([LEFT], delay_s=0.1))
    # The mouth was 100 ms earlier than it was seen, so the sound is that much later.
    assert answered(found) - answered(unshifted) == pytest.approx(100.0, abs=2.0)


def test_the_one_who_speaks_is_chosen(unshifted: LipSyncMeasurement, tmp_path: Path) -> None:
    host, guest = voice("host"), voice("guest")
    times_s = np.arange(0.0, 13.0, 0.04)
    speaks = opening_of(host, times_s + 0.9)
    silent = opening_of(np.tile(guest, 2), times_s + 1.7)
    for places in ((LEFT, RIGHT), (RIGHT, LEFT)):
        pictures = [
            (t, paint([(places[0], a), (places[1], b)]))
            for t, a, b in zip(times_s, speaks, silent, strict=True)
        ]
        sound = shifted(host, 0.9 - 0.3, 13.0)
        path = write_video(tmp_path / "two.mp4", pictures, [(0.0, sound)])
        found = measure_lip_sync(path, tracker=PaintedMouths([LEFT, RIGHT]))
        assert len(found.faces) == 2
        assert answered(found) - answered(unshifted) == pytest.approx(300.0, abs=EVEN_MS)
        assert found.face is not None
        assert found.faces[found.face].box[0] == pytest.approx(places[0][0] / 128, abs=1e-4)
        speaker, other = found.faces[found.face], found.faces[1 - found.face]
        assert other.confidence < speaker.confidence
        assert found.confidence <= speaker.confidence  # the other's claim takes from it


def test_two_who_claim_different_offsets_make_it_ambiguous(tmp_path: Path) -> None:
    host = voice("host")
    times_s = np.arange(0.0, 13.0, 0.04)
    one, two = opening_of(host, times_s + 0.9), opening_of(host, times_s + 1.4)
    for second, agree in ((one, True), (two, False)):
        pictures = [
            (t, paint([(LEFT, a), (RIGHT, b)]))
            for t, a, b in zip(times_s, one, second, strict=True)
        ]
        path = write_video(tmp_path / "two.mp4", pictures, [(0.0, shifted(host, 0.9, 13.0))])
        found = measure_lip_sync(path, tracker=PaintedMouths([LEFT, RIGHT]))
        assert all(face.confidence >= 0.5 for face in found.faces)
        assert (found.confidence >= 0.5) == agree
        assert found.reason == ("" if agree else "ambiguous")


def test_cuts_from_place_to_place_do_not_disturb(
    unshifted: LipSyncMeasurement, tmp_path: Path
) -> None:
    host = voice("host")
    times_s = np.arange(0.0, 13.0, 0.04)
    openings = opening_of(host, times_s + 0.9)
    pictures = []
    for t, opening in zip(times_s, openings, strict=True):
        shot = int(t / 2.1)  # the talker is now here, now there, before dark and bright
        place = (LEFT, LOW, RIGHT)[shot % 3]
        pictures.append((t, paint([(place, opening)], background=(60, 150, 105)[shot % 3])))
    path = write_video(tmp_path / "cuts.mp4", pictures, [(0.0, shifted(host, 1.1, 13.0))])
    tracker = PaintedMouths([LEFT, LOW, RIGHT])
    found = measure_lip_sync(path, tracker=tracker)
    assert tracker.cuts == 6
    assert len(found.faces) == 1
    assert answered(found) - answered(unshifted) == pytest.approx(-200.0, abs=EVEN_MS)


def test_a_dubbed_file_is_not_answered(tmp_path: Path) -> None:
    times_s = np.arange(0.0, 13.0, 0.04)
    openings = opening_of(np.tile(voice("guest"), 2), times_s)
    pictures = [(t, paint([(LEFT, o)])) for t, o in zip(times_s, openings, strict=True)]
    path = write_video(
        tmp_path / "dubbed.mp4", pictures, [(0.0, shifted(voice("host"), 0.5, 13.0))]
    )
    found = measure_lip_sync(path, tracker=PaintedMouths([LEFT]))
    assert found.confidence < 0.5
    assert found.reason in ("dubbed", "ambiguous")
    assert found.face is None


@pytest.mark.parametrize(
    ("openings", "silence", "reason"),
    [("none", False, "no face"), ("still", False, "frozen"), ("talking", True, "no speech")],
)
def test_without_a_talking_face_the_reason_is_said(
    tmp_path: Path, openings: str, silence: bool, reason: str
) -> None:
    host = voice("host")
    times_s = np.arange(0.0, 10.0, 0.04)
    talking = opening_of(host, times_s + 0.9)
    pictures = [
        (t, paint([] if openings == "none" else [(LEFT, 0.3 if openings == "still" else o)]))
        for t, o in zip(times_s, talking, strict=True)
    ]
    sound = np.zeros(480000, np.float32) if silence else shifted(host, 0.9, 10.0)
    path = write_video(tmp_path / "film.mkv", pictures, [(0.0, sound)], audio_codec="flac")
    found = measure_lip_sync(path, tracker=PaintedMouths([LEFT]))
    assert found.reason == reason
    assert found.confidence < 0.5
    assert found.face is None
    assert len(found.faces) == (0 if openings == "none" else 1)


def test_minutes_are_measured_along_the_file(tmp_path: Path) -> None:
    host = np.tile(voice("host"), 4)
    times_s = np.arange(0.0, 50.0, 1 / 15)
    openings = opening_of(host, times_s + 0.9)
    pictures = [(t, paint([(LEFT, o)])) for t, o in zip(times_s, openings, strict=True)]
    even = write_video(tmp_path / "even.mp4", pictures, [(0.0, shifted(host, 0.7, 50.0))])
    heard_s = np.arange(50 * RATE_HZ) / RATE_HZ
    slow = np.interp(0.7 + heard_s * 0.998, np.arange(len(host)) / RATE_HZ, host)
    drifting = write_video(tmp_path / "drift.mp4", pictures, [(0.0, slow.astype(np.float32))])
    shares: list[float] = []
    one = measure_lip_sync(even, tracker=PaintedMouths([LEFT]), progress=shares.append)
    two = measure_lip_sync(drifting, tracker=PaintedMouths([LEFT]))
    assert abs(answered(one) - 200.0) < BIAS_MS
    assert one.drift_ms_per_s == pytest.approx(0.0, abs=0.3)
    assert len(one.series) in (50, 51)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert answered(two) - answered(one) == pytest.approx(50.0, abs=EVEN_MS)  # in the middle
    assert two.drift_ms_per_s == pytest.approx(2.0, abs=0.5)


def test_the_callers_tracker_stays_open(unshifted: LipSyncMeasurement, tmp_path: Path) -> None:
    del unshifted
    tracker = PaintedMouths([LEFT])
    path = film(tmp_path / "film.mp4", 0.0, seconds=4.0)
    measure_lip_sync(path, tracker=tracker)
    assert not tracker.closed
    assert tracker.times_s == sorted(tracker.times_s)
    assert len(tracker.times_s) == 100


def test_other_weights_measure(unshifted: LipSyncMeasurement, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 0.0)
    by_hand = LipSyncWeights.untrained()
    found = measure_lip_sync(path, tracker=PaintedMouths([LEFT]), weights=by_hand)
    assert found.offset_ms is not None
    assert found.offset_ms != unshifted.offset_ms
    assert abs(found.offset_ms - answered(unshifted)) < 80.0
    with pytest.raises(ConfigError, match="are not those of the weights"):
        measure_lip_sync(
            path, tracker=PaintedMouths([LEFT]), weights=LipSyncWeights.trained(MOUTH_SIGNALS)
        )


def test_a_file_without_sound_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "silent.mp4", [(0.0, paint([])), (0.04, paint([]))])
    with pytest.raises(InputFileError, match="no sound stream"):
        measure_lip_sync(path, tracker=PaintedMouths([LEFT]))


# --- one answer of many windows -------------------------------------------------------------------


def asked(time_s: float, offset_ms: float | None, confidence: float, reason: str = "") -> Asked:
    estimate = LipSyncEstimate(
        offset_ms=offset_ms, confidence=confidence, reason=reason, drift_ms_per_s=None
    )
    return Asked(time_s, estimate, 1.0)


def windows(offsets_ms: Sequence[float], confidence: float) -> list[Asked]:
    reason = "" if confidence >= 0.5 else "ambiguous"
    return [asked(i + 1.0, o, confidence, reason) for i, o in enumerate(offsets_ms)]


def test_a_short_file_has_the_answer_of_its_last_window() -> None:
    series = [*windows([500.0] * 9, 0.3), asked(9.5, 12.0, 0.8)]
    assert whole_answer(series, 9.5) == series[-1].estimate
    assert whole_answer([], 9.5).reason == "too short"


def test_one_window_counts_once_however_often_it_is_asked() -> None:
    for confidence in (0.3, 0.6, 0.9):
        answer = whole_answer(windows([40.0] * 20, confidence), 20.5)
        assert answer.confidence == pytest.approx(confidence, abs=0.01)
        assert answer.offset_ms == 40.0


def test_windows_that_agree_add_up_and_chance_does_not() -> None:
    rng = np.random.default_rng(6)
    unsure = windows(list(30.0 + rng.normal(0, 15, 300)), 0.35)
    together = whole_answer(unsure, 300.0)
    assert together.confidence > 0.95
    assert together.offset_ms == pytest.approx(30.0, abs=10.0)
    by_chance = 0
    for seed in range(40):  # one offset out of the blue for each of 15 windows
        blind = np.random.default_rng(seed).uniform(-1300, 1300, 15)
        answer = whole_answer(windows(list(np.repeat(blind, 20)), 0.15), 300.0)
        by_chance += answer.confidence >= 0.5
    assert by_chance <= 1


def test_a_wrong_stretch_is_outvoted_and_two_takes_are_told() -> None:
    answer = whole_answer(windows([20.0] * 100 + [-700.0] * 20, 0.8), 120.0)
    assert answer.offset_ms == 20.0
    assert answer.confidence > 0.9
    takes = whole_answer(windows([20.0] * 60 + [300.0] * 60, 0.95), 120.0)
    assert takes.confidence < 0.5
    assert takes.reason == "ambiguous"


def test_an_hour_that_drifts_has_one_line() -> None:
    rng = np.random.default_rng(9)
    time_s = np.arange(1, 3601)
    answer = whole_answer(windows(list(0.1 * time_s + rng.normal(0, 12, 3600)), 0.8), 3600.0)
    assert answer.offset_ms == pytest.approx(180.0, abs=5.0)
    assert answer.drift_ms_per_s == pytest.approx(0.1, abs=0.005)
    assert answer.confidence > 0.9


def test_a_face_that_never_answers_says_most_often_why() -> None:
    series = [asked(i + 1.0, None, 0.0, "no speech" if i % 3 else "no face") for i in range(60)]
    answer = whole_answer(series, 60.0)
    assert (answer.offset_ms, answer.confidence, answer.reason) == (None, 0.0, "no speech")

"""The face mesh follows a drawn face: at once, small ones too, through cuts, and to an offset.

These need MediaPipe, which wants an older numpy than the rest: `make test-video` runs them.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drawn_face import draw_face

pytest.importorskip("av", reason="PyAV (the extra [video]) is not installed")

from audio_engine import AudioEngineError, InputFileError
from audio_engine.io.face_mesh import FaceLandmarkerTracker, FaceMeshTracker
from audio_engine.io.faces import Box, FaceTracks
from audio_engine.io.lip_sync import measure_lip_sync
from videos import RATE_HZ, opening_of, voice, write_video

STEP_S = 0.04


def test_without_mediapipe_it_is_said_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    makers: list[Callable[[], object]] = [
        FaceMeshTracker,
        lambda: FaceLandmarkerTracker("face.task"),
    ]
    for make in makers:
        with pytest.raises(AudioEngineError, match=r"-m pip install mediapipe==0\.10\.21$"):
            make()


@pytest.fixture(scope="module")
def mediapipe() -> Any:
    return pytest.importorskip(
        "mediapipe", reason="needs MediaPipe: make test-video", exc_type=ImportError
    )


@pytest.fixture(scope="module")
def tracker(mediapipe: Any) -> Iterator[FaceMeshTracker]:
    tracker = FaceMeshTracker()
    yield tracker
    tracker.close()
    tracker.close()


def scene(size: tuple[int, int], seed: int = 7) -> NDArray[np.uint8]:
    """Return a coloured background without any face."""
    cells = np.random.default_rng(seed).integers(60, 200, (5, 7, 3))
    y = np.linspace(0, 3.999, size[0])[:, np.newaxis]
    x = np.linspace(0, 5.999, size[1])[np.newaxis]
    top, left = y.astype(int), x.astype(int)
    down, across = (y - top)[..., np.newaxis], (x - left)[..., np.newaxis]
    upper = cells[top, left] * (1 - across) + cells[top, left + 1] * across
    lower = cells[top + 1, left] * (1 - across) + cells[top + 1, left + 1] * across
    return np.asarray(upper * (1 - down) + lower * down, np.uint8)


def talk(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Return openings that change from picture to picture, syllable by syllable."""
    rng = np.random.default_rng(seed)
    smooth = np.convolve(rng.uniform(-0.5, 1.3, count + 2), [0.25, 0.5, 0.25], "valid")
    return np.asarray(np.clip(smooth, 0.0, 1.0))


def inside(box: Box, x: float, y: float) -> bool:
    return box[0] < x < box[0] + box[2] and box[1] < y < box[1] + box[3]


@pytest.mark.parametrize(
    ("size", "half_height"), [((360, 480), 110.0), ((120, 160), 36.0), ((1080, 1920), 62.0)]
)
def test_the_mouth_follows_the_drawn_one_at_once(
    tracker: FaceMeshTracker, size: tuple[int, int], half_height: float
) -> None:
    openings, found = talk(50), []
    background = scene(size)
    for i, opening in enumerate(openings):
        rgb = background.copy()
        centre = (size[1] * (0.4 + 0.02 * np.sin(i / 8)), size[0] * 0.42)
        draw_face(rgb, centre=centre, half_height=half_height, opening=opening, tilt_degrees=3.0)
        faces = tracker.faces(i * STEP_S, rgb)
        assert len(faces) == 1
        assert inside(faces[0].box, centre[0] / size[1], centre[1] / size[0])
        found.append(faces[0].mouth[0])
    tracker.cut()
    correlation = {
        lag: np.corrcoef(np.roll(openings, lag)[3:-3], np.array(found)[3:-3])[0, 1]
        for lag in (-1, 0, 1)
    }
    assert correlation[0] > 0.9
    # No delay: were it a tenth of a picture, the neighbours would differ by more.
    steps = np.array([correlation[-1], correlation[0], correlation[1]])
    peak = 0.5 * (steps[0] - steps[2]) / (steps[0] - 2 * steps[1] + steps[2])
    assert abs(peak) < 0.1


def test_neighbours_keep_their_own_mouths_and_a_cut_is_survived(tracker: FaceMeshTracker) -> None:
    tracks = FaceTracks()
    left, right = talk(40, 1), talk(40, 2)
    backgrounds = scene((270, 480)), scene((270, 480), seed=8)
    lines: dict[int, list[float]] = {0: [], 1: []}
    for i in range(40):
        shift = 0 if i < 25 else 40  # a cut
        if i == 25:
            tracks.cut(i * STEP_S)
            tracker.cut()
        rgb = backgrounds[i >= 25].copy()
        for x, openings in ((150.0, left), (320.0, right)):
            draw_face(rgb, centre=(x + shift, 110.0), half_height=72.0, opening=openings[i])
        seen = tracks.push(i * STEP_S, tracker.faces(i * STEP_S, rgb))
        assert len(seen) == 2
        for one in seen:
            lines[one.track.index].append(float(one.mouth[0]))
    first = int(seen[0].track.box[0] > seen[1].track.box[0])
    for index, openings in ((seen[first].track.index, left), (seen[1 - first].track.index, right)):
        assert len(lines[index]) == 40
        assert np.corrcoef(lines[index], openings)[0, 1] > 0.9


def test_a_lost_face_is_found_again_and_an_empty_picture_has_none(
    tracker: FaceMeshTracker, capfd: pytest.CaptureFixture[str]
) -> None:
    counts = []
    tracker.cut()
    background = scene((270, 480))
    for i in range(60):
        rgb = background.copy()
        if not 15 <= i < 40:
            draw_face(
                rgb, centre=(120.0 if i < 15 else 360.0, 120.0), half_height=70.0, opening=0.3
            )
        counts.append(len(tracker.faces(100.0 + i * STEP_S, rgb)))
    assert counts[1:15] == [1] * 14
    assert counts[15:40] == [0] * 25
    assert counts[53:] == [1] * 7  # half a second later at most
    assert capfd.readouterr().err == ""


def test_a_face_of_two_percent_is_found(tracker: FaceMeshTracker) -> None:
    background = scene((1080, 1920))
    for i in range(4):
        rgb = background.copy()
        draw_face(rgb, centre=(1300.0, 700.0), half_height=34.0, opening=0.4)
        faces = tracker.faces(200.0 + i * STEP_S, rgb)
        assert len(faces) == 1
        assert inside(faces[0].box, 1300 / 1920, 700 / 1080)
        assert faces[0].box[2] < 0.03


def test_the_tasks_interface_is_driven_with_a_model_file(tmp_path: Path, mediapipe: Any) -> None:
    # Put together from models in the wheel: it finds faces, its landmarks are not to be trusted.
    modules = Path(mediapipe.__file__).parent / "modules"
    model = tmp_path / "face.task"
    with zipfile.ZipFile(model, "w") as bundle:
        detector = modules / "face_detection" / "face_detection_short_range.tflite"
        bundle.write(detector, "face_detector.tflite")
        mesh_model = modules / "face_landmark" / "face_landmark.tflite"
        bundle.write(mesh_model, "face_landmarks_detector.tflite")
    tasks_tracker = FaceLandmarkerTracker(model)
    for i in range(3):
        rgb = scene((360, 480))
        draw_face(rgb, centre=(200.0, 160.0), half_height=110.0, opening=0.5)
        faces = tasks_tracker.faces(i * STEP_S, rgb)
        assert any(inside(face.box, 200 / 480, 160 / 360) for face in faces)
        assert all(face.mouth.shape == (5,) and face.patch is not None for face in faces)
    tasks_tracker.close()
    tasks_tracker.close()


@pytest.mark.usefixtures("mediapipe")
def test_a_wrong_model_file_is_said_in_one_line(tmp_path: Path) -> None:
    wrong = tmp_path / "face.task"
    with pytest.raises(InputFileError, match="No such file"):
        FaceLandmarkerTracker(wrong)
    wrong.write_bytes(b"no model" * 100)
    with pytest.raises(InputFileError, match="is no FaceLandmarker model file") as caught:
        FaceLandmarkerTracker(wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("mediapipe")
def test_a_drawn_face_that_talks_is_measured(tmp_path: Path) -> None:
    host = voice("host")
    times_s = np.arange(0.0, 11.0, 0.04)
    openings = opening_of(host, times_s + 0.9)
    rng = np.random.default_rng(0)
    pictures = []
    for t, opening in zip(times_s, openings, strict=True):
        rgb = np.full((240, 320, 3), 140, np.uint8)
        centre = (160 + 6 * np.sin(1.3 * t), 110 + 3 * np.sin(0.9 * t))
        tilt = 4 * np.sin(0.7 * t)
        draw_face(rgb, centre=centre, half_height=70, opening=opening, tilt_degrees=tilt)
        grain = rng.integers(-3, 4, rgb.shape)
        pictures.append((t, np.clip(rgb + grain, 0, 255).astype(np.uint8)))
    offsets_ms = []
    for late_s in (0.0, 0.24):
        sound = host[round((0.9 - late_s) * RATE_HZ) :][: 11 * RATE_HZ]
        path = write_video(tmp_path / "talk.mp4", pictures, [(0.0, sound)])
        found = measure_lip_sync(path)
        assert len(found.faces) == 1
        assert found.faces[0].visible > 0.98
        assert found.confidence >= 0.5
        assert found.offset_ms is not None
        offsets_ms.append(found.offset_ms)
    assert abs(offsets_ms[0]) < 60.0
    assert offsets_ms[1] - offsets_ms[0] == pytest.approx(240.0, abs=20.0)

"""Mouth signals, faces over time, cuts; and the real tracker on a drawn face that talks."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_engine import AudioEngineError, InputFileError
from audio_engine.io.face_mesh import FaceLandmarkerTracker, FaceMeshTracker
from audio_engine.io.faces import Box, CutDetector, Face, FaceTracks, mouth_of
from drawn_face import draw_face

STEP_S = 0.04


def mesh(gap: float, *, scale: float = 50.0, angle: float = 0.0) -> NDArray[np.float64]:
    """Return 468 landmarks whose mouth is a rectangle `gap` high and 0.8 wide, in eye distances."""
    points = np.zeros((468, 2))
    points[[33, 133]] = (-0.6, 0.0), (-0.4, 0.0)
    points[[362, 263]] = (0.4, 0.0), (0.6, 0.0)
    points[[1, 152]] = (0.0, 0.4), (0.0, 1.5 + gap)
    points[[61, 291]] = (-0.4, 0.9), (0.4, 0.9)
    points[[0, 17]] = (0.0, 0.8), (0.0, 1.0 + gap)
    upper = (308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
    lower = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324)
    for landmarks, y in ((upper, 0.9), (lower, 0.9 + gap)):
        points[list(landmarks)] = [(x, y) for x in np.linspace(-0.4, 0.4, 10)]
    points[list(upper)] = points[list(upper)][::-1]
    # The three gaps are measured between points that are above each other.
    for above, below in ((13, 14), (82, 87), (312, 317)):
        points[above, 0] = points[below, 0]
    points[10] = (0.0, -1.0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(points @ turn.T * scale + np.array([160.0, 120.0]))


def picture(seed: int = 0, size: tuple[int, int] = (240, 320)) -> NDArray[np.uint8]:
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((size[0] // 6, size[1] // 8, 1), np.uint8))


@pytest.mark.parametrize(("scale", "angle"), [(50.0, 0.0), (23.0, 0.5), (70.0, -0.3)])
def test_signals_are_the_geometry_over_the_eye_distance(scale: float, angle: float) -> None:
    for gap in (0.0, 0.1, 0.35):
        face = mouth_of(mesh(gap, scale=scale, angle=angle), picture())
        assert face is not None
        wanted = (gap, 0.8, 0.8 * gap, 0.2 + gap, 1.1 + gap)
        np.testing.assert_allclose(face.mouth, wanted, atol=2e-3 if gap else 1e-6)


def test_the_box_is_where_the_face_is() -> None:
    face = mouth_of(mesh(0.1), picture())
    assert face is not None
    np.testing.assert_allclose(face.box, (130 / 320, 70 / 240, 60 / 320, 130 / 240), atol=1e-6)


@pytest.mark.parametrize(("scale", "angle"), [(50.0, 0.0), (30.0, 0.4), (200.0, -0.2)])
def test_the_patch_is_cut_upright_around_the_mouth(scale: float, angle: float) -> None:
    rows, columns = np.mgrid[:720, :960]
    ramp = np.round(40.0 + 0.1 * columns + 0.15 * rows)
    rgb = np.repeat(ramp[..., np.newaxis], 3, axis=2).astype(np.uint8)
    points = mesh(0.0, scale=scale, angle=angle) + np.array([300.0, 200.0])
    face = mouth_of(points, rgb)
    assert face is not None
    assert face.patch is not None
    assert face.patch.shape == (32, 32)
    middle = points[[61, 291, 13, 14]].mean(axis=0)
    steps = (np.arange(32) - 16.0) * scale * 1.1 / 32.0
    x = middle[0] + steps * np.cos(angle) - steps[:, np.newaxis] * np.sin(angle)
    y = middle[1] + steps * np.sin(angle) + steps[:, np.newaxis] * np.cos(angle)
    # What is averaged in a coarse patch lies half a pixel of the patch around its point.
    np.testing.assert_allclose(face.patch, 40.0 + 0.1 * x + 0.15 * y, atol=0.6)


def test_a_patch_beyond_the_edge_is_black_there() -> None:
    rgb = np.full((100, 100, 3), 200, np.uint8)
    face = mouth_of(mesh(0.0) - np.array([160.0, 120.0]), rgb)  # the nose is on the edge
    assert face is not None
    assert face.patch is not None
    assert np.abs(face.patch[:, :14]).max() == 0.0
    np.testing.assert_allclose(face.patch[:, 18:], 200.0, atol=0.01)


def test_a_face_of_some_pixels_has_no_mouth() -> None:
    assert mouth_of(mesh(0.1, scale=3.0), picture()) is None
    assert mouth_of(np.full((468, 2), np.nan), picture()) is None


def face_at(left: float, top: float = 0.2, size: float = 0.2, luma: float = 100.0) -> Face:
    patch = np.full((32, 32), luma, np.float32)
    return Face((left, top, size, size), np.array([0.1, 0.7, 0.05, 0.3, 1.0], np.float32), patch)


def test_motion_is_the_change_of_the_mouth_and_unknown_after_a_gap() -> None:
    tracks = FaceTracks()
    seen = [tracks.push(0.0, [face_at(0.3)])]
    seen.append(tracks.push(0.04, [face_at(0.31, luma=107.0)]))
    assert tracks.push(0.08, []) == []
    seen.append(tracks.push(0.12, [face_at(0.32)]))
    seen.append(tracks.push(0.16, [face_at(0.32)]))
    tracks.cut(0.2)
    seen.append(tracks.push(0.2, [face_at(0.32)]))
    assert {one.track.index for row in seen for one in row} == {0}
    motion = [row[0].mouth[5] for row in seen]
    np.testing.assert_allclose(motion, [np.nan, 7.0, np.nan, 0.0, np.nan])
    assert [row[0].cut for row in seen] == [False, False, False, False, True]
    np.testing.assert_array_equal(seen[0][0].mouth[:5], face_at(0.3).mouth)
    assert seen[0][0].track.pictures == 5
    assert seen[0][0].track.mean_box[0] == pytest.approx(np.mean([0.3, 0.31, 0.32, 0.32, 0.32]))


def test_two_faces_are_told_apart_in_any_order() -> None:
    tracks = FaceTracks()
    rng = np.random.default_rng(2)
    for i in range(100):
        faces = [face_at(0.1 + 0.05 * np.sin(i / 9)), face_at(0.6 + 0.05 * np.cos(i / 7))]
        order = rng.permutation(2) if i else np.arange(2)
        seen = tracks.push(i * STEP_S, [faces[k] for k in order])
        assert [one.track.index for one in seen] == order.tolist()


def test_a_face_that_was_away_for_a_second_is_the_same() -> None:
    tracks = FaceTracks()
    tracks.push(0.0, [face_at(0.2), face_at(0.7)])
    tracks.push(0.04, [face_at(0.7)])
    (back,) = tracks.push(1.0, [face_at(0.35)])
    assert back.track.index == 0
    (other,) = tracks.push(1.04, [face_at(0.35, top=0.75)])
    assert other.track.index == 2


def indices(tracks: FaceTracks, time_s: float, *faces: Face) -> list[int]:
    return [one.track.index for one in tracks.push(time_s, faces)]


def test_a_shot_that_comes_back_brings_its_faces_back() -> None:
    tracks = FaceTracks()
    assert indices(tracks, 0.0, face_at(0.1), face_at(0.6)) == [0, 1]
    tracks.cut(2.0)
    assert indices(tracks, 2.0, face_at(0.3, size=0.6)) == [2]  # two before, one now: another
    tracks.cut(4.0)
    assert indices(tracks, 4.0, face_at(0.62), face_at(0.12)) == [1, 0]


def test_a_lone_face_stays_itself_across_a_cut_that_zooms() -> None:
    tracks = FaceTracks()
    assert indices(tracks, 0.0, face_at(0.5, size=0.15)) == [0]
    tracks.cut(0.04)
    assert indices(tracks, 0.04) == []
    assert indices(tracks, 0.08, face_at(0.1, size=0.6)) == [0]
    assert indices(tracks, 0.12, face_at(0.1, size=0.6), face_at(0.8, size=0.1)) == [0, 1]


def test_a_jump_within_one_view_breaks_the_line() -> None:
    tracks = FaceTracks()
    tracks.push(0.0, [face_at(0.3)])
    (seen,) = tracks.push(0.04, [face_at(0.38)])
    assert seen.track.index == 0
    assert seen.cut
    assert np.isnan(seen.mouth[5])


def test_tracks_of_hours_are_bounded() -> None:
    tracks = FaceTracks()
    for i in range(500):
        tracks.cut(float(i))
        assert len(tracks.push(float(i), [face_at(0.0), face_at(0.01 * (i % 60) + 0.3)])) == 2
    assert len(tracks._tracks) <= 32


def test_cuts_are_found_and_nothing_else_is_one() -> None:
    rng = np.random.default_rng(4)
    first, second = picture(1).astype(float), picture(2).astype(float)
    detector = CutDetector()
    cuts = []
    for i in range(120):
        scene = first if i < 60 else second
        shaken = np.roll(scene, (int(6 * np.sin(i)), int(6 * np.cos(i * 0.7))), (0, 1))
        flicker = shaken * (1.0 + 0.08 * np.sin(i * 2.0)) + rng.normal(0, 8, scene.shape)
        if detector.push(np.clip(flicker, 0, 255).astype(np.uint8)):
            cuts.append(i)
    assert cuts == [60]
    fade = CutDetector()
    steps = np.linspace(0.0, 1.0, 25)
    assert not any(fade.push(((1 - s) * first + s * second).astype(np.uint8)) for s in steps)


def test_without_mediapipe_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    makers: list[Callable[[], object]] = [
        FaceMeshTracker,
        lambda: FaceLandmarkerTracker("face.task"),
    ]
    for make in makers:
        with pytest.raises(AudioEngineError, match=r'pip install "liveroom-audio-engine\[video\]"'):
            make()


# --- the real tracker -----------------------------------------------------------------------------


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

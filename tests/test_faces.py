"""Mouth signals, faces over time, cuts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_engine.io.faces import CutDetector, Face, FaceTracks, mouth_of

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

"""The mouth trackers: MediaPipe's face mesh, whose models are in its wheel, or a newer model file.

`FaceMeshTracker` (default): MediaPipe's full-range detector looks over the whole picture twice a
second and whenever a face is lost or the shot changes. Each face then has a window of its own, some
three faces wide, that stays where it is until the face leaves its middle; the face mesh follows the
face in it from picture to picture. So a face that takes 5 % of the picture's width (2 % where it is
the only one) is followed as well as a large one; the mesh alone loses faces below some 10 %.
The mesh has no filter over time and no delay: against the tasks interface, asked for two faces, its
lip gap is 1.8 ms early in the median of 11 clips.
Cost: 3 ms per face and picture on one core, the search 7 ms.

`FaceLandmarkerTracker`: the tasks interface with a ``.task`` model file, which MediaPipe does not
ship. It is asked for two faces at least: asked for one, it smooths over time and the mouth it
reports is 8 to 18 ms late.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio_engine.errors import AudioEngineError, InputFileError
from audio_engine.io.extras import install_command
from audio_engine.io.faces import Box, Face, mouth_of
from audio_engine.io.quiet import silent_stderr
from audio_engine.io.video import Rgb
from audio_engine.processors.lipsync import MOUTH_SIGNALS

_MEDIAPIPE = "mediapipe==0.10.21"  # the tracker's models are in the wheel of this very version
_MOST_FACES = 8
_SEARCH_S = 0.5
_DETECTED = 0.5  # confidence from which a detection is a face
_PARTS = 3  # squares that a wide picture is searched in for faces too small for the whole of it
_CLOSER = 1.3  # how much longer than wide it has to be for that


class FaceMeshTracker:
    """Follow mouths with MediaPipe's face mesh; see the head of this file.

    Raises
    ------
    AudioEngineError
        If MediaPipe with its face mesh is not installed; the text says what brings it.
    """

    signals: Sequence[str] = MOUTH_SIGNALS
    delay_s = 0.0
    short_side: int | None = 1080

    def __init__(self) -> None:
        solutions = getattr(_import_mediapipe(), "solutions", None)
        if solutions is None:
            raise AudioEngineError(
                "this MediaPipe has no face mesh any more; name a .task model file, or take the "
                f"version that has it (Python 3.11 and 3.12): {install_command(_MEDIAPIPE)}"
            )
        self._solutions = solutions
        with silent_stderr():  # MediaPipe's core tells of its delegates and threads
            self._detector: Any = solutions.face_detection.FaceDetection(
                model_selection=1, min_detection_confidence=_DETECTED
            )
            self._detector.process(np.zeros((64, 64, 3), np.uint8))
        self._windows: list[_Window] = []
        self._search_at_s = -np.inf
        self._shape: tuple[int, ...] = ()

    def faces(self, time_s: float, rgb: Rgb) -> list[Face]:
        """Return the faces of a picture."""
        if rgb.shape != self._shape:
            self._drop(self._windows)
            self._shape, self._search_at_s = rgb.shape, time_s
        before = sum(window.face is not None for window in self._windows)
        for window in self._windows:
            window.follow(rgb, self._windows)
        self._drop([window for window in self._windows if window.is_void(self._windows)])
        lost = before > sum(window.face is not None for window in self._windows)
        if lost or time_s >= self._search_at_s:
            self._search_at_s = time_s + _SEARCH_S
            self._search(rgb)
        return [window.face for window in self._windows if window.face is not None]

    def cut(self) -> None:
        """Search in the next picture; who is still where a face was is found without."""
        self._search_at_s = -np.inf
        for window in self._windows:
            window.forget()

    def close(self) -> None:
        """Give the models back; doing so twice is fine."""
        self._drop(self._windows)
        if self._detector is not None:
            self._detector.close()
            self._detector = None

    def _search(self, rgb: Rgb) -> None:
        """Open a window for each face that none follows; without any, look closer."""
        height, width = rgb.shape[:2]
        self._search_in(rgb, 0, 0, width, height)
        side, longer = min(width, height), max(width, height)
        if self._windows or longer < _CLOSER * side:
            return
        for start in np.linspace(0, longer - side, _PARTS).astype(int):
            left, top = (int(start), 0) if width > height else (0, int(start))
            self._search_in(rgb, left, top, side, side)

    def _search_in(self, rgb: Rgb, left: int, top: int, width: int, height: int) -> None:
        """Search a part of the picture."""
        part = np.ascontiguousarray(rgb[top : top + height, left : left + width])
        full_height, full_width = rgb.shape[:2]
        for detection in self._detector.process(part).detections or []:
            found = detection.location_data.relative_bounding_box
            box = (
                (left + found.xmin * width) / full_width,
                (top + found.ymin * height) / full_height,
                found.width * width / full_width,
                found.height * height / full_height,
            )
            holders = [w for w in self._windows if _holds(w.box, box)]
            if any(window.face is not None for window in holders):
                continue
            self._drop(holders)  # they lost it
            if len(self._windows) < _MOST_FACES:
                window = _Window(self._solutions, box, rgb)
                self._windows.append(window)
                window.follow(rgb, self._windows)

    def _drop(self, windows: list[_Window]) -> None:
        for window in list(windows):
            window.close()
            self._windows.remove(window)


class _Window:
    """A part of the picture in which the face mesh follows one face."""

    _SIDE = 2.6  # of the window, in face sizes
    _SIDES = (1.8, 3.8)  # outside of this, or
    _MARGIN = 0.8  # with less than this from the face's centre to its edge, it is laid anew
    _MESH_TO_DETECTION = 1.3  # the mesh's box is larger than the detector's
    _PATIENCE = 15  # pictures without a face after which it is given up

    def __init__(self, solutions: Any, box: Box, rgb: Rgb) -> None:
        self.face: Face | None = None
        self.box = box  # where the face is, or was seen last
        self._solutions = solutions
        self._mesh: Any = None
        self._anew = True
        self._missed = 0
        self._lay(rgb, self._MESH_TO_DETECTION)

    def follow(self, rgb: Rgb, windows: Sequence[_Window]) -> None:
        """Look for the face in the next picture."""
        view = self._view(rgb, [window.box for window in windows if window is not self])
        result = self._begin(view) if self._anew else self._mesh.process(view)
        self.face = None
        if result.multi_face_landmarks:
            landmarks = result.multi_face_landmarks[0].landmark
            points = np.array([(point.x, point.y) for point in landmarks], np.float64)
            points = points * view.shape[1::-1] + (self._left, self._top)
            self.face = mouth_of(points, rgb)
        self._missed = 0 if self.face else self._missed + 1
        if self.face is not None:
            self.box = self.face.box
            if not self._fits(rgb):
                self._lay(rgb, 1.0)
                self.forget()

    def forget(self) -> None:
        """Find the face anew in the next picture instead of following it there."""
        self._anew = True

    def is_void(self, windows: Sequence[_Window]) -> bool:
        """Return whether it lost its face, or came to follow the face of an earlier window."""
        if self.face is None:
            return self._missed > self._PATIENCE
        earlier = windows[: windows.index(self)]
        return any(w.face is not None and _holds(w.box, self.box) for w in earlier)

    def close(self) -> None:
        """Give the model back."""
        if self._mesh is not None:
            self._mesh.close()

    def _begin(self, view: Rgb) -> Any:
        """Find the face; the models are loaded, and tell so on stderr, until this returns."""
        with silent_stderr():
            if self._mesh is None:
                face_mesh = self._solutions.face_mesh
                self._mesh = face_mesh.FaceMesh(max_num_faces=1, refine_landmarks=False)
            else:
                self._mesh.reset()
            self._anew = False
            return self._mesh.process(view)

    def _lay(self, rgb: Rgb, factor: float) -> None:
        """Put the window around the face."""
        (x, y), size = self._centre_and_size(rgb)
        height, width = rgb.shape[:2]
        side = max(64.0, size * factor * self._SIDE)
        self._width, self._height = min(width, round(side)), min(height, round(side))
        self._left = int(np.clip(round(x - self._width / 2), 0, width - self._width))
        self._top = int(np.clip(round(y - self._height / 2), 0, height - self._height))

    def _fits(self, rgb: Rgb) -> bool:
        (x, y), size = self._centre_and_size(rgb)
        height, width = rgb.shape[:2]
        right, bottom = self._left + self._width, self._top + self._height
        margin = self._MARGIN * size
        inside = (
            (self._left == 0 or x - self._left > margin)
            and (right == width or right - x > margin)
            and (self._top == 0 or y - self._top > margin)
            and (bottom == height or bottom - y > margin)
        )
        sides = max(self._width, self._height) / size
        whole = self._width == width and self._height == height
        low, high = self._SIDES
        large_enough = sides > low or whole
        small_enough = sides < high or max(self._width, self._height) <= 64
        return inside and large_enough and small_enough

    def _centre_and_size(self, rgb: Rgb) -> tuple[tuple[float, float], float]:
        height, width = rgb.shape[:2]
        left, top, across, down = self.box
        centre = ((left + across / 2) * width, (top + down / 2) * height)
        return centre, max(across * width, down * height, 1.0)

    def _view(self, rgb: Rgb, others: Sequence[Box]) -> Rgb:
        """Return the window's pixels, without other known faces: the mesh follows but one."""
        view = rgb[self._top : self._top + self._height, self._left : self._left + self._width]
        view = np.ascontiguousarray(view)
        own = self._place(self.box, rgb)
        kept = view[own].copy()
        for box in others:
            place = self._place(box, rgb)
            if view[place].size and not _holds(box, self.box):
                if view.base is not None or np.shares_memory(view, rgb):
                    view = view.copy()
                view[place] = 128
                view[own] = kept
        return view

    def _place(self, box: Box, rgb: Rgb) -> tuple[slice, slice]:
        """Return where a box lies in the window."""
        height, width = rgb.shape[:2]
        left, top, across, down = box
        x = np.clip(np.array([left, left + across]) * width - self._left, 0, self._width)
        y = np.clip(np.array([top, top + down]) * height - self._top, 0, self._height)
        return slice(int(y[0]), int(y[1])), slice(int(x[0]), int(x[1]))


def _holds(box: Box, other: Box) -> bool:
    """Return whether the centre of a box lies in the middle of another."""
    across = abs(box[0] + box[2] / 2 - other[0] - other[2] / 2)
    down = abs(box[1] + box[3] / 2 - other[1] - other[3] / 2)
    return across < 0.4 * max(box[2], other[2]) and down < 0.4 * max(box[3], other[3])


class FaceLandmarkerTracker:
    """Follow mouths with a FaceLandmarker model file; see the head of this file.

    Parameters
    ----------
    model : path-like
        The ``.task`` file.

    Raises
    ------
    InputFileError
        If the model file is missing or is none.
    AudioEngineError
        If MediaPipe is not installed; the text says what brings it.
    """

    signals: Sequence[str] = MOUTH_SIGNALS
    delay_s = 0.0
    short_side: int | None = 1080

    def __init__(self, model: str | os.PathLike[str]) -> None:
        mediapipe = _import_mediapipe()
        path = Path(model)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputFileError(f"{path}: {error.strerror or error}") from None
        self._mediapipe, self._path = mediapipe, path
        vision, base = mediapipe.tasks.vision, mediapipe.tasks.BaseOptions
        options = vision.FaceLandmarkerOptions(
            base_options=base(model_asset_buffer=content),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=max(2, _MOST_FACES),  # one face would be smoothed over time
        )
        try:
            with silent_stderr():
                self._landmarker: Any = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise self._unfit(error) from None
        self._last_ms = -1

    def faces(self, time_s: float, rgb: Rgb) -> list[Face]:
        """Return the faces of a picture."""
        self._last_ms = max(self._last_ms + 1, round(time_s * 1000.0))
        image = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb)
        )
        try:
            result = self._landmarker.detect_for_video(image, self._last_ms)
        except RuntimeError as error:
            raise self._unfit(error) from None
        size = rgb.shape[1::-1]
        meshes = [
            np.array([(point.x, point.y) for point in landmarks], np.float64) * size
            for landmarks in result.face_landmarks
        ]
        return [face for mesh in meshes if (face := mouth_of(mesh, rgb)) is not None]

    def _unfit(self, error: Exception) -> InputFileError:
        said = (str(error).splitlines() or ["no reason given"])[0]
        return InputFileError(
            f"{self._path}: this is no FaceLandmarker model file for this MediaPipe ({said})"
        )

    def cut(self) -> None:
        """Do nothing: the model looks for new faces in each picture."""

    def close(self) -> None:
        """Give the model back; doing so twice is fine."""
        if self._landmarker is not None:
            self._landmarker.close()
            self._landmarker = None


def _import_mediapipe() -> Any:
    try:
        with silent_stderr():
            import mediapipe
    except ModuleNotFoundError:
        raise AudioEngineError(
            "mouths are followed with MediaPipe, which is not installed; with Python 3.11 or "
            f"3.12 install it with: {install_command(_MEDIAPIPE)}"
        ) from None
    except ImportError as error:  # OpenCV, which it brings along, wants a window system's libraries
        raise AudioEngineError(
            f"MediaPipe is installed but cannot be loaded: {error}; "
            "on Debian apt-get install libgl1 libglib2.0-0 brings what it wants"
        ) from None
    return mediapipe

"""A talking face drawn with numpy: enough of one for face trackers, and nobody's.

Soft-edged ellipses with light from above left: hair, skin, eyes, brows, nose, lips, the opening of
the mouth with teeth. Coordinates are in units of half the face's height, from its middle, y down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
SKIN, SHADE = (222, 172, 142), (150, 98, 76)
HAIR, BROW, LIPS, MOUTH = (52, 38, 30), (70, 48, 36), (172, 84, 82), (44, 14, 16)
WHITE, IRIS, PUPIL, TEETH = (238, 234, 230), (86, 62, 44), (16, 12, 12), (226, 220, 208)
SHIRT, CHEEK, SHINE, GLOSS = (70, 84, 120), (236, 176, 156), (247, 216, 193), (214, 124, 118)


def draw_face(
    picture: NDArray[np.uint8],
    *,
    centre: tuple[float, float],
    half_height: float,
    opening: float,
    tilt_degrees: float = 0.0,
) -> None:
    """Draw a face into a picture.

    Parameters
    ----------
    picture : ndarray of uint8, shape (height, width, 3)
        Changed in place.
    centre : tuple of float
        x and y of the face's middle in pixels.
    half_height : float
        Half of its height in pixels.
    opening : float
        0.0 (lips closed) to 1.0 (wide open).
    tilt_degrees : float
        Clockwise.
    """
    canvas = _Canvas(picture, centre, half_height, np.radians(tilt_degrees))
    _draw(canvas, float(opening))


class _Canvas:
    """A picture in the face's own coordinates."""

    def __init__(
        self, picture: NDArray[np.uint8], centre: tuple[float, float], scale: float, angle: float
    ) -> None:
        self._picture, self._centre, self._scale = picture, centre, scale
        self._cosine, self._sine = float(np.cos(angle)), float(np.sin(angle))

    def ellipse(
        self,
        colour: Colour,
        middle: tuple[float, float],
        radii: tuple[float, float],
        *,
        soft: float = 0.0,
        strength: float = 1.0,
        shaded: bool = False,
    ) -> None:
        """Paint an ellipse with an edge as soft as `soft`."""
        edge = max(soft, 1.2 / self._scale)
        reach = (max(radii) + edge) * self._scale
        column = self._centre[0] + self._scale * (middle[0] * self._cosine - middle[1] * self._sine)
        row = self._centre[1] + self._scale * (middle[0] * self._sine + middle[1] * self._cosine)
        height, width = self._picture.shape[:2]
        top, bottom = (int(np.clip(row + s * reach, 0, height)) for s in (-1, 1))
        left, right = (int(np.clip(column + s * reach, 0, width)) for s in (-1, 1))
        across = (np.arange(left, right) - self._centre[0]) / self._scale
        down = (np.arange(top, bottom)[:, np.newaxis] - self._centre[1]) / self._scale
        x = across * self._cosine + down * self._sine
        y = down * self._cosine - across * self._sine
        u, v = (x - middle[0]) / radii[0], (y - middle[1]) / radii[1]
        inside = (1.0 - np.sqrt(u * u + v * v)) * min(radii)
        cover = (np.clip(inside / edge + 0.5, 0.0, 1.0) * strength)[..., np.newaxis]
        paint = np.asarray(colour, np.float64)
        if shaded:  # light from above left, darker to the sides
            round_off = np.maximum(0.0, 2.0 * x * x + y * y - 0.45)
            light = np.clip(0.86 - 0.30 * x - 0.10 * y - 0.42 * round_off, 0.0, 1.0)
            paint = light[..., np.newaxis] * paint + (1.0 - light[..., np.newaxis]) * SHADE
        view = self._picture[top:bottom, left:right]
        view[...] = np.rint(view + cover * (paint - view)).astype(np.uint8)


def _draw(canvas: _Canvas, opening: float) -> None:
    jaw = 0.12 * opening  # the chin goes down with the jaw
    gap = 0.005 + 0.13 * opening
    canvas.ellipse(SHIRT, (0.0, 2.0), (1.5, 0.75))
    canvas.ellipse(SHADE, (0.0, 1.05), (0.36, 0.6))
    canvas.ellipse(HAIR, (0.0, -0.22), (0.86, 0.98))
    for side in (-1, 1):
        canvas.ellipse(SHADE, (side * 0.74, 0.0), (0.09, 0.19))
    canvas.ellipse(SKIN, (0.0, -0.05), (0.72, 0.92), shaded=True)
    canvas.ellipse(SKIN, (0.0, 0.32 + jaw), (0.60, 0.66), shaded=True)
    canvas.ellipse(HAIR, (0.0, -1.02), (0.66, 0.36), soft=0.08)
    for side in (-1, 1):
        canvas.ellipse(SHADE, (side * 0.29, -0.15), (0.21, 0.15), soft=0.1, strength=0.55)
        canvas.ellipse(WHITE, (side * 0.29, -0.14), (0.135, 0.062))
        canvas.ellipse(IRIS, (side * 0.29, -0.145), (0.062, 0.062))
        canvas.ellipse(PUPIL, (side * 0.29, -0.145), (0.03, 0.03))
        canvas.ellipse(WHITE, (side * 0.29 - 0.02, -0.165), (0.012, 0.012))
        for i in range(-4, 5):  # upper lid and brow are arcs
            bend = (i / 4.0) ** 2
            canvas.ellipse(PUPIL, (side * 0.29 + 0.034 * i, -0.205 + 0.055 * bend), (0.026, 0.013))
            canvas.ellipse(
                BROW, (side * 0.30 + 0.046 * i, -0.345 + 0.04 * bend), (0.05, 0.034), soft=0.03
            )
        canvas.ellipse(SHADE, (side * 0.10, 0.16), (0.045, 0.20), soft=0.06, strength=0.35)
        canvas.ellipse(SHADE, (side * 0.135, 0.235), (0.07, 0.06), soft=0.05, strength=0.6)
        canvas.ellipse(MOUTH, (side * 0.068, 0.262), (0.036, 0.018), soft=0.02, strength=0.85)
        canvas.ellipse(CHEEK, (side * 0.40, 0.16), (0.20, 0.16), soft=0.2, strength=0.35)
    canvas.ellipse(SHINE, (-0.015, 0.06), (0.05, 0.24), soft=0.07, strength=0.6)
    canvas.ellipse(SHINE, (-0.01, 0.20), (0.07, 0.06), soft=0.06, strength=0.6)
    canvas.ellipse(SHADE, (0.0, 0.375), (0.05, 0.045), soft=0.05, strength=0.3)
    middle = 0.50
    width = 0.27 - 0.03 * opening
    canvas.ellipse(LIPS, (0.0, middle - 0.012), (width, 0.062), soft=0.02)
    canvas.ellipse(LIPS, (0.0, middle + gap + 0.012), (width * 0.92, 0.075 + 0.3 * gap), soft=0.02)
    canvas.ellipse(MOUTH, (0.0, middle + gap / 2), (width * 0.86, gap / 2 + 0.008))
    if opening > 0.05:
        canvas.ellipse(TEETH, (0.0, middle + 0.1 * gap), (width * 0.6, 0.22 * gap))
    canvas.ellipse(GLOSS, (-0.03, middle + gap + 0.055), (0.10, 0.022), soft=0.03, strength=0.5)
    canvas.ellipse(SHADE, (0.0, middle + gap + 0.14), (0.17, 0.035), soft=0.05, strength=0.5)

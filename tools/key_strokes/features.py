"""Turn scenes into what the suppressor tells key strokes by, with the project's own C code."""

from __future__ import annotations

import ctypes
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tools.echo_net.features import compile_library
from tools.echo_net.simulate import SAMPLE_RATE_HZ, Recordings
from tools.key_strokes.scenes import Scene, make_scene
from tools.speech_presence.scenes import HOPS_PER_S

Float32 = npt.NDArray[np.float32]
SCENE_SECONDS = 10.0


def build(library: Path, weights: Path) -> None:
    """Compile features.c, which holds ae_transients.c, and what it needs, with any weights."""
    first = ("-include", str(weights))  # its guard then keeps the header in csrc out
    here = Path(__file__).with_suffix(".c")
    compile_library(library, here, *first, without="ae_transients")


class Hearing:
    """The compiled features.c; `count` is the number of features."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self.count: int = self._library.stroke_feature_count()

    def hear(self, scene: Scene) -> Float32:
        """Run the suppressor over a scene.

        Returns
        -------
        ndarray of float32, shape (hops, count)
            What it judged each hop of 10 ms by; zeros where it did not look for strokes.
        """
        hops = len(scene.stroke)
        heard = np.ascontiguousarray(scene.capture[: hops * SAMPLE_RATE_HZ // HOPS_PER_S])
        features = np.zeros((hops, self.count), np.float32)
        status = self._library.stroke_features(
            _pointer(heard), hops, SAMPLE_RATE_HZ, _pointer(features)
        )
        if status != 0:
            raise MemoryError(f"stroke_features gave status {status}")
        return features


def _pointer(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


class Heard(NamedTuple):
    """Of all scenes: shape (scenes, hops, count) and (scenes, hops)."""

    features: Float32
    stroke: npt.NDArray[np.int8]
    speech: npt.NDArray[np.bool_]
    onset: npt.NDArray[np.bool_]

    def of(self, scenes: slice) -> Heard:
        """Return what was heard of some of the scenes."""
        return Heard(
            self.features[scenes], self.stroke[scenes], self.speech[scenes], self.onset[scenes]
        )


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A set of scenes to be made; the same seed makes the same scenes with any number of jobs."""

    speech: Path
    noise: Path
    scenes: int
    seed: int
    jobs: int

    def make(self) -> list[Scene]:
        """Make the scenes."""
        with ProcessPoolExecutor(self.jobs, mp_context=get_context("spawn")) as pool:
            shares = list(pool.map(self._make_share, range(self.jobs)))
        return [shares[number % self.jobs][number // self.jobs] for number in range(self.scenes)]

    def _make_share(self, job: int) -> list[Scene]:
        """Make every `jobs`-th scene."""
        recordings = Recordings(self.speech, self.noise)
        scenes = []
        for number in range(job, self.scenes, self.jobs):
            rng = np.random.default_rng([self.seed, number])
            scenes.append(make_scene(rng, recordings, SCENE_SECONDS))
            if len(scenes) % 100 == 0:
                print(f"job {job}: {len(scenes)} scenes", flush=True)
        return scenes


def hear(scenes: list[Scene], weights: Path) -> Heard:
    """Run the suppressor with these weights over scenes of one length."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "features.so"
        build(library, weights)
        hearing = Hearing(library)
        return Heard(
            np.array([hearing.hear(scene) for scene in scenes]),
            np.array([scene.stroke for scene in scenes]),
            np.array([scene.speech for scene in scenes]),
            np.array([scene.onset for scene in scenes]),
        )

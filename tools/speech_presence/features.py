"""Turn scenes into what the suppressor judges speech by, with the project's own C code."""

from __future__ import annotations

import ctypes
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tools.echo_net.features import compile_library
from tools.echo_net.simulate import Recordings
from tools.speech_presence.scenes import HOPS_PER_S, Scene, make_scene

Float32 = npt.NDArray[np.float32]
SCENE_SECONDS = 10.0


def build(library: Path) -> None:
    """Compile features.c and what it needs, without the classifier."""
    compile_library(library, Path(__file__).with_suffix(".c"), without="ae_speech_presence")


class Hearing:
    """The compiled features.c; `count` is the number of features."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self.count: int = self._library.speech_feature_count()

    def hear(self, scene: Scene, dereverb: float = 1.0) -> Float32:
        """Run the suppressor over a scene.

        Returns
        -------
        ndarray of float32, shape (hops, count)
            What it judged each hop of 10 ms by.
        """
        hops = len(scene.speech)
        heard = np.zeros(hops * scene.sample_rate_hz // HOPS_PER_S, np.float32)
        heard[: len(scene.capture)] = scene.capture[: len(heard)]
        features = np.zeros((hops, self.count), np.float32)
        status = self._library.speech_features(
            _pointer(heard), hops, scene.sample_rate_hz, ctypes.c_float(dereverb),
            _pointer(features),
        )  # fmt: skip
        if status != 0:
            raise MemoryError(f"speech_features gave status {status}")
        return features


def _pointer(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A set of scenes to be made; the same seed makes the same scenes with any number of jobs."""

    speech: Path
    noise: Path
    scenes: int
    seed: int
    jobs: int

    def make(self) -> tuple[Float32, npt.NDArray[np.bool_]]:
        """Return features, shape (scenes, hops, count), and speech, shape (scenes, hops)."""
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "features.so"
            build(library)
            with ProcessPoolExecutor(self.jobs, mp_context=get_context("spawn")) as pool:
                shares = list(pool.map(self._make_share, range(self.jobs), [library] * self.jobs))
        numbers = [range(job, self.scenes, self.jobs) for job in range(self.jobs)]
        order = np.argsort(np.concatenate(numbers))
        features, speech = (np.concatenate(part)[order] for part in zip(*shares, strict=True))
        return features, speech

    def _make_share(self, job: int, library: Path) -> tuple[Float32, npt.NDArray[np.bool_]]:
        """Make every `jobs`-th scene."""
        hearing = Hearing(library)
        recordings = Recordings(self.speech, self.noise)
        features, speech = [], []
        for number in range(job, self.scenes, self.jobs):
            rng = np.random.default_rng([self.seed, number])
            scene = make_scene(rng, recordings, SCENE_SECONDS)
            features.append(hearing.hear(scene, dereverb=float(number % 2)))
            speech.append(scene.speech)
            if len(speech) % 100 == 0:
                print(f"job {job}: {len(speech)} scenes", flush=True)
        if not np.isfinite(np.array(features)).all():
            raise FloatingPointError(f"a scene of seed {self.seed} is not finite")
        return np.array(features), np.array(speech)

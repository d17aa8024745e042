"""Turn scenes into what the net hears and what it is judged by, with the project's own C code."""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tools.echo_net.simulate import SAMPLE_RATE_HZ, Recordings, Scene, make_scene

ROOT = Path(__file__).resolve().parents[2]
# As in CMakeLists.txt; more can be given in CFLAGS.
FLAGS = "-std=c11 -O3 -fopenmp-simd -ffp-contract=fast -fno-math-errno -fno-trapping-math -DNDEBUG"
LEAST_POWER = 1e-10  # k_least_power in csrc/ae_echo_net.c
SCENE_SECONDS = 14.0  # the filter learns, something happens, it learns again

Float32 = npt.NDArray[np.float32]


def sources_behind(first: Path, *, without: str) -> list[Path]:
    """Return a C file and the files of csrc behind its includes, without one of them.

    What is left out is what the weights belong to: they may still be of another width.
    """
    found = [first]
    for path in found:  # grows
        for name in re.findall(r'#include "(ae_\w+)\.h"', path.read_text(encoding="utf-8")):
            parts = [ROOT / "csrc" / f"{name}.h", ROOT / "csrc" / f"{name}.c"]
            parts = parts[:1] if name == without else parts
            found += [part for part in parts if part.exists() and part not in found]
    return [path for path in found if path.suffix == ".c"]


def compile_library(library: Path, first: Path, *flags: str, without: str) -> None:
    """Compile what `sources_behind` gives into a shared library; CFLAGS and `flags` are added."""
    compiler, extra = (
        shlex.split(os.environ.get(*each)) for each in (("CC", "cc"), ("CFLAGS", ""))
    )
    command = [
        *compiler,
        *FLAGS.split(),
        f"-I{ROOT / 'csrc'}",
        *extra,
        *flags,
        "-shared",
        "-fPIC",
        "-o",
        str(library),
    ]
    sources = map(str, sources_behind(first, without=without))
    subprocess.run([*command, *sources, "-lm", "-lpthread"], check=True)


def build(library: Path) -> None:
    """Compile features.c and what it needs, without the net."""
    compile_library(library, Path(__file__).with_suffix(".c"), without="ae_echo_net")


class Hearing:
    """The compiled features.c.

    Attributes
    ----------
    bands, inputs, products : int
        AE_ECHO_BANDS; floats in an ae_echo_net_input: some signals' bands, then flags; products per
        band in a gram.
    """

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self.bands: int = self._library.echo_net_bands()
        self.inputs: int = self._library.echo_net_inputs()
        self.products: int = self._library.echo_net_products()

    def hear(self, scene: Scene) -> tuple[Float32, Float32]:
        """Run the echo filter over a scene.

        Returns
        -------
        features : ndarray of float32, shape (hops, inputs)
            Mean squares and flags of each hop of 10 ms, in the order of ae_echo_net_input.
        gram : ndarray of float32, shape (hops, products * bands)
            e1e1, e0e0, e1e0, e1t, e0t, tt, see features.c.
        """
        frames = len(scene.capture)
        hops = frames * 100 // SAMPLE_RATE_HZ
        features = np.zeros((hops, self.inputs), np.float32)
        gram = np.zeros((hops, self.products * self.bands), np.float32)
        heard = (scene.capture, scene.far_end, scene.near_end, scene.noise)
        status = self._library.echo_net_features(
            *map(_pointer, heard), frames, SAMPLE_RATE_HZ, _pointer(features), _pointer(gram)
        )
        if status != 0:
            raise MemoryError(f"echo_net_features gave status {status}")
        return features, gram

    def in_db(self, features: Float32) -> npt.NDArray[np.float16]:
        """Return features with powers in dB, small enough to keep thousands of scenes."""
        signals = self.inputs // self.bands * self.bands
        levels = features.copy()
        levels[:, :signals] = 10 * np.log10(features[:, :signals] + LEAST_POWER)
        return levels.astype(np.float16)


def _pointer(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A set of scenes to be made; the same seed makes the same scenes with any number of jobs."""

    speech: Path
    noise: Path
    out: Path
    scenes: int
    seed: int
    jobs: int

    def make(self) -> None:
        """Write `jobs` pairs of files, features-N.npy and gram-N.npy, into the folder `out`."""
        self.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "features.so"
            build(library)
            with ProcessPoolExecutor(self.jobs, mp_context=get_context("spawn")) as pool:
                jobs = [pool.submit(self._make_share, job, library) for job in range(self.jobs)]
                for job in jobs:
                    job.result()

    def _make_share(self, job: int, library: Path) -> None:
        """Make every `jobs`-th scene, straight into the files."""
        hearing = Hearing(library)
        recordings = Recordings(self.speech, self.noise)
        numbers = range(job, self.scenes, self.jobs)
        hops = int(SCENE_SECONDS * 100)
        features = self._file("features", job, np.float16, (len(numbers), hops, hearing.inputs))
        size = hearing.products * hearing.bands
        gram = self._file("gram", job, np.float32, (len(numbers), hops, size))
        for i, number in enumerate(numbers):
            rng = np.random.default_rng([self.seed, number])
            powers, gram[i] = hearing.hear(make_scene(rng, recordings, SCENE_SECONDS))
            features[i] = hearing.in_db(powers)
            if not (np.isfinite(features[i]).all() and np.isfinite(gram[i]).all()):
                raise FloatingPointError(f"scene {number} of seed {self.seed} is not finite")
            if (i + 1) % 100 == 0:
                print(f"job {job}: {i + 1} of {len(numbers)} scenes", flush=True)

    def _file(self, name: str, job: int, kind: type, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        path = self.out / f"{name}-{job:02}.npy"
        return np.lib.format.open_memmap(path, "w+", kind, shape)

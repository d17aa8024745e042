"""Make the far end's part of the material: scenes with a loudspeaker, heard behind the echo filter.

A scene of tools/echo_net/simulate.py lasts 12 s and gives two clips of 6 s: one in which the echo
filter begins to learn, one in which it has learned and things change. Echo filter and classical
stages hear the signals as in the engine (front.c), so nothing can be mixed in later: a clip is
what the net hears as it is. Beside the spectra of what is heard and of the target it keeps the
powers per bin that the net hears aside.

usage: python -m training.echo_scenes --speech DIR --noise DIR --out DIR --part 0 [--scenes 100]
       python -m training.echo_scenes --speech DIR --noise DIR --out DIR --held-out [--scenes 12]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from tools.echo_net.simulate import SAMPLE_RATE_HZ, Recordings, Scene, Shares, make_scene
from training import spectrum
from training.front import SceneFront, front_scene
from training.material import HOPS, SECONDS, share_of, spoken
from training.pause import wait_while_paused
from training.recordings import Reader, active_db, frame_db, listed
from training.sounds import Random, ratio
from training.spectrum import Array

CLIPS_PER_SCENE = 2
LEAST_DB = -110.0  # powers are kept in dB over the talker; what is below is not heard by any net
POWERS = ("before", "echo", "far")
_SHARES = Shares(quiet=0.4, near_music=0.0)  # the net takes noise as well, and music for noise
_FAR_BELOW_DB = 25.0  # a talker that far below what is heard does not count as the level


class Voices(Recordings):
    """The recordings that training may use, silence between the words."""

    def __init__(self, speech: Path, noise: Path, held_out: bool) -> None:
        self._reader = Reader()
        voices = share_of(listed(speech, noise=False), held_out)
        clean = [r for r in voices if self._reader.clean(r, SAMPLE_RATE_HZ) is not None]
        self._by_path = {r.path: r for r in clean}
        self.speech = sorted(self._by_path, key=str)
        noises = share_of(listed(noise, noise=True), held_out)
        self._noises = {r.path: r for r in noises}
        self.noise = sorted(self._noises, key=str)

    def read(self, path: Path) -> Array:
        """Return one channel at SAMPLE_RATE_HZ."""
        if path in self._noises:
            return self._reader.read(self._noises[path], SAMPLE_RATE_HZ)
        found = self._reader.clean(self._by_path[path], SAMPLE_RATE_HZ)
        assert found is not None
        return found


def level_of(scene: Scene, frames: slice) -> float:
    """Return the amplitude that stands for 1 in a clip: the talker's, or what is heard."""
    heard, early = (x[frames] for x in (scene.capture, scene.early))
    heard_db = active_db(frame_db(heard, SAMPLE_RATE_HZ))
    early_db = active_db(frame_db(early, SAMPLE_RATE_HZ)) if np.any(early) else -200.0
    if early_db < heard_db - _FAR_BELOW_DB:
        early_db = heard_db if early_db < heard_db - 2 * _FAR_BELOW_DB else heard_db - _FAR_BELOW_DB
    return ratio(early_db)


class SceneStore:
    """Clips of scenes in flat files: (clips, hops, bins, ...), half precision."""

    def __init__(self, folder: Path, part: int, clips: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"scene{part}"
        shape = (clips, HOPS, spectrum.BINS)
        self.planes = {
            "spectra": self._file("spectra", (*shape, 2)),
            "target": self._file("target", (*shape, 2)),
            **{name: self._file(name, shape) for name in POWERS},
        }
        self.level = np.ones(clips, np.float32)
        self.label = np.zeros((clips, HOPS), np.uint8)

    def _file(self, name: str, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
        return np.lib.format.open_memmap(f"{self.path}.{name}.npy", "w+", np.float16, shape)

    def put(self, i: int, heard: SceneFront, hops: slice, level: float, label: Array) -> None:
        """Keep one clip; `label`: 1 where somebody speaks, per hop."""
        self.planes["spectra"][i] = heard.after[hops] / level
        self.planes["target"][i] = heard.target[hops] / level
        for name in POWERS:
            power = getattr(heard, name)[hops] / level**2
            self.planes[name][i] = 10 * np.log10(power + 10 ** (LEAST_DB / 10))
        self.level[i], self.label[i] = level, label

    def close(self) -> None:
        """Write what is left."""
        for plane in self.planes.values():
            plane.flush()
        np.savez(f"{self.path}.npz", label=self.label, level=self.level)


def keep_scene(store: SceneStore, first: int, scene: Scene) -> None:
    """Run a scene through the classical stages and keep its clips from number `first` on."""
    heard = front_scene(scene.capture, scene.far_end, scene.early)
    frames = SECONDS * SAMPLE_RATE_HZ
    label = spoken(scene.early, SAMPLE_RATE_HZ)
    for n in range(CLIPS_PER_SCENE):
        hops = slice(n * HOPS, (n + 1) * HOPS)
        level = level_of(scene, slice(n * frames, (n + 1) * frames))
        store.put(first + n, heard, hops, level, label[hops])


def make(options: argparse.Namespace) -> None:
    """Make one part; scene n of a part is drawn from the seed (seed, part, held out, 2, n)."""
    folder = options.out / ("valid" if options.held_out else "train")
    voices = Voices(options.speech, options.noise, options.held_out)
    store = SceneStore(folder, options.part, CLIPS_PER_SCENE * options.scenes)
    for n in range(options.scenes):
        wait_while_paused()
        rng: Random = np.random.default_rng([options.seed, options.part, options.held_out, 2, n])
        scene = make_scene(rng, voices, float(CLIPS_PER_SCENE * SECONDS), _SHARES)
        keep_scene(store, CLIPS_PER_SCENE * n, scene)
        if n % 20 == 19:
            print(f"{n + 1} of {options.scenes} scenes", flush=True)
    store.close()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--noise", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=100, help="of 12 s each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", type=int, default=0, help="number of the part: another draw")
    parser.add_argument("--held-out", action="store_true", help="the speakers and kinds kept back")
    make(parser.parse_args())


if __name__ == "__main__":
    main()

"""Devices for live tests, or the reason to skip where the machine cannot have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import soundfile

from signals import noise
from soundcard import JackRoom, JackServer, SoftwareCard, missing_for_card, missing_for_jack
from soundcard.truth import FarEnd


@pytest.fixture(scope="session")
def far_end(tmp_path_factory: pytest.TempPathFactory) -> FarEnd:
    """30 s without a silent moment; as float, so that no rounding stands between."""
    path = tmp_path_factory.mktemp("far") / "far.wav"
    samples = noise(30, 48000, 0.05, seed=7)
    soundfile.write(path, samples, 48000, subtype="FLOAT")
    return FarEnd(path, samples)


@pytest.fixture
def make_card(tmp_path: Path) -> Iterator[Callable[..., SoftwareCard]]:
    """A function that makes the software card, with SoftwareCard's arguments; closed at the end."""
    reason = missing_for_card()
    if reason is not None:
        pytest.skip(reason)
    with ExitStack() as stack:

        def make(**arguments: Any) -> SoftwareCard:
            return stack.enter_context(SoftwareCard(tmp_path, **arguments))

        yield make


@pytest.fixture
def jack_server(tmp_path: Path) -> Iterator[JackServer]:
    """A running JACK server that waits for its clients."""
    reason = missing_for_jack()
    if reason is not None:
        pytest.skip(reason)
    with JackServer(tmp_path) as server:
        yield server


@pytest.fixture
def make_jack_room(tmp_path: Path, jack_server: JackServer) -> Callable[..., JackRoom]:
    """A function that makes a room on the server, to be used by ``with``."""

    def make(**arguments: Any) -> JackRoom:
        return JackRoom(jack_server, tmp_path, **arguments)

    return make

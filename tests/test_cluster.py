"""A cluster of two workers does what this machine does, also when one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
from typer.testing import CliRunner, Result

from audio_engine.batch import cluster
from audio_engine.batch.manifest import NAME
from audio_engine.cli.main import app
from signals import echo_of, speech

distributed = pytest.importorskip("distributed", reason="the extra [cluster] is not installed")
dask = pytest.importorskip("dask")
RATE_HZ = 16000


@pytest.fixture(scope="module")
def workers() -> Iterator[Any]:
    """Two worker processes of a scheduler of our own, which soon gives a dead one up."""
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
        distributed.LocalCluster(
            n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None
        ) as made,
    ):
        yield made


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a new folder with recordings, their far end and what is no recording."""
    monkeypatch.chdir(tmp_path)
    Path("in/deep").mkdir(parents=True)
    far, near = speech("guest", 6.0), speech("host", 6.0)
    soundfile.write("far.wav", far, RATE_HZ)
    for number in range(6):
        mic = near + echo_of(far, RATE_HZ, seed=number)
        soundfile.write(f"in/{'deep/' * (number % 2)}{number} ü.wav", mic, RATE_HZ)
    Path("in/bad.wav").write_text("no audio")


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["process", "in", "--far", "far.wav", "--json", *arguments])
    assert "Traceback" not in result.output
    return result


def contents(folder: str) -> dict[str, bytes]:
    paths = (path for path in Path(folder).rglob("*") if path.is_file() and path.name != NAME)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_a_killed_worker_changes_nothing(workers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("-o", "local").exit_code == 1
    for how in ("auto", "send"):
        with monkeypatch.context() as patch:
            check_a_killed_worker(workers, how, patch)
    again = json.loads(run("-o", "auto", "--resume").stdout)["summary"]
    assert (again["skipped"], again["done"]) == (6, 0), "here or there, it is the same manifest"


def check_a_killed_worker(workers: Any, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on the cluster into a folder of the mode's name, and compare with the local outputs."""
    plain_outcome = cluster._outcome
    victims = [worker.pid for worker in workers.workers.values()][:1]

    def kill_then(*arguments: object) -> object:
        if victims:  # the first result is here, the others are being made
            os.kill(victims.pop(), signal.SIGKILL)
        return plain_outcome(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cluster, "_outcome", kill_then)
    address = workers.scheduler_address.replace("tcp", "dask")
    result = run("-o", how, "--cluster", address, "--cluster-files", how)
    assert result.exit_code == 1
    assert not victims
    found = json.loads(result.stdout)
    assert (found["summary"]["done"], found["summary"]["failed"]) == (6, 1)
    names = {item["output"] for item in found["files"] if item["status"] == "done"}
    assert names == {f"{how}/{name}" for name in contents(how)}, "the user's names, not a worker's"
    assert "error: in/bad.wav: no audio was recognised" in result.stderr
    assert ("the files lie where the workers see them" in result.stderr) == (how == "auto")
    assert contents(how) == contents("local")
    lines = [json.loads(line) for line in Path(how, NAME).read_text().splitlines()]
    done = sorted(line["output"] for line in lines if line["status"] == "done")
    assert done == sorted(contents(how)), "each once"


def test_storage_that_is_not_shared_is_noticed() -> None:
    samples = [(os.path.abspath("far.wav"), Path("far.wav").stat().st_size, 1)]
    assert not cluster._sees(samples), "another file of the same name"
    assert not cluster._sees([("/nowhere/far.wav", 1, 1)])
    now = Path("far.wav").stat()
    assert cluster._sees([(os.path.abspath("far.wav"), now.st_size, now.st_mtime_ns)])


def test_another_version_is_refused(workers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "package_version", lambda: "9.9.9")
    address = workers.scheduler_address.replace("tcp", "dask")
    result = run("-o", "out", "--cluster", address)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "here is 9.9.9" in line
    assert "install the same version" in line
    assert not Path("out").exists()


def test_nobody_there_is_one_line_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.5)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        started = time.monotonic()
        result = run("-o", "out", "--cluster", f"dask://127.0.0.1:{port}")
        assert time.monotonic() - started < 6.0
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: dask://127.0.0.1:{port}: no Dask scheduler answers there")
    assert not Path("out").exists()

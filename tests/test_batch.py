"""Many files: what becomes a job, what is noted, what a kill costs, and how a run goes on."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner, Result

from audio_engine.batch.job import Job
from audio_engine.batch.local import LocalPool
from audio_engine.batch.manifest import NAME, Manifest, read_entries
from audio_engine.batch.plan import Plan, make_plan
from audio_engine.batch.watch import Watch
from audio_engine.cli.main import app
from audio_engine.config import EngineConfig
from audio_engine.errors import ConfigError, OutputFileError, WorkerError
from audio_engine.io.offline import process_file
from benchmarks import batch_torture
from signals import noise, voice
from waiting import descriptors, wait_until

RATE_HZ = 16000
MODEL = Job(source="", target="", config=EngineConfig.preset("cohost"), preset="cohost")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a new folder with three recordings in it, one of them with its far end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    Path("in/deep").mkdir(parents=True)
    for number, name in enumerate(("a", "deep/b ü", "deep/-c")):
        soundfile.write(f"in/{name}.wav", voice(1.0, RATE_HZ, seed=number), RATE_HZ)
    soundfile.write("in/a_far.wav", noise(1.0, RATE_HZ), RATE_HZ)


def run(*arguments: str) -> Result:
    """Run the command, with one worker unless said otherwise: each takes its time to start."""
    workers = [] if {"--jobs", "--cluster"} & {*arguments} else ["--jobs", "1"]
    result = CliRunner().invoke(app, ["process", *arguments, *workers])
    assert "Traceback" not in result.output
    return result


def statuses(result: Result) -> dict[str, str]:
    return {item["input"]: item["status"] for item in json.loads(result.stdout)["files"]}


def plan(*inputs: str, output: str = "out", suffix: str = "", far: str | None = None) -> Plan:
    return make_plan(inputs, output, MODEL, suffix=suffix, far=far)


def targets(planned: Plan) -> dict[str, str]:
    return {job.source: job.target for job in planned.jobs}


# --- the plan ------------------------------------------------------------------------------------


def test_a_folder_keeps_its_folders_and_a_suffix_goes_before_the_ending() -> None:
    found = targets(plan("in", suffix="_clean"))
    assert found == {
        "in/a.wav": "out/a_clean.wav",
        "in/a_far.wav": "out/a_far_clean.wav",
        "in/deep/-c.wav": "out/deep/-c_clean.wav",
        "in/deep/b ü.wav": "out/deep/b ü_clean.wav",
    }


def test_a_pattern_means_files_and_a_file_of_that_name_comes_first() -> None:
    assert set(targets(plan("in/*"))) == {"in/a.wav", "in/a_far.wav"}
    assert targets(plan("in/**/-?.wav")) == {"in/deep/-c.wav": "out/deep/-c.wav"}
    shutil.copy("in/a.wav", "in/[a].wav")
    assert targets(plan("in/[a].wav", output="out.wav")) == {"in/[a].wav": "out.wav"}
    (problem,) = plan("in/*.ogg").problems
    assert str(problem.error) == "in/*.ogg: no file matches"
    assert len(plan("in", "in/*.wav", "in").jobs) == 5, "found again is not another one"


def test_far_ends_are_paired_and_are_no_inputs() -> None:
    planned = plan("in", far="{stem}_far.wav")
    assert {job.source: job.far_end for job in planned.jobs} == {"in/a.wav": "in/a_far.wav"}
    assert planned.left_out == {"in/a_far.wav": "a far end"}
    assert [str(problem.error).split(";")[0] for problem in planned.problems] == [
        f"{name}.wav: its far end {name}_far.wav is missing (--far {{stem}}_far.wav)"
        for name in ("in/deep/-c", "in/deep/b ü")
    ]
    Path("far/in").mkdir(parents=True)
    shutil.copy("in/a_far.wav", "far/in/a.wav")
    assert plan("in/a.wav", far="far/{dir}/{name}").jobs[0].far_end == "far/in/a.wav"
    assert plan("in/a.wav", far="../far/in/{name}").jobs[0].far_end == "far/in/a.wav"
    named = plan("in/a.wav", "in/a_far.wav", far="{stem}_far.wav")
    assert [job.source for job in named.jobs] == ["in/a.wav"], "as a shell expands in/*.wav"
    one_for_all = plan("in", far="in/a_far.wav")
    assert {job.far_end for job in one_for_all.jobs} == {"in/a_far.wav"}
    assert len(one_for_all.jobs) == 3


def test_outputs_are_never_inputs() -> None:
    inside = plan("in", output="in/out")
    for job in inside.jobs:
        Path(job.target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(job.source, job.target)
    assert targets(plan("in", output="in/out")) == targets(inside)
    shutil.rmtree("in/out")
    beside = plan("in", output="in", suffix="_clean")
    shutil.copy("in/a.wav", "in/a_clean.wav")  # a kill came before it was noted
    again = plan("in", output="in", suffix="_clean")
    assert targets(again) == targets(beside)
    assert list(again.left_out) == ["in/a_clean.wav"]


def test_a_file_is_taken_once_however_often_it_is_named() -> None:
    assert targets(plan("in/a.wav", "./in/a.wav", "in", "in/deep/../a.wav")) == targets(plan("in"))


def test_what_is_not_written_becomes_what_holds_the_same() -> None:
    Path("talk").mkdir()
    names = {"a.aac": "a.m4a", "b.WMA": "b.m4a", "c.avi": "c.mkv", "d.opus": "d.opus"}
    names |= {"e.aifc": "e.aifc", "f.wave": "f.wave"}
    for name in names:
        Path("talk", name).touch()
    assert [Path(job.target).name for job in plan("talk").jobs] == sorted(names.values())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["in", "-o", "in"],
            "in/a.wav: this is an input file, which is never overwritten; add --su",
        ),
        (["in/x.aac", "in/x.m4a", "-o", "out"], "two inputs would become out/x.m4a: in/x.aac and"),
        (
            ["in", "-o", "out", "--far", "{stm}_far.wav"],
            "{stm} is not known; use {stem}, {name}",
        ),
        (["in", "-o", "out", "--far", "{name}"], "in/a.wav would be its own far end"),
        (["in/a.wav", "-o", "in/a_far.wav", "--suffix", "_x"], "--suffix goes with a folder"),
        (["-", "in", "-o", "out"], "- is one stream"),
        (["-", "-o", "out/"], "a stream has no name"),
        (["-", "-o", "-", "--json"], "the sound goes to standard output"),
        (["-", "-o", "a.wav", "--report", "a.html"], "--report needs files"),
        (["-", "-o", "a.wav", "--resume"], "--resume has no use with a stream"),
        (["in", "-o", "out", "--report", "x.html"], "name a folder"),
        (["in/a.wav", "-o", "x.wav", "--report", "x"], "name a file that ends with .html"),
        (
            ["in", "-o", "out", "--far", "in/a_far.wav", "--echo-state", "x", "--jobs", "2"],
            "one at",
        ),
        (["in", "-o", "out", "--cluster", "localhost:8786"], "write dask://HOST:PORT"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    arguments: list[str], complaint: str
) -> None:
    before = sorted(Path().rglob("*"))
    result = run(*arguments)
    assert result.exit_code == 2, result.stderr
    assert complaint in result.stderr.splitlines()[-1]
    assert sorted(Path().rglob("*")) == before


def test_a_dry_run_shows_all_and_touches_nothing() -> None:
    before = sorted(Path().rglob("*"))
    result = run("in", "-o", "out", "--far", "{stem}_far.wav", "--dry-run", "--json")
    assert result.exit_code == 1, "two far ends are missing"
    found = json.loads(result.stdout)
    assert [item["action"] for item in found["files"]] == ["process", "fail", "fail"]
    assert found["left_out"] == [{"input": "in/a_far.wav", "reason": "a far end"}]
    table = run("in", "-o", "out", "--dry-run").stdout.splitlines()
    assert table[0].split() == ["input", "far", "end", "output", "action", "reason"]
    assert len(table) == 5
    assert sorted(Path().rglob("*")) == before


# --- manifest and resume -------------------------------------------------------------------------


def test_resume_does_again_only_what_has_changed() -> None:
    Path("in/bad.wav").write_text("no audio")
    first = run("in", "-o", "out", "--json")
    assert first.exit_code == 1
    summary = json.loads(first.stdout)["summary"]
    assert (summary["done"], summary["failed"], round(summary["audio_s"], 3)) == (4, 1, 4.0)
    config = EngineConfig.preset("cohost")
    for name in ("a", "deep/-c"):
        process_file(f"in/{name}.wav", "direct.wav", config=config)
        assert Path("direct.wav").read_bytes() == Path(f"out/{name}.wav").read_bytes()
    again = run("in", "-o", "out", "--resume", "--json")
    assert sorted(statuses(again).values()) == ["failed", *["skipped"] * 4]
    assert "4 of 5 files are finished: skipped" in again.stderr
    shutil.copy("in/a.wav", "in/bad.wav")
    shutil.copy("in/a.wav", "in/deep/-c.wav")
    Path("out/deep/b ü.wav").unlink()
    with Path("out/a.wav").open("r+b") as file:  # the same size, other content
        file.seek(1000)
        file.write(b"no sound")
    plan_now = json.loads(run("in", "-o", "out", "--resume", "--dry-run", "--json").stdout)
    assert {item["input"]: item["reason"] for item in plan_now["files"]} == {
        "in/a.wav": "output changed",
        "in/a_far.wav": "finished",
        "in/bad.wav": "failed before",
        "in/deep/-c.wav": "input changed",
        "in/deep/b ü.wav": "a file is missing",
    }
    changed = run("in", "-o", "out", "--resume", "--json")
    assert changed.exit_code == 0
    assert sorted(statuses(changed).values()) == [*["done"] * 4, "skipped"]
    other = run("in", "-o", "out", "--resume", "--json", "--set", "agc.target_lufs=-20")
    assert set(statuses(other).values()) == {"done"}


def test_a_far_end_counts_too_and_hashes_decide() -> None:
    far = ("in", "-o", "out", "--far", "in/a_far.wav", "--resume", "--json")
    assert set(statuses(run(*far)).values()) == {"done"}
    os.utime("in/a.wav", (1, 1))  # a time alone is no change
    assert set(statuses(run(*far)).values()) == {"skipped"}
    soundfile.write("in/a_far.wav", noise(1.0, RATE_HZ, seed=9), RATE_HZ)
    assert set(statuses(run(*far)).values()) == {"done"}


def test_half_a_last_line_costs_that_line_only() -> None:
    run("in", "-o", "out", "-q")
    manifest = Path("out", NAME)
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join([*lines[:-1], lines[-1][:-20]]))
    (out_dir := Path("out", ".audio-engine-0123456789ab.part")).write_bytes(b"of a killed run")
    result = run("in", "-o", "out", "--resume", "--json")
    assert sorted(statuses(result).values()) == ["done", *["skipped"] * 3]
    assert not out_dir.exists()
    names = [json.loads(line)["output"] for line in manifest.read_text().splitlines()]
    assert sorted(names) == ["a.wav", "a_far.wav", "deep/-c.wav", "deep/b ü.wav"]
    entry = read_entries("out")["deep/b ü.wav"]
    assert entry.input == str(Path("in/deep/b ü.wav").absolute())
    assert entry.duration_s == 1.0


def test_two_runs_do_not_share_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_engine.batch.manifest._PATIENCE_S", 0.1)
    with Manifest("out"):
        result = run("in", "-o", "out")
        assert result.exit_code == 1
        assert "another run is at work in this folder" in result.stderr
        with pytest.raises(OutputFileError, match="another run"):
            Manifest("out")
    assert run("in", "-o", "out", "-q").exit_code == 0


def test_a_folder_that_cannot_be_written_is_one_line() -> None:
    result = run("in", "-o", "/proc/nowhere")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"error: /proc/nowhere/{NAME}: cannot be written: No such file or directory"
    ]


def test_a_single_file_has_no_manifest_unless_it_is_resumed() -> None:
    assert run("in/a.wav", "-o", "out/", "-q").exit_code == 0
    assert [path.name for path in Path("out").iterdir()] == ["a.wav"]
    assert set(statuses(run("in/a.wav", "-o", "out/", "--resume", "--json")).values()) == {"done"}
    again = run("in/a.wav", "-o", "out/", "--resume", "--json")
    assert set(statuses(again).values()) == {"skipped"}


# --- workers, kills, signals ---------------------------------------------------------------------


class KillsWorkers(Watch):
    """A watch that kills whoever processes a file of this name, as often as is said."""

    def __init__(self, name: str, times: int) -> None:
        self.name, self.times, self.lost = name, times, 0

    def moved(self, job: Job, done: int, total: int) -> None:
        if job.source == self.name and self.times:
            self.times -= 1
            for child in children(os.getpid()):
                if self.name in descriptors(child):
                    os.kill(child, signal.SIGKILL)

    def again(self, job: Job, reason: str) -> None:
        assert "was killed (SIGKILL)" in reason
        self.lost += 1


def children(parent: int) -> list[int]:
    """Return the live child processes of a process."""
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


@pytest.mark.parametrize("times", [1, 2])
def test_a_killed_worker_costs_its_own_file_only(times: int) -> None:
    soundfile.write("in/long.wav", noise(60.0, RATE_HZ), RATE_HZ)
    jobs = plan("in").jobs
    Path("out/deep").mkdir(parents=True)
    pool, watch = LocalPool(2), KillsWorkers("in/long.wav", times)
    outcomes = {outcome.job.source: outcome for outcome in pool.run(jobs, watch)}
    pool.close()
    assert len(outcomes) == len(jobs)
    assert watch.lost == 1
    assert pool.lost_workers
    error = outcomes.pop("in/long.wav").error
    assert all(outcome.done for outcome in outcomes.values())
    if times == 1:
        assert error is None
    else:
        assert isinstance(error, WorkerError)
        assert "its worker process was killed (SIGKILL), 2 times" in str(error)


def test_ctrl_c_is_quick_says_one_line_and_leaves_nothing() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what ignores it hands that on
    for number in range(2):  # sparse: hours that nobody waits for
        head = batch_torture.header(data_bytes=2**30)
        Path(f"in/long {number}.wav").write_bytes(head)
        os.truncate(f"in/long {number}.wav", len(head) + 2**30)
    command = [sys.executable, "-m", "audio_engine", "process", "in", "-o", "out", "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: len(children(process.pid)) == 2 and Path("out", NAME).exists())
        workers = children(process.pid)
        wait_until(lambda: any("in/long 0.wav" in descriptors(pid) for pid in workers))
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        out, words = process.communicate(timeout=20)
        assert time.monotonic() - started < 2.0
    assert process.returncode == 130
    assert words.decode().splitlines() == [
        "interrupted; 0 of 6 files are done, --resume goes on with the rest"
    ]
    assert out == b""
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    left = {path.name for path in Path("out").rglob("*") if path.is_file()}
    assert left <= {NAME}, left


def test_killed_twice_and_resumed_every_file_is_there_once() -> None:
    assert batch_torture.main(["--files", "14", "--broken", "3", "--seconds", "1"]) == 0


def test_a_pattern_with_an_unknown_place_is_named() -> None:
    with pytest.raises(ConfigError, match=r"\{\} is not known"):
        plan("in", far="{}_far.wav")


def test_each_file_has_a_report_and_a_page_leads_to_all() -> None:
    Path("in/deep/bad.wav").write_text("no audio")
    reports = ("in/deep", "-o", "out", "--report", "reports", "--lang", "zh", "--resume", "--json")
    run("in/deep", "-o", "out", "-q")
    assert sorted(statuses(run(*reports)).values()) == ["done", "done", "failed"], "none had one"
    first = Path("reports/index.html").read_text(encoding="utf-8")
    links = re.findall(r'href="\./([^"]+)"', first)
    assert len(links) == 2
    for link in map(urllib.parse.unquote, links):
        page = Path("reports", link)
        assert 'lang="zh' in page.read_text(encoding="utf-8")
        assert json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["duration_s"] == 1
    assert sorted(statuses(run(*reports)).values()) == ["failed", "skipped", "skipped"]
    again = Path("reports/index.html").read_text(encoding="utf-8")
    assert again == first, "skipped files are on the page as before"
    single = run("in/a.wav", "-o", "a.wav", "--report", "a.html")
    assert single.exit_code == 0, single.stderr
    assert Path("a.html").exists()
    assert single.stderr == "Look: a.html in a browser, with players and curves.\n"


def test_the_pages_examples_work_as_typed() -> None:
    page = (Path(__file__).parent.parent / "docs" / "batch.md").read_text(encoding="utf-8")
    for name in ("mic", "far"):
        soundfile.write(f"{name}.wav", voice(1.0, RATE_HZ, seed=len(name)), RATE_HZ)
    commands = 0
    for language, block in re.findall(r"^```(sh|python)\n(.*?)^```", page, re.M | re.S):
        if language == "python" or "audio-engine process" not in block:
            program = [sys.executable, "-c"] if language == "python" else ["bash", "-ec"]
            done = subprocess.run([*program, block], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")
            continue
        for line in filter(None, block.splitlines()):
            words = shlex.split(line, comments=True)
            if words[0] == "audio-engine":
                result = CliRunner().invoke(app, words[1:])
                assert result.exit_code == 0, (line, result.stderr)
                commands += 1
            else:
                subprocess.run(words, check=True)
    assert commands == 5
    assert {path.name for path in Path("takes").glob("*_clean*")} == {"monday_clean.wav"}
    assert len(read_entries("from-python")) == 2

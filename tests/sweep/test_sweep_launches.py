"""A sweep around its launches: kills, failures, a second start, jobs for Slurm. What it launches are stand-ins."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from execution.slurm_stand_in import install
from launch import ROOT
from sweep_bench import Bench

from medlm_recipes.callbacks.metrics import read_rows
from medlm_recipes.manifest import read_manifest
from medlm_recipes.partial import hold
from medlm_recipes.sweep.launching import run_to_its_end

HERE = Path(__file__).parent
BUDGETS = [1280, 2560]


@pytest.fixture
def branches(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A sweep of two budgets in design branch."""
    values = yaml.safe_load(bench.sweep.read_text())
    values |= {"design": "branch", "runs": str(bench.folder / "runs"), "budgets": [f"{one}tok" for one in BUDGETS]}
    bench.write("sweep", values)
    monkeypatch.setenv("STAND_IN", str(bench.folder))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}:{HERE}")
    return bench


def command(bench: Bench, *overrides: str) -> list[str]:
    return [sys.executable, str(HERE / "stand_in" / "sweep.py"), str(bench.sweep), *overrides]


def swept(bench: Bench, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(bench, *overrides), cwd=ROOT, capture_output=True, text=True, timeout=120)


def faults(bench: Bench, **kinds: str) -> None:
    (bench.folder / "faults.txt").write_text("".join(f"{name}={kind}\n" for name, kind in kinds.items()))


def launches(bench: Bench) -> list[str]:
    return (bench.folder / "launches.txt").read_text().split()


def report(bench: Bench) -> dict[str, bytes]:
    """What must not depend on how often a sweep was interrupted; its manifest has the hashes of timed logs."""
    return {path.name: path.read_bytes() for path in (bench.folder / "sweep").iterdir() if path.name != "manifest.json"}


ALL = ["trunk", "tok1280", "evaluate-tok1280", "tok2560", "evaluate-tok2560"]


def test_killed_at_any_launch_it_resumes_and_its_report_is_the_same(branches: Bench) -> None:
    done = swept(branches)
    assert done.returncode == 0, done.stderr
    assert launches(branches) == ALL
    untouched = report(branches)
    assert untouched.keys() >= {"report.html", "sweep.json"}
    for name in ("runs", "sweep"):
        shutil.rmtree(branches.folder / name)
    (branches.folder / "launches.txt").unlink()

    struck = ["trunk", "tok2560"]
    faults(branches, **dict.fromkeys(struck, "kill"))
    for name in struck:
        assert swept(branches).returncode == -signal.SIGKILL
        assert not (branches.folder / "sweep").exists()
        assert launches(branches)[-1] == name
    assert swept(branches).returncode == 0
    assert sorted(launches(branches)) == sorted(ALL + struck)  # nothing that was done is done again
    assert report(branches) == untouched
    assert not list(branches.folder.glob("*.survived"))  # what a killed sweep had launched has gone with it
    assert not list(branches.folder.rglob("*.lock"))


def test_a_launch_that_fails_is_a_gap_and_tried_again(branches: Bench) -> None:
    faults(branches, tok1280="exit", **{"evaluate-tok2560": "exit"})
    done = swept(branches)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "the report has 2 gaps" in done.stderr
    gaps = read_manifest(branches.folder / "sweep", "sweep").facts["gaps"]
    assert gaps == {
        "train tok1280": "the cooldown to 1.28k tokens of train failed with exit code 1",
        "train tok2560 evaluate": "its evaluation failed with exit code 1",
    }
    assert str(branches.folder) not in json.dumps(gaps)
    with_gaps = report(branches)
    faults(branches)
    assert swept(branches).returncode == 0
    assert report(branches) != with_gaps
    assert launches(branches)[-3:] == ["tok1280", "evaluate-tok1280", "evaluate-tok2560"]
    assert launches(branches).count("trunk") == 1 and launches(branches).count("tok2560") == 1


def test_a_trunk_that_diverges_costs_the_budgets_beyond_it_only(branches: Bench) -> None:
    faults(branches, trunk="diverge")
    done = swept(branches)
    assert done.returncode == 2
    assert launches(branches) == ["trunk", "tok1280", "evaluate-tok1280"]
    assert read_manifest(branches.folder / "sweep", "sweep").facts["gaps"] == {
        "train tok2560": "the trunk of train failed with exit code 2; the divergence guard stopped it at 2,049 tokens "
        "(mean loss 9 above 3)"
    }
    first = read_rows(branches.folder / "runs/train/tok1280/metrics.jsonl")
    assert [row["tokens"] for row in first] == [1280]
    stopped = swept(branches, "stop_at_failure=true")
    assert stopped.returncode == 2 and launches(branches)[-1] == "trunk"
    assert "error: trunk of train: failed with exit code 2: its message stands above; mend that" in stopped.stderr


def test_one_sweep_at_a_time_and_one_that_is_told_to_stop(branches: Bench, tmp_path: Path) -> None:
    lock = branches.folder / "runs/train.lock"
    holder = hold(lock, 0.0)
    assert holder and hold(lock, 0.0) is None
    faults(branches, trunk="wait")
    with open(tmp_path / "log", "w") as log:
        waiting = subprocess.Popen(command(branches), cwd=ROOT, stdout=log, stderr=log)
    until(lambda: "waiting" in (tmp_path / "log").read_text())
    assert not (branches.folder / "launches.txt").exists()
    holder.close()
    until(lambda: (branches.folder / "runs/train/trunk/metrics.jsonl").exists())
    waiting.terminate()
    assert waiting.wait(60) == 75
    assert not lock.exists()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_is_launched_ends_with_its_launcher(tmp_path: Path) -> None:
    """Also a grandchild, as the ranks of the composer launcher are, whose launcher was killed."""
    nested = "import os, subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, file=open({pid!r}, 'w')); {last}"
    for last, code in (("os.kill(os.getpid(), 9)", -9), ("sys.exit(3)", 3)):
        pid = tmp_path / f"{code}"
        assert run_to_its_end([sys.executable, "-c", nested.format(pid=str(pid), last=last)]) == code
        grandchild = Path("/proc", pid.read_text().strip(), "stat")
        until(lambda at=grandchild: not at.exists() or " Z " in at.read_text())


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins of Slurm's commands on PATH, and where they keep their jobs."""
    cluster = install(tmp_path)
    monkeypatch.setenv("QUEUE", cluster["QUEUE"])
    monkeypatch.setenv("PATH", f"{cluster['PATH']}:{os.environ['PATH']}")
    return Path(cluster["QUEUE"])


def test_the_jobs_for_slurm_do_what_a_sweep_here_does(
    branches: Bench, queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUNCHED_BY_COMPOSER", "train-trunk")
    slurm = ["slurm.gpus_per_node=1", "slurm.partition=gpu", "slurm.sbatch_args={account: lab}"]
    faults(branches, tok1280="stopped")
    written = swept(branches, "launch=slurm", *slurm)
    assert written.returncode == 0, written.stderr
    folder = branches.folder / "sweep.slurm"
    assert f"6 jobs written; hand them in with: bash {folder}/submit.sh" in written.stdout
    assert not (branches.folder / "launches.txt").exists()
    trunk = (folder / "train-trunk.sbatch").read_text()
    for line in ("nodes=2", "gpus-per-node=1", "partition=gpu", "account=lab", "requeue", "time=7-00:00:00"):
        assert f"#SBATCH --{line}\n" in trunk

    submit = ["bash", str(folder / "submit.sh")]
    subprocess.run(submit, check=True, capture_output=True)
    needs = {path.read_text().split()[-1]: path.read_text().split()[:-1] for path in queue.glob("*.arguments")}
    assert needs == {
        "train-trunk.sbatch": [],
        "train-tok1280.sbatch": ["--dependency=afterany:1001"],
        "train-tok1280-evaluate.sbatch": ["--dependency=afterany:1002"],
        "train-tok2560.sbatch": ["--dependency=afterany:1001"],
        "train-tok2560-evaluate.sbatch": ["--dependency=afterany:1004"],
        "report.sbatch": ["--dependency=afterany:1001:1002:1003:1004:1005"],
    }
    refusal = subprocess.run(submit, capture_output=True, text=True)
    assert refusal.returncode == 2 and "of an earlier submission still waits or runs" in refusal.stderr
    until(lambda: not list(queue.glob("*.queued")))
    said = "".join(path.read_text() for path in sorted(queue.glob("*.out")))
    assert (branches.folder / "sweep/report.html").is_file(), said
    assert sorted(launches(branches)) == sorted([*ALL, "tok1280"])  # requeued once
    assert read_manifest(branches.folder / "sweep", "sweep").facts["gaps"] == {}
    assert "nothing to do" in swept(branches).stdout  # a sweep here would write the same report
    assert "1 jobs written" in swept(branches, "launch=slurm", *slurm).stdout
    assert [path.name for path in folder.glob("*.sbatch")] == ["report.sbatch"]

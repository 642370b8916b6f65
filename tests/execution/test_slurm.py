"""Slurm by stand-ins for its commands, which run the jobs of a submitted script on this machine."""

import os
from pathlib import Path

import pytest
from halving import Work, half, times_done, works
from launch import ROOT
from slurm_stand_in import install

from medlm_recipes.config.execution import ExecutionKeys
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.execution import slurm, watching
from medlm_recipes.execution.tasks import run_tasks

HALVES = [0, 0.5, 1, 1.5, 2, 2.5]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cluster = install(tmp_path)
    monkeypatch.setenv("QUEUE", cluster["QUEUE"])
    monkeypatch.setenv("PATH", f"{cluster['PATH']}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{Path(__file__).parent}")
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(watching, "SETTLING_SECONDS", 0.3)
    monkeypatch.setattr(slurm, "_ASK_SECONDS", 0.1)
    return Path(cluster["QUEUE"])


def run(folder: Path, tasks: list[Work], **keys: object) -> list[float]:
    given = {"partition": "cpu", "tasks_per_job": 3, "workers": 8, "sbatch_args": {"account": "lab"}} | keys
    return list(run_tasks(half, tasks, ExecutionKeys(executor="slurm", **given), folder / "out", "halve"))  # type: ignore[arg-type]


def test_an_array_job_does_the_tasks_and_a_rerun_the_rest(tmp_path: Path, queue: Path) -> None:
    assert run(tmp_path, works(tmp_path)) == HALVES and set(times_done(tmp_path).values()) == {1}
    script = (queue / "1001.sh").read_text()
    for line in ("--array=0-1%8", "--partition=cpu", "--account=lab", "--mem-per-cpu=2G", "--time=24:00:00"):
        assert f"#SBATCH {line}\n" in script
    assert "qos" not in script and not (queue / "1002.sh").exists()  # no merging of statistics behind it
    assert run(tmp_path, works(tmp_path)) == HALVES and not (queue / "1002.sh").exists()
    for number in (2, 4):
        (tmp_path / f"out/.tasks/halve/completions/{number:05d}").unlink()
    assert run(tmp_path, works(tmp_path)) == HALVES
    assert times_done(tmp_path) == {0: 1, 1: 1, 2: 2, 3: 1, 4: 2, 5: 1}


def test_errors_and_lost_jobs_are_one_message(tmp_path: Path, queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"^number 1: cannot be halved; mend it$"):
        run(tmp_path, works(tmp_path, n1="unless mended")[:2])
    assert not list(queue.glob("*.queued"))
    with pytest.raises(DataError, match=r"1 of 2 tasks ended without a result; logs: .*/halve; see slurm_logs"):
        run(tmp_path, works(tmp_path, n2="killed")[1:3])
    (tmp_path / "mended").touch()
    assert run(tmp_path, works(tmp_path, n2="killed")[1:3]) == [0.5, 1]
    assert capfd.readouterr() == ("", "")
    (queue.parent / "bin/sbatch").write_text("#!/bin/bash\necho invalid account >&2\nexit 1\n")
    with pytest.raises(ConfigError, match=r"sbatch refused .*launch_script\.slurm \(exit code 1"):
        run(tmp_path, works(tmp_path, n2="says"))


def test_jobs_of_a_killed_launcher_are_watched_not_repeated(tmp_path: Path, queue: Path) -> None:
    keys = ExecutionKeys(executor="slurm", partition="cpu", tasks_per_job=3)
    launcher = run_tasks(half, works(tmp_path), keys, tmp_path / "out", "halve")
    assert next(launcher) == 0  # and no further: what follows finds the queue as a killed launcher leaves it
    assert list(queue.glob("*.queued"))
    assert run(tmp_path, works(tmp_path)) == HALVES
    assert not (queue / "1002.sh").exists() and set(times_done(tmp_path).values()) == {1}
    launcher.close()


def test_a_launcher_that_ends_early_cancels_its_jobs(tmp_path: Path, queue: Path) -> None:
    keys = ExecutionKeys(executor="slurm", partition="cpu")
    launcher = run_tasks(half, works(tmp_path), keys, tmp_path / "out", "halve")
    next(launcher)
    launcher.close()
    assert [path.name for path in queue.glob("*.cancelled")] == ["1001.cancelled"]

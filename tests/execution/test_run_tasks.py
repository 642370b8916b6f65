from dataclasses import replace
from pathlib import Path

import pytest
from halving import Work, half, times_done, works
from launch import ROOT

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.config.execution import ExecutionKeys
from medlm_recipes.config.loading import load_config
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.execution.tasks import require_executor, run_tasks

HALVES = [0, 0.5, 1, 1.5, 2, 2.5]


def run(folder: Path, tasks: list[Work], workers: int = 2) -> list[float]:
    return list(run_tasks(half, tasks, ExecutionKeys(workers=workers), folder / "out", "halve"))


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_and_finished_tasks_stay_finished(tmp_path: Path, workers: int) -> None:
    assert run(tmp_path, works(tmp_path), workers) == HALVES
    records = tmp_path / "out/.tasks/halve"
    assert sorted(path.name for path in (records / "completions").iterdir()) == [f"{n:05d}" for n in range(6)]
    assert "Processing done for rank=5" in (records / "logs/task_00005.log").read_text()
    assert run(tmp_path, works(tmp_path), 3 - workers) == HALVES and set(times_done(tmp_path).values()) == {1}
    (records / "completions/00003").unlink()  # as a kill between result and marker leaves it
    changed = works(tmp_path)
    changed[1] = replace(changed[1], how="differently")
    assert run(tmp_path, changed, workers) == HALVES
    assert times_done(tmp_path) == {0: 1, 1: 2, 2: 1, 3: 2, 4: 1, 5: 1}
    assert list(run_tasks(half, [], ExecutionKeys(), tmp_path / "out", "nothing")) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_ours_is_handed_on_and_what_was_done_is_kept(
    tmp_path: Path, workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = works(tmp_path, n0="says", n3="unless mended")
    for _ in range(2):
        with pytest.raises(DataError, match=r"^number 3: cannot be halved; mend it$"):
            run(tmp_path, broken, workers)
    (tmp_path / "mended").touch()
    assert run(tmp_path, broken, workers) == HALVES
    times = times_done(tmp_path)
    assert times.pop(3) == 3 and set(times.values()) == {1}
    assert capfd.readouterr() == ("", "halving\n")  # what a task says, and nothing of datatrove's
    with pytest.raises(ConfigError, match="halves"):
        run(tmp_path, works(tmp_path, n5="wrong key"), workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bug_keeps_its_type(tmp_path: Path, workers: int) -> None:
    with pytest.raises(KeyError, match="no such thing"):
        run(tmp_path, works(tmp_path, n2="bug"), workers)


def test_a_killed_worker_is_one_message_and_no_wait(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a worker process was killed, most likely for want of memory"):
        run(tmp_path, works(tmp_path, n1="killed"))
    (tmp_path / "mended").touch()
    assert run(tmp_path, works(tmp_path, n1="killed")) == HALVES


def test_what_an_executor_needs_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recipe = ROOT / "yamls/corpus/text.yaml"
    for override, message in (
        ("workers=2", r"workers: unknown key \(value 2\); did you mean execution\.workers\?"),
        ("execution.executor=slurm", r"execution\.partition: must be given for executor slurm"),
        ("execution.executor=slrum", "did you mean slurm"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_config(CorpusConfig, recipe, ["inputs=[x]", "out=x", override])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no sbatch here"):
        require_executor(ExecutionKeys(executor="slurm", partition="cpu"))

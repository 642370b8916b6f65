"""Ray on this machine alone: a cluster is begun for these tests, which takes some seconds."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from halving import Work, half, times_done, works
from launch import ROOT

from medlm_recipes.config.execution import ExecutionKeys
from medlm_recipes.errors import DataError
from medlm_recipes.execution.tasks import run_tasks


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    if not importlib.util.find_spec("ray"):
        pytest.skip("ray is not installed; pip install 'medlm-recipes[ray]'")
    import ray

    found = {"env_vars": {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}", "RAY_USAGE_STATS_ENABLED": "0"}}
    try:
        ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR", runtime_env=found)
    except Exception as error:
        pytest.skip(f"ray cannot start here: {error}")
    yield
    ray.shutdown()


def run(folder: Path, tasks: list[Work]) -> list[float]:
    keys = ExecutionKeys(executor="ray", mem_per_cpu_gb=1)
    return list(run_tasks(half, tasks, keys, folder / "out", "halve"))


def test_a_killed_worker_is_one_message_and_a_rerun_continues(
    cluster: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match="a worker process was killed"):
        run(tmp_path, works(tmp_path, n1="killed")[1:2])
    (tmp_path / "mended").touch()
    assert run(tmp_path, works(tmp_path, n1="killed")[1:2]) == [0.5]
    assert times_done(tmp_path)[1] == 2
    assert capfd.readouterr() == ("", "")

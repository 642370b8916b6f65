"""One function over many tasks, where and on how many workers the recipe says; what is finished stays finished."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from medlm_recipes.config.execution import ExecutionKeys
from medlm_recipes.errors import ConfigError
from medlm_recipes.execution.records import Records
from medlm_recipes.partial import TASKS

T = TypeVar("T")
R = TypeVar("R")


def run_tasks(
    function: Callable[[T], R], tasks: Sequence[T], keys: ExecutionKeys, folder: Path, name: str
) -> Iterator[R]:
    """Yield `function(task)` for every task, in order, from datatrove's executor that `keys` names.

    folder: what the stage writes, seen by every node. name: of this phase. Tasks and results must be
    picklable; results and completion markers stand in `folder/.tasks/name`, and a task that a killed
    run finished is not run again, unless it differs from what it was then. A task that was cut short
    is run again from its beginning: it must overwrite what it wrote.
    Raises what the function raised (ConfigError, DataError) for the first task that failed, and
    DataError when a worker was killed.
    """
    records = Records((folder / TASKS / name).resolve())
    unfinished = records.begin(tasks)
    ranks = _completed(function, records, unfinished, len(tasks), keys) if unfinished else iter(())
    waited_for = set(unfinished)
    for number in range(len(tasks)):
        if number in waited_for:
            assert next(ranks) == number
        yield records.result(number)


def _completed(
    function: Callable[[T], R], records: Records, ranks: Sequence[int], tasks: int, keys: ExecutionKeys
) -> Iterator[int]:
    """Yield `ranks`, in order, as they are completed."""
    # Imported here: datatrove takes a third of a second.
    from fsspec.implementations.local import LocalFileSystem

    from medlm_recipes.execution.step import TaskStep, silence

    silence()
    step = TaskStep(function, records)
    logging = (str(records.folder), LocalFileSystem())
    if keys.executor == "local":
        from medlm_recipes.execution.local import LocalExecutor

        return LocalExecutor([step], tasks, keys.workers, logging).run(ranks)
    if keys.executor == "slurm":
        from medlm_recipes.execution.slurm import SlurmExecutor

        return SlurmExecutor(step, tasks, keys, logging).run_and_watch(ranks)
    from medlm_recipes.execution.on_ray import RayExecutor

    return RayExecutor(step, tasks, keys, logging).run_and_watch(ranks)


def require_executor(keys: ExecutionKeys) -> None:
    """Raises ConfigError when this machine lacks what `keys.executor` needs."""
    for command in ("sbatch", "squeue", "scancel"):
        if keys.executor == "slurm" and not shutil.which(command):
            raise ConfigError(f"execution.executor: slurm: there is no {command} here; run this on a login node")
    if keys.executor == "ray" and not find_spec("ray"):
        raise ConfigError("execution.executor: ray: not installed; pip install 'medlm-recipes[ray]'")

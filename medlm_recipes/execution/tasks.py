"""One function over many tasks, where and on how many workers the recipe says; what is finished stays finished."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from medlm_recipes.config.execution import ExecutionKeys
from medlm_recipes.execution.records import Records
from medlm_recipes.manifest import TASKS

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
    # datatrove takes a third of a second to import
    from fsspec.implementations.local import LocalFileSystem

    from medlm_recipes.execution.step import TaskStep

    pipeline = [TaskStep(function, records)]
    logging = (str(records.folder), LocalFileSystem())
    if keys.executor == "local":
        from medlm_recipes.execution.local import LocalExecutor

        return LocalExecutor(pipeline, tasks, keys.workers, logging).run(ranks)
    raise AssertionError(keys.executor)

"""Waiting for tasks that other machines run, by what they leave in the records."""

import time
from collections.abc import Callable, Iterator, Sequence

from medlm_recipes.errors import DataError
from medlm_recipes.execution.records import Records

LOOK_SECONDS = 1.0
SETTLING_SECONDS = 60.0  # a shared file system may show a node's last files this late (NFS: acdirmax)


def as_completed(records: Records, ranks: Sequence[int], is_running: Callable[[], bool], remedy: str) -> Iterator[int]:
    """Yield `ranks`, in order, as their tasks are finished.

    is_running: whether what runs the tasks still does. remedy: what to try when it has stopped early.
    Raises what the first failed task raised, and DataError when tasks are left that nothing runs.
    """
    stopped: float | None = None
    for rank in ranks:
        while not records.is_finished(rank):
            records.raise_failure()
            now = time.monotonic()
            if is_running():
                stopped = None
            elif stopped is None:
                stopped = now
            elif now - stopped > SETTLING_SECONDS:
                missing = sum(not records.is_finished(one) for one in ranks)
                raise DataError(
                    f"{missing:,} of {len(ranks):,} tasks ended without a result; logs: {records.folder}; {remedy}, "
                    "and run the same command again: finished tasks stay finished"
                )
            time.sleep(LOOK_SECONDS)
        yield rank

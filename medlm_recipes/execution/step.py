"""A task as datatrove's executors see it: one pipeline step, run for a rank."""

import sys
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from typing import Any, TextIO

from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import Stats
from loguru import logger

from medlm_recipes.execution.records import Records
from medlm_recipes.partial import is_full, unwritable


class TaskStep(PipelineStep):
    """Runs `function` on the task of a rank and keeps its result.

    An exception of the function does not reach datatrove, which would print it with a traceback: it
    stays in `error`, and in the records for a launcher on another machine.
    """

    type = "TASK"

    def __init__(self, function: Callable[[Any], Any], records: Records) -> None:
        super().__init__()
        self.name = records.folder.name
        self.function = function
        self.records = records
        self.error: Exception | None = None
        self.terminal: TextIO | None = None  # where the function's own messages go; None: the process's stderr

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> None:
        self.stats = Stats(str(self))
        self.error = None
        with self.track_time("task"), redirect_stderr(self.terminal or sys.stderr):
            try:
                self.records.run(rank, self.function)
            except Exception as error:
                self.error = unwritable(self.records.folder, error) if is_full(error) else error
                with suppress(OSError):
                    self.records.keep_failure(rank, self.error)


class MarksResults(PipelineExecutor):
    """An executor for which a rank is completed when its task has a result."""

    def mark_rank_as_completed(self, rank: int) -> None:
        if self.pipeline[0].error is None:
            super().mark_rank_as_completed(rank)


def silence() -> None:
    """Nothing of datatrove's log on this process's terminal; the tasks' log files have it."""
    logger.remove()

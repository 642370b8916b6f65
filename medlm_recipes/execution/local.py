"""Tasks on processes of this machine."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor

from medlm_recipes.execution.processes import in_processes
from medlm_recipes.execution.step import MarksResults
from medlm_recipes.partial import unwritable

_QUIET = 1  # datatrove's local_rank 0 alone logs to the terminal


class LocalExecutor(MarksResults, LocalPipelineExecutor):
    """datatrove's, with concurrent.futures' pool: multiprocess.Pool waits for ever for a worker that was killed."""

    def run(self, ranks: Sequence[int]) -> Iterator[int]:
        """Yield the ranks, in order, as they are completed. Raises what a task raised."""
        self.save_executor_as_json()
        yield from in_processes(self.run_rank, ranks, self.workers)

    def run_rank(self, rank: int) -> int:
        try:
            self._run_for_rank(rank, _QUIET)
        except OSError as error:  # of the log, statistics or marker: a task's own stay in its step
            raise self.pipeline[0].error or unwritable(self.logging_dir.path, error) from None
        if self.pipeline[0].error:
            raise self.pipeline[0].error
        return rank

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
        """As datatrove's, its errors in the log file only; what the task itself says goes to the terminal."""
        self.pipeline[0].terminal = sys.stderr
        with redirect_stderr(StringIO()):
            return super()._run_for_rank(rank, local_rank, node_rank)

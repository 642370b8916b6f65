"""Tasks on a Ray cluster."""

import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.utils.stats import PipelineStats

from medlm_recipes.config.execution import ExecutionKeys
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.execution.processes import end_with, in_pool
from medlm_recipes.execution.step import MarksResults, TaskStep
from medlm_recipes.execution.watching import as_completed


class RayExecutor(MarksResults, RayPipelineExecutor):
    """datatrove's, watched from outside: it swallows the errors of tasks."""

    def __init__(self, step: TaskStep, tasks: int, keys: ExecutionKeys, logging: Any) -> None:
        super().__init__(
            [step],
            tasks,
            keys.workers or -1,
            logging_dir=logging,
            cpus_per_task=keys.cpus_per_task,
            mem_per_cpu_gb=keys.mem_per_cpu_gb,
        )

    def run_and_watch(self, ranks: Sequence[int]) -> Iterator[int]:
        """Yield the ranks, in order, as they are completed. Raises what a task raised."""
        begun = not ray.is_initialized()
        if begun:
            _connect()
        self._say_what_is_short()
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        try:
            remedy = "raise execution.mem_per_cpu_gb where memory was short"
            yield from as_completed(self.pipeline[0].records, ranks, thread.is_alive, remedy)
        finally:
            if begun:
                ray.shutdown()  # ends the tasks that still run

    def _say_what_is_short(self) -> None:
        """A task that fits no node waits for ever, unless the cluster grows by itself."""
        needs = {"CPU": self.cpus_per_task, "memory": self.cpus_per_task * self.mem_per_cpu_gb * (1 << 30)}
        largest = {name: max((node["Resources"].get(name, 0) for node in ray.nodes()), default=0) for name in needs}
        for name, amount in needs.items():
            if amount > largest[name]:
                print(
                    f"notice: a task asks for {name} {amount:,}, Ray's largest node has {largest[name]:,.0f}; it waits "
                    "for a larger one (execution.cpus_per_task, execution.mem_per_cpu_gb)",
                    flush=True,
                )

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
        """In a process of its own: the pool that calls this waits for ever for one that was killed."""
        end_with(os.getppid())
        try:
            for stats in in_pool(self._run_here, [rank], 1):
                return stats
        except DataError as error:
            self.pipeline[0].records.keep_failure(rank, error)
        return PipelineStats()

    def _run_here(self, rank: int) -> Any:
        return super()._run_for_rank(rank, 1)


def _connect() -> None:
    """To the cluster of RAY_ADDRESS, else to one that runs on this machine, else to one begun here."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would call home
    try:
        ray.init(logging_level="ERROR", log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        address = os.environ.get("RAY_ADDRESS", "none given")
        raise ConfigError(f"execution: no Ray cluster answers (RAY_ADDRESS: {address}): {error}") from None

"""Tasks as array jobs of a Slurm cluster."""

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor

from medlm_recipes.config.execution import ExecutionKeys
from medlm_recipes.errors import ConfigError
from medlm_recipes.execution.processes import end_without
from medlm_recipes.execution.step import MarksResults, TaskStep
from medlm_recipes.execution.watching import as_completed
from medlm_recipes.manifest import write_json

_ASK_SECONDS = 10.0  # between two calls of squeue, which loads the cluster's controller
_LEAVING_SECONDS = 90.0  # Slurm's KillWait is 30 s; a job gone from the queue writes no more


class SlurmExecutor(MarksResults, SlurmPipelineExecutor):
    """datatrove's, which submits and returns, made to wait until every rank is completed."""

    def __init__(self, step: TaskStep, tasks: int, keys: ExecutionKeys, logging: Any) -> None:
        super().__init__(
            [step],
            tasks,
            keys.time,
            keys.partition,
            cpus_per_task=keys.cpus_per_task,
            mem_per_cpu_gb=keys.mem_per_cpu_gb,
            workers=keys.workers or -1,
            job_name=f"medlm-{step.name}",
            qos=None,
            env_command=f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH",
            sbatch_args=dict(keys.sbatch_args),
            max_array_size=keys.max_array_size,
            job_id_retriever=self._note_job,
            logging_dir=logging,
            tasks_per_job=keys.tasks_per_job,
            with_srun=False,
        )
        self.jobs = step.records.folder / "jobs.json"

    def run_and_watch(self, ranks: Sequence[int]) -> Iterator[int]:
        """Yield the ranks, in order, as they are completed. Raises what a task raised.

        Jobs of a launcher that was killed are watched, not submitted again. When the launcher itself
        ends early, its jobs are cancelled.
        """
        queue = _Queue(self._noted())
        if not queue.holds_jobs():
            write_json(self.jobs, [])
            try:
                self.launch_job()
            except subprocess.CalledProcessError as error:
                raise ConfigError(
                    f"execution: sbatch refused {self.logging_dir.path}/launch_script.slurm (exit code "
                    f"{error.returncode}, its message stands above); see partition, time and sbatch_args"
                ) from None
            queue = _Queue(self._noted())
        try:
            remedy = "see slurm_logs there, raise execution.mem_per_cpu_gb or execution.time where these were short"
            yield from as_completed(self.pipeline[0].records, ranks, queue.holds_jobs, remedy)
        except BaseException:
            queue.cancel()
            raise

    def launch_merge_stats(self) -> None:
        """Not wanted: after a failed task that job would wait in the queue for ever."""

    def _note_job(self, answer: str) -> str:
        """The id in sbatch's answer, noted for this launcher and the next."""
        found = re.search(r"\d+", answer)
        if not found:
            raise ConfigError(f"execution: sbatch answered {answer.strip()!r}, which names no job")
        write_json(self.jobs, [*self._noted(), found[0]])
        return found[0]

    def _noted(self) -> list[str]:
        return json.loads(self.jobs.read_bytes()) if self.jobs.is_file() else []

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
        end_without(self.pipeline[0].records.folder)
        return super()._run_for_rank(rank, local_rank, node_rank)


class _Queue:
    """What squeue says of some jobs."""

    def __init__(self, jobs: Sequence[str]) -> None:
        self.jobs = set(jobs)
        self._asked = float("-inf")
        self._held = False

    def holds_jobs(self) -> bool:
        """Whether one of them waits or runs; asked again after some seconds only."""
        if self.jobs and time.monotonic() - self._asked >= _ASK_SECONDS:
            answer = _ask("squeue", "--me", "--noheader", "--format=%F")  # %F: an array's id on each of its jobs
            self._asked = time.monotonic()
            # No answer is no news: the controller may be away for a while.
            self._held = answer.returncode != 0 or bool(self.jobs & set(answer.stdout.split()))
        return self._held

    def cancel(self) -> None:
        """Cancel the jobs and wait until they are gone, so that they do not write where a rerun writes."""
        _ask("scancel", *sorted(self.jobs))
        until = time.monotonic() + _LEAVING_SECONDS
        self._asked = float("-inf")
        while self.holds_jobs() and time.monotonic() < until:
            time.sleep(1)


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)  # noqa: S603 (Slurm's own commands and job ids)

"""Keys of where a stage's tasks run; they never decide what is written."""

from collections.abc import Iterator
from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, key, not_empty, one_of


@dataclass
class ExecutionKeys:
    executor: str = key(
        "where tasks run: local (processes of this machine), slurm (array jobs) or ray (the cluster of RAY_ADDRESS, "
        "or this machine); the last two need paths that every node sees",
        "local",
        check=one_of("local", "slurm", "ray"),
    )
    workers: int = key("tasks that run at once; 0: one a core, with slurm and ray no limit", 0, check=at_least(0))
    cpus_per_task: int = key("slurm, ray: cores of a task", 1, check=at_least(1))
    mem_per_cpu_gb: int = key("slurm, ray: memory of a core in GiB", 2, check=at_least(1))
    partition: str = key("slurm: partition of the jobs", "")
    time: str = key("slurm: time limit of a job, as sbatch takes it", "24:00:00", check=not_empty)
    tasks_per_job: int = key("slurm: tasks that one job of an array does, one after another", 1, check=at_least(1))
    max_array_size: int = key("slurm: most jobs of an array (the cluster's MaxArraySize)", 1001, check=at_least(1))
    sbatch_args: dict[str, str] = key("slurm: further options of sbatch, like {account: lab, qos: normal}", {})

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.executor == "slurm" and not self.partition:
            yield "partition", "must be given for executor slurm (sinfo lists the cluster's)"

    @property
    def local_workers(self) -> int:
        """Processes for what the launching machine does itself, wherever the tasks run; 0: one a core."""
        return self.workers if self.executor == "local" else 0

"""A cluster of one machine: commands that answer as Slurm's do, for tests of what submits and watches jobs."""

from pathlib import Path

_SBATCH = """#!/bin/bash
script="${@: -1}"
for argument in "$@"; do
    case $argument in
        --export=ALL,*) export "${argument#--export=ALL,}" ;;
        --dependency=afterany:*) needs=$(tr : ' ' <<< "${argument#--dependency=afterany:}") ;;
    esac
done
id=$((1001 + $(ls $QUEUE/*.sh 2>/dev/null | wc -l)))
cp "$script" $QUEUE/$id.sh
echo "$@" > $QUEUE/$id.arguments
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
folder=$(sed -n 's/^#SBATCH --chdir=//p' "$script")
setsid bash -c "
    cd ${folder:-.}
    for need in $needs; do while [ -e $QUEUE/\\$need.queued ]; do sleep 0.05; done; done
    export SLURM_JOB_ID=$id SLURM_ARRAY_JOB_ID=$id SLURM_NODELIST=here SLURM_JOB_NODELIST=here SLURM_NNODES=1
    for index in \\$(seq 0 ${last:-0}); do
        SLURM_ARRAY_TASK_ID=\\$index bash $QUEUE/$id.sh
        while [ -e $QUEUE/$id.requeue ]; do rm $QUEUE/$id.requeue; bash $QUEUE/$id.sh; done
    done
    rm -f $QUEUE/$id.queued" > $QUEUE/$id.out 2>&1 < /dev/null &
echo $! > $QUEUE/$id.queued
echo "Submitted batch job $id"
"""
_SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
SLURM_NODEID=0 exec "$@"
"""
_SQUEUE = """#!/bin/bash
for job in $QUEUE/*.queued; do [ -e $job ] && basename $job .queued; done
true
"""
_SCANCEL = """#!/bin/bash
for id in "$@"; do
    kill -9 -- -$(cat $QUEUE/$id.queued)
    mv $QUEUE/$id.queued $QUEUE/$id.cancelled
done
"""
_SCONTROL = """#!/bin/bash
case $1 in
    show) echo "$3" ;;
    requeue) touch $QUEUE/$2.requeue ;;
esac
"""


def install(folder: Path) -> dict[str, str]:
    """Write the commands into `folder`; the environment that makes them found, and where they keep their queue."""
    commands, queue = folder / "bin", folder / "queue"
    commands.mkdir()
    queue.mkdir()
    scripts = {"sbatch": _SBATCH, "squeue": _SQUEUE, "scancel": _SCANCEL, "scontrol": _SCONTROL, "srun": _SRUN}
    for name, script in scripts.items():
        (commands / name).write_text(script)
        (commands / name).chmod(0o755)
    return {"PATH": str(commands), "QUEUE": str(queue)}

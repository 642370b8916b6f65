"""Launches on this machine, one after another, that end with the sweep however it ends."""

import ctypes
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO

from medlm_recipes.config.command import MENDABLE, STOPPED
from medlm_recipes.errors import DataError, RecipeError
from medlm_recipes.partial import hold
from medlm_recipes.sweep.jobs import Job, missing_jobs
from medlm_recipes.sweep.plan import SweepPlan
from medlm_recipes.sweep.standing import guard_stop

_LIBC = ctypes.CDLL(None)
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h
_LEAVING_SECONDS = 60.0  # the composer launcher gives its ranks 30, and takes some itself


def launch_missing(plan: SweepPlan) -> None:
    """Launch what is missing; what fails is noted in the legs that wait for it, and the others go on.

    Raises DataError when another sweep is at work on these runs, RecipeError at the first failure when
    the recipe says stop_at_failure. Leaves with STOPPED when it, or a training, was told to stop.
    """
    with _alone(plan) as locks, _terminable():
        for series in plan.series:
            for job in missing_jobs(plan, series):
                if not job.is_ready():
                    continue
                print(f"$ {shlex.join(job.command)}", flush=True)
                code = run_to_its_end(job.command, locks)
                if code:
                    _note_failure(plan, job, code)


def _note_failure(plan: SweepPlan, job: Job, code: int) -> None:
    if code == STOPPED:
        print(f"{job.what}: told to stop; start the sweep again to go on", flush=True)
        sys.exit(STOPPED)
    if plan.config.stop_at_failure:
        stands = "its message stands above; mend that" if code == MENDABLE else "what it said stands above; mend it"
        raise RecipeError(
            f"{job.what}: failed with exit code {code}: {stands} and run the sweep again ({shlex.join(job.command)})"
        )
    for leg in job.legs:
        if job.evaluate:
            leg.unscored[job.evaluate] = f"its evaluation failed with exit code {code}"
        else:
            assert job.run
            leg.problem = f"the {job.what} failed with exit code {code}{guard_stop(job.run.folder)}"


def run_to_its_end(command: Sequence[str], inherited: Sequence[int] = ()) -> int:
    """The exit code of a command whose output goes where ours goes, -N when signal N killed it.

    It runs in a process group of its own, of which nothing is left afterwards. When this process is
    killed, even by SIGKILL, the kernel sends the command SIGTERM, which the composer launcher hands on to
    its ranks: they save and leave. inherited: file descriptors that it keeps open meanwhile.
    """
    process = subprocess.Popen(  # noqa: S603  our own recipes, no shell
        command, pass_fds=inherited, process_group=0, preexec_fn=partial(_end_with, os.getpid())
    )
    try:
        return process.wait()
    finally:
        if process.poll() is None:  # this process was told to stop
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LEAVING_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _end_with(parent: int) -> None:
    """Called in the child between fork and exec, which the setting outlives."""
    _LIBC.prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:  # killed in between
        os._exit(1)


@contextmanager
def _alone(plan: SweepPlan) -> Iterator[list[int]]:
    """Hold a lock on the runs of every series; its file descriptors, for launches to hold it on.

    So a sweep waits for what the launches of a killed one still save, and is refused while one is at work.
    """
    with ExitStack() as held:
        locks = []
        for path in sorted({series.folder.with_name(series.folder.name + ".lock") for series in plan.series}):
            lock = _lock(path)
            held.callback(lock.close)
            held.callback(path.unlink)
            locks.append(lock.fileno())
        yield locks


def _lock(path: Path) -> IO[str]:
    try:
        lock = hold(path, 0.0)
        if lock is None:
            print(f"{path}: held by another sweep, or by what a killed one launched; waiting", flush=True)
            lock = hold(path, _LEAVING_SECONDS)
    except OSError as error:
        raise DataError(f"{path}: cannot be made ({error.strerror}); choose other runs") from None
    if lock is None:
        raise DataError(f"{path}: another sweep is at work on these runs; wait for it, or end it")
    return lock


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM as an exit that lets the launch at hand save first."""

    def stop(number: int, frame: FrameType | None) -> None:
        sys.exit(STOPPED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

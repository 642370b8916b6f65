"""One function over many tasks on several processes of this machine, results in the tasks' order."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from medlm_recipes.errors import DataError

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4  # tasks waiting a worker: enough to keep it busy, few enough to stop soon after an error


def in_processes(function: Callable[[T], R], tasks: Sequence[T], workers: int) -> Iterator[R]:
    """Yield `function(task)` for every task, in order; the first error ends it.

    workers: processes; 0 is one a core. A single one is this process itself.
    Raises DataError when a worker was killed.
    """
    workers = min(workers or os.cpu_count() or 1, len(tasks))
    if workers <= 1:
        yield from map(function, tasks)
    else:
        yield from in_pool(function, tasks, workers)


def in_pool(function: Callable[[T], R], tasks: Sequence[T], workers: int) -> Iterator[R]:
    """The same, with one worker too a process of its own."""
    with ProcessPoolExecutor(workers, initializer=end_with, initargs=(os.getpid(),)) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(function, task))
                if len(waiting) >= workers * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise DataError(
                "a worker process was killed, most likely for want of memory; set fewer execution.workers"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def end_with(parent: int) -> None:
    """End this worker when its parent is killed: it must not go on writing where a rerun writes."""
    _end_when(lambda: os.getppid() != parent, 0.2)


def end_without(folder: Path) -> None:
    """End this worker when `folder` is removed or made anew, for which its launcher must have been killed."""
    inode = folder.stat().st_ino

    def is_gone() -> bool:
        try:
            return folder.stat().st_ino != inode
        except OSError:
            return True

    _end_when(is_gone, 1.0)


def _end_when(condition: Callable[[], bool], every_seconds: float) -> None:
    def watch() -> None:
        while not condition():
            time.sleep(every_seconds)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""One function over many jobs on several threads, results in the jobs' order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 64  # jobs waiting a thread: a file that takes long does not stop the others


def in_threads(function: Callable[[T], R], jobs: Iterable[T], threads: int, stop: Event) -> Generator[R, None, None]:
    """Yield `function(job)` for every job, in order, holding few jobs at once.

    Sets `stop` when the first error, or the caller, ends it; the threads are to watch that.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(function, job))
                if len(waiting) >= threads * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            stop.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

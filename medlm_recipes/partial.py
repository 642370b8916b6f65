"""The folder that a stage writes in before its output gets its name: `<out>.partial`.

It outlives a run that was killed or failed when the stage can continue it, holds what says so, and
has one writer at a time.
"""

import errno
import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from typing import IO, Any, TypeGuard

from medlm_recipes.errors import DataError

TASKS = ".tasks"
"""What the stage's tasks leave for a rerun; no part of the output."""

_BEGUN = ".begun.json"
_LOCK = ".lock"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WAIT_SECONDS = 10.0  # the workers of a killed run end within a second


class Partial:
    """A partial folder, this process's alone until `release`.

    The lock is inherited by forked workers, so that a rerun waits for those of a killed run. Raises
    DataError when another run holds it or when it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = self._acquire()

    def begin(self, begun_from: dict[str, Any] | None) -> None:
        """Keep what is there when it was begun from the same; otherwise empty the folder."""
        noted = self.folder / _BEGUN
        begun = json.dumps(begun_from, sort_keys=True)
        if begun_from is None or not noted.is_file() or noted.read_text() != begun:
            self._empty()
        if begun_from is not None:
            noted.write_text(begun)

    def become(self, out: Path) -> None:
        """Drop what is no part of the output and give the folder its final name."""
        _remove(self.folder / TASKS)
        _remove(self.folder / _BEGUN)
        if out.is_dir():
            out.rmdir()
        self.folder.replace(out)
        (out / _LOCK).unlink()  # not sooner: whoever waits for it must find the output made

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def release(self) -> None:
        self._lock.close()

    def _empty(self) -> None:
        for path in self.folder.iterdir():
            if path.name != _LOCK:
                _remove(path)

    def _acquire(self) -> IO[str]:
        try:
            lock = hold(self.folder / _LOCK, _WAIT_SECONDS)
        except OSError as error:
            raise DataError(f"{self.folder}: cannot be made ({error.strerror}); choose another out") from None
        if lock is None:
            raise DataError(f"{self.folder}: another run writes there; wait for it, or choose another out")
        return lock


def hold(path: Path, seconds: float) -> IO[str] | None:
    """An exclusive lock on a file, made with its folder where missing; held until it is closed.

    It may be removed by whoever holds it. None: another process has it, for so many seconds.
    """
    until = time.monotonic() + seconds
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path, "w")
        if _is_locked(lock) and _is_same(path, lock):
            return lock
        lock.close()
        if time.monotonic() > until:
            return None
        time.sleep(0.1)


def is_full(error: BaseException) -> TypeGuard[OSError]:
    """Whether the disk, a quota or a limit on the size of files left no room."""
    return isinstance(error, OSError) and error.errno in _FULL


def unwritable(folder: str | Path, error: OSError) -> DataError:
    """The message for an error met while writing below `folder`."""
    remedy = "; make room and run the same command again" if is_full(error) else ""
    return DataError(f"{folder}: cannot be written ({error.strerror or error}){remedy}")


def _is_locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _is_same(path: Path, opened: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(opened.fileno()))
    except OSError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

"""What tests give run_tasks to do; a module of its own, so that other processes can import it."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from medlm_recipes.errors import ConfigError, DataError


@dataclass(frozen=True)
class Work:
    """number: what is halved. folder: gets a line in `done` for every time that it was. how: it goes."""

    number: int
    folder: Path
    how: str = "well"


def half(work: Work) -> float:
    with open(work.folder / "done", "a") as stream:
        stream.write(f"{work.number}\n")
    if work.how == "unless mended" and not (work.folder / "mended").exists():
        raise DataError(f"number {work.number}: cannot be halved; mend it")
    if work.how == "wrong key":
        raise ConfigError("halves: no such key")
    if work.how == "bug":
        raise KeyError("no such thing")
    if work.how == "killed" and not (work.folder / "mended").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if work.how == "says":
        print("halving", file=sys.stderr)
    return work.number / 2


def works(folder: Path, **how: str) -> list[Work]:
    """Six of them; `n3="bug"` says how number 3 goes."""
    return [Work(number, folder, how.get(f"n{number}", "well")) for number in range(6)]


def times_done(folder: Path) -> dict[int, int]:
    lines = (folder / "done").read_text().split()
    return {number: lines.count(str(number)) for number in range(6)}

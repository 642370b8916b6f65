"""What stands on disk of a phase's tasks, so that a rerun does only those that are not finished.

    tasks/NNNNN        the task, for whichever machine runs it
    results/NNNNN      hash of the task, then what the function returned
    failed/NNNNN       the message of a RecipeError, or a traceback, of a task that another machine ran
    completions/NNNNN  datatrove's marker, made after the result
    logs/, stats/      datatrove's, a file a task

Tasks and results are pickled. They are this package's own, in a folder that only its user writes to,
and never leave the machines that share it: they are removed before the output gets its name.
"""

import hashlib
import json
import pickle
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlm_recipes import errors
from medlm_recipes.errors import RecipeError

_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Records:
    """folder: `.tasks/<name>` below the folder that a stage writes."""

    folder: Path

    def begin(self, tasks: Sequence[Any]) -> list[int]:
        """Write down the tasks; the numbers of those that no earlier run finished.

        A task is known again by its pickled bytes, so that one whose inputs changed is done anew.
        """
        for name in ("tasks", "results", "failed", "completions"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for failure in (self.folder / "failed").iterdir():
            failure.unlink()
        unfinished = []
        for number, task in enumerate(tasks):
            given = pickle.dumps(task)
            _write_whole(self._path("tasks", number), given)
            if not self.is_finished(number):
                self._path("completions", number).unlink(missing_ok=True)
                unfinished.append(number)
        return unfinished

    def run(self, number: int, function: Callable[[Any], Any]) -> None:
        """Run `function` on a task and keep what it returns."""
        given = self._path("tasks", number).read_bytes()
        result = function(pickle.loads(given))  # noqa: S301 (our own, see above)
        _write_whole(self._path("results", number), hashlib.sha256(given).digest() + pickle.dumps(result))

    def is_finished(self, number: int) -> bool:
        """Whether the result of the task, as it is now, and its marker stand."""
        if not self._path("completions", number).is_file():
            return False
        with open(self._path("results", number), "rb") as stream:
            digest = stream.read(_DIGEST_BYTES)
        return digest == hashlib.sha256(self._path("tasks", number).read_bytes()).digest()

    def result(self, number: int) -> Any:
        return pickle.loads(self._path("results", number).read_bytes()[_DIGEST_BYTES:])  # noqa: S301

    def keep_failure(self, number: int, error: Exception) -> None:
        is_ours = isinstance(error, RecipeError)
        message = str(error) if is_ours else "".join(traceback.format_exception(error))
        said = {"kind": type(error).__name__ if is_ours else None, "message": message}
        _write_whole(self._path("failed", number), json.dumps(said).encode())

    def raise_failure(self) -> None:
        """Raise what the first failed task raised; nothing when none failed."""
        for path in sorted((self.folder / "failed").glob("[0-9]*[0-9]")):
            said = json.loads(path.read_bytes())
            if said["kind"]:
                raise getattr(errors, said["kind"])(said["message"])
            raise RuntimeError(f"task {int(path.name)} failed; its log: {self.folder}/logs\n{said['message']}")

    def _path(self, kind: str, number: int) -> Path:
        return self.folder / kind / f"{number:05d}"  # datatrove's names


def _write_whole(path: Path, content: bytes) -> None:
    aside = path.with_name(path.name + ".partial")
    aside.write_bytes(content)
    aside.replace(path)

"""A run's copy in an object store, from which a launch on other machines goes on.

`<save_folder>/` holds what `<run>/` holds. A checkpoint's manifest is put there after all of its other
files, so that one with a manifest is whole. Retention leaves the copy alone.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from composer.utils import dist

from medlm_recipes.callbacks.checkpoint_names import CHECKPOINTS, checkpoint_folder, tokens_of
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import FILE_NAME, hash_file
from medlm_recipes.parallel.agreement import decide_together, succeed_together
from medlm_recipes.remote import RemoteFolder

_CONFIG = "config.yaml"


class Mirror:
    """Every method is called by all ranks together, and raises DataError on all of them alike.

    Nodes may share `run` or have a disk each: rank 0's node goes first, and what the first rank of another
    node finds there afterwards it does not do again.
    """

    def __init__(self, run: Path, url: str) -> None:
        self.run = run
        self.remote = RemoteFolder(url)

    def fetch_run(self) -> None:
        """Make the run's folder from its copy, checkpoints aside, where the copy is there and the folder is not."""
        self._once_a_node(self._fetch_run)

    def _fetch_run(self) -> None:
        if (self.run / _CONFIG).is_file():
            return
        names = [name for name in self.remote.names() if not name.startswith(f"{CHECKPOINTS}/")]
        if _CONFIG not in names:
            return
        if self.run.exists() and any(self.run.iterdir()):
            raise DataError(f"{self.run}: not empty, but {self.remote.url} holds a run; choose another run")
        partial = self.run.with_name(self.run.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        for name in names:
            self.remote.get(name, partial / name)
        (partial / CHECKPOINTS).mkdir()
        partial.replace(self.run)

    def put_run(self) -> None:
        """Copy everything of the run but its checkpoints."""
        succeed_together(lambda: self._put_run() if dist.get_global_rank() == 0 else None)

    def _put_run(self) -> None:
        files = [path for path in sorted(self.run.rglob("*")) if path.is_file()]
        for path in files:
            name = path.relative_to(self.run).as_posix()
            if not name.startswith(f"{CHECKPOINTS}/") and not path.name.endswith(".partial"):
                self.remote.put(path, name)

    def sealed(self) -> set[int]:
        """The checkpoints that are whole in the copy, by their tokens."""
        names = [Path(name) for name in self.remote.names(f"{CHECKPOINTS}/tok")]
        return {tokens_of(name.parent) for name in names if name.name == FILE_NAME}

    def put_checkpoint(self, folder: Path, own: Iterable[str]) -> None:
        """Copy a checkpoint; each rank gives the names of the files that it is to copy."""
        succeed_together(lambda: self._put_files(folder, own))
        self.put_run()
        succeed_together(lambda: self._put_files(folder, [FILE_NAME] if dist.get_global_rank() == 0 else []))

    def catch_up(self, newest: Path | None) -> None:
        """Copy the run, and its newest checkpoint when the copy lacks it."""
        missing = newest and decide_together(lambda: tokens_of(newest) not in self.sealed())
        if newest and missing:
            files = sorted(path.name for path in newest.iterdir() if path.name != FILE_NAME)
            self.put_checkpoint(newest, files[dist.get_global_rank() :: dist.get_world_size()])
        else:
            self.put_run()

    def _put_files(self, folder: Path, names: Iterable[str]) -> None:
        for name in names:
            self.remote.put(folder / name, f"{CHECKPOINTS}/{folder.name}/{name}")

    def fetch_checkpoint(self, tokens: int) -> None:
        """Make the checkpoint's folder what its copy is, file by file where they differ."""
        self._once_a_node(lambda: self._fetch_checkpoint(checkpoint_folder(self.run, tokens)))

    def _fetch_checkpoint(self, folder: Path) -> None:
        below = f"{CHECKPOINTS}/{folder.name}"
        aside = folder.with_name(f"{folder.name}.{FILE_NAME}")
        self.remote.get(f"{below}/{FILE_NAME}", aside)
        try:
            files = json.loads(aside.read_text())["facts"]["files"]
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{self.remote.url}/{below}/{FILE_NAME}: damaged") from None
        for name, file in files.items():
            if not (folder / name).is_file() or hash_file(folder / name) != file["sha256"]:
                self.remote.get(f"{below}/{name}", folder / name)
        aside.replace(folder / FILE_NAME)

    def withdraw_after(self, tokens: int) -> None:
        """Make the checkpoints that a rollback to `tokens` has left behind look unfinished in the copy."""

        def overwrite() -> None:
            nothing = self.run / CHECKPOINTS / f"withdrawn.{FILE_NAME}"
            nothing.write_text("{}\n")
            for later in (one for one in self.sealed() if one > tokens):
                self.remote.put(nothing, f"{CHECKPOINTS}/{checkpoint_folder(self.run, later).name}/{FILE_NAME}")
            nothing.unlink()

        succeed_together(lambda: overwrite() if dist.get_global_rank() == 0 else None)
        self.put_run()

    def _once_a_node(self, action: Callable[[], None]) -> None:
        first = dist.get_global_rank() == 0
        succeed_together(lambda: action() if first else None)
        succeed_together(lambda: action() if dist.get_local_rank() == 0 and not first else None)

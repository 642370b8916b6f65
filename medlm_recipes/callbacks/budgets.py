"""Events at token budgets: when a step crosses one, validate and checkpoint."""

import shutil
from pathlib import Path
from typing import Any

from composer.callbacks import CheckpointSaver
from composer.core import Event, State
from composer.loggers import Logger
from composer.utils import dist

from medlm_recipes.manifest import Manifest, hash_file
from medlm_recipes.parallel.fsdp import UNSEALED_NAME


class AtTokens:
    """Composer interval: true at the end of the step that reaches a budget or a multiple of `every`.

    With `at_stop` also at the end of a step that ends training, for whatever reason. Tokens throughout.
    """

    def __init__(self, budgets: list[int], every: int | None, step_tokens: int, *, at_stop: bool = False) -> None:
        self.budgets = budgets
        self.every = every
        self.step_tokens = step_tokens
        self.at_stop = at_stop

    def __call__(self, state: State, event: Event) -> bool:
        if event not in (Event.BATCH_END, Event.BATCH_CHECKPOINT):
            return False
        if self.at_stop and state.max_duration is not None and state.timestamp >= state.max_duration:
            return True
        now = int(state.timestamp.token)
        if self.every and now // self.every > (now - self.step_tokens) // self.every:
            return True
        return self.reaches_budget(now)

    def reaches_budget(self, tokens: int) -> bool:
        """Whether the step that ended at `tokens` reached a budget."""
        return any(tokens - self.step_tokens < budget <= tokens for budget in self.budgets)


class BudgetCheckpoints(CheckpointSaver):
    """Composer's checkpoints, hashed, sealed by a manifest, and renamed when all of it is on disk.

    `<folder>/tok<N>.partial/` becomes `<folder>/tok<N>/` with the shards of all ranks and
    `manifest.json`: the config, the tokens, and size and sha256 of every file. Of the checkpoints that
    are no budget's the newest `keep` stay (None: all).
    """

    def __init__(
        self, folder: Path, interval: AtTokens, manifest: Manifest, *, sharded: bool, keep: int | None
    ) -> None:
        super().__init__(
            folder=str(folder),
            # Composer itself puts a sharded checkpoint into FSDP2Config's folder, UNSEALED_NAME.
            filename="rank{rank}.pt" if sharded else f"{UNSEALED_NAME}/rank{{rank}}.pt",
            remote_file_name=None,
            latest_filename=None,
            latest_remote_file_name=None,
            save_interval=interval,
            overwrite=True,
        )
        self.interval = interval
        self.manifest = manifest
        self.checkpoints = folder
        self.keep = keep

    def batch_checkpoint(self, state: State, logger: Logger) -> None:
        super().batch_checkpoint(state, logger)
        if self.last_checkpoint_batch == state.timestamp.batch:
            self._seal(int(state.timestamp.token), int(state.timestamp.batch))

    def _seal(self, tokens: int, steps: int) -> None:
        partial, final = (self.checkpoints / f"tok{tokens}{ending}" for ending in (".partial", ""))
        files: dict[str, Any] = {}
        for written in dist.all_gather_object(_describe_own_files(partial)):
            files |= written
        if dist.get_global_rank() == 0:
            self.manifest.facts |= {"tokens": tokens, "steps": steps, "files": dict(sorted(files.items()))}
            self.manifest.write(partial)
            shutil.rmtree(final, ignore_errors=True)  # a damaged one that a resumed run has passed again
            partial.replace(final)
            self._retire()
        dist.barrier()

    def _retire(self) -> None:
        if self.keep is None:
            return
        folders = sorted(self.checkpoints.glob("tok*[0-9]"), key=lambda folder: int(folder.name[3:]))
        passing = [folder for folder in folders if not self.interval.reaches_budget(int(folder.name[3:]))]
        for folder in passing[: len(passing) - self.keep]:
            shutil.rmtree(folder)


def _describe_own_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Bytes and sha256 of the files that this rank has written, so that ranks hash side by side."""
    rank = dist.get_global_rank()
    own = set(folder.glob(f"__{rank}_*"))
    if rank == 0:
        own |= set(folder.iterdir()) - set(folder.glob("__[0-9]*_*"))
    return {path.name: {"bytes": path.stat().st_size, "sha256": hash_file(path)} for path in own}

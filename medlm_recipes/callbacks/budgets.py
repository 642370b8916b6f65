"""Events at token budgets: when a step crosses one, validate and checkpoint."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from composer.callbacks import CheckpointSaver
from composer.core import Event, State
from composer.loggers import Logger
from composer.utils import dist

from medlm_recipes.callbacks.checkpoint_names import CHECKPOINTS, checkpoint_folder, checkpoint_folders, tokens_of
from medlm_recipes.callbacks.events import append_event
from medlm_recipes.callbacks.mirror import Mirror
from medlm_recipes.errors import DataError
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

    `<run>/checkpoints/tok<N>.partial/` becomes `tok<N>/` with the shards of all ranks and
    `manifest.json`: the config, the tokens, and size and sha256 of every file. Of the checkpoints that
    are no budget's the newest `keep` stay (None: all).
    """

    def __init__(
        self,
        run: Path,
        interval: AtTokens,
        manifest: Manifest,
        *,
        sharded: bool,
        keep: int | None,
        mirror: Mirror | None,
    ) -> None:
        super().__init__(
            folder=str(run / CHECKPOINTS),
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
        self.run = run
        self.keep = keep
        self.mirror = mirror

    def batch_checkpoint(self, state: State, logger: Logger) -> None:
        super().batch_checkpoint(state, logger)
        if self.last_checkpoint_batch == state.timestamp.batch:
            self._seal(int(state.timestamp.token), int(state.timestamp.batch))

    def _seal(self, tokens: int, steps: int) -> None:
        final = checkpoint_folder(self.run, tokens)
        partial = final.with_name(final.name + ".partial")
        own = _describe_own_files(partial)
        files: dict[str, Any] = {}
        for written in dist.all_gather_object(own):
            files |= written
        self.manifest.facts |= {"tokens": tokens, "steps": steps, "files": dict(sorted(files.items()))}
        if dist.get_global_rank() == 0:
            self._publish(partial, final)
        dist.barrier()
        if dist.get_local_rank() == 0 and partial.is_dir():  # this node has a disk of its own
            self._publish(partial, final)
        dist.barrier()
        if self.mirror:
            self._copy(self.mirror, final, own)

    def _publish(self, partial: Path, final: Path) -> None:
        self.manifest.write(partial)
        shutil.rmtree(final, ignore_errors=True)  # a damaged one that a resumed run has passed again
        partial.replace(final)
        self._retire()

    def _copy(self, mirror: Mirror, final: Path, own: Iterable[str]) -> None:
        """A store that cannot be reached for a while does not end the run."""
        try:
            mirror.put_checkpoint(final, own)
        except DataError as error:
            if dist.get_global_rank() == 0:
                print(f"notice: {final} was not copied: {error}", flush=True)
                append_event(self.run, {"kind": "not_copied", "checkpoint": final.name, "error": str(error)})

    def _retire(self) -> None:
        if self.keep is None:
            return
        passing = [one for one in checkpoint_folders(self.run) if not self.interval.reaches_budget(tokens_of(one))]
        for folder in passing[self.keep :]:
            shutil.rmtree(folder)


def _describe_own_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Bytes and sha256 of the files that this rank has written, so that ranks hash side by side."""
    rank = dist.get_global_rank()
    own = set(folder.glob(f"__{rank}_*"))
    if rank == 0:
        own |= set(folder.iterdir()) - set(folder.glob("__[0-9]*_*"))
    return {path.name: {"bytes": path.stat().st_size, "sha256": hash_file(path)} for path in own}

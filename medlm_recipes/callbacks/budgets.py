"""Events at token budgets: when a step crosses one, validate and checkpoint."""

from pathlib import Path

from composer.callbacks import CheckpointSaver
from composer.core import Event, State
from composer.loggers import Logger
from composer.utils import dist

from medlm_recipes.manifest import Manifest, file_sizes
from medlm_recipes.parallel.fsdp import CHECKPOINT_NAME


class AtTokens:
    """Composer interval: true at the end of the step that reaches a budget or a multiple of `every`.

    A step that ends training is always one. All figures in tokens.
    """

    def __init__(self, budgets: list[int], every: int | None, step_tokens: int, end: int) -> None:
        self.budgets = [*budgets, end]
        self.every = every
        self.step_tokens = step_tokens

    def __call__(self, state: State, event: Event) -> bool:
        if event not in (Event.BATCH_END, Event.BATCH_CHECKPOINT):
            return False
        now = int(state.timestamp.token)
        before = now - self.step_tokens
        if self.every and now // self.every > before // self.every:
            return True
        return any(before < budget <= now for budget in self.budgets)


class BudgetCheckpoints(CheckpointSaver):
    """Composer's checkpoints, each sealed by a manifest that is written when all of it is on disk.

    `<folder>/tok<N>/` holds the shards of all ranks and `manifest.json` with the config, the tokens
    and the size of every file; without it, or with another size, a checkpoint is not whole.
    """

    def __init__(self, folder: Path, interval: AtTokens, manifest: Manifest, sharded: bool) -> None:
        super().__init__(
            folder=str(folder),
            # Composer itself puts a sharded checkpoint into FSDP2Config's folder, CHECKPOINT_NAME.
            filename="rank{rank}.pt" if sharded else f"{CHECKPOINT_NAME}/rank{{rank}}.pt",
            remote_file_name=None,
            latest_filename=None,
            latest_remote_file_name=None,
            save_interval=interval,
            overwrite=True,
        )
        self.manifest = manifest
        self.checkpoints = folder

    def batch_checkpoint(self, state: State, logger: Logger) -> None:
        super().batch_checkpoint(state, logger)
        if self.last_checkpoint_batch == state.timestamp.batch and dist.get_global_rank() == 0:
            self._seal(state)

    def _seal(self, state: State) -> None:
        folder = self.checkpoints / f"tok{int(state.timestamp.token)}"
        self.manifest.facts |= {
            "tokens": int(state.timestamp.token),
            "steps": int(state.timestamp.batch),
            "files": file_sizes(folder),
        }
        self.manifest.write(folder)

"""Where a run goes on: from the newest checkpoint of which every byte is what was saved."""

from pathlib import Path

from composer.utils import dist

from medlm_recipes.callbacks.checkpoint_names import checkpoint_folder, checkpoint_folders, tokens_of
from medlm_recipes.callbacks.mirror import Mirror
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import DataError
from medlm_recipes.parallel.agreement import decide_together
from medlm_recipes.training.branch import first_start
from medlm_recipes.training.plan import TrainPlan
from medlm_recipes.training.run_folder import all_damaged, damaged_files


def choose_start(run: Path, mirror: Mirror | None = None, at_most: int | None = None) -> Path | None:
    """The newest checkpoint, of `at_most` so many tokens, that passes its hashes; None when the run saved none.

    All ranks call this and share the hashing. What is missing or damaged here is fetched from the
    mirror; a checkpoint that stays damaged is passed over with a notice. Raises DataError when there are
    checkpoints and none is sound: a run never starts over in silence.
    """
    copied = decide_together(mirror.sealed) if mirror else set()
    here = decide_together(lambda: {tokens_of(folder) for folder in checkpoint_folders(run)})
    candidates = sorted((tokens for tokens in here | copied if at_most is None or tokens <= at_most), reverse=True)
    for tokens in candidates:
        folder = checkpoint_folder(run, tokens)
        damage = _damage(folder, mirror)
        if damage and mirror and tokens in copied:
            damage = _fetch(mirror, tokens) or _damage(folder, mirror)
        if not damage:
            return folder
        if dist.get_global_rank() == 0:
            print(f"notice: {damage}; passed over", flush=True)
    if candidates:
        raise all_damaged(run)
    return None


def choose_trunk(config: TrainConfig, plan: TrainPlan) -> Path | None:
    """The checkpoint of another run that this one begins from; None for a run of its own.

    All ranks call this. Raises DataError when the checkpoint is missing, damaged or no longer the same.
    """
    trunk = decide_together(lambda: first_start(config, plan.trunk))
    if trunk and (damage := _damage(trunk, None)):
        raise DataError(f"start_from: {damage}; start from another checkpoint")
    return trunk


def _fetch(mirror: Mirror, tokens: int) -> str:
    """What keeps the checkpoint from being fetched, if anything does."""
    try:
        mirror.fetch_checkpoint(tokens)
    except DataError as error:
        return str(error)
    return ""


def _damage(folder: Path, mirror: Mirror | None) -> str:
    """What is wrong with a checkpoint, in words, found by all ranks together, each hashing its share."""
    found = dist.all_gather_object(_own_damage(folder, mirror))
    return "; ".join(sorted({what for what in found if what}))


def _own_damage(folder: Path, mirror: Mirror | None) -> str:
    share, shares = dist.get_global_rank(), dist.get_world_size()
    if mirror:  # nodes may have a disk each, so the ranks of every node look at all of it
        share, shares = dist.get_local_rank(), dist.get_local_world_size()
    try:
        damaged = damaged_files(folder, share, shares)
    except DataError as error:
        return str(error)
    return f"{folder}: {', '.join(damaged)} changed since it was saved" if damaged else ""

"""Where an interrupted run goes on: its newest checkpoint of which every byte is what was saved."""

from pathlib import Path

from composer.utils import dist

from medlm_recipes.parallel.agreement import decide_together
from medlm_recipes.training.run_folder import all_damaged, damaged_files, whole_checkpoints


def choose_start(run: Path, at_most: int | None = None) -> Path | None:
    """The newest checkpoint, of `at_most` so many tokens, that passes its hashes; None when the run saved none.

    All ranks call this and share the hashing. A damaged checkpoint is passed over with a notice.
    Raises DataError when there are checkpoints and none is sound: a run never starts over in silence.
    """
    rank, ranks = dist.get_global_rank(), dist.get_world_size()
    candidates = decide_together(lambda: whole_checkpoints(run))
    if at_most is not None:
        candidates = [folder for folder in candidates if int(folder.name[3:]) <= at_most]
    for folder in candidates:
        damaged = [name for share in dist.all_gather_object(damaged_files(folder, rank, ranks)) for name in share]
        if not damaged:
            return folder
        if rank == 0:
            print(f"notice: {folder}: {', '.join(sorted(damaged))} changed since it was saved; passed over", flush=True)
    if candidates:
        raise all_damaged(run)
    return None

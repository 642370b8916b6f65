"""Where a run's checkpoints stand: `<run>/checkpoints/tok<N>/`, N the tokens that it was saved at."""

from pathlib import Path

CHECKPOINTS = "checkpoints"


def checkpoint_folder(run: str | Path, tokens: int) -> Path:
    """Where the checkpoint stands that was saved at `tokens`."""
    return Path(run) / CHECKPOINTS / f"tok{tokens}"


def tokens_of(checkpoint: Path) -> int:
    """The tokens that a checkpoint folder was saved at."""
    return int(checkpoint.name.removeprefix("tok"))


def checkpoint_folders(run: Path) -> list[Path]:
    """The sealed checkpoints of a run, those with the most tokens first; their files were not looked at."""
    return sorted((run / CHECKPOINTS).glob("tok*[0-9]"), key=tokens_of, reverse=True)

"""What stands in a run's folder, found and checked without torch: launching verbs read it in no time."""

from pathlib import Path

from medlm_recipes.errors import DataError
from medlm_recipes.manifest import Manifest, differences, file_sizes, read_manifest
from medlm_recipes.tokenization.loading import tokenizer_hash

CHECKPOINTS = "checkpoints"
TOKENIZER = "tokenizer"


def checkpoint_folder(run: str | Path, tokens: int) -> Path:
    """Where the checkpoint stands that was saved at `tokens`."""
    return Path(run) / CHECKPOINTS / f"tok{tokens}"


def load_path(checkpoint: Path) -> str:
    """What Composer's Trainer is given to load a checkpoint folder: the folder, or the one file of an unsharded run."""
    return str(checkpoint if (checkpoint / ".metadata").is_file() else checkpoint / "rank0.pt")


def read_checkpoint(folder: str | Path) -> Manifest:
    """The manifest of a checkpoint folder `<run>/checkpoints/tok<N>`.

    Raises DataError when it is missing or not whole: no manifest, a file absent or of another size.
    """
    folder = Path(folder)
    manifest = read_manifest(folder, "train")
    damaged = differences(manifest.facts["files"], file_sizes(folder))
    if damaged:
        raise DataError(f"{folder}: damaged (bytes of {'; '.join(damaged[:3])}); use another checkpoint of the run")
    return manifest


def newest_checkpoint(run: Path) -> Path | None:
    """The whole checkpoint of `run` with the most tokens; None when there never was one.

    Damaged ones are passed over with a notice. Raises DataError when there are checkpoints but none
    is whole: a run never starts over in silence.
    """
    folders = sorted((run / CHECKPOINTS).glob("tok*"), key=lambda folder: int(folder.name[3:]), reverse=True)
    interrupted = 0
    for folder in folders:
        if not (folder / "manifest.json").is_file():
            print(f"notice: {folder} was interrupted while it was saved; passed over", flush=True)
            interrupted += 1
            continue
        try:
            read_checkpoint(folder)
        except DataError as error:
            print(f"notice: {error}; passed over", flush=True)
            continue
        return folder
    if len(folders) > interrupted:
        raise DataError(
            f"{run / CHECKPOINTS}: every checkpoint is damaged; remove {run} to start over, or choose another run"
        )
    return None


def tokenizer_of(checkpoint: str | Path) -> Path:
    """The tokenizer folder that the run keeps for its checkpoints, checked by its hash.

    Raises DataError when it is missing or is not the one that the run was trained with.
    """
    folder = Path(checkpoint).resolve().parents[1] / TOKENIZER
    expected = read_manifest(checkpoint, "train").facts["tokenizer_sha256"]
    found = tokenizer_hash(folder)
    if found != expected:
        raise DataError(f"{folder}: is {found[:12]}, but {checkpoint} was trained with the tokenizer {expected[:12]}")
    return folder

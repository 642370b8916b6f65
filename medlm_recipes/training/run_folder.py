"""What stands in a run's folder, found and checked without torch: launching verbs read it in no time."""

from pathlib import Path

from medlm_recipes.callbacks.checkpoint_names import CHECKPOINTS
from medlm_recipes.config.model import LoraKeys, ModelKeys
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import FILE_NAME, Manifest, differences, file_sizes, hash_file, read_manifest
from medlm_recipes.tokenization.loading import tokenizer_hash

TOKENIZER = "tokenizer"

ARCHITECTURE = "architecture"
"""Fact of a checkpoint's manifest: the config of its Hugging Face model, which rebuilds it without its source."""
TASK = "task"
"""Fact of a checkpoint's manifest: what it was trained for; absent in those from before there were others than text."""


def load_path(checkpoint: Path) -> str:
    """What Composer's Trainer is given to load a checkpoint folder: the folder, or the one file of an unsharded run."""
    return str(checkpoint if (checkpoint / ".metadata").is_file() else checkpoint / "rank0.pt")


def read_checkpoint(folder: str | Path) -> Manifest:
    """The manifest of a checkpoint folder `<run>/checkpoints/tok<N>`.

    Raises DataError when it is missing or not whole: no manifest, a file absent or of another size.
    """
    folder = Path(folder)
    manifest = read_manifest(folder, "train")
    sizes = {name: file["bytes"] for name, file in manifest.facts["files"].items()}
    damaged = differences(sizes, file_sizes(folder))
    if damaged:
        raise DataError(f"{folder}: damaged (bytes of {'; '.join(damaged[:3])}); use another checkpoint of the run")
    return manifest


def is_checkpoint(folder: str | Path) -> bool:
    """Whether a folder is a checkpoint of a train run rather than a Hugging Face model."""
    return (Path(folder) / FILE_NAME).is_file() and not (Path(folder) / "config.json").is_file()


def model_keys(manifest: Manifest) -> ModelKeys:
    """The keys of the model that a checkpoint holds."""
    given = manifest.config["model"]
    lora = given.get("lora")
    return ModelKeys(**given | {"lora": LoraKeys(**lora) if lora else None})


def task_of_checkpoint(manifest: Manifest) -> str:
    """One of config.train.TASKS."""
    return str(manifest.facts.get(TASK, "text"))


def damaged_files(folder: Path, share: int = 0, shares: int = 1) -> list[str]:
    """Files of a checkpoint that are not what was saved, by their sha256; of every `shares`-th file from `share`."""
    files = sorted(read_checkpoint(folder).facts["files"].items())
    return [name for name, file in files[share::shares] if hash_file(folder / name) != file["sha256"]]


def all_damaged(run: Path) -> DataError:
    return DataError(
        f"{run / CHECKPOINTS}: every checkpoint is damaged; remove {run} to start over, or choose another run"
    )


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

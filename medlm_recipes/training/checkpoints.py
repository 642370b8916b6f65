"""Finding whole checkpoints and reading their weights without a process group or a GPU."""

from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict

from medlm_recipes.callbacks.budgets import file_sizes
from medlm_recipes.config.train import ModelKeys
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import Manifest, differences, read_manifest
from medlm_recipes.models.causal_lm import build_model
from medlm_recipes.tokenization.loading import tokenizer_hash

CHECKPOINTS = "checkpoints"
TOKENIZER = "tokenizer"


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


def load_model(checkpoint: str | Path) -> Any:
    """The bare Hugging Face model of a checkpoint, on CPU in fp32, in eval mode.

    A checkpoint is read by torch's own unpickling: load only checkpoints that you or people you
    trust have made. Raises DataError when it is not whole.
    """
    folder = Path(checkpoint)
    manifest = read_checkpoint(folder)
    keys = ModelKeys(**manifest.config["model"])
    facts = manifest.facts
    model = build_model(keys, facts["vocab_size"], facts["sequence_length"], facts["end_of_text"])
    weights = _read_weights(folder)
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in weights.items()}, strict=True)
    model.tie_weights()
    return model.eval()


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


def _read_weights(folder: Path) -> dict[str, torch.Tensor]:
    if not (folder / ".metadata").is_file():
        # The run was not sharded: Composer wrote one file by torch.save.
        return torch.load(folder / "rank0.pt", map_location="cpu", weights_only=False)["state"]["model"]
    state: dict[str, Any] = {}
    _load_state_dict(
        state,
        storage_reader=FileSystemReader(folder),
        planner=_EmptyStateDictLoadPlanner(keys={"state.model"}),
        no_dist=True,
    )
    return state["state"]["model"]

"""Reading a checkpoint's weights without a process group or a GPU."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.models.building import rebuild_model
from medlm_recipes.training.model import ARCHITECTURE
from medlm_recipes.training.run_folder import read_checkpoint


def load_model(checkpoint: str | Path) -> Any:
    """The bare Hugging Face model of a checkpoint, on CPU in fp32, in eval mode.

    A checkpoint is read by torch's own unpickling: load only checkpoints that you or people you
    trust have made. Raises DataError when it is not whole.
    """
    folder = Path(checkpoint)
    manifest = read_checkpoint(folder)
    # In fp32, which flash-attn does not take, and for machines that it is not installed on.
    keys = replace(ModelKeys(**manifest.config["model"]), attention="sdpa")
    model = rebuild_model(manifest.facts[ARCHITECTURE], keys)
    weights = _read_weights(folder)
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in weights.items()}, strict=True)
    model.tie_weights()
    return model.eval()


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

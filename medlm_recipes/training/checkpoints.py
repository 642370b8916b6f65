"""Reading a checkpoint's weights without a process group or a GPU."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict

from medlm_recipes.config.train import HEADED
from medlm_recipes.models.building import rebuild_model
from medlm_recipes.models.lora import add_lora
from medlm_recipes.training.run_folder import ARCHITECTURE, model_keys, read_checkpoint, task_of_checkpoint


def load_model(checkpoint: str | Path, attention: str = "sdpa") -> Any:
    """The bare Hugging Face model of a checkpoint, on CPU in fp32, in eval mode: a language model, or with a head.

    LoRA's adapters are merged into its weights. attention: as the key of that name; flash-attn takes no
    fp32. A checkpoint is read by torch's own unpickling: load only checkpoints that you or people you
    trust have made. Raises DataError when it is not whole.
    """
    model = shape_of_checkpoint(checkpoint, attention)
    lora = model_keys(read_checkpoint(checkpoint)).lora
    adapted = add_lora(model, lora) if lora else None
    weights = _read_weights(Path(checkpoint))
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in weights.items()}, strict=True)
    if adapted:
        model = adapted.merge_and_unload().requires_grad_(True)
    model.tie_weights()
    return model.eval()


def shape_of_checkpoint(checkpoint: str | Path, attention: str) -> Any:
    """The model that `load_model` returns, on the default device and without its weights."""
    manifest = read_checkpoint(checkpoint)
    keys = replace(model_keys(manifest), attention=attention)
    return rebuild_model(manifest.facts[ARCHITECTURE], keys, headed=task_of_checkpoint(manifest) in HEADED)


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

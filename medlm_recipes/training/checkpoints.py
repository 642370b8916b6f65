"""Reading a checkpoint's weights without a process group or a GPU."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict

from medlm_recipes.config.train import HEADED
from medlm_recipes.models.building import rebuild_model
from medlm_recipes.models.lora import add_lora
from medlm_recipes.training.run_folder import ARCHITECTURE, model_keys, read_checkpoint, task_of_checkpoint

_READ_AT_ONCE = 1 << 26  # bytes held besides the model; one tensor may be larger
_MODEL = "state.model."  # before a weight's name in a sharded checkpoint


def load_model(checkpoint: str | Path, dtype: torch.dtype = torch.float32, attention: str = "sdpa") -> Any:
    """The bare Hugging Face model of a checkpoint, on CPU in `dtype`, in eval mode: a language model, or with a head.

    Weights are read and cast a few at a time, so that memory holds the model once, in `dtype`. LoRA's
    adapters are merged into its weights, in fp32. attention: as the key of that name; flash-attn takes no
    fp32, and need not be installed where a checkpoint is read. A checkpoint is read by torch's own
    unpickling: load only checkpoints that you or people you trust have made. Raises DataError when it is
    not whole.
    """
    lora = model_keys(read_checkpoint(checkpoint)).lora
    model = shape_of_checkpoint(checkpoint, attention, torch.float32 if lora else dtype)
    adapted = add_lora(model, lora) if lora else None
    parameters = model.state_dict(keep_vars=True)  # tied weights under each of their names
    missing = set(parameters)
    with torch.no_grad():
        for name, weight in _read_weights(Path(checkpoint)):
            parameters[name.removeprefix("model.")].copy_(weight)
            missing.remove(name.removeprefix("model."))
    assert not missing, f"{checkpoint} holds no {sorted(missing)[:3]}"
    if adapted:
        model = adapted.merge_and_unload().requires_grad_(True).to(dtype)
        model.tie_weights()
    return model.eval()


def shape_of_checkpoint(checkpoint: str | Path, attention: str, dtype: torch.dtype = torch.float32) -> Any:
    """The model that `load_model` returns, on the default device and without its weights."""
    manifest = read_checkpoint(checkpoint)
    keys = replace(model_keys(manifest), attention=attention)
    return rebuild_model(manifest.facts[ARCHITECTURE], keys, dtype, headed=task_of_checkpoint(manifest) in HEADED)


def _read_weights(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    if not (folder / ".metadata").is_file():
        # The run was not sharded: Composer wrote one file by torch.save.
        saved = torch.load(folder / "rank0.pt", map_location="cpu", weights_only=False, mmap=True)
        yield from saved["state"]["model"].items()
        return
    described = FileSystemReader(folder).read_metadata().state_dict_metadata
    weights = {key: value for key, value in described.items() if key.startswith(_MODEL)}
    group: dict[str, torch.Tensor] = {}
    for key, value in weights.items():
        assert isinstance(value, TensorStorageMetadata)
        group[key] = torch.empty(value.size, dtype=value.properties.dtype)
        if sum(tensor.nbytes for tensor in group.values()) >= _READ_AT_ONCE:
            yield from _read(folder, group)
            group = {}
    yield from _read(folder, group)


def _read(folder: Path, group: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    if group:
        planner = DefaultLoadPlanner(flatten_state_dict=False)
        _load_state_dict(dict(group), FileSystemReader(folder), planner=planner, no_dist=True)
    for key, tensor in group.items():
        yield key.removeprefix(_MODEL), tensor

"""LoRA by peft: small trained matrices beside frozen linear layers (Hu et al. 2021, arXiv 2106.09685)."""

from typing import Any

import torch
from peft import LoraConfig, LoraModel
from transformers.pytorch_utils import Conv1D

from medlm_recipes.config.model import LoraKeys
from medlm_recipes.errors import ConfigError
from medlm_recipes.models.building import transformer_blocks


def add_lora(model: Any, keys: LoraKeys) -> Any:
    """Freeze `model` and put adapters into it, in place; returns peft's LoraModel around it, which can merge them.

    The model keeps its class and its forward pass; a weight `x.weight` is then called `x.base_layer.weight`.
    What stays trainable besides: a head, and with `keys.embeddings` the embedding and the output layer.
    Raises ConfigError when none of `keys.targets` is a linear layer of the blocks.
    """
    layers = _linear_layers(model)
    chosen = [name for name in layers if not keys.targets or name.rsplit(".", 1)[-1] in keys.targets]
    missing = set(keys.targets) - {name.rsplit(".", 1)[-1] for name in chosen}
    if missing:
        there = sorted({name.rsplit(".", 1)[-1] for name in layers})
        raise ConfigError(
            f"model.lora.targets: {', '.join(sorted(missing))}: no linear layer of {type(model).__name__}'s blocks; "
            f"they have {', '.join(there)}"
        )
    config = LoraConfig(
        r=keys.r,
        lora_alpha=keys.alpha,
        lora_dropout=keys.dropout,
        target_modules=chosen,
        fan_in_fan_out=any(isinstance(layers[name], Conv1D) for name in chosen),
    )
    adapted = LoraModel(model, config, "default")
    _train_besides(model, keys)
    return adapted


def _linear_layers(model: Any) -> dict[str, torch.nn.Module]:
    """By their names in the model, those inside its blocks."""
    inside = {layer for block in transformer_blocks(model) for layer in block.modules()}
    return {
        name: module
        for name, module in model.named_modules()
        if module in inside and isinstance(module, torch.nn.Linear | Conv1D)
    }


def _train_besides(model: Any, keys: LoraKeys) -> None:
    trained = [child for name, child in model.named_children() if name != model.base_model_prefix]
    output = model.get_output_embeddings()
    if output is not None and not keys.embeddings:
        trained.remove(output)
    if keys.embeddings:
        trained.append(model.get_input_embeddings())
    for module in trained:
        module.requires_grad_(True)

"""The models that a rank is simulated with, from their descriptions.

The recipe's own goes through the builders that training uses. Run only in the simulating process.
"""

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from composer.models import ComposerModel
from transformers import AutoConfig, AutoModelForCausalLM

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.models.building import build_model, grow_vocabulary
from medlm_recipes.models.causal_lm import TrainedCausalLM
from medlm_recipes.preflight.memory_mpt import MPT
from medlm_recipes.token_math import padded_vocabulary
from medlm_recipes.training.checkpoints import shape_of_checkpoint
from medlm_recipes.training.run_folder import is_checkpoint

_END_OF_TEXT = 0  # of models that are given without a tokenizer


def build(model: dict[str, Any], depth: int | None) -> tuple[ComposerModel, torch.nn.ModuleList, int, int]:
    """The ComposerModel on the meta device, its blocks, and the depth and the parameters of the whole model.

    `depth` cuts it to so many blocks. Raises ConfigError as building it for training does.
    """
    ((name, arguments),) = model.items()
    bare_builder, wrap = _BUILDERS.get(name) or (_imported(name), _wrap_any)
    with torch.device("meta"):
        bare: Any = bare_builder(**arguments)
    parameters = sum(parameter.numel() for parameter in bare.parameters())
    blocks = _blocks(bare)
    whole = len(blocks)
    if depth is not None and depth < whole:
        del blocks[depth:]
        if hasattr(bare, "config"):
            bare.config.num_hidden_layers = depth
    units = set(blocks)
    bare.fsdp_wrap_fn = bare.activation_checkpointing_fn = lambda module: module in units
    return wrap(bare, arguments), blocks, whole, parameters


def _blocks(model: torch.nn.Module) -> torch.nn.ModuleList:
    """The longest list of modules, the outermost of several: what transformer_blocks finds by the config."""
    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    return max(lists, key=len)


def _recipe(keys: dict[str, Any], vocab_size: int, sequence_length: int, end_of_text: int) -> Any:
    """The recipe's model. Kernels that are not on this machine keep what SDPA's flash kernel keeps."""
    given = ModelKeys(**keys)
    attention = "sdpa" if given.attention in ("auto", "flash_attention_2") else given.attention
    if given.pretrained and is_checkpoint(given.pretrained):
        model = shape_of_checkpoint(given.pretrained, attention)
        grow_vocabulary(model, padded_vocabulary(vocab_size, given.pad_vocab_to_multiple_of))
        return model
    return build_model(replace(given, attention=attention), vocab_size, sequence_length, end_of_text)


def _wrap_recipe(bare: Any, arguments: dict[str, Any]) -> ComposerModel:
    keys = ModelKeys(**arguments["keys"])
    # flash-attn takes documents' bounds instead of a mask; what torch.compile would fuse is not known here.
    mask = keys.mask_documents and keys.attention != "flash_attention_2"
    return TrainedCausalLM(bare, replace(keys, mask_documents=mask, compile=False), arguments["end_of_text"])


def _huggingface(loss: str = "plain", attention: str = "sdpa", **config: Any) -> Any:
    """A causal language model of transformers by its config: {"model_type": "gpt2", "n_layer": ...}."""
    return AutoModelForCausalLM.from_config(
        AutoConfig.for_model(**config, use_cache=False), torch_dtype=torch.float32, attn_implementation=attention
    )


def _wrap_huggingface(bare: Any, arguments: dict[str, Any]) -> ComposerModel:
    return TrainedCausalLM(bare, ModelKeys(name="hf", loss=arguments.get("loss", "plain")), _END_OF_TEXT)


def _imported(name: str) -> Callable[..., torch.nn.Module]:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _wrap_any(bare: torch.nn.Module, arguments: dict[str, Any]) -> ComposerModel:
    return _Wrapped(bare)


class _Wrapped(ComposerModel):
    """Any module that is called with input_ids and labels, and returns the loss or something that holds it."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, torch.Tensor]) -> Any:
        return self.model(batch["input_ids"], batch["labels"])

    def loss(self, outputs: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return outputs if isinstance(outputs, torch.Tensor) else outputs.loss


_BUILDERS: dict[str, tuple[Callable[..., Any], Callable[[Any, dict[str, Any]], ComposerModel]]] = {
    "recipe": (_recipe, _wrap_recipe),
    "huggingface": (_huggingface, _wrap_huggingface),
    "mpt": (MPT, _wrap_any),
}

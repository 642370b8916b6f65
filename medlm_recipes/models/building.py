"""Bare Hugging Face models: from a recipe's keys, or from the config that a checkpoint keeps."""

import importlib.util
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification
from transformers.modeling_utils import no_init_weights

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.errors import ConfigError
from medlm_recipes.models.gpt2 import gpt2_config
from medlm_recipes.models.llama import check_llama_shape, llama_config
from medlm_recipes.token_math import padded_vocabulary

# model.name -> config of a model with random weights
_FROM_KEYS = {"gpt2": gpt2_config, "llama": llama_config}


def build_model(keys: ModelKeys, vocab_size: int, sequence_length: int, end_of_text: int) -> Any:
    """The fp32 model that `keys` names, for a tokenizer of `vocab_size` tokens.

    On the default device; on the meta device nothing of `pretrained` is read but its config. Logits
    have shape (batch, sequence, rows), rows being `vocab_size` padded as `keys` ask, or the rows of
    `pretrained` where those are more. Raises ConfigError when `pretrained` cannot be read, has another
    shape, or is too short for the sequence.
    """
    rows = padded_vocabulary(vocab_size, keys.pad_vocab_to_multiple_of)
    if keys.pretrained is None:
        return _from_config(_FROM_KEYS[keys.name](keys, rows, sequence_length, end_of_text), keys)
    try:
        config = AutoConfig.from_pretrained(keys.pretrained, **source_of(keys))
        check_base(config, keys, sequence_length)
        model = _from_config(config, keys) if torch.get_default_device().type == "meta" else _pretrained(config, keys)
    except (OSError, ValueError) as error:
        why = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"model.pretrained: {keys.pretrained} cannot be loaded as a causal language model ({why})"
        ) from None
    grow_vocabulary(model, rows)
    return model


def rebuild_model(
    architecture: dict[str, Any], keys: ModelKeys, dtype: torch.dtype = torch.float32, *, headed: bool = False
) -> Any:
    """The model of a checkpoint's `architecture` (its config as a dict) in `dtype`, its weights not yet set, without
    adapters.

    headed: it classifies sequences and is no language model. Nothing of what a `pretrained` model was
    loaded from is needed, but code that was trusted.
    """
    if keys.trust_remote_code:
        config = type(AutoConfig.from_pretrained(keys.pretrained, **source_of(keys))).from_dict(architecture)
    else:
        config = AutoConfig.for_model(**architecture)
    with no_init_weights():
        model = _from_config(config, keys, dtype, headed=headed)
    model.tie_weights()
    return model


def grow_vocabulary(model: Any, rows: int) -> None:
    """Give input and output embeddings at least `rows` rows; every new row is the mean of the old.

    The mean bounds how far the new tokens can pull the pretrained predictions, where small random
    rows can take all the probability (Hewitt 2021, nlp.stanford.edu/~johnhew/vocab-expansion.html).
    Nothing is drawn, so every process makes the same rows. Rows are never taken away: bases pad them.
    """
    old = model.get_input_embeddings().weight.shape[0]
    if rows <= old:
        return
    model.resize_token_embeddings(rows, mean_resizing=False)
    output = model.get_output_embeddings()
    grown = [model.get_input_embeddings().weight, output.weight, getattr(output, "bias", None)]
    with torch.no_grad():
        for tensor in grown:
            if tensor is not None:
                tensor[old:] = tensor[:old].mean(0)


def transformer_blocks(model: Any) -> list[torch.nn.Module]:
    """The blocks of any Hugging Face decoder: one FSDP unit, checkpointed unit and compiled unit each.

    They are the outermost list of as many modules as the config counts layers. Raises ConfigError
    when there is none.
    """
    depth = getattr(model.config, "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
            return list(module)
    raise ConfigError(
        f"model.pretrained: {type(model).__name__} has no list of {depth} transformer blocks, "
        "so that it cannot be sharded block by block; choose another base"
    )


def _from_config(config: Any, keys: ModelKeys, dtype: torch.dtype = torch.float32, *, headed: bool = False) -> Any:
    config.use_cache = False
    kind = AutoModelForSequenceClassification if headed else AutoModelForCausalLM
    return kind.from_config(
        config,
        torch_dtype=dtype,  # the config of a base may ask for half precision
        attn_implementation=_attention(keys.attention),
        trust_remote_code=keys.trust_remote_code,
    )


def _pretrained(config: Any, keys: ModelKeys) -> Any:
    config.use_cache = False
    return AutoModelForCausalLM.from_pretrained(
        keys.pretrained,
        config=config,
        torch_dtype=torch.float32,
        attn_implementation=_attention(keys.attention),
        **source_of(keys),
    )


def source_of(keys: ModelKeys) -> dict[str, Any]:
    return {"revision": keys.revision or "main", "trust_remote_code": keys.trust_remote_code}


def check_base(config: Any, keys: ModelKeys, sequence_length: int) -> None:
    """Raise ConfigError unless a base's `config` has the shape of `keys` and is long enough for the shards' rows."""
    if keys.name == "llama":
        check_llama_shape(config, keys)
    longest = getattr(config, "max_position_embeddings", None) or sequence_length
    if sequence_length > longest:
        raise ConfigError(
            f"model.pretrained: {keys.pretrained} takes {longest} tokens at most, but the shards' rows have "
            f"{sequence_length}; convert the documents with a shorter sequence_length"
        )


def _attention(wanted: str) -> str:
    """`auto` becomes flash-attn where it can run, SDPA elsewhere; other names stand as they are."""
    installed = importlib.util.find_spec("flash_attn") is not None
    if wanted == "flash_attention_2" and not installed:
        raise ConfigError(
            "model.attention: flash_attention_2 needs flash-attn, which is not installed; "
            "install the extra [gpu], or set model.attention=auto"
        )
    if wanted != "auto":
        return wanted
    return "flash_attention_2" if installed and torch.cuda.is_available() else "sdpa"

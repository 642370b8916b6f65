"""The pretrained base that a recipe goes on from, as far as its config tells without its weights."""

from dataclasses import dataclass
from typing import Any

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.errors import DataError, RecipeError
from medlm_recipes.preflight.check import FAIL, NOT_CHECKED, PASS, Check
from medlm_recipes.preflight.work import Blocks
from medlm_recipes.token_math import padded_vocabulary
from medlm_recipes.training.run_folder import ARCHITECTURE, is_checkpoint, read_checkpoint


@dataclass(frozen=True)
class Base:
    """config: of transformers, None when it cannot be had here. check: how looking at it ended."""

    config: Any
    check: Check


def read_base(keys: ModelKeys, sequence_length: int) -> Base | None:
    """None for random weights. Of a hub id only the config is fetched, if it is not at hand."""
    if keys.pretrained is None:
        return None
    from transformers import AutoConfig

    from medlm_recipes.models.building import check_base, source_of

    try:
        if is_checkpoint(keys.pretrained):
            config = AutoConfig.for_model(**read_checkpoint(keys.pretrained).facts[ARCHITECTURE])
        else:
            config = AutoConfig.from_pretrained(keys.pretrained, **source_of(keys))
    except DataError as error:
        return Base(None, Check("pretrained", FAIL, str(error)))
    except (OSError, ValueError) as error:
        why = str(error).strip().splitlines()[0]
        return Base(None, Check("pretrained", NOT_CHECKED, f"the config of {keys.pretrained} cannot be read ({why})"))
    try:
        check_base(config, keys, sequence_length)
    except RecipeError as error:
        return Base(config, Check("pretrained", FAIL, str(error)))
    return Base(config, Check("pretrained", PASS, f"{keys.pretrained}: the shape of the recipe, rows long enough"))


def blocks_of_base(config: Any, keys: ModelKeys, vocab_size: int) -> Blocks | None:
    """The sizes of an hf model by its config; None for a mixture of experts, whose work is not known here."""
    if config.model_type == "gpt2":
        vocab = max(padded_vocabulary(vocab_size, keys.pad_vocab_to_multiple_of), config.vocab_size)
        ffn = config.n_inner or 4 * config.n_embd
        return Blocks(config.n_layer, config.n_embd, config.n_embd, ffn, False, vocab, config.n_positions, tied=True)
    if getattr(config, "num_experts_per_tok", None) or not getattr(config, "intermediate_size", None):
        return None
    heads = config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    vocab = max(padded_vocabulary(vocab_size, keys.pad_vocab_to_multiple_of), config.vocab_size)
    return Blocks(
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        kv_width=(getattr(config, "num_key_value_heads", None) or heads) * head,
        ffn=config.intermediate_size,
        gated=True,
        vocab=vocab,
        positions=0,
        tied=config.tie_word_embeddings,
    )

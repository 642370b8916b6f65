"""Llama, the architecture that Meditron continues."""

from typing import Any

from transformers import LlamaConfig

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.errors import ConfigError


def llama_config(keys: ModelKeys, vocab_size: int, sequence_length: int, end_of_text: int) -> Any:
    """The config of a LlamaForCausalLM: RoPE, RMSNorm, SwiGLU, grouped-query attention, untied embeddings.

    Defaults are Llama 2's (Touvron et al. 2023, arXiv 2307.09288).
    """
    return LlamaConfig(
        vocab_size=vocab_size,
        max_position_embeddings=sequence_length,
        **_shape(keys),
        bos_token_id=end_of_text,
        eos_token_id=end_of_text,
        tie_word_embeddings=False,
    )


def check_llama_shape(config: Any, keys: ModelKeys) -> None:
    """Raise ConfigError, naming every key that differs, unless a pretrained config has the shape of `keys`."""
    if config.model_type != "llama":
        raise ConfigError(f"model.pretrained: {keys.pretrained} is a {config.model_type}; give model.name=hf for it")
    wrong = [
        f"{theirs} {getattr(config, theirs)}, the recipe says {ours}"
        for theirs, ours in _shape(keys).items()
        if getattr(config, theirs) != ours
    ]
    if wrong:
        raise ConfigError(
            f"model.pretrained: {keys.pretrained} has another shape ({'; '.join(wrong)}); mend the model's keys "
            "or give model.name=hf, which takes the shape as it is"
        )


def _shape(keys: ModelKeys) -> dict[str, Any]:
    return {
        "num_hidden_layers": keys.n_layer,
        "num_attention_heads": keys.n_head,
        "num_key_value_heads": keys.n_kv_head or keys.n_head,
        "hidden_size": keys.n_embd,
        "intermediate_size": keys.n_ffn,
        "rope_theta": keys.rope_theta or 10_000.0,
        "rms_norm_eps": keys.rms_eps or 1e-5,
    }

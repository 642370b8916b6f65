"""GPT-2 as BioMedLM trains it, with the fused form of its activation."""

import importlib.util
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

from medlm_recipes.config.train import ModelKeys

BLOCK = GPT2Block


def build_gpt2(keys: ModelKeys, vocab_size: int, sequence_length: int, end_of_text: int) -> Any:
    """A GPT2LMHeadModel with random weights on the default device.

    `gelu_pytorch_tanh` is the function of GPT-2's `gelu_new` in one fused kernel. Logits have shape
    (batch, sequence, vocab_size); the embedding and the output matrix are one parameter.
    """
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=sequence_length,
        n_layer=keys.n_layer,
        n_head=keys.n_head,
        n_embd=keys.n_embd,
        activation_function="gelu_pytorch_tanh",
        attn_pdrop=keys.dropout,
        embd_pdrop=keys.dropout,
        resid_pdrop=keys.dropout,
        bos_token_id=end_of_text,
        eos_token_id=end_of_text,
        use_cache=False,
        attn_implementation=attention_implementation(keys.attention),
    )
    return GPT2LMHeadModel(config)


def attention_implementation(wanted: str) -> str:
    """`auto` becomes flash-attn where it can run, SDPA elsewhere; other names stand as they are."""
    if wanted != "auto":
        return wanted
    flash = torch.cuda.is_available() and importlib.util.find_spec("flash_attn") is not None
    return "flash_attention_2" if flash else "sdpa"

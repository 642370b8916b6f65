"""GPT-2 as BioMedLM trains it, with the fused form of its activation."""

from typing import Any

from transformers import GPT2Config

from medlm_recipes.config.model import ModelKeys


def gpt2_config(keys: ModelKeys, vocab_size: int, sequence_length: int, end_of_text: int) -> Any:
    """The config of a GPT2LMHeadModel: tied embeddings, learned positions.

    `gelu_pytorch_tanh` is the function of GPT-2's `gelu_new` in one fused kernel.
    """
    return GPT2Config(
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
    )

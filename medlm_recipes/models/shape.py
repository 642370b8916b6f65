"""Parameters and FLOPs that model keys amount to, without torch."""

from dataclasses import dataclass

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.token_math import (
    gpt2_parameters,
    llama_parameters,
    padded_vocabulary,
    training_flops_per_token,
)


@dataclass(frozen=True)
class Shape:
    """The size of a model whose keys state it; `flops_per_token` are those of a training step."""

    parameters: int
    flops_per_token: int
    words: str


def shape_of(keys: ModelKeys, vocab_size: int, sequence_length: int) -> Shape | None:
    """The shape of a model for a tokenizer of `vocab_size` tokens and rows of `sequence_length`.

    None for `name: hf`, whose shape stands in its own config.
    """
    if keys.name == "hf":
        return None
    assert keys.n_layer and keys.n_head and keys.n_embd
    vocab = padded_vocabulary(vocab_size, keys.pad_vocab_to_multiple_of)
    heads = f"{keys.n_head} heads"
    if keys.name == "gpt2":
        parameters = gpt2_parameters(keys.n_layer, keys.n_embd, vocab, sequence_length)
    else:
        assert keys.n_ffn
        kv_heads = keys.n_kv_head or keys.n_head
        parameters = llama_parameters(keys.n_layer, keys.n_embd, keys.n_head, kv_heads, keys.n_ffn, vocab)
        heads += f" ({kv_heads} of keys and values), feed-forward {keys.n_ffn}"
    return Shape(
        parameters,
        training_flops_per_token(parameters, keys.n_layer, keys.n_embd, sequence_length),
        f"{keys.name}, {parameters:,} parameters: {keys.n_layer} blocks, {heads}, {keys.n_embd} wide",
    )

"""How a trained model writes: the generation config that evaluation and every server of Hugging Face folders read."""

from typing import Any

END_OF_TURN = "<|im_end|>"
"""ChatML's end of a message, where a model that was fine-tuned on dialogues stops."""


def set_generation(model: Any, tokenizer: Any) -> None:
    """Give `model` its stop tokens, and forbid rows of the embedding that are no token of `tokenizer`.

    A model that ends in a head writes nothing, and is left as it is.
    """
    if model.generation_config is None:
        return
    stops = [tokenizer.eos_token_id]
    if tokenizer.chat_template and END_OF_TURN in tokenizer.get_vocab():
        stops.append(tokenizer.convert_tokens_to_ids(END_OF_TURN))
    generation = model.generation_config
    generation.use_cache = True
    generation.eos_token_id = stops if len(stops) > 1 else stops[0]
    generation.pad_token_id = tokenizer.eos_token_id
    padding = list(range(len(tokenizer), model.config.vocab_size))
    generation.suppress_tokens = padding or None

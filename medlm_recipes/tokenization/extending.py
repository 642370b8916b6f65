"""Tokens added to a tokenizer: those that stand in documents, and control tokens that no document may spell."""

from typing import Any

from medlm_recipes.config.tokenizer import TokenizerConfig
from medlm_recipes.errors import ConfigError


def add_tokens(tokenizer: Any, config: TokenizerConfig) -> None:
    """Add the tokens of `config` that `tokenizer` lacks; ids follow its last one, in the order given.

    Documents are encoded with special tokens split into pieces, so that none is taken for a control
    token. What may stand in a document is therefore added as no special token; it is matched before
    the text is normalised, as it stands.
    """
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in config.added_tokens])
    if config.special_tokens:
        special = [AddedToken(token, normalized=False, special=True) for token in config.special_tokens]
        tokenizer.add_special_tokens({"additional_special_tokens": special}, replace_additional_special_tokens=False)


def check_tokens(tokenizer: Any, config: TokenizerConfig) -> None:
    """Encode every token amid text as documents are encoded: an added one must be whole, a special one in pieces.

    Raises ConfigError, naming the token, where the base has it as the other kind, or another token
    takes a part of it.
    """

    def spelled(token: str) -> list[int]:
        text = f"text {token}text{token} text"
        return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    for token in config.added_tokens:
        if spelled(token).count(tokenizer.convert_tokens_to_ids(token)) != 2:
            raise ConfigError(
                f"added_tokens: {token} is not one token where a document has it: {config.base or config.out} has "
                "it, or a token that overlaps it, as a special one; leave it out, or name it in special_tokens"
            )
    for token in [*config.special_tokens, tokenizer.eos_token]:
        if tokenizer.convert_tokens_to_ids(token) in spelled(token):
            raise ConfigError(
                f"special_tokens: a document that spells {token} would get the control token: "
                f"{config.base or config.out} has it as a piece of text; choose another token or base"
            )

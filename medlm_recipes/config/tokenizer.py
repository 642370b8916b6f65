"""Keys of train_tokenizer."""

from collections.abc import Iterator
from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, each, key, not_empty

# The BioMedLM card's examples: one token each in its tokenizer, several in GPT-2's.
CARD_TERMS = ["chromatography", "cytotoxicity", "Immunohistochemistry", "photosynthesis", "probiotic"]


@dataclass
class TokenizerConfig:
    documents: str | None = key(
        "folder written by prepare_corpus: its train split is trained on, its validation split measured; with base "
        "only the latter, and it may be null",
        None,
    )
    out: str = key("folder to write: a Hugging Face tokenizer, terms.json, manifest.json")
    base: str | None = key(
        "folder of a Hugging Face fast tokenizer to extend by added_tokens and special_tokens; nothing is trained then",
        None,
    )
    sources: list[str] = key("sources to train on; empty: every source of the train split", [])
    sample_bytes: int | None = key(
        "train on a sample of about so many bytes of text, chosen by a hash of the documents' ids; null: on all. "
        "Memory grows with the distinct words, about 1 kB each",
        10_000_000_000,
        check=at_least(1),
    )
    vocab_size: int = key(
        "tokens of a trained vocabulary, bytes and end-of-text included, added ones not", 28_896, check=at_least(257)
    )
    min_frequency: int = key("a pair is merged only when it occurs this often", 2, check=at_least(1))
    max_length: int = key("model_max_length of a trained tokenizer's config", 1024, check=at_least(1))
    added_tokens: list[str] = key(
        "tokens that stand in the text of documents and are one token there, like GAP-Replay's markers",
        [],
        check=each(not_empty),
    )
    special_tokens: list[str] = key(
        "control tokens, like ChatML's: a document that spells one does not get it", [], check=each(not_empty)
    )
    terms: list[str] = key(
        "biomedical terms whose number of tokens terms.json reports", CARD_TERMS, check=each(not_empty)
    )
    reference: str | None = key("folder of another tokenizer to set beside this one in terms.json", None)

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.base is None and self.documents is None:
            yield "documents", "missing; give a prepared corpus to train on, or a base to extend"
        if self.base is not None and not [*self.added_tokens, *self.special_tokens]:
            yield "added_tokens", "a base needs added_tokens or special_tokens; without them it stays what it is"
        if self.base is not None and self.sources:
            yield "sources", f"{self.sources} are what a tokenizer is trained on; with a base none is"
        given = [*self.added_tokens, *self.special_tokens]
        for token in sorted({token for token in given if given.count(token) > 1}):
            yield "special_tokens", f"{token} is given twice among added_tokens and special_tokens"

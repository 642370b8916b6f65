"""Keys of train_tokenizer."""

from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, each, key, not_empty

# The BioMedLM card's examples: one token each in its tokenizer, several in GPT-2's.
CARD_TERMS = ["chromatography", "cytotoxicity", "Immunohistochemistry", "photosynthesis", "probiotic"]


@dataclass
class TokenizerConfig:
    documents: str = key("folder written by prepare_corpus; the train split is read")
    out: str = key("folder to write: a Hugging Face tokenizer, terms.json, manifest.json")
    sources: list[str] = key("sources to train on; empty: every source of the train split", [])
    vocab_size: int = key("tokens in the vocabulary, bytes and end-of-text included", 28_896, check=at_least(257))
    min_frequency: int = key("a pair is merged only when it occurs this often", 2, check=at_least(1))
    max_length: int = key("model_max_length written to the tokenizer's config", 1024, check=at_least(1))
    terms: list[str] = key(
        "biomedical terms whose number of tokens terms.json reports", CARD_TERMS, check=each(not_empty)
    )
    reference: str | None = key("folder of another tokenizer to set beside this one in terms.json", None)

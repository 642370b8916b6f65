"""Keys of convert_text_to_mds."""

from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, key, one_of


@dataclass
class ShardsConfig:
    documents: str = key("folder written by prepare_corpus")
    tokenizer: str = key("folder written by train_tokenizer, or any Hugging Face fast tokenizer's folder")
    out: str = key("folder to write: <split>/<source>/ MDS streams, tokenizer/, manifest.json")
    sources: list[str] = key("sources to convert; empty: all", [])
    sequence_length: int = key("tokens in a sample; documents are packed without gaps", 1024, check=at_least(2))
    compression: str = key("of the shards: zstd or none", "zstd", check=one_of("zstd", "none"))
    shard_bytes: int = key("bytes of a shard before compression", 1 << 26, check=at_least(1 << 10))

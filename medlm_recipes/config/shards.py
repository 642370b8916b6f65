"""Keys of convert_text_to_mds."""

from dataclasses import dataclass

from medlm_recipes.config.execution import ExecutionKeys
from medlm_recipes.config.fields import at_least, key, one_of, section, within


@dataclass
class ShardsConfig:
    documents: str = key("folder written by prepare_corpus")
    tokenizer: str = key("folder written by train_tokenizer, or any Hugging Face fast tokenizer's folder")
    out: str = key("folder to write: <split>/<source>/ MDS streams, tokenizer/, manifest.json")
    sources: list[str] = key("sources to convert; empty: all", [])
    sequence_length: int = key("tokens in a sample", 1024, check=at_least(2))
    packing: str = key(
        "wrap: rows are cut from the stream of all documents; pad: a document stands whole in a row (one longer than "
        "a row in several), and what is left of the row is filled with end-of-text tokens that have no loss",
        "wrap",
        check=one_of("wrap", "pad"),
    )
    encoder: str = key(
        "fast: tiktoken where it proves equal to the Hugging Face tokenizer, else as huggingface; huggingface: that "
        "tokenizer, about ten times slower, with the same ids",
        "fast",
        check=one_of("fast", "huggingface"),
    )
    compression: str = key("of the shards: zstd or none", "zstd", check=one_of("zstd", "none"))
    shard_bytes: int = key(
        "bytes of a shard before compression, under 4 GiB", 1 << 26, check=within(1 << 10, (1 << 32) - 1)
    )
    execution: ExecutionKeys = section(ExecutionKeys, "where the work runs; it does not decide what is written")

"""Keys of export."""

from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, key, one_of


@dataclass
class ExportConfig:
    checkpoint: str = key("<run>/checkpoints/tok<N> of a train run, sharded or not, from any number of ranks")
    out: str = key("folder to write: a Hugging Face model (safetensors), its tokenizer and a model card")
    dtype: str = key("of the exported weights", "bfloat16", check=one_of("float32", "bfloat16", "float16"))
    pad_vocab_to_multiple_of: int = key(
        "round the embedding rows up to this, for servers that divide them over GPUs; 1: the rows that were trained",
        1,
        check=at_least(1),
    )
    results: list[str] = key("folders written by evaluate for this checkpoint, to put into the model card", [])
    license: str = key("licence of the weights, as the Hugging Face hub names it", "bigscience-openrail-m")

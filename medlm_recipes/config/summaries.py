"""Keys of score_summaries."""

from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, key, not_empty


@dataclass
class SummariesConfig:
    checkpoint: str = key("<run>/checkpoints/tok<N> of a train run of task sft on pairs", check=not_empty)
    pairs: str = key("file NAME.source, an input a line, with NAME.target beside it", check=not_empty)
    out: str = key("folder to write: results.json, samples.jsonl, manifest.json", check=not_empty)
    max_new_tokens: int = key("longest summary; a source gives way to it on its left", 400, check=at_least(1))
    beams: int = key("beams of the search; 1: the likeliest token each time", 1, check=at_least(1))
    no_repeat_ngram: int = key("no run of so many tokens comes twice in a summary; 0: it may", 0, check=at_least(0))
    batch_size: int = key("summaries that are written at once", 16, check=at_least(1))
    limit: int | None = key("only the first so many pairs; null: all", None, check=at_least(1))

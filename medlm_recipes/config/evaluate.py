"""Keys of evaluate."""

from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, key


@dataclass
class EvaluateConfig:
    checkpoint: str = key("what to score: <run>/checkpoints/tok<N> of a train run, or a Hugging Face folder")
    benchmark: str = key(
        "questions as MedQA's JSONL: question, options {letter: text}, answer_idx (a letter), answer (its text)"
    )
    task: str = key("lm-eval task YAML: how a question becomes a prompt and its options continuations")
    out: str = key("folder to write: results.json, samples.jsonl, manifest.json")
    batch_size: int = key("sequences scored at once", 64, check=at_least(1))
    limit: int | None = key("score only the first so many questions; null: all", None, check=at_least(1))
    seed: int = key("seed of lm-eval's few-shot sampling", 1234)

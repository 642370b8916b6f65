"""Keys of evaluate."""

from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, key, one_of


@dataclass
class EvaluateConfig:
    checkpoint: str = key(
        "what to score: <run>/checkpoints/tok<N> of a train run, a Hugging Face folder, or a model's id on the hub"
    )
    benchmark: str = key(
        "questions as MedQA's JSONL: question, options {letter: text}, answer_idx (a letter), answer (its text)"
    )
    task: str = key("lm-eval task YAML: how a question becomes a prompt and its options continuations")
    out: str = key("folder to write: results.json, samples.jsonl, manifest.json")
    revision: str | None = key("commit, tag or branch of a hub id; null: its main branch", None)
    backend: str = key(
        "auto: this package's own, which computes shared prefixes once, on every rank of a composer launch; "
        "vllm: lm-eval's vLLM on the GPUs of one process (python), where vllm is installed",
        "auto",
        check=one_of("auto", "vllm"),
    )
    dtype: str = key(
        "of the weights; auto: fp32 on CPUs; on GPUs that of a Hugging Face model, bf16 for a checkpoint",
        "auto",
        check=one_of("auto", "fp32", "bf16"),
    )
    batch_tokens: int | None = key(
        "prompt tokens run at once; null: 512 on CPUs, 2,048 on GPUs", None, check=at_least(1)
    )
    batch_size: int = key("answers generated at once", 32, check=at_least(1))
    limit: int | None = key("score only the first so many questions; null: all", None, check=at_least(1))
    seed: int = key("seed of lm-eval's few-shot sampling", 1234)

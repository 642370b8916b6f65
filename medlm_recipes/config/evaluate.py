"""Keys of evaluate."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from medlm_recipes.config.fields import all_of, at_least, each_value, key, not_empty, one_of, within


def _unlike(values: list[int]) -> None:
    if len(set(values)) < len(values):
        raise ValueError("names a seed twice")


def named_evaluations(value: Any) -> None:
    """Names, after which folders are called, each with an evaluate recipe and key=value laid over it."""
    each_value(_recipe_and_overrides)(value)
    for name in value:
        if not re.fullmatch(r"[\w.-]+", name):
            raise ValueError(f"{name!r} names folders and files: letters, digits, . _ - only")


def _recipe_and_overrides(value: Any) -> None:
    recipe, *overrides = value or [""]
    if not recipe or "=" in recipe or not all("=" in override for override in overrides):
        raise ValueError("write [recipe.yaml, key=value, ...]")


@dataclass
class EvaluateConfig:
    checkpoint: str = key(
        "what to score: <run>/checkpoints/tok<N> of a train run, a Hugging Face folder, or a model's id on the hub"
    )
    benchmark: str = key("folder of recipes/prepare_benchmark.py, whose test.jsonl is scored, or one file of that form")
    task: str = key("lm-eval task YAML: how a question becomes a prompt, and how it is answered")
    out: str = key("folder to write: results.json, samples.jsonl, manifest.json")
    shots: int = key("solved training questions shown before each question", 0, check=at_least(0))
    demonstrations: str | None = key(
        "benchmark (folder, or one file) whose training questions are shown; null: that which is scored", None
    )
    seeds: list[int] = key(
        "seeds by which demonstrations are drawn, each scored by itself; the first also seeds sampled texts",
        [1234],
        check=all_of(not_empty, _unlike),
    )
    chat: bool = key("put prompts into the tokenizer's chat template, as a chat-tuned model expects", False)
    max_gen_toks: int | None = key("tokens that a generated answer may have; null: the task's", None, check=at_least(1))
    max_unparsed: float = key(
        "largest share of questions without a readable answer; above it the results are marked invalid",
        0.1,
        check=within(0, 1),
    )
    shards: str | None = key(
        "output of convert_text_to_mds that the model was trained on: questions that stand in it are reported, "
        "and the score without them; null: not looked for",
        None,
    )
    revision: str | None = key("commit, tag or branch of a hub id; null: its main branch", None)
    backend: str = key(
        "auto: this package's own, which computes shared prefixes once, on every rank of a composer launch; "
        "vllm: lm-eval's vLLM on the GPUs of one process (python), where vllm is installed",
        "auto",
        check=one_of("auto", "vllm"),
    )
    dtype: str = key(
        "of the weights; auto: fp32 on CPUs; on GPUs that of a Hugging Face model, bf16 for a checkpoint; amp_bf16: as "
        "training of that precision computes, with fp32 weights",
        "auto",
        check=one_of("auto", "fp32", "bf16", "amp_bf16"),
    )
    batch_tokens: int | None = key(
        "prompt tokens run at once; null: 512 on CPUs, 2,048 on GPUs", None, check=at_least(1)
    )
    batch_size: int = key("answers generated, or texts read by a fine-tuned head, at once", 32, check=at_least(1))
    limit: int | None = key("score only the first so many questions; null: all", None, check=at_least(1))

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.demonstrations is not None and not self.shots:
            yield "demonstrations", f"{self.demonstrations!r}: of no use with shots: 0"
        if self.dtype == "amp_bf16" and self.backend == "vllm":
            yield "dtype", "amp_bf16: vllm has none; choose bf16 or fp32, or backend: auto"

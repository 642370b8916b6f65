"""The evaluate verb: a checkpoint's score on a multiple-choice benchmark, through lm-eval's tasks."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import yaml

from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.loading import resolved
from medlm_recipes.errors import ConfigError
from medlm_recipes.evaluation.benchmark import read_benchmark
from medlm_recipes.manifest import Manifest, decisive, hash_file, is_made, publish, write_json

RESULTS = "results.json"
SAMPLES = "samples.jsonl"

# Where things stand, which their hashes name, and what changes no score.
_NOT_DECISIVE = ("checkpoint", "benchmark", "task", "out", "batch_tokens", "batch_size")


def evaluate(config: EvaluateConfig, dry_run: bool) -> None:
    """Score `config.checkpoint` and publish results.json (scores with standard errors, settings,
    hashes) and samples.jsonl (a line a question).

    Under `composer` the questions are dealt over the ranks. Raises DataError for an unfit checkpoint
    or benchmark, ConfigError for an unfit task file.
    """
    questions = read_benchmark(config.benchmark)[: config.limit]
    task = read_task(config.task)
    from medlm_recipes.evaluation.subject import (  # torch and lm-eval: seconds
        check_backend,
        identity,
        locate,
        tokens_seen,
    )

    folder_scored = locate(config.checkpoint, config.revision)
    check_backend(folder_scored, config.backend)
    manifest = evaluation_manifest(config, identity(folder_scored))
    first = os.environ.get("RANK", "0") == "0"
    if first:
        print(f"{config.checkpoint} on {len(questions)} questions of {config.benchmark}", flush=True)
    if dry_run:
        return
    from medlm_recipes.parallel.agreement import decide_together, join_ranks

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        join_ranks()
    if decide_together(lambda: is_made(config.out, manifest)):
        return
    scored, cut = _score(folder_scored, config, task, questions)
    if not first:
        return
    assert scored is not None
    with publish(config.out, manifest) as folder:
        assert folder is not None
        results = _results(scored, config, questions, manifest)
        results |= {"tokens": tokens_seen(folder_scored), "prompts_cut": cut}
        write_json(folder / RESULTS, results)
        with open(folder / SAMPLES, "w") as stream:
            stream.writelines(json.dumps(sample, ensure_ascii=False) + "\n" for sample in _samples(scored))
    for name, score in results["scores"].items():
        print(f"  {name} {score['value']:.4f} ± {score['standard_error']:.4f}  (chance {results['chance']:.3f}, "
              f"p {score['p_above_chance']:.2g}, n {results['n']})")  # fmt: skip
    if cut:
        print(f"notice: {cut} prompts are longer than the model's context and were cut from the left")
    print(f"{config.out}: done")


def evaluation_manifest(config: EvaluateConfig, checkpoint: str) -> Manifest:
    """What decides the results of `config` on the weights that are named by the hash `checkpoint`."""
    return Manifest(
        stage="evaluate",
        config=decisive(resolved(config), leave_out=_NOT_DECISIVE),
        inputs={"checkpoint": checkpoint, "benchmark": hash_file(config.benchmark), "task": hash_file(config.task)},
    )


def read_task(path: str) -> dict[str, Any]:
    """An lm-eval task of multiple-choice questions in its test split.

    Raises ConfigError when the file is missing or is something else.
    """
    if not Path(path).is_file():
        raise ConfigError(f"task: {path}: no such file; lm-eval task YAMLs stand under yamls/evaluate/tasks/")
    try:
        task = yaml.safe_load(Path(path).read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"task: {path}: not YAML: {' '.join(str(error).split())}") from None
    for name, value in (("output_type", "multiple_choice"), ("test_split", "test")):
        found = task.get(name) if isinstance(task, dict) else None
        if found != value:
            raise ConfigError(f"task: {path}: {name} is {found!r}; here an lm-eval task with {name}: {value} is needed")
    return task


def _score(
    folder: str, config: EvaluateConfig, task: dict[str, Any], questions: list[dict[str, Any]]
) -> tuple[dict[str, Any] | None, int]:
    """What lm-eval returns (None but on the first rank of a machine), and how many prompts were cut to fit."""
    from datasets import Dataset
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from medlm_recipes.evaluation.subject import load_subject

    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it reports every step that it takes
    subject = load_subject(folder, config)
    scored = simple_evaluate(
        model=subject,
        # The questions as they were checked, in memory: nothing is cached in the user's home.
        tasks=[task | {"custom_dataset": lambda **_: {"test": Dataset.from_list(questions)}}],
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0,  # the mean's standard error has a closed form
        random_seed=config.seed,
        numpy_random_seed=config.seed,
        torch_random_seed=config.seed,
        fewshot_random_seed=config.seed,
    )
    if scored is None:
        return None, 0
    samples = scored["samples"][task["task"]]
    return scored, sum(any(pair in subject.too_long for pair in sample["arguments"]) for sample in samples)


def _results(
    scored: dict[str, Any], config: EvaluateConfig, questions: list[dict[str, Any]], manifest: Manifest
) -> dict[str, Any]:
    """Scores with their standard errors and the exact binomial p against guessing."""
    from scipy.stats import binomtest

    ((task, samples),) = scored["samples"].items()
    assert len(samples) == len(questions)
    n = len(samples)
    chance = sum(1 / len(question["options"]) for question in questions) / n
    scores = {}
    for metric in ("acc", "acc_norm"):
        right = sum(sample[metric] for sample in samples)
        value = right / n
        scores[metric] = {
            "value": value,
            "standard_error": (value * (1 - value) / max(n - 1, 1)) ** 0.5,
            "p_above_chance": float(binomtest(int(right), n, chance, alternative="greater").pvalue),
        }
    return {
        "task": task,
        "benchmark": Path(config.benchmark).name,
        "n": n,
        "chance": chance,
        "unparsed_rate": 0.0,  # options are scored by likelihood: every answer is one of them
        "scores": scores,
        "settings": manifest.config,
        "hashes": manifest.inputs,
    }


def _samples(scored: dict[str, Any]) -> list[dict[str, Any]]:
    """One record a question, in the benchmark's order."""
    ((_, samples),) = scored["samples"].items()
    return [
        {
            "index": sample["doc_id"],
            "question": sample["doc"]["question"],
            "prompt_hash": sample["prompt_hash"],
            "target": sample["target"],
            "log_likelihoods": [response[0] for response in sample["filtered_resps"]],
            "acc": sample["acc"],
            "acc_norm": sample["acc_norm"],
        }
        for sample in sorted(samples, key=lambda sample: sample["doc_id"])
    ]

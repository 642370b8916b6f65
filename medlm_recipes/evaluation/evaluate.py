"""The evaluate verb: a checkpoint's score on a multiple-choice benchmark, by a protocol that an lm-eval task states."""

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.loading import resolved
from medlm_recipes.errors import ConfigError
from medlm_recipes.evaluation.benchmark import hash_benchmark
from medlm_recipes.evaluation.questions import demonstrations, hash_demonstrations, questions_of
from medlm_recipes.evaluation.results import RESULTS, SAMPLES, invalid, read_results
from medlm_recipes.evaluation.task import HEADED, generates, generation_of, protocol_of, read_task
from medlm_recipes.manifest import Manifest, decisive, hash_json, is_made, publish, read_manifest, write_json
from medlm_recipes.remote import cache_folder

# Where things stand, which their hashes name, and what changes no score.
_NOT_DECISIVE = (
    "checkpoint", "benchmark", "task", "out", "demonstrations", "shards", "batch_tokens", "batch_size",
)  # fmt: skip


@dataclass
class Asked:
    """What `config` puts to a model. shown: seed -> the solved questions before each of `questions`."""

    config: EvaluateConfig
    questions: list[dict[str, Any]]
    task: dict[str, Any]
    shown: dict[int, list[dict[str, Any]]]


def evaluate(config: EvaluateConfig, dry_run: bool) -> None:
    """Score `config.checkpoint` and publish results.json (scores with their errors, settings, hashes) and
    samples.jsonl (a line a question and seed).

    Under `composer` the questions are dealt over the ranks. Raises DataError for an unfit checkpoint or
    benchmark, and, once the results are written, when too few questions have a readable answer;
    ConfigError for an unfit task file.
    """
    asked = read_asked(config)
    from medlm_recipes.evaluation.subject import check_backend, identity, locate  # torch and lm-eval: seconds

    folder = locate(config.checkpoint, config.revision)
    check_backend(folder, config.backend)
    manifest = evaluation_manifest(config, identity(folder))
    if os.environ.get("RANK", "0") == "0":
        what = f"{len(asked.questions)} questions of {config.benchmark}, {asked.task['task']}"
        print(f"{config.checkpoint} on {what}", flush=True)
    if dry_run:
        return
    from medlm_recipes.parallel.agreement import decide_together, join_ranks

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        join_ranks()
    if decide_together(
        # What is marked invalid is not silently there the second time.
        lambda: is_made(config.out, manifest) and read_results(config.out)
    ):
        return
    import torch

    from medlm_recipes.evaluation.subject import tokens_seen

    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.autocast(device, torch.bfloat16, enabled=config.dtype == "amp_bf16"):
        subject = _load(folder, asked)
        results = score(subject, asked, config.out, manifest, tokens_seen(folder))
    if results is not None:
        report(results, config.out)


def read_asked(config: EvaluateConfig) -> Asked:
    """Raises DataError for an unfit benchmark, ConfigError for an unfit task file or too few demonstrations."""
    questions = questions_of(config)
    task = read_task(config.task)
    return Asked(config, questions, task, demonstrations(config, task))


def evaluation_manifest(config: EvaluateConfig, checkpoint: str) -> Manifest:
    """What decides the results of `config` on the weights that are named by the hash `checkpoint`."""
    inputs = {
        "checkpoint": checkpoint,
        "benchmark": hash_benchmark(config.benchmark),
        "task": hash_json(read_task(config.task)),
    }
    if config.shots:
        inputs["demonstrations"] = hash_demonstrations(config)
    if config.shards:
        inputs["shards"] = hash_json(read_manifest(config.shards, "convert_text_to_mds").__dict__)
    return Manifest(stage="evaluate", config=decisive(resolved(config), leave_out=_NOT_DECISIVE), inputs=inputs)


def _load(folder: str, asked: Asked) -> Any:
    """The model that is asked, where the task is for its kind."""
    from medlm_recipes.evaluation.head_model import HeadLM
    from medlm_recipes.evaluation.subject import load_subject

    config, task = asked.config, asked.task
    subject = load_subject(folder, config)
    headed = isinstance(subject, HeadLM)
    if headed != (protocol_of(task) == HEADED):
        raise ConfigError(
            f"task: {task['task']}: {config.checkpoint} has {'a fine-tuned' if headed else 'no'} head; "
            f"yamls/evaluate/tasks/{HEADED}.yaml is for checkpoints with a head, the other tasks for language models"
        )
    return subject


def score(subject: Any, asked: Asked, out: str, manifest: Manifest, tokens: int | None) -> dict[str, Any] | None:
    """Answer, sum up and publish to `out`; the results on rank 0, None on the others.

    subject: an lm-eval model, as `load_subject` gives it. tokens: that it was trained on.
    """
    from medlm_recipes.evaluation.answers import answer_all
    from medlm_recipes.evaluation.prompts import Prompter
    from medlm_recipes.evaluation.summary import sample_lines, summarize, validity

    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it reports every step that it takes
    config, questions, task, shown = asked.config, asked.questions, asked.task, asked.shown
    answers = answer_all(Prompter(task, questions, subject, config.chat, config.max_gen_toks), shown)
    if answers is None or os.environ.get("RANK", "0") != "0":
        return None
    results = {
        "task": task["task"],
        "protocol": protocol_of(task),
        "benchmark": Path(config.benchmark).name,
        **summarize(answers, questions),
        **_contaminated(config, answers, questions),
        "settings": manifest.config | ({"generation": _generation(config, task)} if generates(task) else {}),
        "hashes": manifest.inputs,
        "tokens": tokens,
    }
    results |= validity(results, config.max_unparsed)
    with publish(out, manifest) as folder:
        assert folder is not None
        write_json(folder / RESULTS, results)
        with open(folder / SAMPLES, "w") as stream:
            stream.writelines(sample_lines(answers, questions))
        for seed, drawn in shown.items():
            if drawn:  # as its train file they let the stock lm_eval command ask the same
                with open(folder / f"demonstrations-{seed}.jsonl", "w") as stream:
                    stream.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in drawn)
    return results


def _generation(config: EvaluateConfig, task: dict[str, Any]) -> dict[str, Any]:
    return generation_of(task, config.max_gen_toks) | {"repeats": task.get("repeats", 1)}


def _contaminated(
    config: EvaluateConfig, answers: list[Any], questions: list[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    if not config.shards:
        return {}
    from medlm_recipes.evaluation.contamination import find_contaminated
    from medlm_recipes.evaluation.summary import by_contamination

    # Of a run's budgets the first looks for all.
    made_from = [read_manifest(config.shards, "convert_text_to_mds").__dict__, questions]
    kept = cache_folder() / "contamination" / hash_json(made_from)
    found = find_contaminated(questions, config.shards, out=kept)
    return {"contaminated": by_contamination(found, answers, questions)}


def report(results: dict[str, Any], out: str) -> None:
    """Print what was found. Raises DataError where too few questions have a readable answer."""
    for name, score in results["scores"].items():
        low, high = score["interval"]
        spread = f", std {score['seeds_std']:.4f} over {len(score['seeds'])} seeds" if "seeds" in score else ""
        print(
            f"  {name} {score['value']:.4f} ± {score['standard_error']:.4f} [{low:.4f}, {high:.4f}]{spread}  "
            f"(chance {results['chance']:.3f}, p {score['p_above_chance']:.2g}, n {results['n']})"
        )
    if results["unparsed_rate"]:
        print(f"  {results['unparsed_rate']:.1%} of the generated texts hold no readable answer")
    dropped, too_long = results["demonstrations_dropped"], results["too_long"]["questions"]
    if dropped["prompts"]:
        print(f"notice: {dropped['prompts']} prompts were too long and lost demonstrations, "
              f"{dropped['demonstrations']} in all")  # fmt: skip
    if too_long:
        print(f"notice: {too_long} questions are too long for the model; they count as wrong")
    if "contaminated" in results:
        found = results["contaminated"]
        clean = found["clean"]["value"] if found["clean"] else float("nan")
        print(f"  {found['share']:.1%} of the questions stand in the training data; without them {clean:.4f}")
    print(f"{out}: done", flush=True)
    if not results["valid"]:
        raise invalid(out, results)

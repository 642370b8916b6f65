"""The questions that are asked and the solved ones that are shown before them."""

from pathlib import Path
from typing import Any

from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.benchmark import read_benchmark, split_file
from medlm_recipes.evaluation.task import generates, samples

_LETTERS = "ABCDEFGHIJ"


def complete(questions: list[dict[str, Any]], benchmark: str) -> list[dict[str, Any]]:
    """The questions with every field that a task may name: text fields, options in order, the answer as text.

    Raises DataError for options that are not lettered A, B, C, ...
    """
    completed = []
    for number, question in enumerate(questions):
        options = dict(sorted(question["options"].items()))
        if "".join(options) != _LETTERS[: len(options)]:
            raise DataError(
                f"{benchmark}: question {number}: its options are {', '.join(options)}; letter them A, B, ..."
            )
        texts = {name: value for name, value in question.items() if isinstance(value, str)}
        own = {"options": options, "answer": options[question["answer_idx"]]}
        completed.append({"id": str(question.get("id", number)), "context": "", "subject": "", **texts, **own})
    return completed


def demonstration_file(config: EvaluateConfig) -> Path:
    """The file that demonstrations are drawn from. Raises ConfigError when none is given or implied."""
    if config.demonstrations:
        return Path(config.demonstrations)
    if not Path(config.benchmark).is_dir():
        raise ConfigError(
            f"shots: {config.shots}: {config.benchmark} is one file and has no training questions; "
            "give the benchmark's folder, or a file of them as demonstrations"
        )
    return split_file(config.benchmark, "train")


def demonstrations(config: EvaluateConfig, task: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Seed -> the solved questions that are shown, in order.

    Raises ConfigError where there is nothing to draw, or seeds would change nothing.
    """
    if len(config.seeds) > 1 and not config.shots and not samples(task):
        raise ConfigError(
            f"seeds: {config.seeds}: nothing is drawn with shots: 0 and a task that does not sample; give one seed"
        )
    if not config.shots:
        return {seed: [] for seed in config.seeds}
    if generates(task):
        raise ConfigError(f"shots: {config.shots}: {task['task']} is zero-shot; its chains of thought have no examples")
    file = demonstration_file(config)
    training = complete(read_benchmark(file), str(file))
    asked = {(question["question"], question.get("context", "")) for question in read_benchmark(config.benchmark)}
    own = [number for number, one in enumerate(training) if (one["question"], one["context"]) not in asked]
    if len(own) < config.shots:
        raise ConfigError(
            f"shots: {config.shots}: {file} has only {len(own)} questions that the benchmark does not ask"
        )
    return {seed: _draw(training, set(own), config.shots, seed) for seed in config.seeds}


def _draw(training: list[dict[str, Any]], own: set[int], shots: int, seed: int) -> list[dict[str, Any]]:
    """The first of `training` in the order that `datasets` shuffles it into by `seed`, without what the test asks."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(training))  # what Dataset.shuffle(seed) does
    return [training[number] for number in order if number in own][:shots]

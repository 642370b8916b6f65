"""The questions that are asked and the solved ones that are shown before them."""

from pathlib import Path
from typing import Any

from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.benchmark import asked, hash_benchmark, read_benchmark
from medlm_recipes.evaluation.task import generates

_LETTERS = "ABCDEFGHIJ"


def questions_of(config: EvaluateConfig) -> list[dict[str, Any]]:
    """The questions that are asked, in order. Raises DataError for an unfit benchmark."""
    return _lettered(read_benchmark(config.benchmark)[: config.limit], config.benchmark)


def demonstrations(config: EvaluateConfig, task: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Seed -> the solved questions that are shown, in order; none of them is asked by the benchmark.

    They are the first `shots` in the order that `datasets` shuffles the training questions into by the seed, the
    same before every question, as Meditron draws them (`train.shuffle(seed).select(range(k))` in its
    evaluation/benchmarks.py). Raises ConfigError where there is nothing to draw, or seeds would change nothing.
    """
    if not config.shots:
        if len(config.seeds) > 1:
            raise ConfigError(f"seeds: {config.seeds}: nothing is drawn with shots: 0; give one seed")
        return {config.seeds[0]: []}
    if generates(task):
        raise ConfigError(f"shots: {config.shots}: {task['task']} is zero-shot; its chains of thought have no examples")
    place, split = _training_place(config)
    training = _lettered(read_benchmark(place, split), place)
    tested = {(question["context"], asked(question)) for question in read_benchmark(config.benchmark)}
    own = {number for number, one in enumerate(training) if (one["context"], asked(one)) not in tested}
    if len(own) < config.shots:
        raise ConfigError(
            f"shots: {config.shots}: {place} has only {len(own)} questions that the benchmark does not ask"
        )
    return {seed: _draw(training, own, config.shots, seed) for seed in config.seeds}


def hash_demonstrations(config: EvaluateConfig) -> str:
    """sha256 of the training questions that demonstrations are drawn from."""
    return hash_benchmark(*_training_place(config))


def _draw(training: list[dict[str, Any]], own: set[int], shots: int, seed: int) -> list[dict[str, Any]]:
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(training))  # what Dataset.shuffle(seed) does
    return [training[number] for number in order if number in own][:shots]


def _training_place(config: EvaluateConfig) -> tuple[str, str]:
    """Folder or file, and split, that demonstrations are drawn from."""
    if config.demonstrations:
        return config.demonstrations, "train"
    if not Path(config.benchmark).is_dir():
        raise ConfigError(
            f"shots: {config.shots}: {config.benchmark} is one file and has no training questions; "
            "give the benchmark's folder, or training questions as demonstrations"
        )
    return config.benchmark, "train"


def _lettered(questions: list[dict[str, Any]], place: str) -> list[dict[str, Any]]:
    """The questions with their options in the order of their letters, which must be A, B, C, ..."""
    for question in questions:
        question["options"] = dict(sorted(question["options"].items()))
        if "".join(question["options"]) != _LETTERS[: len(question["options"])]:
            raise DataError(
                f"{place}: question {question['id']}: its options are lettered {', '.join(question['options'])}; "
                "letter them A, B, C, ..."
            )
    return questions

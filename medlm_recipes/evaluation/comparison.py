"""The compare_results verb: two evaluations of the same questions, paired question by question.

Pairing takes the difficulty of the questions out of the comparison, so that it tells smaller differences
than two intervals that are held side by side.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, permutation_test

from medlm_recipes.config.compare import CompareConfig
from medlm_recipes.config.loading import resolved
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.intervals import RESAMPLES, SEED, difference
from medlm_recipes.evaluation.results import RESULTS, SAMPLES, read_results
from medlm_recipes.manifest import Manifest, hash_file, publish, write_json

COMPARISON = "comparison.json"


def compare_results(config: CompareConfig, dry_run: bool) -> None:
    """Print how the evaluation `b` differs from `a`, and write it where `out` is given.

    Raises DataError when one is missing, damaged, invalid or of other questions, ConfigError for an
    unknown metric.
    """
    results = {name: read_results(folder) for name, folder in (("a", config.a), ("b", config.b))}
    for name, found in results.items():
        if config.metric not in found["scores"]:
            raise ConfigError(f"metric: {config.metric}: {name} has {', '.join(found['scores'])}")
    if results["a"]["hashes"]["benchmark"] != results["b"]["hashes"]["benchmark"]:
        raise DataError(
            f"{config.b}: answers another benchmark ({results['b']['benchmark']}) than {config.a} "
            f"({results['a']['benchmark']}): the files of questions differ; evaluate both on one"
        )
    answers = {name: read_answers(folder, config.metric) for name, folder in (("a", config.a), ("b", config.b))}
    alone = answers["a"].keys() ^ answers["b"].keys()
    if alone:
        raise DataError(
            f"{config.b}: answers other questions than {config.a}: {len(alone)} are in one only, such as "
            f"{sorted(alone)[0]}; evaluate both with the same limit"
        )
    compared = compare(answers["a"], answers["b"]) | {
        "metric": config.metric,
        "benchmark": results["a"]["benchmark"],
        "same_prompts": all(answers["a"][one][1] == answers["b"][one][1] for one in answers["a"]),
        "protocols": {name: found["protocol"] for name, found in results.items()},
    }
    _print(compared, config)
    if dry_run or config.out is None:
        return
    inputs = {name: hash_file(Path(folder) / RESULTS) for name, folder in (("a", config.a), ("b", config.b))}
    own = {"metric": resolved(config)["metric"]}
    with publish(config.out, Manifest("compare_results", own, inputs)) as folder:
        if folder is not None:
            write_json(folder / COMPARISON, compared)


def read_answers(folder: str | Path, metric: str) -> dict[str, tuple[float, str]]:
    """Question's id -> its score, the mean over seeds, and the hash of its first seed's prompt.

    Raises DataError when samples.jsonl is missing or damaged.
    """
    path = Path(folder) / SAMPLES
    scores: dict[str, list[float]] = {}
    prompts: dict[str, str] = {}
    try:
        for line in path.read_text().splitlines():
            sample = json.loads(line)
            scores.setdefault(sample["id"], []).append(float(sample[metric]))
            prompts.setdefault(sample["id"], sample["prompt_hash"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error}); remove {folder} and evaluate again") from None
    return {question: (float(np.mean(own)), prompts[question]) for question, own in scores.items()}


def compare(a: dict[str, tuple[float, str]], b: dict[str, tuple[float, str]]) -> dict[str, Any]:
    """The difference b - a over the questions of both, its bootstrap interval, and the p that it is none.

    Where every question is right or wrong, p is McNemar's exact one (1947): among the questions that only
    one of both answers rightly, either is as likely. Means over several seeds are compared by swapping
    a and b within questions at random.
    """
    first = np.array([a[question][0] for question in a])
    second = np.array([b[question][0] for question in a])
    found = difference((second - first).tolist())
    better, worse = int((second > first).sum()), int((second < first).sum())
    is_binary = bool(np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all())
    return {
        "n": len(first),
        "a": float(first.mean()),
        "b": float(second.mean()),
        "difference": found.value,
        "standard_error": found.standard_error,
        "interval": found.interval,
        "interval_by": found.interval_by,
        "only_a": worse,
        "only_b": better,
        "p": _mcnemar(better, worse) if is_binary else _swapped(first, second),
        "p_by": "mcnemar" if is_binary else "permutation",
    }


def _mcnemar(better: int, worse: int) -> float:
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def _swapped(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    if (first == second).all():
        return 1.0
    test = permutation_test(
        (first, second),
        lambda x, y, axis: np.mean(y - x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=100,
        random_state=SEED,
    )
    return float(test.pvalue)


def _print(compared: dict[str, Any], config: CompareConfig) -> None:
    low, high = compared["interval"]
    print(f"{compared['metric']} on {compared['n']:,} questions of {compared['benchmark']}")
    print(f"  a  {compared['a']:.4f}  {config.a}")
    print(f"  b  {compared['b']:.4f}  {config.b}")
    print(
        f"  b - a  {compared['difference']:+.4f} [{low:+.4f}, {high:+.4f}], p {compared['p']:.3g} "
        f"({compared['p_by']}); better on {compared['only_b']} questions, worse on {compared['only_a']}"
    )
    if not compared["same_prompts"]:
        a, b = compared["protocols"].values()
        print(f"notice: the prompts differ ({a}, {b}): this compares the ways of asking as well as the models")

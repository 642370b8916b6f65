"""What the runs and evaluations of a sweep recorded. A value that was not recorded is a gap, not an error."""

import json
from pathlib import Path
from typing import Any

from medlm_recipes.callbacks.metrics import FILE_NAME as METRICS
from medlm_recipes.callbacks.metrics import read_rows
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.results import RESULTS, SAMPLES
from medlm_recipes.models.shape import shape_of
from medlm_recipes.sweep.cost import rates_of
from medlm_recipes.sweep.plan import SweepPlan
from medlm_recipes.sweep.points import Observed, Point, Score, Target, Validation
from medlm_recipes.sweep.series import Leg, Series, override
from medlm_recipes.token_math import parse_tokens


def observe(plan: SweepPlan) -> list[Observed]:
    """Every series of a planned sweep as it stands. Raises DataError for damaged results."""
    return [_series(series, plan.config.ranks) for series in plan.series]


def _series(series: Series, ranks: int) -> Observed:
    training = series.training
    shape = shape_of(series.main.config.model, training.vocab_size, training.sequence_length)
    rates = rates_of(series, ranks)
    return Observed(
        name=series.name,
        size=series.size,
        seed=series.seed,
        parameters=shape.parameters if shape else None,
        pass_tokens=training.pass_tokens,
        points=[_point(leg, training.step_tokens, training.pass_tokens) for leg in series.legs],
        flops_per_token=rates.flops,
        dollars_per_token=rates.money,
    )


def _point(leg: Leg, step_tokens: int, pass_tokens: int) -> Point:
    rows = [row for row in read_rows(leg.run / METRICS) if row["split"] == "validation" and row["tokens"] == leg.tokens]
    scores, unscored = {}, dict(leg.unscored)
    for name, folder in leg.evaluations.items():
        results = read_results(folder)
        if results is None:
            if not leg.problem:
                unscored.setdefault(name, "not evaluated")
        elif not results.get("valid", True):
            unscored[name] = results["invalid_because"]
        else:
            scores[name] = _score(results, folder)
            unscored.pop(name, None)
    return Point(
        tokens=leg.tokens,
        steps=leg.tokens // step_tokens,
        passes=leg.tokens / pass_tokens,
        validation={row["source"]: _validation(row) for row in rows},
        scores=scores,
        problem=leg.problem,
        unscored=unscored,
    )


def _validation(row: dict[str, Any]) -> Validation:
    return Validation(row["loss"], row["perplexity"], row.get("bits_per_byte"))


def read_results(folder: Path) -> dict[str, Any] | None:
    """results.json of an evaluate folder; None when there is none. Raises DataError when it is damaged."""
    path = folder / RESULTS
    if not path.is_file():
        return None
    try:
        results: dict[str, Any] = json.loads(path.read_text())
        score = results["scores"][_metric(results)]
        _ = score["value"], score["standard_error"], score["p_above_chance"], results["n"], results["chance"]
        _ = results["task"], results["benchmark"], results["hashes"]["benchmark"], results["hashes"]["task"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error}); remove {folder} and run the sweep again") from None
    return results


def _metric(results: dict[str, Any]) -> str:
    """Name of the main score."""
    return str(results.get("metric", "acc"))


def _score(results: dict[str, Any], folder: Path) -> Score:
    metric = _metric(results)
    score = results["scores"][metric]
    return Score(
        metric=metric,
        value=score["value"],
        standard_error=score["standard_error"],
        n=results["n"],
        chance=results["chance"],
        p_above_chance=score["p_above_chance"],
        unparsed_rate=results.get("unparsed_rate", 0.0),
        seeds_std=score.get("seeds_std"),
        answers=_answers(folder / SAMPLES, metric, results["n"]),
        questions=results["hashes"]["benchmark"][:16],
    )


def _answers(path: Path, metric: str, n: int) -> str:
    """What every question scored, the mean over the seeds that asked it; empty when that is not known of each."""
    if not path.is_file():
        return ""
    scored: dict[int, list[float]] = {}
    with open(path) as stream:
        for line in stream:
            sample = json.loads(line)
            scored.setdefault(sample["index"], []).append(float(sample[metric]))
    if sorted(scored) != list(range(n)):
        return ""
    return " ".join(f"{sum(own) / len(own):.4g}" for _, own in sorted(scored.items()))


def targets(plan: SweepPlan) -> list[Target]:
    """The train recipes to be foretold, on the sweep's own data.

    Raises ConfigError for a recipe that is not one, or whose model's size stands elsewhere.
    """
    found = []
    for recipe in plan.config.forecast:
        first = plan.series[0]
        own = first.main.config
        places = [override("run", own.run), override("shards", own.shards), override("tokenizer", own.tokenizer)]
        config = load_config(TrainConfig, recipe, places)
        shape = shape_of(config.model, first.training.vocab_size, first.training.sequence_length)
        if shape is None:
            raise ConfigError(
                f"forecast: {recipe}: its model is a Hugging Face folder, whose size the recipe does not state; "
                "name a recipe with a gpt2 or llama model"
            )
        tokens = parse_tokens(config.max_duration)
        found.append(Target(Path(recipe).stem, shape.parameters, tokens, first.training.pass_tokens))
    return found

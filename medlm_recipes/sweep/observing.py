"""What the runs and evaluations of a sweep recorded. A value that was not recorded is a gap, not an error."""

from pathlib import Path
from typing import Any

from medlm_recipes.callbacks.metrics import FILE_NAME as METRICS
from medlm_recipes.callbacks.metrics import read_rows
from medlm_recipes.evaluation.comparison import read_answers
from medlm_recipes.evaluation.results import METRIC, RESULTS, SAMPLES, load_results
from medlm_recipes.manifest import hash_json
from medlm_recipes.models.shape import shape_of
from medlm_recipes.sweep.cost import rates_of
from medlm_recipes.sweep.plan import SweepPlan
from medlm_recipes.sweep.points import Observed, Point, Score, Validation
from medlm_recipes.sweep.series import Leg, Series


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
    """results.json of an evaluate folder, marked invalid or not; None: there is none. Raises DataError when damaged."""
    return load_results(folder) if (folder / RESULTS).is_file() else None


def _score(results: dict[str, Any], folder: Path) -> Score:
    score, answers = results["scores"][METRIC], {}
    if (folder / SAMPLES).is_file():
        answers = {question: own for question, (own, _) in sorted(read_answers(folder, METRIC).items())}
    return Score(
        value=score["value"],
        standard_error=score["standard_error"],
        n=results["n"],
        chance=results["chance"],
        p_above_chance=score["p_above_chance"],
        unparsed_rate=results["unparsed_rate"],
        seeds_std=score.get("seeds_std"),
        answers=" ".join(f"{own:.4g}" for own in answers.values()),
        questions=hash_json([results["hashes"]["benchmark"], *answers])[:16],
    )

"""What a run and its evaluations recorded at each budget. A value that was not recorded is a gap, not an error."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlm_recipes import __version__
from medlm_recipes.callbacks.metrics import FILE_NAME as METRICS
from medlm_recipes.callbacks.metrics import read_rows
from medlm_recipes.config.loading import resolved
from medlm_recipes.errors import DataError
from medlm_recipes.evaluation.evaluate import RESULTS, evaluation_manifest
from medlm_recipes.manifest import hash_json
from medlm_recipes.models.shape import shape_of
from medlm_recipes.sweep.findings import Findings, Point, Score, Validation, find
from medlm_recipes.sweep.plan import SweepPlan
from medlm_recipes.sweep.series import Leg, Series
from medlm_recipes.sweep.summary import summarize
from medlm_recipes.training.opening import computed

METRIC = "acc"
"""Which of an evaluation's scores is compared: the share of questions whose likeliest option is right."""


@dataclass
class Sweep:
    """A finished comparison: what `sweep.json` holds and the report shows. It names no machine's paths.

    train, evaluate: the recipes' keys that decide results. made: further facts for people, in order.
    """

    run: str
    design: str
    metric: str
    train: dict[str, Any]
    evaluate: dict[str, Any]
    made: dict[str, str]
    points: list[Point]
    findings: Findings
    summary: list[str]


def collect(plan: SweepPlan) -> Sweep:
    """Read a planned sweep's run and evaluations. Raises DataError for a damaged results.json."""
    series = plan.series[0]
    name = next(iter(series.legs[0].evaluations))
    points = read_points(series.legs, name, series.training.step_tokens, series.training.pass_tokens)
    findings = find(points)
    return Sweep(
        run=series.folder.name,
        metric=METRIC,
        design=plan.config.design,
        train=computed(resolved(series.main.config)),
        evaluate=evaluation_manifest(plan.evaluate(series.legs[0], name), "").config,
        made=_provenance(series, series.legs[-1].evaluations[name]),
        points=points,
        findings=findings,
        summary=summarize(points, findings),
    )


def _provenance(series: Series, evaluation: Path) -> dict[str, str]:
    """What made the numbers, for people, in order."""
    config, training = series.main.config, series.training
    facts, keys = training.shards.facts, config.model
    shape = shape_of(keys, training.vocab_size, training.sequence_length)
    results = read_results(evaluation) or {"task": "none", "benchmark": "none", "n": 0, "hashes": {}}
    hashes = {
        "shards": hash_json(training.shards.__dict__),
        "tokenizer": facts["tokenizer_sha256"],
        **{name: results["hashes"].get(name, "none") for name in ("benchmark", "task")},
    }
    return {
        "model": f"{shape.words if shape else keys.pretrained}; vocabulary {training.vocab_size:,}, "
        f"sequences of {training.sequence_length} tokens",
        "batch": f"{config.global_batch} sequences = {training.step_tokens:,} tokens a step",
        "optimizer": _keys(resolved(config.optimizer)),
        "schedule": f"{_keys(resolved(config.scheduler))}; to {training.end:,} tokens; seed {config.seed}",
        "data": f"{training.pass_tokens:,} train tokens a pass, from {', '.join(training.sources)}",
        "evaluation": f"{results['task']} on {results['benchmark']}, {results['n']:,} questions",
        "hashes": ", ".join(f"{name} {value[:12]}" for name, value in hashes.items()),
        "package": f"medlm-recipes {__version__}",
    }


def _keys(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def read_points(legs: list[Leg], name: str, step_tokens: int, pass_tokens: int) -> list[Point]:
    """The points of a series, by rising tokens.

    name: of the evaluate recipe. step_tokens, pass_tokens: tokens of one step and of one pass over the
    train split. Raises DataError for a damaged results.json.
    """
    points = []
    for leg in legs:
        rows = [row for row in read_rows(leg.run / METRICS) if row["split"] == "validation"]
        results = read_results(leg.evaluations[name])
        points.append(
            Point(
                tokens=leg.tokens,
                steps=leg.tokens // step_tokens,
                passes=leg.tokens / pass_tokens,
                validation={row["source"]: _validation(row) for row in rows if row["tokens"] == leg.tokens},
                accuracy=_score(results) if results else None,
            )
        )
    return points


def read_results(folder: Path) -> dict[str, Any] | None:
    """results.json of an evaluate folder; None when there is none. Raises DataError when it is damaged."""
    path = folder / RESULTS
    if not path.is_file():
        return None
    try:
        results: dict[str, Any] = json.loads(path.read_text())
        _score(results)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error}); remove {folder} and run the sweep again") from None
    return results


def _validation(row: dict[str, Any]) -> Validation:
    return Validation(row["loss"], row["perplexity"], row.get("bits_per_byte"))


def _score(results: dict[str, Any]) -> Score:
    score = results["scores"][METRIC]
    return Score(
        value=score["value"],
        standard_error=score["standard_error"],
        n=results["n"],
        chance=results["chance"],
        p_above_chance=score["p_above_chance"],
    )

"""What a run and its evaluations recorded at each budget. A value that was not recorded is a gap, not an error."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlm_recipes import __version__
from medlm_recipes.callbacks.metrics import FILE_NAME as METRICS
from medlm_recipes.callbacks.metrics import read_rows
from medlm_recipes.config.loading import resolved
from medlm_recipes.evaluation.evaluate import evaluation_manifest
from medlm_recipes.evaluation.results import METRIC, RESULTS, read_results
from medlm_recipes.manifest import hash_json
from medlm_recipes.models.shape import shape_of
from medlm_recipes.sweep.findings import Findings, Point, Score, Validation, find
from medlm_recipes.sweep.plan import SweepPlan
from medlm_recipes.sweep.summary import summarize
from medlm_recipes.training.opening import computed


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
    """Read a planned sweep's run and evaluations. Raises DataError for a damaged or invalid results.json."""
    evaluations = {tokens: plan.evaluation(tokens) for tokens in plan.budgets}
    points = read_points(plan.run, evaluations, plan.training.step_tokens, plan.training.pass_tokens)
    findings = find(points)
    return Sweep(
        run=plan.run.name,
        metric=METRIC,
        design=plan.config.design,
        train=computed(resolved(plan.train)),
        evaluate=evaluation_manifest(plan.evaluate(plan.budgets[0]), "").config,
        made=_provenance(plan, evaluations[plan.budgets[-1]]),
        points=points,
        findings=findings,
        summary=summarize(points, findings),
    )


def _provenance(plan: SweepPlan, evaluation: Path) -> dict[str, str]:
    """What made the numbers, for people, in order."""
    training, facts, keys = plan.training, plan.training.shards.facts, plan.train.model
    shape = shape_of(keys, training.vocab_size, training.sequence_length)
    results = _results(evaluation) or {"task": "none", "benchmark": "none", "n": 0, "hashes": {}}
    hashes = {
        "shards": hash_json(training.shards.__dict__),
        "tokenizer": facts["tokenizer_sha256"],
        **{name: results["hashes"].get(name, "none") for name in ("benchmark", "task")},
    }
    return {
        "model": f"{shape.words if shape else keys.pretrained}; vocabulary {training.vocab_size:,}, "
        f"sequences of {training.sequence_length} tokens",
        "batch": f"{plan.train.global_batch} sequences = {training.step_tokens:,} tokens a step",
        "optimizer": _keys(resolved(plan.train.optimizer)),
        "schedule": f"{_keys(resolved(plan.train.scheduler))}; to {training.end:,} tokens; seed {plan.train.seed}",
        "data": f"{training.pass_tokens:,} train tokens a pass, from {', '.join(training.sources)}",
        "evaluation": f"{results['task']} on {results['benchmark']}, {results['n']:,} questions",
        "hashes": ", ".join(f"{name} {value[:12]}" for name, value in hashes.items()),
        "package": f"medlm-recipes {__version__}",
    }


def _keys(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def read_points(run: Path, evaluations: dict[int, Path], step_tokens: int, pass_tokens: int) -> list[Point]:
    """The points of a sweep, by rising tokens.

    evaluations: tokens of a checkpoint -> the folder of its results. step_tokens, pass_tokens: tokens
    of one step and of one pass over the train split. Raises DataError for a damaged or invalid results.json.
    """
    rows = [row for row in read_rows(run / METRICS) if row["split"] == "validation"]
    points = []
    for tokens in sorted(evaluations):
        results = _results(evaluations[tokens])
        points.append(
            Point(
                tokens=tokens,
                steps=tokens // step_tokens,
                passes=tokens / pass_tokens,
                validation={row["source"]: _validation(row) for row in rows if row["tokens"] == tokens},
                accuracy=_score(results) if results else None,
            )
        )
    return points


def _results(folder: Path) -> dict[str, Any] | None:
    """results.json of an evaluate folder; None when there is none. Raises DataError when it is damaged or invalid."""
    return read_results(folder) if (folder / RESULTS).is_file() else None


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

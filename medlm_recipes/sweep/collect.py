"""A finished sweep as data: what `sweep.json` holds and the report shows."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medlm_recipes import __version__
from medlm_recipes.config.loading import resolved
from medlm_recipes.errors import DataError
from medlm_recipes.evaluation.evaluate import evaluation_manifest
from medlm_recipes.manifest import hash_json, read_manifest
from medlm_recipes.models.shape import shape_of
from medlm_recipes.sweep.comparison import Comparison, Other, compare
from medlm_recipes.sweep.findings import Findings, find
from medlm_recipes.sweep.observing import observe, read_results
from medlm_recipes.sweep.plan import SweepPlan
from medlm_recipes.sweep.points import DATA, Observed, Target, observed_from
from medlm_recipes.sweep.series import Series
from medlm_recipes.sweep.summary import recommend, summarize
from medlm_recipes.training.opening import computed

FORM = 2
"""Of sweep.json; rises when what stands there changes its meaning."""


@dataclass
class Sweep:
    """A sweep. It names no machine's paths.

    series: what was measured; what follows from it: findings, recommendation and summary in
    words, comparisons. tokenizer: its hash; losses
    in nats a token of two sweeps compare only when it is the same. train: size -> the recipe's keys that decide
    results; evaluate: the same by benchmark. made: further facts for people, in order.
    """

    name: str
    design: str
    gain_enough: float
    tokenizer: str
    train: dict[str, Any]
    evaluate: dict[str, Any]
    made: dict[str, str]
    series: list[Observed]
    findings: Findings
    recommendation: list[str]
    summary: list[str]
    comparisons: list[Comparison] = field(default_factory=list)
    form: int = FORM


def collect(plan: SweepPlan, foretold: list[Target]) -> Sweep:
    """Read a planned sweep's runs and evaluations, and the sweeps that it is compared with.

    Raises DataError for damaged results and for a folder of `compare` that holds no sweep.
    """
    keys, first = plan.config, plan.series[0]
    series = observe(plan)
    findings = find(series, keys.gain_enough, foretold)
    tokenizer = first.training.shards.facts["tokenizer_sha256"]
    own = Other(Path(keys.out).name, keys.design, tokenizer, series, findings)
    return Sweep(
        name=own.name,
        design=keys.design,
        gain_enough=keys.gain_enough,
        tokenizer=tokenizer,
        train={one.size: computed(resolved(one.main.config)) for one in plan.series},
        evaluate={name: evaluation_manifest(plan.evaluate(first.legs[0], name), "").config
                  for name in first.legs[0].evaluations},
        made=_provenance(plan),
        series=series,
        findings=findings,
        recommendation=recommend(findings, keys.gain_enough),
        summary=summarize(findings),
        comparisons=[compare(own, read_sweep(folder, keys.gain_enough)) for folder in keys.compare],
    )  # fmt: skip


def read_sweep(folder: str, gain_enough: float) -> Other:
    """A finished sweep's measurements, judged anew. Raises DataError when there is none of this form."""
    read_manifest(folder, "sweep")
    path = Path(folder) / DATA
    try:
        data = json.loads(path.read_text())
        if data.get("form") != FORM:
            raise DataError(f"{path}: made by another version of this package; make that sweep's report again")
        series = [observed_from(one) for one in data["series"]]
        return Other(data["name"], data["design"], data["tokenizer"], series, find(series, gain_enough, []))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: damaged ({error}); make that sweep's report again") from None


def _provenance(plan: SweepPlan) -> dict[str, str]:
    """What made the numbers, for people, in order; what differs from size to size has a line for each."""
    by_size = {one.size: _of_series(one) for one in plan.series}
    found: dict[str, str] = {}
    for name in next(iter(by_size.values())):
        values = {size: facts[name] for size, facts in by_size.items()}
        if len(set(values.values())) == 1:
            found[name] = next(iter(values.values()))
        else:
            found |= {f"{name}, {size}": value for size, value in values.items()}
    seeds = list(dict.fromkeys(one.seed for one in plan.series))
    found["seeds"] = ", ".join(map(str, seeds))
    first = plan.series[0]
    hashes = {"shards": hash_json(first.training.shards.__dict__), "tokenizer": _tokenizer(first)}
    for name, folder in first.legs[-1].evaluations.items():
        results = read_results(folder)
        if results:
            found[f"evaluation, {name}"] = f"{results['task']} on {results['benchmark']}, {results['n']:,} questions"
            hashes |= {f"{name}'s {what}": results["hashes"][what] for what in ("benchmark", "task")}
    found["hashes"] = ", ".join(f"{name} {value[:12]}" for name, value in hashes.items())
    return found | {"package": f"medlm-recipes {__version__}"}


def _tokenizer(series: Series) -> str:
    return str(series.training.shards.facts["tokenizer_sha256"])


def _of_series(series: Series) -> dict[str, str]:
    config, training = series.main.config, series.training
    shape = shape_of(config.model, training.vocab_size, training.sequence_length)
    return {
        "model": f"{shape.words if shape else config.model.pretrained}; vocabulary {training.vocab_size:,}, "
        f"sequences of {training.sequence_length} tokens",
        "batch": f"{config.global_batch} sequences = {training.step_tokens:,} tokens a step",
        "optimizer": _keys(resolved(config.optimizer)),
        "schedule": f"{_keys(resolved(config.scheduler))}; to {training.end:,} tokens",
        "data": f"{training.pass_tokens:,} train tokens a pass, from {', '.join(training.sources)}",
    }


def _keys(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)

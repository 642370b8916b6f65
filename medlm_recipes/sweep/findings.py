"""What a sweep's points show: losses and scores over the budgets of every size, fitted, with noise named as noise."""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from medlm_recipes.sweep.fits import LossFit, fit_losses, measured
from medlm_recipes.sweep.fitting import NoFit
from medlm_recipes.sweep.joint import JointFit, fit_sizes
from medlm_recipes.sweep.points import Observed, Target, benchmarks, losses, sizes, sources
from medlm_recipes.sweep.scores import Change, Level, change, changes, levels
from medlm_recipes.token_math import in_words


@dataclass
class LossLevel:
    """A source's validation loss at one budget, the mean over `seeds` trainings; None: not finite in one of them."""

    tokens: int
    loss: float | None
    perplexity: float | None
    bits_per_byte: float | None
    seeds: int
    seeds_std: float | None


@dataclass
class Gain:
    """What a source's validation loss fell by between two budgets, over the seeds that have both.

    standard_error: of per_doubling, from the seeds; None: there is one.
    """

    start: int
    end: int
    per_doubling: float
    standard_error: float | None
    per_1000_dollars: float | None


@dataclass
class SizeFindings:
    """One model size. All dicts are by source, or by benchmark.

    falls: whether each recorded loss lies below the one before; None: fewer than two. fits: the one that
    counts first; where there is none, unfit says why. overall: from the smallest budget with a score to
    the largest. missing: what has no model or score -> why.
    """

    size: str
    parameters: int | None
    tokens: list[int]
    passes: list[float]
    seeds: int
    losses: dict[str, list[LossLevel]]
    gains: dict[str, list[Gain]]
    falls: dict[str, bool | None]
    fits: dict[str, list[LossFit]]
    unfit: dict[str, str]
    scores: dict[str, list[Level]]
    changes: dict[str, list[Change]]
    overall: dict[str, Change]
    missing: dict[str, str] = field(default_factory=dict)


@dataclass
class Findings:
    """Sizes in the recipe's order. joint: source -> the fit over sizes, or in `unjoined` why there is none."""

    sizes: list[SizeFindings]
    joint: dict[str, JointFit]
    unjoined: dict[str, str]


def find(series: list[Observed], gain_enough: float, targets: list[Target]) -> Findings:
    """Judge what was measured. gain_enough: nats per doubling below which more tokens are not worth it."""
    found = [_size([one for one in series if one.size == size], gain_enough) for size in sizes(series)]
    joint, unjoined = {}, {}
    if len(found) > 1 or targets:
        known = [one for one in series if one.parameters]
        for source in sources(known):
            try:
                joint[source] = fit_sizes(measured(known, source), targets)
            except NoFit as why:
                unjoined[source] = str(why)
    return Findings(found, joint, unjoined)


def _size(series: list[Observed], gain_enough: float) -> SizeFindings:
    fits, unfit, gains, falls, overall = {}, {}, {}, {}, {}
    named = sources(series)
    for source in named:
        gains[source] = _gains(series, source)
        falls[source] = _falls(series, source)
        try:
            fits[source] = fit_losses(measured(series, source), gain_enough)
        except NoFit as why:
            unfit[source] = str(why)
    scored = {name: levels(series, name) for name in benchmarks(series)}
    for name, found in scored.items():
        whole = change(series, name, found[0].tokens, found[-1].tokens) if len(found) > 1 else None
        if whole:
            overall[name] = whole
    tokens = sorted({point.tokens for one in series for point in one.points})
    return SizeFindings(
        size=series[0].size,
        parameters=series[0].parameters,
        tokens=tokens,
        passes=[count / series[0].pass_tokens for count in tokens],
        seeds=len(series),
        losses={source: _levels(series, source) for source in named},
        gains=gains,
        falls=falls,
        fits=fits,
        unfit=unfit,
        scores=scored,
        changes={name: changes(series, name) for name in scored},
        overall=overall,
        missing=_missing(series),
    )


def _levels(series: list[Observed], source: str) -> list[LossLevel]:
    rows: dict[int, list[tuple[float, float | None]]] = {}
    for one in series:
        for point, loss in losses(one, source):
            rows.setdefault(point.tokens, []).append((loss, point.validation[source].bits_per_byte))
    found = []
    for tokens, row in sorted(rows.items()):
        values = [loss for loss, _ in row]
        finite = all(map(math.isfinite, values))
        mean = float(np.mean(values)) if finite else None
        bits = [one for _, one in row if one is not None]
        found.append(LossLevel(
            tokens=tokens,
            loss=mean,
            perplexity=math.exp(mean) if mean is not None and mean < 700 else None,
            bits_per_byte=float(np.mean(bits)) if finite and len(bits) == len(row) else None,
            seeds=len(row),
            seeds_std=float(np.std(values, ddof=1)) if finite and len(row) > 1 else None,
        ))  # fmt: skip
    return found


def _by_series(series: list[Observed], source: str) -> list[dict[int, float]]:
    return [{point.tokens: loss for point, loss in losses(one, source)} for one in series]


def _gains(series: list[Observed], source: str) -> list[Gain]:
    recorded = _by_series(series, source)
    finite = [{tokens: loss for tokens, loss in one.items() if math.isfinite(loss)} for one in recorded]
    price = next((one.dollars_per_token for one in series if one.dollars_per_token), None)
    found = []
    for start, end in pairwise(sorted({tokens for one in finite for tokens in one})):
        fallen = [one[start] - one[end] for one in finite if start in one and end in one]
        if not fallen:
            continue
        doublings, mean = math.log2(end / start), float(np.mean(fallen))
        error = float(np.std(fallen, ddof=1)) / math.sqrt(len(fallen)) / doublings if len(fallen) > 1 else None
        dear = None if price is None else mean / (price * (end - start) / 1000)
        found.append(Gain(start, end, mean / doublings, error, dear))
    return found


def _falls(series: list[Observed], source: str) -> bool | None:
    """Whether the mean over the seeds falls at every step; a loss that is not finite does not count as falling."""
    means = [math.inf if level.loss is None else level.loss for level in _levels(series, source)]
    return all(later < earlier for earlier, later in pairwise(means)) if len(means) > 1 else None


def _missing(series: list[Observed]) -> dict[str, str]:
    found = {}
    for one in series:
        for point in one.points:
            where = f"{one.name}, {in_words(point.tokens)} tokens"
            if point.problem:
                found[where] = point.problem
                continue
            found |= {f"{where}, {name}": why for name, why in point.unscored.items()}
            found |= {
                f"{where}, loss on {source}": "not finite: the run has diverged"
                for source, value in point.validation.items()
                if value.loss is None
            }
    return found

"""Two sweeps beside each other: their losses and scores where both have the same budget."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medlm_recipes.sweep.findings import Findings, SizeFindings
from medlm_recipes.sweep.points import Observed, Score
from medlm_recipes.sweep.scores import NOISE, compare_scores

SAME_BUDGET = 0.02
"""Budgets that differ by less are the same: steps of another size reach a budget at other tokens."""


@dataclass
class Other:
    """A sweep as far as it is compared."""

    name: str
    design: str
    tokenizer: str
    series: list[Observed]
    findings: Findings


@dataclass
class LossPair:
    """One source's loss at a budget of both, in the comparison's unit, means over seeds.

    standard_error: of own minus other, from the seeds; None: one of the two has a single seed.
    """

    source: str
    own_size: str
    other_size: str
    tokens: int
    own: float
    other: float
    standard_error: float | None

    @property
    def difference(self) -> float:
        return self.own - self.other


@dataclass
class ScorePair:
    """A benchmark's score at a budget of both, means over seeds. paired, p: as of scores.Change."""

    benchmark: str
    own_size: str
    other_size: str
    tokens: int
    own: float
    other: float
    standard_error: float
    p: float
    paired: bool

    @property
    def difference(self) -> float:
        return self.own - self.other

    @property
    def within_noise(self) -> bool:
        return self.difference == 0 or abs(self.difference) < NOISE * self.standard_error


@dataclass
class Match:
    """The other sweep's loss at its largest budget, and the tokens at which this sweep's curve comes to it.

    tokens: None: not within the budgets measured here.
    """

    source: str
    own_size: str
    other_size: str
    other_tokens: int
    loss: float
    tokens: int | None


@dataclass
class Comparison:
    """unit: nats a token, or bits a byte when the tokenizers differ, which makes tokens another measure too."""

    name: str
    design: str
    unit: str
    same_tokenizer: bool
    losses: list[LossPair]
    scores: list[ScorePair]
    matches: list[Match]
    other: list[SizeFindings]


def compare(own: Other, other: Other) -> Comparison:
    same = own.tokenizer == other.tokenizer
    pairs = list(_sizes(own.findings.sizes, other.findings.sizes))
    return Comparison(
        name=other.name,
        design=other.design,
        unit="nats a token" if same else "bits a byte",
        same_tokenizer=same,
        losses=[found for pair in pairs for found in _losses(*pair, same)],
        scores=[found for pair in pairs for found in _scores(own, other, *pair)],
        matches=[found for pair in pairs for found in _matches(*pair)] if same else [],
        other=other.findings.sizes,
    )


def _sizes(own: list[SizeFindings], other: list[SizeFindings]) -> Iterator[tuple[SizeFindings, SizeFindings]]:
    """Sizes of the same name or number of parameters; where there are none, the largest of both."""
    found = [
        (one, two)
        for one in own
        for two in other
        if one.size == two.size or (one.parameters and one.parameters == two.parameters)
    ]
    yield from found or [(_largest(own), _largest(other))]


def _largest(sizes: list[SizeFindings]) -> SizeFindings:
    return max(sizes, key=lambda one: one.parameters or 0)


def _near(tokens: int, budgets: list[int]) -> int | None:
    return next((one for one in budgets if abs(one / tokens - 1) < SAME_BUDGET), None)


def _losses(one: SizeFindings, two: SizeFindings, same_tokenizer: bool) -> Iterator[LossPair]:
    for source in sorted(one.losses.keys() & two.losses.keys()):
        others = {level.tokens: level for level in two.losses[source]}
        for level in one.losses[source]:
            near = _near(level.tokens, list(others))
            if near is None:
                continue
            match = others[near]
            own, other = (row.loss if same_tokenizer else row.bits_per_byte for row in (level, match))
            if own is None or other is None:
                continue
            error = None
            if level.seeds_std is not None and match.seeds_std is not None and level.loss and match.loss:
                errors = (level.seeds_std / math.sqrt(level.seeds), match.seeds_std / math.sqrt(match.seeds))
                # Of bits a byte the same share of the value.
                error = math.hypot(errors[0] * own / level.loss, errors[1] * other / match.loss)
            yield LossPair(source, one.size, two.size, level.tokens, own, other, error)


def _scores(own: Other, other: Other, one: SizeFindings, two: SizeFindings) -> Iterator[ScorePair]:
    for benchmark in (name for name in one.scores if name in two.scores):
        others = [level.tokens for level in two.scores[benchmark]]
        for level in one.scores[benchmark]:
            near = _near(level.tokens, others)
            if near is None:
                continue
            mine = _scores_at(own.series, one.size, benchmark, level.tokens)
            theirs = _scores_at(other.series, two.size, benchmark, near)
            here, there = (float(np.mean([score.value for score in scores])) for scores in (mine, theirs))
            _, error, p, paired = compare_scores(theirs, mine)
            yield ScorePair(benchmark, one.size, two.size, level.tokens, here, there, error, p, paired)


def _scores_at(series: list[Observed], size: str, benchmark: str, tokens: int) -> list[Score]:
    return [
        point.scores[benchmark]
        for one in series
        if one.size == size
        for point in one.points
        if point.tokens == tokens and benchmark in point.scores
    ]


def _matches(one: SizeFindings, two: SizeFindings) -> Iterator[Match]:
    for source in sorted(one.fits.keys() & two.losses.keys()):
        finite = [(level.tokens, level.loss) for level in two.losses[source] if level.loss is not None]
        if not finite:
            continue
        tokens, loss = finite[-1]
        line = [point for point in one.fits[source][0].line if point.times <= 1 + 1e-9]
        values = np.array([point.loss.value for point in line])
        reached = None
        if values[-1] <= loss <= values[0]:
            reached = round(float(np.exp(np.interp(-loss, -values, np.log([point.tokens for point in line])))))
        yield Match(source, one.size, two.size, tokens, loss, reached)

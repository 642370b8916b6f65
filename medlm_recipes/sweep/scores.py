"""Benchmarks over a sweep's budgets: levels with their errors, and changes that are told from noise."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import norm

from medlm_recipes.evaluation.comparison import compare as compare_answers
from medlm_recipes.evaluation.intervals import difference, estimate
from medlm_recipes.sweep.forms import Array
from medlm_recipes.sweep.points import SIGNIFICANT, Observed, Score

NOISE = 2.0
"""A change of a score below this many of its standard errors is called noise."""


@dataclass
class Level:
    """A benchmark's score at one budget: the mean over `seeds` trainings.

    standard_error: over questions and, with several seeds, over these. seeds_std: of the seeds' scores.
    demonstrations_std: of the scores with other demonstrations, where the evaluation took several.
    """

    tokens: int
    value: float
    standard_error: float
    n: int
    chance: float
    p_above_chance: float
    unparsed_rate: float
    seeds: int
    seeds_std: float | None
    demonstrations_std: float | None

    @property
    def above_chance(self) -> bool:
        return self.p_above_chance < SIGNIFICANT


@dataclass
class Change:
    """From one budget's score to a larger one's.

    paired: whether the error is of the differences question by question; otherwise the two scores count as
    independent although they are of the same questions, which makes the error too large as a rule.
    p: of a change this large if there were none, exact (McNemar) for one seed's answers right or wrong.
    """

    start: int
    end: int
    change: float
    standard_error: float
    p: float
    paired: bool
    per_doubling: float
    per_1000_dollars: float | None

    @property
    def within_noise(self) -> bool:
        return self.change == 0 or abs(self.change) < NOISE * self.standard_error


def levels(series: list[Observed], benchmark: str) -> list[Level]:
    """The scores of one size's seeds, by rising tokens; a budget without one is left out."""
    found: dict[int, list[Score]] = {}
    for one in series:
        for point in one.points:
            if benchmark in point.scores:
                found.setdefault(point.tokens, []).append(point.scores[benchmark])
    return [_level(tokens, found[tokens]) for tokens in sorted(found)]


def _level(tokens: int, scores: list[Score]) -> Level:
    values = [score.value for score in scores]
    value, first = float(np.mean(values)), scores[0]
    spread = [score.seeds_std for score in scores if score.seeds_std is not None]
    error, p, std = first.standard_error, first.p_above_chance, None
    if len(scores) > 1:
        std = float(np.std(values, ddof=1))
        answers = _answers(scores)
        asked = (
            max(score.standard_error for score in scores)
            if answers is None
            else estimate(answers.mean(0).tolist()).standard_error
        )
        error = math.hypot(asked, std / math.sqrt(len(scores)))
        p = float(norm.sf((value - first.chance) / error)) if error else float(value <= first.chance)
    return Level(
        tokens=tokens,
        value=value,
        standard_error=error,
        n=first.n,
        chance=first.chance,
        p_above_chance=p,
        unparsed_rate=max(score.unparsed_rate for score in scores),
        seeds=len(scores),
        seeds_std=std,
        demonstrations_std=float(np.mean(spread)) if spread else None,
    )


def changes(series: list[Observed], benchmark: str) -> list[Change]:
    """Between neighbouring budgets that have scores, by rising tokens."""
    tokens = [level.tokens for level in levels(series, benchmark)]
    return [found for start, end in pairwise(tokens) if (found := change(series, benchmark, start, end))]


def change(series: list[Observed], benchmark: str, start: int, end: int) -> Change | None:
    """Between two budgets, over the seeds that have both scores; None when none has."""
    found = [
        {point.tokens: point.scores[benchmark] for point in one.points if benchmark in point.scores} for one in series
    ]
    pairs = [(one[start], one[end]) for one in found if start in one and end in one]
    if not pairs:
        return None
    value, error, p, paired = compare_scores(*map(list, zip(*pairs, strict=True)))
    if len(pairs) > 1:  # the seeds' own differences: each has the same run at both budgets
        spread = float(np.std([after.value - before.value for before, after in pairs], ddof=1))
        error = math.hypot(error, spread / math.sqrt(len(pairs)))
        p = _two_sided(value, error)
    price = next((one.dollars_per_token for one in series if one.dollars_per_token), None)
    dear = None if price is None else value / (price * (end - start) / 1000)
    return Change(start, end, value, error, p, paired, value / math.log2(end / start), dear)


def compare_scores(before: list[Score], after: list[Score]) -> tuple[float, float, float, bool]:
    """(mean of `after` minus that of `before`, its standard error over questions, p of no change, whether paired).

    Paired: the error is of the differences question by question, between the means over each list.
    """
    value = float(np.mean([score.value for score in after]) - np.mean([score.value for score in before]))
    answers = _answers([*before, *after])
    if answers is None:
        # Scores of one list are of the same questions, so that their mean is no surer than each of them.
        error = math.hypot(*(max(score.standard_error for score in scores) for scores in (before, after)))
        return value, error, _two_sided(value, error), False
    if len(answers) == 2 and set(np.unique(answers)) <= {0.0, 1.0}:
        first, second = ({str(index): (own, "") for index, own in enumerate(one)} for one in answers.tolist())
        found = compare_answers(first, second)
        return value, found["standard_error"], found["p"], True
    error = difference((answers[len(before) :].mean(0) - answers[: len(before)].mean(0)).tolist()).standard_error
    return value, error, _two_sided(value, error), True


def _two_sided(value: float, error: float) -> float:
    return float(2 * norm.sf(abs(value) / error)) if error else float(value == 0)


def _answers(scores: list[Score]) -> Array | None:
    """(scores, questions): what every question scored, when all are known to be of the same questions."""
    if not scores[0].answers or len({(score.questions, score.n) for score in scores}) > 1:
        return None
    if not all(score.answers for score in scores):
        return None
    return np.array([[float(one) for one in score.answers.split()] for score in scores])

"""What the points of a sweep show, with noise named as noise."""

import math
from dataclasses import dataclass
from itertools import pairwise

SIGNIFICANT = 0.01
"""Largest p at which an accuracy counts as above chance."""

NOISE = 2.0
"""A change of accuracy below this many of its standard errors is called noise."""


@dataclass
class Validation:
    """Nats a token, exp of it, bits a byte of text. None: not finite."""

    loss: float | None
    perplexity: float | None
    bits_per_byte: float | None


@dataclass
class Score:
    """Share of n questions answered rightly, beside the share that guessing gets."""

    value: float
    standard_error: float
    n: int
    chance: float
    p_above_chance: float

    @property
    def above_chance(self) -> bool:
        return self.p_above_chance < SIGNIFICANT


@dataclass
class Point:
    """One budget. validation: source -> what was measured there; accuracy None: not evaluated."""

    tokens: int
    steps: int
    passes: float
    validation: dict[str, Validation]
    accuracy: Score | None


@dataclass
class Step:
    """From one budget to a larger one; None where one of the two has a gap.

    standard_error takes the two scores as independent binomials, sqrt(a² + b²). Both are of the same
    questions, which makes the true error of their difference smaller as a rule: it is conservative.
    nats_per_doubling: source -> fall of the validation loss over log2 of the ratio of tokens.
    """

    start: int
    end: int
    accuracy_change: float | None
    standard_error: float | None
    within_noise: bool | None
    nats_per_doubling: dict[str, float]


@dataclass
class Findings:
    """perplexity_falls: source -> whether each recorded budget lies below the one before; None: fewer than two.

    largest_above_chance: None when the largest budget was not evaluated. overall: smallest to largest.
    """

    perplexity_falls: dict[str, bool | None]
    largest_above_chance: bool | None
    steps: list[Step]
    overall: Step | None


def find(points: list[Point]) -> Findings:
    """Judge the points, which stand by rising tokens."""
    steps = [_step(*pair) for pair in pairwise(points)]
    overall = _step(points[0], points[-1]) if len(points) > 1 else None
    falls = {source: _falls([loss for _, loss in losses(points, source)]) for source in sources(points)}
    last = points[-1].accuracy
    return Findings(falls, last.above_chance if last else None, steps, overall)


def sources(points: list[Point]) -> list[str]:
    """Validation sources that any point has."""
    return sorted({source for point in points for source in point.validation})


def losses(points: list[Point], source: str) -> list[tuple[Point, float]]:
    """The points that have a validation loss of `source`, with it; infinity where it was not finite."""
    found = [(point, point.validation[source].loss) for point in points if source in point.validation]
    return [(point, math.inf if loss is None else loss) for point, loss in found]


def _falls(values: list[float]) -> bool | None:
    return all(later < earlier for earlier, later in pairwise(values)) if len(values) > 1 else None


def _step(start: Point, end: Point) -> Step:
    doublings = math.log2(end.tokens / start.tokens)
    gains = {}
    for source in sources([start, end]):
        pair = [loss for _, loss in losses([start, end], source)]
        if len(pair) == 2 and all(map(math.isfinite, pair)):
            gains[source] = (pair[0] - pair[1]) / doublings
    change = error = noise = None
    if start.accuracy and end.accuracy:
        change = end.accuracy.value - start.accuracy.value
        error = math.hypot(start.accuracy.standard_error, end.accuracy.standard_error)
        noise = abs(change) < NOISE * error or change == 0
    return Step(start.tokens, end.tokens, change, error, noise, gains)

"""What was measured in a sweep, as data: the part of `sweep.json` that everything else is computed from."""

import math
from dataclasses import dataclass, field
from typing import Any

DATA = "sweep.json"

SIGNIFICANT = 0.01
"""Largest p at which a score counts as above chance."""


@dataclass
class Validation:
    """Nats a token, exp of it, bits a byte of text. None: not finite."""

    loss: float | None
    perplexity: float | None
    bits_per_byte: float | None


@dataclass
class Score:
    """A benchmark's main score: a share of n questions, beside the share that guessing gets.

    standard_error: over questions. seeds_std: over the seeds of an evaluation's demonstrations, where it
    has several. answers: what each question scored, in the order of their ids, with a space between; empty:
    not known. questions: a hash of which questions those are. Two scores of the same questions can be
    compared question by question.
    """

    value: float
    standard_error: float
    n: int
    chance: float
    p_above_chance: float
    unparsed_rate: float = 0.0
    seeds_std: float | None = None
    answers: str = ""
    questions: str = ""

    @property
    def above_chance(self) -> bool:
        return self.p_above_chance < SIGNIFICANT


@dataclass
class Point:
    """One budget of a series.

    validation: source -> what was measured there. scores: benchmark (the evaluate recipe's name) -> its
    score. problem: why there is no model of this budget. unscored: benchmark -> why it has no score.
    """

    tokens: int
    steps: int
    passes: float
    validation: dict[str, Validation] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)
    problem: str = ""
    unscored: dict[str, str] = field(default_factory=dict)


@dataclass
class Observed:
    """One model size and seed at rising budgets.

    parameters: of the model. pass_tokens: of one pass over the train data. flops_per_token,
    dollars_per_token: what training this size takes, dollars being whatever the recipe's price is in. None:
    not known.
    """

    name: str
    size: str
    seed: int
    parameters: int | None
    pass_tokens: int
    points: list[Point]
    flops_per_token: float | None = None
    dollars_per_token: float | None = None


@dataclass
class Target:
    """A run to be foretold: a model of so many parameters, trained to so many tokens.

    pass_tokens: of one pass over its train data; None: its text is never seen again.
    """

    name: str
    parameters: int
    tokens: int
    pass_tokens: int | None


def observed_from(data: dict[str, Any]) -> Observed:
    """Read one series of sweep.json. Raises KeyError or TypeError when it is another form."""
    points = []
    for one in data["points"]:
        known = {name: Validation(**value) for name, value in one["validation"].items()}
        scores = {name: Score(**value) for name, value in one["scores"].items()}
        points.append(Point(**one | {"validation": known, "scores": scores}))
    return Observed(**data | {"points": points})


def sizes(series: list[Observed]) -> list[str]:
    """The model sizes, in the order of the recipe."""
    return list(dict.fromkeys(one.size for one in series))


def sources(series: list[Observed]) -> list[str]:
    """Validation sources that any point has."""
    return sorted({source for one in series for point in one.points for source in point.validation})


def benchmarks(series: list[Observed]) -> list[str]:
    """Benchmarks that any point has a score of, or a reason for having none, in the order of the recipe."""
    return list(dict.fromkeys(
        name for one in series for point in one.points for name in (*point.scores, *point.unscored)
    ))  # fmt: skip


def losses(one: Observed, source: str) -> list[tuple[Point, float]]:
    """The points that have a validation loss of `source`, with it; infinity where it was not finite."""
    found = [(point, point.validation[source].loss) for point in one.points if source in point.validation]
    return [(point, math.inf if loss is None else loss) for point, loss in found]

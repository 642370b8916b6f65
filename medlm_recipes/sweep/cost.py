"""What a sweep takes in tokens and FLOPs, and in time and money where they are known, against separate runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from medlm_recipes.errors import ConfigError
from medlm_recipes.models.shape import shape_of
from medlm_recipes.preflight.time import estimate_time
from medlm_recipes.sweep.series import Leg, Series


@dataclass(frozen=True)
class Cost:
    """Of training, without evaluations. None: not known.

    gpu_hours and money by preflight's time model, money in the currency of preflight.price_per_gpu_hour.
    """

    tokens: int
    flops: float | None
    gpu_hours: float | None
    money: float | None


@dataclass(frozen=True)
class Rates:
    """What one token of a series costs; why_no_hours: what preflight lacks to say how long it takes."""

    flops: float | None
    gpu_hours: float | None
    money: float | None
    why_no_hours: str

    def cost(self, tokens: int) -> Cost:
        def of(rate: float | None) -> float | None:
            return None if rate is None else rate * tokens

        return Cost(tokens, of(self.flops), of(self.gpu_hours), of(self.money))


def rates_of(series: Series, ranks: int) -> Rates:
    """By the recipe's shape, and on `ranks` of its hardware."""
    training, config = series.training, series.main.config
    shape = shape_of(config.model, training.vocab_size, training.sequence_length)
    flops = shape.flops_per_token if shape else None
    million = 10**6
    try:
        time = estimate_time(config, training.vocab_size, training.sequence_length, ranks, million)
    except ConfigError as error:
        return Rates(flops, None, None, str(error))
    return Rates(flops, time.gpu_hours / million, None if time.cost is None else time.cost / million, "")


def trained_in_main(series: Series) -> int:
    """Tokens that the trunk, or the one run, trains up to the last budget."""
    last = series.legs[-1]
    return (last.tokens if last.branch_at is None else last.branch_at) - series.training.start


def trained_in_cooldown(leg: Leg) -> int:
    return 0 if leg.branch_at is None else leg.tokens - leg.branch_at


def trained(series: Series) -> int:
    """Tokens of trunk and cooldowns, or of the one run.

    With cooldowns of a share f of budgets D1 < ... < Dn this is (1 - f) Dn + f (D1 + ... + Dn): for five
    doublings and f = 0.2 that is 19/31, 0.61, of D1 + ... + Dn.
    """
    return trained_in_main(series) + sum(trained_in_cooldown(leg) for leg in series.legs)


def trained_separately(series: Series) -> int:
    """Tokens of a run of its own for each budget."""
    return sum(leg.tokens - series.training.start for leg in series.legs)


def total(costs: Sequence[Cost]) -> Cost:
    """Of all series; what is not known of one is not known of all."""

    def over(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(values) else None

    return Cost(
        tokens=sum(cost.tokens for cost in costs),
        flops=over([cost.flops for cost in costs]),
        gpu_hours=over([cost.gpu_hours for cost in costs]),
        money=over([cost.money for cost in costs]),
    )


def share(of: Cost, whole: Cost) -> float:
    """By FLOPs where they are known, since a token of a large model costs more than one of a small; else by tokens."""
    if of.flops is not None and whole.flops is not None:
        return of.flops / whole.flops
    return of.tokens / whole.tokens

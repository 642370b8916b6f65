"""What a sweep takes, against a run of its own for each budget."""

from dataclasses import dataclass

from medlm_recipes.models.shape import shape_of
from medlm_recipes.sweep.series import Leg, Series


@dataclass(frozen=True)
class Cost:
    """Tokens trained, and FLOPs where the recipe states the model's shape.

    separate_*: the same for a run from the start to each budget.
    """

    tokens: int
    separate_tokens: int
    flops: float | None
    separate_flops: float | None

    @property
    def share(self) -> float:
        """Of the separate runs, by FLOPs where they are known of every size, otherwise by tokens."""
        if self.flops is not None and self.separate_flops is not None:
            return self.flops / self.separate_flops
        return self.tokens / self.separate_tokens


def cost_of(series: Series) -> Cost:
    """Trunk and cooldowns (in design checkpoints the one run) against separate runs.

    With cooldowns of a share f of budgets D1 < ... < Dn the branches cost (1 - f) Dn + f (D1 + ... + Dn):
    for five doublings and f = 0.2 that is 0.61 of D1 + ... + Dn.
    """
    training = series.training
    shape = shape_of(series.main.config.model, training.vocab_size, training.sequence_length)
    tokens = trained_in_main(series) + sum(trained_in_cooldown(leg) for leg in series.legs)
    separate = sum(leg.tokens - training.start for leg in series.legs)
    if shape is None:
        return Cost(tokens, separate, None, None)
    return Cost(tokens, separate, tokens * shape.flops_per_token, separate * shape.flops_per_token)


def trained_in_main(series: Series) -> int:
    """Tokens of the trunk, or of the one run up to the largest budget."""
    last = series.legs[-1]
    return (last.tokens if last.branch_at is None else last.branch_at) - series.training.start


def trained_in_cooldown(leg: Leg) -> int:
    return 0 if leg.branch_at is None else leg.tokens - leg.branch_at


def total(costs: list[Cost]) -> Cost:
    """Of all series; FLOPs are None where those of one are."""
    flops = [cost.flops for cost in costs if cost.flops is not None]
    separate = [cost.separate_flops for cost in costs if cost.separate_flops is not None]
    known = len(flops) == len(costs)
    return Cost(
        sum(cost.tokens for cost in costs),
        sum(cost.separate_tokens for cost in costs),
        sum(flops) if known else None,
        sum(separate) if known else None,
    )

"""The plan as people read it before anything is launched: every budget, what is there, and what it all costs."""

from collections.abc import Iterator

from medlm_recipes.sweep.cost import (
    Cost,
    Rates,
    rates_of,
    share,
    total,
    trained,
    trained_in_cooldown,
    trained_in_main,
    trained_separately,
)
from medlm_recipes.sweep.plan import SweepPlan
from medlm_recipes.sweep.series import Series
from medlm_recipes.sweep.standing import Standing
from medlm_recipes.token_math import in_words, steps_to

_UNKNOWN = "–"


def describe(plan: SweepPlan, standings: list[list[Standing]]) -> str:
    """standings: of every series of the plan, in order."""
    lines = []
    rates = [rates_of(series, plan.config.ranks) for series in plan.series]
    for series, found, rate in zip(plan.series, standings, rates, strict=True):
        lines += [_heading(plan, series), *_aligned(_rows(series, found, rate))]
    return "\n".join([*lines, *_costs(plan, rates)])


def _heading(plan: SweepPlan, series: Series) -> str:
    names = ", ".join(plan.config.evaluate) or "perplexity alone"
    line = f"{series.name}: {series.folder}, {len(series.legs)} budgets; {names}"
    if series.trunk is None:
        return f"{line}\n  one run to {in_words(series.training.end)} tokens, evaluated at what it saves on its way"
    keys = plan.config.cooldown
    return (
        f"{line}\n  trunk at a constant learning rate to {in_words(series.training.end)} tokens; {keys.shape} cooldown "
        f"over the last {keys.fraction:.0%} of each budget, to {keys.final_lr_ratio:g} of the peak"
    )


def _rows(series: Series, standings: list[Standing], rates: Rates) -> Iterator[list[str]]:
    """Hours and cost of a budget are what it takes beyond the trunk, or beyond the budget before it."""
    yield ["tokens", "steps", "passes", "trained from", "GPU-hours", "cost", "checkpoint", "evaluations"]
    step_tokens = series.training.step_tokens
    if series.trunk is not None:
        end = series.training.end
        own = rates.cost(trained_in_main(series))
        yield [_tokens(end), f"{steps_to(end, step_tokens):,}", _passes(series, end), "trunk", *_spent(own), "", ""]
    before = series.training.start
    for standing in standings:
        leg = standing.leg
        start = before if leg.branch_at is None else leg.branch_at
        before = leg.tokens
        yield [
            _tokens(leg.tokens),
            f"{steps_to(leg.tokens, step_tokens):,}",
            _passes(series, leg.tokens),
            _tokens(start),
            *_spent(rates.cost(leg.tokens - start)),
            "there" if standing.checkpoint else "not whole" if standing.damage else "missing",
            f"{sum(standing.evaluated.values())} of {len(standing.evaluated)}" if standing.evaluated else "none asked",
        ]


def _aligned(rows: Iterator[list[str]]) -> list[str]:
    cells = list(rows)
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]


def _costs(plan: SweepPlan, rates: list[Rates]) -> Iterator[str]:
    pairs = list(zip(plan.series, rates, strict=True))
    sweep = total([rate.cost(trained(series)) for series, rate in pairs])
    separate = total([rate.cost(trained_separately(series)) for series, rate in pairs])
    if plan.config.design == "branch":
        trunks = sum(trained_in_main(series) for series in plan.series)
        cooled = sum(trained_in_cooldown(leg) for leg in plan.legs)
        parts = f"trunk {in_words(trunks)} + cooldowns {in_words(cooled)} = {_whole(sweep)}"
    else:
        parts = _whole(sweep)
    yield f"training    {parts}"
    yield f"            {share(sweep, separate):.2f} of a run of its own to each budget: {_whole(separate)}"
    unknown = next((rate.why_no_hours for rate in rates if rate.why_no_hours), "")
    if unknown:
        yield f"            time and cost not estimated: {unknown}"


def _whole(cost: Cost) -> str:
    parts = [f"{in_words(cost.tokens)} tokens"]
    if cost.flops is not None:
        parts.append(f"{cost.flops:.3g} FLOPs")
    if cost.gpu_hours is not None:
        parts.append(f"{_hours(cost.gpu_hours)} GPU-hours")
    if cost.money is not None:
        parts.append(f"{_money(cost.money)} at preflight.price_per_gpu_hour")
    return ", ".join(parts)


def _spent(cost: Cost) -> list[str]:
    return [
        _UNKNOWN if cost.gpu_hours is None else _hours(cost.gpu_hours),
        _UNKNOWN if cost.money is None else _money(cost.money),
    ]


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def _money(money: float) -> str:
    return f"{money:,.0f}" if money >= 100 else f"{money:.2f}"


def _passes(series: Series, tokens: int) -> str:
    return f"{tokens / series.training.pass_tokens:.2f}"


def _tokens(tokens: int) -> str:
    return f"{tokens:,} ({in_words(tokens)})" if tokens else "0"

"""The plan as people read it before anything is launched: every budget, what is there, and what it all costs."""

from collections.abc import Iterator

from medlm_recipes.sweep.cost import Cost, cost_of, total, trained_in_cooldown, trained_in_main
from medlm_recipes.sweep.plan import SweepPlan
from medlm_recipes.sweep.series import Series
from medlm_recipes.sweep.standing import Standing
from medlm_recipes.token_math import in_words, steps_to


def describe(plan: SweepPlan, standings: list[list[Standing]]) -> str:
    """standings: of every series of the plan, in order."""
    lines = []
    for series, found in zip(plan.series, standings, strict=True):
        lines += [_heading(plan, series), *_rows(series, found)]
    costs = [cost_of(series) for series in plan.series]
    return "\n".join([*lines, *_costs(plan, total(costs))])


def _heading(plan: SweepPlan, series: Series) -> str:
    protocols = ", ".join(plan.config.evaluate)
    line = f"{series.name}: {series.folder}, {len(series.legs)} budgets, evaluated by {protocols}"
    if series.trunk is None:
        return f"{line}\n  one run to {in_words(trained_in_main(series))} tokens, evaluated at what it saved on its way"
    keys = plan.config.cooldown
    return (
        f"{line}\n  trunk at a constant learning rate to {in_words(series.training.end)} tokens; {keys.shape} cooldown "
        f"over the last {keys.fraction:.0%} of each budget, to {keys.final_lr_ratio:g} of the peak"
    )


def _rows(series: Series, standings: list[Standing]) -> Iterator[str]:
    branched = series.trunk is not None
    yield (
        f"  {'tokens':>24}  {'steps':>9}  {'passes':>6}  {'branched at' if branched else '':>{24 * branched}}"
        f"{'  ' * branched}checkpoint  evaluations"
    )
    for standing in standings:
        leg, training = standing.leg, series.training
        start = f"{_tokens(leg.branch_at):>24}  " if leg.branch_at is not None else ""
        there = "there" if standing.checkpoint else "not whole" if standing.damage else "missing"
        done = sum(standing.evaluated.values())
        yield (
            f"  {_tokens(leg.tokens):>24}  {steps_to(leg.tokens, training.step_tokens):>9,}  "
            f"{leg.tokens / training.pass_tokens:>6.2f}  {start}{there:<10}  {done} of {len(standing.evaluated)}"
        )


def _costs(plan: SweepPlan, cost: Cost) -> Iterator[str]:
    parts = in_words(cost.tokens)
    if plan.config.design == "branch":
        trunks = sum(trained_in_main(series) for series in plan.series)
        cooled = sum(trained_in_cooldown(leg) for leg in plan.legs)
        parts = f"{in_words(trunks)} of trunk + {in_words(cooled)} of cooldowns = {in_words(cost.tokens)}"
    flops = f", {cost.flops:.3g} FLOPs" if cost.flops is not None else ""
    separate = f", {cost.separate_flops:.3g} FLOPs" if cost.separate_flops is not None else ""
    yield f"cost: {parts} tokens{flops}"
    yield (
        f"      a run of its own for each budget: {in_words(cost.separate_tokens)} tokens{separate}; "
        f"the sweep takes {cost.share:.2f} of that"
    )


def _tokens(tokens: int) -> str:
    return f"{tokens:,} ({in_words(tokens)})"

"""The learning rate of a run before it is run: a table of landmarks and the curve as PNG."""

import tempfile
from pathlib import Path
from typing import Any

from medlm_recipes.config.train import TrainConfig
from medlm_recipes.optim.learning_rate import cooldown_start, learning_rate
from medlm_recipes.token_math import in_words, parse_tokens, steps_to, tokens_at_budget
from medlm_recipes.training.branch import trunk_end, trunk_schedule
from medlm_recipes.training.plan import TrainPlan

_POINTS = 2_000  # on the curve: closer together than the pixels of its figure


def landmarks(config: TrainConfig, plan: TrainPlan) -> list[tuple[int, str]]:
    """Tokens seen and what is there: the first step, the bends of the schedule, quarters, budgets, the end.

    Each is moved to the first step that begins at or after it, where its learning rate is the one
    that is taken; what comes together is one landmark. Rising.
    """
    keys, end = config.scheduler, plan.end
    named = [(plan.start, "first step")]
    if keys.warmup:
        named.append((parse_tokens(keys.warmup), "end of warm-up"))
    named += [(end * percent // 100, f"{percent} %") for percent in (25, 50, 75)]
    if keys.name == "wsd":
        named.append((cooldown_start(keys, end), "cooldown begins"))
    named += [(budget, f"budget {in_words(budget)}") for budget in plan.budgets]
    steps = steps_to(end, plan.step_tokens)
    named += [((steps - 1) * plan.step_tokens, "last step"), (end, "end")]
    found: dict[int, list[str]] = {}
    for tokens, name in sorted(named, key=lambda landmark: landmark[0]):
        if tokens >= plan.start:
            found.setdefault(tokens_at_budget(tokens, plan.step_tokens), []).append(name)
    return [(tokens, ", ".join(names)) for tokens, names in sorted(found.items())]


def rate_table(config: TrainConfig, plan: TrainPlan) -> str:
    """The learning rate at each landmark, for people; steps are counted from 1 as in metrics.jsonl."""
    lines = [f"{'learning rate':<14}{'at step':>11}  {'tokens before it':>19}"]
    for tokens, name in landmarks(config, plan):
        rate = learning_rate(config.scheduler, config.optimizer.lr, tokens, plan.end)
        step = f"{tokens // plan.step_tokens + 1:,}" if tokens < plan.end else "-"
        lines.append(f"{rate:<14.6g}{step:>11}  {tokens:>19,}  {name}")
    return "\n".join(lines)


def draw_schedule(config: TrainConfig, plan: TrainPlan) -> Path:
    """Draw the curve into a new folder of the system's temporary one and return its path.

    A dry run leaves no trace beside the recipe or the run, so what it draws stands with what the
    system clears away.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    peak = config.optimizer.lr
    if plan.trunk:
        whole = trunk_end(plan.trunk)
        keys = trunk_schedule(plan.trunk)
        tokens = _between(0, whole)
        axes.plot(tokens, [learning_rate(keys, peak, at, whole) for at in tokens], color="0.65", label="trunk")
    tokens = _between(plan.start, plan.end)
    rates = [learning_rate(config.scheduler, peak, at, plan.end) for at in tokens]
    axes.plot(tokens, rates, color="#0072B2", linewidth=1.8, label="this run")
    _mark(axes, config, plan)
    axes.set(xlabel="tokens", ylabel="learning rate", title=f"{config.run}: {config.scheduler.name}", ylim=(0, None))
    axes.xaxis.set_major_formatter(lambda at, _: in_words(int(at)))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    path = Path(tempfile.mkdtemp(prefix="medlm-recipes-")) / f"{Path(config.run).name}.schedule.png"
    figure.savefig(path, dpi=150)
    return path


def _between(start: int, end: int) -> list[int]:
    return [start + (end - start) * point // _POINTS for point in range(_POINTS + 1)]


def _mark(axes: Any, config: TrainConfig, plan: TrainPlan) -> None:
    """Dots at the run's budgets, where it is validated and saved, and a line where a branch begins."""
    budgets = [*plan.budgets, plan.end]
    rates = [learning_rate(config.scheduler, config.optimizer.lr, at, plan.end) for at in budgets]
    axes.plot(budgets, rates, "o", color="#D55E00", label="budgets", clip_on=False, zorder=3)
    if plan.trunk:
        axes.axvline(plan.start, color="0.4", linestyle=":", linewidth=1, label=f"start_from {in_words(plan.start)}")

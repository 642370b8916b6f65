"""The two designs: which runs give each budget of a series its checkpoint."""

from pathlib import Path

from medlm_recipes.callbacks.checkpoint_names import checkpoint_folder
from medlm_recipes.config.loading import override
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.sweep.series import Leg, Run, Series, make_run
from medlm_recipes.token_math import parse_tokens, tokens_at_budget
from medlm_recipes.training.plan import TrainPlan, plan_training


def all_series(config: SweepConfig) -> list[Series]:
    """The sweep's series: sizes in the recipe's order, of each its seeds.

    Raises ConfigError for a bad recipe and for budgets that it cannot have, DataError for unfit shards.
    """
    seeds: list[int | None] = [*config.seeds] or [None]
    return [_series(config, recipe, seed) for recipe in config.train for seed in seeds]


def _series(config: SweepConfig, recipe: str, seed: int | None) -> Series:
    size = Path(recipe).stem
    name = size if seed is None else f"{size}-seed{seed}"
    overrides = list(config.train_overrides)
    if seed is not None:
        overrides += [f"seed={seed}", f"data.shuffle_seed={seed}"]
    if config.runs is not None:
        overrides.append(override("run", Path(config.runs) / name))
    whole = make_run(recipe, overrides)
    if config.runs is not None and whole.config.save_folder:
        whole = make_run(recipe, [*overrides, override("save_folder", f"{whole.config.save_folder}/{name}")])
    training = plan_training(whole.config, config.ranks)
    given = [parse_tokens(budget) for budget in config.budgets] or (
        config.geometric.budgets() if config.geometric else [*training.budgets, training.end]
    )
    budgets = sorted({tokens_at_budget(budget, training.step_tokens) for budget in given})
    if config.design == "checkpoints":
        _check_saved(given, recipe, whole.config, training)
        legs = [_leg(config, whole, tokens) for tokens in budgets]
        return Series(name, size, whole.config.seed, whole.folder, whole, training, legs)
    points = [branch_point(tokens, training.step_tokens, config.cooldown.fraction) for tokens in budgets]
    trunk = _trunk(whole, points)
    legs = [
        _leg(config, _cooldown(config, whole, trunk, at, tokens), tokens, at)
        for at, tokens in zip(points, budgets, strict=True)
    ]
    training = plan_training(trunk.config, config.ranks)
    return Series(name, size, whole.config.seed, whole.folder, trunk, training, legs)


def _leg(config: SweepConfig, run: Run, tokens: int, branch_at: int | None = None) -> Leg:
    return Leg(
        size=Path(run.recipe).stem,
        seed=run.config.seed,
        tokens=tokens,
        run=run.folder,
        evaluations={name: run.folder / "evaluations" / name / f"tok{tokens}" for name in config.evaluate},
        cooldown=run if branch_at is not None else None,
        branch_at=branch_at,
    )


def branch_point(tokens: int, step_tokens: int, fraction: float) -> int:
    """Tokens at which the cooldown of a budget leaves the trunk: whole steps, at most `fraction` of it after them.

    Raises ConfigError for a budget of too few steps.
    """
    steps = tokens // step_tokens
    cooled = int(round(steps * fraction, 6))  # 100 steps of 0.29 are 29, not 28
    if cooled == 0:
        raise ConfigError(
            f"budgets: {tokens}tok is {steps} steps, of which cooldown.fraction {fraction} is less than one; "
            "take larger budgets or a larger fraction"
        )
    return (steps - cooled) * step_tokens


def _trunk(whole: Run, points: list[int]) -> Run:
    """The recipe at its peak learning rate, once it has warmed up, to the last point that a cooldown leaves from."""
    *earlier, last = sorted(set(points))
    schedule = ["name=constant", "cooldown=null", "cooldown_shape=linear", "final_lr_ratio=null", "final_lr=null"]
    budgets = f"budgets=[{','.join(f'{point}tok' for point in earlier)}]"
    ends = [f"max_duration={last}tok", budgets]
    if whole.config.evaluate:  # where cooldowns begin nothing is compared
        ends.append(f"evaluate_at=[{last}tok]")
    return _below(whole, "trunk", schedule, ends)


def _cooldown(config: SweepConfig, whole: Run, trunk: Run, point: int, tokens: int) -> Run:
    keys = config.cooldown
    schedule = [
        "name=wsd",
        f"cooldown={tokens - point}tok",
        f"cooldown_shape={keys.shape}",
        f"final_lr_ratio={keys.final_lr_ratio}",
        "final_lr=null",
    ]
    start = override("start_from", checkpoint_folder(trunk.folder, point))
    return _below(whole, f"tok{tokens}", schedule, [f"max_duration={tokens}tok", "budgets=[]", "evaluate_at=[]", start])


def _below(whole: Run, name: str, schedule: list[str], overrides: list[str]) -> Run:
    """A run of the same recipe, with another schedule and other ends, in a folder below its own."""
    places = [override("run", whole.folder / name)]
    if whole.config.save_folder:
        places.append(override("save_folder", f"{whole.config.save_folder}/{name}"))
    laid = [one for one in whole.overrides if not one.startswith(("run=", "save_folder="))]
    return make_run(whole.recipe, [*laid, *(f"scheduler.{one}" for one in schedule), *overrides, *places])


def _check_saved(given: list[int], recipe: str, train: TrainConfig, training: TrainPlan) -> None:
    unsaved = [tokens for tokens in given if not _is_saved(tokens, training)]
    if unsaved:
        saved = ", ".join(f"{tokens}tok" for tokens in [*training.budgets, training.end])
        every = f" and every {train.checkpoint_interval}" if train.checkpoint_interval else ""
        raise ConfigError(
            f"budgets: {', '.join(f'{tokens}tok' for tokens in unsaved)}: no checkpoint is saved there by "
            f"{recipe} (it saves at {saved}{every}); choose among these, or add it to that recipe's budgets "
            "before it is trained"
        )


def _is_saved(budget: int, training: TrainPlan) -> bool:
    """Whether the step that reaches `budget` is one that callbacks.budgets.AtTokens names."""
    now = tokens_at_budget(budget, training.step_tokens)
    listed = {tokens_at_budget(one, training.step_tokens) for one in [*training.budgets, training.end]}
    if now in listed:
        return True
    interval = training.config.checkpoint_interval
    every = parse_tokens(interval) if interval else None
    return every is not None and now < max(listed) and now // every > (now - training.step_tokens) // every

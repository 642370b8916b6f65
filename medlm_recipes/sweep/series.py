"""A series: one model size and seed at rising budgets, and the runs that its checkpoints come from."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from medlm_recipes.callbacks.checkpoint_names import checkpoint_folder
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.sweep import CooldownKeys, SweepConfig
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.token_math import parse_tokens, tokens_at_budget
from medlm_recipes.training.plan import TrainPlan, plan_training


@dataclass(frozen=True)
class Run:
    """A training that the sweep launches: `overrides` are laid over the train recipe, `config` is what they give."""

    recipe: str
    overrides: list[str]
    config: TrainConfig

    @property
    def folder(self) -> Path:
        return Path(self.config.run)


@dataclass
class Leg:
    """One budget of a series.

    tokens: where its checkpoint stands, and where its rows of validation in `run`'s metrics.jsonl are.
    evaluations: an evaluate recipe's name -> the folder of its results. cooldown: design branch, the run
    that goes from the trunk's checkpoint at `branch_at` to `tokens`.
    problem: why it has no checkpoint; unscored: an evaluate recipe's name -> why it has no results.
    Both stay empty as long as nothing is known to have failed, and name no machine's paths.
    """

    size: str
    seed: int
    tokens: int
    run: Path
    evaluations: dict[str, Path]
    cooldown: Run | None = None
    branch_at: int | None = None
    problem: str = ""
    unscored: dict[str, str] = field(default_factory=dict)

    @property
    def checkpoint(self) -> Path:
        return checkpoint_folder(self.run, self.tokens)


@dataclass
class Series:
    """The budgets of one train recipe and seed, rising.

    name: the recipe's, which is the size's, with the seed where the sweep has several. folder: all its runs
    are there. main: the run that saves every budget's checkpoint, or, in design branch, the trunk, which
    saves what the cooldowns start from. training: main's derived numbers. trunk: main's folder in design
    branch, otherwise None.
    """

    name: str
    size: str
    seed: int
    folder: Path
    main: Run
    training: TrainPlan
    legs: list[Leg]

    @property
    def trunk(self) -> Path | None:
        return self.main.folder if self.legs[0].cooldown else None

    def branch_of(self, leg: Leg) -> Path:
        """Design branch: the trunk's checkpoint that the leg's cooldown starts from."""
        assert leg.branch_at is not None
        return checkpoint_folder(self.main.folder, leg.branch_at)


def all_series(config: SweepConfig) -> list[Series]:
    """The sweep's series, sizes in the recipe's order, then seeds.

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
    whole = Run(recipe, overrides, load_config(TrainConfig, recipe, overrides))
    training = plan_training(whole.config, config.ranks)
    given = [parse_tokens(budget) for budget in config.budgets] or (
        config.geometric.budgets() if config.geometric else [*training.budgets, training.end]
    )
    if config.design == "checkpoints":
        _check_saved(given, recipe, whole.config, training)
    budgets = sorted({tokens_at_budget(budget, training.step_tokens) for budget in given})

    def leg(tokens: int, run: Path, cooldown: Run | None = None, branch_at: int | None = None) -> Leg:
        places = {Path(one).stem: run / "evaluations" / Path(one).stem / f"tok{tokens}" for one in config.evaluate}
        return Leg(size, whole.config.seed, tokens, run, places, cooldown, branch_at)

    if config.design == "checkpoints":
        legs = [leg(tokens, whole.folder) for tokens in budgets]
        return Series(name, size, whole.config.seed, whole.folder, whole, training, legs)
    points = [branch_point(tokens, training.step_tokens, config.cooldown.fraction) for tokens in budgets]
    trunk = _trunk(whole, points)
    cooldowns = [_cooldown(whole, trunk, config.cooldown, *pair) for pair in zip(points, budgets, strict=True)]
    legs = [
        leg(tokens, cooldown.folder, cooldown, at)
        for tokens, cooldown, at in zip(budgets, cooldowns, points, strict=True)
    ]
    training = plan_training(trunk.config, config.ranks)
    return Series(name, size, whole.config.seed, whole.folder, trunk, training, legs)


def branch_point(tokens: int, step_tokens: int, fraction: float) -> int:
    """Tokens at which the cooldown of a budget leaves the trunk: whole steps, at most `fraction` of it after them.

    Raises ConfigError for a budget of too few steps.
    """
    steps = tokens // step_tokens
    cooled = int(steps * fraction)
    if cooled == 0:
        raise ConfigError(
            f"budgets: {tokens}tok is {steps} steps, of which cooldown.fraction {fraction} is less than one; "
            "take larger budgets or a larger fraction"
        )
    return (steps - cooled) * step_tokens


def _trunk(whole: Run, points: list[int]) -> Run:
    """The recipe at its peak learning rate, once it has warmed up, to the last point that a cooldown starts from."""
    *earlier, last = sorted(set(points))
    return _variant(
        whole,
        "trunk",
        [
            "scheduler.name=constant",
            "scheduler.cooldown=null",
            "scheduler.cooldown_shape=linear",
            "scheduler.final_lr_ratio=null",
            "scheduler.final_lr=null",
            f"max_duration={last}tok",
            f"budgets=[{','.join(f'{point}tok' for point in earlier)}]",
        ],
    )


def _cooldown(whole: Run, trunk: Run, keys: CooldownKeys, point: int, tokens: int) -> Run:
    return _variant(
        whole,
        f"tok{tokens}",
        [
            override("start_from", checkpoint_folder(trunk.folder, point)),
            "scheduler.name=wsd",
            f"scheduler.cooldown={tokens - point}tok",
            f"scheduler.cooldown_shape={keys.shape}",
            f"scheduler.final_lr_ratio={keys.final_lr_ratio}",
            "scheduler.final_lr=null",
            f"max_duration={tokens}tok",
            "budgets=[]",
        ],
    )


def _variant(whole: Run, name: str, overrides: list[str]) -> Run:
    """A run of the same recipe in a folder below its own."""
    places = [override("run", whole.folder / name)]
    if whole.config.save_folder:
        places.append(override("save_folder", f"{whole.config.save_folder}/{name}"))
    laid = [*whole.overrides, *places, *overrides]
    return Run(whole.recipe, laid, load_config(TrainConfig, whole.recipe, laid))


def override(name: str, path: str | Path) -> str:
    """key=value of a folder; quoted, since the value is read as YAML and a folder may have any name."""
    return f"{name}={json.dumps(str(path), ensure_ascii=False)}"


def _check_saved(given: list[int], recipe: str, train: TrainConfig, training: TrainPlan) -> None:
    unsaved = [tokens for tokens in given if not _is_saved(tokens, train, training)]
    if unsaved:
        saved = ", ".join(f"{tokens}tok" for tokens in [*training.budgets, training.end])
        every = f" and every {train.checkpoint_interval}" if train.checkpoint_interval else ""
        raise ConfigError(
            f"budgets: {', '.join(f'{tokens}tok' for tokens in unsaved)}: no checkpoint is saved there by "
            f"{recipe} (it saves at {saved}{every}); choose among these, or add it to that recipe's budgets "
            "before it is trained"
        )


def _is_saved(budget: int, train: TrainConfig, training: TrainPlan) -> bool:
    """Whether the step that reaches `budget` is one that callbacks.budgets.AtTokens names."""
    now = tokens_at_budget(budget, training.step_tokens)
    listed = {tokens_at_budget(one, training.step_tokens) for one in [*training.budgets, training.end]}
    if now in listed:
        return True
    every = parse_tokens(train.checkpoint_interval) if train.checkpoint_interval else None
    return every is not None and now < max(listed) and now // every > (now - training.step_tokens) // every

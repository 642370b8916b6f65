"""A series: one model size and seed at rising budgets, and the runs that its checkpoints come from."""

from dataclasses import dataclass, field
from pathlib import Path

from medlm_recipes.callbacks.checkpoint_names import checkpoint_folder
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.training.plan import TrainPlan


@dataclass(frozen=True)
class Run:
    """A training that the sweep launches: `overrides` are laid over the train recipe, `config` is what they give."""

    recipe: str
    overrides: list[str]
    config: TrainConfig

    @property
    def folder(self) -> Path:
        return Path(self.config.run)


def make_run(recipe: str, overrides: list[str]) -> Run:
    """Raises ConfigError for a bad recipe."""
    return Run(recipe, overrides, load_config(TrainConfig, recipe, overrides))


@dataclass
class Leg:
    """One budget of a series.

    tokens: where its checkpoint stands, and where its rows of validation in `run`'s metrics.jsonl are.
    evaluations: a benchmark's name -> the folder of its results. cooldown: design branch, the run
    that goes from the trunk's checkpoint at `branch_at` to `tokens`.
    problem: why it has no checkpoint; unscored: a benchmark's name -> why it has no results.
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

    size: name of the train recipe's file; name: with the seed where the sweep has several. folder: all its runs
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

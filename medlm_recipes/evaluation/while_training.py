"""What a train recipe has scored while it trains: checked before the first step, then a callback."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medlm_recipes.callbacks.checkpoint_names import checkpoint_folder
from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.loading import load_config, override
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError, RecipeError
from medlm_recipes.evaluation.evaluate import Asked, read_asked
from medlm_recipes.evaluation.task import HEADED, protocol_of
from medlm_recipes.token_math import parse_tokens
from medlm_recipes.training.plan import TrainPlan

EVALUATIONS = "evaluations"
"""Folder of a run; a sweep looks for the results of its own names there too."""


def scores_of(config: TrainConfig, plan: TrainPlan) -> Callable[[], list[Any]]:
    """What makes the callbacks of a run whose durations are in tokens; none where nothing is to be scored.

    Raises ConfigError or DataError for evaluations that cannot be, before anything heavy is imported.
    """
    asked = {name: _asked(config, plan, name) for name in config.evaluate}
    budgets = [parse_tokens(budget) for budget in config.evaluate_at] or [*plan.budgets, plan.end]

    def callbacks() -> list[Any]:
        if not asked:
            return []
        from medlm_recipes.evaluation.live import ScoresAtBudgets

        return [ScoresAtBudgets(config, plan, asked, budgets)]

    return callbacks


def evaluation_folder(run: str | Path, name: str, tokens: int) -> Path:
    return Path(run) / EVALUATIONS / name / f"tok{tokens}"


def _asked(config: TrainConfig, plan: TrainPlan, name: str) -> Asked:
    recipe, *overrides = config.evaluate[name]
    places = {
        "checkpoint": checkpoint_folder(config.run, plan.end),
        "out": evaluation_folder(config.run, name, plan.end),
    }
    overrides += [override(key, path) for key, path in places.items()]
    try:
        asked = read_asked(load_config(EvaluateConfig, recipe, overrides))
    except RecipeError as error:
        raise type(error)(f"evaluate.{name}: {error}") from None
    if asked.config.backend != "auto" or asked.config.revision:
        raise ConfigError(f"evaluate.{name}: a run is scored by backend: auto, and has no revision; leave both out")
    if protocol_of(asked.task) == HEADED:
        raise ConfigError(f"evaluate.{name}: {asked.config.task} is for models with a head, and this has none")
    return asked

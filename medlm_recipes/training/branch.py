"""A run that goes on from another's checkpoint: a cooldown branched off a trunk.

The branch has a folder, schedule, duration, budgets and intervals of its own. Whatever else decides
what is computed must be the trunk's, so that the branch's first step is the trunk's next one.
"""

import math
from pathlib import Path
from typing import Any

from medlm_recipes.config.loading import resolved
from medlm_recipes.config.parallel import LAYOUT
from medlm_recipes.config.schedule import SchedulerKeys
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.manifest import Manifest, decisive, differences, hash_json, read_manifest
from medlm_recipes.optim.learning_rate import learning_rate
from medlm_recipes.token_math import parse_tokens
from medlm_recipes.training.run_folder import read_checkpoint

# The trunk's manifest is kept here in the branch's folder, so that the trunk may be removed afterwards.
START_FROM = "start_from"

# The state of Composer's scheduler is the trunk's; all else that a checkpoint holds goes on.
IGNORED_AT_START = ["state/schedulers"]

_FREE_IN_A_BRANCH = (
    "run", "save_folder", "shards", "tokenizer", "start_from", "cluster", "hardware", "scheduler", "max_duration",
    "budgets", "checkpoint_interval", "validation_interval", "log_interval", "keep_checkpoints", "guard",
    "validation_shards", "loggers", "preflight", "evaluate", "evaluate_at",
)  # fmt: skip  # shards and tokenizer are folders here; what is in them is compared by hash


def read_trunk(config: TrainConfig) -> Manifest | None:
    """The manifest of the checkpoint that the run goes on from; None for a run of its own.

    Raises DataError when the checkpoint is missing or not whole and the run has not begun yet.
    """
    if config.start_from is None:
        return None
    kept = Path(config.run) / START_FROM
    return read_manifest(kept, "train") if kept.is_dir() else read_checkpoint(config.start_from)


def check_branch(config: TrainConfig, shards: Manifest, trunk: Manifest) -> None:
    """Raises ConfigError, naming both values, where the run cannot go on from the trunk's checkpoint."""
    data = {name: shards.facts[name] for name in ("tokenizer_sha256", "sequence_length")}
    different = differences(
        _computed(trunk.config) | {"shards": trunk.inputs["shards"]} | {name: trunk.facts[name] for name in data},
        _computed(resolved(config)) | {"shards": hash_json(shards.__dict__)} | data,
    )
    if different:
        raise ConfigError(
            f"start_from: {config.start_from} is of another recipe ({'; '.join(different[:5])}); take over its values: "
            "only scheduler, max_duration, budgets and intervals may differ between a run and its branch"
        )
    start, end = trunk.facts["tokens"], parse_tokens(config.max_duration)
    if end <= start:
        raise ConfigError(f"max_duration: {config.max_duration} is not beyond start_from, which stands at {start}tok")
    passed = [budget for budget in config.budgets if parse_tokens(budget) <= start]
    if passed:
        raise ConfigError(
            f"budgets: {', '.join(passed)} not beyond start_from, which stands at {start}tok; leave them out"
        )
    _check_rates_meet(config, trunk)


def _computed(config: dict[str, Any]) -> dict[str, Any]:
    kept = decisive(config, leave_out=_FREE_IN_A_BRANCH)
    return kept | {"parallel": decisive(config["parallel"], leave_out=LAYOUT)}


def _check_rates_meet(config: TrainConfig, trunk: Manifest) -> None:
    start, peak = trunk.facts["tokens"], config.optimizer.lr
    before = learning_rate(trunk_schedule(trunk), peak, start, trunk_end(trunk))
    now = learning_rate(config.scheduler, peak, start, parse_tokens(config.max_duration))
    if not math.isclose(before, now, rel_tol=1e-9):
        raise ConfigError(
            f"scheduler: at start_from ({start}tok) the learning rate would jump from {before:g}, the trunk's, to "
            f"{now:g}; let both schedules agree there: a trunk at its constant rate, a cooldown that begins at or "
            f"after {start}tok"
        )


def trunk_schedule(trunk: Manifest) -> SchedulerKeys:
    return SchedulerKeys(**trunk.config["scheduler"])


def trunk_end(trunk: Manifest) -> int:
    return parse_tokens(trunk.config["max_duration"])


def first_start(config: TrainConfig, trunk: Manifest | None) -> Path | None:
    """The trunk's checkpoint to load, for a run that has none of its own yet; None for a run from scratch.

    Raises DataError when it is not whole, or is no longer the one that the run was opened with.
    """
    if config.start_from is None or trunk is None:
        return None
    if read_checkpoint(config.start_from).__dict__ != trunk.__dict__:
        raise DataError(
            f"{config.start_from}: changed since {config.run} was opened from it, which has no checkpoint of its own "
            f"yet; remove {config.run} to begin from what is there now"
        )
    return Path(config.start_from)

"""What of a sweep is there already, and why the rest is not."""

from dataclasses import dataclass
from pathlib import Path

from medlm_recipes.callbacks.checkpoint_names import checkpoint_folders, tokens_of
from medlm_recipes.callbacks.events import read_events
from medlm_recipes.config.loading import load_config, resolved
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import DataError
from medlm_recipes.evaluation.evaluate import evaluation_manifest
from medlm_recipes.manifest import FILE_NAME, Manifest, hash_json, stands
from medlm_recipes.sweep.plan import SweepPlan
from medlm_recipes.sweep.series import Leg, Run, Series
from medlm_recipes.token_math import in_words
from medlm_recipes.training.opening import check_recipe, run_manifest
from medlm_recipes.training.plan import TrainPlan, plan_training
from medlm_recipes.training.run_folder import read_checkpoint


@dataclass
class Standing:
    """What is there of one budget.

    checkpoint: None when it is missing or not whole, which `damage` tells apart. can_start: whether its
    run has something to begin, or to go on, from. evaluated: by the benchmark's name.
    """

    leg: Leg
    checkpoint: Manifest | None
    damage: str
    can_start: bool
    evaluated: dict[str, bool]


def look(plan: SweepPlan, series: Series) -> list[Standing]:
    """What is there of every budget of a series.

    Raises ConfigError when a run is another recipe's, DataError when an evaluation's folder is.
    """
    expected = run_manifest(series.training)
    _check_run(series.main, expected)
    return [
        _look_at_cooldown(plan, series, leg) if leg.cooldown else _look_at(plan, leg, expected, True)
        for leg in series.legs
    ]


def _look_at_cooldown(plan: SweepPlan, series: Series, leg: Leg) -> Standing:
    assert leg.cooldown
    training = _training_of(leg.cooldown, plan.config.ranks)
    if training is None:
        return Standing(leg, None, "", False, dict.fromkeys(leg.evaluations, False))
    expected = run_manifest(training)
    _check_run(leg.cooldown, expected)
    return _look_at(plan, leg, expected, is_whole(series.branch_of(leg)) or bool(checkpoint_folders(leg.run)))


def _training_of(run: Run, ranks: int) -> TrainPlan | None:
    """None when the run has not begun and what it begins from is not there, or not whole."""
    try:
        return plan_training(run.config, ranks)
    except DataError:
        return None


def _look_at(plan: SweepPlan, leg: Leg, expected: Manifest, can_start: bool) -> Standing:
    checkpoint, damage = _read(leg.checkpoint)
    if checkpoint is None:
        return Standing(leg, None, damage, can_start, dict.fromkeys(leg.evaluations, False))
    check_recipe(leg.run, checkpoint.config, checkpoint.inputs, expected)
    evaluated = {name: _is_evaluated(plan, leg, name, checkpoint) for name in leg.evaluations}
    return Standing(leg, checkpoint, "", can_start, evaluated)


def _check_run(run: Run, expected: Manifest) -> None:
    """Say before a launch what that would find a while later."""
    kept = run.folder / "config.yaml"
    if kept.is_file():
        check_recipe(run.folder, resolved(load_config(TrainConfig, kept)), expected.inputs, expected)


def _read(checkpoint: Path) -> tuple[Manifest | None, str]:
    """A checkpoint's manifest, or None and what is wrong with it; nothing is when it is not there at all."""
    try:
        return read_checkpoint(checkpoint), ""
    except DataError as error:
        return None, str(error) if (checkpoint / FILE_NAME).exists() else ""


def _is_evaluated(plan: SweepPlan, leg: Leg, name: str, checkpoint: Manifest) -> bool:
    evaluation = evaluation_manifest(plan.evaluate(leg, name), hash_json(checkpoint.__dict__))
    try:
        return stands(leg.evaluations[name], evaluation)
    except DataError as error:
        raise DataError(
            f"{error} (a sweep names this folder after the benchmark: another name than {name} gives another folder)"
        ) from None


def is_whole(checkpoint: Path) -> bool:
    return _read(checkpoint)[0] is not None


def note_gaps(series: Series, standings: list[Standing]) -> None:
    """Write into each leg why it has no checkpoint or no results, where a launch has not said so already."""
    for standing in standings:
        leg = standing.leg
        if standing.checkpoint is None:
            leg.problem = leg.problem or _why_not_trained(series, standing)
            continue
        leg.problem = ""
        for name, evaluated in standing.evaluated.items():
            if evaluated:
                leg.unscored.pop(name, None)
            else:
                leg.unscored.setdefault(name, "not evaluated")


def _why_not_trained(series: Series, standing: Standing) -> str:
    leg = standing.leg
    if leg.cooldown and not standing.can_start:
        assert leg.branch_at is not None
        where = f"the trunk has no checkpoint at {in_words(leg.branch_at)} tokens"
        if _is_past(series.main.folder, leg.branch_at):
            return f"{where}, and is past it; remove the trunk to train it anew"
        return f"{where}{guard_stop(series.main.folder)}"
    state = "damaged" if standing.damage else "missing"
    if not leg.cooldown and _is_past(leg.run, leg.tokens):
        return f"its checkpoint is {state}, and the run is past it; remove the run to train anew"
    return f"its checkpoint is {state}{guard_stop(leg.run)}"


def _is_past(run: Path, tokens: int) -> bool:
    return any(tokens_of(folder) > tokens for folder in checkpoint_folders(run))


def guard_stop(run: Path) -> str:
    """What the divergence guard said when it stopped a run; nothing when it did not, or the run went on since."""
    newest = max(map(tokens_of, checkpoint_folders(run)), default=0)
    stops = [row for row in read_events(run) if row.get("policy") == "stop" and row["tokens"] > newest]
    if not stops:
        return ""
    return f"; the divergence guard stopped it at {stops[-1]['tokens']:,} tokens ({stops[-1]['what']})"

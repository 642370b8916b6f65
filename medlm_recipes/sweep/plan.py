"""What a sweep compares, where it stands, and what of it is there already."""

import json
from dataclasses import dataclass
from pathlib import Path

from medlm_recipes.callbacks.checkpoint_names import checkpoint_folder
from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.loading import load_config, resolved
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.benchmark import read_benchmark
from medlm_recipes.evaluation.evaluate import evaluation_manifest
from medlm_recipes.evaluation.task import read_task
from medlm_recipes.manifest import FILE_NAME, Manifest, hash_json, stands
from medlm_recipes.token_math import in_words, parse_tokens, steps_to, tokens_at_budget
from medlm_recipes.training.opening import check_recipe, run_manifest
from medlm_recipes.training.plan import TrainPlan, plan_training
from medlm_recipes.training.run_folder import read_checkpoint


@dataclass
class SweepPlan:
    """A sweep's recipes, checked; `budgets` are the tokens at which its checkpoints stand, rising."""

    config: SweepConfig
    train: TrainConfig
    training: TrainPlan
    budgets: list[int]

    @property
    def run(self) -> Path:
        return Path(self.train.run)

    def checkpoint(self, tokens: int) -> Path:
        return checkpoint_folder(self.run, tokens)

    def evaluation(self, tokens: int) -> Path:
        return self.run / "evaluations" / Path(self.config.evaluate).stem / f"tok{tokens}"

    def evaluate_overrides(self, tokens: int) -> list[str]:
        # Quoted, since an override's value is read as YAML and a folder may have any name.
        places = {"checkpoint": self.checkpoint(tokens), "out": self.evaluation(tokens)}
        return [
            *self.config.evaluate_overrides,
            *(f"{name}={json.dumps(str(path), ensure_ascii=False)}" for name, path in places.items()),
        ]

    def evaluate(self, tokens: int) -> EvaluateConfig:
        return load_config(EvaluateConfig, self.config.evaluate, self.evaluate_overrides(tokens))


@dataclass
class Standing:
    """What is there of one budget: `checkpoint` is None when it is missing or not whole."""

    tokens: int
    checkpoint: Manifest | None
    problem: str
    evaluated: bool


def plan_sweep(config: SweepConfig) -> SweepPlan:
    """Check the sweep's recipes against each other and their inputs, before anything is launched.

    Raises ConfigError for a bad recipe and for budgets that the train recipe would not save,
    DataError for unfit shards or benchmark.
    """
    train = load_config(TrainConfig, config.train, config.train_overrides)
    training = plan_training(train, config.ranks)
    given = [parse_tokens(budget) for budget in config.budgets] or [*training.budgets, training.end]
    unsaved = [tokens for tokens in given if not _is_saved(tokens, train, training)]
    if unsaved:
        saved = ", ".join(f"{tokens}tok" for tokens in [*training.budgets, training.end])
        every = f" and every {train.checkpoint_interval}" if train.checkpoint_interval else ""
        raise ConfigError(
            f"budgets: {', '.join(f'{tokens}tok' for tokens in unsaved)}: no checkpoint is saved there by "
            f"{config.train} (it saves at {saved}{every}); choose among these, or add it to that recipe's budgets "
            "before it is trained"
        )
    plan = SweepPlan(config, train, training, sorted({tokens_at_budget(one, training.step_tokens) for one in given}))
    evaluate = plan.evaluate(plan.budgets[0])
    read_benchmark(evaluate.benchmark)
    read_task(evaluate.task)
    return plan


def _is_saved(budget: int, train: TrainConfig, training: TrainPlan) -> bool:
    """Whether the step that reaches `budget` is one that callbacks.budgets.AtTokens names."""
    now = tokens_at_budget(budget, training.step_tokens)
    listed = {tokens_at_budget(one, training.step_tokens) for one in [*training.budgets, training.end]}
    if now in listed:
        return True
    every = parse_tokens(train.checkpoint_interval) if train.checkpoint_interval else None
    return every is not None and now < max(listed) and now // every > (now - training.step_tokens) // every


def look(plan: SweepPlan) -> list[Standing]:
    """What is there of every budget.

    Raises ConfigError when the run is another recipe's, DataError when an evaluation's folder is.
    """
    expected = run_manifest(plan.train, plan.training)
    kept = plan.run / "config.yaml"
    if kept.is_file():  # said before a launch, which would find the same a while later
        check_recipe(plan.run, resolved(load_config(TrainConfig, kept)), expected.inputs, expected)
    found = []
    for tokens in plan.budgets:
        folder = plan.checkpoint(tokens)
        try:
            checkpoint = read_checkpoint(folder)
        except DataError as error:
            found.append(Standing(tokens, None, str(error) if (folder / FILE_NAME).exists() else "missing", False))
            continue
        check_recipe(plan.run, checkpoint.config, checkpoint.inputs, expected)
        found.append(Standing(tokens, checkpoint, "", _is_evaluated(plan, tokens, checkpoint)))
    return found


def _is_evaluated(plan: SweepPlan, tokens: int, checkpoint: Manifest) -> bool:
    evaluation = evaluation_manifest(plan.evaluate(tokens), hash_json(checkpoint.__dict__))
    try:
        return stands(plan.evaluation(tokens), evaluation)
    except DataError as error:
        raise DataError(
            f"{error} (a sweep names this folder after its evaluate recipe: a copy of {plan.config.evaluate} under "
            "another name gives another folder)"
        ) from None


def describe(plan: SweepPlan, standings: list[Standing]) -> str:
    """The plan as a table for people: what is there and what is missing."""
    lines = [
        f"{plan.config.train}: run {plan.run}, {len(standings)} budgets, evaluated by {plan.config.evaluate}",
        f"  {'tokens':>15}  {'steps':>9}  {'passes':>6}  checkpoint  evaluation",
    ]
    for standing in standings:
        tokens = standing.tokens
        lines.append(
            f"  {f'{tokens:,} ({in_words(tokens)})':>15}  {steps_to(tokens, plan.training.step_tokens):>9,}  "
            f"{tokens / plan.training.pass_tokens:>6.2f}  "
            f"{'there' if standing.checkpoint else 'not whole' if standing.problem != 'missing' else 'missing':<10}  "
            f"{'there' if standing.evaluated else 'missing'}"
        )
    return "\n".join(lines)

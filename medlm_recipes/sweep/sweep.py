"""The sweep verb: one run's checkpoints at several token budgets, scored and compared."""

import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from medlm_recipes.callbacks.metrics import FILE_NAME as METRICS
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.errors import RecipeError
from medlm_recipes.evaluation.results import RESULTS
from medlm_recipes.manifest import Manifest, hash_file, publish, write_json
from medlm_recipes.sweep.collect import Sweep, collect
from medlm_recipes.sweep.plan import Standing, SweepPlan, describe, look, plan_sweep
from medlm_recipes.sweep.report import REPORT, summary_table, write_report

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
DATA = "sweep.json"


def sweep(config: SweepConfig, dry_run: bool) -> None:
    """Train and evaluate what is missing, each in its own process, and publish the comparison.

    Writes sweep.json, report.html, perplexity.png and accuracy.png. What is there is not made again.
    Raises ConfigError or DataError for unfit recipes, run or results, RecipeError when a launched
    command fails.
    """
    plan = plan_sweep(config)
    standings = look(plan)
    print(describe(plan, standings), flush=True)
    if dry_run:
        return
    if any(standing.checkpoint is None for standing in standings):
        standings = _train(plan)
    for standing in standings:
        if not standing.evaluated:
            _launch("evaluation", "evaluate", config.evaluate_ranks, config.evaluate,
                    plan.evaluate_overrides(standing.tokens))  # fmt: skip
    compared = collect(plan)
    with publish(config.out, _manifest(plan, compared)) as folder:
        if folder is not None:
            write_json(folder / DATA, asdict(compared))
            write_report(compared, folder)
    print(summary_table(compared))
    print((Path(config.out) / REPORT).resolve(), flush=True)


def _train(plan: SweepPlan) -> list[Standing]:
    _launch("training", "train", plan.config.ranks, plan.config.train, plan.config.train_overrides, composer=True)
    standings = look(plan)
    for standing in standings:
        if standing.checkpoint is None:
            raise RecipeError(
                f"{plan.checkpoint(standing.tokens)}: {standing.problem}, and the run is past it, so it is not saved "
                f"again; leave this budget out of budgets, or remove {plan.run} to train anew"
            )
    return standings


def _launch(what: str, verb: str, ranks: int, recipe: str, overrides: list[str], composer: bool = False) -> None:
    """Run a recipe in its own process; its output goes where ours goes. Raises RecipeError when it fails."""
    launcher = ["-m", "composer.cli", "-n", str(ranks)] if composer or ranks > 1 else []
    command = [sys.executable, *launcher, str(RECIPES / f"{verb}.py"), recipe, *overrides]
    print(f"$ {shlex.join(command)}", flush=True)
    code = subprocess.run(command, check=False).returncode  # noqa: S603  our own recipe, no shell
    if code == 0:
        return
    remedy = "its message stands above; mend that" if code == 2 else "what it said stands above; once that is mended"
    raise RecipeError(f"{what} failed with exit code {code}: {remedy} and run the sweep again ({shlex.join(command)})")


def _manifest(plan: SweepPlan, compared: Sweep) -> Manifest:
    read = {f"tok{tokens}": plan.evaluation(tokens) / RESULTS for tokens in plan.budgets}
    read["metrics"] = plan.run / METRICS
    return Manifest(
        stage="sweep",
        config={
            "design": plan.config.design,
            "budgets": plan.budgets,
            "train": compared.train,
            "evaluate": compared.evaluate,
        },
        inputs={name: hash_file(path) if path.is_file() else "absent" for name, path in read.items()},
        facts={"summary": compared.summary},
    )

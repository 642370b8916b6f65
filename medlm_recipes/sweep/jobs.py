"""The launches that a sweep is made of, in an order in which each finds what it needs."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medlm_recipes.callbacks.checkpoint_names import checkpoint_folders
from medlm_recipes.sweep.plan import SweepPlan
from medlm_recipes.sweep.series import Leg, Run, Series
from medlm_recipes.sweep.standing import is_whole, look
from medlm_recipes.token_math import in_words

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@dataclass(frozen=True)
class Job:
    """One launch of a training or of an evaluation.

    name: no other's of the sweep; a file may be called so. what: the same for people. run: of a training;
    evaluate: the benchmark's name, of an evaluation. legs: the budgets that wait for it. needs: names
    of the jobs that come before it.
    """

    name: str
    what: str
    recipe: str
    overrides: list[str]
    ranks: int
    series: Series
    legs: list[Leg]
    run: Run | None
    evaluate: str | None
    needs: tuple[str, ...]

    @property
    def arguments(self) -> list[str]:
        """The script and what it is given."""
        return [str(RECIPES / ("train.py" if self.run else "evaluate.py")), self.recipe, *self.overrides]

    @property
    def command(self) -> list[str]:
        """On this machine."""
        launcher = ["-m", "composer.cli", "-n", str(self.ranks)] if self.is_launched else []
        return [sys.executable, *launcher, *self.arguments]

    @property
    def is_launched(self) -> bool:
        """Whether by composer: a training is on one rank too."""
        return self.run is not None or self.ranks > 1

    def is_ready(self) -> bool:
        """Whether what it starts from is there; where it is not, an earlier job has failed."""
        leg = self.legs[0]
        if self.evaluate:
            return is_whole(leg.checkpoint)
        if self.run is self.series.main:
            return True
        return bool(checkpoint_folders(leg.run)) or is_whole(self.series.branch_of(leg))


def missing_jobs(plan: SweepPlan, series: Series) -> Iterator[Job]:
    """The launches that a series still lacks: the main run, then each budget's cooldown and evaluations.

    Raises ConfigError when a run is another recipe's, DataError when an evaluation's folder is.
    """
    standings = look(plan, series)
    untrained = [standing for standing in standings if standing.checkpoint is None]
    main: tuple[str, ...] = ()
    if any(not (standing.leg.cooldown and standing.can_start) for standing in untrained):
        part = "trunk" if series.trunk else "run"
        job = _training(plan, series, series.main, part, part, [standing.leg for standing in untrained], ())
        main = (job.name,)
        yield job
    for standing in standings:
        leg = standing.leg
        needs = main if standing.checkpoint is None else ()
        if leg.cooldown and standing.checkpoint is None:
            what = f"cooldown to {in_words(leg.tokens)} tokens"
            before = () if standing.can_start else main
            job = _training(plan, series, leg.cooldown, f"tok{leg.tokens}", what, [leg], before)
            needs = (job.name,)
            yield job
        for name, evaluated in standing.evaluated.items():
            if not evaluated:
                yield _evaluation(plan, series, leg, name, needs)


def _training(
    plan: SweepPlan, series: Series, run: Run, part: str, what: str, legs: list[Leg], needs: tuple[str, ...]
) -> Job:
    return Job(
        name=f"{series.name}-{part}",
        what=f"{what} of {series.name}",
        recipe=run.recipe,
        overrides=run.overrides,
        ranks=plan.config.ranks,
        series=series,
        legs=legs,
        run=run,
        evaluate=None,
        needs=needs,
    )


def _evaluation(plan: SweepPlan, series: Series, leg: Leg, evaluate: str, needs: tuple[str, ...]) -> Job:
    return Job(
        name=f"{series.name}-tok{leg.tokens}-{evaluate}",
        what=f"evaluation {evaluate} at {in_words(leg.tokens)} tokens of {series.name}",
        recipe=plan.evaluate_recipe(evaluate),
        overrides=plan.evaluate_overrides(leg, evaluate),
        ranks=plan.config.evaluate_ranks,
        series=series,
        legs=[leg],
        run=None,
        evaluate=evaluate,
        needs=needs,
    )

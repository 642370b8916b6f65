"""What a sweep compares: its series, each with its budgets, checked before anything is launched."""

from dataclasses import dataclass

from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.loading import load_config, override
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.evaluation.benchmark import read_benchmark
from medlm_recipes.evaluation.task import read_task
from medlm_recipes.sweep.designs import all_series
from medlm_recipes.sweep.series import Leg, Series


@dataclass
class SweepPlan:
    config: SweepConfig
    series: list[Series]

    @property
    def legs(self) -> list[Leg]:
        return [leg for series in self.series for leg in series.legs]

    def evaluate_recipe(self, name: str) -> str:
        return self.config.evaluate[name][0]

    def evaluate_overrides(self, leg: Leg, name: str) -> list[str]:
        """What is laid over the evaluate recipe of the benchmark `name` for a budget."""
        places = {"checkpoint": leg.checkpoint, "out": leg.evaluations[name]}
        own = self.config.evaluate[name][1:]
        return [*own, *self.config.evaluate_overrides, *(override(key, path) for key, path in places.items())]

    def evaluate(self, leg: Leg, name: str) -> EvaluateConfig:
        return load_config(EvaluateConfig, self.evaluate_recipe(name), self.evaluate_overrides(leg, name))


def plan_sweep(config: SweepConfig) -> SweepPlan:
    """Check the sweep's recipes against each other and their inputs, before anything is launched.

    Raises ConfigError for a bad recipe and for budgets that a train recipe cannot have, DataError for
    unfit shards or benchmark.
    """
    plan = SweepPlan(config, all_series(config))
    for name in plan.legs[0].evaluations:
        evaluate = plan.evaluate(plan.legs[0], name)
        read_benchmark(evaluate.benchmark)
        read_task(evaluate.task)
    return plan

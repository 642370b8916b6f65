"""Score a checkpoint on a multiple-choice benchmark; launched with the `composer` CLI."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.evaluate import EvaluateConfig


def stage(config: EvaluateConfig, dry_run: bool) -> None:
    from medlm_recipes.evaluation.evaluate import evaluate

    evaluate(config, dry_run)


if __name__ == "__main__":
    run_command(EvaluateConfig, stage, __doc__)

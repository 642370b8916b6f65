"""Compare token budgets: train and evaluate what is missing, then report perplexity and accuracy against tokens."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.sweep import SweepConfig


def stage(config: SweepConfig, dry_run: bool) -> None:
    from medlm_recipes.sweep.sweep import sweep

    sweep(config, dry_run)


if __name__ == "__main__":
    run_command(SweepConfig, stage, __doc__)

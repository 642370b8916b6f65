"""Compare two evaluations of the same questions, question by question."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.compare import CompareConfig


def stage(config: CompareConfig, dry_run: bool) -> None:
    from medlm_recipes.evaluation.comparison import compare_results

    compare_results(config, dry_run)


if __name__ == "__main__":
    run_command(CompareConfig, stage, __doc__)

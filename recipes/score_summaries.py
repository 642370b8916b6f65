"""Score the summaries that a fine-tuned checkpoint writes by ROUGE."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.summaries import SummariesConfig


def stage(config: SummariesConfig, dry_run: bool) -> None:
    from medlm_recipes.evaluation.summaries import score_summaries

    score_summaries(config, dry_run)


if __name__ == "__main__":
    run_command(SummariesConfig, stage, __doc__)

"""Train a language model on MDS shards; launched with the `composer` CLI."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.train import TrainConfig


def stage(config: TrainConfig, dry_run: bool) -> None:
    from medlm_recipes.evaluation.while_training import scores_of
    from medlm_recipes.preflight.gate import refuse_what_cannot_fit
    from medlm_recipes.training.train import train

    train(config, dry_run, refuse_what_cannot_fit, scores_of)


if __name__ == "__main__":
    run_command(TrainConfig, stage, __doc__)

"""Convert examples (questions, pairs, conversations) to MDS shards to fine-tune on."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.examples import ExamplesConfig


def stage(config: ExamplesConfig, dry_run: bool) -> None:
    from medlm_recipes.examples.conversion import convert_examples_to_mds
    from medlm_recipes.remote import at_hand

    with at_hand(config, "inputs", "tokenizer", dry_run=dry_run) as local:
        convert_examples_to_mds(local, dry_run)


if __name__ == "__main__":
    run_command(ExamplesConfig, stage, __doc__)

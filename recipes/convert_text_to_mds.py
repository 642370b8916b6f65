"""Convert prepared documents to MDS shards of packed tokens."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.shards import ShardsConfig


def stage(config: ShardsConfig, dry_run: bool) -> None:
    from medlm_recipes.remote import at_hand
    from medlm_recipes.shards.conversion import convert_text_to_mds

    with at_hand(config, "documents", "tokenizer", dry_run=dry_run) as local:
        convert_text_to_mds(local, dry_run)


if __name__ == "__main__":
    run_command(ShardsConfig, stage, __doc__)

"""Train a byte-level BPE tokenizer on prepared documents."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.tokenizer import TokenizerConfig


def stage(config: TokenizerConfig, dry_run: bool) -> None:
    from medlm_recipes.remote import at_hand
    from medlm_recipes.tokenization.training import train_tokenizer

    with at_hand(config, "documents", "base", "reference", dry_run=dry_run) as local:
        train_tokenizer(local, dry_run)


if __name__ == "__main__":
    run_command(TokenizerConfig, stage, __doc__)

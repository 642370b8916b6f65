"""Turn raw text (PubMed XML, PMC, The Pile, S2ORC, guidelines, JSONL, hub datasets, .txt) into documents."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.corpus import CorpusConfig


def stage(config: CorpusConfig, dry_run: bool) -> None:
    from medlm_recipes.corpus.pipeline import prepare_corpus
    from medlm_recipes.remote import at_hand

    with at_hand(config, "inputs", dry_run=dry_run) as local:
        prepare_corpus(local, dry_run)


if __name__ == "__main__":
    run_command(CorpusConfig, stage, __doc__)

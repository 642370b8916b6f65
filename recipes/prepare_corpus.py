"""Turn raw biomedical text (The Pile, PubMed XML, plain text) into documents with a split and a manifest."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.corpus import CorpusConfig


def stage(config: CorpusConfig, dry_run: bool) -> None:
    from medlm_recipes.corpus.pipeline import prepare_corpus

    prepare_corpus(config, dry_run)


if __name__ == "__main__":
    run_command(CorpusConfig, stage, __doc__)

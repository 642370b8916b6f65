"""Fetch raw biomedical text (PubMed, PMC open access, hub datasets): parallel, resumable, verified."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.fetch import FetchConfig


def stage(config: FetchConfig, dry_run: bool) -> None:
    from medlm_recipes.fetching.fetch import fetch_corpus

    fetch_corpus(config, dry_run)


if __name__ == "__main__":
    run_command(FetchConfig, stage, __doc__)

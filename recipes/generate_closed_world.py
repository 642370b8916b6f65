"""Write PubMed-format XML about an invented small world, and a benchmark that asks about its facts."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.world import WorldConfig


def stage(config: WorldConfig, dry_run: bool) -> None:
    from medlm_recipes.corpus.closed_world import generate

    generate(config, dry_run)


if __name__ == "__main__":
    run_command(WorldConfig, stage, __doc__)

"""Tell whether a train recipe fits its cluster, how long it takes, what it costs and whether the data lasts."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.train import PreflightConfig


def stage(config: PreflightConfig, dry_run: bool) -> None:
    from medlm_recipes.preflight.preflight import preflight

    preflight(config, dry_run)


if __name__ == "__main__":
    run_command(PreflightConfig, stage, __doc__)

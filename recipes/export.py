"""Export a checkpoint to a Hugging Face folder."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.export import ExportConfig


def stage(config: ExportConfig, dry_run: bool) -> None:
    from medlm_recipes.export.export import export

    export(config, dry_run)


if __name__ == "__main__":
    run_command(ExportConfig, stage, __doc__)

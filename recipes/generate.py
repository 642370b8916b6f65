"""Print what a model writes to prompts."""

from medlm_recipes.config.command import run_command
from medlm_recipes.config.generate import GenerateConfig


def stage(config: GenerateConfig, dry_run: bool) -> None:
    from medlm_recipes.evaluation.generate import generate

    generate(config, dry_run)


if __name__ == "__main__":
    run_command(GenerateConfig, stage, __doc__)

"""Turn the original files of a benchmark into checked, checksummed JSONL: one record form for all of them."""

from medlm_recipes.config.benchmark import BenchmarkConfig
from medlm_recipes.config.command import run_command


def stage(config: BenchmarkConfig, dry_run: bool) -> None:
    from medlm_recipes.evaluation.prepare_benchmark import prepare_benchmark
    from medlm_recipes.remote import at_hand

    with at_hand(config, dry_run=dry_run) as local:
        prepare_benchmark(local, dry_run)


if __name__ == "__main__":
    run_command(BenchmarkConfig, stage, __doc__)

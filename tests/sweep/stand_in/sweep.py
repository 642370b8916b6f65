"""recipes/sweep.py whose launches are the stand-ins beside this file, without the composer launcher's seconds."""

from pathlib import Path

from medlm_recipes.config.command import run_command
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.sweep import jobs
from medlm_recipes.sweep.sweep import sweep

if __name__ == "__main__":
    jobs.RECIPES = Path(__file__).parent
    jobs.Job.is_launched = False  # type: ignore[assignment]
    run_command(SweepConfig, sweep, __doc__)

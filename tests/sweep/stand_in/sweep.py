"""recipes/sweep.py whose launches are the stand-ins beside this file.

Only the job that $LAUNCHED_BY_COMPOSER names takes the launcher's seconds.
"""

import os
from pathlib import Path

from medlm_recipes.config.command import run_command
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.sweep import jobs
from medlm_recipes.sweep.sweep import sweep

if __name__ == "__main__":
    jobs.RECIPES = Path(__file__).parent
    launched = os.environ.get("LAUNCHED_BY_COMPOSER")
    jobs.Job.is_launched = property(lambda job: job.name == launched)  # type: ignore[assignment]
    run_command(SweepConfig, sweep, __doc__)

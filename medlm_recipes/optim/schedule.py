"""Learning-rate schedules in tokens."""

from typing import Any

from composer.optim import CosineAnnealingWithWarmupScheduler

from medlm_recipes.config.train import SchedulerKeys
from medlm_recipes.token_math import parse_tokens


def build_schedule(keys: SchedulerKeys) -> Any:
    """Linear warm-up from 0, then half a cosine that ends at `final_lr_ratio` with the run."""
    return CosineAnnealingWithWarmupScheduler(t_warmup=f"{parse_tokens(keys.warmup)}tok", alpha_f=keys.final_lr_ratio)

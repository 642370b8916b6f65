"""Learning-rate schedules in tokens: Composer's where it has them."""

from typing import Any

from composer.core import State
from composer.optim import (
    ComposerScheduler,
    ConstantScheduler,
    ConstantWithWarmupScheduler,
    CosineAnnealingScheduler,
    CosineAnnealingWithWarmupScheduler,
    LinearScheduler,
    LinearWithWarmupScheduler,
)

from medlm_recipes.config.schedule import SchedulerKeys
from medlm_recipes.optim.learning_rate import final_share, share_of_peak
from medlm_recipes.token_math import parse_tokens

# name -> Composer's scheduler without and with a warm-up (those with one warn of a warm-up of 0)
_COMPOSERS = {
    "cosine": (CosineAnnealingScheduler, CosineAnnealingWithWarmupScheduler),
    "linear": (LinearScheduler, LinearWithWarmupScheduler),
    "constant": (ConstantScheduler, ConstantWithWarmupScheduler),
}


class WarmupStableDecay(ComposerScheduler):
    """Linear warm-up, a constant rate, and a cooldown over the last tokens of the run."""

    def __init__(self, keys: SchedulerKeys, optimizer_lr: float, end: int) -> None:
        self.keys = keys
        self.optimizer_lr = optimizer_lr
        self.end = end

    def __call__(self, state: State, ssr: float = 1.0) -> float:
        return share_of_peak(self.keys, self.optimizer_lr, int(state.timestamp.token), self.end)


def build_schedule(keys: SchedulerKeys, optimizer_lr: float, end: int) -> Any:
    """The Composer scheduler of a run of `end` tokens; it gives shares of `optimizer_lr`.

    The end is given in tokens, not as Composer's `1dur`: a run that is stopped early sets its
    duration to where it stands, and its last checkpoint must not take that for the end.
    """
    if keys.name == "wsd":
        return WarmupStableDecay(keys, optimizer_lr, end)
    plain, with_warmup = _COMPOSERS[keys.name]
    given: dict[str, Any] = {"t_max": f"{end}tok"}
    if keys.name != "constant":
        given["alpha_f"] = final_share(keys, optimizer_lr)
    if keys.warmup is None:
        return plain(**given)
    return with_warmup(t_warmup=f"{parse_tokens(keys.warmup)}tok", **given)

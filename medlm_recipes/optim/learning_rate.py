"""The learning rate at any token of a run, as a pure function: what dry runs print and training follows."""

import math

from medlm_recipes.config.schedule import SchedulerKeys
from medlm_recipes.token_math import parse_tokens


def learning_rate(keys: SchedulerKeys, optimizer_lr: float, tokens: int, end: int) -> float:
    """Learning rate of the step that begins once `tokens` have been seen, in a run of `end` tokens."""
    return optimizer_lr * share_of_peak(keys, optimizer_lr, tokens, end)


def share_of_peak(keys: SchedulerKeys, optimizer_lr: float, tokens: int, end: int) -> float:
    """The learning rate as a share of `optimizer_lr`; at and beyond `end` it stands at the floor.

    Operation for operation that of Composer's CosineAnnealingWithWarmup-, LinearWithWarmup- and
    ConstantWithWarmupScheduler, so that both give the same floats.
    """
    warmup = parse_tokens(keys.warmup) if keys.warmup else 0
    if tokens < warmup:
        return tokens / warmup
    if keys.name == "constant":
        return 1.0
    floor = final_share(keys, optimizer_lr)
    if keys.name == "wsd":
        past = (tokens - cooldown_start(keys, end)) / (end - cooldown_start(keys, end))
        past = min(1.0, max(0.0, past))
        left = 1 - math.sqrt(past) if keys.cooldown_shape == "1-sqrt" else 1 - past
        return floor + (1.0 - floor) * left
    past = min(1.0, (tokens - warmup) / (end - warmup))
    if keys.name == "linear":
        return 1.0 + past * (floor - 1.0)
    return floor + (1.0 - floor) * (1 + math.cos(past * math.pi)) / 2


def final_share(keys: SchedulerKeys, optimizer_lr: float) -> float:
    """The floor as a share of `optimizer_lr`, however the recipe gives it."""
    if keys.final_lr is not None:
        return keys.final_lr / optimizer_lr
    return 1.0 if keys.final_lr_ratio is None else keys.final_lr_ratio


def cooldown_start(keys: SchedulerKeys, end: int) -> int:
    """Tokens at which wsd's decay begins."""
    assert keys.cooldown is not None
    return end - parse_tokens(keys.cooldown)

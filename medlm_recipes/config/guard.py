"""Keys of the divergence guard."""

from collections.abc import Iterator
from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, key, one_of, within

POLICIES = ("warn", "skip_update", "rollback", "stop")
"""From the mildest to the strongest."""


@dataclass
class GuardKeys:
    """What is watched, on all ranks together, and what is done about it; every event is a row of events.jsonl.

    warn: only the row. skip_update: weights, moments and Adam's own step count stay as they are, while the token
    count, the learning rate and the data go on; `patience` such steps in a row are answered by a rollback.
    rollback: back to the newest whole checkpoint from before the trouble, past the data of the bad steps, at a lower
    learning rate; after `max_rollbacks` of them, stop. stop: end with exit code 2 and save nothing.
    """

    enabled: bool = key("watch every step and validation; false: no check, no communication", True)
    non_finite: str = key(
        "policy for a loss or gradient norm that is NaN or infinite on any rank; skip_update loses one batch, where "
        "taking the update would lose the run",
        "skip_update",
        check=one_of(*POLICIES),
    )
    loss_spike: str = key(
        "policy for a loss above its limit, of all ranks' mean or of the worst micro-batch of any rank; skip_update "
        "keeps one bad batch out of the weights, and goes back when the loss stays high because the weights are bad",
        "skip_update",
        check=one_of(*POLICIES),
    )
    gradient_norm_spike: str = key(
        "policy for a gradient norm (before clipping) above its limit; warn, since clipping bounds such an update and "
        "healthy runs ride through many of them",
        "warn",
        check=one_of(*POLICIES),
    )
    rising_perplexity: str = key(
        "policy for a validation perplexity that stays above its best: warn, rollback (to before the best) or stop",
        "warn",
        check=one_of("warn", "rollback", "stop"),
    )
    window: int = key("good steps that the limits are computed from (OLMo-core: 128)", 128, check=at_least(8))
    warmup: int = key("good steps before spikes are judged; non-finite values are from the first on", 128,
                      check=at_least(8))  # fmt: skip
    loss_deviations: float = key(
        "k of a loss's limit, median + k x deviation; deviation: 1.4826 x the median absolute deviation (the standard "
        "deviation, where values are normal), at least 0.5 % of the median, so that no rise below k x 0.5 % is a spike",
        8.0,
        check=at_least(1),
    )
    gradient_norm_deviations: float = key(
        "k of the gradient norm's limit, as above but with a deviation of at least 5 % of the median; higher, since "
        "norms have a long tail",
        20.0,
        check=at_least(1),
    )
    rising_validations: int = key("validations in a row that must be above the best", 3, check=at_least(1))
    rising_margin: float = key("share by which each must be above the best perplexity", 0.05, check=at_least(0))
    patience: int = key("skipped steps in a row that are answered by a rollback", 5, check=at_least(1))
    max_rollbacks: int = key("rollbacks of one run before trouble stops it", 3, check=at_least(0))
    rollback_margin: int = key(
        "batches passed over before the first and after the last bad step, as far as they come after the checkpoint; "
        "the others between it and the bad ones are trained on again (PaLM passed over 200 to 500 batches around a "
        "spike, arXiv:2204.02311, section 5.1)",
        100,
        check=at_least(0),
    )
    rollback_lr_factor: float = key(
        "factor on the learning rate from a rollback's checkpoint on; those of several multiply (3 x 0.7: 0.34)",
        0.7,
        check=within(0.01, 1),
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.warmup > 100_000:
            yield "warmup", f"{self.warmup} is given in steps, not tokens; 128 is usual"

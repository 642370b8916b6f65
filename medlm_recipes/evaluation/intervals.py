"""How sure a share of right answers is: standard error, 95 % interval, p against guessing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

CONFIDENCE = 0.95
RESAMPLES = 10_000
_SEED = 20_231_127  # of the resampling: the same answers give the same interval
_NORMAL = 1.959964  # half-width of a 95 % interval in standard errors


@dataclass
class Estimate:
    """A mean over questions. interval: low and high end; interval_by names the method."""

    value: float
    standard_error: float
    interval: tuple[float, float]
    interval_by: str


def estimate(scores: Sequence[float]) -> Estimate:
    """The mean of one score a question (0 or 1, or a mean of such over seeds).

    The interval is the bootstrap's percentile interval over questions. Where every question has the same
    score the bootstrap says that nothing could differ; then it is Wilson's (1927), and the standard error
    half its width over 1.96.
    """
    values, counts = np.unique(np.asarray(scores, dtype=float), return_counts=True)
    n = int(counts.sum())
    mean = float(values @ counts / n)
    if len(values) == 1:
        low, high = _wilson(round(mean * n), n)
        return Estimate(mean, (high - low) / 2 / _NORMAL, (low, high), "wilson")
    # The mean of n draws with replacement depends only on how often each value was drawn.
    drawn = np.random.default_rng(_SEED).multinomial(n, counts / n, size=RESAMPLES) @ values / n
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    error = math.sqrt(float((values - mean) ** 2 @ counts) / (n - 1) / n)
    return Estimate(mean, error, (float(low), float(high)), "bootstrap")


def p_above(scores: Sequence[float], chance: float) -> float:
    """Exact binomial p of at least this mean, when each question were guessed with the same probability.

    Means over several seeds are rounded down to a whole number of right answers; that they vary less
    than single answers makes the p conservative, and so do questions that differ in their chance.
    """
    return float(binomtest(math.floor(sum(scores) + 1e-9), len(scores), chance, alternative="greater").pvalue)


def _wilson(right: int, n: int) -> tuple[float, float]:
    interval = binomtest(right, n).proportion_ci(CONFIDENCE, "wilson")
    return float(interval.low), float(interval.high)

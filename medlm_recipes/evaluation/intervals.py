"""How sure a share of right answers is: standard error, 95 % interval, p against guessing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

CONFIDENCE = 0.95
RESAMPLES = 10_000
SEED = 20_231_127  # of the resampling: the same answers give the same interval
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
    n, mean = len(scores), float(np.mean(scores))
    if len(set(scores)) == 1:
        low, high = wilson(round(mean * n), n)
        return Estimate(mean, (high - low) / 2 / _NORMAL, (low, high), "wilson")
    return Estimate(mean, float(np.std(scores, ddof=1)) / math.sqrt(n), bootstrap(scores), "bootstrap")


def difference(scores: Sequence[float]) -> Estimate:
    """The same for one difference a question, of scores from 0 to 1.

    Where all questions differ alike, mostly in nothing, the interval is as wide as a share can be that
    none of so many questions shows (Wilson's for 0 of n).
    """
    if len(set(scores)) > 1:
        return estimate(scores)
    _, width = wilson(0, len(scores))
    return Estimate(scores[0], width / _NORMAL, (max(scores[0] - width, -1), min(scores[0] + width, 1)), "wilson")


def bootstrap(scores: Sequence[float]) -> tuple[float, float]:
    """The percentile interval of a mean. It depends on a resample only by how often each value was drawn."""
    values, counts = np.unique(np.asarray(scores, dtype=float), return_counts=True)
    n = len(scores)
    means = np.random.default_rng(SEED).multinomial(n, counts / n, size=RESAMPLES) @ values / n
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def p_above(scores: Sequence[float], chance: float) -> float:
    """Exact binomial p of at least this mean, when each question were guessed with the same probability.

    Means over several seeds are rounded down to a whole number of right answers; that they vary less
    than single answers makes the p conservative, and so do questions that differ in their chance.
    """
    return float(binomtest(math.floor(sum(scores) + 1e-9), len(scores), chance, alternative="greater").pvalue)


def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    interval = binomtest(right, n).proportion_ci(CONFIDENCE, "wilson")
    return float(interval.low), float(interval.high)

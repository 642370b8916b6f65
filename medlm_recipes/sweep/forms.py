"""The formulas that a loss is fitted with: linear in some parameters, with an exponent or two that are not.

L(D) = E + B·D^-β at one model size, and L(N, D) = E + A·N^-α + B·D^-β over several, are Hoffmann et al.
2022 (arXiv 2203.15556, section 3.3). D counts repeated text at its worth: D' = U + U·R*·(1 - exp(-R/R*))
for U tokens of text seen 1 + R times, Muennighoff et al. 2023 (arXiv 2305.16264).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

R_STAR = 15.4
"""Repetitions after which a repeated token has lost most of its worth: R_D* of arXiv 2305.16264."""

_EXPONENTS = (0.01, 3.0)
"""Where exponents are looked for; published ones of language models lie in 0.05 to 0.5."""

_REPETITIONS = (0.5, 300.0)
"""Where R* is looked for."""


@dataclass(frozen=True)
class Where:
    """At what points a loss was measured or is asked for, arrays of n each.

    tokens: trained on. unique: tokens of one pass over the data. parameters: of the model.
    """

    tokens: Array
    unique: Array
    parameters: Array

    @property
    def passes(self) -> Array:
        return self.tokens / self.unique

    def at(self, tokens: Array) -> "Where":
        """The first point's data and model at other budgets."""
        return Where(tokens, np.full(len(tokens), self.unique[0]), np.full(len(tokens), self.parameters[0]))

    def only(self, chosen: NDArray[np.bool_]) -> "Where":
        return Where(self.tokens[chosen], self.unique[chosen], self.parameters[chosen])

    def worth(self, r_star: float = R_STAR) -> "Where":
        """The same points with each budget's effective tokens as its tokens."""
        return replace(self, tokens=effective_tokens(self.tokens, self.unique, r_star))


def effective_tokens(tokens: Array, unique: Array, r_star: float | Array) -> Array:
    """Fresh tokens that `tokens` over a text of `unique` tokens are worth; up to one pass they are all fresh."""
    first = np.minimum(tokens, unique)
    repetitions = np.maximum(tokens / unique - 1, 0)
    return first + first * r_star * -np.expm1(-repetitions / r_star)


@dataclass(frozen=True)
class Form:
    """A formula. Loss = sum over p of linear[p] · columns[p], the first of which is 1 and belongs to E.

    columns: shapes (G, k) and n points -> (G, n, p). ranges: a low and a high bound of each of the k shape
    parameters. scales: shapes (G, k) -> (G, p), by which linear[p] is multiplied to stand before the plain
    power of tokens or parameters: the columns are those powers over the points' geometric mean, which
    keeps the solution well conditioned. of_runs: how many parameters a shift of every run's losses can hide
    in: E alone at one size, where all runs have one curve; E, A and alpha over sizes.
    """

    linear: tuple[str, ...]
    shape: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    columns: Callable[[Array, Where], Array]
    scales: Callable[[Array], Array]
    of_runs: int = 1

    @property
    def parameters(self) -> int:
        return len(self.linear) + len(self.shape)


def tokens_form(points: Where) -> Form:
    """E + B·D^-β at one model size."""
    middle = _middle(points.tokens)

    def columns(shape: Array, where: Where) -> Array:
        return _stack(_power(where.tokens / middle, shape[:, 0]))

    return Form(("E", "B"), ("beta",), (_EXPONENTS,), columns, lambda shape: _scales(middle ** shape[:, 0]))


def repeated_form(points: Where) -> Form:
    """E + B·D'^-β at one model size, with R* looked for too."""
    middle = _middle(points.tokens)

    def columns(shape: Array, where: Where) -> Array:
        worth = effective_tokens(where.tokens[None], where.unique[None], shape[:, 1:2])
        return _stack((worth / middle) ** -shape[:, 0:1])

    return Form(("E", "B"), ("beta", "r_star"), (_EXPONENTS, _REPETITIONS), columns,
                lambda shape: _scales(middle ** shape[:, 0]))  # fmt: skip


def joint_form(points: Where) -> Form:
    """E + A·N^-α + B·D^-β over several sizes."""
    size, middle = _middle(points.parameters), _middle(points.tokens)

    def columns(shape: Array, where: Where) -> Array:
        return _stack(_power(where.parameters / size, shape[:, 0]), _power(where.tokens / middle, shape[:, 1]))

    def scales(shape: Array) -> Array:
        return _scales(size ** shape[:, 0], middle ** shape[:, 1])

    return Form(("E", "A", "B"), ("alpha", "beta"), (_EXPONENTS, _EXPONENTS), columns, scales, of_runs=3)


def _middle(values: Array) -> float:
    return float(np.exp(np.log(values).mean()))


def _power(base: Array, exponents: Array) -> Array:
    return np.exp(-exponents[:, None] * np.log(base)[None])


def _stack(*columns: Array) -> Array:
    return np.stack([np.ones_like(columns[0]), *columns], axis=-1)


def _scales(*scales: Array) -> Array:
    return np.stack([np.ones_like(scales[0]), *scales], axis=-1)

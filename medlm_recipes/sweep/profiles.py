"""Least squares over a grid of shapes: at every shape a form is linear, so that its best parameters are closed.

Golub and Pereyra 1973 (variable projection). Losses are compared as logarithms, as in Hoffmann et al. 2022,
linearised around a fitted curve: log(loss / fitted) = relative residual, which the noise of a loss, some
per cent at most, allows. E is kept at or above zero: at every shape there are two solutions, one with E
free and one with E = 0, of which the second counts where the first has E < 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.sweep.forms import Array

_HAIR = 1e-13


@dataclass
class Solution:
    """Of R responses at G shapes: parameters (R, G, p), weighted squares (R, G), inverse normal matrices."""

    linear: Array
    squares: Array
    inverse: Array

    def of(self, contrast: Array, fresh: float) -> tuple[Array, Array]:
        """A contrast's (G, p) value and variance (both (R, G)) in units of the squared noise.

        fresh: variance of new noise on it.
        """
        value = np.einsum("rgp,gp->rg", self.linear, contrast)
        variance = np.einsum("gp,rgpq,gq->rg", contrast, self.inverse, contrast) + fresh
        return value, np.maximum(variance, 0.0)


@dataclass
class Profile:
    """Solutions with E free and with E = 0 (whose parameters and contrasts lack the first)."""

    grid: tuple[int, ...]
    free: Solution
    zero: Solution

    @property
    def squares(self) -> Array:
        """(R, G): the least at every shape."""
        return np.where(self.free.linear[:, :, 0] >= 0, self.free.squares, self.zero.squares)

    def along(self, axis: int, shapes: Array) -> tuple[Array, Array]:
        """The values (V,) of one shape parameter on the grid, and the least squares (R, V) with it held at each."""
        others = tuple(1 + other for other in range(len(self.grid)) if other != axis)
        values = np.moveaxis(shapes[:, axis].reshape(self.grid), axis, 0).reshape(self.grid[axis], -1)[:, 0]
        return values, self.squares.reshape(-1, *self.grid).min(axis=others)

    def best(self) -> tuple[NDArray[np.int64], Array]:
        """Of every response its best shape's index (R,) and linear parameters (R, p)."""
        shape = self.squares.argmin(1)
        row = np.arange(len(shape))
        free = self.free.linear[row, shape]
        zero = np.concatenate([np.zeros((len(row), 1)), self.zero.linear[row, shape]], axis=1)
        return shape, np.where(free[:, :1] >= 0, free, zero)

    def squares_at(self, contrast: Array, value: float | Array, fresh: float = 0.0) -> Array:
        """(R,): the least squares with the contrast held at a value, between the shapes too."""
        asked = np.broadcast_to(np.asarray(value, dtype=np.float64), len(self.free.squares))[:, None]
        mean, variance = self.free.of(contrast, fresh)
        away = asked - mean
        pull = np.einsum("rgq,gq->rg", self.free.inverse[:, :, 0], contrast)
        with np.errstate(divide="ignore", invalid="ignore"):
            intercept = self.free.linear[:, :, 0] + pull * away / variance
            deviation = away / np.sqrt(variance)
            mean, variance = self.zero.of(contrast[:, 1:], fresh)
            bound = np.where(variance > 0, (asked - mean) / np.sqrt(variance), np.where(asked == mean, 0.0, np.inf))
        free = intercept >= 0
        return self._lowest(np.where(free, self.free.squares, self.zero.squares), np.where(free, deviation, bound))

    def _lowest(self, squares: Array, deviation: Array) -> Array:
        """The least of squares + deviation², both linear between neighbours of the grid."""
        squares, deviation = (array.reshape(-1, *self.grid) for array in (squares, deviation))
        lowest = (squares + deviation**2).reshape(len(squares), -1).min(1)
        for axis in range(1, squares.ndim):
            first = [slice(None)] * squares.ndim
            first[axis] = slice(0, -1)
            start, begin = squares[tuple(first)], deviation[tuple(first)]
            with np.errstate(divide="ignore", invalid="ignore"):  # where a deviation is infinite
                rise, turn = np.diff(squares, axis=axis), np.diff(deviation, axis=axis)
                along = np.clip(-(rise / 2 + begin * turn) / turn**2, 0.0, 1.0)
                between = start + along * rise + (begin + along * turn) ** 2
            between[np.isnan(between)] = np.inf
            lowest = np.minimum(lowest, between.reshape(len(squares), -1).min(1))
        return lowest

    def span(self, contrast: Array, limit: float, fresh: float = 0.0) -> tuple[float, float]:
        """Of the first response: the least and the largest value of a contrast whose squares are within `limit`."""
        mean, variance = self.free.of(contrast, fresh)
        squares, mean, variance = self.free.squares[0], mean[0], variance[0]
        reach = np.sqrt(np.maximum(limit - squares, 0) * variance)
        pull = np.einsum("gq,gq->g", self.free.inverse[0, :, 0], contrast)
        found = []
        for sign in (-1.0, 1.0):
            with np.errstate(divide="ignore", invalid="ignore"):
                turned = np.where(variance > 0, pull * sign * reach / variance, 0.0)
            whole = (squares <= limit) & (self.free.linear[0, :, 0] + turned >= 0)
            found.append((mean + sign * reach)[whole])
        mean, variance = self.zero.of(contrast[:, 1:], fresh)
        squares, mean, variance = self.zero.squares[0], mean[0], variance[0]
        reach, whole = np.sqrt(np.maximum(limit - squares, 0) * variance), squares <= limit
        values = np.concatenate([*found, (mean - reach)[whole], (mean + reach)[whole]])
        return float(values.min()), float(values.max())


def profile(columns: Array, responses: Array, weights: Array, grid: tuple[int, ...]) -> Profile:
    """Solve R responses (R, n) with weights (R, n) at the G shapes of `columns` (G, n, p), G = product of grid."""
    return Profile(grid, _solve(columns, responses, weights), _solve(columns[:, :, 1:], responses, weights))


def _solve(columns: Array, responses: Array, weights: Array) -> Solution:
    shapes, n, p = columns.shape
    by_point = columns.transpose(1, 0, 2)
    products = (by_point[:, :, :, None] * by_point[:, :, None, :]).reshape(n, -1)
    same = bool((weights == weights[:1]).all())
    normal = ((weights[:1] if same else weights) @ products).reshape(-1, shapes, p, p)
    inverse = np.broadcast_to(_inverse(normal), (len(responses), shapes, p, p))
    right = ((weights * responses) @ by_point.reshape(n, -1)).reshape(-1, shapes, p)
    linear = np.einsum("rgpq,rgq->rgp", inverse, right)
    # From the residuals, (G, R, n), and not from the normal equations, where digits would cancel.
    residuals = responses - linear.transpose(1, 0, 2) @ columns.transpose(0, 2, 1)
    return Solution(linear, np.einsum("grn,rn->rg", residuals**2, weights), inverse)


def _inverse(matrices: Array) -> Array:
    """Of stacked symmetric matrices; one and two rows, which come by the ten thousand, in closed form.

    A hair is added to the diagonals: columns that are the same at some shape (tokens that are all worth the
    same, when text has been seen a thousand times) then share what they explain.
    """
    matrices = matrices * (1 + _HAIR * np.eye(matrices.shape[-1]))
    if matrices.shape[-1] == 1:
        return 1 / matrices
    if matrices.shape[-1] > 2:
        return np.asarray(np.linalg.inv(matrices))
    (a, b), (_, d) = np.moveaxis(matrices, (-2, -1), (0, 1))
    turned = np.moveaxis(np.array([[d, -b], [-b, a]]), (0, 1), (-2, -1))
    return np.asarray(turned / (a * d - b * b)[..., None, None])

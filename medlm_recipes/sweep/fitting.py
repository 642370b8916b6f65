"""Fitting a form to losses, with intervals that hold for a handful of points.

The fit is Hoffmann et al. 2022's: Huber's loss on differences of logarithms. An interval is where the profile of
squares stays below a limit. For a linear form that limit is Fisher's F(1, spare points), which gives Student's
intervals (Bates and Watts 1988, chapter 6). For curved forms, for Huber's weights and for noise that shifts a
whole run, a parametric bootstrap finds the limit that holds 90 % of the curves drawn around the fit. How large
the noise is, is itself drawn for every curve, over chi-square of its degrees of freedom: for a linear form that
gives F again, and it keeps two runs that lie together by chance from passing for the same. The larger of the
two limits counts: next to the bound E = 0 the bootstrap's is too small (Andrews 2000).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import f as fisher

from medlm_recipes.sweep.forms import Array, Form, Where
from medlm_recipes.sweep.profiles import Profile, profile

LEVEL = 0.9
"""Share of intervals that are to hold the truth."""

HUBER_DELTA = 1e-3
"""Hoffmann et al. 2022, section D.2. It is the least that is used: where points scatter more than that, _HUBER
times their scatter is, which costs Huber's estimate 5 % of its precision when there is no outlier (Huber 1981)."""

_HUBER = 1.345
_SEED = 20220329
_DRAWS = {1: 400, 2: 150}
"""Of the bootstrap, by the number of shape parameters; so are the next three."""

_SEARCH, _FINE, _DRAWN = {1: 200, 2: 40}, {1: 400, 2: 81}, {1: 48, 2: 19}
"""Shapes an axis: to find where to look, for the losses' profile, for a draw's."""

_LEAST_NOISE = 1e-7
"""Relative; what is below it is rounding."""


class NoFit(Exception):
    """Why losses cannot be fitted, for people."""


@dataclass
class Estimate:
    """A value with its interval of LEVEL; None: the points are too few for one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class _Runs:
    """Mean squares of residuals between the means of runs of `points` each and within them, and degrees of freedom."""

    free: int
    within: int
    squares: float
    noise: float
    points: float

    @property
    def deviation(self) -> float:
        """Standard deviation of runs, without what noise within them adds to their means."""
        return max((self.squares - self.noise) / self.points, 0.0) ** 0.5


@dataclass
class _Draws:
    """Curves drawn around the fit: profiles over `shapes`, their least squares, noise, and every run's shift."""

    shapes: Array
    profile: Profile
    least: Array
    noise: Array
    shifts: Array


class Fitted:
    """A form through n losses; raises NoFit.

    spare: points beyond the form's parameters; without any there are no intervals. noise: relative
    standard deviation of a loss around the curve, run_noise: of a whole run (of several seeds, say)
    around the others; None where the points are too few to tell. residual, weights: (n,) logarithm of loss over
    curve, and Huber's weights.
    """

    def __init__(self, form: Form, where: Where, losses: Array, runs: NDArray[np.int64]) -> None:
        assert len(losses) == len(runs) == len(where.tokens)
        self.form, self.where, self.runs = form, where, runs
        self.spare = len(losses) - form.parameters
        if self.spare < 0:
            raise NoFit(f"{len(losses)} losses cannot tell the {form.parameters} parameters of the formula")
        self.linear, self.shape, self.residual, self.weights = _fit(form, where, losses)
        self._columns = form.columns(self.shape[None], where)[0]
        self._curve = self._columns @ self.linear
        squares = float((self.weights * self.residual**2).sum())
        self._variance = max(squares / self.spare, _LEAST_NOISE**2) if self.spare else 0.0
        self._runs = self._analysis() if self.spare else None
        self.noise = (self._runs.noise if self._runs else self._variance) ** 0.5
        self.run_noise = self._runs.deviation if self._runs else None

    def loss(self, where: Where) -> Array:
        """The curve at other points, without intervals."""
        return np.asarray(self.form.columns(self.shape[None], where)[0] @ self.linear)

    def loss_at(self, where: Where) -> Estimate:
        """The curve at one point."""
        return self._estimate(lambda shapes: self.form.columns(shapes, where)[:, 0])

    def fall(self, start: Where, end: Where) -> Estimate:
        """What the curve falls by between two single points."""
        return self._estimate(
            lambda shapes: (self.form.columns(shapes, start) - self.form.columns(shapes, end))[:, 0]
        )  # fmt: skip

    def measurement_at(self, where: Where, runs: NDArray[np.int64]) -> Estimate:
        """What the mean of one new loss of each of `runs` at one point would be."""
        return self._estimate(lambda shapes: self.form.columns(shapes, where)[:, 0], runs)

    def coefficient(self, name: str) -> Estimate:
        """E, A or B, in nats, for tokens and parameters counted one by one."""
        unit = np.eye(len(self.form.linear))[self.form.linear.index(name)]
        found = self._estimate(lambda shapes: unit * self.form.scales(shapes))
        return Estimate(found.value, None if found.low is None else max(found.low, 0.0), found.high)

    def exponent(self, name: str) -> Estimate:
        """A shape parameter."""
        axis = self.form.shape.index(name)
        value = float(self.shape[axis])
        if not self.spare:
            return Estimate(value)
        values, least = self._draws.profile.along(axis, self._draws.shapes)
        limit = self._limit(least[:, values == value][:, 0], self._draws.least)
        shapes, profile = self._data
        values, least = profile.along(axis, shapes)
        return Estimate(value, *_edges(values, least[0], limit))

    def _estimate(self, contrast: Callable[[Array], Array], fresh_runs: NDArray[np.int64] | None = None) -> Estimate:
        """A combination of the linear parameters: `contrast` gives their factors (G, p) at shapes (G, k)."""
        value = float(contrast(self.shape[None])[0] @ self.linear)
        if not self.spare:
            return Estimate(value)
        drawn, true, fresh = self._draws, np.full(len(self._draws.least), value), 0.0
        if fresh_runs is not None:
            fresh = value**2 / len(fresh_runs)
            true = value * (1 + self._fresh(fresh_runs))
        held = drawn.profile.squares_at(contrast(drawn.shapes), true, fresh)
        limit = self._limit(held, drawn.least)
        shapes, profile = self._data
        return Estimate(value, *profile.span(contrast(shapes), limit, fresh))

    def _limit(self, held: Array, least: Array) -> float:
        """Squares up to which a value is in its interval, from those of the draws with the value held at the truth."""
        drawn = float(np.quantile(held - least, LEVEL))
        return self._squares + max(drawn, float(fisher.ppf(LEVEL, 1, self._within)) * self.noise**2)

    def _fresh(self, runs: NDArray[np.int64]) -> Array:
        """Relative noise of new losses' mean, for every draw; a run that was fitted has its draw's shift."""
        drawn, known = self._draws, np.unique(self.runs)
        own = [drawn.shifts[:, np.flatnonzero(known == run)[0]] for run in runs if run in known]
        noise = np.random.default_rng([_SEED, 1]).normal(size=(len(drawn.least), len(runs))) * drawn.noise
        return np.asarray((noise.sum(1) + (sum(own) if own else 0.0)) / len(runs))

    def _analysis(self) -> "_Runs | None":
        """One-way analysis of variance of the residuals by run; None where there are too few points or runs."""
        runs, counts = np.unique(self.runs, return_counts=True)
        free = len(runs) - self.form.of_runs
        within = self.spare - free
        if free < 1 or within < 1:
            return None
        weights = self.weights
        means = np.array([np.average(self.residual[self.runs == one], weights=weights[self.runs == one])
                          for one in runs])  # fmt: skip
        rest = self.residual - means[np.searchsorted(runs, self.runs)]
        noise = max(float((weights * rest**2).sum()) / within, _LEAST_NOISE**2)
        between = float((counts * (means - np.average(means, weights=counts)) ** 2).sum()) / free
        return _Runs(free, within, between, noise, float(counts.mean()))

    @property
    def _within(self) -> int:
        """Degrees of freedom of `noise`."""
        return self._runs.within if self._runs else self.spare

    @property
    def _squares(self) -> float:
        return self._variance * self.spare

    @cached_property
    def _box(self) -> list[tuple[float, float]]:
        """Where the shapes are that losses like these, or draws of them, can be fitted with."""
        axes = len(self.form.shape)
        reach = max(16.0, 2 * float(fisher.ppf(LEVEL, 1, self.spare))) * self._variance
        if self._runs:
            reach = max(reach, 1.5 * float(fisher.ppf(LEVEL, 1, self._runs.free)) * self._runs.squares)
        reach += self._squares
        box = list(self.form.ranges)
        for _ in range(12):
            values = self._axes(box, _SEARCH[axes])
            shapes = _product(values)
            found = profile(*self._scaled(shapes, self.residual[None]), tuple(map(len, values)))
            inside = shapes[found.squares[0] <= reach]
            before, box = box, [_around(one, inside[:, axis]) for axis, one in enumerate(values)]
            if all(new[1] / new[0] > 0.5 * old[1] / old[0] for new, old in zip(box, before, strict=True)):
                break
        return box

    def _axes(self, box: list[tuple[float, float]], count: int) -> list[Array]:
        """Values along every axis of a box, the fit's own among them."""
        return [
            np.unique(np.append(np.geomspace(*ends, count), value))
            for ends, value in zip(box, self.shape, strict=True)
        ]  # fmt: skip

    def _scaled(self, shapes: Array, residuals: Array, weights: Array | None = None) -> tuple[Array, Array, Array]:
        """Columns, responses and weights of losses whose logarithms lie `residuals` (R, n) off the curve."""
        columns = self.form.columns(shapes, self.where) / self._curve[None, :, None]
        return columns, 1 + residuals, np.broadcast_to(self.weights if weights is None else weights, residuals.shape)

    @cached_property
    def _data(self) -> tuple[Array, Profile]:
        values = self._axes(self._box, _FINE[len(self.form.shape)])
        shapes = _product(values)
        return shapes, profile(*self._scaled(shapes, self.residual[None]), tuple(map(len, values)))

    @cached_property
    def _draws(self) -> _Draws:
        axes = len(self.form.shape)
        random, count, runs = np.random.default_rng(_SEED), _DRAWS[axes], np.unique(self.runs)
        noise = self.noise * (self._within / random.chisquare(self._within, size=(count, 1))) ** 0.5
        shifts = np.zeros((count, len(runs)))
        if self._runs:  # generalised confidence (Weerahandi 1993): the two mean squares are drawn, then subtracted
            between = self._runs.squares * self._runs.free / random.chisquare(self._runs.free, size=(count, 1))
            spread = np.maximum(between - noise**2, 0) / self._runs.points
            shifts = random.normal(size=shifts.shape) * spread**0.5
        drawn = random.normal(size=(count, len(self.runs))) * noise + shifts[:, np.searchsorted(runs, self.runs)]
        values = self._axes(self._box, _DRAWN[axes])
        shapes, grid = _product(values), tuple(map(len, values))
        weights = np.ones_like(drawn)
        for _ in range(2):
            columns, responses, _ = self._scaled(shapes, drawn, weights)
            index, linear = profile(columns, responses, weights, grid).best()
            residual = responses - np.einsum("rnp,rp->rn", columns[index], linear)
            weights = _huber_weights(residual, self.spare)
        found = profile(*self._scaled(shapes, drawn, weights), grid)
        return _Draws(shapes, found, found.squares.min(1), noise, shifts)


def _fit(form: Form, where: Where, losses: Array) -> tuple[Array, Array, Array, Array]:
    """Linear and shape parameters, residuals and Huber's weights."""
    count = len(form.shape)
    axes = [np.geomspace(*ends, _SEARCH[count]) for ends in form.ranges]
    shapes = _product(axes)
    ones = np.ones((1, len(losses)))
    found = profile(form.columns(shapes, where) / losses[None, :, None], ones, ones, tuple(map(len, axes)))
    index, linear = found.best()
    for name, value in zip(form.linear[1:], linear[0, 1:], strict=True):
        if value <= 0:
            more = "parameters" if name == "A" else "tokens"
            raise NoFit(f"the loss does not fall with more {more}")
    p = len(form.linear)

    def residuals(theta: Array) -> Array:
        curve = form.columns(theta[None, p:], where)[0] @ theta[:p]
        return np.log(losses / np.maximum(curve, 1e-12))

    lows, highs = np.array(form.ranges).T
    bounds = np.concatenate([np.zeros(p), lows]), np.concatenate([np.full(p, np.inf), highs])
    theta = np.clip(np.concatenate([linear[0], shapes[index[0]]]), *bounds)
    spare = len(losses) - form.parameters

    def descend(theta: Array, delta: float) -> Array:
        scale = np.maximum(np.abs(theta), 1e-3)
        loss = "huber" if np.isfinite(delta) else "linear"
        return np.asarray(least_squares(residuals, theta, bounds=bounds, x_scale=scale, loss=loss, xtol=1e-12,
                                        ftol=1e-12, gtol=1e-12, f_scale=min(delta, 1.0)).x)  # fmt: skip

    theta = descend(theta, np.inf)
    for _ in range(3 if spare else 0):
        theta = descend(theta, _delta(residuals(theta)[None], spare)[0])
    if theta[0] < 1e-9 * losses.min():  # at its bound, which the search comes near to only
        theta[0] = 0.0
    residual = residuals(theta)
    return theta[:p], theta[p:], residual, _huber_weights(residual[None], max(spare, 1))[0]


def _delta(residuals: Array, spare: int) -> Array:
    """Huber's bound for every row: from its scatter, with what stands out of it weighed down already."""
    bound = np.maximum(HUBER_DELTA, _HUBER * np.sqrt((residuals**2).sum(1) / spare))
    weights = np.minimum(1, bound[:, None] / np.maximum(np.abs(residuals), 1e-300))
    return np.maximum(HUBER_DELTA, _HUBER * np.sqrt((weights * residuals**2).sum(1) / spare))


def _huber_weights(residuals: Array, spare: int) -> Array:
    return np.minimum(1, _delta(residuals, spare)[:, None] / np.maximum(np.abs(residuals), 1e-300))


def _product(axes: list[Array]) -> Array:
    """Every combination of the axes' values, the last axis running fastest: (G, k)."""
    return np.stack([grid.ravel() for grid in np.meshgrid(*axes, indexing="ij")], axis=1)


def _around(values: Array, inside: Array) -> tuple[float, float]:
    """The ends of what is inside, one of the values further out on both sides."""
    first, last = np.searchsorted(values, (inside.min(), inside.max()))
    return float(values[max(first - 1, 0)]), float(values[min(last + 1, len(values) - 1)])


def _edges(values: Array, least: Array, limit: float) -> tuple[float, float]:
    """Where a profile over rising values crosses a limit; the ends of the values where it does not."""
    inside = np.flatnonzero(least <= limit)
    low, high = values[inside[0]], values[inside[-1]]
    if inside[0] > 0:
        pair = slice(inside[0] - 1, inside[0] + 1)
        low = np.interp(-limit, -least[pair], values[pair])
    if inside[-1] + 1 < len(values):
        pair = slice(inside[-1], inside[-1] + 2)
        high = np.interp(limit, least[pair], values[pair])
    return float(low), float(high)

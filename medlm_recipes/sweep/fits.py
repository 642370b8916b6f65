"""A sweep's losses fitted: per model size and source, with a check on the largest budget and what lies beyond it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.sweep.fitting import Estimate, Fitted, NoFit
from medlm_recipes.sweep.forms import R_STAR, Array, Form, Where, repeated_form, tokens_form
from medlm_recipes.sweep.points import Observed, losses
from medlm_recipes.token_math import in_words

REACH = 10.0
"""A curve is drawn on to so many times the largest budget that it was fitted on; further figures carry a warning."""

PLAIN, REPEATED = "L = E + B·D^-β", "L = E + B·D'^-β"

_REPEATS = 1.05
"""Passes above which text counts as repeated."""

_TELLING_PASSES = 8.0
"""Below so many passes repeated text is worth so nearly what fresh text is that R* cannot be told."""

_TOLD = 5.0
"""R* counts as told by the losses when the ends of its interval are no further apart than this factor."""

_LINE = 21
"""Budgets at which the curve and its band are computed."""


@dataclass
class Measured:
    """Finite losses of one source, n of them, and why others are missing ("350m-seed17, 4.1k tokens" -> reason).

    runs: (n,) which series each is of, an index into `names`.
    """

    where: Where
    losses: Array
    runs: NDArray[np.int64]
    names: list[str]
    left_out: dict[str, str]

    def only(self, chosen: NDArray[np.bool_]) -> "Measured":
        return Measured(self.where.only(chosen), self.losses[chosen], self.runs[chosen], self.names, self.left_out)


@dataclass
class HeldOut:
    """The largest budget, foretold by a fit without it. predicted: with the interval of a measurement there."""

    tokens: int
    measured: float
    predicted: Estimate
    inside: bool | None

    @property
    def error(self) -> float:
        """Nats; above zero when the loss came out higher than foretold."""
        return self.measured - self.predicted.value


@dataclass
class Foretold:
    """The curve at a budget. gain: fall of the loss from it to twice of it. times: over the largest that was fitted."""

    tokens: int
    times: float
    loss: Estimate
    gain: Estimate

    @property
    def beyond(self) -> bool:
        return self.times > REACH * (1 + 1e-9)


@dataclass
class Enough:
    """Tokens from which a doubling gains less than asked for, with the ends of its interval.

    None: not within REACH times the largest budget. A value that is the smallest budget may lie below it.
    """

    tokens: int | None
    low: int | None
    high: int | None


@dataclass
class LossFit:
    """A fitted loss. coefficients: E, B and beta, and r_star where repetition counts (without an interval: given).

    noise, run_noise: standard deviations in nats at the largest budget, around the curve and of a seed's
    whole run. line: the curve from the smallest budget to REACH times the largest. off: losses that lie far
    off the curve and were weighed down.
    """

    formula: str
    losses: int
    budgets: int
    seeds: int
    spare: int
    coefficients: dict[str, Estimate]
    noise: float | None
    run_noise: float | None
    held_out: HeldOut | None
    line: list[Foretold]
    enough: Enough
    left_out: dict[str, str] = field(default_factory=dict)
    off: dict[str, str] = field(default_factory=dict)

    def at(self, times: float) -> Foretold:
        """The curve's point nearest to so many times the largest budget."""
        return min(self.line, key=lambda one: abs(np.log(one.times / times)))


def measured(series: list[Observed], source: str) -> Measured:
    """The losses of `source` in some series, and what is missing."""
    rows, left_out = [], {}
    for index, one in enumerate(series):
        found = {point.tokens: loss for point, loss in losses(one, source)}
        for point in one.points:
            loss = found.get(point.tokens)
            if loss is not None and np.isfinite(loss):
                rows.append((point.tokens, one.pass_tokens, one.parameters or 1, loss, index))
            else:
                name = f"{one.name}, {in_words(point.tokens)} tokens"
                left_out[name] = point.problem or ("no loss recorded" if loss is None else "the loss is not finite")
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    where = Where(table[:, 0], table[:, 1], table[:, 2])
    names = [one.name for one in series]
    return Measured(where, table[:, 3], table[:, 4].astype(np.int64), names, left_out)


def fit_losses(data: Measured, gain_enough: float) -> list[LossFit]:
    """The fits of one size's losses, the one that counts first: with repeated text that of effective tokens.

    Raises NoFit when three budgets were not measured, or the loss does not fall.
    """
    budgets = len(np.unique(data.where.tokens))
    if budgets < 3:
        raise NoFit(f"{budgets} {'budget has' if budgets == 1 else 'budgets have'} a loss, and a curve needs three")
    plain = _fit(_Curve(data), PLAIN, gain_enough)
    if data.where.passes.max() <= _REPEATS:
        return [plain]
    return [_fit(_repeated_curve(data), REPEATED, gain_enough), plain]


class _Curve:
    """A fit of losses against tokens as `seen`: as they are, or as effective tokens; with R* fitted, or not."""

    def __init__(
        self,
        data: Measured,
        seen: Callable[[Where], Where] = lambda where: where,
        form: Callable[[Where], Form] = tokens_form,
    ) -> None:
        points = seen(data.where)
        self.data, self._seen, self._form = data, seen, form
        self.fitted = Fitted(form(points), points, data.losses, data.runs)

    def of(self, data: Measured) -> "_Curve":
        """The same for other losses."""
        return _Curve(data, self._seen, self._form)

    def at(self, tokens: float) -> Where:
        return self._seen(self.data.where.at(np.array([tokens])))

    def foretold(self, tokens: float) -> Foretold:
        times = tokens / float(self.data.where.tokens.max())
        loss, gain = self.fitted.loss_at(self.at(tokens)), self.fitted.fall(self.at(tokens), self.at(2 * tokens))
        return Foretold(round(tokens), float(times), loss, gain)

    @property
    def coefficients(self) -> dict[str, Estimate]:
        fitted = self.fitted
        found = {"E": fitted.coefficient("E"), "B": fitted.coefficient("B")}
        return found | {name: fitted.exponent(name) for name in fitted.form.shape}


def _repeated_curve(data: Measured) -> _Curve:
    """With R* from these losses when they tell it, otherwise with the published one."""
    enough = len(data.losses) >= repeated_form(data.where).parameters + 2
    if data.where.passes.max() >= _TELLING_PASSES and enough:
        try:
            curve = _Curve(data, form=repeated_form)
        except NoFit:
            return _Curve(data, Where.worth)
        r_star = curve.fitted.exponent("r_star")
        assert r_star.low is not None and r_star.high is not None
        if r_star.high < _TOLD * r_star.low:
            return curve
    return _Curve(data, Where.worth)


def _fit(curve: _Curve, formula: str, gain_enough: float) -> LossFit:
    data, fitted = curve.data, curve.fitted
    budgets = np.unique(data.where.tokens)
    line = [curve.foretold(tokens) for tokens in _spread(budgets)]
    coefficients = curve.coefficients
    if formula == REPEATED:
        coefficients.setdefault("r_star", Estimate(R_STAR))
    scale = float(fitted.loss(curve.at(budgets[-1]))[0])
    return LossFit(
        formula=formula,
        losses=len(data.losses),
        budgets=len(budgets),
        seeds=len(np.unique(data.runs)),
        spare=fitted.spare,
        coefficients=coefficients,
        noise=fitted.noise * scale if fitted.spare else None,
        run_noise=None if fitted.run_noise is None else fitted.run_noise * scale,
        held_out=_held_out(curve),
        line=line,
        enough=_enough(line, gain_enough),
        left_out=data.left_out,
        off=off_the_curve(data, fitted),
    )


def _spread(budgets: Array) -> Array:
    """Budgets from the smallest to REACH times the largest; 1, 2, 4 and REACH times the largest are among them."""
    spaced = np.geomspace(budgets[0], REACH * budgets[-1], _LINE)
    near = budgets[-1] * np.array([1.0, 2.0, 4.0, REACH])
    apart = np.abs(np.log(spaced[:, None] / near)).min(1) > 0.25 * np.log(spaced[1] / spaced[0])
    return np.sort(np.append(spaced[apart], near))


def _held_out(curve: _Curve) -> HeldOut | None:
    """None when too few budgets are left for a curve, or it cannot be fitted."""
    data = curve.data
    largest = data.where.tokens.max()
    rest, last = data.only(data.where.tokens < largest), data.only(data.where.tokens == largest)
    if len(np.unique(rest.where.tokens)) < 3:
        return None
    try:
        smaller = curve.of(rest)
    except NoFit:
        return None
    return held_out(smaller.fitted, smaller.at(largest), last)


def held_out(fitted: Fitted, at: Where, last: Measured) -> HeldOut:
    """What a fit foretells of the losses `last`, which it was not made from, all at one point."""
    predicted = fitted.measurement_at(at, last.runs)
    measured = float(last.losses.mean())
    inside = None if predicted.low is None or predicted.high is None else predicted.low <= measured <= predicted.high
    return HeldOut(round(float(last.where.tokens[0])), measured, predicted, inside)


def _enough(line: list[Foretold], gain_enough: float) -> Enough:
    """Where the gain per doubling, and the ends of its interval, fall below `gain_enough`."""
    tokens = np.array([float(one.tokens) for one in line])

    def crossing(gains: list[float | None]) -> int | None:
        known = np.array([np.inf if gain is None else gain for gain in gains])
        below = np.flatnonzero(known < gain_enough)
        if not len(below):
            return None
        if below[0] == 0:
            return round(tokens[0])
        pair = slice(below[0] - 1, below[0] + 1)
        return round(float(np.exp(np.interp(-gain_enough, -known[pair], np.log(tokens[pair])))))

    value = crossing([one.gain.value for one in line])
    if line[0].gain.low is None:
        return Enough(value, None, None)
    return Enough(value, crossing([one.gain.low for one in line]), crossing([one.gain.high for one in line]))


def off_the_curve(data: Measured, fitted: Fitted) -> dict[str, str]:
    """Losses that Huber's weights more than halved: "350m, 4.1k tokens" -> how far off they lie."""
    return {
        f"{data.names[data.runs[index]]}, {in_words(round(data.where.tokens[index]))} tokens": (
            f"{data.losses[index] * -np.expm1(-fitted.residual[index]):+.3f} nats off the curve"
        )
        for index in np.flatnonzero(fitted.weights < 0.5)
    }

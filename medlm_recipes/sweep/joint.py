"""A sweep's losses over several model sizes as one formula, and what it foretells of sizes that were not trained."""

from dataclasses import dataclass, field

import numpy as np

from medlm_recipes.sweep.fits import REACH, HeldOut, Measured, held_out, off_the_curve
from medlm_recipes.sweep.fitting import Estimate, Fitted, NoFit
from medlm_recipes.sweep.forms import Where, joint_form
from medlm_recipes.sweep.points import Target

SIZES = 3
"""Fewest sizes: two cannot tell E from A·N^-α."""


@dataclass
class ForetoldRun:
    """A target's loss. times_*: over the largest that was measured."""

    name: str
    parameters: int
    tokens: int
    loss: Estimate
    times_parameters: float
    times_tokens: float

    @property
    def beyond(self) -> bool:
        return max(self.times_parameters, self.times_tokens) > REACH * (1 + 1e-9)


@dataclass
class JointFit:
    """L = E + A·N^-α + B·D^-β. held_out: the largest budget of the largest size, foretold from the rest.

    repeated: whether D counts effective tokens, with the published R*.
    """

    losses: int
    sizes: int
    repeated: bool
    coefficients: dict[str, Estimate]
    noise: float | None
    held_out: HeldOut | None
    foretold: list[ForetoldRun]
    off: dict[str, str] = field(default_factory=dict)


def fit_sizes(data: Measured, targets: list[Target]) -> JointFit:
    """Raises NoFit when there are fewer than SIZES sizes with a loss, too few losses, or these do not fall."""
    sizes = np.unique(data.where.parameters)
    if len(sizes) < SIZES:
        raise NoFit(f"{len(sizes)} sizes have losses, and E can be told from A·N^-α with {SIZES} or more only")
    points = data.where.worth()
    fitted = Fitted(joint_form(points), points, data.losses, data.runs)
    linear = {name: fitted.coefficient(name) for name in fitted.form.linear}
    shape = {name: fitted.exponent(name) for name in fitted.form.shape}
    return JointFit(
        losses=len(data.losses),
        sizes=len(sizes),
        repeated=bool((data.where.passes > 1).any()),
        coefficients=linear | shape,
        noise=fitted.noise * float(data.losses.min()) if fitted.spare else None,
        held_out=_held_out(data),
        foretold=[_foretold(fitted, data, target) for target in targets],
        off=off_the_curve(data, fitted),
    )


def _foretold(fitted: Fitted, data: Measured, target: Target) -> ForetoldRun:
    unique = float(target.pass_tokens or target.tokens)
    where = Where(*(np.array([float(one)]) for one in (target.tokens, unique, target.parameters))).worth()
    return ForetoldRun(
        target.name,
        target.parameters,
        target.tokens,
        fitted.loss_at(where),
        target.parameters / float(data.where.parameters.max()),
        target.tokens / float(data.where.tokens.max()),
    )


def _held_out(data: Measured) -> HeldOut | None:
    where = data.where
    largest = where.parameters == where.parameters.max()
    last = largest & (where.tokens == where.tokens[largest].max())
    rest = data.only(~last)
    points = rest.where.worth()
    try:
        fitted = Fitted(joint_form(points), points, rest.losses, rest.runs)
    except NoFit:
        return None
    only = data.only(last)
    return held_out(fitted, only.where.at(only.where.tokens[:1]).worth(), only)

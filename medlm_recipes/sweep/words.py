"""Figures of a sweep as people read them."""

import math

from medlm_recipes.sweep.fits import REACH
from medlm_recipes.sweep.fitting import LEVEL, Estimate
from medlm_recipes.sweep.scores import Change

INTERVAL = f"{100 * LEVEL:.0f}\N{NO-BREAK SPACE}% interval"

BEYOND = f"that is further than {REACH:g} times, where nothing vouches for the curve: take it as a guess"
"""Said beside every figure that is extrapolated further than fits.REACH."""


def plain(estimate: Estimate) -> tuple[str, str, str]:
    """A value and the ends of its interval, empty where there are none, to two digits of the interval's half."""
    if estimate.low is None or estimate.high is None:
        return digits(estimate.value, 3), "", ""
    half = (estimate.high - estimate.low) / 2
    decimals = min(max(1 - math.floor(math.log10(half)), 0), 6) if half > 0 else 4
    low, value, high = (
        f"{one:,.{decimals}f}" if abs(one) < 1e6 else digits(one, 2)
        for one in (estimate.low, estimate.value, estimate.high)
    )  # fmt: skip
    return value, low, high


def nats(estimate: Estimate) -> str:
    """A value with its interval."""
    return plain(estimate)[0] + interval_of(estimate)


def interval_of(estimate: Estimate) -> str:
    """An interval in brackets behind a value; nothing where there is none."""
    _, low, high = plain(estimate)
    return f" ({INTERVAL} {low} to {high})" if low else ""


def digits(value: float, count: int) -> str:
    """So many significant digits, without an exponent between 0.00001 and a million."""
    if not value or not 1e-5 <= abs(value) < 1e6:
        return f"{value:.{count}g}"
    return f"{value:,.{max(count - 1 - math.floor(math.log10(abs(value))), 0)}f}"


def points_of(change: Change) -> str:
    """A change of a score in percentage points with its standard error."""
    return f"{100 * change.change:+.1f} ± {100 * change.standard_error:.1f} points"


def percent(share: float) -> str:
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def number(value: float) -> str:
    """Four digits, without an exponent below a million."""
    return digits(value, 4)


def p_value(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"= {p:.2g}"


def listed(parts: list[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)

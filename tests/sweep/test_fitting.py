"""Fits recover known curves, intervals hold the truth as often as they say, and what cannot be told is refused."""

import numpy as np
import pytest
from scipy.optimize import least_squares
from synthetic import ALPHA, BETA, A, B, E, where

from medlm_recipes.sweep.fitting import Fitted, NoFit
from medlm_recipes.sweep.forms import Where, effective_tokens, joint_form, repeated_form, tokens_form

TOKENS = np.geomspace(9.4e9, 3e11, 6)
CURVE = E + B * TOKENS**-BETA


def fitted(losses: np.ndarray, tokens: np.ndarray = TOKENS, runs: np.ndarray | None = None) -> Fitted:
    points = where(tokens)
    return Fitted(tokens_form(points), points, losses, np.zeros(len(tokens), dtype=int) if runs is None else runs)


def test_effective_tokens_are_those_of_the_paper() -> None:
    unique = np.full(4, 100.0)
    worth = effective_tokens(np.array([50.0, 100.0, 200.0, 1e9]), unique, 15.4)
    assert worth[:2].tolist() == [50.0, 100.0]
    assert worth[2] == pytest.approx(100 + 100 * 15.4 * (1 - np.exp(-1 / 15.4)))
    assert worth[3] == pytest.approx(100 * (1 + 15.4))  # what no number of passes can exceed


def test_without_noise_the_parameters_come_back() -> None:
    found = fitted(CURVE)
    assert found.coefficient("E").value == pytest.approx(E, rel=1e-4)
    assert found.coefficient("B").value == pytest.approx(B, rel=1e-3)
    assert found.exponent("beta").value == pytest.approx(BETA, rel=1e-4)
    assert found.loss(where(np.array([1e12])))[0] == pytest.approx(E + B * 1e12**-BETA, rel=1e-5)


def test_an_outlier_counts_less_and_the_fit_is_hubers_as_scipy_finds_it() -> None:
    tokens = np.geomspace(2e9, 3e11, 9)
    truth = E + B * tokens**-BETA
    losses = truth * np.exp(0.002 * np.random.default_rng(1).normal(size=9))
    losses[4] *= 1.05
    found = fitted(losses, tokens)
    assert found.weights[4] < 0.5 and found.weights[[0, 3, 5, 8]].min() > 0.6

    def residuals(theta: np.ndarray) -> np.ndarray:
        return np.log(theta[0] + theta[1] * (tokens / 5e10) ** -theta[2]) - np.log(losses)

    def minimum(loss: str, bound: float) -> np.ndarray:
        tried = [
            least_squares(residuals, start, loss=loss, f_scale=bound, bounds=(0, np.inf))
            for start in [(1.0, 0.5, 0.1), (1.7, 0.4, 0.3), (0.1, 2.0, 0.05)]
        ]
        return np.exp(residuals(min(tried, key=lambda one: one.cost).x)) * losses

    bound = float(found.weights[4] * abs(found.residual[4]))  # where Huber's loss turns from a square to a line
    assert found.loss(where(tokens)) == pytest.approx(minimum("huber", bound), rel=1e-4)
    squares = minimum("linear", 1.0)
    assert abs(found.loss(where(tokens)) - truth)[4] < 0.5 * abs(squares - truth)[4]


def test_nine_of_ten_intervals_hold_the_truth() -> None:
    """200 curves of six budgets and one seed: the hard case, with three points to spare."""
    chance = np.random.default_rng(0)
    largest, tenfold = where(TOKENS[-1:]), where(10 * TOKENS[-1:])
    held: dict[str, list[bool]] = {}
    for _ in range(200):
        found = fitted(CURVE * np.exp(0.003 * chance.normal(size=6)))
        for name, estimate, truth in (
            ("E", found.coefficient("E"), E),
            ("B", found.coefficient("B"), B),
            ("beta", found.exponent("beta"), BETA),
            ("loss at the largest budget", found.loss_at(largest), CURVE[-1]),
            ("loss at ten times of it", found.loss_at(tenfold), E + B * (10 * TOKENS[-1]) ** -BETA),
        ):
            assert estimate.low is not None and estimate.high is not None
            assert estimate.low <= estimate.value <= estimate.high
            held.setdefault(name, []).append(estimate.low <= truth <= estimate.high)
    coverage = {name: float(np.mean(own)) for name, own in held.items()}
    assert all(0.85 <= share <= 0.95 for share in coverage.values()), coverage


def test_seeds_that_shift_whole_runs_widen_the_intervals() -> None:
    tokens, runs = np.tile(TOKENS, 3), np.repeat(np.arange(3), 6)
    chance = np.random.default_rng(2)
    scatter = 0.001 * chance.normal(size=18)
    alike = fitted(np.tile(CURVE, 3) * np.exp(scatter), tokens, runs)
    shifted = fitted(np.tile(CURVE, 3) * np.exp(scatter + 0.01 * np.array([-1.0, 0.0, 1.0])[runs]), tokens, runs)
    assert shifted.run_noise == pytest.approx(0.01, rel=0.1)
    assert shifted.noise == pytest.approx(0.001, rel=0.5)
    assert alike.run_noise is not None and alike.run_noise < 0.001
    one, other = (found.loss_at(where(TOKENS[-1:])) for found in (alike, shifted))
    assert (other.high or 0) - (other.low or 0) > 5 * ((one.high or 0) - (one.low or 0))


def test_three_losses_have_a_curve_and_no_interval() -> None:
    found = fitted(CURVE[:3], TOKENS[:3])
    assert found.coefficient("E").value == pytest.approx(E, rel=1e-3)
    for estimate in (found.coefficient("B"), found.exponent("beta"), found.loss_at(where(TOKENS[-1:]))):
        assert (estimate.low, estimate.high) == (None, None)
    seeds = fitted(np.tile(CURVE[:3], 2) * np.exp([0.001, 0, 0, 0, 0.001, 0]), np.tile(TOKENS[:3], 2))
    assert seeds.coefficient("E").low is not None


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(NoFit, match="2 losses cannot tell the 3 parameters"):
        fitted(CURVE[:2], TOKENS[:2])
    with pytest.raises(NoFit, match="does not fall with more tokens"):
        fitted(CURVE[::-1])


def test_several_sizes_are_one_formula() -> None:
    sizes = np.repeat([125e6, 350e6, 760e6, 1.3e9], 5)
    tokens = np.tile(np.geomspace(2e9, 32e9, 5), 4)
    points = Where(tokens, np.full(20, 1e15), sizes)
    losses = E + A * sizes**-ALPHA + B * tokens**-BETA
    found = Fitted(joint_form(points), points, losses, np.arange(20) // 5)
    assert found.exponent("alpha").value == pytest.approx(ALPHA, rel=1e-3)
    assert found.coefficient("A").value == pytest.approx(A, rel=1e-2)
    noisy = losses * np.exp(0.002 * np.random.default_rng(3).normal(size=20))
    found = Fitted(joint_form(points), points, noisy, np.arange(20) // 5)
    target = Where(np.array([3e11]), np.array([1e15]), np.array([2.6e9]))
    truth = E + A * 2.6e9**-ALPHA + B * 3e11**-BETA
    foretold = found.loss_at(target)
    assert foretold.low is not None and foretold.high is not None
    assert foretold.low < truth < foretold.high and foretold.high - foretold.low < 0.15
    for name, true in (("alpha", ALPHA), ("beta", BETA)):
        estimate = found.exponent(name)
        assert estimate.low is not None and estimate.high is not None and estimate.low < true < estimate.high


def test_r_star_is_told_by_many_passes() -> None:
    tokens = np.geomspace(1e9, 128e9, 8)
    points = where(tokens, unique=2e9)
    losses = E + B * effective_tokens(tokens, points.unique, 6.0) ** -BETA
    losses *= np.exp(0.001 * np.random.default_rng(4).normal(size=8))
    found = Fitted(repeated_form(points), points, losses, np.zeros(8, dtype=int)).exponent("r_star")
    assert found.low is not None and found.high is not None
    assert found.low < 6.0 < found.high < 3 * found.low

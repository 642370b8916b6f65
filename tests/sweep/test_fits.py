"""A sweep's losses fitted: the check on the largest budget, what lies beyond it, and what is left out."""

import math

import pytest
from synthetic import BETA, A, B, E, gap, series

from medlm_recipes.sweep.findings import find
from medlm_recipes.sweep.fits import PLAIN, REACH, REPEATED, Enough, LossFit, fit_losses, measured
from medlm_recipes.sweep.fitting import NoFit
from medlm_recipes.sweep.forms import R_STAR
from medlm_recipes.sweep.points import Observed, Target, Validation
from medlm_recipes.sweep.summary import recommend, summarize
from medlm_recipes.sweep.words import BEYOND

TRUE_E = E + A * 125_000_000**-0.34
DIVERGED = {"pubmed": Validation(None, None, None)}


def fit(*observed: Observed, gain_enough: float = 0.01) -> LossFit:
    return fit_losses(measured(list(observed), "pubmed"), gain_enough)[0]


def test_the_largest_budget_is_foretold_without_it() -> None:
    found = fit(series()).held_out
    assert found is not None and found.tokens == 32e9 and found.inside
    assert found.measured == series().points[-1].validation["pubmed"].loss
    alone = fit(series(budgets=(1e9, 2e9, 4e9, 8e9, 16e9)))
    assert found.predicted.value == pytest.approx(alone.at(2).loss.value, rel=1e-6)
    assert found.error == pytest.approx(found.measured - found.predicted.value)
    # The interval is one of a measurement, which scatters around the curve.
    inner, outer = alone.at(2).loss, found.predicted
    assert outer.low < inner.low < inner.high < outer.high  # type: ignore[operator]

    far = gap(series(), 32e9, validation={"pubmed": Validation(3.4, math.exp(3.4), 1.2)})
    missed = fit(far).held_out
    assert missed is not None and missed.inside is False
    findings = find([far], 0.01, [])
    assert "no guide beyond" in " ".join(summarize(findings))


def test_the_curve_ends_at_ten_times_the_largest_budget() -> None:
    line = fit(series()).line
    assert line[0].tokens == 1e9 and line[-1].tokens == 320e9 and line[-1].times == pytest.approx(REACH)
    assert [one for one in line if one.times == 1] and not any(one.beyond for one in line)
    for one in line:
        assert one.loss.low < one.loss.value < one.loss.high  # type: ignore[operator]
    assert line[-1].gain.value < line[0].gain.value


def test_figures_further_out_carry_their_warning() -> None:
    sizes = [("125m", 125_000_000), ("350m", 350_000_000), ("760m", 760_000_000)]
    observed = [series(size, parameters=count, budgets=(1e9, 2e9, 4e9, 8e9)) for size, count in sizes]
    near, far = Target("near", 1_300_000_000, 80 * 10**9, None), Target("far", 2_594_247_680, 300 * 10**9, None)
    findings = find(observed, 0.01, [near, far])
    runs = {run.name: run for run in findings.joint["pubmed"].foretold}
    assert not runs["near"].beyond and runs["far"].beyond
    truth = E + A * 2_594_247_680**-0.34 + B * 300e9**-BETA
    assert runs["far"].loss.low < truth < runs["far"].loss.high  # type: ignore[operator]
    said = recommend(findings, 0.01)
    assert [BEYOND in sentence for sentence in said if "foretell" in sentence] == [False, True]
    assert "38 times the tokens" in said[-1]
    assert said[0].startswith("760m, the largest size: more tokens than 8B still pay")
    assert find(observed[:2], 0.01, [far]).unjoined["pubmed"].startswith("2 sizes have losses")


def test_repeated_text_counts_as_effective_tokens() -> None:
    once, often = series(noise=0.001), series(noise=0.001, pass_tokens=4e9)
    (plain,) = fit_losses(measured([once], "pubmed"), 0.01)
    assert plain.formula == PLAIN and "r_star" not in plain.coefficients
    repeated, beside = fit_losses(measured([often], "pubmed"), 0.01)
    assert (repeated.formula, beside.formula) == (REPEATED, PLAIN)
    estimate = repeated.coefficients["E"]
    assert estimate.low < TRUE_E < estimate.high  # type: ignore[operator]
    # What was taken off by repetition is not seen by the plain form, which thinks that more would help.
    assert beside.at(10).gain.value > 3 * repeated.at(10).gain.value
    assert repeated.coefficients["r_star"].value == R_STAR and repeated.coefficients["r_star"].low is None
    told = fit(series(noise=0.0002, pass_tokens=2e8, budgets=tuple(1e8 * 2**n for n in range(10))))
    r_star = told.coefficients["r_star"]
    assert r_star.low < 15.4 < r_star.high < 5 * r_star.low  # type: ignore[operator]


def test_from_where_on_tokens_are_enough() -> None:
    steep = fit(series(noise=0.0005), gain_enough=0.1)
    true = (B * (1 - 2**-BETA) / 0.1) ** (1 / BETA)  # where B·D^-β·(1 - 2^-β) = 0.1
    assert steep.enough.low < true < steep.enough.high  # type: ignore[operator]
    assert steep.enough.tokens == pytest.approx(true, rel=0.1)
    assert fit(series(), gain_enough=0.001).enough == Enough(None, None, None)
    said = recommend(find([series(noise=0.0005)], 0.1, []), 0.1)
    assert said[0] == "More tokens do not pay." and said[1].startswith("Beyond ")
    assert "the expected gain per doubling is under 0.1 nats a token" in said[1] and "90\N{NO-BREAK SPACE}%" in said[1]
    said = recommend(find([series()], 0.01, []), 0.01)
    assert said[0] == "More tokens than 32B still pay." and "ten times" not in said[1]
    assert "up to 320B tokens, 10 times the largest budget, beyond which the curve is not drawn" in said[2]
    gain = fit(series(noise=0.02)).at(1).gain.value
    assert (
        recommend(find([series(noise=0.02)], gain, []), gain)[0] == "Whether more tokens than 32B pay is not settled."
    )


def test_a_diverged_run_and_gaps_are_left_out_and_named() -> None:
    broken = gap(gap(series(), 4e9, validation=DIVERGED), 8e9, problem="the guard stopped it", validation={}, scores={})
    found = fit(broken)
    assert (found.losses, found.budgets, found.spare) == (4, 4, 1)
    assert found.left_out == {
        "small-seed17, 4B tokens": "the loss is not finite",
        "small-seed17, 8B tokens": "the guard stopped it",
    }
    assert found.coefficients["E"].low is not None and found.held_out is not None and found.held_out.inside is None
    with pytest.raises(NoFit, match="2 budgets have a loss, and a curve needs three"):
        fit(series(budgets=(1e9, 2e9)), gap(series(seed=18, budgets=(1e9, 2e9, 4e9)), 4e9, validation=DIVERGED))


def test_three_points_say_that_they_are_three() -> None:
    found = fit(series(budgets=(1e9, 2e9, 4e9)))
    assert (found.spare, found.noise, found.held_out) == (0, None, None)
    findings = find([series(budgets=(1e9, 2e9, 4e9))], 0.01, [])
    said = recommend(findings, 0.01)
    assert "there is no interval" in said[1]
    assert "too few to leave the largest out" in summarize(findings)[0]


def test_a_loss_far_off_the_curve_is_named() -> None:
    odd = gap(series(noise=0.001, budgets=tuple(1e9 * 2**n for n in range(9))), 8e9,
              validation={"pubmed": Validation(3.4, math.exp(3.4), 1.2)})  # fmt: skip
    (where,) = fit(odd).off
    assert where == "small-seed17, 8B tokens"
    assert any("look at that run" in sentence for sentence in summarize(find([odd], 0.01, [])))


def test_seeds_are_seen_apart() -> None:
    both = [series(seed=17, lower=0.02), series(seed=18)]
    found = fit(*both)
    assert found.seeds == 2 and found.losses == 12
    assert found.run_noise is not None and found.run_noise > 0.005
    assert not any("One seed" in sentence for sentence in summarize(find(both, 0.01, [])))

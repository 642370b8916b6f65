"""What is read of runs and evaluations, what it shows, and the words for it."""

import json
import math
from dataclasses import asdict

import pytest
from sweep_bench import STEP, Bench
from synthetic import gap, score, series

from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.sweep.collect import collect, read_sweep
from medlm_recipes.sweep.findings import Findings, find
from medlm_recipes.sweep.observing import observe
from medlm_recipes.sweep.plan import plan_sweep
from medlm_recipes.sweep.points import Observed, Point, Validation, observed_from
from medlm_recipes.sweep.scores import changes
from medlm_recipes.sweep.summary import recommend, summarize
from medlm_recipes.sweep.sweep import sweep
from medlm_recipes.sweep.targets import targets

DIVERGED = {"pubmed": Validation(None, None, None)}


def observed(*losses: float | None, right: tuple[int | None, ...] = (), n: int = 240) -> Observed:
    points = []
    for index, loss in enumerate(losses):
        validation = {} if loss is None else {"pubmed": Validation(loss, math.exp(loss), None)}
        scores = {}
        if index < len(right) and right[index] is not None:
            scores = {"medqa": score([1] * right[index] + [0] * (n - right[index]))}  # type: ignore[arg-type, operator]
        points.append(Point(1000 * 2**index, index + 1, 0.1, validation, scores))
    return Observed("s", "s", 17, None, 10**6, points)


def words(*series: Observed) -> str:
    findings = find(list(series), 0.01, [])
    return " ".join([*recommend(findings, 0.01), *summarize(findings)])


def judged(one: Observed) -> Findings:
    return find([one], 0.01, [])


def test_reads_the_rows_at_exactly_a_checkpoint_and_the_last_of_them(finished: Bench) -> None:
    first, *_ = finished.budgets
    finished.make_metrics({first: 3.9, first + STEP: 1.0})
    (series,) = observe(plan_sweep(finished.config()))
    assert [one.tokens for one in series.points] == [1024, 2048, 4096] == finished.budgets
    point = series.points[0]
    assert (point.steps, point.validation["pubmed"].loss) == (8, 3.9)
    assert point.passes == pytest.approx(1024 / 3200) and series.pass_tokens == 3200
    assert series.parameters and series.flops_per_token and series.flops_per_token > 6 * series.parameters
    assert point.scores["evaluate"].n == 240 and point.scores["evaluate"].answers == ""
    assert not point.scores["evaluate"].above_chance


def test_answers_are_read_question_by_question(finished: Bench) -> None:
    """Several lines of a question, asked with other demonstrations, are their mean."""
    plan = plan_sweep(finished.config())
    for leg, asked in zip(plan.legs, (240, 240, 239), strict=True):
        rows = [{"id": f"q{number:03}", "acc": float(number % 3 == 0), "prompt_hash": "p"} for number in range(asked)]
        if leg is plan.legs[1]:
            rows += [row | {"acc": 1.0} for row in rows]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (leg.evaluations["evaluate"] / "samples.jsonl").write_text(text)
    (series,) = observe(plan)
    first, second, third = (point.scores["evaluate"] for point in series.points)
    assert first.answers.split()[:4] == ["1", "0", "0", "1"] and len(first.answers.split()) == 240
    assert second.answers.split()[:4] == ["1", "0.5", "0.5", "1"]
    assert first.questions == second.questions != third.questions  # one question is not among those
    (change, other) = changes([series], "evaluate")
    assert change.paired and not other.paired


def test_a_line_that_a_kill_has_cut_and_missing_files_are_gaps(bench: Bench) -> None:
    bench.make_metrics({1024: 4.0})
    with open(bench.folder / "run" / "metrics.jsonl", "a") as stream:
        stream.write('{"tokens": 2048, "split": "vali')
    (series,) = observe(plan_sweep(bench.config()))
    assert [list(one.validation) for one in series.points] == [["pubmed"], [], []]
    assert [one.unscored for one in series.points] == [{"evaluate": "not evaluated"}] * 3


def test_invalid_results_are_gaps_and_damaged_ones_are_named(finished: Bench) -> None:
    plan = plan_sweep(finished.config())
    path = plan.legs[0].evaluations["evaluate"] / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"valid": False, "invalid_because": "40 % unread"}))
    (series,) = observe(plan)
    assert series.points[0].unscored == {"evaluate": "40 % unread"} and not series.points[0].scores
    assert collect(plan, []).findings.sizes[0].missing == {"train, 1.02k tokens, evaluate": "40 % unread"}
    path.write_text('{"n": 3}')
    with pytest.raises(DataError, match=r"tok1024/results.json: damaged"):
        collect(plan, [])


def test_what_is_to_be_foretold_is_read_from_its_recipe(finished: Bench) -> None:
    big = finished.train | {"model": {"name": "gpt2", "n_layer": 4, "n_head": 2, "n_embd": 32}, "run": "???"}
    finished.write("big", big | {"max_duration": "9_000tok", "shards": "???", "tokenizer": "???"})
    (target,) = targets(plan_sweep(finished.config(f"forecast=[{finished.folder}/big.yaml]")))
    small = observe(plan_sweep(finished.config()))[0]
    assert (target.name, target.tokens, target.pass_tokens) == ("big", 9000, 3200)
    assert small.parameters and target.parameters > 2 * small.parameters
    finished.write("hub", finished.train | {"model": {"name": "hf", "pretrained": "somewhere"}})
    with pytest.raises(ConfigError, match=r"hub.yaml: its model is a Hugging Face folder"):
        targets(plan_sweep(finished.config(f"forecast=[{finished.folder}/hub.yaml]")))


def test_a_sweep_is_read_back_as_it_was(finished: Bench) -> None:
    compared = collect(plan_sweep(finished.config()), [])
    data = json.loads(json.dumps(asdict(compared)))
    assert [observed_from(one) for one in data["series"]] == compared.series
    assert str(finished.folder) not in json.dumps(data)
    for folder, message in ((finished.folder / "nowhere", "no such folder"), (finished.folder / "run", "manifest")):
        with pytest.raises(DataError, match=message):
            read_sweep(str(folder), 0.01)


def test_a_clear_rise_and_a_fall() -> None:
    one = observed(4.0, 3.5, right=(60, 160))
    (size,) = judged(one).sizes
    assert size.falls == {"pubmed": True} and size.unfit == {"pubmed": "2 budgets have a loss, and a curve needs three"}
    (gain,) = size.gains["pubmed"]
    assert gain.per_doubling == pytest.approx(0.5) and gain.standard_error is None
    assert size.overall["medqa"].change == pytest.approx(100 / 240)
    said = words(one)
    assert "Validation perplexity falls from budget to budget, on pubmed from 54.60 (1k tokens)" in said
    assert "These losses do not tell whether more tokens pay." in said
    assert "it fell by 0.500 nats a token with each doubling" in said
    assert "a rise beyond noise" in said and "above guessing" in said


def test_all_noise_and_nothing_above_chance() -> None:
    said = words(observed(4.0, 3.5, 3.2, right=(60, 62, 63)))
    assert "not distinguishable from guessing" in said
    assert "within noise; of the 2 changes between neighbouring budgets 2 are within noise" in said


def test_a_drop_beyond_noise_is_said() -> None:
    assert "a drop beyond noise" in words(observed(4.0, 3.5, right=(160, 60)))


def test_perplexity_that_does_not_fall_is_said() -> None:
    one = observed(4.0, 4.1, 3.2)
    assert judged(one).sizes[0].falls == {"pubmed": False}
    assert "does not fall at every step: it goes from 54.60 (1k tokens) to 60.34 (2k tokens)" in words(one)
    assert "does not fall with more tokens" in words(observed(3.2, 4.0, 4.1))


def test_a_loss_that_is_not_finite_does_not_count_as_falling() -> None:
    one = gap(observed(4.0, 3.5), 2000, validation=DIVERGED)
    (size,) = judged(one).sizes
    assert size.falls == {"pubmed": False} and size.gains["pubmed"] == []
    assert size.missing == {"s, 2k tokens, loss on pubmed": "not finite: the run has diverged"}
    assert "to not finite (2k tokens)" in words(one) and "Missing: s, 2k tokens" in words(one)


def test_one_budget_and_gaps() -> None:
    (size,) = judged(observed(4.0, right=(60,))).sizes
    assert (size.gains["pubmed"], size.overall, size.falls) == ([], {}, {"pubmed": None})
    assert "one budget at most" in words(observed(4.0))
    assert "No validation loss was recorded" in words(observed(None, None))
    (size,) = judged(observed(4.0, None, 3.0, right=(60, None, 150))).sizes
    assert size.falls == {"pubmed": True}
    assert [(step.start, step.end) for step in size.changes["medqa"]] == [(1000, 4000)]
    assert size.gains["pubmed"][0].per_doubling == pytest.approx(0.5)


def test_several_sources_and_seeds() -> None:
    both = [series(seed=seed, sources=("a", "b")) for seed in (17, 18)]
    findings = find(both, 0.01, [])
    (size,) = findings.sizes
    level = size.losses["a"][0]
    own = [one.points[0].validation["a"].loss or 0 for one in both]
    assert level.loss == pytest.approx(sum(own) / 2)
    assert level.seeds_std == pytest.approx(abs(own[0] - own[1]) / math.sqrt(2))
    assert size.gains["a"][0].standard_error is not None
    said = words(*both)
    assert "on a and" in said and "; on b from" in said and "the mean of 2 seeds" in said


def test_dollars_are_said_where_they_are_known() -> None:
    said = words(series(price=1e-6))
    gain = find([series(price=1e-6)], 0.01, []).sizes[0].gains["pubmed"][-1]
    assert gain.per_1000_dollars == pytest.approx(gain.per_doubling / 16)  # 16B tokens for 16,000 dollars
    assert f"1,000 dollars bought {gain.per_1000_dollars:.2g} on pubmed" in said
    assert "dollars" not in words(series())


def test_what_it_is_compared_with_is_looked_for_before_anything_is_launched(finished: Bench) -> None:
    for argument, message in (("compare=[nowhere]", "nowhere: no such folder"), ("forecast=[no.yaml]", "no.yaml: no")):
        with pytest.raises((ConfigError, DataError), match=message):
            sweep(finished.config(argument), dry_run=True)

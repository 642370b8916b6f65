"""What is read of a run, what it shows, and the words for it."""

import json
import math

import pytest
from sweep_bench import STEP, Bench, results

from medlm_recipes.errors import DataError
from medlm_recipes.sweep.collect import collect, read_points
from medlm_recipes.sweep.findings import Point, Score, Validation, find
from medlm_recipes.sweep.plan import plan_sweep
from medlm_recipes.sweep.summary import summarize


def point(tokens: int, loss: float | None = None, right: int | None = None, n: int = 240) -> Point:
    validation = {} if loss is None else {"pubmed": Validation(loss, math.exp(loss), None)}
    score = None
    if right is not None:
        found = results(right, n)["scores"]["acc"]  # type: ignore[index]
        score = Score(found["value"], found["standard_error"], n, 0.25, found["p_above_chance"])
    return Point(tokens, tokens // STEP, tokens / 1e6, validation, score)


def words(*points: Point) -> str:
    said = summarize(list(points), find(list(points)))
    assert 2 <= len(said) <= 4
    return " ".join(said)


def test_reads_the_rows_at_exactly_a_checkpoint_and_the_last_of_them(finished: Bench) -> None:
    first, *_ = finished.budgets
    finished.make_metrics({first: 3.9, first + STEP: 1.0})
    compared = collect(plan_sweep(finished.config()))
    assert [one.tokens for one in compared.points] == [1024, 2048, 4096] == finished.budgets
    assert compared.points[0].steps == 8
    assert compared.points[0].passes == pytest.approx(1024 / 3200)
    assert compared.points[0].validation["pubmed"].loss == 3.9
    assert compared.points[0].accuracy is not None and compared.points[0].accuracy.n == 240
    assert compared.points[0].accuracy.p_above_chance > 0.01


def test_a_line_that_a_kill_has_cut_and_missing_files_are_gaps(bench: Bench) -> None:
    run = bench.folder / "run"
    points = read_points(run, {1024: run / "nothing"}, STEP, 3200)
    assert points == [Point(1024, 8, 0.32, {}, None)]
    bench.make_metrics({1024: 4.0})
    with open(run / "metrics.jsonl", "a") as stream:
        stream.write('{"tokens": 2048, "split": "vali')
    points = read_points(run, {1024: run / "nothing", 2048: run / "nothing"}, STEP, 3200)
    assert [list(one.validation) for one in points] == [["pubmed"], []]


def test_damaged_results_are_named(finished: Bench) -> None:
    plan = plan_sweep(finished.config())
    (plan.evaluation(1024) / "results.json").write_text('{"n": 3}')
    with pytest.raises(DataError, match=r"tok1024/results.json: damaged"):
        collect(plan)


def test_findings_of_a_clear_sweep() -> None:
    found = find([point(1000, 4.0, 60), point(4000, 3.0, 160)])
    assert found.perplexity_falls == {"pubmed": True}
    assert found.largest_above_chance is True
    step = found.steps[0]
    assert step.nats_per_doubling == {"pubmed": pytest.approx(0.5)}  # 1 nat over two doublings
    assert step.accuracy_change == pytest.approx(100 / 240)
    assert step.standard_error == pytest.approx(math.sqrt((0.25 * 0.75 + (2 / 3) * (1 / 3)) / 239))
    assert step.within_noise is False
    assert json.dumps(step.__dict__)


def test_a_small_change_is_called_noise_and_a_large_one_is_not() -> None:
    said = words(point(1000, 4.0, 60), point(2000, 3.5, 66), point(4000, 3.2, 150))
    assert "Validation perplexity on pubmed falls from budget to budget, from 54.6 (1k tokens)" in said
    assert "The change of accuracy from 1k to 2k (+2.5 ± 4.0 points) is within noise" in said
    assert "+37.5 ± 4.2 points, is beyond it" in said
    assert "which is above guessing" in said


def test_all_noise_and_nothing_above_chance() -> None:
    said = words(point(1000, 4.0, 60), point(2000, 3.5, 62), point(4000, 3.2, 63))
    assert "not distinguishable from guessing" in said
    assert "Every change of accuracy between consecutive budgets is within noise" in said
    assert said.endswith("is too.")


def test_no_noise_and_drops() -> None:
    assert "Every rise of accuracy" in words(point(1000, 4.0, 60), point(2000, 3.5, 120))
    said = words(point(1000, 4.0, 60), point(2000, 3.5, 160), point(4000, 3.2, 100))
    assert "Accuracy drops beyond noise from 2k to 4k" in said
    assert "of the 2 changes between consecutive budgets 0 are within noise" in said


def test_perplexity_that_does_not_fall_is_said() -> None:
    points = [point(1000, 4.0, 60), point(2000, 4.1, 66), point(4000, 3.2, 150)]
    assert find(points).perplexity_falls == {"pubmed": False}
    assert "does not fall at every step: it goes from 54.6 (1k tokens) to 60.34 (2k tokens)" in words(*points)


def test_a_loss_that_is_not_finite_does_not_count_as_falling() -> None:
    diverged = Point(2000, 2, 0.1, {"pubmed": Validation(None, None, None)}, None)
    points = [point(1000, 4.0, 60), diverged]
    assert find(points).perplexity_falls == {"pubmed": False}
    assert find(points).steps[0].nats_per_doubling == {}
    assert "to infinity (2k tokens)" in words(*points)


def test_one_budget_and_gaps() -> None:
    found = find([point(1000, 4.0, 60)])
    assert (found.steps, found.overall, found.perplexity_falls) == ([], None, {"pubmed": None})
    assert "one budget only" in words(point(1000, 4.0, 60))
    said = words(point(1000), point(2000))
    assert "No validation loss was recorded" in said and "has no evaluation" in said
    gap = find([point(1000, 4.0, 60), point(2000), point(4000, 3.0, 150)])
    assert gap.perplexity_falls == {"pubmed": True}
    assert [step.within_noise for step in gap.steps] == [None, None]
    assert gap.overall is not None and gap.overall.within_noise is False


def test_several_sources() -> None:
    def both(tokens: int, first: float, second: float) -> Point:
        rows = {"a": Validation(first, math.exp(first), 1.0), "b": Validation(second, math.exp(second), 1.0)}
        return Point(tokens, 1, 0.1, rows, None)

    assert "; on b from" in words(both(1000, 4.0, 3.0), both(2000, 3.0, 2.0))
    points = [both(1000, 4.0, 3.0), both(2000, 3.0, 3.5)]
    assert find(points).perplexity_falls == {"a": True, "b": False}
    assert "on b does not fall" in words(*points)

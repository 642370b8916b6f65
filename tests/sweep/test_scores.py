"""Scores over budgets: errors from questions and seeds, changes question by question, noise called noise."""

import math
from dataclasses import replace

import numpy as np
import pytest
from synthetic import gap, other, score, series

from medlm_recipes.sweep.comparison import compare
from medlm_recipes.sweep.points import Observed, Point, Score
from medlm_recipes.sweep.scores import change, changes, compare_scores, levels


def answers(text: str) -> Score:
    return score(np.array(list(map(int, text))))


def observed(*texts: str, seed: int = 17) -> Observed:
    points = [Point(1000 * 2**index, 1, 0.1, {}, {"medqa": answers(text)}) for index, text in enumerate(texts)]
    return Observed(f"s{seed}", "s", seed, None, 10**6, points)


def test_one_seed_is_compared_question_by_question() -> None:
    one = observed("1100100000" * 10, "1110110000" * 10)
    (found,) = changes([one], "medqa")
    assert found.paired and found.change == pytest.approx(0.2) and found.per_doubling == pytest.approx(0.2)
    assert found.standard_error == pytest.approx(math.sqrt(0.2 * 0.8 / 99))  # two of ten better, none worse
    assert found.p == pytest.approx(2 * 0.5**20) and not found.within_noise  # McNemar: 20 better, 0 worse
    alone = gap(one, 1000, scores={"medqa": replace(one.points[0].scores["medqa"], answers="")})
    (independent,) = changes([alone], "medqa")
    assert not independent.paired
    assert independent.standard_error == pytest.approx(
        math.hypot(*(point.scores["medqa"].standard_error for point in one.points))
    )
    assert independent.standard_error > found.standard_error


def test_other_questions_are_not_paired() -> None:
    one = observed("1100100000", "1110110000")
    strange = gap(one, 2000, scores={"medqa": replace(one.points[1].scores["medqa"], questions="others")})
    assert not changes([strange], "medqa")[0].paired


def test_no_change_and_a_small_one_are_noise() -> None:
    same, small = changes([observed("1100100000", "1100100000", "1101100000")], "medqa")
    assert same.within_noise and same.p == 1 and same.change == 0
    assert small.within_noise and small.p == 1  # one question better of one that differs


def test_seeds_add_their_spread() -> None:
    seeds = [observed("1100100000", "1110110000"), observed("1100000000", "1111110000", seed=18)]
    first, last = levels(seeds, "medqa")
    assert last.value == pytest.approx(0.55) and last.seeds == 2
    assert last.seeds_std == pytest.approx(np.std([0.5, 0.6], ddof=1))
    over_questions = np.std([1, 1, 1, 0.5, 1, 1, 0, 0, 0, 0], ddof=1) / math.sqrt(10)
    assert last.standard_error == pytest.approx(math.hypot(over_questions, last.seeds_std / math.sqrt(2)))
    (found,) = changes(seeds, "medqa")
    assert found.change == pytest.approx(0.3) and found.paired
    differences = np.std([0.2, 0.4], ddof=1) / math.sqrt(2)
    assert found.standard_error > differences
    assert first.p_above_chance > 0.3


def test_seeds_with_a_gap_are_left_out_of_a_change() -> None:
    seeds = [observed("1100100000", "1110110000"), gap(observed("1111111111", "0000000000", seed=18), 2000, scores={})]
    (found,) = changes(seeds, "medqa")
    assert found.change == pytest.approx(0.2)
    assert change([seeds[1]], "medqa", 1000, 2000) is None
    assert [level.seeds for level in levels(seeds, "medqa")] == [2, 1]


def test_a_price_gives_points_for_money() -> None:
    one = replace(observed("1100100000", "1110110000"), dollars_per_token=2.0)
    assert changes([one], "medqa")[0].per_1000_dollars == pytest.approx(0.2 / 2)  # 1,000 tokens cost 2,000 dollars


def test_fractions_of_several_demonstrations_are_compared_by_the_normal() -> None:
    before = replace(answers("1010"), answers="0.333 0 1 0.667")
    value, error, p, paired = compare_scores([before], [replace(before, answers="0.667 0.333 1 1", value=0.75)])
    assert paired and value == pytest.approx(0.25)
    assert error == pytest.approx(np.std([0.334, 0.333, 0, 0.333], ddof=1) / 2)
    assert 0 < p < 0.05


def test_two_sweeps_are_compared_at_their_common_budgets() -> None:
    mine = series(benchmarks=("medqa", "pubmedqa"), sources=("pubmed", "central"))
    theirs = series(seed=18, budgets=(4e9, 8.05e9, 64e9), lower=0.3)
    found = compare(other([mine], "mine"), other([theirs], "theirs"))
    assert [(row.source, row.tokens) for row in found.losses] == [("pubmed", 4e9), ("pubmed", 8e9)]
    assert found.losses[0].difference == pytest.approx(0.3, abs=0.03) and found.unit == "nats a token"
    assert found.losses[0].standard_error is None  # one seed each
    assert [(row.benchmark, row.tokens) for row in found.scores] == [("medqa", 4e9), ("medqa", 8e9)]
    assert all(row.paired for row in found.scores)
    # Where their last loss lies on this sweep's curve, and that this sweep's is not on theirs.
    back = compare(other([theirs], "theirs"), other([mine], "mine"))
    assert back.matches[0].tokens is not None and back.matches[0].tokens < back.matches[0].other_tokens / 2
    assert found.matches[0].tokens is None


def test_other_tokenizers_are_compared_in_bits_a_byte() -> None:
    found = compare(other([series()], "mine"), other([series(seed=18)], "theirs", tokenizer="u" * 64))
    assert found.unit == "bits a byte" and found.matches == []
    assert found.losses[0].own == series().points[0].validation["pubmed"].bits_per_byte

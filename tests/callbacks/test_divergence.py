"""What the guard takes for trouble, and how a run's history decides its data and learning rate."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from medlm_recipes.callbacks.events import append_event, read_events
from medlm_recipes.callbacks.judgement import Measures, RobustLimit, StepJudge, ValidationJudge
from medlm_recipes.config.guard import GuardKeys
from medlm_recipes.shards.windows import Window, kept_batches, place, span, without


def step(loss: float, worst: float | None = None, norm: float = 1.0, ranks: int = 2) -> Measures:
    """A step whose last rank alone has a bad micro-batch."""
    losses = [loss] * ranks
    return Measures(losses, [*losses[1:], loss if worst is None else worst], norm)


def warmed_up(steps: int = 200, **keys: float) -> StepJudge:
    judge = StepJudge(GuardKeys(**keys))
    noise = random.Random(3)
    for at in range(steps):
        judge.accept(step(3 - at / 1000 + noise.gauss(0, 0.03), norm=math.exp(noise.gauss(0, 0.2))))
    return judge


def kinds(judge: StepJudge, measures: Measures) -> list[str]:
    return [finding.kind for finding in judge.findings(measures)]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_rank_that_is_not_finite_is_named_from_the_first_step_on(bad: float) -> None:
    judge = StepJudge(GuardKeys())
    (finding,) = judge.findings(Measures([2.0, 2.0, bad], [2.0, 2.0, bad], 1.0))
    assert finding.kind == "non_finite" and "rank 2" in finding.what
    assert kinds(judge, step(2.0, norm=bad)) == ["non_finite"]
    judge.accept(step(2.0, norm=bad))
    assert not judge.limits["loss"].values


def test_a_spike_is_seen_on_the_mean_on_one_micro_batch_and_on_the_norm() -> None:
    judge = warmed_up()
    assert not kinds(judge, step(2.95)) and not kinds(judge, step(1.0, norm=0.001))
    assert kinds(judge, step(3.5)) == ["loss_spike"]
    (finding,) = judge.findings(step(2.8, worst=4.0))
    assert "rank 1" in finding.what and finding.threshold is not None and 2.9 < finding.threshold < 3.5
    assert kinds(judge, step(2.8, norm=50)) == ["gradient_norm_spike"]
    assert kinds(judge, step(9.0, norm=50)) == ["loss_spike", "gradient_norm_spike"]


def test_nothing_is_a_spike_before_the_warm_up() -> None:
    assert not kinds(warmed_up(steps=127), step(100.0, norm=1e6))
    assert kinds(warmed_up(steps=128), step(100.0))


def test_a_flat_window_makes_no_spike_of_a_ripple() -> None:
    limit = RobustLimit(window=16, warmup=8, deviations=8, floor=0.005)
    for _ in range(16):
        limit.add(2.0)
    assert limit.limit() == pytest.approx(2.08)


def test_outliers_that_were_taken_move_the_limit_little() -> None:
    judge = warmed_up()
    before = judge.limits["loss"].limit()
    for _ in range(10):
        judge.accept(step(30.0))
    assert judge.limits["loss"].limit() - before < 0.1


def test_normal_noise_is_hardly_ever_a_spike() -> None:
    noise = random.Random(5)
    judge = StepJudge(GuardKeys())
    found = 0
    for at in range(5000):
        losses = [2.5 + 4 * math.exp(-at / 300) + noise.gauss(0, 0.05) for _ in range(8)]
        worst = [loss + abs(noise.gauss(0, 0.1)) for loss in losses]
        measures = Measures(losses, worst, math.exp(noise.gauss(0, 0.3)))
        found += len(judge.findings(measures))
        judge.accept(measures)
    assert found == 0


def test_state_survives_json_bit_for_bit() -> None:
    judge, again = warmed_up(), StepJudge(GuardKeys())
    again.load_state_dict(json.loads(json.dumps(judge.state_dict())))
    assert again.limits["worst"].limit() == judge.limits["worst"].limit()
    assert again.state_dict() == judge.state_dict()


def test_a_slow_rise_needs_several_validations_above_the_best_of_one_source() -> None:
    judge = ValidationJudge(GuardKeys(rising_validations=3, rising_margin=0.05))
    losses = [3.0, 2.9, 2.94, 2.96, 2.97, 2.94, 2.96, 2.97, 2.98]
    found = [judge.findings({"pubmed": loss, "general": 3.0}) for loss in losses]
    assert [bool(one) for one in found] == [False] * 8 + [
        True
    ]  # 2.94 is within 5 % of exp(2.9) and ends the first rise
    assert list(found[-1]) == ["pubmed"] and "2.9000" in found[-1]["pubmed"].what
    assert judge.improved({"pubmed": 2.8, "general": 3.1}) == ["pubmed"]


def test_events_are_only_added_after_a_cut_line_and_without_nan(tmp_path: Path) -> None:
    append_event(tmp_path, {"loss": [1.0, math.nan], "norm": math.inf})
    with open(tmp_path / "events.jsonl", "a") as stream:
        stream.write('{"cut')
    append_event(tmp_path, {"step": 2})
    assert read_events(tmp_path) == [{"loss": [1.0, None], "norm": None}, {"step": 2}]


def test_places_follow_from_windows_that_overlap_and_reach_over_a_pass() -> None:
    windows = [Window(0, 5, 8), Window(0, 7, 10), *span((0, 95), (1, 2))]
    assert windows[2:] == [Window(0, 95, None), Window(1, 0, 3)]
    assert kept_batches(windows, 0, 100).tolist() == [*range(5), *range(10, 95)]
    assert [place(windows, 0, taken, 100) for taken in (0, 4, 5, 6, 89, 90)] == [0, 4, 10, 11, 94, 100]
    assert place(windows, 1, 0, 100) == 3 and place(windows, 2, 7, 100) == 7


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_are_left_out_of_every_ranks_order(workers: int) -> None:
    nodes, ranks, size, rounds = 2, 2, 4, 6
    order = np.arange(nodes * ranks * rounds * workers * size).reshape(nodes, ranks, rounds, workers, size)
    left = without(order.transpose(0, 1, 3, 2, 4), np.array([0, 1, 4, 5, 6, 10_000]))
    in_order = left.transpose(0, 1, 3, 2, 4).reshape(nodes, ranks, -1, size)
    full = order.reshape(nodes, ranks, -1, size)
    kept = [number for number in (0, 1, 4, 5, 6) if number < rounds * workers]
    assert (in_order[:, :, : len(kept)] == full[:, :, kept]).all()
    assert (in_order[:, :, len(kept) :] == -1).all() and left.shape[2] == workers

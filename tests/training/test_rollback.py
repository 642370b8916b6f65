"""What a rollback passes over and slows down, as pure functions of where the trouble was."""

import json
from pathlib import Path
from typing import Any

import pytest

from medlm_recipes.callbacks.divergence import Place, RollbackNeeded
from medlm_recipes.callbacks.judgement import Finding
from medlm_recipes.config.guard import GuardKeys
from medlm_recipes.shards.windows import Window
from medlm_recipes.training.rollback import Rollback, lr_scale, passed_over, read_rollbacks, to_json

STEP = 100  # tokens
PASS = 50  # batches


class Plan:
    pass_tokens = PASS * STEP
    step_tokens = STEP


def place(steps: int) -> Place:
    return Place(steps, steps * STEP, *divmod(steps, PASS))


def windows(first: int, last: int, checkpoint: int, margin: int, before: list[Window] | None = None) -> list[Window]:
    """Of trouble in steps `first` to `last` (counted from 0), after a checkpoint at `checkpoint` steps."""
    plan: Any = Plan()
    needed = RollbackNeeded(Finding("loss_spike", "", 1.0), place(first), place(last))
    return passed_over(plan, GuardKeys(rollback_margin=margin), needed, checkpoint * STEP, before or [])


@pytest.mark.parametrize(
    ("first", "last", "checkpoint", "margin", "expected"),
    [
        (24, 26, 20, 0, [Window(0, 24, 27)]),
        (24, 26, 20, 3, [Window(0, 21, 30)]),
        (24, 26, 20, 9, [Window(0, 20, 36)]),  # what came before the checkpoint has been trained on
        (62, 62, 40, 9, [Window(1, 3, 22)]),
        (52, 52, 40, 9, [Window(1, 0, 12)]),  # a margin stays within its pass
        (48, 51, 40, 1, [Window(0, 47, None), Window(1, 0, 3)]),
        (20, 160, 20, 0, [Window(0, 20, None), Window(1, 0, None), Window(2, 0, None), Window(3, 0, 11)]),
    ],
)
def test_the_bad_batches_and_their_margin_are_passed_over(
    first: int, last: int, checkpoint: int, margin: int, expected: list[Window]
) -> None:
    assert windows(first, last, checkpoint, margin) == expected


def test_places_behind_an_earlier_window_are_found() -> None:
    assert windows(24, 26, 20, 2, [Window(0, 21, 27)]) == [Window(0, 28, 35)]  # the 25th batch taken is number 30


def test_factors_multiply_from_their_checkpoints_on(tmp_path: Path) -> None:
    rollbacks = [Rollback("loss_spike", 30, 2000, 0.5, [Window(0, 1, None)]), Rollback("non_finite", 9, 500, 0.8, [])]
    scales = [lr_scale(rollbacks, tokens) for tokens in (0, 499, 500, 1999, 2000)]
    assert scales == [1.0, 1.0, 0.8, 0.8, 0.4]
    assert read_rollbacks(tmp_path) == []
    (tmp_path / "rollbacks.json").write_text(json.dumps(to_json(rollbacks)))
    assert read_rollbacks(tmp_path) == rollbacks

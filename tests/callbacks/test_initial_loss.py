import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from medlm_recipes.callbacks.initial_loss import InitialLossCheck
from medlm_recipes.token_math import INITIAL_LOSS_TOLERANCE as TOLERANCE
from medlm_recipes.token_math import initial_loss

EXPECTED = initial_loss(800, 128)


def said(loss: float, capsys: pytest.CaptureFixture[str], step: int = 1) -> str:
    state: Any = SimpleNamespace(
        timestamp=SimpleNamespace(batch=step), total_loss_dict={"loss/train/total": torch.tensor([loss])}
    )
    InitialLossCheck(EXPECTED).batch_end(state, None)  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_a_first_loss_far_from_guessing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert not said(EXPECTED + 0.9 * TOLERANCE, capsys) and not said(EXPECTED - 0.9 * TOLERANCE, capsys)
    for loss in (EXPECTED + 2 * TOLERANCE, EXPECTED - 2 * TOLERANCE, math.nan):
        assert f"notice: the first loss is {loss:.2f} nats, but random weights" in said(loss, capsys)
    assert not said(1.0, capsys, step=2)

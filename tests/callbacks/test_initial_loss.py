import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from medlm_recipes.callbacks.initial_loss import TOLERANCE, InitialLossCheck


def said(loss: float, capsys: pytest.CaptureFixture[str], step: int = 1) -> str:
    state: Any = SimpleNamespace(
        timestamp=SimpleNamespace(batch=step), total_loss_dict={"loss/train/total": torch.tensor([loss])}
    )
    InitialLossCheck(800).batch_end(state, None)  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_a_first_loss_far_from_guessing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    guessing = math.log(800)
    assert not said(guessing + 0.9 * TOLERANCE, capsys) and not said(guessing - 0.9 * TOLERANCE, capsys)
    for loss in (guessing + 2 * TOLERANCE, guessing - 2 * TOLERANCE, math.nan):
        assert f"notice: the first loss is {loss:.2f} nats, but guessing" in said(loss, capsys)
    assert not said(1.0, capsys, step=2)

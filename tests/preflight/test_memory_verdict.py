"""Verdicts, lines through simulations and the search, on numbers small enough to follow."""

import pytest

from medlm_recipes.models.loss import chunk_tokens
from medlm_recipes.preflight.memory_closed_form import _chunk
from medlm_recipes.preflight.memory_extrapolation import Place, by_place, largest, straight
from medlm_recipes.preflight.memory_kinds import KINDS
from medlm_recipes.preflight.memory_search import largest_micro_batch
from medlm_recipes.preflight.memory_simulator import RankMemory
from medlm_recipes.preflight.memory_verdict import GIB, judge, usable_memory, workspaces


def kinds(activations: float, parameters: float = 0.0) -> dict[str, float]:
    return dict.fromkeys(KINDS, 0.0) | {"activations": activations, "parameters": parameters}


@pytest.mark.parametrize(
    ("needed", "word"), [(1.0, "fits"), (33.0, "fits"), (33.1, "tight"), (37.9, "tight"), (38.1, "does not fit")]
)
def test_verdict(needed: float, word: str) -> None:
    verdict = judge(needed * GIB, usable_memory("a100-40gb"))
    assert verdict.word == word and verdict.margin == pytest.approx((38.0 - needed) * GIB)


def test_devices_by_name() -> None:
    sizes = {"a100-40gb": 38.0, "a100-80gb": 77.4, "h200-141gb": 137.5}
    for device, size in sizes.items():
        assert (usable_memory(device) or 0) / GIB == pytest.approx(size, abs=0.05)
    assert usable_memory("cpu") is None and usable_memory(None) is None
    assert judge(GIB, None).word == "unknown"
    assert workspaces("h100-80gb") == 64 * 2**20 and workspaces("a100-40gb") == workspaces(None) == 16.25 * 2**20


def test_places_between_the_outer_blocks_are_left_out() -> None:
    peaks = [(phase, f"m.h.{block}.mlp", kinds(block)) for phase in ("forward", "backward") for block in range(6)]
    found = by_place([*peaks, ("head", "m", kinds(9))], "m.h", 6)
    blocks = {block for _, _, block in found}
    assert blocks == {0, 1, -2, -1, None} and ("forward", "m.h.{block}.mlp", -2) in found


def test_the_line_through_two_depths_finds_the_place_that_is_largest_later() -> None:
    at: dict[int, dict[Place, dict[str, float]]] = {
        depth: {("head", "", None): kinds(50.0), ("backward", "h.{block}.mlp", -1): kinds(5.0 * depth, 1.0 * depth)}
        for depth in (4, 8)
    }
    assert largest(at[8], 8).phase == "head"
    deep = largest(straight(at[4], at[8], (4, 8), 80), 80)
    assert (deep.phase, deep.module, deep.total) == ("backward", "h.79.mlp", 480.0)
    assert deep.kinds["parameters"] == 80.0


def rank(micro_batch: int) -> RankMemory:
    """A loss that stops growing when its chunk of 4 sequences is full, and blocks that do not."""
    loss = kinds(100.0 * min(micro_batch, 4), 10.0)
    return RankMemory(4, 1, {("head", "", None): loss, ("backward", "h.{block}", -1): kinds(30.0 * micro_batch, 10.0)})


@pytest.mark.parametrize(
    ("start", "bound", "found"), [(1, 1000.0, 33), (8, 1000.0, 33), (64, 1000.0, 33), (8, 409.9, 0), (1, 150.0, 1)]
)
def test_largest_micro_batch(start: int, bound: float, found: int) -> None:
    asked: list[int] = []

    def simulate(micro_batch: int) -> RankMemory:
        asked.append(micro_batch)
        return rank(micro_batch)

    assert largest_micro_batch(simulate, start, bound, straight_from=4) == found
    assert len(asked) <= 3 and (found == 0 or rank(found).peak.total <= bound < rank(found + 1).peak.total)


def test_the_closed_form_cuts_the_loss_as_training_does() -> None:
    for vocabulary in (512, 28_896, 32_064, 50_368, 152_064, 1_000_000):
        assert _chunk(vocabulary) == chunk_tokens(vocabulary)

"""Decisions that one rank makes for all."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import distributed

from medlm_recipes.errors import RecipeError

T = TypeVar("T")


def decide_together(decide: Callable[[], T]) -> T:
    """What `decide` returns, or the RecipeError that it raises, on rank 0, for every rank.

    Without a process group the one process decides for itself.
    """
    if not distributed.is_initialized():
        return decide()
    outcome: list[Any] = [None]
    if distributed.get_rank() == 0:
        try:
            outcome = [decide()]
        except RecipeError as error:
            outcome = [error]
    distributed.broadcast_object_list(outcome)
    if isinstance(outcome[0], RecipeError):
        raise outcome[0]
    return outcome[0]

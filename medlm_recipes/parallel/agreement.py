"""Decisions that one rank makes for all."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import distributed

from medlm_recipes.errors import RecipeError

T = TypeVar("T")


def join_ranks() -> Any:
    """Open the process group of a launch on its GPUs, or on CPUs where there are none; Composer's device."""
    from composer.utils import dist, get_device

    device = get_device("gpu" if torch.cuda.is_available() else "cpu")
    dist.initialize_dist(device)
    return device


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


def succeed_together(action: Callable[[], object]) -> None:
    """Run `action` on every rank; a RecipeError that any of them raises is raised on all, that of the lowest rank."""
    error: RecipeError | None = None
    try:
        action()
    except RecipeError as raised:
        error = raised
    errors: list[Any] = [error]
    if distributed.is_initialized():
        errors = [None] * distributed.get_world_size()
        distributed.all_gather_object(errors, error)
    for one in errors:
        if one is not None:
            raise one


def gather_numbers(numbers: torch.Tensor) -> list[list[float]]:
    """The same few numbers of every rank, by rank, in one small collective; NaN and infinity come as they are."""
    numbers = numbers.detach().double()
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return [numbers.tolist()]
    size = distributed.get_world_size()
    gathered = torch.empty(size * numbers.numel(), dtype=numbers.dtype, device=numbers.device)
    distributed.all_gather_into_tensor(gathered, numbers)
    return gathered.view(size, -1).tolist()

"""Work divided over ranks, and its answers put together again."""

import zlib
from typing import Any

import torch
from torch import distributed

from medlm_recipes.errors import DataError


class Ranks:
    """This process's `share` of `shares` in a process group; group None: all ranks, or no group at all."""

    def __init__(self, device: torch.device, group: Any = None) -> None:
        joined = distributed.is_initialized()
        self.share = distributed.get_rank(group) if joined else 0
        self.shares = distributed.get_world_size(group) if joined else 1
        self._device = device
        self._group = group

    def check_alike(self, requests: list[Any]) -> None:
        """Raise DataError where ranks were given different requests: their answers could not be put together."""
        if self.shares == 1:
            return
        number = 0
        for request in requests:
            number = zlib.crc32(repr(request.args).encode(), number)
        bounds = torch.tensor([number, -number], dtype=torch.int64, device=self._device)
        distributed.all_reduce(bounds, distributed.ReduceOp.MAX, group=self._group)
        if bounds.sum() != 0:
            raise DataError("the ranks were given different questions; every machine must see the same files")

    def gather(self, own: dict[int, Any], count: int) -> list[Any]:
        """The answers of all ranks to requests 0 to `count`; each was answered by exactly one."""
        parts: list[dict[int, Any]] = [own]
        if self.shares > 1:
            parts = [{}] * self.shares
            distributed.all_gather_object(parts, own, group=self._group)
        answers = {number: answer for part in parts for number, answer in part.items()}
        assert len(answers) == sum(map(len, parts)) == count
        return [answers[number] for number in range(count)]

"""Random numbers that belong to the step that draws them."""

import hashlib

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist


class SeedsOfStep(Callback):
    """Seeds torch's generators (dropout) as a step begins, by the run's seed, the step and the rank.

    Composer saves the generators' state, but restores it at the start of an epoch only once the data
    resumes by itself as streaming's does: a run resumed amid an epoch would draw other numbers.
    Seeded so, a step depends neither on what was drawn before it nor on where the run was resumed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def batch_start(self, state: State, logger: Logger) -> None:
        name = f"{self.seed}/{int(state.timestamp.batch)}/{dist.get_global_rank()}"
        torch.manual_seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") >> 1)

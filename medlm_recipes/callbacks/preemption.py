"""SIGTERM: save, leave with a code of its own, and be taken up again."""

import signal
from types import FrameType
from typing import Any

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist


class SaveOnSigterm(Callback):
    """Ends training after the step in which any rank was told to stop; the checkpoint of that step follows.

    The launcher hands a SIGTERM on and kills after 30 s: a step and a checkpoint must fit in that.
    """

    def __init__(self) -> None:
        self._told = False
        self.stopped = False
        self._before: Any = None

    def fit_start(self, state: State, logger: Logger) -> None:
        self._before = signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._told = True

    def batch_end(self, state: State, logger: Logger) -> None:
        told = state.device.tensor_to_device(torch.tensor(int(self._told)))
        dist.all_reduce(told, reduce_operation="MAX")
        if told.item():
            self.stopped = True
            state.stop_training()

    def close(self, state: State, logger: Logger) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

"""Gradients made right before the optimizer sees them: averaged over ranks, then clipped."""

from typing import Any

import torch
from composer.core import Algorithm, Event, State
from composer.loggers import Logger
from composer.utils import dist
from torch.distributed import ReduceOp


class AverageAndClipGradients(Algorithm):
    """Mends two silent faults of the pinned stack, in the one order that is right.

    Averaging: FSDP2 asks for a reduce-scatter with AVG, which gloo in torch 2.7 computes as SUM, so
    CPU gradients come out world-size times too large. The factor is measured, not assumed.
    Clipping: Composer 0.32's GradientClipping looks for FSDP1 modules and does nothing under FSDP2.
    After the step's last backward pass the L2 norm over all ranks is logged as `gradient_norm`
    (before clipping).
    """

    def __init__(self, max_grad_norm: float | None) -> None:
        self.max_grad_norm = max_grad_norm
        self._excess: float | None = None
        self.norm = float("nan")

    def match(self, event: Event, state: State) -> bool:
        return event == Event.AFTER_TRAIN_BATCH

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        if self._excess is None:
            self._excess = excess_of_average() if state.fsdp_enabled else 1.0
        gradients = [parameter.grad for parameter in state.model.parameters() if parameter.grad is not None]
        if self._excess != 1.0:
            torch._foreach_div_(gradients, self._excess)
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.max_grad_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(state.model.parameters(), self.max_grad_norm, norm)
        self.norm = float(_whole(norm))
        logger.log_metrics({"gradient_norm": self.norm})


def excess_of_average() -> float:
    """How many times too large this backend's averaging reduce-scatter is: 1, or the world size."""
    size = dist.get_world_size()
    if size == 1:
        return 1.0
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    result = torch.empty(1, device=device)
    torch.distributed.reduce_scatter_tensor(result, torch.ones(size, device=device), op=ReduceOp.AVG)
    return float(result)


def _whole(norm: Any) -> torch.Tensor:
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm

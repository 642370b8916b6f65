"""Gradients as the optimizer sees them: their norm over all ranks measured, then clipped."""

import math
from collections import defaultdict
from typing import Any

import torch
from composer.core import Algorithm, Event, State
from composer.loggers import Logger
from composer.utils.parallelism import FSDPConfig
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.tensor import DTensor


class ClipGradients(Algorithm):
    """Clips the L2 norm of the gradients of all ranks together to `max_grad_norm`; None only measures.

    Composer 0.32's GradientClipping looks for FSDP1 modules and does nothing under FSDP2. After the
    step's last backward pass the norm, before clipping, is kept as `norm` and logged as `gradient_norm`.
    """

    def __init__(self, max_grad_norm: float | None) -> None:
        self.max_grad_norm = max_grad_norm
        self.norm = float("nan")

    def match(self, event: Event, state: State) -> bool:
        return event == Event.AFTER_TRAIN_BATCH

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        limit = math.inf if self.max_grad_norm is None else self.max_grad_norm
        if isinstance(state.fsdp_config, FSDPConfig):
            norm = _clip_fsdp1(state.model, limit)
        else:
            norm = clip([parameter.grad for parameter in state.model.parameters() if parameter.grad is not None], limit)
        self.norm = float(norm)
        logger.log_metrics({"gradient_norm": self.norm})


@torch.no_grad()
def clip(gradients: list[torch.Tensor], limit: float) -> torch.Tensor:
    """Scale `gradients` in place so that their joint L2 norm is at most `limit`; returns it as it was before.

    DTensors count as the whole tensors that they are parts of, whatever mesh each lies on: under
    tensor parallelism some lie on two dimensions, some on one, and torch takes no list of both.
    """
    by_mesh: dict[Any, list[torch.Tensor]] = defaultdict(list)
    for gradient in gradients:
        by_mesh[gradient.device_mesh if isinstance(gradient, DTensor) else None].append(gradient)
    norms = [_whole(torch.nn.utils.get_total_norm(group)) for group in by_mesh.values()]
    norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
    if math.isfinite(limit):
        # As torch.nn.utils.clip_grads_with_norm_, but on each rank's own part.
        scale = torch.clamp(limit / (norm + 1e-6), max=1.0)
        own = [gradient.to_local() if isinstance(gradient, DTensor) else gradient for gradient in gradients]
        torch._foreach_mul_(own, scale)
    return norm


def _clip_fsdp1(model: torch.nn.Module, limit: float) -> torch.Tensor:
    """FSDP1's gradients are plain tensors, of which only its own method knows the whole."""
    roots = [
        module for module in model.modules() if isinstance(module, FullyShardedDataParallel) and module.check_is_root()
    ]
    assert len(roots) == 1, "one FSDP1 root holds all parameters"
    return roots[0].clip_grad_norm_(limit)


def _whole(norm: torch.Tensor) -> torch.Tensor:
    return norm.full_tensor() if isinstance(norm, DTensor) else norm

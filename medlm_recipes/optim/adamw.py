"""Decoupled AdamW from the recipe's keys."""

from typing import Any

import torch
from composer.optim import DecoupledAdamW

from medlm_recipes.config.train import OptimizerKeys


def decoupled_weight_decay(keys: OptimizerKeys) -> float:
    """The share of a weight that Composer's DecoupledAdamW takes away a step at the peak lr.

    It multiplies weights by `1 - (lr / peak_lr) · weight_decay`, so PyTorch's coupled value, which is
    multiplied by lr, is converted as `coupled · peak_lr` (0.1 at 3e-4 becomes 3e-5).
    """
    if keys.decoupled_weight_decay is not None:
        return keys.decoupled_weight_decay
    assert keys.coupled_weight_decay is not None
    return keys.coupled_weight_decay * keys.lr


def build_optimizer(model: torch.nn.Module, keys: OptimizerKeys) -> Any:
    """DecoupledAdamW; biases and LayerNorm weights (parameters with fewer than two axes) do not decay."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim >= 2],
            "weight_decay": decoupled_weight_decay(keys),
        },
        {"params": [parameter for parameter in parameters if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return DecoupledAdamW(groups, lr=keys.lr, betas=(keys.betas[0], keys.betas[1]), eps=keys.eps)

"""FSDP2 as this package uses it."""

import warnings
from typing import Any

from composer.utils.parallelism import FSDP2Config

from medlm_recipes.config.train import ParallelKeys


class _TokenNamedCheckpoints(FSDP2Config):
    @property
    def sharded_ckpt_prefix_dir(self) -> str:
        return CHECKPOINT_NAME


CHECKPOINT_NAME = "tok{token}"
"""Name of a checkpoint's folder, in Composer's format variables: the tokens that it has seen."""


def parallelism(keys: ParallelKeys) -> dict[str, Any] | None:
    """Composer's `parallelism_config`; None trains replicas (DDP) or, on one rank, the bare model."""
    if not keys.fsdp:
        return None
    with warnings.catch_warnings():  # Composer calls FSDP2 experimental on every construction
        warnings.simplefilter("ignore")
        return {"fsdp": _TokenNamedCheckpoints(activation_checkpointing=keys.activation_checkpointing)}

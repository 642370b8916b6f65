"""Composer's parallelism settings as this package uses them."""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from composer.devices import Device, DeviceGPU
from composer.utils.parallelism import FSDP2Config, FSDPConfig, TPConfig

from medlm_recipes.config.parallel import ParallelKeys
from medlm_recipes.errors import ConfigError
from medlm_recipes.parallel.gloo import mend_gloo

UNSEALED_NAME = "tok{token}.partial"
"""Folder that a checkpoint is saved in, in Composer's format variables, before it is sealed and renamed."""


@dataclass
class _ShardedReplicas(FSDP2Config):
    """FSDP2Config with what it leaves out: replicas of the sharded model, and the checkpoints' folder."""

    replicas: int = 1

    @property
    def data_parallel_replicate_degree(self) -> int | None:
        return self.replicas if self.replicas > 1 else None

    @property
    def sharded_ckpt_prefix_dir(self) -> str:
        return UNSEALED_NAME


def check_device(keys: ParallelKeys, device: Device) -> None:
    """Raise ConfigError for what `device` cannot run."""
    if isinstance(device, DeviceGPU):
        return
    if keys.fsdp and keys.fsdp_version == 1:
        raise ConfigError("parallel.fsdp_version: 1 runs on GPUs only, and there is none; set parallel.fsdp_version=2")
    if keys.precision == "amp_bf16":
        raise ConfigError("parallel.precision: amp_bf16 runs on GPUs only, and there is none; set it to auto or fp32")


def device_memory(device: Device) -> int | None:
    """Bytes of this rank's GPU; None on CPU."""
    if not isinstance(device, DeviceGPU):
        return None
    return torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory


def parallelism(keys: ParallelKeys, device: Device) -> dict[str, Any] | None:
    """Composer's `parallelism_config`; None trains replicas (DDP) or, on one rank, the bare model."""
    if not keys.fsdp:
        return None
    if keys.fsdp_version == 1:
        return {"fsdp": _fsdp1(keys)}
    if not isinstance(device, DeviceGPU):
        mend_gloo()
    with warnings.catch_warnings():  # Composer calls FSDP2 experimental on every construction
        warnings.simplefilter("ignore")
        fsdp = _ShardedReplicas(activation_checkpointing=keys.activation_checkpointing, replicas=keys.replicas)
    if keys.tensor_parallel == 1:
        return {"fsdp": fsdp}
    return {"fsdp": fsdp, "tp": TPConfig(tensor_parallel_degree=keys.tensor_parallel)}


def _fsdp1(keys: ParallelKeys) -> FSDPConfig:
    return FSDPConfig(
        activation_checkpointing=keys.activation_checkpointing,
        activation_checkpointing_reentrant=False,
        sharding_strategy="FULL_SHARD" if keys.replicas == 1 else "HYBRID_SHARD",
        data_parallel_replicate_degree=keys.replicas if keys.replicas > 1 else None,
        sharded_ckpt_prefix_dir=UNSEALED_NAME,
        state_dict_type="sharded",
        sync_module_states=True,
    )

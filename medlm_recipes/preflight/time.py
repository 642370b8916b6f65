"""How long training takes, and what it costs: the work of a micro-batch at the rates that were measured. No torch.

The factors come from MPT's measured throughput (calibration), the work from this package's own model, which
moves more bytes. `estimate_time` serves preflight and the planning of sweeps.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.preflight.calibration import Fit, fit, seconds_at_peak
from medlm_recipes.preflight.devices import DEVICES, Device, peak_of
from medlm_recipes.preflight.work import MPT, Blocks, Code, Layout, blocks_of, code_of, optimizer_traffic, work_of
from medlm_recipes.token_math import model_flops_utilization, training_flops_per_token

PARTS = ("matrices", "attention", "memory traffic", "communication", "tensor-parallel sums")

SUMS = 1.3
"""Time of tensor parallelism's sums over that at the data sheet's rate: NCCL's all-reduce over the NVLink of 8 A100
reaches 230 of 300 GB/s (nccl-tests, large messages)."""

OTHER_WORK = 0.4
"""Share by which the time of what the measured code did not do may be off: memory traffic beyond MPT's (at 45 to
95 % of the bandwidth), sums of tensor parallelism. A judgement, not a measurement."""

OTHER_CODE = 0.10
"""Share by which code that the table did not measure may be off besides. A judgement, not a measurement."""


@dataclass(frozen=True)
class TimeEstimate:
    """Of training `tokens` tokens, without validation, checkpoints and waits.

    low, high: seconds that nine of ten runs should lie between. parts: share of the time of each of PARTS.
    cost: in the currency of preflight.price_per_gpu_hour, None without it. kwh: at the devices' highest power,
    the data centre's overhead included. measured_as: the GPU whose measurements the factors are from.
    """

    tokens: int
    seconds: float
    low: float
    high: float
    tokens_per_second: float
    mfu: float
    gpu_hours: float
    cost: float | None
    kwh: float
    parts: dict[str, float]
    measured_as: str
    notes: tuple[str, ...]

    def noting(self, note: str) -> "TimeEstimate":
        return replace(self, notes=(*self.notes, note))


def estimate_time(
    config: TrainConfig,
    vocab_size: int,
    sequence_length: int,
    ranks: int,
    tokens: int,
    blocks: Blocks | None = None,
    counted: dict[str, float] | None = None,
) -> TimeEstimate:
    """The time of training `tokens` tokens as the recipe lays it over `ranks` ranks of `hardware.device`.

    blocks: the sizes of a `model.name: hf`, which the recipe does not state. counted: what a micro-batch's
    operators come to on the very model (Simulator.operators); otherwise the closed form. Raises ConfigError
    when the recipe names no device that is known, trains in fp32, or is of a size that is not given.
    """
    device = _device(config)
    blocks = blocks or blocks_of(config.model, vocab_size, sequence_length)
    if blocks is None:
        raise ConfigError("model.name: the size of an hf model stands in its own config, which is not at hand")
    layout = layout_of(config, sequence_length, ranks)
    name = config.hardware.device
    assert name is not None
    step = step_time(blocks, code_of(config.model), layout, name, config.hardware.node_gbps, counted)
    rate = layout.tokens * (ranks / layout.tensor_parallel) / step.seconds
    seconds = tokens / rate
    gpu_hours = seconds * ranks / 3600
    price = config.preflight.price_per_gpu_hour
    flops = training_flops_per_token(blocks.parameters, blocks.layers, blocks.width, sequence_length)
    return TimeEstimate(
        tokens=tokens,
        seconds=seconds,
        low=seconds / (1 + step.error),
        high=seconds * (1 + step.error),
        tokens_per_second=rate,
        mfu=model_flops_utilization(rate / ranks, flops, peak_of(name)),
        gpu_hours=gpu_hours,
        cost=None if price is None else gpu_hours * price,
        kwh=gpu_hours * device.watts / 1000 * config.preflight.power_usage_effectiveness,
        parts=step.parts,
        measured_as=device.measured_as,
        notes=tuple(_notes(config, name, device, counted is not None)),
    )


@dataclass(frozen=True)
class StepTime:
    """seconds: of a micro-batch. error: share that it may be off either way. parts: shares of PARTS."""

    seconds: float
    error: float
    parts: dict[str, float]


def step_time(
    blocks: Blocks,
    code: Code,
    layout: Layout,
    device: str,
    node_gbps: float | None = None,
    counted: dict[str, float] | None = None,
) -> StepTime:
    """The time of a micro-batch on one rank of a device of DEVICES; counted: as for estimate_time."""
    known, peak = DEVICES[device], peak_of(device)
    measured = _fit(device)
    factors = np.array(measured.factors)
    work = work_of(blocks, code, layout)
    if counted:
        work = replace(work, **counted | {"traffic": counted["traffic"] + optimizer_traffic(blocks, layout)})
    taken = factors * seconds_at_peak(work, known, peak, node_gbps)
    sums = SUMS * work.sums / known.link
    seconds = float(taken.sum()) + sums
    error = measured.error
    if code is not MPT:
        of_mpt = factors * seconds_at_peak(work_of(blocks, MPT, layout), known, peak, node_gbps)
        other = float(abs(taken - of_mpt).sum()) + sums
        error = math.hypot(error, OTHER_CODE, OTHER_WORK * other / seconds)
    parts = [*taken.tolist(), sums]
    return StepTime(seconds, error, {name: part / seconds for name, part in zip(PARTS, parts, strict=True)})


def layout_of(config: TrainConfig, sequence_length: int, ranks: int) -> Layout:
    """How a recipe is laid over `ranks` ranks; check_ranks has found that it can be."""
    keys = config.parallel
    data_ranks = keys.data_ranks(ranks)
    return Layout(
        sequence=sequence_length,
        micro_batch=keys.micro_batch,
        accumulation=max(1, config.global_batch // (data_ranks * keys.micro_batch)),
        ranks=ranks,
        shards=data_ranks // keys.replicas if keys.fsdp else 1,
        devices_per_node=config.hardware.devices_per_node if config.hardware.cluster else min(ranks, 8),
        tensor_parallel=keys.tensor_parallel,
        checkpointing=keys.activation_checkpointing,
        masked=config.model.mask_documents,
    )


def _fit(device: str) -> Fit:
    measured_as = DEVICES[device].measured_as
    return fit(measured_as, DEVICES[measured_as], peak_of(measured_as))


def _device(config: TrainConfig) -> Device:
    name = config.hardware.device
    if name is None:
        raise ConfigError("hardware.device: not given, so that its speed is not known; name a profile: cluster=NAME")
    if name not in DEVICES:
        raise ConfigError(
            f"hardware.device: nothing was measured on {name}; the time is known for {', '.join(DEVICES)}"
        )
    if config.parallel.precision == "fp32":
        raise ConfigError("parallel.precision: fp32 was not measured; the time is known for bf16")
    return DEVICES[name]


def _notes(config: TrainConfig, name: str, device: Device, counted: bool) -> list[str]:
    notes = []
    if name != device.measured_as:
        notes.append(f"nothing was measured on {name}: its data sheet with the factors of {device.measured_as}")
    if config.model.compile:
        notes.append("model.compile is left out: fused operators move fewer bytes")
    if config.model.attention == "eager" and not counted:
        notes.append("attention: eager is left out: it moves the scores through memory, which takes longer")
    if config.model.loss == "plain" and not counted:
        notes.append("loss: plain is taken for the fused one")
    return notes

"""One rank's training steps on fake CUDA, booked in a ledger. Run only in the simulating process."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
import torch.distributed as distributed
from composer.core import Event, Precision, State
from composer.core.precision import get_precision_context
from composer.devices import DeviceGPU
from composer.distributed import prepare_distributed
from composer.distributed.activation_checkpointing import apply_ac, generate_composer_model_check_fn
from composer.loggers import Logger
from composer.models import ComposerModel
from composer.utils.parallelism import ParallelismConfig
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing._internal.distributed.fake_pg import FakeStore

from medlm_recipes.config.parallel import ParallelKeys
from medlm_recipes.config.train import OptimizerKeys
from medlm_recipes.optim.adamw import build_optimizer
from medlm_recipes.parallel.fsdp import parallelism
from medlm_recipes.parallel.gradients import clip
from medlm_recipes.parallel.tensor import TensorParallel
from medlm_recipes.preflight import memory_models
from medlm_recipes.preflight.memory_ledger import Ledger
from medlm_recipes.preflight.memory_setup import RankSetup

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass
class Simulated:
    """depth, parameters: of the whole model; simulated_depth: blocks that were run; blocks: the name of their list.
    peaks: the ledger's."""

    depth: int
    simulated_depth: int
    parameters: int
    blocks: str
    peaks: dict[tuple[str, str], dict[str, int]]


def simulate(setup: RankSetup, depth: int | None = None) -> Simulated:
    """Run training steps of rank 0 until one is like any later one; a validation batch before it where asked for.

    Under `fake_cuda`; a model cut to `depth` blocks.
    """
    with _process_group(setup.ranks):
        model, blocks, whole, parameters = memory_models.build(setup.model, depth)
        state = _laid_out(model, setup)
        with FakeTensorMode(allow_non_fake_inputs=True):
            _onto_gpu(state)
            ledger = Ledger()
            _run(state, setup, blocks, ledger)
    name = next(name for name, module in model.named_modules() if module is blocks)
    return Simulated(whole, len(blocks), parameters, name, ledger.peaks())


@contextlib.contextmanager
def _process_group(ranks: int) -> Iterator[None]:
    """Rank 0 of `ranks`, whose collectives do nothing, with the environment of Composer's launcher."""
    local = min(ranks, 8)
    given = {"RANK": 0, "LOCAL_RANK": 0, "NODE_RANK": 0, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": local}
    os.environ |= {name: str(value) for name, value in given.items()}
    distributed.init_process_group("fake", rank=0, world_size=ranks, store=FakeStore())
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _laid_out(model: ComposerModel, setup: RankSetup) -> State:
    """Composer's state with the model divided and wrapped in the order in which its Trainer does it; on meta."""
    if setup.weights != "fp32":
        model.to(_DTYPES[setup.weights])
    device = DeviceGPU(0)
    keys = ParallelKeys(
        fsdp=setup.sharding != "none",
        replicas=setup.replicas,
        tensor_parallel=setup.tensor_parallel,
        micro_batch=setup.micro_batch,
        activation_checkpointing=setup.activation_checkpointing,
    )
    config = parallelism(keys, device)
    if config:
        config["fsdp"].reshard_after_forward = setup.sharding == "full"
        named = {"param_dtype": setup.compute, "reduce_dtype": setup.reduce}
        config["fsdp"].mixed_precision = {name: dtype for name, dtype in named.items() if dtype}
    state = State(
        model=model,
        rank_zero_seed=0,
        run_name="preflight",
        device=device,
        precision=Precision.AMP_BF16 if setup.autocast else Precision.FP32,
        optimizers=_optimizer(model, setup.optimizer),
        parallelism_config=ParallelismConfig(fsdp2=config["fsdp"], tp=config.get("tp")) if config else None,
    )
    divide = TensorParallel()
    if divide.match(Event.INIT, state):
        divide.apply(Event.INIT, state, Logger(state))
    if config:
        with (
            # Which ranks hold weights is settled by real numbers over real collectives; here none does.
            mock.patch.object(prepare_distributed, "update_sync_module_states_if_needed", lambda *_: None),
            mock.patch.object(prepare_distributed, "meta_init", lambda _: None),
        ):
            prepare_distributed.parallelize_composer_model(
                model, state.optimizers[0], state.fsdp_config, state.precision
            )
    elif setup.activation_checkpointing:
        apply_ac(model, True, False, generate_composer_model_check_fn(model))
    return state


def _onto_gpu(state: State) -> None:
    """Give parameters and buffers empty memory on the GPU; what was tied stays tied."""
    moved: dict[torch.Tensor, torch.nn.Parameter] = {}
    for module in state.model.modules():
        for name, parameter in module._parameters.items():
            if parameter is None:
                continue
            if parameter not in moved:
                empty = torch.empty_like(parameter, device="cuda")
                moved[parameter] = torch.nn.Parameter(empty, requires_grad=parameter.requires_grad)
            module._parameters[name] = moved[parameter]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty_like(buffer, device="cuda")
    for group in state.optimizers[0].param_groups:
        group["params"] = [moved[parameter] for parameter in group["params"]]


def _optimizer(model: torch.nn.Module, name: str) -> torch.optim.Optimizer:
    if name == "decoupled_adamw":
        return build_optimizer(model, OptimizerKeys(lr=1e-4, decoupled_weight_decay=0.0))
    kinds: dict[str, dict[str, Any]] = {
        "adamw": {},
        "adamw_fused": {"fused": True},
        "adamw_loop": {"foreach": False, "fused": False},
    }
    return torch.optim.AdamW(model.parameters(), lr=1e-4, **kinds[name])


def _run(state: State, setup: RankSetup, blocks: torch.nn.ModuleList, ledger: Ledger) -> None:
    model, optimizer = state.model, state.optimizers[0]
    parameters = list(model.parameters())
    ledger.call("parameters", [parameters, list(model.buffers())])
    if setup.sharding == "none" and setup.ranks > 1:
        # DDP's buckets, a second copy of every gradient (gradient_as_bucket_view=False, as Composer makes it).
        buckets = [torch.empty_like(parameter) for parameter in parameters]
        ledger.call("gradients", buckets)
    tokens = torch.zeros(setup.micro_batch, setup.sequence, dtype=torch.int64, device="cuda")
    batch = {"input_ids": tokens, "labels": tokens}
    model.train()
    with ledger.watch(model, blocks):
        if setup.validation:
            # Its forward pass is the first; what the optimizer keeps needs no backward pass before it.
            for parameter in parameters:
                parameter.grad = torch.zeros_like(parameter)
            _update(setup, optimizer, parameters, ledger)
            _validate(state, batch, ledger)
        else:
            _forward_and_backward(state, setup, batch, ledger)
            _update(setup, optimizer, parameters, ledger)
        _forward_and_backward(state, setup, batch, ledger)
        _update(setup, optimizer, parameters, ledger)


def _update(setup: RankSetup, optimizer: Any, parameters: list[torch.Tensor], ledger: Ledger) -> None:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    ledger.call("gradients", gradients)
    ledger.phase, ledger.where = "optimizer", ""
    clip(gradients, 1.0)
    optimizer.step()
    ledger.call("optimizer", [list(held.values()) for held in optimizer.state.values()])


def _forward_and_backward(state: State, setup: RankSetup, batch: dict[str, torch.Tensor], ledger: Ledger) -> None:
    """As Composer's Trainer._train_microbatch: outputs and loss stay on the state, gradients until the next step."""
    ledger.phase, ledger.where = "forward", ""
    if setup.outputs == "step":
        state.outputs = state.loss = None
    if not setup.accumulation:
        state.optimizers[0].zero_grad(set_to_none=True)
    with get_precision_context(state.precision):
        state.outputs = state.model(batch)
        state.loss = state.model.loss(state.outputs, batch)
    loss = torch.zeros(1, device="cuda")
    loss.add_(state.loss.mean())
    loss.mul_(1.0)
    ledger.phase = "head backward"
    loss.backward()


def _validate(state: State, batch: dict[str, torch.Tensor], ledger: Ledger) -> None:
    """As Composer's Trainer._eval_loop."""
    ledger.phase, ledger.where = "validation", ""
    state.model.eval()
    metrics = list(state.model.get_metrics(is_train=False).values())
    for metric in metrics:
        metric._device = torch.device("cuda")  # as after metric.to("cuda"), which fake tensors do not survive
        for name, held in metric.metric_state.items():
            setattr(metric, name, torch.zeros(held.shape, dtype=held.dtype, device="cuda"))
    with torch.no_grad(), get_precision_context(state.precision):
        state.outputs = state.model.eval_forward(dict(batch))
        for metric in metrics:
            state.model.update_metric(batch, state.outputs, metric)
    state.model.train()

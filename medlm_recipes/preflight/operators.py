"""The operators of a micro-batch, counted as they are dispatched. Run only in the simulating process."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from composer.core import Precision
from composer.core.precision import get_precision_context
from composer.distributed.activation_checkpointing import apply_ac, generate_composer_model_check_fn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from medlm_recipes.preflight.memory_models import build
from medlm_recipes.preflight.memory_setup import RankSetup

# Operators that move nothing: views that do not say so, and memory that nobody has written yet.
_STILL = {"aten::detach", "aten::_unsafe_view", "aten::empty", "aten::empty_like", "aten::new_empty"}


@dataclass
class Counts:
    """Of one micro-batch, forward and back. matmul, attention: FLOPs. traffic: bytes that operators read and write."""

    matmul: float = 0
    attention: float = 0
    traffic: float = 0


class Operators(TorchDispatchMode):
    """Adds up what every operator computes and moves; causal attention leaves out half of its scores."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        keywords = keywords or {}
        result = function(*arguments, **keywords)
        if function.namespace == "prim" or function.is_view or function._schema.name in _STILL:
            return result
        packet = function.overloadpacket
        if "attention" in function._schema.name and packet in flop_registry:
            share = 0.5 if _is_causal(function, arguments, keywords) else 1.0
            self.counts.attention += share * flop_registry[packet](*arguments, **keywords, out_val=result)
            return result
        if packet in flop_registry:
            self.counts.matmul += flop_registry[packet](*arguments, **keywords, out_val=result)
        tensors = [leaf for leaf in tree_leaves((arguments, keywords, result)) if isinstance(leaf, torch.Tensor)]
        self.counts.traffic += sum(tensor.numel() * tensor.element_size() for tensor in tensors if tensor.ndim)
        return result


def _is_causal(function: Any, arguments: Any, keywords: Any) -> bool:
    given = {entry.name: value for entry, value in zip(function._schema.arguments, arguments, strict=False)}
    return bool((given | keywords).get("is_causal", False))


def count(setup: RankSetup, depth: int) -> dict[str, Any]:
    """Counts of a model cut to `depth` blocks, without sharding: FSDP hands each block its whole bf16 parameters.

    Under `fake_cuda`. The parameters' own gathering and reduction are communication and stay outside.
    """
    model, blocks, whole, _ = build(setup.model, depth)
    if setup.activation_checkpointing:
        apply_ac(model, True, False, generate_composer_model_check_fn(model))
    precision = Precision.AMP_BF16 if setup.autocast else Precision.FP32
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cuda")
        if setup.compute == "bf16":
            model.to(torch.bfloat16)
        model.train()
        tokens = torch.zeros(setup.micro_batch, setup.sequence, dtype=torch.int64, device="cuda")
        batch = {"input_ids": tokens, "labels": tokens}
        operators = Operators()
        with operators, get_precision_context(precision):
            loss = model.loss(model(batch), batch)
        with operators:
            loss.backward()
    return {"depth": whole, "counted_depth": len(blocks), "counts": asdict(operators.counts)}

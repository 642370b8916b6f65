"""FSDP2 over gloo: gradients of CPU ranks averaged, where torch 2.7 sums them or fails."""

import inspect
from typing import Any

import torch
from torch.distributed.fsdp._fully_shard import _fsdp_collectives, _fsdp_param_group

_VERSION = "2.7."  # what is mended was read there; a later torch may need nothing, or something else

_groups: Any = _fsdp_param_group  # which has foreach_reduce by import
_divide_factors = _fsdp_collectives._get_gradient_divide_factors
_reduce = _fsdp_collectives.foreach_reduce


def mend_gloo() -> None:
    """Make FSDP2 average gradients over CPU ranks; nothing changes for GPUs. Calling it again does nothing.

    torch 2.7.0 asks for collectives with ReduceOp.AVG, for which gloo's reduce-scatter gives the sum
    (gradients come out world-size times too large, in silence) and gloo's all-reduce, the second half
    of hybrid sharding, raises. Here both sum and the result is divided, which is right whatever gloo
    makes of AVG. A CPU's streams record no events, but hybrid sharding asserts one.

    Raises AssertionError when torch is not the one that this was written for.
    """
    if _groups.foreach_reduce is _reduce_with_event:
        return
    assert torch.__version__.startswith(_VERSION), f"gloo is mended for torch {_VERSION}*, not {torch.__version__}"
    parameters = [list(inspect.signature(one).parameters) for one in (_divide_factors, _cpu_divide_factors)]
    assert parameters[0] == parameters[1], parameters[0]
    assert _groups.foreach_reduce is _reduce
    _fsdp_collectives._get_gradient_divide_factors = _cpu_divide_factors
    _groups.foreach_reduce = _reduce_with_event


def _cpu_divide_factors(
    reduce_scatter_group: Any, all_reduce_group: Any, reduce_dtype: Any, device_type: str = ""
) -> Any:
    """By what gradients are divided before and after the collectives; (None, None) would ask for AVG."""
    if device_type != "cpu":
        return _divide_factors(reduce_scatter_group, all_reduce_group, reduce_dtype, device_type)
    return 1.0, float(reduce_scatter_group.size() * (all_reduce_group.size() if all_reduce_group is not None else 1))


def _reduce_with_event(*arguments: Any, **keywords: Any) -> Any:
    result = _reduce(*arguments, **keywords)
    all_reduce_input, event = result[3:5]
    if all_reduce_input is None or event is not None:
        return result
    return (*result[:4], torch.cpu.Event(), *result[5:])

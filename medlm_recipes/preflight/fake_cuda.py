"""CUDA without a GPU, for a process that simulates and is then thrown away: fake tensors that torch takes for a GPU's.

What autograd, autocast and attention keep in memory depends on the device: on CPU tensors attention with
dropout takes a path that keeps whole attention matrices, and autocast has other lists. Fake tensors may
claim to be on CUDA anywhere, but torch 2.7 stops at the first backward pass where no driver is: the
autograd engine asks CUDA's device guard for streams. Here it is handed torch's own guard of the meta
device, which does nothing, by the function that a backend registers its guard with. (torch 2.9 does
this by itself under FakeTensorMode.)

This rewrites tables inside libc10 and functions of torch.cuda, so it runs in a process of its own and
for the torch that it was read for; `fake_cuda` tests what it relies on each time.
"""

import contextlib
import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch.utils.backend_registration import rename_privateuse1_backend

VERSION = "2.7."
"""The torch whose tables and dispatch this was written for."""

_CUDA, _META = 1, 14  # c10::DeviceType
# Places of virtual functions in c10/core/impl/DeviceGuardImplInterface.h, in its order, and how many there are.
_TYPE, _GET_STREAM, _GET_DEFAULT_STREAM, _DEVICE_COUNT, _FUNCTIONS = 0, 5, 6, 14, 23

_kept: list[Any] = []  # what libc10 points to must stay


class FakeCudaError(Exception):
    """This torch is not the one that CUDA can be faked for, or what is faked does not behave as CUDA does."""


@contextlib.contextmanager
def fake_cuda() -> Iterator[None]:
    """Make torch take this machine for one with a GPU that it never touches; use it under FakeTensorMode.

    Raises FakeCudaError, before anything is simulated wrongly, when torch is another than the one that
    this was written for or the self-test fails. The device guard stays replaced afterwards.
    """
    _check()
    _register_guard()
    import torch._subclasses.fake_impls as implementations
    import torch._subclasses.fake_tensor as fake_tensor

    with contextlib.ExitStack() as stack:
        for name, value in _REPLACED.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        stack.enter_context(mock.patch.object(fake_tensor, "init_gpu_context", lambda device: None))
        # `.item()` of a fake tensor: step counts and norms, none of which decides what is computed.
        stack.enter_context(
            mock.patch.dict(
                implementations.op_implementations_dict, {torch.ops.aten._local_scalar_dense.default: _any_number}
            )
        )
        # The engine would start a thread for each device that it believes in.
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        library = torch.library.Library("aten", "IMPL")
        for key in ("AutogradCUDA", "CUDA"):
            library.impl("scaled_dot_product_attention", _attention, key)
        stack.callback(library._destroy)
        self_test()
        yield


def self_test() -> None:
    """Raise FakeCudaError unless a small model under fake CUDA does what one on a GPU does.

    The cases are those by which a CPU simulation goes wrong: autocast's types, fused attention under
    dropout, and a gradient that is summed from two branches, for which the engine asks for streams.
    """
    try:
        found = _small_step()
    except Exception as error:
        raise FakeCudaError(f"torch {torch.__version__}'s fake CUDA cannot run a training step: {error}") from error
    expected = {
        "linear": torch.bfloat16,
        "layer_norm": torch.float32,
        "attention": "ScaledDotProductFlashAttentionBackward0",
        "gradient": "cuda:0",
    }
    wrong = [f"{name} is {found[name]}, not {value}" for name, value in expected.items() if found[name] != value]
    if wrong:
        raise FakeCudaError(f"torch {torch.__version__}'s fake CUDA does not do what CUDA does: {'; '.join(wrong)}")


def _small_step() -> dict[str, Any]:
    from torch._subclasses.fake_tensor import FakeTensorMode

    found: dict[str, Any] = {}
    with FakeTensorMode():
        layer = torch.nn.Linear(64, 64, device="cuda")
        with torch.autocast("cuda", dtype=torch.bfloat16):
            states = layer(torch.empty(2, 64, 64, device="cuda"))
            found["linear"] = states.dtype
            norm = F.layer_norm(states, (64,))
            found["layer_norm"] = norm.dtype
            heads = states.view(2, 64, 4, 16).transpose(1, 2)
            attention = F.scaled_dot_product_attention(heads, heads, heads, dropout_p=0.1, is_causal=True)
            found["attention"] = attention.grad_fn is not None and type(attention.grad_fn).__name__
            loss = (attention.transpose(1, 2).reshape(2, 64, 64) + norm).sum()
        loss.backward()
        gradient = layer.weight.grad
        found["gradient"] = None if gradient is None else str(gradient.device)
    return found


def _check() -> None:
    if not torch.__version__.startswith(VERSION):
        raise FakeCudaError(f"CUDA is faked for torch {VERSION}*, and this is torch {torch.__version__}")
    if torch.cuda.is_available() and not _kept:
        raise FakeCudaError("the process sees a GPU; hide it by CUDA_VISIBLE_DEVICES= before torch is imported")


def _register_guard() -> None:
    """Register a copy of the meta device's guard for CUDA, which also answers for the default stream."""
    if _kept:
        return
    library = ctypes.CDLL(str(next((Path(torch.__file__).parent / "lib").glob("libc10.*"))))
    pointer = ctypes.c_void_p
    try:
        guards = (pointer * (_META + 1)).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
        register = library["_ZN3c104impl24DeviceGuardImplRegistrarC1ENS_10DeviceTypeEPKNS0_24DeviceGuardImplInterfaceE"]
    except (AttributeError, ValueError) as error:
        raise FakeCudaError(f"torch {torch.__version__} has no such table of device guards: {error}") from None
    meta = guards[_META]
    if not meta:
        raise FakeCudaError(f"torch {torch.__version__} has no device guard for meta tensors")
    functions = (pointer * _FUNCTIONS).from_address(pointer.from_address(meta).value or 0)
    ask = ctypes.CFUNCTYPE(ctypes.c_int8, pointer)
    answers = [ask(functions[place] or 0)(meta) for place in (_TYPE, _DEVICE_COUNT)]
    if answers != [_META, 1]:
        raise FakeCudaError(f"torch {torch.__version__}: its device guards have another layout ({answers})")
    copied = (pointer * _FUNCTIONS)(*functions)
    copied[_GET_DEFAULT_STREAM] = copied[_GET_STREAM]
    guard = (pointer * 2)(ctypes.addressof(copied), 0)
    register.argtypes, register.restype = [pointer, ctypes.c_int8, pointer], None
    register(None, _CUDA, ctypes.addressof(guard))
    _kept.extend([copied, guard])
    # With another accelerator named, the engine leaves CUDA's streams alone.
    rename_privateuse1_backend("none")


def _any_number(mode: Any, function: Any, tensor: torch.Tensor) -> float | bool:
    if tensor.dtype == torch.bool:
        return True
    return 1.0 if tensor.dtype.is_floating_point else 1


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """scaled_dot_product_attention as torch 2.7 dispatches it on GPUs since Ampere (aten's sdp_utils.cpp).

    Flash attention in half precision without a mask and for heads of up to 256, otherwise the
    memory-efficient kernel; the choice itself asks a driver.
    """
    half = query.dtype in (torch.float16, torch.bfloat16)
    size = query.size(-1)
    if half and attn_mask is None and size <= 256:
        scale = size**-0.5 if scale is None else scale
        padding = -size % 8
        if padding:
            query, key, value = (F.pad(tensor, [0, padding]) for tensor in (query, key, value))
        result = torch.ops.aten._scaled_dot_product_flash_attention(
            query, key, value, dropout_p, is_causal, scale=scale
        )[0]
        return result[..., :size] if padding else result
    if enable_gqa:  # which this kernel does not know
        key = key.repeat_interleave(query.size(1) // key.size(1), 1)
        value = value.repeat_interleave(query.size(1) // value.size(1), 1)
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype)
        attn_mask = attn_mask.expand(*query.shape[:3], key.size(2))
    keeps = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (query, key, value))
    return torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, attn_mask, keeps, dropout_p, is_causal, scale=scale
    )[0]


class _Stream:
    """A stream on which nothing ever runs."""

    device = torch.device("cuda", 0)

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        pass

    def record_event(self, event: Any = None) -> Any:
        return event or _Event()

    def wait_stream(self, stream: Any) -> None:
        pass

    def wait_event(self, event: Any) -> None:
        pass

    def synchronize(self) -> None:
        pass


class _Event:
    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        pass

    def record(self, stream: Any = None) -> None:
        pass

    def wait(self, stream: Any = None) -> None:
        pass

    def synchronize(self) -> None:
        pass


_stream = _Stream()

# torch.cuda's functions that FSDP2, Composer and autocast call
_REPLACED: dict[str, Any] = {
    "_lazy_init": lambda: None,
    "is_available": lambda: True,
    "is_initialized": lambda: True,
    "is_bf16_supported": lambda *arguments, **keywords: True,
    "is_current_stream_capturing": lambda: False,
    "get_device_capability": lambda device=None: (8, 0),
    "get_device_name": lambda device=None: "fake",
    "device_count": lambda: 8,
    "current_device": lambda: 0,
    "set_device": lambda device: None,
    "Stream": _Stream,
    "Event": _Event,
    "current_stream": lambda device=None: _stream,
    "default_stream": lambda device=None: _stream,
    "stream": lambda stream: contextlib.nullcontext(),
    "synchronize": lambda device=None: None,
    "empty_cache": lambda: None,
    "manual_seed": lambda seed: None,
    "manual_seed_all": lambda seed: None,
    # activation checkpointing keeps the generator's state
    "get_rng_state": lambda *arguments: torch.zeros(16, dtype=torch.uint8),
    "set_rng_state": lambda *arguments: None,
}

"""A ledger of the GPU memory that a simulated rank allocates and frees, and what it is for.

Beside torch.distributed._tools' FSDPMemTracker, whose totals it reproduces (benchmarks/preflight_memory.py
compares them), it tells logits and loss from activations, knows replicas as well as FSDP2, and keeps the
whole course, from which the peak of every place in the model can be read and carried over to another depth.
"""

import contextlib
import math
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.distributed._tools import fake_collectives  # noqa: F401  # registers collectives of fake tensors
from torch.distributed._tools.common_utils import get_untyped_storages
from torch.distributed.fsdp._fully_shard._fsdp_param_group import FSDPParamGroup
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.weak import WeakIdKeyDictionary

from medlm_recipes.preflight.memory_kinds import KINDS

_BLOCK = 512
"""torch's CUDA allocator rounds to this many bytes (c10/cuda/CUDACachingAllocator.cpp, kMinBlockSize)."""

_BORN = {
    "forward": "activations",
    "recompute": "activations",
    "head": "logits and loss",
    "head backward": "logits and loss",
    "backward": "temporary",
    "optimizer": "temporary",
    "validation": "activations",
    "validation head": "logits and loss",
}
"""phase -> what an allocation is taken for unless it turns out to be something that lasts"""


class Ledger(TorchDispatchMode):
    """Under this mode every storage on a CUDA device is booked when an operator returns it and when it dies.

    `phase` is set by who runs the step; `where` is the module whose forward or backward pass is running.
    """

    def __init__(self) -> None:
        super().__init__()
        self.phase = "forward"
        self.where = ""
        self._override: str | None = None
        self._kinds: list[str] = []  # of each allocation
        self._owners: list[int] = []  # of each event: the number of its allocation
        self._deltas: list[int] = []  # of each event: bytes
        self._places: list[int] = []  # of each event: the number of its place
        self._place_numbers: dict[tuple[str, str], int] = {}
        self._booked: Any = WeakIdKeyDictionary()  # storage -> [number of its allocation, bytes]

    # ------------------------------------------------------------------ what is booked

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        if function is torch.ops._c10d_functional.wait_tensor.default:
            result = arguments[0]  # its fake form returns a copy, which eager code does not
        else:
            result = function(*arguments, **(keywords or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "cuda":
                self._book(tensor)
        hidden = _WORKSPACES.get(function)
        if hidden is not None:
            self._event(self._allocation("temporary"), hidden(*arguments))
            self._event(len(self._kinds) - 1, -self._deltas[-1])
        return result

    def call(self, kind: str, tensors: Any) -> None:
        """Say what tensors that exist, and last, are for; those not seen yet are booked."""
        for tensor in tree_iter(tensors):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "cuda":
                for entry in self._book(tensor):
                    self._kinds[entry[0]] = kind

    @contextlib.contextmanager
    def born_as(self, kind: str) -> Iterator[None]:
        """What is allocated inside is of this kind whatever the phase."""
        before, self._override = self._override, kind
        try:
            yield
        finally:
            self._override = before

    def _book(self, tensor: torch.Tensor) -> list[list[int]]:
        entries = []
        for storage in get_untyped_storages(tensor):
            entry = self._booked.get(storage)
            if entry is None:
                number = self._allocation(self._override or _BORN[self.phase])
                entry = [number, _rounded(storage.size())]
                self._booked[storage] = entry
                weakref.finalize(storage, self._die, entry).atexit = False
                self._event(number, entry[1])
            entries.append(entry)
        return entries

    def _allocation(self, kind: str) -> int:
        self._kinds.append(kind)
        return len(self._kinds) - 1

    def _die(self, entry: list[int]) -> None:
        self._event(entry[0], -entry[1])

    def _resized(self, storage: torch.UntypedStorage, size: int) -> None:
        entry = self._booked.get(storage)
        if entry is not None:
            self._event(entry[0], _rounded(size) - entry[1])
            entry[1] = _rounded(size)

    def _event(self, number: int, delta: int) -> None:
        self._owners.append(number)
        self._deltas.append(delta)
        place = (self.phase, self.where)
        self._places.append(self._place_numbers.setdefault(place, len(self._place_numbers)))

    # ------------------------------------------------------------------ where it is booked

    @contextlib.contextmanager
    def watch(self, model: torch.nn.Module, blocks: torch.nn.ModuleList) -> Iterator[None]:
        """Follow FSDP2's collectives, storages that it frees and fills, and the modules that run."""
        with contextlib.ExitStack() as stack:
            resize = torch.UntypedStorage.resize_

            def resize_and_book(storage: torch.UntypedStorage, size: int) -> None:
                resize(storage, size)
                self._resized(storage, size)

            stack.enter_context(mock.patch.object(torch.UntypedStorage, "resize_", resize_and_book))
            for name in ("unshard", "wait_for_unshard"):
                stack.enter_context(self._kind_of_method(name, "gathered parameters"))
            stack.enter_context(self._kind_of_method("post_backward", "gradients", _unsharded_gradients))
            stack.enter_context(self._inside_dtensor())
            for module_name, module in model.named_modules():
                self._follow(module, module_name.replace("._checkpoint_wrapped_module", ""), stack)
            blocks[-1].register_forward_hook(self._enter_head)
            stack.enter_context(self)
            yield

    def _kind_of_method(self, name: str, kind: str, lasting: Callable[[Any], Any] | None = None) -> Any:
        original = getattr(FSDPParamGroup, name)

        def method(group: Any, *arguments: Any, **keywords: Any) -> Any:
            if lasting:
                self.call(kind, lasting(group))
            with self.born_as(kind):
                return original(group, *arguments, **keywords)

        return mock.patch.object(FSDPParamGroup, name, method)

    def _inside_dtensor(self) -> Any:
        """Modes are off inside a DTensor's operator, whose local tensors are memory all the same."""
        dispatcher = DTensor._op_dispatcher
        original = dispatcher.dispatch

        def dispatch(*arguments: Any, **keywords: Any) -> Any:
            with self:
                return original(*arguments, **keywords)

        return mock.patch.object(dispatcher, "dispatch", dispatch)

    def _follow(self, module: torch.nn.Module, name: str, stack: contextlib.ExitStack) -> None:
        """`where` becomes the module when its forward pass begins, or the gradient of its output arrives."""
        outside: list[tuple[str, str]] = []

        def before(*_: Any) -> None:
            outside.append((self.phase, self.where))
            self.where = name
            if self.phase == "backward":
                self.phase = "recompute"

        def after(_module: Any, _inputs: Any, output: Any) -> None:
            self.phase, self.where = outside.pop() if self.phase == "recompute" else (self.phase, outside.pop()[1])
            if self.phase in ("forward", "head"):
                for tensor in tree_iter(output):
                    if isinstance(tensor, torch.Tensor) and tensor.requires_grad:
                        tensor.register_hook(partial(self._arrive, name))

        stack.callback(module.register_forward_pre_hook(before, prepend=True).remove)
        stack.callback(module.register_forward_hook(after, always_call=True).remove)

    def _arrive(self, name: str, _gradient: Any) -> None:
        self.where = name

    def _enter_head(self, _module: Any, _inputs: Any, output: Any) -> None:
        """After the last block come the output layer and the loss; its gradient is the first of the blocks'."""
        heads = {"forward": "head", "validation": "validation head"}
        if self.phase not in heads:
            return
        self.phase = heads[self.phase]
        states = next(tensor for tensor in tree_iter(output) if isinstance(tensor, torch.Tensor))
        if states.requires_grad:
            states.register_hook(self._leave_head)

    def _leave_head(self, _gradient: Any) -> None:
        self.phase = "backward"

    # ------------------------------------------------------------------ what comes of it

    def peaks(self) -> dict[tuple[str, str], dict[str, int]]:
        """(phase, module) -> bytes by kind when most was allocated there."""
        deltas = np.array(self._deltas, dtype=np.int64)
        kinds = np.array([KINDS.index(kind) for kind in self._kinds], dtype=np.int64)[self._owners]
        course = np.stack([np.where(kinds == number, deltas, 0).cumsum() for number in range(len(KINDS))])
        total = course.sum(0)
        places = np.array(self._places)
        found = {}
        for place, number in self._place_numbers.items():
            events = np.flatnonzero(places == number)
            top = events[total[events].argmax()]
            found[place] = {kind: int(course[index, top]) for index, kind in enumerate(KINDS)}
        return found


def _rounded(size: int) -> int:
    return math.ceil(size / _BLOCK) * _BLOCK


def _unsharded_gradients(group: Any) -> list[torch.Tensor]:
    parameters = [one._unsharded_param for one in group.fsdp_params if hasattr(one, "_unsharded_param")]
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _flash_backward(gradient: torch.Tensor, query: torch.Tensor, key: torch.Tensor, *_: Any) -> int:
    """fp32 sums of dQ, rounded to whole 32s of the head, and one fp32 a row (flash_api.cpp, mha_bwd); copies of
    dK and dV for every query head where heads share keys."""
    batch, heads, length, size = query.shape
    rows = batch * heads * -(-length // 128) * 128
    shared = 0 if key.size(1) == heads else 2 * batch * heads * key.size(2) * size * key.element_size()
    return rows * (-(-size // 32) * 32 + 1) * 4 + shared


def _efficient_backward(gradient: torch.Tensor, query: torch.Tensor, *_: Any) -> int:
    """fp32 sums of dQ where it is not fp32 itself (kernel_backward.h, workspace_size)."""
    return 0 if query.dtype == torch.float32 else query.numel() * 4


_WORKSPACES: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_backward.default: _flash_backward,
    torch.ops.aten._scaled_dot_product_efficient_attention_backward.default: _efficient_backward,
}
"""operator -> bytes that it allocates and frees inside, which its fake form does not show"""

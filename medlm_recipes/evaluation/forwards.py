"""Forward passes of a Hugging Face causal language model for scoring, a live and sharded one's too."""

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import torch
from torch import distributed
from transformers import DynamicCache

_NEEDED = {"position_ids", "past_key_values"}


class PrefixCache(DynamicCache):
    """Keys and values of a prefix, (1, heads, prefix, width) a layer, which a forward pass continues.

    grow: keep those of the continuation too. The prefix's own tensors are shared with the cache that
    they come from and never changed. Not a `DynamicCache` in place, since FSDP2 takes that apart to
    cast its tensors and hands every block a copy, whose new keys are lost.
    """

    def __init__(self, prefix: "PrefixCache | None", grow: bool) -> None:
        super().__init__()
        self.key_cache: list[torch.Tensor] = list(prefix.key_cache) if prefix else []
        self.value_cache: list[torch.Tensor] = list(prefix.value_cache) if prefix else []
        self._grow = grow

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, cache_kwargs: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if layer_idx < len(self.key_cache):
            key_states = torch.cat([self.key_cache[layer_idx], key_states], -2)
            value_states = torch.cat([self.value_cache[layer_idx], value_states], -2)
        if self._grow:
            self.key_cache[layer_idx : layer_idx + 1] = [key_states]
            self.value_cache[layer_idx : layer_idx + 1] = [value_states]
        return key_states, value_states


class Forwards:
    """Calls `model`, a bare Hugging Face causal language model, between `open` and its end.

    lockstep: the model is sharded over the ranks of `group` (None: all), so that a pass of one is a pass of
    all. Every rank asks before each of its passes whether any has one, and makes empty ones until none has.
    """

    def __init__(self, model: Any, lockstep: bool = False, group: Any = None) -> None:
        self.model = model
        self.device: torch.device = model.device
        self.takes = signature(type(model).forward).parameters.keys()
        self._lockstep = lockstep
        self._group = group

    @contextmanager
    def open(self) -> Iterator[None]:
        """The model in eval mode, with its class's own forward: training puts another in its place (fused loss)."""
        model, config = self.model, self.model.config
        training = [module for module in model.modules() if module.training]
        replaced = [(module, module.__dict__.pop("forward")) for module in model.modules() if "forward" in vars(module)]
        attention = config._attn_implementation
        if attention == "flash_attention_2":
            config._attn_implementation = "sdpa"  # which takes masks of any form
        model.eval()
        try:
            with torch.no_grad():
                yield
                while self._lockstep and self._any(False):
                    model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=self.device), use_cache=False)
        finally:
            config._attn_implementation = attention
            for module, forward in replaced:
                module.forward = forward
            for module in training:
                module.training = True

    def __call__(
        self,
        tokens: torch.Tensor,
        keep: torch.Tensor,
        cache: DynamicCache | None = None,
        positions: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits (batch, kept, vocab) of `tokens` (batch, sequence) at the places in `keep`.

        mask: (batch, 1, sequence, cached + sequence) of 0 and -inf; None: every token sees all before it.
        """
        if self._lockstep:
            self._any(True)
        inputs = {"input_ids": tokens, "attention_mask": mask, "past_key_values": cache, "position_ids": positions}
        given = {name: value for name, value in inputs.items() if value is not None}
        if "logits_to_keep" in self.takes:
            return self.model(**given, use_cache=cache is not None, logits_to_keep=keep).logits
        return self.model(**given, use_cache=cache is not None).logits[:, keep]

    def _any(self, mine: bool) -> bool:
        working = torch.tensor(int(mine), device=self.device)
        distributed.all_reduce(working, distributed.ReduceOp.MAX, group=self._group)
        return bool(working)


def can_share(forwards: Forwards) -> bool:
    """Whether the model computes the same for tokens that stand aside from those they follow, told by two masks.

    Not so where a token's place in memory is its position (ALiBi) or there are no keys and values to keep.
    """
    model, config = forwards.model, forwards.model.config
    masks = config._attn_implementation in ("sdpa", "flash_attention_2") and not getattr(config, "alibi", False)
    if not (masks and forwards.takes >= _NEEDED):
        return False
    half = min(16, (window_of(model) or 32) // 2)
    ids = torch.arange(3 * half, device=forwards.device)[None] * 7919 % model.config.vocab_size
    prefix, aside, branch = ids.split(half, 1)
    last = torch.arange(half, 2 * half, device=forwards.device)
    with forwards.open():
        straight = forwards(torch.cat([prefix, branch], 1), last)
        cache = PrefixCache(None, grow=True)
        forwards(prefix, last - half, cache)
        visible = torch.ones(2 * half, 3 * half, dtype=torch.bool, device=forwards.device).tril(half)
        visible[half:, half : 2 * half] = False
        both, positions = torch.cat([aside, branch], 1), last.repeat(2)[None]
        apart = forwards(both, last, PrefixCache(cache, grow=False), positions, additive(visible, model.dtype))
    one, other = (logits.float().log_softmax(-1) for logits in (straight, apart))
    exact = model.dtype == torch.float32 and not torch.is_autocast_enabled(forwards.device.type)
    near = 1e-3 if exact else 5e-2
    return bool((one - other).abs().mean() < near)


def window_of(model: Any) -> int | None:
    """How many tokens back the model's attention sees; None: all."""
    return getattr(model.config, "sliding_window", None)


def additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The mask (1, 1, rows, columns) of 0 and -inf, which every attention of transformers takes, of a bool one."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(~visible, -torch.inf)[None, None]

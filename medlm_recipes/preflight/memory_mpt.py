"""MPT as llm-foundry trained it for its published throughput table, in what it keeps in memory.

The rows of data/reference that preflight is held against are runs of this model: flash attention that takes
padding out and puts it back, LayerNorm in bf16, flash-attn's fused cross-entropy (mosaicml/llm-foundry,
llmfoundry/models/mpt and layers/attention.py, 2023). It is not a model to train: its loss is empty.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers.modeling_outputs import CausalLMOutput


class MPT(nn.Module):
    """input_ids and labels, (batch, sequence) int64, to logits, and a loss that has a gradient."""

    def __init__(self, n_layer: int, n_head: int, n_embd: int, vocab_size: int, sequence: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, n_embd)
        self.positions = nn.Embedding(sequence, n_embd)
        self.blocks = nn.ModuleList(_Block(n_embd, n_head) for _ in range(n_layer))
        self.norm = nn.LayerNorm(n_embd)

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> CausalLMOutput:
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        states = self.tokens(input_ids) + self.positions(places)[None]
        for block in self.blocks:
            states = block(states)
        logits = F.linear(self.norm(states), self.tokens.weight)
        loss = _FusedCrossEntropy.apply(logits.view(-1, logits.size(-1)), torch.roll(labels, -1).view(-1))
        return CausalLMOutput(loss=loss, logits=logits)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        batch, length, width = states.shape
        parts = self.qkv(self.norm_1(states)).chunk(3, -1)
        # Copies without padding (flash-attn's unpad_input), and one of the output with it (pad_input).
        query, key, value = (part.clone().view(batch, length, self.heads, -1).transpose(1, 2) for part in parts)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2)
        states = states + self.out(attended.reshape(batch, length, width).clone())
        return states + self.down(F.gelu(self.up(self.norm_2(states))))


class _FusedCrossEntropy(torch.autograd.Function):
    """What flash-attn's fused loss keeps and makes: the logits and a row of fp32 sums, then their gradient."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        sums = torch.empty(len(logits), device=logits.device, dtype=torch.float32)
        ctx.save_for_backward(logits, sums, labels)
        return logits.new_empty((), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.empty_like(ctx.saved_tensors[0]), None

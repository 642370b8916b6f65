"""Next-token cross-entropy that never holds the logits of a whole batch."""

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

IGNORED = -100
"""Label of a position that has no loss, as in torch and transformers."""

CHUNK_ELEMENTS = 1 << 26
"""Logits at once: 256 MiB in fp32. At a vocabulary of 28,896 that is 2,304 tokens, enough to fill a GPU's matmul."""


def chunk_tokens(vocab: int) -> int:
    """Tokens whose logits are made at once: as many as CHUNK_ELEMENTS hold, in whole 128s."""
    return max(CHUNK_ELEMENTS // vocab // 128 * 128, 128)


def next_token_loss(
    states: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    labels: torch.Tensor,
    chunk: int | None = None,
) -> torch.Tensor:
    """Mean cross-entropy (nats, fp32 scalar) of predicting each token from the hidden state before it.

    states: (batch, sequence, width); weight: (vocab, width) and bias: (vocab,) of the output layer;
    labels: (batch, sequence) int64, unshifted, IGNORED where there is no loss. `chunk` tokens are
    taken at once. The loss is finite only where at least one label is not ignored.

    The gradients are computed with the loss, chunk by chunk, as Liger Kernel does (Hsu et al. 2024,
    arXiv 2410.10989): recomputing the logits in the backward pass, as activation checkpointing would,
    costs a third matmul of the output layer. The weight's gradient is summed in fp32.
    """
    shifted = functional.pad(labels[:, 1:], (0, 1), value=IGNORED).flatten()
    with_gradients = torch.is_grad_enabled()
    size = chunk or chunk_tokens(weight.shape[0])
    loss: torch.Tensor = _ChunkedCrossEntropy.apply(states.flatten(0, 1), weight, bias, shifted, size, with_gradients)
    return loss


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        labels: torch.Tensor,
        chunk: int,
        with_gradients: bool,
    ) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float32, device=states.device)
        count = (labels != IGNORED).sum()
        d_states = torch.empty_like(states) if with_gradients else None
        d_weight: torch.Tensor | None = None
        d_bias: torch.Tensor | None = None
        for start in range(0, len(states), chunk):
            targets = labels[start : start + chunk].unsqueeze(1)
            ignored = targets == IGNORED
            targets = targets.clamp_min(0)
            # Zeroed states take an ignored token out of the weight's gradient without a pass over the logits.
            part = states[start : start + chunk].masked_fill(ignored, 0)
            # What follows is as large as the logits each time; what is done with goes at once.
            scores = functional.linear(part, weight, bias)
            dtype, scores = scores.dtype, scores.float()
            scores = torch.log_softmax(scores, -1)
            total -= scores.gather(1, targets).masked_fill_(ignored, 0).sum()
            if d_states is not None:
                # d loss / d logits = probabilities - one-hot, written over the log-probabilities.
                minus_one = torch.full_like(targets, -1, dtype=torch.float32)
                scores = scores.exp_().scatter_add_(1, targets, minus_one).to(dtype)
                d_states[start : start + chunk] = (scores @ weight).masked_fill_(ignored, 0)
                d_weight = _add(d_weight, scores.T @ part)
                if bias is not None:
                    d_bias = _add(d_bias, ((~ignored).to(dtype).T @ scores)[0])
            del scores
        ctx.gradients = (d_states, d_weight, d_bias)
        ctx.dtypes = (states.dtype, weight.dtype, None if bias is None else bias.dtype)
        ctx.count = count
        return total / count

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scale = gradient / ctx.count
        # Scaled in place: they are this pass's alone, and the weight's is as large as the embedding.
        scaled = [
            None if own is None else own.mul_(scale).to(dtype)
            for own, dtype in zip(ctx.gradients, ctx.dtypes, strict=True)
        ]
        ctx.gradients = None
        return (*scaled, None, None, None)


def _add(total: torch.Tensor | None, more: torch.Tensor) -> torch.Tensor:
    return more.float() if total is None else total.add_(more)

"""Packed rows taken apart: what confines attention to one document."""

from typing import Any

import torch


def begins_after(input_ids: torch.Tensor, end_of_text: int) -> torch.Tensor:
    """Which tokens of `input_ids` (batch, sequence) begin a document, as bool: a row's first and those behind an end.

    A document ends with its end-of-text token; a row's first may be the rest of one.
    """
    ends = input_ids == end_of_text
    return torch.nn.functional.pad(ends[:, :-1], (1, 0), value=True)


def document_inputs(begins: torch.Tensor, attention: str, dtype: torch.dtype) -> dict[str, Any]:
    """Model inputs under which a token sees its own document only; `begins` (batch, sequence) says where one begins.

    Positions count from the document's first token (or the row's), so that the model computes what it
    would for the document alone, with learned positions as with rotary ones; the price is that late
    learned positions are trained by long documents only.

    For flash-attn: document bounds over the flattened batch (its varlen kernel). Otherwise a mask
    (batch, 1, sequence, sequence) of 0 and -inf in `dtype`, which every attention of transformers takes.
    """
    sequence = begins.shape[1]
    index = torch.arange(sequence, device=begins.device)
    first = torch.where(begins, index, 0).cummax(1).values
    inputs: dict[str, Any] = {"position_ids": index - first}
    if attention == "flash_attention_2":
        bounds = begins.flatten().nonzero().flatten().to(torch.int32)
        bounds = torch.nn.functional.pad(bounds, (0, 1), value=begins.numel())
        # The kernel takes any bound on a document's length; the exact one would stall the device.
        return inputs | {
            "cu_seq_lens_q": bounds,
            "cu_seq_lens_k": bounds,
            "max_length_q": sequence,
            "max_length_k": sequence,
        }
    same = (first.unsqueeze(2) == first.unsqueeze(1)).tril()
    mask = torch.zeros(same.shape, dtype=dtype, device=same.device).masked_fill_(~same, -torch.inf)
    return inputs | {"attention_mask": mask.unsqueeze(1)}

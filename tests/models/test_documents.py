from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.models.building import build_model
from medlm_recipes.models.causal_lm import TrainedCausalLM
from medlm_recipes.models.documents import begins_after, document_inputs

END = 0
SHAPES = {
    "gpt2": {"n_layer": 2, "n_head": 2, "n_embd": 16},
    "llama": {"n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_embd": 16, "n_ffn": 24},
}
# Two rows: three documents, the last one cut off; one whole row.
ROWS = torch.tensor([[5, 6, 7, END, 8, 9, END, 10, 11, 12], [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]])
DOCUMENTS = [(0, 0, 4), (0, 4, 7), (0, 7, 10), (1, 0, 10)]


def model_of(name: str, attention: str, mask: bool = True) -> TrainedCausalLM:
    torch.manual_seed(0)
    keys = ModelKeys(name=name, attention=attention, mask_documents=mask, **SHAPES[name])  # type: ignore[arg-type]
    return TrainedCausalLM(build_model(keys, 20, 16, END), keys, END).eval()


def agrees_with_each_document_alone(model: TrainedCausalLM) -> bool:
    with torch.no_grad():
        packed = model({"input_ids": ROWS}).logits
        alone = [model({"input_ids": ROWS[row : row + 1, start:end]}).logits[0] for row, start, end in DOCUMENTS]
    pairs = [(packed[row, start:end], logits) for (row, start, end), logits in zip(DOCUMENTS, alone, strict=True)]
    return all(torch.allclose(ours, theirs, atol=1e-6) for ours, theirs in pairs)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", SHAPES)
def test_a_packed_document_has_the_logits_that_it_has_alone(name: str, attention: str) -> None:
    assert agrees_with_each_document_alone(model_of(name, attention))
    assert not agrees_with_each_document_alone(model_of(name, attention, mask=False))


@pytest.mark.parametrize("name", SHAPES)
def test_flash_attention_is_given_the_documents_bounds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """flash-attn needs a GPU; a stand-in that attends within the given bounds takes its place in transformers."""

    def attend(
        module: Any, query: Any, key: Any, value: Any, mask: Any, cu_seq_lens_q: Any, max_length_q: int, **_: Any
    ) -> tuple[torch.Tensor, None]:
        assert mask is None and max_length_q == query.shape[2]
        flat = [part.transpose(1, 2).flatten(0, 1).transpose(0, 1) for part in (query, key, value)]
        pieces = [
            scaled_dot_product_attention(*(part[:, start:end] for part in flat), is_causal=True, enable_gqa=True)
            for start, end in pairwise(cu_seq_lens_q)
        ]
        batch, heads, sequence, size = query.shape
        return torch.cat(pieces, 1).transpose(0, 1).reshape(batch, sequence, heads, size), None

    model = model_of(name, "sdpa")
    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "flash_attention_2", attend)
    model.config._attn_implementation = "flash_attention_2"
    assert agrees_with_each_document_alone(model)


def test_bounds_positions_and_mask_of_a_row() -> None:
    flash = document_inputs(begins_after(ROWS, END), "flash_attention_2", torch.float32)
    assert flash["cu_seq_lens_q"].tolist() == [0, 4, 7, 10, 20] and flash["cu_seq_lens_q"].dtype == torch.int32
    assert flash["position_ids"][0].tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2]
    mask = document_inputs(begins_after(ROWS, END), "sdpa", torch.bfloat16)["attention_mask"]
    assert mask.shape == (2, 1, 10, 10) and mask.dtype == torch.bfloat16
    assert (mask[0, 0, 5] == 0).nonzero().flatten().tolist() == [4, 5]


@pytest.mark.parametrize("name", SHAPES)
def test_rows_without_a_mask_of_documents_take_causal_attention_by_its_flag(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mask in its place, as transformers makes one, would keep the flash kernel out and double the work."""
    given = []

    def attend(*tensors: Any, attn_mask: Any = None, is_causal: bool = False, **settings: Any) -> torch.Tensor:
        given.append((attn_mask, is_causal))
        return scaled_dot_product_attention(*tensors, attn_mask=attn_mask, is_causal=is_causal, **settings)

    model = model_of(name, "sdpa", mask=False)
    padded = torch.ones_like(ROWS)
    expected = model.model.base_model(input_ids=ROWS, attention_mask=padded)[0]
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attend)
    logits = model({"input_ids": ROWS}).logits
    assert given == [(None, True)] * 2
    assert torch.allclose(logits, model.model.get_output_embeddings()(expected), atol=1e-6)
    padded[0, 5:] = 0  # as in evaluation, where rows of a batch differ in length
    model({"input_ids": ROWS, "attention_mask": padded})
    assert given[-1][0] is not None

from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.models import loss as fused
from medlm_recipes.models.building import build_model
from medlm_recipes.models.causal_lm import TrainedCausalLM
from medlm_recipes.models.loss import IGNORED, chunk_tokens, next_token_loss

BATCH, SEQUENCE, VOCAB, WIDTH = 3, 16, 50, 8


class LargestTensor(TorchDispatchMode):
    """Elements of the largest tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(made) if isinstance(leaf, torch.Tensor)]
        self.elements = max([self.elements, *sizes])
        return made


def inputs(with_bias: bool, dtype: torch.dtype = torch.float32) -> tuple[list[torch.Tensor], torch.Tensor]:
    torch.manual_seed(0)
    shapes = [(BATCH, SEQUENCE, WIDTH), (VOCAB, WIDTH), *([(VOCAB,)] if with_bias else [])]
    labels = torch.randint(VOCAB, (BATCH, SEQUENCE))
    labels[0, 3:9] = IGNORED
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes], labels


def plain_loss(leaves: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    states, weight, *bias = leaves
    logits = functional.linear(states, weight, *bias)[:, :-1].flatten(0, 1).float()
    return functional.cross_entropy(logits, labels[:, 1:].flatten(), ignore_index=IGNORED)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("chunk", [7, 16, 1_000])
def test_loss_and_gradients_are_those_of_plain_cross_entropy(chunk: int, with_bias: bool) -> None:
    leaves, labels = inputs(with_bias)
    expected = plain_loss(leaves, labels)
    expected_gradients = torch.autograd.grad(0.37 * expected, leaves)
    states, weight, *bias = leaves
    loss = next_token_loss(states, weight, bias[0] if bias else None, labels, chunk)
    gradients = torch.autograd.grad(0.37 * loss, leaves)
    assert abs(loss - expected) < 1e-6
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        assert (ours - theirs).abs().max() < 1e-6


def test_bfloat16_gradients_are_nearer_to_the_truth_than_plain_ones() -> None:
    (states, weight), labels = inputs(False)
    exact = torch.autograd.grad(plain_loss([states, weight], labels), [states, weight])
    halves = [tensor.detach().bfloat16().requires_grad_() for tensor in (states, weight)]
    ours = torch.autograd.grad(next_token_loss(*halves, None, labels, 7), halves)
    theirs = torch.autograd.grad(plain_loss(halves, labels), halves)
    assert ours[0].dtype == ours[1].dtype == torch.bfloat16
    for own, other, truth in zip(ours, theirs, exact, strict=True):
        assert (own - truth).norm() < 1.1 * (other - truth).norm()


def test_mixed_dtypes_under_autocast_are_those_of_plain_cross_entropy() -> None:
    """Under amp_bf16 the last norm gives fp32 states, and FSDP a bf16 weight."""
    (states, weight), labels = inputs(False)
    leaves = [states, weight.detach().bfloat16().requires_grad_()]
    with torch.autocast("cpu", torch.bfloat16):
        expected, loss = plain_loss(leaves, labels), next_token_loss(*leaves, None, labels, 7)
    assert abs(loss - expected) < 1e-6 and loss.dtype == torch.float32
    for ours, theirs in zip(torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, leaves), strict=True):
        assert ours.dtype == theirs.dtype and torch.allclose(ours.float(), theirs.float(), atol=2e-4, rtol=2e-2)


def test_without_gradients_only_the_loss_is_computed() -> None:
    (states, weight), labels = inputs(False)
    with torch.no_grad():
        assert not next_token_loss(states, weight, None, labels, 7).requires_grad


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_no_tensor_of_batch_by_sequence_by_vocabulary_is_made(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "CHUNK_ELEMENTS", 128 * 900)
    made = {}
    losses = {}
    for loss in ("fused", "plain"):
        torch.manual_seed(0)
        keys = ModelKeys(name=name, n_layer=1, n_head=2, n_embd=16, n_ffn=32 if name == "llama" else None, loss=loss)
        model = TrainedCausalLM(build_model(keys, 900, 64, 0), keys, 0).train()
        ids = torch.randint(900, (8, 64))
        with LargestTensor() as largest:
            output = model({"input_ids": ids, "labels": ids})
            losses[loss] = model.loss(output, {})
            losses[loss].backward()
            with torch.no_grad():
                assert model.eval().eval_forward({"input_ids": ids, "labels": ids}) == losses[loss]
        made[loss] = largest.elements
    assert abs(losses["fused"] - losses["plain"]) < 1e-6
    assert made["plain"] >= 8 * 63 * 900
    assert made["fused"] == 128 * 900  # one chunk of the 512 tokens


def test_the_chunk_fills_a_matmul_and_bounds_the_memory() -> None:
    assert [chunk_tokens(vocab) for vocab in (28_896, 32_000, 128_256, 10**9)] == [2_304, 2_048, 512, 128]


@pytest.mark.parametrize("loss", ["fused", "plain"])
def test_validation_in_bfloat16_weighs_tokens_and_sums_in_fp32(loss: str) -> None:
    torch.manual_seed(0)
    keys = ModelKeys(name="gpt2", n_layer=1, n_head=2, n_embd=16, loss=loss)
    model = TrainedCausalLM(build_model(keys, 900, 64, 0), keys, 0).eval().bfloat16()
    metric = model.get_metrics(is_train=False)["LanguageCrossEntropy"]
    rows = torch.randint(900, (12, 64))
    labels = rows.clone()
    labels[3:6, 5:] = IGNORED
    labels[6:9] = IGNORED
    with torch.no_grad():
        for start in range(0, 12, 3):  # one batch of which has no token to weigh
            batch = {"input_ids": rows[start : start + 3], "labels": labels[start : start + 3]}
            model.update_metric(batch, model.eval_forward(batch), metric)
        logits = model({"input_ids": rows}).logits.float()
    expected = functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)
    assert abs(metric.compute() - expected) < 1e-5
    metric.update(torch.tensor(torch.nan), labels[:3])
    assert metric.compute().isnan()

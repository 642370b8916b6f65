from functools import partial

import pytest
import torch

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.models.building import build_model
from medlm_recipes.models.causal_lm import TrainedCausalLM


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_compiled_blocks_compute_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced whole, forward and backward, by the backend that makes no kernels: inductor takes a minute here."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    found = []
    for compiled in (False, True):
        torch.manual_seed(0)
        keys = ModelKeys(name=name, n_layer=2, n_head=2, n_embd=16, compile=compiled)
        if name == "llama":
            keys.n_ffn = 32
        model = TrainedCausalLM(build_model(keys, 50, 16, 0), keys, 0).train()
        assert not any("_orig_mod" in parameter for parameter in model.state_dict())
        ids = torch.arange(32).reshape(2, 16)
        loss = model({"input_ids": ids, "labels": ids}).loss
        loss.backward()
        found.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
    for plain, compiled_one in zip(*found, strict=True):
        assert torch.allclose(plain, compiled_one, atol=1e-6)

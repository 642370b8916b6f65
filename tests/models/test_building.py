from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.errors import ConfigError
from medlm_recipes.models.building import build_model, grow_vocabulary, rebuild_model, transformer_blocks
from medlm_recipes.models.causal_lm import TrainedCausalLM
from medlm_recipes.models.shape import shape_of

GPT2 = ModelKeys(name="gpt2", n_layer=2, n_head=2, n_embd=16)
LLAMA = ModelKeys(name="llama", n_layer=2, n_head=4, n_kv_head=2, n_embd=16, n_ffn=24)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved Llama of 60 tokens, as a user's folder of pretrained weights."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(1)
    build_model(LLAMA, 60, 32, 0).bfloat16().save_pretrained(folder)
    return folder


def small(model_type: str) -> AutoModelForCausalLM:
    """An architecture of transformers, small, with random weights."""
    size = {"num_hidden_layers": 3, "hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2}
    config = AutoConfig.for_model(model_type, vocab_size=60, intermediate_size=24, **size)
    return AutoModelForCausalLM.from_config(config)


@pytest.mark.parametrize("keys", [GPT2, LLAMA], ids=lambda keys: keys.name)
def test_parameters_are_those_of_the_formula(keys: ModelKeys) -> None:
    keys = ModelKeys(**{**keys.__dict__, "pad_vocab_to_multiple_of": 64})
    shape = shape_of(keys, 100, 32)
    assert shape is not None
    model = build_model(keys, 100, 32, 0)
    assert model.num_parameters() == shape.parameters and model.config.vocab_size == 128
    trained = TrainedCausalLM(model, keys, 0)
    assert trained.flops_per_token(32) == shape.flops_per_token
    assert trained.flops_per_batch({"input_ids": torch.zeros(3, 32)}) == 96 * shape.flops_per_token


@pytest.mark.parametrize("name", ["llama", "hf"])
def test_pretrained_weights_are_loaded_in_fp32_and_grown_by_their_mean(base: Path, name: str) -> None:
    keys = ModelKeys(**{**(LLAMA.__dict__ if name == "llama" else {}), "name": name, "pretrained": str(base)})
    keys.pad_vocab_to_multiple_of = 8
    first, second = (build_model(keys, 61, 32, 0) for _ in range(2))
    old = AutoModelForCausalLM.from_pretrained(base, torch_dtype=torch.float32)
    for ours, again, theirs in zip(first.parameters(), second.parameters(), old.parameters(), strict=True):
        assert ours.dtype == torch.float32 and torch.equal(ours, again)
        assert torch.equal(ours[: len(theirs)], theirs)
    for embedding in (first.get_input_embeddings(), first.get_output_embeddings()):
        assert len(embedding.weight) == first.config.vocab_size == 64
        assert torch.equal(embedding.weight[60:], embedding.weight[:60].mean(0).expand(4, -1))


def test_the_meta_device_gives_the_shape_of_pretrained_without_its_weights(base: Path) -> None:
    with torch.device("meta"):
        model = build_model(ModelKeys(name="hf", pretrained=str(base)), 70, 32, 0)
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"} and model.config.vocab_size == 70


def test_rows_are_never_taken_away_and_tied_matrices_stay_one() -> None:
    model = build_model(GPT2, 60, 32, 0)
    grow_vocabulary(model, 50)
    assert model.config.vocab_size == 60
    grow_vocabulary(model, 64)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert model.config.vocab_size == len(model.get_input_embeddings().weight) == 64


@pytest.mark.parametrize("keys", [GPT2, LLAMA], ids=lambda keys: keys.name)
def test_a_model_is_rebuilt_from_its_config_alone(keys: ModelKeys) -> None:
    model = build_model(keys, 60, 32, 0).eval()
    again = rebuild_model(model.config.to_dict(), keys).eval()
    again.load_state_dict(model.state_dict())
    ids = torch.arange(32).unsqueeze(0)
    assert torch.equal(model(input_ids=ids).logits, again(input_ids=ids).logits)
    tied = again.get_input_embeddings().weight is again.get_output_embeddings().weight
    assert tied == (keys.name == "gpt2")


@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2", "phi", "gpt_neox", "mixtral"])
def test_blocks_of_other_architectures_are_found_and_the_fused_loss_is_theirs(model_type: str) -> None:
    model = small(model_type)
    blocks = transformer_blocks(model)
    assert len(blocks) == 3 and {type(block).__name__ for block in blocks} <= set(model._no_split_modules)
    ids = torch.arange(24).reshape(2, 12)
    expected = model(input_ids=ids, labels=ids).loss
    trained = TrainedCausalLM(model, ModelKeys(name="hf", pretrained="x"), 0).eval()
    assert abs(trained({"input_ids": ids, "labels": ids}).loss - expected) < 1e-6
    assert trained({"input_ids": ids}).logits.shape == (2, 12, 60)


def test_what_a_base_cannot_do_is_refused(base: Path) -> None:
    with pytest.raises(ConfigError, match=r"final_logit_softcapping.*set model.loss=plain"):
        TrainedCausalLM(small("gemma2"), ModelKeys(name="hf", pretrained="x"), 0)
    with pytest.raises(ConfigError, match="flash_attention_2 needs flash-attn"):
        build_model(ModelKeys(**{**GPT2.__dict__, "attention": "flash_attention_2"}), 60, 32, 0)
    with pytest.raises(ConfigError, match="sliding-window"):
        TrainedCausalLM(small("mistral"), ModelKeys(name="hf", pretrained="x", mask_documents=True), 0)
    with pytest.raises(ConfigError, match="num_hidden_layers 2, the recipe says 3"):
        build_model(ModelKeys(**{**LLAMA.__dict__, "n_layer": 3, "pretrained": str(base)}), 60, 32, 0)
    with pytest.raises(ConfigError, match="takes 32 tokens at most"):
        build_model(ModelKeys(name="hf", pretrained=str(base)), 60, 64, 0)
    with pytest.raises(ConfigError, match=r"model\.pretrained: /nowhere cannot be loaded"):
        build_model(ModelKeys(name="hf", pretrained="/nowhere"), 60, 64, 0)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"name": "gpt2", "n_layer": 2, "n_head": 2}, ("n_embd", "missing")),
        ({"name": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": 8, "n_ffn": 9}, ("n_ffn", "has no such setting")),
        ({"name": "hf"}, ("pretrained", "missing")),
        ({"name": "hf", "pretrained": "x", "n_layer": 2}, ("n_layer", "has no such setting")),
        ({**LLAMA.__dict__, "n_kv_head": 3}, ("n_kv_head", "does not divide n_head 4")),
        ({**LLAMA.__dict__, "trust_remote_code": True}, ("pretrained", "not given")),
        ({**GPT2.__dict__, "mask_documents": True, "loss": "plain"}, ("mask_documents", "loss: fused")),
    ],
)
def test_impossible_keys_are_named(given: dict[str, object], problem: tuple[str, str]) -> None:
    (name, what), *rest = ModelKeys(**given).problems()  # type: ignore[arg-type]
    assert not rest and name == problem[0] and problem[1] in what

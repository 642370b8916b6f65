"""Simulated ranks against figures found with torch's own tracker, and against what can be counted by hand."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from launch import ROOT

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.preflight import memory_simulator
from medlm_recipes.preflight.memory import ESTIMATED, SIMULATED, memory_report
from medlm_recipes.preflight.memory_closed_form import closed_form
from medlm_recipes.preflight.memory_setup import RankSetup, setup_of
from medlm_recipes.preflight.memory_simulator import SimulationError, Simulator
from medlm_recipes.preflight.memory_verdict import GIB


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as process:
        yield process


def gpt2(activation: str, dropout: float, **changes: Any) -> RankSetup:
    """2.7B under Hugging Face settings, as the figures were found: bf16 by FSDP2, rank 0 of 128."""
    shape = {
        "model_type": "gpt2", "vocab_size": 28_896, "n_positions": 1024, "n_layer": 32, "n_head": 20, "n_embd": 2560,
        "activation_function": activation, "attn_pdrop": dropout, "embd_pdrop": dropout, "resid_pdrop": dropout,
    }  # fmt: skip
    setup = RankSetup(
        model={"huggingface": shape}, micro_batch=8, sequence=1024, ranks=128,
        reduce="bf16", autocast=False, optimizer="adamw", outputs="step",
    )  # fmt: skip
    return replace(setup, **changes)


@pytest.mark.parametrize(
    ("setup", "found", "phase"),
    [
        (gpt2("gelu_pytorch_tanh", 0.0), 24.99, "head backward"),
        (gpt2("gelu_pytorch_tanh", 0.0, activation_checkpointing=True), 4.96, "head backward"),
        (gpt2("gelu_new", 0.1, autocast=True), 58.8, "head backward"),
        (gpt2("gelu_new", 0.1, autocast=True, activation_checkpointing=True), 5.22, "backward"),
    ],
    ids=["fused", "fused-checkpointed", "as-shipped", "as-shipped-checkpointed"],
)
def test_figures_of_gpt2_on_128_ranks(simulator: Simulator, setup: RankSetup, found: float, phase: str) -> None:
    memory = simulator.memory(setup)
    assert memory.peak.total / GIB == pytest.approx(found, rel=0.005) and memory.peak.phase == phase
    assert memory.parameters == 2_594_247_680 and memory.depth == 32
    formula = closed_form(setup)
    assert formula and formula.total == pytest.approx(memory.peak.total, rel=0.03) and formula.phase == phase


def small(**changes: Any) -> RankSetup:
    """A GPT-2 of two blocks in fp32 on one GPU without FSDP, of which everything can be counted."""
    shape = {"model_type": "gpt2", "vocab_size": 512, "n_positions": 128, "n_layer": 2, "n_head": 4, "n_embd": 256}
    setup = RankSetup(
        model={"huggingface": shape}, micro_batch=4, sequence=128,
        sharding="none", compute=None, reduce=None, autocast=False,
    )  # fmt: skip
    return replace(setup, **changes)


def test_states_are_the_parameters_times_their_bytes(simulator: Simulator) -> None:
    """Tensors of 256 wide are whole blocks of the allocator's 512 bytes, so that nothing is rounded."""
    one = simulator.memory(small())
    size = 4 * one.parameters
    step = one.phases()["optimizer"].kinds
    steps = 512 * (2 * 12 + 4)  # a count a parameter, in a block of its own
    buffers = 2 * (128 * 128 + 512)  # GPT-2's causal mask in bytes and its number, a block
    assert step["parameters"] == size + buffers and step["gradients"] == size
    assert step["optimizer"] == 2 * size + steps
    assert one.peak.kinds["gathered parameters"] == 0
    buckets = simulator.memory(small(ranks=4)).phases()["optimizer"].kinds
    assert buckets["gradients"] == 2 * size and buckets["parameters"] == size + buffers
    halves = simulator.memory(small(weights="bf16")).phases()["optimizer"].kinds
    assert halves["parameters"] == size / 2 + buffers and halves["optimizer"] == size + steps


def test_sharding_divides_states_and_gathers_blocks(simulator: Simulator) -> None:
    whole = simulator.memory(small(sharding="full", ranks=1))
    sharded = simulator.memory(small(sharding="full", ranks=4))
    replicas = simulator.memory(small(sharding="full", ranks=4, replicas=4))
    own = [memory.phases()["optimizer"].kinds["parameters"] for memory in (whole, sharded, replicas)]
    assert own == pytest.approx([4 * whole.parameters, whole.parameters, 4 * whole.parameters], rel=0.03)
    kept = simulator.memory(small(sharding="grad_op", ranks=4))
    gathered = [memory.phases()["head"].kinds["gathered parameters"] for memory in (kept, sharded)]
    assert gathered[0] >= 4 * whole.parameters > 1.5 * gathered[1] > 0


def test_dropout_does_not_make_attention_matrices(simulator: Simulator) -> None:
    """What a simulation on CPU tensors gets wrong by a factor: there attention with dropout keeps its matrices."""
    activations = [
        simulator.memory(small(autocast=True, **changes)).phases()["head"].kinds["activations"]
        for changes in ({}, {"sequence": 64, "micro_batch": 8})
    ]
    assert activations[0] == pytest.approx(activations[1], rel=0.02)  # of the tokens, not of their square


def recipe(name: str, *overrides: str) -> TrainConfig:
    given = ["run=x", "shards=x", "tokenizer=x", *overrides]
    return load_config(TrainConfig, ROOT / "yamls" / "train" / f"{name}.yaml", given)


def test_a_recipe_under_tensor_parallelism(simulator: Simulator) -> None:
    config = recipe("meditron-7b", "cluster=a100-40gb-128", "model.n_layer=4", "parallel.micro_batch=1")
    setup = setup_of(config, 32_014, 512, 0, 128)
    assert setup.tensor_parallel == 2 and setup.activation_checkpointing and setup.validation
    divided = simulator.memory(setup)
    whole = simulator.memory(replace(setup, tensor_parallel=1, ranks=64))
    assert divided.parameters == whole.parameters
    gathered = [memory.phases()["backward"].kinds["gathered parameters"] for memory in (divided, whole)]
    root = 2 * (2 * 32_064 * 4096 + 4096)  # embedding and output layer, which stay whole, in bf16
    assert gathered[0] - root == pytest.approx((gathered[1] - root) / 2, rel=0.01)
    assert {"validation", "validation head"} <= divided.phases().keys()


SMALL = ["model.n_layer=2", "model.n_embd=256", "model.n_head=4", "parallel.micro_batch=4", "global_batch=64"]


def test_report_of_a_recipe(simulator: Simulator) -> None:
    report = memory_report(recipe("biomedlm-125m", *SMALL, "cluster=single-gpu"), 512, 128, 0, 1, simulator)
    assert report.method == SIMULATED and report.verdict.word == "fits" and report.estimate
    assert report.peak == max(report.phases.values(), key=lambda peak: peak.total)
    assert report.largest_micro_batch and report.largest_micro_batch > 1000
    assert report.largest_even_micro_batch == 64  # a rank's share is all that it can take
    (checkpointed,) = report.alternatives
    assert checkpointed.settings == {"activation_checkpointing": True}
    assert checkpointed.peak.total < report.peak.total
    assert checkpointed.largest_micro_batch and checkpointed.largest_micro_batch > report.largest_micro_batch


def test_closed_form_where_nothing_can_be_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_simulator.sys, "executable", "/bin/false")
    with Simulator() as broken:
        report = memory_report(recipe("biomedlm-2.7b", "cluster=a100-40gb-128"), 28_896, 1024, 0, 128, broken)
    assert report.method == ESTIMATED and "closed form" in report.notes[0]
    assert report.peak.total / GIB == pytest.approx(25.3, rel=0.02)
    assert report.verdict.word == "fits" and report.largest_micro_batch == 10 and report.largest_even_micro_batch == 8
    unknown = recipe("continue-hf", "cluster=a100-40gb-128")
    with pytest.raises(SimulationError, match="ended with 1"), Simulator() as broken:
        memory_report(unknown, 28_896, 1024, 0, 128, broken)


def test_a_model_that_cannot_be_built_is_the_users_to_mend(simulator: Simulator) -> None:
    config = recipe("continue-hf", "model.pretrained=/nowhere", "cluster=a100-40gb-128")
    with pytest.raises(ConfigError, match=r"model\.pretrained: /nowhere cannot be loaded"):
        simulator.memory(setup_of(config, 28_896, 1024, 0, 128))


def test_another_torch_or_other_attention_is_refused_loudly() -> None:
    script = """
import torch
from medlm_recipes.preflight import fake_cuda as module

def refused():
    try:
        with module.fake_cuda():
            return "accepted"
    except module.FakeCudaError as error:
        return str(error)

own = torch.__version__
torch.__version__ = "2.8.0"
print(refused())
torch.__version__ = own
print(refused())
flash = module._attention
module._attention = lambda q, k, v, *settings: (q @ k.transpose(-1, -2)).softmax(-1) @ v
print(refused())
module._attention = flash
print(refused())
"""
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    other, own, unfused, again = answer.stdout.splitlines()
    assert own == again == "accepted"
    assert "for torch 2.7.*, and this is torch 2.8.0" in other
    assert "attention is" in unfused and "not ScaledDotProductFlashAttentionBackward0" in unfused

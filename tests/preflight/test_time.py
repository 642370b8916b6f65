"""Time and cost against published figures, and the counts of work behind them against PyTorch's own."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from launch import ROOT
from torch.utils.flop_counter import FlopCounterMode

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.model import ModelKeys
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.models.building import build_model
from medlm_recipes.preflight.calibration import leave_one_out, measured, seconds_at_peak, seconds_of_row, work_of_row
from medlm_recipes.preflight.devices import DEVICES, peak_of
from medlm_recipes.preflight.time import TimeEstimate, estimate_time, layout_of, step_time
from medlm_recipes.preflight.work import GPT2, Blocks, Code, Layout, blocks_of, work_of

GPT = ModelKeys(name="gpt2", n_layer=2, n_head=4, n_embd=64)
LLAMAS = ModelKeys(name="llama", n_layer=2, n_head=4, n_kv_head=2, n_embd=64, n_ffn=160)


def recipe(name: str, *overrides: str) -> TrainConfig:
    given = ["run=x", "shards=x", "tokenizer=x", *overrides]
    return load_config(TrainConfig, ROOT / f"yamls/train/{name}.yaml", given)


def estimated(name: str, *overrides: str, tokens: int = 10**9) -> TimeEstimate:
    config = recipe(name, *overrides)
    keys, ranks = config.preflight, config.hardware.ranks
    assert keys.vocab_size and keys.sequence_length and ranks
    return estimate_time(config, keys.vocab_size, keys.sequence_length, ranks, tokens)


def test_published_throughput_is_predicted_from_the_other_rows() -> None:
    errors: list[float] = []
    for gpu in ("a100-40gb", "a100-80gb", "h100-80gb"):
        parts = [seconds_at_peak(work_of_row(row), DEVICES[gpu], peak_of(gpu)) for row in measured(gpu)]
        seconds = np.array([seconds_of_row(row) for row in measured(gpu)])
        errors += abs(leave_one_out(np.array(parts), seconds) - 1).tolist()
    assert len(errors) == 209
    assert np.median(errors) < 0.035 and np.quantile(errors, 0.9) < 0.10


def test_biomedlms_published_time_lies_inside_what_is_stated_for_the_code_that_it_ran() -> None:
    blocks = Blocks(32, 2560, 2560, 10240, gated=False, vocab=28_896, positions=1024, tied=True)
    as_shipped = Code(966, 0, 0, 376, 0, 0, logits=48, chunked=False)  # benchmarks/preflight.py
    step = step_time(blocks, as_shipped, Layout(1024, 8, 1, 128, 128, 8, checkpointing=True), "a100-40gb")
    days = 300e9 / (8 * 1024 * 128 / step.seconds) / 86_400
    assert days / (1 + step.error) < 6.25 < days * (1 + step.error) and step.error < 0.25
    ours = estimated("biomedlm-2.7b", "cluster=a100-40gb-128", tokens=300 * 10**9)
    assert ours.high < 6.25 * 86_400  # fused GELU and loss, no dropout


@pytest.mark.parametrize("keys", [GPT, LLAMAS], ids=["gpt2", "llama"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_flops_are_those_that_torch_counts(keys: ModelKeys, checkpointing: bool) -> None:
    sequence, micro_batch = 32, 2
    model = build_model(replace(keys, attention="eager"), 300, sequence, 0)
    model.train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    ids = torch.randint(300, (micro_batch, sequence))
    with FlopCounterMode(display=False) as counted:
        model(input_ids=ids, labels=ids).loss.backward()
    blocks = blocks_of(keys, 300, sequence)
    assert blocks
    layout = Layout(sequence, micro_batch, 1, 1, 1, 1, checkpointing=checkpointing, masked=True)
    work = work_of(blocks, GPT2, layout)
    # Eager attention keeps its scores: flash's backward pass counts half of the forward's FLOPs once more.
    flash_again = 2 * blocks.layers * blocks.width * sequence * layout.tokens
    expected = work.matmul + work.attention - flash_again
    assert counted.get_total_flops() == pytest.approx(expected, rel=1e-4)  # Llama multiplies its rotations out


def test_what_costs_time_costs_time() -> None:
    plain = estimated("biomedlm-2.7b", "cluster=a100-40gb-128")
    assert plain.low < plain.seconds < plain.high
    assert sum(plain.parts.values()) == pytest.approx(1)
    again = estimated("biomedlm-2.7b", "cluster=a100-40gb-128", "parallel.activation_checkpointing=true")
    assert 1.15 < again.seconds / plain.seconds < 1.4
    slow = estimated("biomedlm-2.7b", "cluster=a100-40gb-128", "hardware.node_gbps=200")
    assert slow.seconds > 1.5 * plain.seconds and slow.parts["communication"] > 0.5


def test_bytes_to_other_ranks_go_where_the_layout_sends_them() -> None:
    blocks = Blocks(2, 64, 64, 256, gated=False, vocab=300, positions=32, tied=True)
    size = blocks.parameters

    def moved(ranks: int, shards: int, tensor_parallel: int = 1, accumulation: int = 1) -> tuple[float, float, float]:
        work = work_of(blocks, GPT2, Layout(32, 1, accumulation, ranks, shards, 8, tensor_parallel))
        return work.link / size, work.network / size, work.sums

    assert moved(1, 1) == (0, 0, 0)
    assert moved(8, 8) == (7, 0, 0)  # 2 x 2 bytes gathered, 4 reduced, but for the own eighth
    assert moved(16, 16) == (0, 7.5, 0)
    assert moved(16, 8) == (7, 4, 0)  # each host sums its copy with the other's: 2 x 4 bytes, half of it sent
    assert moved(8, 1) == (7, 0, 0) and moved(8, 1, accumulation=4)[0] == 7 / 4  # DDP, once a step
    link, network, sums = moved(8, 4, tensor_parallel=2)
    assert (link, network) == (3, 0) and sums == 2 * 4 * 2 * 64 * 32


def test_cost_and_energy_follow_from_the_gpu_hours() -> None:
    priced = estimated(
        "biomedlm-2.7b",
        "cluster=a100-40gb-128",
        "preflight.price_per_gpu_hour=2.5",
        "preflight.power_usage_effectiveness=1.5",
    )
    assert priced.gpu_hours == pytest.approx(priced.seconds * 128 / 3600)
    assert priced.cost == pytest.approx(2.5 * priced.gpu_hours)
    assert priced.kwh == pytest.approx(0.4 * 1.5 * priced.gpu_hours)
    assert estimated("biomedlm-2.7b", "cluster=a100-40gb-128").cost is None


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("biomedlm-2.7b", [], "cluster=NAME"),
        ("biomedlm-2.7b", ["cluster=a100-40gb-128", "hardware.device=tpu-v4"], "nothing was measured on tpu-v4"),
        ("biomedlm-2.7b", ["cluster=a100-40gb-128", "parallel.precision=fp32"], "fp32 was not measured"),
        ("continue-hf", ["cluster=a100-40gb-128"], "its own config"),
    ],
)
def test_what_was_not_measured_is_not_estimated(name: str, overrides: list[str], words: str) -> None:
    config = recipe(name, *overrides)
    with pytest.raises(ConfigError, match=words):
        estimate_time(config, 28_896, 1024, 128, 10**9)


def test_a_device_that_was_not_measured_says_so() -> None:
    time = estimated("biomedlm-2.7b", "cluster=h100-80gb-64", "hardware.device=h200-141gb")
    assert time.measured_as == "h100-80gb" and "h200-141gb" in time.notes[0]
    assert time.seconds < estimated("biomedlm-2.7b", "cluster=h100-80gb-64").seconds


def test_a_recipe_is_laid_out_as_training_lays_it() -> None:
    layout = layout_of(recipe("meditron-7b", "cluster=a100-40gb-128"), 2048, 128)
    assert (layout.shards, layout.tensor_parallel, layout.accumulation) == (64, 2, 1)
    layout = layout_of(recipe("biomedlm-2.7b", "cluster=a100-40gb-128", "parallel.replicas=16"), 1024, 128)
    assert (layout.shards, layout.accumulation) == (8, 1)


def test_estimating_imports_nothing_heavy() -> None:
    code = (
        "import sys, medlm_recipes.preflight.time\n"
        "assert not {'torch', 'transformers', 'composer', 'matplotlib'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)

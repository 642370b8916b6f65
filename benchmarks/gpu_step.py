"""MFU of a recipe's training step on one GPU, beside Hugging Face's own model under autocast; no Trainer.

    python benchmarks/gpu_step.py [RECIPE] [MICRO_BATCH] [key=value ...]     # default: biomedlm-2.7b, 8

Ours: the package's model (fused GELU, fused loss) with a unit of FSDP2 a block as in training, bf16
compute over fp32 master weights, and its optimizer. Theirs: the GPT2LMHeadModel that transformers ships
(gelu_new, dropout 0.1, logits and loss in one piece) under CUDA autocast with torch's AdamW; GPT-2 only.
MFU is token_math's formula over the GPU's dense bf16 peak. Prints the versions that ran; on a machine
without a GPU, say so: the figures are then of no use but to try the script.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from transformers import GPT2Config, GPT2LMHeadModel

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.models.building import build_model, transformer_blocks
from medlm_recipes.models.loss import next_token_loss
from medlm_recipes.optim.adamw import build_optimizer
from medlm_recipes.token_math import bf16_peak, model_flops_utilization, training_flops_per_token

STEPS, WARM_UP, VOCABULARY = 20, 5, 28_896  # BioMedLM's vocabulary
YAMLS = Path(__file__).parents[1] / "yamls/train"


def ours(config: TrainConfig, sequence: int, device: torch.device) -> tuple[Callable[[Any], None], int]:
    with device:
        model = build_model(config.model, VOCABULARY, sequence, 0)
    parameters = model.num_parameters()
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)

    def forward(input_ids: torch.Tensor) -> torch.Tensor:
        head = model.get_output_embeddings()
        states = model.base_model(input_ids=input_ids, use_cache=False)[0]
        return next_token_loss(states, head.weight, head.bias, input_ids)

    model.forward = forward
    for block in transformer_blocks(model):
        fully_shard(block, mp_policy=policy)
    fully_shard(model, mp_policy=policy)
    optimizer = build_optimizer(model, config.optimizer)

    def step(ids: torch.Tensor) -> None:
        model(ids).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, parameters


def theirs(config: TrainConfig, sequence: int, device: torch.device) -> tuple[Callable[[Any], None], int]:
    keys = config.model
    shape = GPT2Config(
        vocab_size=VOCABULARY, n_positions=sequence, n_layer=keys.n_layer, n_head=keys.n_head, n_embd=keys.n_embd
    )
    with device:
        model = GPT2LMHeadModel(shape).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.optimizer.lr)

    def step(ids: torch.Tensor) -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, model.num_parameters()


def measure(step: Callable[[Any], None], ids: torch.Tensor) -> float:
    """Median seconds of a step."""
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        step(ids)
        if ids.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:])


def main() -> None:
    words = sys.argv[1:]
    overrides = [word for word in words if "=" in word]
    name, micro_batch = ([word for word in words if "=" not in word] + ["biomedlm-2.7b", "8"][len(words) :])[:2]
    given = ["run=none", "shards=none", "tokenizer=none", *overrides]
    config = load_config(TrainConfig, YAMLS / f"{name}.yaml", given)
    sequence = 1024
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29599", "RANK": "0", "WORLD_SIZE": "1"}
    torch.distributed.init_process_group("nccl" if gpu else "gloo")
    ids = torch.randint(0, VOCABULARY, (int(micro_batch), sequence), device=device)
    what = torch.cuda.get_device_name() if gpu else "no GPU: not a measurement"
    print(f"{what}; torch {torch.__version__}, transformers {transformers.__version__}; micro-batch {micro_batch}")
    rates = {}
    for side in (ours, theirs):
        torch.manual_seed(0)
        step, parameters = side(config, sequence, device)
        if gpu:
            torch.cuda.reset_peak_memory_stats()
        rates[side.__name__] = rate = ids.numel() / measure(step, ids)
        flops = training_flops_per_token(parameters, config.model.n_layer, config.model.n_embd, sequence)
        peak = bf16_peak(what)
        utilization = f"MFU {model_flops_utilization(rate, flops, peak):.1%}" if peak else "MFU not known"
        memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if gpu else ""
        print(f"{side.__name__:7} {rate:10,.0f} tokens/s, {utilization}{memory}")
        del step
        if gpu:
            torch.cuda.empty_cache()
    print(f"ours at {rates['ours'] / rates['theirs']:.2f} x theirs")


if __name__ == "__main__":
    main()

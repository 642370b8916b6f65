"""Part of benchmarks/preflight.py: the memory simulation against what is known.

figures: GPT-2 2.7B under Hugging Face settings on 128 ranks, and the closed form beside it.
tracker: the same steps booked by torch.distributed._tools' FSDPMemTracker.
depth: models simulated whole against their lines through 4 and 8 blocks.
recipes: every shipped train recipe on its cluster profiles: peak, verdict, seconds, memory of the process.
reference: A100-40GB rows of llm-foundry's throughput table, 1b and larger: all ran, so all must fit, and twice
the micro-batch must not where nothing is recomputed and the sequence is 2048 or longer.
No GPU is used or seen.
"""

import os
import resource
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch, for `tracker`

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.preflight.calibration import measured
from medlm_recipes.preflight.memory import memory_report
from medlm_recipes.preflight.memory_closed_form import closed_form
from medlm_recipes.preflight.memory_setup import RankSetup
from medlm_recipes.preflight.memory_simulator import Simulator
from medlm_recipes.preflight.memory_verdict import GIB, TOO_LARGE, judge, usable_memory

YAMLS = Path(__file__).parents[1] / "yamls"

# width, heads and depth of llm-foundry's models (scripts/train/benchmarking/README.md and its YAMLs)
FOUNDRY = {"1b": (2048, 16, 24), "3b": (2560, 20, 32), "7b": (4096, 32, 32), "13b": (5120, 40, 40),
           "30b": (7168, 56, 48), "70b": (8192, 64, 80)}  # fmt: skip
FOUNDRY_VOCABULARY = 50_368


def gpt2(activation: str, dropout: float, **changes: Any) -> RankSetup:
    """BioMedLM's shape as transformers builds it: 2.7B, bf16 by FSDP2, micro-batch 8 of 1024 tokens, 128 ranks."""
    shape = {
        "model_type": "gpt2", "vocab_size": 28_896, "n_positions": 1024, "n_layer": 32, "n_head": 20, "n_embd": 2560,
        "activation_function": activation, "attn_pdrop": dropout, "embd_pdrop": dropout, "resid_pdrop": dropout,
    }  # fmt: skip
    setup = RankSetup(
        model={"huggingface": shape}, micro_batch=8, sequence=1024, ranks=128,
        reduce="bf16", autocast=False, optimizer="adamw", outputs="step",
    )  # fmt: skip
    return replace(setup, **changes)


# name, setup, GiB found before with torch's own tracker (FSDPMemTracker on fake CUDA)
FIGURES = [
    ("fused GELU", gpt2("gelu_pytorch_tanh", 0.0), 24.99),
    ("fused GELU, checkpointing", gpt2("gelu_pytorch_tanh", 0.0, activation_checkpointing=True), 4.96),
    ("as shipped: gelu_new, dropout, autocast", gpt2("gelu_new", 0.1, autocast=True), 58.8),
    ("as shipped, checkpointing", gpt2("gelu_new", 0.1, autocast=True, activation_checkpointing=True), 5.22),
]


def figures() -> None:
    print(f"{'GPT-2 2.7B, 128 ranks':42} {'before':>7} {'simulated':>10} {'closed form':>12}  peak in")
    with Simulator() as simulator:
        for name, setup, before in FIGURES:
            peak, formula = simulator.memory(setup).peak, closed_form(setup)
            assert formula
            place = f"{peak.phase} {peak.module}"
            print(f"{name:42} {before:7.2f} {peak.total / GIB:10.2f} {formula.total / GIB:12.2f}  {place}", flush=True)


def tracker() -> None:
    """Four blocks of the same models, once booked by the ledger and once by torch's tracker."""
    warnings.simplefilter("ignore")
    from medlm_recipes.preflight.fake_cuda import fake_cuda
    from medlm_recipes.preflight.memory_step import simulate

    print(f"{'4 blocks':42} {'ledger':>7} {'FSDPMemTracker':>15}")
    with fake_cuda():
        for name, setup, _ in FIGURES:
            ours = max(sum(kinds.values()) for kinds in simulate(setup, 4).peaks.values())
            print(f"{name:42} {ours / GIB:7.3f} {_tracked(setup) / GIB:15.3f}", flush=True)


def _tracked(setup: RankSetup) -> int:
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker

    from medlm_recipes.preflight import memory_models, memory_step

    with memory_step._process_group(setup.ranks):
        model, _, _, _ = memory_models.build(setup.model, 4)
        state = memory_step._laid_out(model, setup)
        with FakeTensorMode(allow_non_fake_inputs=True):
            memory_step._onto_gpu(state)
            optimizer = state.optimizers[0]
            tokens = torch.zeros(setup.micro_batch, setup.sequence, dtype=torch.int64, device="cuda")
            with FSDPMemTracker(model.model, optimizer) as found:
                for _ in range(2):
                    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=setup.autocast):
                        outputs = model({"input_ids": tokens, "labels": tokens})
                    outputs["loss"].backward()
                    found.reset_mod_stats()
                    optimizer.step()
                    optimizer.zero_grad()
                    del outputs
            return found.get_tracker_snapshot("peak")[torch.device("cuda", 0)]["Total"]


def depth() -> None:
    """Whole models, in this process, beside the line through 4 and 8 blocks."""
    from medlm_recipes.preflight.fake_cuda import fake_cuda
    from medlm_recipes.preflight.memory_step import simulate

    llama = {
        "model_type": "llama", "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 11_008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 2048,
        "tie_word_embeddings": False, "loss": "fused",
    }  # fmt: skip
    seven = RankSetup(model={"huggingface": llama}, micro_batch=4, sequence=2048, ranks=64)
    cases = [*((name, setup) for name, setup, _ in FIGURES), ("Llama 7B", seven)]
    cases.append(("Llama 7B, checkpointing", replace(seven, activation_checkpointing=True)))
    print(f"{'32 blocks':42} {'whole':>7} {'by a line':>10}")
    with Simulator() as simulator, fake_cuda():
        for name, setup in cases:
            whole = max(sum(kinds.values()) for kinds in simulate(setup).peaks.values())
            print(f"{name:42} {whole / GIB:7.3f} {simulator.memory(setup).peak.total / GIB:10.3f}", flush=True)


def recipes() -> None:
    """Vocabulary and rows as the shipped shard recipes make them; what needs a base from the hub is left out."""
    rows = {"meditron-7b": (32_014, 2048), "meditron-70b": (32_014, 4096)}
    heads = f"{'verdict':13} {'largest':>7} {'s':>6} {'CPU s':>6} {'RSS':>5}"
    print(f"{'recipe':14} {'profile':15} {'GiB':>6} {'form':>6}  {heads}")
    for recipe in sorted((YAMLS / "train").glob("*.yaml")):
        if yaml.safe_load(recipe.read_text())["model"]["name"] == "hf":
            continue
        vocabulary, sequence = rows.get(recipe.stem, (28_896, 1024))
        for profile in sorted((YAMLS / "cluster").glob("*.yaml")):
            if profile.stem == "cpu":
                continue
            given = ["run=x", "shards=x", "tokenizer=x", f"cluster={profile.stem}"]
            config = load_config(TrainConfig, recipe, given)
            start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            assert config.hardware.ranks
            with Simulator() as simulator:
                report = memory_report(config, vocabulary, sequence, 0, config.hardware.ranks, simulator)
            seconds = time.monotonic() - start
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert report.estimate
            cost = f"{seconds:6.1f} {used.ru_utime - before:6.1f} {used.ru_maxrss / 2**20:5.2f}"
            print(
                f"{recipe.stem:14} {profile.stem:15} {report.peak.total / GIB:6.1f} {report.estimate.total / GIB:6.1f}"
                f"  {report.verdict.word:13} {report.largest_micro_batch:7} {cost}",
                flush=True,
            )


def reference() -> None:
    rows = measured("a100-40gb")
    usable = usable_memory("a100-40gb")
    print(f"{'model':5} {'sequence':>8} {'GPUs':>5} {'micro':>5}  {'GiB':>6} {'verdict':13} {'twice':>6} verdict")
    wrong = 0
    with Simulator() as simulator:
        for row in [row for row in rows if row["model"] in FOUNDRY]:
            width, heads, blocks = FOUNDRY[row["model"]]
            shape = {"n_layer": blocks, "n_head": heads, "n_embd": width, "vocab_size": FOUNDRY_VOCABULARY}
            setup = RankSetup(
                model={"mpt": {**shape, "sequence": row["seq_len"]}},
                micro_batch=row["micro_batch"], sequence=row["seq_len"], ranks=row["gpus"], reduce="bf16",
                autocast=False, activation_checkpointing=row["activation_checkpointing"],
                accumulation=row["grad_accum"] > 1,
            )  # fmt: skip
            memory = simulator.memory(setup)
            assert memory.parameters == row["params"]
            verdict = judge(memory.peak.total, usable)
            wrong += verdict.word == TOO_LARGE
            doubled = ""
            if not row["activation_checkpointing"] and row["seq_len"] >= 2048:
                twice = simulator.memory(replace(setup, micro_batch=2 * row["micro_batch"])).peak.total
                wrong += judge(twice, usable).word != TOO_LARGE
                doubled = f"{twice / GIB:6.1f} {judge(twice, usable).word}"
            print(
                f"{row['model']:5} {row['seq_len']:8} {row['gpus']:5} {row['micro_batch']:5}  "
                f"{memory.peak.total / GIB:6.2f} {verdict.word:13} {doubled}",
                flush=True,
            )
    print(f"wrong verdicts: {wrong}")

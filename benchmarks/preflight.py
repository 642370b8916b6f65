"""How far preflight's predictions are from what was published.

    python benchmarks/preflight.py [PART ...]

throughput: every row of the throughput table is left out of the fit in turn, then all rows of a model size
together, and predicted from the others. published: two published runs, by the code that they ran, and this
package's recipes beside them. operators: the closed form of the work beside what is counted. figures, tracker,
depth, recipes and reference are of memory: see preflight_memory.py. Without a word all are run.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from math import hypot
from pathlib import Path
from typing import Any

import numpy as np
from preflight_memory import depth, figures, gpt2, recipes, reference, tracker

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import PreflightConfig
from medlm_recipes.preflight.calibration import (
    factors_of,
    fit,
    leave_one_out,
    measured,
    seconds_at_peak,
    seconds_of_row,
    work_of_row,
)
from medlm_recipes.preflight.devices import DEVICES, peak_of
from medlm_recipes.preflight.memory_setup import setup_of
from medlm_recipes.preflight.memory_simulator import Simulator
from medlm_recipes.preflight.time import OTHER_WORK, StepTime, estimate_time, layout_of, step_time
from medlm_recipes.preflight.work import GPT2, LLAMA, Blocks, Layout, blocks_of, code_of, optimizer_traffic, work_of
from medlm_recipes.token_math import parse_tokens

YAMLS = Path(__file__).parents[1] / "yamls/train"
GPUS = ("a100-40gb", "a100-80gb", "h100-80gb")


def main() -> None:
    of_time, of_memory = (throughput, published, operators), (figures, tracker, depth, recipes, reference)
    parts = {part.__name__: part for part in (*of_time, *of_memory)}
    for name in sys.argv[1:] or parts:
        parts[name]()
        print()


def published() -> None:
    biomedlm()
    meditron()


def throughput() -> None:
    rows: list[dict[str, Any]] = []
    errors: list[float] = []
    by_group: list[float] = []
    print("throughput of llm-foundry's MPT: factors of the time at the data sheet's rate")
    for gpu in GPUS:
        parts, seconds = table(gpu)
        known = fit(gpu, DEVICES[gpu], peak_of(gpu))
        told = ", ".join(
            f"{name} {factor:.2f}"
            for name, factor in zip(("matrices", "attention", "traffic", "communication"), known.factors, strict=True)
        )
        print(f"  {gpu:10} {known.rows:3} rows: {told}")
        rows += measured(gpu)
        errors += (leave_one_out(parts, seconds) - 1).tolist()
        by_group += left_out_together(parts, seconds, [row["model"] for row in measured(gpu)])
    print(f"\nleft out one by one: {said(errors)}")
    groups: tuple[tuple[str, Callable[[dict[str, Any]], Any]], ...] = (
        ("GPU", lambda row: row["gpu"]),
        ("model", lambda row: row["model"]),
        ("GPUs", lambda row: row["gpus"]),
        ("sequence", lambda row: row["seq_len"]),
        ("checkpointing", lambda row: row["activation_checkpointing"]),
    )
    for name, of in groups:
        for value in sorted({of(row) for row in rows}, key=str):
            group = [error for error, row in zip(errors, rows, strict=True) if of(row) == value]
            print(f"  {name:14}{value!s:>10}  {said(group)}")
    print(f"left out together with all rows of its model size: {said(by_group)}")


def table(gpu: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    device, peak = DEVICES[gpu], peak_of(gpu)
    parts = np.array([seconds_at_peak(work_of_row(row), device, peak) for row in measured(gpu)])
    return parts, np.array([seconds_of_row(row) for row in measured(gpu)])


def left_out_together(parts: np.ndarray[Any, Any], seconds: np.ndarray[Any, Any], groups: list[str]) -> list[float]:
    of = np.array(groups)
    errors: list[float] = []
    for group in sorted(set(groups)):
        out = of == group
        factors = factors_of(parts[~out], seconds[~out])
        errors += (parts[out] @ factors / seconds[out] - 1).tolist()
    return errors


def said(errors: list[float]) -> str:
    off = np.abs(errors)
    return (
        f"{len(off):3} predictions, off by {np.median(off):.1%} in the median, {np.quantile(off, 0.9):.1%} at the "
        f"90th percentile, {off.max():.1%} at most; bias {np.mean(errors):+.1%}"
    )


def biomedlm() -> None:
    """Hugging Face's GPT-2 as it ships, its operators counted. The micro-batch was not published: 8 sequences fit a
    rank of 40 GB with checkpointing, 4 without."""
    print("BioMedLM 2.7B, 300B tokens on 128 A100-40GB: published about 6.25 days (model card)")
    blocks = Blocks(32, 2560, 2560, 10240, gated=False, vocab=28_896, positions=1024, tied=True)
    with Simulator() as simulator:
        for micro_batch, checkpointing in ((8, True), (4, False)):
            settings = {"micro_batch": micro_batch, "activation_checkpointing": checkpointing}
            counted = simulator.operators(gpt2("gelu_new", 0.1, autocast=True, **settings))
            layout = Layout(1024, micro_batch, 8 // micro_batch, 128, 128, 8, checkpointing=checkpointing)
            step = step_time(blocks, GPT2, layout, "a100-40gb", counted=counted)
            seconds = 300e9 * step.seconds / (layout.tokens * 128)
            how = f"their code, micro-batch {micro_batch}, {'with' if checkpointing else 'without'} checkpointing"
            days, verdict = interval(seconds, step.error, 86_400), inside(6.25 * 86_400, seconds, step.error)
            print(f"  {how:55} {days} days: {verdict}", flush=True)
    ours("biomedlm-2.7b", "a100-40gb-128")


def meditron() -> None:
    """Megatron-LLM with sequence parallelism over 8 ranks, 8 pipeline stages and 2 replicas, without recomputing.

    A stage waits for (stages - 1) of the micro-batches that a step gives it; the hidden units between the
    halves of a block are divided too, and its operators taken for those of Hugging Face's unfused Llama.
    """
    print("\nMeditron 70B, 48B tokens on 128 A100-80GB: published 332 hours, 40,200 tokens/s (paper)")
    blocks = Blocks(80, 8192, 1024, 28_672, gated=True, vocab=32_064, positions=0, tied=False)
    stages, replicas, tensor_parallel, micro_batch, global_batch = 8, 2, 8, 2, 512
    micro_batches = global_batch // replicas // micro_batch
    layout = Layout(4096, micro_batch, micro_batches, 8, 1, 8, tensor_parallel=tensor_parallel)
    step = step_time(blocks, replace(LLAMA, width=LLAMA.width / tensor_parallel), layout, "a100-80gb")
    waiting = (stages - 1) / micro_batches
    step = StepTime(step.seconds * (1 + waiting), hypot(step.error, OTHER_WORK * waiting), step.parts)
    seconds = 48e9 * step.seconds / (layout.tokens * stages * replicas)
    print(
        f"  {'their code':55} {interval(seconds, step.error, 3_600)} hours: {inside(332 * 3600, seconds, step.error)}"
    )
    ours("meditron-70b", "a100-80gb-128")


def operators() -> None:
    """Closed form of a micro-batch's work over what is counted on the very model."""
    print(f"{'closed form / counted':22} {'matrices':>9} {'attention':>10} {'traffic':>8}")
    with Simulator() as simulator:
        for recipe in sorted(path.stem for kind in ("biomedlm", "meditron") for path in YAMLS.glob(f"{kind}-*.yaml")):
            for checkpointing in ("false", "true"):
                given = ["cluster=a100-80gb-128", f"parallel.activation_checkpointing={checkpointing}"]
                given += ["parallel.tensor_parallel=1", "parallel.micro_batch=4", "global_batch=512"]
                config = load_config(PreflightConfig, YAMLS / f"{recipe}.yaml", given)
                keys = config.preflight
                assert keys.vocab_size and keys.sequence_length
                counted = simulator.operators(setup_of(config, keys.vocab_size, keys.sequence_length, 0, 128))
                layout = layout_of(config, keys.sequence_length, 128)
                blocks = blocks_of(config.model, keys.vocab_size, keys.sequence_length)
                assert blocks
                work = work_of(blocks, code_of(config.model), layout)
                traffic = work.traffic - optimizer_traffic(blocks, layout)
                shares = (work.matmul / counted["matmul"], work.attention / counted["attention"])
                how = f"{recipe}{', again' if checkpointing == 'true' else ''}"
                print(f"{how:22} {shares[0]:9.4f} {shares[1]:10.4f} {traffic / counted['traffic']:8.3f}", flush=True)


def ours(recipe: str, cluster: str) -> None:
    config = load_config(PreflightConfig, YAMLS / f"{recipe}.yaml", [f"cluster={cluster}"])
    keys = config.preflight
    assert keys.vocab_size and keys.sequence_length and config.hardware.ranks
    tokens = parse_tokens(config.max_duration)
    time = estimate_time(config, keys.vocab_size, keys.sequence_length, config.hardware.ranks, tokens)
    how = f"our recipe {recipe}, {tokens / 1e9:g}B tokens, {cluster}"
    unit, word = (86_400, "days") if recipe.startswith("bio") else (3_600, "hours")
    rate = f"{time.tokens_per_second:,.0f} tokens/s, MFU {time.mfu:.1%}"
    print(f"  {how:55} {interval(time.seconds, time.high / time.seconds - 1, unit)} {word} ({rate})")


def interval(seconds: float, error: float, unit: int) -> str:
    return f"{seconds / unit:.4g} ({seconds / (1 + error) / unit:.4g} to {seconds * (1 + error) / unit:.4g})"


def inside(published: float, seconds: float, error: float) -> str:
    holds = seconds / (1 + error) <= published <= seconds * (1 + error)
    return f"{seconds / published - 1:+.0%}, {'inside' if holds else 'OUTSIDE'} the stated uncertainty"


if __name__ == "__main__":
    main()

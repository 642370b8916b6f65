"""The memory that preflight simulates against what a GPU measures: six real Composer runs on one device.

    python benchmarks/preflight_gpu.py [DEVICE] [key=value ...]      # default h200-141gb; overrides of the recipes

Two shipped recipes, each with two micro-batches and once with activation checkpointing, train for three
batches of random tokens with a validation in between, each in a process of its own; what counts is
torch.cuda.max_memory_allocated at the end. Beside it the simulation, which uses no GPU. On a machine
without one the runs are made on the CPU, to try the script, and measure nothing.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.preflight.memory_setup import setup_of
from medlm_recipes.preflight.memory_simulator import Simulator
from medlm_recipes.preflight.memory_verdict import GIB, workspaces

VOCABULARY, SEQUENCE = 28_896, 1024
RECIPES = {"biomedlm-125m": (16, 32), "biomedlm-760m": (8, 16)}
YAMLS = Path(__file__).parents[1] / "yamls/train"


def config_of(recipe: str, overrides: list[str]) -> TrainConfig:
    given = ["run=x", "shards=x", "tokenizer=x", "cluster=single-gpu", *overrides]
    return load_config(TrainConfig, YAMLS / f"{recipe}.yaml", given)


def measure(recipe: str, overrides: list[str]) -> None:
    """Train in this process and print the bytes and what they were measured on as JSON."""
    import torch
    from composer import Trainer
    from composer.core import DataSpec, Evaluator

    from medlm_recipes.models.building import build_model
    from medlm_recipes.models.causal_lm import TrainedCausalLM
    from medlm_recipes.optim.adamw import build_optimizer
    from medlm_recipes.parallel.agreement import join_ranks
    from medlm_recipes.parallel.fsdp import parallelism
    from medlm_recipes.parallel.gradients import ClipGradients

    config = config_of(recipe, overrides)
    gpu = torch.cuda.is_available()
    device = join_ranks()
    model = TrainedCausalLM(build_model(config.model, VOCABULARY, SEQUENCE, 0), config.model, 0)
    size = config.parallel.micro_batch
    tokens = torch.randint(0, VOCABULARY, (3 * size, SEQUENCE))

    def loader() -> Any:
        rows = [{"input_ids": row, "labels": row.clone()} for row in tokens]
        return DataSpec(torch.utils.data.DataLoader(rows, batch_size=size), get_num_tokens_in_batch=lambda _: 0)

    trainer = Trainer(
        model=model,
        optimizers=build_optimizer(model, config.optimizer),
        algorithms=[ClipGradients(config.optimizer.max_grad_norm)],
        train_dataloader=loader(),
        eval_dataloader=[Evaluator(label="random", dataloader=loader(), eval_interval="1ba")],
        max_duration="3ba",
        device=device,
        precision="amp_bf16" if gpu else "fp32",
        parallelism_config=parallelism(config.parallel, device),
        device_train_microbatch_size=size,
        progress_bar=False,
    )
    trainer.fit()
    trainer.close()
    found = torch.cuda.max_memory_allocated() if gpu else 0
    name = torch.cuda.get_device_name() if gpu else "no GPU: not a measurement"
    print(json.dumps({"bytes": found, "reserved": torch.cuda.max_memory_reserved() if gpu else 0, "device": name}))


def measured(recipe: str, overrides: list[str]) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", recipe, *overrides]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        sys.exit(f"{recipe} {' '.join(overrides)} failed:\n{answer.stderr[-2000:]}")
    return json.loads(answer.stdout.splitlines()[-1])


def main() -> None:
    words = sys.argv[1:]
    if words[:1] == ["--measure"]:
        measure(words[1], words[2:])
        return
    device = next((word for word in words if "=" not in word), "h200-141gb")
    given = [word for word in words if "=" in word]
    print(
        f"{'recipe':14} {'micro':>5} {'recompute':9} {'simulated':>9} {'measured':>9} {'error':>7} {'reserved':>9}  GiB"
    )
    with Simulator() as simulator:
        for recipe, sizes in RECIPES.items():
            for size, recompute in [(sizes[0], False), (sizes[1], False), (sizes[1], True)]:
                overrides = [
                    f"parallel.micro_batch={size}",
                    f"parallel.activation_checkpointing={str(recompute).lower()}",
                    f"global_batch={size}",
                    *given,
                ]
                setup = setup_of(config_of(recipe, overrides), VOCABULARY, SEQUENCE, 0, 1)
                expected = simulator.memory(setup).peak.total + workspaces(device)
                found = measured(recipe, overrides)
                error = f"{expected / found['bytes'] - 1:+.1%}" if found["bytes"] else "-"
                print(
                    f"{recipe:14} {size:5} {recompute!s:9} {expected / GIB:9.2f} {found['bytes'] / GIB:9.2f} "
                    f"{error:>7} {found['reserved'] / GIB:9.2f}  {found['device']}",
                    flush=True,
                )


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()

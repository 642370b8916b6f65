"""What a step of the train verb costs beside a bare PyTorch loop's and beside llm-foundry's train.

    python benchmarks/training.py [ROUNDS [FOLDER]]

One CPU process, vocabulary 28,896 (BioMedLM's), fp32. Each round times STEPS steps of the Trainer as
recipes/train.py sets it up (guard, logging, checkpoint and SIGTERM callbacks on), of the bare loop over
the same model, loss, optimizer and data, and, where FOLDER is given for its environment (made unless
there), of llm-foundry 0.22.0's train: Hugging Face's GPT-2 of the same shape as it ships it (its own GELU,
loss and metrics), on the same shards. One after the other; the ratios of the medians are printed.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from composer import Trainer
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist, get_device, reproducibility
from llm_foundry import python_with_llm_foundry
from streaming import MDSWriter
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import GPT2Config, PreTrainedTokenizerFast

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.manifest import Manifest
from medlm_recipes.optim.adamw import build_optimizer
from medlm_recipes.optim.learning_rate import learning_rate
from medlm_recipes.shards.streaming import remove_stale_shared_memory, train_loader
from medlm_recipes.tokenization.loading import tokenizer_hash
from medlm_recipes.training.components import components, settings
from medlm_recipes.training.model import model_of_run
from medlm_recipes.training.opening import run_manifest
from medlm_recipes.training.plan import TrainPlan, plan_training

VOCABULARY, SEQUENCE, STEPS, WARM_UP = 28_896, 256, 24, 4
LAYERS, HEADS, WIDTH, BATCH, MICRO_BATCH = 4, 4, 256, 8, 4
RECIPE = Path(__file__).parents[1] / "yamls/quickstart/train.yaml"


def make_shards(folder: Path) -> tuple[Path, Path]:
    """Random tokens in the form of convert_text_to_mds, and a stand-in for the tokenizer that it names."""
    tokenizer, shards = folder / "tokenizer", folder / "shards"
    tokenizer.mkdir()
    (tokenizer / "tokenizer.json").write_text(json.dumps({}))
    rows = np.random.default_rng(0).integers(0, VOCABULARY, (512, SEQUENCE), np.uint16)
    with MDSWriter(out=str(shards / "train/random"), columns={"tokens": f"ndarray:uint16:{SEQUENCE}"}) as writer:
        for row in rows:
            writer.write({"tokens": row})
    counts = {"documents": 1, "bytes": rows.size * 4, "tokens": rows.size, "samples": len(rows), "tokens_left_over": 0}
    facts = {
        "tokenizer_sha256": tokenizer_hash(tokenizer),
        "vocab_size": VOCABULARY,
        "end_of_text": 0,
        "sequence_length": SEQUENCE,
        "splits": {"train": {"random": counts}, "validation": {}},
    }
    Manifest("convert_text_to_mds", {}, {}, facts).write(shards)
    return shards, tokenizer


class Clock(Callback):
    """Seconds of every step, batch to batch, as the Trainer takes them."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def batch_start(self, state: State, logger: Logger) -> None:
        self.times.append(time.perf_counter())


def with_trainer(config: TrainConfig, plan: TrainPlan) -> list[float]:
    clock = Clock()
    reproducibility.seed_all(config.seed)
    arguments = components(config, plan, run_manifest(config, plan), None, [], None)
    arguments["callbacks"] = [clock, *arguments["callbacks"]]
    trainer = Trainer(**arguments, **settings(config, plan, get_device("cpu")))
    trainer.fit()
    trainer.close()
    return seconds(clock.times)


def bare(config: TrainConfig, plan: TrainPlan) -> list[float]:
    reproducibility.seed_all(config.seed)
    model = model_of_run(config, plan, run_manifest(config, plan), None).model
    optimizer = build_optimizer(model, config.optimizer)
    loader = train_loader(config.shards, plan.rows, config.global_batch, config.data, [], 1).dataloader
    micro_batches = config.global_batch // config.parallel.micro_batch
    times = []
    for step, batch in enumerate(batches(loader)):
        if step == STEPS:
            break
        times.append(time.perf_counter())
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config.scheduler, config.optimizer.lr, step * plan.step_tokens, plan.end)
        optimizer.zero_grad(set_to_none=True)
        for ids, labels in zip(
            batch["input_ids"].chunk(micro_batches), batch["labels"].chunk(micro_batches), strict=True
        ):
            (model(input_ids=ids, labels=labels).loss / micro_batches).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.max_grad_norm)
        optimizer.step()
    return seconds(times)


def with_llm_foundry(python: Path, shards: Path, folder: Path) -> list[float]:
    """The same shape, data, batch and optimizer through llm-foundry's train in a process of its own."""
    model = folder / "hf"
    GPT2Config(
        vocab_size=VOCABULARY, n_positions=SEQUENCE, n_layer=LAYERS, n_head=HEADS, n_embd=WIDTH,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    ).save_pretrained(model)  # fmt: skip
    words = {f"w{number}": number for number in range(1, VOCABULARY)} | {"<|endoftext|>": 0}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<|endoftext|>"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(model)
    given = {"model": str(model), "stream": str(shards / "train/random"), "steps": STEPS}
    given |= {"sequence_length": SEQUENCE, "global_batch": BATCH, "micro_batch": MICRO_BATCH}
    (folder / "settings.json").write_text(json.dumps(given))
    peer = Path(__file__).with_name("llm_foundry_steps.py")
    files = [str(folder / name) for name in ("settings.json", "times.json")]
    subprocess.run([str(python), "-W", "ignore", str(peer), *files], check=True, stdout=subprocess.DEVNULL)
    return seconds(json.loads((folder / "times.json").read_text()))


def batches(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


def seconds(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in zip(times[WARM_UP:], times[WARM_UP + 1 :], strict=False)]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    python = python_with_llm_foundry(Path(sys.argv[2])) if len(sys.argv) > 2 else None
    dist.initialize_dist(get_device("cpu"))
    remove_stale_shared_memory()
    measured: dict[str, list[float]] = {"train verb": [], "bare loop": []} | ({"llm-foundry": []} if python else {})
    with tempfile.TemporaryDirectory() as folder:
        shards, tokenizer = make_shards(Path(folder))
        shape = [f"model.n_layer={LAYERS}", f"model.n_head={HEADS}", f"model.n_embd={WIDTH}"]
        batch = [f"global_batch={BATCH}", f"parallel.micro_batch={MICRO_BATCH}"]
        length = [f"max_duration={STEPS * BATCH * SEQUENCE}tok", "budgets=[]", "scheduler.warmup=8_192tok"]
        for at in range(rounds):
            given = [f"run={folder}/run{at}", f"shards={shards}", f"tokenizer={tokenizer}", "parallel.fsdp=false"]
            config = load_config(TrainConfig, RECIPE, [*given, *shape, *batch, *length])
            (Path(config.run) / "checkpoints").mkdir(parents=True)
            plan = plan_training(config, 1)
            measured["train verb"] += with_trainer(config, plan)
            measured["bare loop"] += bare(config, plan)
            if python:
                measured["llm-foundry"] += with_llm_foundry(python, shards, Path(folder))
    median = {name: statistics.median(times) for name, times in measured.items()}
    for name, times in measured.items():
        print(f"{name:12} {BATCH * SEQUENCE / median[name]:8,.0f} tokens/s, median of {len(times)} steps")
    for other in list(median)[1:]:
        ratio = median["train verb"] / median[other]
        print(f"a step of the train verb takes {ratio:.3f} x that of the {other} (vocabulary {VOCABULARY:,})")


if __name__ == "__main__":
    main()

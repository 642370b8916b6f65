"""Hand-made run folders, as the train and evaluate verbs leave them, with weights of a few bytes."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from launch import ROOT

from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.evaluation.evaluate import evaluation_manifest
from medlm_recipes.manifest import Manifest, hash_file, hash_json, publish, read_manifest, write_json
from medlm_recipes.token_math import tokens_at_budget
from medlm_recipes.training.opening import run_manifest
from medlm_recipes.training.plan import plan_training

STEP = 4 * 32  # tokens


@dataclass
class Bench:
    """A folder with shards, a benchmark and the recipes train.yaml, evaluate.yaml and sweep.yaml."""

    folder: Path
    train: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tokenizer = self.folder / "tokenizer"
        tokenizer.mkdir(parents=True)
        (tokenizer / "tokenizer.json").write_text("{}")
        counts = {"samples": 100, "tokens": 3200, "bytes": 9600}
        facts = {
            "tokenizer_sha256": hash_file(tokenizer / "tokenizer.json"),
            "vocab_size": 512,
            "end_of_text": 0,
            "sequence_length": 32,
            "splits": {"train": {"pubmed": counts}, "validation": {"pubmed": counts}},
        }
        (self.folder / "shards").mkdir()
        Manifest("convert_text_to_mds", {}, {}, facts).write(self.folder / "shards")
        question = {"question": "Q?", "options": {"A": "x", "B": "y"}, "answer_idx": "A", "answer": "x"}
        (self.folder / "benchmark.jsonl").write_text(json.dumps(question) + "\n")
        self.train |= {
            "run": str(self.folder / "run"),
            "shards": str(self.folder / "shards"),
            "tokenizer": str(tokenizer),
            "model": {"name": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": 16},
            "optimizer": {"lr": 1e-3, "coupled_weight_decay": 0.1},
            "scheduler": {"warmup": "100tok", "final_lr_ratio": 0.1},
            "parallel": {"micro_batch": 2},
            "global_batch": 4,
            "max_duration": "4_000tok",
            "budgets": ["1_000tok", "2_000tok"],
        }
        self.write("train", self.train)
        task = ROOT / "yamls/evaluate/tasks/likelihood.yaml"
        benchmark = str(self.folder / "benchmark.jsonl")
        self.write("evaluate", {"checkpoint": "???", "benchmark": benchmark, "task": str(task), "out": "???"})
        recipes = {"train": f"{self.folder}/train.yaml", "evaluate": {"evaluate": [f"{self.folder}/evaluate.yaml"]}}
        self.sweep = self.write("sweep", {"out": str(self.folder / "sweep"), "ranks": 2, **recipes})

    @property
    def budgets(self) -> list[int]:
        return [tokens_at_budget(tokens, STEP) for tokens in (1000, 2000, 4000)]  # as train.yaml says below

    def write(self, name: str, values: dict[str, object]) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    def config(self, *overrides: str) -> SweepConfig:
        return load_config(SweepConfig, self.sweep, overrides)

    def make_checkpoint(self, tokens: int) -> Path:
        recipe = load_config(TrainConfig, self.folder / "train.yaml")
        assert recipe.run == str(self.folder / "run")
        return save_checkpoint(recipe, tokens)

    def make_metrics(self, losses: dict[int, float | None], source: str = "pubmed") -> None:
        rows = [{"tokens": STEP, "step": 1, "split": "train", "source": "all", "loss": 6.0, "perplexity": 403.0}]
        for tokens, loss in losses.items():
            value = None if loss is None else math.exp(loss)
            bits = None if loss is None else loss / math.log(2) / 3
            rows.append({"tokens": tokens, "step": tokens // STEP, "split": "validation", "source": source,
                         "loss": loss, "perplexity": value, "bits_per_byte": bits})  # fmt: skip
        (self.folder / "run").mkdir(exist_ok=True)
        with open(self.folder / "run" / "metrics.jsonl", "a") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows)

    def make_evaluation(self, tokens: int, right: int, n: int = 240, *overrides: str) -> Path:
        from medlm_recipes.sweep.plan import plan_sweep

        plan = plan_sweep(self.config(*overrides))
        (leg,) = [leg for leg in plan.legs if leg.tokens == tokens]
        ((name, out),) = leg.evaluations.items()
        publish_results(plan.evaluate(leg, name), right, n)
        return out


def save_checkpoint(recipe: TrainConfig, tokens: int) -> Path:
    """A whole checkpoint of a run, as train seals one."""
    folder = Path(recipe.run) / "checkpoints" / f"tok{tokens}"
    folder.mkdir(parents=True)
    (folder / "rank0.pt").write_bytes(b"weights")
    manifest = run_manifest(plan_training(recipe, 2))
    manifest.facts |= {
        "tokens": tokens,
        "steps": tokens // STEP,
        "files": {"rank0.pt": {"bytes": 7, "sha256": hash_file(folder / "rank0.pt")}},
    }
    manifest.write(folder)
    return folder


def publish_results(config: EvaluateConfig, right: int, n: int = 240) -> None:
    """What evaluate leaves."""
    checkpoint = hash_json(read_manifest(config.checkpoint, "train").__dict__)
    with publish(config.out, evaluation_manifest(config, checkpoint)) as folder:
        if folder is not None:
            write_json(folder / "results.json", results(right, n))


def results(right: int, n: int, chance: float = 0.25) -> dict[str, object]:
    value = right / n
    score = {
        "value": value,
        "standard_error": (value * (1 - value) / (n - 1)) ** 0.5,
        "p_above_chance": sum(math.comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(right, n + 1)),
    }
    common = {
        "task": "likelihood",
        "benchmark": "benchmark.jsonl",
        "n": n,
        "chance": chance,
        "unparsed_rate": 0.0,
    }
    return {**common, "scores": {"acc": score}, "hashes": {"benchmark": "b" * 64, "task": "t" * 64}}

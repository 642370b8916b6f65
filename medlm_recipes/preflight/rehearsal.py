"""A rehearsal: the real verbs on a tiny version of the recipe, on CPU ranks. Two steps, saved, resumed, evaluated."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from medlm_recipes.callbacks.checkpoint_names import checkpoint_folder
from medlm_recipes.callbacks.metrics import FILE_NAME as METRICS
from medlm_recipes.callbacks.metrics import read_rows
from medlm_recipes.config.cluster import HardwareKeys
from medlm_recipes.config.loading import to_yaml
from medlm_recipes.config.model import ModelKeys
from medlm_recipes.config.parallel import ParallelKeys
from medlm_recipes.config.train import LoggerKeys, TrainConfig
from medlm_recipes.manifest import FILE_NAME, Manifest
from medlm_recipes.preflight.check import FAIL, NOT_CHECKED, PASS, Check
from medlm_recipes.preflight.facts import SHARDS, Facts
from medlm_recipes.remote import is_remote
from medlm_recipes.shards.conversion import TOKENIZER_FOLDER
from medlm_recipes.shards.mds import copy_first_rows

ROOT = Path(__file__).resolve().parents[2]
RANKS = 2
STEPS = 2

_ROWS = {"train": 64, "validation": 4}  # of each source of the shards
_ROW_TOKENS = 128  # of generated rows
_MINUTES = 10  # that one verb may take


@dataclass(frozen=True)
class _Data:
    shards: Path
    tokenizer: Path
    vocab_size: int
    sequence_length: int
    from_shards: bool


class _Failed(Exception):
    """A verb of the rehearsal ended badly; the message is what it said last."""


def rehearse(config: TrainConfig, facts: Facts) -> Check:
    """Run train for two steps of a tiny model, take the second away, resume, evaluate.

    The same architecture, loss, optimizer, schedule, parallelism and data keys as the recipe's; layers,
    width, batch and length are small, precision is fp32. Rows are the first of the recipe's shards, or
    made of a closed world where there are none.
    """
    if config.task != "text":
        return Check("rehearsal", NOT_CHECKED, f"only task text is rehearsed, not {config.task}")
    with tempfile.TemporaryDirectory(prefix="medlm-recipes-rehearsal-") as folder:
        place = Path(folder)
        try:
            return Check("rehearsal", PASS, _rehearse(config, facts, place))
        except _Failed as error:
            return Check("rehearsal", FAIL, str(error))
        except OSError as error:  # a base that cannot be had here
            return Check("rehearsal", NOT_CHECKED, " ".join(str(error).split())[:200])


def _rehearse(config: TrainConfig, facts: Facts, place: Path) -> str:
    _world(place)
    there = facts.data_from == SHARDS and not is_remote(config.shards)
    data = _sample(config, facts, place) if there else _generated(config, place)
    recipe = place / "train.yaml"
    tiny = tiny_recipe(config, data.vocab_size, data.sequence_length)
    tiny = replace(tiny, run=str(place / "run"), shards=str(data.shards), tokenizer=str(data.tokenizer))
    tiny = replace(tiny, model=_model(config.model, data, place))
    if not data.from_shards:
        tiny = replace(tiny, data=replace(tiny.data, mixture=None))
    recipe.write_text(to_yaml(tiny))
    step = tiny.global_batch * data.sequence_length
    said = _launch(place, "train", recipe, ranks=RANKS)
    if "done, " not in said:
        raise _Failed(f"train did not say that it was done: {said.splitlines()[-1]}")
    whole = read_rows(place / "run" / METRICS)
    last = checkpoint_folder(place / "run", STEPS * step)
    shutil.rmtree(last)
    (place / "run" / FILE_NAME).unlink()
    said = _launch(place, "train", recipe, ranks=RANKS)
    if f"resuming from {checkpoint_folder(place / 'run', step)}" not in said:
        raise _Failed("train started over instead of resuming")
    resumed = read_rows(place / "run" / METRICS)
    if resumed != whole:
        raise _Failed(f"the resumed step is another: {resumed[-1]}, before {whole[-1]}")
    benchmark = place / "world/benchmark/test.jsonl"
    evaluate = [f"checkpoint={last}", f"benchmark={benchmark}", f"out={place / 'score'}", "limit=4"]
    _launch(place, "evaluate", ROOT / "yamls/quickstart/evaluate.yaml", *evaluate)
    losses = [row["loss"] for row in whole if row["split"] == "train"]
    rows = "rows of its shards" if data.from_shards else "generated rows"
    return (
        f"two steps over {RANKS} CPU ranks on {rows} (losses {losses[0]:.2f}, {losses[-1]:.2f}), saved, resumed to "
        "the same digits, evaluated"
    )


def tiny_recipe(config: TrainConfig, vocab_size: int, sequence_length: int) -> TrainConfig:
    """The recipe with a tiny model (but for a base's), two steps of four rows, for two CPU ranks."""
    parallel = config.parallel
    global_batch = 4
    step = global_batch * sequence_length
    schedule = config.scheduler
    return replace(
        config,
        cluster=None,
        hardware=HardwareKeys(),
        save_folder=None,
        start_from=None,
        validation_shards=[],
        parallel=ParallelKeys(
            fsdp=parallel.fsdp,
            replicas=min(parallel.replicas, RANKS),
            tensor_parallel=min(parallel.tensor_parallel, RANKS),
            micro_batch=1,
            activation_checkpointing=parallel.activation_checkpointing,
            precision="fp32",
        ),
        scheduler=replace(
            schedule,
            warmup=f"{step}tok" if schedule.warmup else None,
            cooldown=f"{step}tok" if schedule.cooldown else None,
        ),
        data=replace(config.data, num_canonical_nodes=2, workers=0),
        loggers=LoggerKeys(),
        global_batch=global_batch,
        max_duration=f"{STEPS * step}tok",
        budgets=[f"{step}tok"],
        evaluate={},
        evaluate_at=[],
        checkpoint_interval=None,
        validation_interval=None,
        log_interval=1,
    )


def _tiny_model(keys: ModelKeys) -> ModelKeys:
    grouped = keys.n_kv_head not in (None, keys.n_head)
    tiny = replace(keys, n_layer=2, n_head=4, n_embd=64, compile=False, attention="sdpa")
    if keys.name == "llama":
        tiny = replace(tiny, n_ffn=128, n_kv_head=2 if grouped else None)
    return tiny


def _model(keys: ModelKeys, data: _Data, place: Path) -> ModelKeys:
    """Tiny keys; a base that the recipe goes on from becomes a tiny base with random weights, in a folder."""
    if keys.pretrained is None:
        return _tiny_model(keys)
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from medlm_recipes.models.building import build_model, source_of

    base = place / "base"
    rows = max(2, data.vocab_size - 2)  # so that the embedding has to grow, as for added tokens
    torch.manual_seed(0)
    if keys.name == "hf":
        config = AutoConfig.from_pretrained(keys.pretrained, **source_of(keys))
        sizes = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
        config.update(sizes | {"num_key_value_heads": 2, "head_dim": 16, "vocab_size": rows})
        AutoModelForCausalLM.from_config(config).save_pretrained(base)
        return replace(keys, pretrained=str(base), revision=None, compile=False, attention="sdpa")
    tiny = replace(_tiny_model(keys), revision=None)
    model = build_model(replace(tiny, pretrained=None, pad_vocab_to_multiple_of=1), rows, data.sequence_length, 0)
    model.save_pretrained(base)
    return replace(tiny, pretrained=str(base))


def _sample(config: TrainConfig, facts: Facts, place: Path) -> _Data:
    """The first rows of every source of the shards."""
    shards, out = Path(config.shards), place / "shards"
    made = facts.plan.shards
    splits: dict[str, dict[str, dict[str, int]]] = {}
    for split, most in _ROWS.items():
        splits[split] = {}
        for source, counts in made.facts["splits"][split].items():
            if not counts["samples"]:
                continue
            rows = copy_first_rows(shards / split / source, out / split / source, most)
            tokens = rows * facts.plan.sequence_length
            share = {"tokens": tokens, "bytes": round(counts["bytes"] * tokens / counts["tokens"])}
            splits[split][source] = counts | share | {"samples": rows, "padding": 0, "tokens_left_over": 0}
    tokenizer = Path(config.tokenizer) if config.tokenizer else shards / TOKENIZER_FOLDER
    Manifest(made.stage, made.config, made.inputs, made.facts | {"splits": splits}).write(out)
    return _Data(out, tokenizer, facts.plan.vocab_size, facts.plan.sequence_length, from_shards=True)


def _world(place: Path) -> None:
    """A closed world, for its questions and, where there are no shards, for its text."""
    sizes = ["drugs=12", "diseases=6", "abstracts=400", "citations_per_file=400"]
    _launch(place, "generate_closed_world", ROOT / "yamls/quickstart/world.yaml", f"out={place}/world", *sizes)


def _generated(config: TrainConfig, place: Path) -> _Data:
    quickstart = ROOT / "yamls/quickstart"
    out = f"out={place}/documents"
    _launch(place, "prepare_corpus", quickstart / "corpus.yaml", f"inputs={place}/world/pubmed", out,
            "validation_fraction=0.02")  # fmt: skip
    tokenizer = [f"documents={place}/documents", f"out={place}/tokenizer", "vocab_size=512"]
    _launch(place, "train_tokenizer", quickstart / "tokenizer.yaml", *tokenizer)
    length = min(_ROW_TOKENS, config.preflight.sequence_length or _ROW_TOKENS)
    shards = [f"documents={place}/documents", f"tokenizer={place}/tokenizer", f"out={place}/shards"]
    _launch(place, "convert_text_to_mds", quickstart / "shards.yaml", *shards, f"sequence_length={length}")
    return _Data(place / "shards", place / "tokenizer", 512, length, from_shards=False)


def _launch(place: Path, verb: str, recipe: Path, *overrides: str, ranks: int = 0) -> str:
    """Run a verb in its own process, on CPU; what it printed. Raises _Failed with its last words."""
    launcher = ["-m", "composer.cli", "-n", str(ranks)] if ranks else []
    command = [sys.executable, *launcher, str(ROOT / f"recipes/{verb}.py"), str(recipe), *overrides]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    print(f"rehearsal: {verb}", flush=True)
    try:
        ran = subprocess.run(  # noqa: S603  our own recipe, no shell
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60 * _MINUTES, check=False
        )
    except subprocess.TimeoutExpired:
        raise _Failed(f"{verb} took more than {_MINUTES} minutes") from None
    if ran.returncode:
        said = [line for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("error: ")] or said[-3:]
        raise _Failed(f"{verb} ended with exit code {ran.returncode}: {' / '.join(errors)[:600]}")
    return ran.stdout

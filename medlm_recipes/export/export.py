"""The export verb: a checkpoint to a Hugging Face folder that has been read back and compared."""

import gc
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from medlm_recipes.config.export import ExportConfig
from medlm_recipes.config.loading import resolved
from medlm_recipes.errors import DataError
from medlm_recipes.export.model_card import read_scores, write_model_card
from medlm_recipes.manifest import Manifest, decisive, hash_json, publish
from medlm_recipes.models.building import grow_vocabulary
from medlm_recipes.models.generation import set_generation
from medlm_recipes.token_math import padded_vocabulary
from medlm_recipes.tokenization.loading import load_tokenizer
from medlm_recipes.training.checkpoints import load_model
from medlm_recipes.training.run_folder import ARCHITECTURE, read_checkpoint, tokenizer_of

_SHARDS = 8  # at least so many files of a large model: what is written is copied once, a file at a time
_LARGEST_SHARD = 5_000_000_000  # bytes, the hub's usual size
_SMALLEST_SHARD = 100_000_000
_CHECKED_TOKENS = 256  # logits of a longer row would say no more, and take memory


@dataclass(frozen=True)
class _Live:
    """What the model in memory computed: ids (1, sequence) and their logits (1, sequence, rows), or (1, labels) of a
    head.
    """

    ids: torch.Tensor
    logits: torch.Tensor
    headed: bool


def export(config: ExportConfig, dry_run: bool) -> None:
    """Write `config.checkpoint` as safetensors with config, tokenizer and model card; no GPU is used.

    The folder is published only after it was loaded again with the same logits. Memory holds the model
    once, in `config.dtype`. Raises DataError for an unfit checkpoint, tokenizer or results folder.
    """
    checkpoint = read_checkpoint(config.checkpoint)
    tokenizer_folder = tokenizer_of(config.checkpoint)
    tokenizer = load_tokenizer(tokenizer_folder)
    rows = checkpoint.facts[ARCHITECTURE]["vocab_size"]
    if len(tokenizer) > rows:
        raise DataError(
            f"{tokenizer_folder}: has {len(tokenizer)} tokens, but the model of {config.checkpoint} only {rows} "
            "embedding rows; a token without a row cannot be written: export with the tokenizer it was trained with"
        )
    identity = hash_json(checkpoint.__dict__)
    scores = [read_scores(folder, identity) for folder in config.results]
    print(f"{config.checkpoint}: {checkpoint.facts['tokens']:,} tokens, to {config.dtype}", flush=True)
    if dry_run:
        return
    manifest = Manifest(
        stage="export",
        config=decisive(resolved(config), leave_out=("checkpoint", "out", "results")),
        inputs={"checkpoint": identity, "results": hash_json(scores)},
    )
    with publish(config.out, manifest) as folder:
        if folder is None:
            return
        live, facts = _write(config, tokenizer, folder)
        shutil.copytree(tokenizer_folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json"))
        write_model_card(folder, config, checkpoint, facts["parameters"], scores)
        gc.collect()  # the model is gone before it is loaded again
        manifest.facts = facts | {"sample": _check_reload(folder, live)}
    print(f"{config.out}: done; reloaded with equal logits, and generated {manifest.facts['sample']!r}")


def _write(config: ExportConfig, tokenizer: Any, folder: Path) -> tuple[_Live, dict[str, int]]:
    """Weights, config and generation config of the checkpoint's model, and what it computes."""
    model = load_model(config.checkpoint, getattr(torch, config.dtype))
    trained = model.config.vocab_size
    grow_vocabulary(model, padded_vocabulary(trained, config.pad_vocab_to_multiple_of))
    model.config.use_cache = True  # training switches it off; generation wants it
    model.config.torch_dtype = config.dtype
    set_generation(model, tokenizer)
    size = sum(weight.nbytes for weight in model.parameters())
    shard = min(_LARGEST_SHARD, max(_SMALLEST_SHARD, size // _SHARDS))
    model.save_pretrained(folder, safe_serialization=True, max_shard_size=shard)
    facts = {"parameters": model.num_parameters(), "rows": model.config.vocab_size, "trained_rows": trained}
    return _compute(model), facts


def _compute(model: Any) -> _Live:
    """The logits of one fixed sequence that visits the whole vocabulary."""
    length = min(model.config.max_position_embeddings, _CHECKED_TOKENS)
    ids = torch.linspace(0, model.config.vocab_size - 1, length).long().unsqueeze(0)
    with torch.no_grad():
        return _Live(ids, model(input_ids=ids).logits, model.generation_config is None)


def _check_reload(folder: Path, live: _Live) -> str:
    """Load the folder as a user would: its logits must be `live`'s; returns a short generation (of a head: nothing)."""
    kind = AutoModelForSequenceClassification if live.headed else AutoModelForCausalLM
    model = kind.from_pretrained(folder, torch_dtype="auto", local_files_only=True).eval()
    with torch.no_grad():
        difference = (model(input_ids=live.ids).logits - live.logits).abs().max().item()
    if difference != 0.0:
        raise AssertionError(f"the exported model's logits differ from the checkpoint's by {difference}")
    if live.headed:
        return ""
    tokenizer = load_tokenizer(folder)
    inputs = tokenizer(tokenizer.eos_token, return_tensors="pt")
    generated = model.generate(**inputs, max_new_tokens=16, do_sample=False)
    return tokenizer.decode(generated[0, inputs["input_ids"].shape[1] :])

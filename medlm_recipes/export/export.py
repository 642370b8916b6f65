"""The export verb: a checkpoint to a Hugging Face folder that has been read back and compared."""

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from medlm_recipes.config.export import ExportConfig
from medlm_recipes.config.loading import resolved
from medlm_recipes.errors import DataError
from medlm_recipes.export.model_card import read_scores, write_model_card
from medlm_recipes.manifest import Manifest, decisive, hash_json, publish
from medlm_recipes.tokenization.loading import load_tokenizer
from medlm_recipes.training.checkpoints import load_model
from medlm_recipes.training.run_folder import read_checkpoint, tokenizer_of

_SHARD = "5GB"
_CHECKED_TOKENS = 1024  # logits of a longer row would say no more


def export(config: ExportConfig, dry_run: bool) -> None:
    """Write `config.checkpoint` as safetensors with config, tokenizer and model card; no GPU is used.

    The folder is published only after it was loaded again with the same logits. Raises DataError for
    an unfit checkpoint, tokenizer or results folder.
    """
    checkpoint = read_checkpoint(config.checkpoint)
    tokenizer_folder = tokenizer_of(config.checkpoint)
    tokenizer = load_tokenizer(tokenizer_folder)
    if len(tokenizer) > checkpoint.facts["vocab_size"]:
        raise DataError(
            f"{tokenizer_folder}: has {len(tokenizer)} tokens, but the model of {config.checkpoint} only "
            f"{checkpoint.facts['vocab_size']} embedding rows"
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
        model = _hugging_face_model(config)
        model.save_pretrained(folder, safe_serialization=True, max_shard_size=_SHARD)
        shutil.copytree(tokenizer_folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json"))
        write_model_card(folder, config, checkpoint, model.num_parameters(), scores)
        manifest.facts = {"parameters": model.num_parameters(), "sample": _check_reload(folder, model)}
    print(f"{config.out}: done; reloaded with equal logits, and generated {manifest.facts['sample']!r}")


def _hugging_face_model(config: ExportConfig) -> Any:
    model = load_model(config.checkpoint).to(getattr(torch, config.dtype))
    model.config.use_cache = True  # training switches it off; generation wants it
    model.config.torch_dtype = config.dtype
    model.generation_config.use_cache = True
    return model


def _check_reload(folder: Path, model: Any) -> str:
    """Load the folder as a user would: its logits must be those of `model`; returns a short generation.

    Logits (1, sequence, vocabulary) of one fixed sequence that visits the whole vocabulary.
    """
    again = AutoModelForCausalLM.from_pretrained(folder, torch_dtype="auto", local_files_only=True).eval()
    length = min(model.config.max_position_embeddings, _CHECKED_TOKENS)
    ids = torch.linspace(0, model.config.vocab_size - 1, length).long().unsqueeze(0)
    with torch.no_grad():
        difference = (again(input_ids=ids).logits - model(input_ids=ids).logits).abs().max().item()
    if difference != 0.0:
        raise AssertionError(f"the exported model's logits differ from the checkpoint's by {difference}")
    tokenizer = load_tokenizer(folder)
    start = torch.tensor([[tokenizer.eos_token_id]])
    generated = again.generate(start, attention_mask=torch.ones_like(start), max_new_tokens=16, do_sample=False)
    return tokenizer.decode(generated[0, 1:])

"""Continued pretraining as Meditron's: a Llama's weights by path, grown for a tokenizer with added tokens; export."""

import shutil
from pathlib import Path

import pytest
import torch
from launch import STEP_TOKENS, composer, done, recipe, train_arguments
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from medlm_recipes.callbacks.perplexity import read_rows
from medlm_recipes.config.model import ModelKeys
from medlm_recipes.models.building import build_model
from medlm_recipes.tokenization.loading import load_tokenizer

SHAPE = {"n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_embd": 32, "n_ffn": 48}
STEPS = 8


def arguments(marked: Path, run: Path, base: Path, *overrides: str) -> list[str]:
    return train_arguments(
        marked,
        run,
        "model.name=llama",
        *(f"model.{name}={value}" for name, value in SHAPE.items()),
        f"model.pretrained={base}",
        "model.pad_vocab_to_multiple_of=64",
        "scheduler.warmup=4_000tok",
        f"max_duration={STEPS * STEP_TOKENS}tok",
        f"budgets=[{STEPS // 2 * STEP_TOKENS}tok]",
        *overrides,
    )


def train_losses(run: Path) -> list[float]:
    return [row["loss"] for row in read_rows(run / "metrics.jsonl") if row["split"] == "train"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose weights are far from a fresh model's, so that its first loss tells whether they were taken."""
    folder = tmp_path_factory.mktemp("base") / "llama"
    torch.manual_seed(3)
    model = build_model(ModelKeys(name="llama", **SHAPE), 790, 128, 0)  # type: ignore[arg-type]
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(20)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def continued(marked: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("continued") / "run"
    output = done(composer(2, "train", *arguments(marked, run, base))).stdout
    assert "notice: the first loss" not in output
    return run


def test_two_ranks_with_the_fused_loss_equal_one_without(
    marked: Path, base: Path, continued: Path, tmp_path: Path
) -> None:
    """Rank 0 alone reads the weights: the other rank's would show here, and so would a wrong chunk of the loss."""
    one = tmp_path / "one"
    done(composer(1, "train", *arguments(marked, one, base, "parallel.fsdp=false", "model.loss=plain")))
    pairs = list(zip(train_losses(one), train_losses(continued), strict=True))
    assert len(pairs) == STEPS and max(abs(a - b) for a, b in pairs) < 1e-5
    assert pairs[0][0] > 8 > pairs[-1][0]  # ln 832 = 6.7 is a fresh model's


def test_resume_and_export_need_the_base_no_more(marked: Path, base: Path, continued: Path, tmp_path: Path) -> None:
    aside = base.with_name("aside")
    base.rename(aside)
    try:
        run = tmp_path / "run"
        shutil.copytree(continued, run)
        shutil.rmtree(run / "checkpoints" / f"tok{STEPS * STEP_TOKENS}")
        assert "resuming from" in done(composer(2, "train", *arguments(marked, run, base))).stdout
        assert train_losses(run) == train_losses(continued)
        checkpoint = run / "checkpoints" / f"tok{STEPS * STEP_TOKENS}"
        export = ["yamls/export/huggingface.yaml", f"checkpoint={checkpoint}", f"out={tmp_path}/hf", "dtype=float32"]
        assert "reloaded with equal logits" in done(recipe("export", *export)).stdout
    finally:
        aside.rename(base)
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    assert exported.config.model_type == "llama" and exported.config.vocab_size == 832
    before, after = (load_file(folder / "model.safetensors") for folder in (base, tmp_path / "hf"))
    name = "model.layers.1.self_attn.k_proj.weight"
    assert before[name].shape == after[name].shape and not torch.equal(before[name], after[name])
    rows = after["model.embed_tokens.weight"]
    bib, unseen = load_tokenizer(tmp_path / "hf").convert_tokens_to_ids(["[/bib_ref]", "<|im_end|>"])
    # A new row begins as the mean of the old; what no text holds, and the padding, only decays.
    assert torch.equal(rows[unseen], rows[831]) and (rows[bib] - rows[unseen]).abs().max() > 1e-3
    mean = before["model.embed_tokens.weight"].mean(0)
    assert torch.allclose(rows[unseen], mean, atol=1e-4)

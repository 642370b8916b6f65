import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from launch import ROOT, STEP_TOKENS, STEPS, done, recipe, refused, verb
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from medlm_recipes.manifest import file_sizes
from medlm_recipes.training.checkpoints import load_model


def arguments(checkpoint: Path, out: Path, *overrides: str) -> list[str]:
    return ["yamls/export/huggingface.yaml", f"checkpoint={checkpoint}", f"out={out}", *overrides]


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> Path:
    return trained / "checkpoints" / f"tok{STEPS * STEP_TOKENS}"


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "hf"
    done(recipe("export", *arguments(checkpoint, out, "dtype=float32")))
    return out


def test_the_folder_loads_as_any_hugging_face_model_with_the_live_logits(checkpoint: Path, exported: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(exported).eval()
    tokenizer = AutoTokenizer.from_pretrained(exported)
    ids = torch.tensor([tokenizer.encode("Treatment with the drug was effective for")])
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, load_model(checkpoint)(input_ids=ids).logits)
    assert model.config.use_cache and model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_weights_are_safetensors_with_the_tied_matrix_once(exported: Path) -> None:
    with safe_open(exported / "model.safetensors", "pt") as weights:
        assert "transformer.wte.weight" in weights.keys() and not any("lm_head" in name for name in weights.keys())  # noqa: SIM118
    assert not list(exported.glob("*.bin"))


def test_bfloat16_halves_the_weights(checkpoint: Path, exported: Path, tmp_path: Path) -> None:
    done(verb("export", *arguments(checkpoint, tmp_path / "hf")))
    assert json.loads((tmp_path / "hf/config.json").read_text())["torch_dtype"] == "bfloat16"
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (tmp_path / "hf", exported)]
    assert sizes[0] < 0.6 * sizes[1]


def test_the_same_bytes_from_a_checkpoint_of_four_ranks(checkpoint: Path, exported: Path, tmp_path: Path) -> None:
    four = tmp_path / "run" / "checkpoints" / checkpoint.name
    four.parent.mkdir(parents=True)
    shutil.copytree(checkpoint.parents[1] / "tokenizer", tmp_path / "run" / "tokenizer")
    subprocess.run([sys.executable, "tests/export/resharded.py", checkpoint, four, "4"], cwd=ROOT, check=True)
    assert len(list(four.glob("*.distcp"))) == 4 > len(list(checkpoint.glob("*.distcp")))
    done(verb("export", *arguments(four, tmp_path / "hf", "dtype=float32")))
    for name in file_sizes(exported):
        if name != "manifest.json":  # which names the checkpoint
            assert (tmp_path / "hf" / name).read_bytes() == (exported / name).read_bytes(), name


def test_rows_padded_for_a_server_are_never_written(checkpoint: Path, tmp_path: Path) -> None:
    done(verb("export", *arguments(checkpoint, tmp_path / "hf", "pad_vocab_to_multiple_of=1024", "dtype=float32")))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    live = load_model(checkpoint)
    trained = live.config.vocab_size
    assert model.config.vocab_size == 1024 > trained
    assert model.generation_config.suppress_tokens == list(range(trained, 1024))
    ids = torch.arange(64).unsqueeze(0)
    with torch.no_grad():
        padded = model(input_ids=ids).logits
        torch.testing.assert_close(padded[..., :trained], live(input_ids=ids).logits)
        # A padding row is the mean of all, so its share stays below an even one (Jensen's inequality).
        assert padded.softmax(-1)[..., trained:].max() < 1 / trained


def test_the_card_says_what_it_is_and_what_it_is_not_for(exported: Path) -> None:
    card = (exported / "README.md").read_text()
    assert "license: bigscience-openrail-m" in card and "must not be used for medical advice" in card
    assert f"{STEPS * STEP_TOKENS:,}" in card and "Scores" not in card


def test_an_exported_model_is_evaluated_like_its_checkpoint(
    line: Path, checkpoint: Path, exported: Path, tmp_path: Path
) -> None:
    found = []
    for at, subject in enumerate((checkpoint, exported)):
        benchmark = f"benchmark={line}/world/benchmark/test.jsonl"
        given = [f"checkpoint={subject}", f"out={tmp_path}/{at}", "limit=20", benchmark]
        done(verb("evaluate", "yamls/quickstart/evaluate.yaml", *given))
        found.append((tmp_path / str(at) / "samples.jsonl").read_text())
    assert found[0] == found[1]
    carded = arguments(checkpoint, tmp_path / "hf", f"results=[{tmp_path}/0]")
    done(verb("export", *carded))
    assert "| test.jsonl (likelihood) |" in (tmp_path / "hf/README.md").read_text()
    refused(verb("export", *arguments(checkpoint, tmp_path / "x", f"results=[{tmp_path}/1]")), "scores the checkpoint")


def test_unfit_checkpoints_leave_no_folder(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    checkpoint = run / "checkpoints" / f"tok{STEPS * STEP_TOKENS}"
    shutil.rmtree(run / "tokenizer")
    refused(verb("export", *arguments(checkpoint, tmp_path / "hf")), "tokenizer.json: no such file")
    (checkpoint / "__0_0.distcp").unlink()
    refused(verb("export", *arguments(checkpoint, tmp_path / "hf")), "damaged")
    refused(verb("export", *arguments(run, tmp_path / "hf")), str(run))
    assert {path.name for path in tmp_path.iterdir()} == {"run"}

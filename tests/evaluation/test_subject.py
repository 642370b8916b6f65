import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluation.sure_models import make, questions
from huggingface_hub import constants
from lm_eval.models.huggingface import HFLM

from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.subject import check_backend, identity, load_subject, locate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder of a tiny Llama."""
    model, tokenizer = make("llama", tmp_path_factory.mktemp("made"))
    out = tmp_path_factory.mktemp("exported")
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def config(folder: Path, **keys: Any) -> EvaluateConfig:
    return EvaluateConfig(checkpoint=str(folder), benchmark="x", task="x", out="x", **keys)


def test_a_hugging_face_folder_is_loaded_as_lm_eval_loads_it(folder: Path) -> None:
    subject = load_subject(str(folder), config(folder))
    expected = HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=8)
    assert subject.max_length == expected.max_length == 256
    found = subject.loglikelihood(questions(2))
    wanted = expected.loglikelihood(questions(2), disable_tqdm=True)
    assert [value for value, _ in found] == pytest.approx([value for value, _ in wanted], abs=1e-4)
    half = load_subject(str(folder), config(folder, dtype="bf16"))
    assert half.model.dtype == torch.bfloat16
    rounded = half.loglikelihood(questions(2))
    assert rounded != found and [value for value, _ in rounded] == pytest.approx([value for value, _ in found], rel=0.1)


@pytest.mark.usefixtures("offline")
def test_a_hub_id_is_the_folder_of_its_files(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the hub library's own cache, as a download leaves it."""
    repository, commit = tmp_path / "models--someone--tiny", "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for revision in (None, commit):
        found = locate("someone/tiny", revision)
        assert Path(found).samefile(repository / "snapshots" / commit) and identity(found) == identity(str(folder))
    with pytest.raises(DataError, match="someone/other: neither a folder nor a model that the hub gives"):
        locate("someone/other", None)


def test_paths_are_taken_as_they_are(folder: Path) -> None:
    assert locate(str(folder), None) == str(folder)
    with pytest.raises(ConfigError, match="belongs to a model of the hub"):
        locate(str(folder), "main")
    with pytest.raises(DataError, match="neither a checkpoint"):
        identity(locate("/nowhere/at/all", None))


def test_vllm_is_refused_where_it_cannot_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_backend(str(folder), "auto")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="vllm is not installed"):
        check_backend(str(folder), "vllm")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="launch with python"):
        check_backend(str(folder), "vllm")
    monkeypatch.setenv("WORLD_SIZE", "1")
    check_backend(str(folder), "vllm")

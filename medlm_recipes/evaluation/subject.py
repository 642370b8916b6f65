"""What is scored: a checkpoint, a Hugging Face folder or a model of the hub, as a model that lm-eval drives."""

import importlib.util
import os
import re
from pathlib import Path
from typing import Any

import torch

from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.head_model import HEADED_NAME, HeadLM, has_head
from medlm_recipes.evaluation.language_model import Measured, SharedPrefixLM
from medlm_recipes.evaluation.vllm_model import load_vllm
from medlm_recipes.manifest import FILE_NAME, hash_file, hash_json
from medlm_recipes.models.generation import set_generation
from medlm_recipes.tokenization.loading import load_tokenizer
from medlm_recipes.training.checkpoints import load_model
from medlm_recipes.training.run_folder import read_checkpoint, tokenizer_of

_HUB_ID = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
_HUB_FILES = ("*.json", "*.safetensors", "*.model", "*.txt")  # nothing that is unpickled or run

# Prompt tokens run at once: on CPUs the fastest measured; on a GPU enough to fill it, and few enough that the
# mask over all of them costs a 7B model less than a tenth.
_CPU_TOKENS, _GPU_TOKENS = 512, 2048


def locate(checkpoint: str, revision: str | None) -> str:
    """The folder of `checkpoint`: itself, or of a hub id its files at `revision`, fetched unless they are here.

    Raises DataError when the hub does not give them, ConfigError for a revision of a folder.
    """
    if Path(checkpoint).exists() or not _HUB_ID.fullmatch(checkpoint):
        if revision:
            raise ConfigError(f"revision: {revision}: belongs to a model of the hub; {checkpoint} is a folder")
        return checkpoint
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(checkpoint, revision=revision, allow_patterns=list(_HUB_FILES))
    except Exception as error:  # of the network, and of several libraries
        raise DataError(
            f"{checkpoint}: neither a folder nor a model that the hub gives ({str(error).strip().splitlines()[0]}); "
            "check the path or id, and log in to the hub for a gated one"
        ) from None


def load_subject(folder: str, config: EvaluateConfig) -> Measured | HeadLM:
    """The model of a checkpoint or Hugging Face folder on this rank's device, ready for lm-eval.

    Raises DataError when the folder is neither, or is not whole.
    """
    if config.backend == "vllm":
        return load_vllm(folder, config)
    model, tokenizer = load(folder, config.dtype)
    if has_head(model):
        return HeadLM(model.eval(), tokenizer, config.batch_size)
    return language_model(model.eval(), tokenizer, config)


def language_model(model: Any, tokenizer: Any, config: EvaluateConfig, lockstep: bool = False) -> SharedPrefixLM:
    """This package's backend around a model as `config` asks; lockstep: it is sharded over all ranks."""
    tokenizer.model_max_length = int(1e30)  # no limit, so no warning a long prompt: those that are cut are reported
    tokens = config.batch_tokens or (_GPU_TOKENS if torch.cuda.is_available() else _CPU_TOKENS)
    return SharedPrefixLM(model, tokenizer, tokens, config.batch_size, config.seeds[0], lockstep)


def load(folder: str, dtype: str) -> tuple[Any, Any]:
    """Model and tokenizer of a checkpoint or Hugging Face folder, on this rank's device; dtype as evaluate's key.

    Raises DataError when the folder is neither, or is not whole.
    """
    gpu = torch.cuda.is_available()
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "amp_bf16": torch.float32}
    if is_checkpoint(folder):
        kind = kinds.get(dtype, torch.bfloat16 if gpu else torch.float32)
        model, tokenizer = load_model(folder, kind), load_tokenizer(tokenizer_of(folder))
        set_generation(model, tokenizer)
    else:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

        tokenizer = load_tokenizer(folder)
        try:
            named = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False).architectures
            headed = any(name.endswith(HEADED_NAME) for name in named or [])
            kind_of_model = AutoModelForSequenceClassification if headed else AutoModelForCausalLM
            model = kind_of_model.from_pretrained(
                folder,
                torch_dtype=kinds.get(dtype, "auto" if gpu else torch.float32),
                local_files_only=True,
                trust_remote_code=False,
            )
        except (OSError, ValueError) as error:
            raise DataError(f"{folder}: not a readable Hugging Face model ({error})") from None
    return model.to(torch.device("cuda", torch.cuda.current_device())) if gpu else model, tokenizer


def check_backend(folder: str, backend: str) -> None:
    """Raise ConfigError where the backend cannot run, or not on what is in `folder`."""
    if backend != "vllm":
        return
    if importlib.util.find_spec("vllm") is None:
        raise ConfigError("backend: vllm is not installed; pip install vllm in an environment of its own, or set auto")
    if is_checkpoint(folder):
        raise ConfigError(
            f"backend: vllm reads Hugging Face folders, and {folder} is a checkpoint; make one with recipes/export.py"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("backend: vllm uses all GPUs from one process; launch with python, not composer")


def identity(checkpoint: str) -> str:
    """A hash that names the weights: of a checkpoint's manifest, or of a Hugging Face folder's files.

    Raises DataError when the folder is neither, or is not whole.
    """
    folder = Path(checkpoint)
    if is_checkpoint(checkpoint):
        return hash_json(read_checkpoint(folder).__dict__)
    files = sorted([*folder.glob("config.json"), *folder.glob("*.safetensors")])
    if len(files) < 2:
        raise DataError(
            f"{folder}: neither a checkpoint of a train run (no {FILE_NAME}) nor a Hugging Face folder "
            "(config.json and safetensors)"
        )
    return hash_json({path.name: hash_file(path) for path in files})


def tokens_seen(checkpoint: str) -> int | None:
    """Training tokens of a checkpoint; None for a Hugging Face folder."""
    return int(read_checkpoint(checkpoint).facts["tokens"]) if is_checkpoint(checkpoint) else None


def is_checkpoint(checkpoint: str) -> bool:
    folder = Path(checkpoint)
    return (folder / FILE_NAME).is_file() and not (folder / "config.json").is_file()

"""What is scored: a checkpoint or a Hugging Face folder, as a model that lm-eval drives."""

import sys
from pathlib import Path
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from torch import distributed

from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.errors import DataError
from medlm_recipes.evaluation.head_model import HEADED_NAME, HeadLM, has_head
from medlm_recipes.manifest import FILE_NAME, hash_file, hash_json
from medlm_recipes.tokenization.loading import load_tokenizer
from medlm_recipes.training.checkpoints import load_model
from medlm_recipes.training.run_folder import read_checkpoint, tokenizer_of


class RankedModel(HFLM):
    """lm-eval's Hugging Face model over an instance, with the questions dealt over torch's ranks.

    HFLM takes a ready instance for single-process work; these are the hooks that it leaves open.
    """

    def __init__(self, model: Any, tokenizer: Any, batch_size: int, seed: int) -> None:
        super().__init__(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
        self.seed = seed
        if distributed.is_initialized():
            self._rank, self._world_size = distributed.get_rank(), distributed.get_world_size()

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """As lm-eval's; off a terminal without its bars."""
        return super().loglikelihood(requests, disable_tqdm=disable_tqdm or not sys.stderr.isatty())

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """As lm-eval's; off a terminal without its bars. Samples follow the seed."""
        torch.manual_seed(self.seed)
        return super().generate_until(requests, disable_tqdm=disable_tqdm or not sys.stderr.isatty())

    def token_count(self, text: str) -> int:
        return len(self.tok_encode(text))

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.world_size == 1:
            return tensor
        parts = [torch.empty_like(tensor.reshape(-1)) for _ in range(self.world_size)]
        distributed.all_gather(parts, tensor.reshape(-1))
        return torch.cat(parts)

    def is_too_long(self, context: str, continuation: str) -> bool:
        """Whether the pair does not fit the model's context, so that lm-eval cuts it from the left."""
        context_ids, continuation_ids = self._encode_pair(context, continuation)
        return len(context_ids) + len(continuation_ids) > self.max_length + 1

    def barrier(self) -> None:
        if self.world_size > 1:
            distributed.barrier()


def load_subject(checkpoint: str, config: EvaluateConfig) -> RankedModel | HeadLM:
    """The model of a checkpoint or Hugging Face folder on this rank's device, ready for lm-eval.

    Raises DataError when the folder is neither, or is not whole.
    """
    if is_checkpoint(checkpoint):
        model, tokenizer = load_model(checkpoint), load_tokenizer(tokenizer_of(checkpoint))
    else:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

        tokenizer = load_tokenizer(checkpoint)
        try:
            named = AutoConfig.from_pretrained(checkpoint, local_files_only=True, trust_remote_code=False).architectures
            headed = any(name.endswith(HEADED_NAME) for name in named or [])
            kind = AutoModelForSequenceClassification if headed else AutoModelForCausalLM
            model = kind.from_pretrained(checkpoint, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{checkpoint}: not a readable Hugging Face model ({error})") from None
    if torch.cuda.is_available():
        model = model.to(torch.device("cuda", torch.cuda.current_device()))
    if has_head(model):
        return HeadLM(model.eval(), tokenizer, config.batch_size)
    tokenizer.model_max_length = sys.maxsize  # no warning a long prompt: evaluate counts those that are cut
    return RankedModel(model.eval(), tokenizer, config.batch_size, config.seeds[0])


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

"""vLLM as the backend: lm-eval's own, which brings its batching, caches of prefixes and GPUs."""

from typing import Any

import torch

from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.evaluation.language_model import Measured


def load_vllm(folder: str, config: EvaluateConfig) -> Any:
    """lm-eval's VLLM over the Hugging Face folder `folder`, spread over this machine's GPUs by tensor parallelism."""
    from lm_eval.models.vllm_causallms import VLLM  # imports vLLM itself

    class MeasuredVLLM(Measured, VLLM):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.too_long = set()

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
            self.too_long |= {request.args for request in requests if self.is_too_long(*request.args)}
            return super().loglikelihood(requests, disable_tqdm=disable_tqdm)

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            for request in requests:
                room = request.args[1].get("max_gen_toks", self.max_gen_toks)
                if self.is_too_long(request.args[0], "", room):
                    self.too_long.add((request.args[0], ""))
            return super().generate_until(requests, disable_tqdm=disable_tqdm)

    return MeasuredVLLM(
        pretrained=folder,
        dtype={"auto": "auto", "fp32": "float32", "bf16": "bfloat16"}[config.dtype],
        tensor_parallel_size=max(torch.cuda.device_count(), 1),
        enable_prefix_caching=True,
        trust_remote_code=False,
        seed=config.seeds[0],
    )

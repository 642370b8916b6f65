"""Run by benchmarks/training.py in llm-foundry's environment: seconds of its train's steps, as JSON.

python llm_foundry_steps.py SETTINGS.json OUT.json
"""

import json
import sys
import time
from pathlib import Path

from composer.core import Callback
from llmfoundry.command_utils.train import train
from llmfoundry.registry import callbacks
from omegaconf import OmegaConf


class Clock(Callback):
    def __init__(self) -> None:
        self.times: list[float] = []

    def batch_start(self, state: object, logger: object) -> None:
        self.times.append(time.perf_counter())

    def fit_end(self, state: object, logger: object) -> None:
        Path(sys.argv[2]).write_text(json.dumps(self.times))


callbacks.register("clock", func=Clock)
given = json.loads(Path(sys.argv[1]).read_text())
train(
    OmegaConf.create(
        {
            "model": {
                "name": "hf_causal_lm",
                "pretrained": False,
                "pretrained_model_name_or_path": given["model"],
                "trust_remote_code": False,
            },
            "tokenizer": {"name": given["model"], "kwargs": {"model_max_length": given["sequence_length"]}},
            "optimizer": {
                "name": "decoupled_adamw",
                "lr": 1e-3,
                "betas": [0.9, 0.95],
                "eps": 1e-8,
                "weight_decay": 1e-4,
            },
            "scheduler": {"name": "cosine_with_warmup", "t_warmup": "4ba", "alpha_f": 0.1},
            "algorithms": {"gradient_clipping": {"clipping_type": "norm", "clipping_threshold": 1.0}},
            "train_loader": {
                "name": "text",
                "dataset": {
                    "streams": {"random": {"local": given["stream"], "split": None}},
                    "shuffle": True,
                    "max_seq_len": given["sequence_length"],
                },
                "drop_last": True,
                "num_workers": 0,
                "prefetch_factor": None,
                "persistent_workers": False,
                "timeout": 0,
            },
            "max_seq_len": given["sequence_length"],
            "max_duration": f"{given['steps']}ba",
            "eval_interval": 0,
            "precision": "fp32",
            "global_train_batch_size": given["global_batch"],
            "device_train_microbatch_size": given["micro_batch"],
            "device_eval_batch_size": given["micro_batch"],
            "callbacks": {"clock": {}},
            "log_to_console": False,
            "python_log_level": "error",
            "progress_bar": False,
            "seed": 17,
        }
    )
)

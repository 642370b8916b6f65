"""The train verb that also writes down what it was trained on: recorded.py FOLDER ...

A line a micro-batch and rank: the samples' numbers and their rows' first three tokens.
"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from composer.utils import dist

import medlm_recipes.training.model as models
from medlm_recipes.config.command import run_command
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.evaluation.while_training import scores_of
from medlm_recipes.preflight.gate import refuse_what_cannot_fit
from medlm_recipes.training.train import train


def with_record(build: Any) -> Any:
    def build_recorded(*arguments: Any) -> Any:
        model = build(*arguments)
        plain = model.loss

        def loss(outputs: Any, batch: Any) -> Any:
            line = [batch["sample"].tolist(), batch["input_ids"][:, :3].tolist()]
            with open(Path(sys.argv[1]) / f"rank{dist.get_global_rank()}.jsonl", "a") as stream:
                stream.write(json.dumps(line) + "\n")
            return plain(outputs, batch)

        model.loss = loss
        return model

    return build_recorded


if __name__ == "__main__":
    models.model_of_run = with_record(models.model_of_run)
    run_command(TrainConfig, partial(train, gate=refuse_what_cannot_fit, scores=scores_of), __doc__, sys.argv[2:])

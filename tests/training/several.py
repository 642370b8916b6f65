"""The train verb several times in one launch: several.py GRADIENTS JOBS, a launch being mostly imports.

JOBS: a JSON list of argument lists of the train verb; of {"copy": run, "as": run} in between, which leaves out the
manifest and the newest checkpoint. GRADIENTS: a file that gets the weights and unclipped
gradients of the very first step.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from composer.utils import dist
from torch.distributed.tensor import DTensor

from medlm_recipes.callbacks.checkpoint_names import checkpoint_folders
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.evaluation.while_training import scores_of
from medlm_recipes.parallel.agreement import join_ranks
from medlm_recipes.parallel.gradients import ClipGradients
from medlm_recipes.preflight.gate import refuse_what_cannot_fit
from medlm_recipes.training.train import train


def keeping_gradients(path: Path, plain: Any) -> Any:
    def apply(self: ClipGradients, event: Any, state: Any, logger: Any) -> None:
        if int(state.timestamp.batch) == 0 and not path.exists():
            named = dict(state.model.named_parameters())
            kept = {
                "weights": {name: whole(one.detach()) for name, one in named.items()},
                "gradients": {name: whole(one.grad) for name, one in named.items() if one.grad is not None},
            }
            dist.barrier()
            if dist.get_global_rank() == 0:
                torch.save(kept, path)
            dist.barrier()
        plain(self, event, state, logger)

    return apply


def whole(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).clone()


def copy(run: Path, to: Path) -> None:
    shutil.copytree(run, to)
    (to / "manifest.json").unlink()
    shutil.rmtree(checkpoint_folders(to)[0])


if __name__ == "__main__":
    join_ranks()
    ClipGradients.apply = keeping_gradients(Path(sys.argv[1]), ClipGradients.apply)  # type: ignore[method-assign]
    for job in json.loads(sys.argv[2]):
        if isinstance(job, list):
            train(load_config(TrainConfig, job[0], job[1:]), False, refuse_what_cannot_fit, scores_of)
        elif dist.get_global_rank() == 0:
            copy(Path(job["copy"]), Path(job["as"]))
        dist.barrier()

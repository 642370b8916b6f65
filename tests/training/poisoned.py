"""The train verb with a loss that breaks on some data: poisoned.py '[[first, last, rank, factor], ...]' ...

The samples that belong to a rank's steps `first` to `last` (from 1, in the data's full order) are
poisoned: their micro-batch's loss is multiplied whenever and wherever they come up.
"""

import json
import sys
from functools import partial
from typing import Any

import numpy as np
from composer.utils import dist
from numpy.typing import NDArray

import medlm_recipes.training.model as models
from medlm_recipes.config.command import run_command
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.evaluation.while_training import scores_of
from medlm_recipes.preflight.gate import refuse_what_cannot_fit
from medlm_recipes.shards.streaming import TokenDataset
from medlm_recipes.training.train import train

WINDOWS = json.loads(sys.argv[1])
poisoned: dict[int, float] = {}


class PoisonedDataset(TokenDataset):
    """Remembers which samples are poisoned as it deals out its first pass from the beginning."""

    def _get_work(self, epoch: int, sample_in_epoch: int) -> NDArray[np.int64]:
        samples = super()._get_work(epoch, sample_in_epoch)
        if epoch == sample_in_epoch == 0:
            for first, last, rank, factor in WINDOWS:
                if rank == dist.get_global_rank():
                    bad = samples[(first - 1) * self.batch_size : last * self.batch_size].tolist()
                    poisoned.update(dict.fromkeys(bad, float(factor)))
        return samples


def with_poison(build: Any) -> Any:
    def build_poisoned(*arguments: Any) -> Any:
        model = build(*arguments)
        healthy = model.loss

        def loss(outputs: Any, batch: Any) -> Any:
            bad = [poisoned[sample] for sample in batch["sample"].tolist() if sample in poisoned]
            return healthy(outputs, batch) * (bad[0] if bad else 1.0)

        model.loss = loss
        return model

    return build_poisoned


if __name__ == "__main__":
    import medlm_recipes.shards.streaming as streaming

    streaming.TokenDataset = PoisonedDataset  # type: ignore[misc]
    models.model_of_run = with_poison(models.model_of_run)
    run_command(TrainConfig, partial(train, gate=refuse_what_cannot_fit, scores=scores_of), __doc__, sys.argv[2:])

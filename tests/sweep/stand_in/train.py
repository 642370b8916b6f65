"""In place of recipes/train.py where only the sweep around it is tested: weights of seven bytes, in no time.

All else is as train leaves it: the run's folder, at each budget a row of validation and a sealed checkpoint;
what is there is not done again.
"""

import json
import math
import sys
from pathlib import Path

from faults import Fault
from sweep_bench import save_checkpoint

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.optim.learning_rate import learning_rate
from medlm_recipes.token_math import tokens_at_budget
from medlm_recipes.training.opening import open_run, run_manifest
from medlm_recipes.training.plan import TrainPlan, plan_training


def loss_at(config: TrainConfig, plan: TrainPlan, tokens: int) -> float:
    """Falls with tokens, and with the learning rate."""
    rate = learning_rate(config.scheduler, config.optimizer.lr, tokens, plan.end) / config.optimizer.lr
    return 3 + 20 / math.sqrt(tokens) + 0.1 * rate + 0.001 * config.seed


if __name__ == "__main__":
    config = load_config(TrainConfig, sys.argv[1], sys.argv[2:])
    plan = plan_training(config, 1)
    run = Path(config.run)
    open_run(run, config, plan, run_manifest(plan))
    fault = Fault(run.name)
    for budget in [*plan.budgets, plan.end]:
        tokens = tokens_at_budget(budget, plan.step_tokens)
        if (run / "checkpoints" / f"tok{tokens}").exists():
            continue
        loss = loss_at(config, plan, tokens)
        row = {"tokens": tokens, "step": tokens // plan.step_tokens, "split": "validation", "source": "pubmed"}
        with open(run / "metrics.jsonl", "a") as stream:
            row |= {"loss": loss, "perplexity": math.exp(loss), "bits_per_byte": loss / 2}
            stream.write(json.dumps(row) + "\n")
        if tokens == plan.end:
            fault.strike(run, tokens)
        save_checkpoint(config, tokens)

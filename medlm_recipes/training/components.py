"""A recipe to the arguments of Composer's Trainer."""

import sys
from pathlib import Path
from typing import Any

from composer.callbacks import SpeedMonitor
from composer.core import Callback, Evaluator
from composer.devices import DeviceGPU

from medlm_recipes.callbacks.budgets import AtTokens, BudgetCheckpoints
from medlm_recipes.callbacks.divergence import DivergenceGuard
from medlm_recipes.callbacks.initial_loss import InitialLossCheck
from medlm_recipes.callbacks.learning_rate import LearningRateOfStep
from medlm_recipes.callbacks.mirror import Mirror
from medlm_recipes.callbacks.perplexity import PerplexityTracker
from medlm_recipes.callbacks.preemption import SaveOnSigterm
from medlm_recipes.callbacks.seeds import SeedsOfStep
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.manifest import Manifest
from medlm_recipes.optim.adamw import build_optimizer
from medlm_recipes.optim.schedule import build_schedule
from medlm_recipes.parallel.fsdp import parallelism
from medlm_recipes.parallel.gradients import ClipGradients
from medlm_recipes.parallel.tensor import TensorParallel
from medlm_recipes.shards.streaming import train_loader, validation_loader
from medlm_recipes.token_math import initial_loss, parse_tokens
from medlm_recipes.training.loggers import build_loggers
from medlm_recipes.training.model import model_of_run
from medlm_recipes.training.plan import TrainPlan
from medlm_recipes.training.rollback import SlowedSchedule, of_trunk, windows_of


def components(
    config: TrainConfig,
    plan: TrainPlan,
    manifest: Manifest,
    load: Path | None,
    rollbacks: list[Any],
    mirror: Mirror | None,
    scoring: list[Callback],
) -> dict[str, Any]:
    """Model, data, optimizer, schedule and callbacks, built from the recipe."""

    def at_tokens(every: str | None, at_stop: bool = False) -> AtTokens:
        interval = parse_tokens(every) if every else None
        return AtTokens([*plan.budgets, plan.end], interval, plan.step_tokens, at_stop=at_stop)

    facts = plan.shards.facts
    run = Path(config.run)
    loggers = build_loggers(config.loggers, run)
    model = model_of_run(config, plan, manifest, load)
    gradients = ClipGradients(config.optimizer.max_grad_norm)
    return {
        "model": model,
        "optimizers": build_optimizer(model, config.optimizer),
        "schedulers": SlowedSchedule(build_schedule(config.scheduler, config.optimizer.lr, plan.end), rollbacks),
        "algorithms": [TensorParallel(), gradients],
        "train_dataloader": train_loader(
            config.shards,
            plan.rows,
            config.global_batch,
            config.data,
            windows_of(rollbacks),
            config.parallel.tensor_parallel,
        ),
        "eval_dataloader": [
            Evaluator(
                label=stream.label,
                dataloader=validation_loader(
                    stream.shards, stream.source, config.parallel.micro_batch, config.parallel.tensor_parallel
                ),
                eval_interval=at_tokens(config.validation_interval),
            )
            for stream in plan.validation
        ],
        "loggers": loggers,
        "callbacks": [
            LearningRateOfStep(),
            SeedsOfStep(config.seed),
            *([] if load or config.model.pretrained else [InitialLossCheck(_initial_loss(model))]),
            PerplexityTracker(
                run,
                [*plan.budgets, plan.end],
                config.log_interval,
                {stream.label: stream.bytes_per_token for stream in plan.validation},
                gradients,
                model.flops_per_token(plan.sequence_length),
            ),
            DivergenceGuard(
                config.guard,
                run,
                gradients,
                {source: facts["splits"]["train"][source]["samples"] for source in plan.sources},
                plan.step_tokens,
                len(rollbacks) - len(of_trunk(plan)),
            ),
            SaveOnSigterm(),
            *([SpeedMonitor(window_size=config.log_interval)] if loggers else []),  # costs a collective a step
            BudgetCheckpoints(
                run,
                at_tokens(config.checkpoint_interval, at_stop=True),
                manifest,
                sharded=config.parallel.fsdp,
                keep=config.keep_checkpoints,
                mirror=mirror,
            ),
            *scoring,  # behind the checkpoint that is scored
        ],
    }


def _initial_loss(model: Any) -> float:
    return initial_loss(model.config.vocab_size, model.config.hidden_size)


def settings(config: TrainConfig, plan: TrainPlan, device: Any) -> dict[str, Any]:
    """How the Trainer runs them."""
    automatic = "amp_bf16" if isinstance(device, DeviceGPU) else "fp32"
    precision = config.parallel.precision
    return {
        "device": device,
        "max_duration": f"{plan.end}tok",
        "step_schedulers_every_batch": False,  # LearningRateOfStep does
        "accumulate_train_batch_on_tokens": plan.weighs_labels,
        "precision": automatic if precision == "auto" else precision,
        "parallelism_config": parallelism(config.parallel, device),
        "device_train_microbatch_size": config.parallel.micro_batch,
        "seed": config.seed,
        "progress_bar": sys.stderr.isatty(),
        "save_metrics": False,
    }
